// What the parts of the model searcher tell each other of a trial.
#pragma once

#include <cstdint>

namespace tunesmith::model {

// A trial that a model learns from, and its score: lower is better, and 0 is the middle of all trials.
struct Scored {
  uint32_t trial = 0;
  double score = 0;
};

}  // namespace tunesmith::model
