// exp and log in plain arithmetic. The C library picks another routine on a CPU with fused multiply-add, and its last
// bit differs; decisions that follow from a seed must not. Relative error below 1e-15. Loops over them vectorise.
#pragma once

#include <bit>
#include <cstdint>

namespace tunesmith {

// exp(x): 0 below -708, about 3e307 above 709 (never infinite), NaN for NaN.
inline double PortableExp(double x) {
  constexpr double kShift = 0x1.8p52;  // adding and subtracting it rounds to the nearest integer
  const double bounded = x < -708.0 ? -708.0 : (x > 709.0 ? 709.0 : x);
  const double shifted = bounded * 1.44269504088896338700 + kShift;
  const double k = shifted - kShift;
  const double r = (bounded - k * 0x1.62e42fee00000p-1) - k * 0x1.a39ef35793c76p-33;
  double p = 1.0 / 6227020800.0;
  p = p * r + 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  // The low bits of `shifted` hold k; moved to the exponent they are 2^k.
  const uint64_t bits = (std::bit_cast<uint64_t>(shifted) + 1023) << 52U;
  const double result = p * std::bit_cast<double>(bits);
  return x < -708.0 ? 0.0 : result;
}

// Natural logarithm of a normal positive number; anything else gives an unspecified finite number.
inline double PortableLog(double x) {
  const uint64_t bits = std::bit_cast<uint64_t>(x);
  // Mantissa in [sqrt(1/2), sqrt(2)).
  const uint64_t offset = bits - 0x3fe6a09e667f3bcdULL;
  const auto exponent = static_cast<int64_t>(offset) >> 52;
  const double m = std::bit_cast<double>(bits - (static_cast<uint64_t>(exponent) << 52U));
  const double s = (m - 1.0) / (m + 1.0);
  const double t = s * s;
  double p = 2.0 / 21.0;
  p = p * t + 2.0 / 19.0;
  p = p * t + 2.0 / 17.0;
  p = p * t + 2.0 / 15.0;
  p = p * t + 2.0 / 13.0;
  p = p * t + 2.0 / 11.0;
  p = p * t + 2.0 / 9.0;
  p = p * t + 2.0 / 7.0;
  p = p * t + 2.0 / 5.0;
  p = p * t + 2.0 / 3.0;
  const double e = static_cast<double>(exponent);
  return e * 0x1.62e42fee00000p-1 + (2.0 * s + (s * t * p + e * 0x1.a39ef35793c76p-33));
}

}  // namespace tunesmith
