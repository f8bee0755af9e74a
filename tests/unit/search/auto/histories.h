// Histories to test with.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "search/auto/earlier.h"
#include "search/auto/history.h"
#include "search/tpe/coding.h"

namespace tunesmith::model {

// Of one objective, with nothing to start from.
inline std::unique_ptr<History> NewHistory(uint64_t seed = 1, Goal goal = Goal::kMin) {
  static const Space& space = *new Space();
  static const tpe::Coding& coding = *new tpe::Coding(space);
  static const EarlierTrials& none = *new EarlierTrials({}, Goal::kMin, space, coding, 0);
  return std::make_unique<History>(seed, std::vector<Goal>{goal}, none);
}

inline Observation Completed(uint32_t trial, double value) {
  return {.trial = trial, .value = value, .step = 1};
}

// A history of trials 0, 1, ... that ran to their end with these values.
inline std::unique_ptr<History> HistoryOf(const std::vector<double>& values,
                                          Goal goal = Goal::kMin) {
  auto history = NewHistory(1, goal);
  for (uint32_t n = 0; n < values.size(); ++n) {
    history->Add(n, {static_cast<float>(n)});
    history->Observe(Completed(n, values[n]));
  }
  return history;
}

}  // namespace tunesmith::model
