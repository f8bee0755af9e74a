// A search under asynchronous successive halving, on tasks with learning curves.
#pragma once

#include <cstdint>

#include "bench/search/runs.h"
#include "bench/search/task.h"
#include "search/searcher.h"

namespace tunesmith::bench {

struct AshaOptions {
  enum class Type : uint8_t {
    // A trial pauses at every rung and goes on once it is among the best third of those that got there; a free worker
    // takes the highest such promotion, or else a new trial. Rungs: 2, 6, 17 epochs.
    kPromotion,
    // The project's own scheduler: a trial goes on unless it is worse than the best third at the rung. Rungs: 2, 6, 18.
    kStopping,
  };
  Type type = Type::kPromotion;
  int64_t budget = 4160;    // epochs in all: 80 trials of full length
  uint32_t workers = 8;
  bool by_seconds = false;  // an epoch takes the task's seconds; else every epoch takes as long
};

// The searcher hears of every rung, and of the end of a trial: stopped (stopping type only) with its last loss, or
// completed at full length. A paused trial stays unfinished. Only what the budget covers is begun. The regret is that
// of the best trial of full length.
Run RunAsha(const Task& task, const AshaOptions& options, Searcher* searcher);

}  // namespace tunesmith::bench
