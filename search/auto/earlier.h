// Trials of earlier sweeps, as the model searcher sees them.
#pragma once

#include <cstdint>
#include <vector>

#include "search/auto/scored.h"
#include "search/searcher.h"
#include "search/tpe/coding.h"

namespace tunesmith::model {

// They are ranked among themselves, so the earlier metric need not be on the scale of this one. A parameter that they
// lack gets a draw from the prior. Immutable.
class EarlierTrials {
 public:
  EarlierTrials(const std::vector<EarlierTrial>& trials, Goal goal, const Space& space, const tpe::Coding& coding,
                uint64_t seed);

  size_t size() const { return codes_.size(); }
  // Trials number from this one downwards; no trial of the sweep itself gets so far.
  static constexpr uint32_t kLast = UINT32_MAX;
  static bool Is(uint32_t trial, size_t count) { return kLast - trial < count; }
  const std::vector<float>& codes(uint32_t trial) const { return codes_[kLast - trial]; }

  // At most `limit`: the better half are the best, the others are spread over the rest. Best first.
  std::vector<Scored> Select(size_t limit) const;

 private:
  std::vector<std::vector<float>> codes_;  // best first
  std::vector<double> scores_;
};

}  // namespace tunesmith::model
