// Seeded random numbers whose every bit is ours: the standard distributions give other numbers on other libraries,
// so they are not used. Streams are split by label, never shared.
#pragma once

#include <cstdint>
#include <initializer_list>

namespace tunesmith {

// PCG-XSH-RR 64/32 (O'Neill 2014, section 6.3.1) seeded through SplitMix64. Not thread-safe; copy or split it.
class Rng {
 public:
  explicit Rng(uint64_t seed, uint64_t stream = 0);

  // A generator that depends on every label, e.g. Rng::ForLabels({sweep_seed, trial_number, kStreamBracket}).
  static Rng ForLabels(std::initializer_list<uint64_t> labels);

  uint32_t NextU32();
  uint64_t NextU64();
  // Uniform in [0, 1) with 53 random bits.
  double Uniform();
  // Uniform in [lo, hi). Returns lo when the range is empty.
  double Uniform(double lo, double hi);
  // Uniform integer in [0, n), without modulo bias. n > 0.
  uint64_t Below(uint64_t n);
  // Uniform integer in [lo, hi], both inclusive. lo <= hi.
  int64_t IntInclusive(int64_t lo, int64_t hi);
  // Standard normal by inversion of the normal distribution function (one uniform a draw).
  double Normal();

 private:
  uint64_t state_;
  uint64_t increment_;
};

// SplitMix64 finaliser: a good 64-bit mix for hashing labels.
uint64_t Mix64(uint64_t x);

// Inverse of the standard normal distribution function for p in (0, 1): Wichura's algorithm AS 241 (PPND16),
// relative accuracy about 1e-16. Returns -inf at p <= 0 and +inf at p >= 1.
double NormalQuantile(double p);

// Standard normal distribution function, to 1e-15 (relatively 1e-7 in the tail below -7); the same bits everywhere.
double NormalCdf(double x);

}  // namespace tunesmith
