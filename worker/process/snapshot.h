// What a supervisor knows of its trials, as plain data: a daemon that is replaced by a newer program hands it on,
// together with the descriptors.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>

#include "common/time.h"
#include "worker/agent/types.h"
#include "worker/gpus/hand_over.h"
#include "worker/process/log_forwarder.h"
#include "worker/process/output_splitter.h"
#include "worker/process/process_tree.h"
#include "worker/process/spawn.h"

namespace tunesmith::worker {

struct TrialState {
  std::shared_ptr<const Assignment> assignment;
  SpawnedProcess process;
  std::string cgroup;
  Time started;

  std::string unparsed;            // of stdout, read and not yet taken
  std::optional<Report> progress;  // last state of a line that is being redrawn
  std::string channel_in;
  std::string channel_out;
  bool noted_from_zero = false;
  bool channel_used = false;  // then stdout is not parsed: no report twice

  int log_fd = -1;
  int64_t log_bytes = 0;
  int64_t log_bytes_left_out = 0;
  std::string failed_reason;

  bool told_exit = false;
  bool kill_sent = false;
  Time kill_sent_at = kTimeNever;
  bool oom_suspected = false;
  std::vector<DeviceUse> devices;
  std::set<int64_t> pids;  // that were seen in its tree; only with devices

  std::vector<int> Descriptors() const {
    std::vector<int> open;
    for (int fd : {process.pidfd, process.stdout_fd, process.stderr_fd, process.channel_fd, log_fd}) {
      if (fd >= 0) open.push_back(fd);
    }
    return open;
  }
};

struct TrialSnapshot {
  TrialState state;
  OutputSplitter::State splitter;
  LogForwarder::State forwarder;
  std::string stdout_tail;
  std::string stderr_tail;
  std::string parser_hint;
};

struct ProcessesSnapshot {
  std::vector<TrialSnapshot> trials;
  ProcessForest::Past forest;
  int64_t oom_kills = 0;
  Time oom_rose_at{0};
};

}  // namespace tunesmith::worker
