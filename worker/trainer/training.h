// The training loop. No LibTorch in this header.
#pragma once

#include "common/status.h"
#include "worker/sdk/trial.h"
#include "worker/trainer/datasets.h"
#include "worker/trainer/options.h"

namespace tunesmith::trainer {

// Trains and reports until the epochs are done or the trial is asked to leave (then a checkpoint is
// left behind). Resumes from the newest whole checkpoint of trial.resume_from(). On one thread a
// resumed run gives bit for bit what an unbroken one gives. FAILED_PRECONDITION: the checkpoint is
// of another model, or cuda was asked for and is not there.
Status Train(const TrainerOptions& options, Dataset data, Trial& trial);

}  // namespace tunesmith::trainer
