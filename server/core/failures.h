// What failing attempts tell about the worker that ran them and the sweep that they are of.
#pragma once

#include <cstdint>

#include "server/core/types.h"

namespace tunesmith {

// A worker is quarantined when one like the others would fail so often in a row less often than this.
constexpr double kChanceToQuarantine = 1e-6;
constexpr int64_t kWitnessesMax = 100;  // attempts elsewhere that are counted; more prove nothing more

// A sweep whose attempts fail one after the other lets other sweeps go first: from the third failure for a second, and
// twice as long with each further one.
constexpr uint32_t kFailuresInRowToHoldBack = 3;
constexpr int64_t kHoldBackMsMin = 1'000;
constexpr int64_t kHoldBackMsMax = 60'000;

// Ended by its own fault, as its processes tell.
inline bool Failed(const AttemptExit& exit) {
  return exit.start_failed || exit.signal != 0 || exit.exit_code.value_or(0) != 0 || exit.out_of_memory;
}

}  // namespace tunesmith
