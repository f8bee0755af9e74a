// One search by one searcher on one task.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/search/task.h"
#include "search/searcher.h"

namespace tunesmith::bench {

struct Run {
  // regret[n - 1]: of the best of the first n finished trials (RunSearch), or when n % of the budget is spent
  // (RunAsha).
  std::vector<double> regret;
  double cpu_seconds = 0;    // in the searcher
  uint32_t trials = 0;       // fewer than asked for when the space is exhausted; the curve then stays where it is
  uint32_t full_length = 0;  // of these, how many got to the end
  int64_t epochs = 0;        // trained in all
};

// The regret of a search that has no result yet: as if it had a middling random point.
constexpr double kNothing = 100;

// "tpe", or "tpe:candidates=48:startup_trials=5": a searcher by its type and options.
SearcherOptions ParseSearcher(const std::string& text);

// Runs `trials` trials, `workers` at a time: as soon as one finishes, the next is asked for. With one worker in order;
// with more a trial takes the task's seconds, or where it has none a random while (a factor of three between the
// quick and the slow).
Run RunSearch(const Task& task, uint64_t seed, uint32_t trials, uint32_t workers, Searcher* searcher);

}  // namespace tunesmith::bench
