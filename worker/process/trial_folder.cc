#include "worker/process/trial_folder.h"

#include <unistd.h>

#include "worker/process/files.h"

namespace tunesmith::worker {

Status PrepareTrialFolder(const Assignment& assignment, const AttemptPaths& paths) {
  const std::string owner_file = paths.checkpoint_dir + ".owner";
  std::string owner = std::to_string(assignment.seed);
  // It has taken over from another trial: what is there from before is of another past.
  if (assignment.first_attempt > 0) owner += " from attempt " + std::to_string(assignment.first_attempt);
  const auto known = ReadFile(owner_file);
  const bool another = known.ok() ? *known != owner : assignment.first_attempt > 0;
  if (!assignment.resume || another) {
    TS_RETURN_IF_ERROR(RemoveAll(paths.checkpoint_dir));
    unlink(FromZeroMark(paths).c_str());
    unlink((paths.checkpoint_dir + ".saved").c_str());
  }
  TS_RETURN_IF_ERROR(MakeFolder(paths.checkpoint_dir));
  return WriteFile(owner_file, owner);
}

std::string FromZeroMark(const AttemptPaths& paths) { return paths.checkpoint_dir + ".from-zero"; }

}  // namespace tunesmith::worker
