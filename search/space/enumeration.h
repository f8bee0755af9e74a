// Walks over the points of a space one by one.
#pragma once

#include <cstdint>
#include <optional>

#include "common/rng.h"
#include "search/space/space.h"

namespace tunesmith {

// The points of a space in lexicographic order of SampleOrder(), each once, inactive branches and
// points that violate a constraint skipped (whole subtrees of them, as soon as a constraint's
// parameters have values). Where `pinned` has a value the parameter keeps it. A continuous
// parameter has no next value: it is drawn anew from `rng` whenever something before it changes. A
// quantised normal ranges over mean +- 8.5 sd, beyond which no draw falls.
class Enumeration {
 public:
  // `space` must outlive it; an empty `pinned` pins nothing.
  Enumeration(const Space& space, Point pinned);

  const Space& space() const { return space_; }

  // Values that First and Next try, where nothing else is said, before they give up.
  static constexpr int64_t kSteps = 10'000'000;

  // The first point; nullopt if there is none, or the steps run out: then *steps is 0.
  std::optional<Point> First(Rng* rng, int64_t* steps = nullptr) const;
  // Goes to the next point. At the end to the first one, and returns false; also when `steps` runs
  // out, which is counted down by the values tried: then the point is left alone and *steps is 0.
  bool Next(Rng* rng, Point* point, int64_t* steps = nullptr) const;
  // A draw from the prior with the pinned values; nullopt if none was found that meets the
  // constraints. Without pinned values there always is one.
  std::optional<Point> Sample(Rng* rng) const { return space_.SampleWith(pinned_, rng); }

 private:
  bool Pinned(size_t i) const { return !pinned_.empty() && IsActive(pinned_[i]); }
  Value FirstValue(size_t i, Rng* rng) const;
  bool NextValue(size_t i, Value* value) const;
  bool Fill(size_t from, Rng* rng, Point* point, int64_t* steps) const;
  bool Advance(size_t* place, Point* point, int64_t* steps) const;

  const Space& space_;
  Point pinned_;
};

}  // namespace tunesmith
