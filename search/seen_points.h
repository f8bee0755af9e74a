// Which points a sweep has used already, and how to find one that it has not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>

#include "common/rng.h"
#include "search/space/space.h"

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

  bool Contains(const Point& point) const { return counts_.count(HashPoint(point)) > 0; }
  size_t distinct() const { return counts_.size(); }

 private:
  std::unordered_map<uint64_t, uint32_t> counts_;      // hash -> trials
  std::unordered_map<uint32_t, uint64_t> unfinished_;  // trial -> hash
};

// Enumeration of a space in lexicographic order of SampleOrder(), each point once, inactive
// branches skipped. Where `pinned` has a value the parameter keeps it. A continuous parameter has
// no next value: it is drawn anew from `rng` whenever something before it changes. A quantised
// normal ranges over mean +- 8.5 sd, beyond which no draw falls.
class Enumeration {
 public:
  // `space` must outlive it; an empty `pinned` pins nothing.
  Enumeration(const Space& space, Point pinned);

  Point First(Rng* rng) const;
  // Goes to the next point; at the end to the first one, and returns false.
  bool Next(Rng* rng, Point* point) const;
  // A draw from the prior with the pinned values.
  Point Sample(Rng* rng) const;

 private:
  bool Pinned(size_t i) const { return !pinned_.empty() && IsActive(pinned_[i]); }
  Value FirstValue(size_t i, Rng* rng) const;
  bool NextValue(size_t i, Value* value) const;
  // Fills places [from, end) of the sample order with first values.
  void Fill(size_t from, Rng* rng, Point* point) const;

  const Space& space_;
  Point pinned_;
};

// A point that is not in `seen`, drawn from the prior: by rejection, and where that fails the next
// free one in the order of enumeration after a draw. nullopt if there is none.
std::optional<Point> DrawUnseen(const Enumeration& points, const SeenPoints& seen, Rng* rng);

}  // namespace tunesmith
