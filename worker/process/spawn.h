// Starts one program with nothing of the daemon's but what is named here.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "common/status.h"

namespace tunesmith::worker {

struct SpawnRequest {
  std::string executable;  // absolute
  std::vector<std::string> argv;
  std::map<std::string, std::string> env;
  std::string workdir;
  // Joined before the program starts; "" = none.
  std::string cgroup;
};

// Descriptors are the caller's to close, non-blocking and close-on-exec.
struct SpawnedProcess {
  pid_t pid = 0;
  int pidfd = -1;
  int stdout_fd = -1;
  int stderr_fd = -1;
  int channel_fd = -1;
};

// The program leads a session and a process group of its own, reads nothing on stdin, finds its end
// of the channel in TUNESMITH_CHANNEL, and is killed when the calling thread dies. An error says
// which step failed and why; then nothing is left behind. Waits until the program is loaded.
StatusOr<SpawnedProcess> SpawnProgram(const SpawnRequest& request);

}  // namespace tunesmith::worker
