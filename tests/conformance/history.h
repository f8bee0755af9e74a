// Journals as a controller would write them: random but valid, from random commands on a real one.
#pragma once

#include <cstdint>
#include <vector>

#include "server/core/event.h"

namespace tunesmith {

struct HistoryOptions {
  uint64_t seed = 1;
  int steps = 400;         // commands
  bool deletions = false;  // some sweeps are deleted
};

// One vector a commit, some of them empty.
std::vector<std::vector<Event>> MakeHistory(const HistoryOptions& options);

}  // namespace tunesmith
