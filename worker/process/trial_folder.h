// What the attempts of a trial share on this machine: its checkpoint folder and what is noted beside it.
#pragma once

#include <string>

#include "common/status.h"
#include "worker/process/launch_plan.h"

namespace tunesmith::worker {

// Makes the checkpoint folder. Checkpoints are only taken over from the same trial: those of a first attempt, or of a
// trial with another seed or controller, belong to a sweep of another controller that had the same name and number, and
// are removed.
Status PrepareTrialFolder(const Assignment& assignment, const AttemptPaths& paths);

// A file that is there once an attempt of the trial has counted its steps from 0.
std::string FromZeroMark(const AttemptPaths& paths);
// Of the Ledger of its checkpoints.
std::string LedgerPath(const AttemptPaths& paths);

// --- of a trial's folder, <root>/<sweep>/<trial>

std::string CheckpointFolder(const std::string& trial_folder);
// Id of the controller whose trial it is; "" if nothing tells.
std::string ControllerOf(const std::string& trial_folder);
// And what is noted of them. Fine if there are none.
Status RemoveCheckpoints(const std::string& trial_folder);
// What tells whose it was goes last: what is cut short can be done again. Takes the sweep's folder with it once that is
// empty. Fine if it is not there.
Status RemoveTrialFolder(const std::string& trial_folder);

}  // namespace tunesmith::worker
