#include "worker/process/trial_folder.h"

#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "worker/process/files.h"

namespace tunesmith::worker {
namespace fs = std::filesystem;

namespace {

// Of two lines: which trial it is, and the id of its controller (older daemons did not write that).
constexpr const char* kOwnerSuffix = ".owner";
constexpr const char* kLedgerSuffix = ".saved";
constexpr const char* kFromZeroSuffix = ".from-zero";

struct Owner {
  std::string trial, controller;
};

StatusOr<Owner> ReadOwner(const std::string& checkpoint_dir) {
  TS_ASSIGN_OR_RETURN(const std::string text, ReadFile(checkpoint_dir + kOwnerSuffix));
  const size_t end = text.find('\n');
  if (end == std::string::npos) return Owner{text, ""};
  return Owner{text.substr(0, end), text.substr(end + 1)};
}

}  // namespace

Status PrepareTrialFolder(const Assignment& assignment, const AttemptPaths& paths) {
  std::string trial = std::to_string(assignment.seed);
  // It has taken over from another trial: what is there from before is of another past.
  if (assignment.first_attempt > 0) trial += " from attempt " + std::to_string(assignment.first_attempt);
  const auto known = ReadOwner(paths.checkpoint_dir);
  const bool another =
      known.ok() ? known->trial != trial || (!known->controller.empty() && known->controller != assignment.controller)
                 : assignment.first_attempt > 0;
  if (!assignment.resume || another) {
    TS_RETURN_IF_ERROR(RemoveCheckpoints(fs::path(paths.checkpoint_dir).parent_path()));
  }
  TS_RETURN_IF_ERROR(MakeFolder(paths.checkpoint_dir));
  return WriteFile(paths.checkpoint_dir + kOwnerSuffix, trial + "\n" + assignment.controller);
}

std::string FromZeroMark(const AttemptPaths& paths) { return paths.checkpoint_dir + kFromZeroSuffix; }

std::string LedgerPath(const AttemptPaths& paths) { return paths.checkpoint_dir + kLedgerSuffix; }

std::string CheckpointFolder(const std::string& trial_folder) { return trial_folder + "/checkpoints"; }

std::string ControllerOf(const std::string& trial_folder) {
  const auto owner = ReadOwner(CheckpointFolder(trial_folder));
  return owner.ok() ? owner->controller : "";
}

Status RemoveCheckpoints(const std::string& trial_folder) {
  const std::string checkpoint_dir = CheckpointFolder(trial_folder);
  TS_RETURN_IF_ERROR(RemoveAll(checkpoint_dir));
  unlink((checkpoint_dir + kFromZeroSuffix).c_str());
  unlink((checkpoint_dir + kLedgerSuffix).c_str());
  return OkStatus();
}

Status RemoveTrialFolder(const std::string& trial_folder) {
  const std::string owner = CheckpointFolder(trial_folder) + kOwnerSuffix;
  std::error_code error;
  for (auto entry = fs::directory_iterator(trial_folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    if (entry->path() != owner) TS_RETURN_IF_ERROR(RemoveAll(entry->path()));
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return ErrnoStatus(error.value(), "cannot read " + trial_folder);
  }
  TS_RETURN_IF_ERROR(RemoveAll(trial_folder));
  fs::remove(fs::path(trial_folder).parent_path(), error);  // only if it is empty
  return OkStatus();
}

}  // namespace tunesmith::worker
