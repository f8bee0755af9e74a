// Which trials of a large sweep an insight is drawn from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "search/searcher.h"

namespace tunesmith::insight {

// What has to be known of a trial to choose it.
struct Candidate {
  uint32_t trial = 0;
  bool completed = false;  // ran to its end
  double value = 0;        // finite
};

// How many trials a model over so many parameters is fitted to: 2,000, or fewer where that would take seconds.
size_t TrialsMax(size_t parameters);

// At most `limit` of the trials, by number: all if there are no more, else a quarter of them the best that ran to their
// end, and the rest drawn from the others with equal chances. Same input, same output on every machine.
std::vector<uint32_t> ChooseTrials(std::vector<Candidate> candidates, Goal goal, size_t limit, uint64_t seed);

}  // namespace tunesmith::insight
