// What a new sweep takes over from earlier ones (SearchSpec::warm_start).
#pragma once

#include <optional>
#include <vector>

#include "common/problem.h"
#include "search/space/space.h"
#include "server/core/event.h"

namespace tunesmith {

class State;

// The ended trials of the sweeps that the spec names, in its own space: points whose values its parameters take (by
// name; what an earlier sweep lacked has no value, constants do not count) and that have a finite value. Of repeated
// points the mean counts. At most kWarmStartTrialsMax: half of them the best, the rest the latest. The sweep's number
// is not set. Appends problems (field "search.warm_start") where a sweep is unknown, follows the other goal, or has
// nothing that fits.
std::vector<WarmStarted> CollectEarlier(const State& state, const SweepSpec& spec, const Space& space,
                                        Problems* problems);

// The point of space `from` in space `to`; nullopt if `to` does not take one of its values, or nothing of it is left.
std::optional<Point> MapPoint(const Space& from, const Point& point, const Space& to);

}  // namespace tunesmith
