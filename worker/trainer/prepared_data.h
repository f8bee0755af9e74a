// A data set as tensors, ready for a model. Include only where LibTorch is needed anyway.
#pragma once

#include <torch/torch.h>

#include <cstdint>

#include "worker/trainer/datasets.h"

namespace tunesmith::trainer {

struct Part {
  torch::Tensor rows;    // (rows, features), float or byte
  torch::Tensor labels;  // (rows), int64
  int64_t size() const { return rows.size(0); }
};

// Columns of a table are standardised each by itself, images by channel, both by statistics of the rows to train on.
// Bytes stay bytes until a batch needs them: a quarter of the memory.
class PreparedData {
 public:
  PreparedData() = default;
  // Rows go to `device`; labels to `label_device`, where the logits will be.
  PreparedData(Dataset data, const std::string& model, torch::Device device, torch::Device label_device);

  const Part& train() const { return train_; }
  const Part& test() const { return test_; }
  // What the model takes, of rows of either part.
  torch::Tensor Ready(const torch::Tensor& rows) const;

 private:
  void MeasureGroups();
  torch::Tensor Standardised(const torch::Tensor& rows) const;

  Part train_;
  Part test_;
  int64_t groups_ = 1;  // columns or channels with statistics of their own
  torch::Tensor mean_;
  torch::Tensor deviation_;
};

}  // namespace tunesmith::trainer
