// A daemon as the controller sees it now.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "common/ids.h"
#include "common/time.h"
#include "server/core/types.h"

namespace tunesmith {

// Attempts of one sweep that have failed on a worker, since one of any sweep did well there.
struct FailureStreak {
  uint32_t failures = 0;
  uint32_t first_trial = 0;
  bool several_trials = false;
  int64_t furthest = -1;  // step that one of them came to; 0: none has reported, -1: none could be started
};

// A connected (or lately connected) daemon. Forgotten by a restart of the controller.
struct LiveWorker {
  SessionId session;          // none while disconnected
  WorkerHello info;
  Time connected;
  Time last_seen;
  bool draining = false;      // the daemon is going away
  int32_t cpus_used = 0;
  std::vector<double> device_used;           // by index into info.devices
  // Leased to it, each with the last sequence seen (log chunks included, which are not journaled).
  std::map<AttemptId, uint64_t> attempts;
  uint32_t start_failures_in_row = 0;
  std::map<SweepId, FailureStreak> failures;
};

}  // namespace tunesmith
