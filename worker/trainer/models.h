// The built-in networks. Include only where LibTorch is needed anyway: its headers cost 20 s a
// file.
#pragma once

#include <torch/torch.h>

#include <string>

#include "worker/trainer/datasets.h"
#include "worker/trainer/options.h"

namespace tunesmith::trainer {

// What ModelText says, made of layers: rows of features (or images, flat) in, one logit a class
// out. INVALID_ARGUMENT when lenet meets rows that are no images.
StatusOr<torch::nn::Sequential> MakeModel(const TrainerOptions& options, const Dataset& data);

// "mlp 64-256-10 relu": two models whose parameters fit each other have the same text.
std::string ModelText(const TrainerOptions& options, const Dataset& data);

}  // namespace tunesmith::trainer
