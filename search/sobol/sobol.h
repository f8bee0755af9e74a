// Points that fill a space more evenly than random ones: the scrambled Sobol sequence, each coordinate computed by
// itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "search/space/space.h"

namespace tunesmith {

// The sequence with the direction numbers of Joe and Kuo (2008), not scrambled: a coordinate as a fraction of 2^32.
// dim < sobol::kTableDims.
uint32_t SobolBits(uint32_t index, size_t dim);

// One coordinate, in [0, 1) and with 53 bits, of the point `index` of the sequence that `seed` picks. It depends on
// nothing else, so points can be taken in any order. Scrambled as Owen (1995) does: each bit is flipped by a hash of
// the bits above it, the dimension and the seed (hashing in place of a stored tree: Burley, "Practical hash-based Owen
// scrambling", JCGT 9(4), 2020). Every 2^k points from a multiple of 2^k on hit each of the 2^k parts of an axis once.
// Dimensions beyond the table (sobol::kTableDims) use its dimensions again, with the points in another order.
double SobolCoordinate(uint64_t seed, uint32_t index, size_t dim);

// The point `index` of the sequence, mapped through the declared distributions: parameter i has dimension i whatever is
// active, so that a branch of the tree is filled evenly too.
Point SobolSample(const Space& space, uint64_t seed, uint32_t index);

// The points of SobolSample that meet the space's constraints, in order. Not thread-safe.
class FeasibleSobol {
 public:
  // `space` must outlive it.
  FeasibleSobol(const Space& space, uint64_t seed) : space_(space), seed_(seed) {}

  // Number n of them, whatever was asked before. Without constraints SobolSample(space, seed, n). nullopt where it
  // would take long to find: n is large, or hardly any point meets the constraints.
  std::optional<Point> At(uint32_t n);

 private:
  const Space& space_;
  const uint64_t seed_;
  std::vector<uint32_t> found_;  // their indices
  uint32_t next_ = 0;            // the first index that was not looked at
};

}  // namespace tunesmith
