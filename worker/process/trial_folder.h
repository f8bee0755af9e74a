// What the attempts of a trial share on this machine: its checkpoint folder and what is noted beside it.
#pragma once

#include <string>

#include "common/status.h"
#include "worker/process/launch_plan.h"

namespace tunesmith::worker {

// Makes the checkpoint folder. Checkpoints are only taken over from the same trial: those of a first attempt, or of a
// trial with another seed, belong to a sweep of another controller that had the same name and number, and are removed.
Status PrepareTrialFolder(const Assignment& assignment, const AttemptPaths& paths);

// A file that is there once an attempt of the trial has counted its steps from 0.
std::string FromZeroMark(const AttemptPaths& paths);

}  // namespace tunesmith::worker
