#include "worker/process/trial_folder.h"

#include <unistd.h>

#include "worker/process/files.h"

namespace tunesmith::worker {

Status PrepareTrialFolder(const Assignment& assignment, const AttemptPaths& paths) {
  const std::string owner_file = paths.checkpoint_dir + ".owner";
  const std::string owner = std::to_string(assignment.seed);
  const auto known = ReadFile(owner_file);
  if (!assignment.resume || (known.ok() && *known != owner)) {
    TS_RETURN_IF_ERROR(RemoveAll(paths.checkpoint_dir));
    unlink(FromZeroMark(paths).c_str());
    unlink((paths.checkpoint_dir + ".saved").c_str());
  }
  TS_RETURN_IF_ERROR(MakeFolder(paths.checkpoint_dir));
  return WriteFile(owner_file, owner);
}

std::string FromZeroMark(const AttemptPaths& paths) { return paths.checkpoint_dir + ".from-zero"; }

}  // namespace tunesmith::worker
