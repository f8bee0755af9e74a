// One run from one seed: faults for a while, then none; what must hold is checked throughout, and at the end everything
// must have finished.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "tests/sim/options.h"

namespace tunesmith::sim {

struct SimResult {
  std::string failure;      // "" if all held
  uint64_t trace_hash = 0;  // of everything that happened
  uint64_t steps = 0;       // of the world
  uint64_t events = 0;      // in the journal at the end
  int64_t virtual_ms = 0;
  std::map<std::string, uint64_t> faults;  // how often each kind occurred
};

SimResult RunSimulation(const SimOptions& options, bool log);

}  // namespace tunesmith::sim
