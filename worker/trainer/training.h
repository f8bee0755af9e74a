// The training loop. No LibTorch in this header.
#pragma once

#include <optional>

#include "common/status.h"
#include "worker/sdk/trial.h"
#include "worker/trainer/datasets.h"
#include "worker/trainer/options.h"
#include "worker/trainer/rank_place.h"

namespace tunesmith::trainer {

// Trains and reports until the epochs are done or the trial is asked to leave (then a checkpoint is
// left behind). Resumes from the newest whole checkpoint of trial.resume_from(). On one thread a
// resumed run gives bit for bit what an unbroken one gives. FAILED_PRECONDITION: the checkpoint is
// of another model, or a device was asked for that is not there. `place`: of this process in a ddp run, set if and only
// if that is the mode; UNAVAILABLE when another rank is missing, gone or different, and then the process can only exit.
Status Train(const TrainerOptions& options, const std::optional<RankPlace>& place, Dataset data, Trial& trial);

}  // namespace tunesmith::trainer
