// Which points a sweep has used already, and how to find one that it has not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>

#include "common/rng.h"
#include "search/space/enumeration.h"

namespace tunesmith {

// The points of all announced trials, as 64-bit hashes: with ten million trials the chance that two
// different points are taken for one is 3e-6. Not thread-safe.
class SeenPoints {
 public:
  void Add(uint32_t trial, const Point& point);
  // The trial has finished: its point stays used.
  void Finish(uint32_t trial) { unfinished_.erase(trial); }
  // The trial never ran: its point is free unless another trial has it too. Unknown trials are
  // ignored.
  void Forget(uint32_t trial);

  bool Contains(const Point& point) const { return Contains(HashPoint(point)); }
  bool Contains(uint64_t hash) const { return counts_.count(hash) > 0; }
  // How many trials have the point of this hash.
  uint32_t Count(uint64_t hash) const {
    const auto it = counts_.find(hash);
    return it == counts_.end() ? 0 : it->second;
  }
  size_t distinct() const { return counts_.size(); }

 private:
  std::unordered_map<uint64_t, uint32_t> counts_;      // hash -> trials
  std::unordered_map<uint32_t, uint64_t> unfinished_;  // trial -> hash
};

// A point that is not in `seen`, drawn from the prior: by rejection, and where that fails the next
// free one in the order of enumeration after a draw. nullopt if there is none; or, under
// constraints that refuse nearly everything in a space too large to walk through, none was found.
std::optional<Point> DrawUnseen(const Enumeration& points, const SeenPoints& seen, Rng* rng);

}  // namespace tunesmith
