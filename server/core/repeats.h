// Points that are run several times (SweepSpec::repeats). The trials of a point stand next to each other: the first one
// has a number that is a multiple of `repeats`, and names the point to the searcher.
#pragma once

#include <cstdint>
#include <optional>

#include "search/searcher.h"

namespace tunesmith {

struct Sweep;

uint32_t RepeatsOf(const Sweep& sweep);
// The first trial with the same point.
uint32_t FirstOf(const Sweep& sweep, uint32_t trial);
// Whether all trials of the point have ended.
bool PointHasEnded(const Sweep& sweep, uint32_t first);

// What the searcher learns of a point that has ended: the means over its trials, failed and cancelled ones left out; a
// failure if the others are none. nullopt if all were cancelled: there is nothing to learn.
std::optional<Observation> PointObservation(const Sweep& sweep, uint32_t first);

// The mean of the best values of the trials that ended and did not fail; nullopt if there are none.
struct BestMean {
  double value = 0;
  uint32_t of = 0;
};
std::optional<BestMean> BestMeanOf(const Sweep& sweep, uint32_t first);

}  // namespace tunesmith
