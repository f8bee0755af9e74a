#include "search/sobol/sobol.h"

#include <array>
#include <bit>

#include "common/rng.h"
#include "search/sobol/table.h"

namespace tunesmith {
namespace {

constexpr uint64_t kScramble = 0x536f626f6cULL, kShuffle = 0x53687566666cULL;

// Flips each bit by a hash of those above it.
uint32_t OwenScramble(uint32_t bits, uint64_t seed) {
  uint32_t flips = 0;
  for (uint32_t k = 0; k < 32; ++k) {
    // The bits above bit 31 - k, with a 1 before them, so that every node of the tree has another name.
    const uint64_t node = ((uint64_t{1} << 32U) | bits) >> (32 - k);
    flips |= static_cast<uint32_t>(Mix64(seed ^ Mix64(node)) >> 63U) << (31 - k);
  }
  return bits ^ flips;
}

}  // namespace

uint32_t SobolBits(uint32_t index, size_t dim) {
  const sobol::Polynomial p = sobol::PolynomialOf(dim);
  std::array<uint32_t, 32> v = {};  // direction numbers as binary fractions
  uint32_t result = 0;
  const int columns = static_cast<int>(std::bit_width(index));
  for (int j = 0; j < columns; ++j) {
    if (p.degree == 0) {
      v[j] = 0x80000000U >> j;
    } else if (j < p.degree) {
      v[j] = uint32_t{p.numbers[j]} << (31 - j);
    } else {
      v[j] = v[j - p.degree] ^ (v[j - p.degree] >> p.degree);
      for (int k = 1; k < p.degree; ++k) {
        if ((p.coefficients >> (p.degree - k)) & 1U) v[j] ^= v[j - k];
      }
    }
    if ((index >> j) & 1U) result ^= v[j];
  }
  return result;
}

double SobolCoordinate(uint64_t seed, uint32_t index, size_t dim) {
  const uint64_t round = dim / sobol::kTableDims;
  if (round > 0) {
    // Owen's scrambling of the index keeps every block of 2^k points together.
    index = OwenScramble(index, Mix64(seed ^ Mix64(kShuffle + round)));
  }
  const uint64_t tree = Mix64(seed ^ Mix64(kScramble + (uint64_t{dim} << 8U)));
  const uint64_t high = OwenScramble(SobolBits(index, dim % sobol::kTableDims), tree);
  const uint64_t low = Mix64(tree ^ Mix64((uint64_t{1} << 33U) | high)) >> 43U;
  return static_cast<double>((high << 21U) | low) * 0x1p-53;
}

Point SobolSample(const Space& space, uint64_t seed, uint32_t index) {
  Point point(space.size());
  for (const size_t i : space.SampleOrder()) {
    if (space.Active(i, point)) point[i] = space.ValueAtQuantile(i, SobolCoordinate(seed, index, i));
  }
  return point;
}

std::optional<Point> FeasibleSobol::At(uint32_t n) {
  if (space_.constraints().empty()) return SobolSample(space_, seed_, n);
  constexpr uint32_t kPointsMax = 4'096;
  constexpr uint32_t kSkipped = 100;  // for each point
  if (n >= kPointsMax) return std::nullopt;
  const uint32_t end = 1'000 + kSkipped * n;
  for (; found_.size() <= n && next_ < end; ++next_) {
    if (space_.Feasible(SobolSample(space_, seed_, next_))) found_.push_back(next_);
  }
  if (found_.size() <= n || found_[n] >= end) return std::nullopt;
  return SobolSample(space_, seed_, found_[n]);
}

}  // namespace tunesmith
