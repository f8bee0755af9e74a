#include "common/rng.h"

#include <cmath>
#include <limits>

#include "common/exact_math.h"

namespace tunesmith {

uint64_t Mix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

Rng::Rng(uint64_t seed, uint64_t stream)
    : state_(0), increment_((Mix64(stream ^ 0x6a09e667f3bcc909ULL) << 1) | 1U) {
  NextU32();
  state_ += Mix64(seed);
  NextU32();
}

Rng Rng::ForLabels(std::initializer_list<uint64_t> labels) {
  uint64_t hash = 0x243f6a8885a308d3ULL;
  for (uint64_t label : labels) hash = Mix64(hash ^ Mix64(label));
  return Rng(hash, Mix64(hash));
}

uint32_t Rng::NextU32() {
  const uint64_t old = state_;
  state_ = old * 6364136223846793005ULL + increment_;
  const auto shifted = static_cast<uint32_t>(((old >> 18U) ^ old) >> 27U);
  const auto rotation = static_cast<uint32_t>(old >> 59U);
  return (shifted >> rotation) | (shifted << ((32U - rotation) & 31U));
}

uint64_t Rng::NextU64() {
  const uint64_t high = NextU32();
  return (high << 32U) | NextU32();
}

double Rng::Uniform() { return static_cast<double>(NextU64() >> 11U) * 0x1.0p-53; }

double Rng::Uniform(double lo, double hi) {
  if (!(lo < hi)) return lo;
  const double x = lo + (hi - lo) * Uniform();
  return x < hi ? x : std::nextafter(hi, lo);
}

uint64_t Rng::Below(uint64_t n) {
  const uint64_t threshold = (0 - n) % n;
  for (;;) {
    const uint64_t r = NextU64();
    if (r >= threshold) return r % n;
  }
}

int64_t Rng::IntInclusive(int64_t lo, int64_t hi) {
  const uint64_t span = static_cast<uint64_t>(hi) - static_cast<uint64_t>(lo);
  if (span == std::numeric_limits<uint64_t>::max()) return static_cast<int64_t>(NextU64());
  return static_cast<int64_t>(static_cast<uint64_t>(lo) + Below(span + 1));
}

double Rng::Normal() {
  // The half step keeps p inside (0, 1), so the result is always finite.
  const double p = (static_cast<double>(NextU64() >> 12U) + 0.5) * 0x1.0p-52;
  return NormalQuantile(p);
}

// Hart's algorithm 5666 as given by G. West, "Better approximations to cumulative normal functions" (2005).
double NormalCdf(double x) {
  const double z = std::fabs(x);
  if (std::isnan(x)) return x;
  double tail = 0;
  if (z <= 37) {
    const double e = PortableExp(-0.5 * z * z);
    if (z < 7.07106781186547) {
      double top = 3.52624965998911e-2 * z + 0.700383064443688;
      top = top * z + 6.37396220353165;
      top = top * z + 33.912866078383;
      top = top * z + 112.079291497871;
      top = top * z + 221.213596169931;
      top = top * z + 220.206867912376;
      double bottom = 8.83883476483184e-2 * z + 1.75566716318264;
      bottom = bottom * z + 16.064177579207;
      bottom = bottom * z + 86.7807322029461;
      bottom = bottom * z + 296.564248779674;
      bottom = bottom * z + 637.333633378831;
      bottom = bottom * z + 793.826512519948;
      bottom = bottom * z + 440.413735824752;
      tail = e * top / bottom;
    } else {
      tail = z + 0.65;
      tail = z + 4 / tail;
      tail = z + 3 / tail;
      tail = z + 2 / tail;
      tail = z + 1 / tail;
      tail = e / tail / 2.506628274631;
    }
  }
  return x > 0 ? 1 - tail : tail;
}

double NormalQuantile(double p) {
  if (p <= 0) return -std::numeric_limits<double>::infinity();
  if (p >= 1) return std::numeric_limits<double>::infinity();
  const double q = p - 0.5;
  if (std::fabs(q) <= 0.425) {
    const double r = 0.180625 - q * q;
    return q *
           (((((((2.5090809287301226727e3 * r + 3.3430575583588128105e4) * r +
                 6.7265770927008700853e4) * r + 4.5921953931549871457e4) * r +
               1.3731693765509461125e4) * r + 1.9715909503065514427e3) * r +
             1.3314166789178437745e2) * r + 3.3871328727963666080e0) /
           (((((((5.2264952788528545610e3 * r + 2.8729085735721942674e4) * r +
                 3.9307895800092710610e4) * r + 2.1213794301586595867e4) * r +
               5.3941960214247511077e3) * r + 6.8718700749205790830e2) * r +
             4.2313330701600911252e1) * r + 1.0);
  }
  double r = q < 0 ? p : 1 - p;
  r = std::sqrt(-PortableLog(r));
  double value = 0;
  if (r <= 5) {
    r -= 1.6;
    value = (((((((7.74545014278341407640e-4 * r + 2.27238449892691845833e-2) * r +
                  2.41780725177450611770e-1) * r + 1.27045825245236838258e0) * r +
                3.64784832476320460504e0) * r + 5.76949722146069140550e0) * r +
              4.63033784615654529590e0) * r + 1.42343711074968357734e0) /
            (((((((1.05075007164441684324e-9 * r + 5.47593808499534494600e-4) * r +
                  1.51986665636164571966e-2) * r + 1.48103976427480074590e-1) * r +
                6.89767334985100004550e-1) * r + 1.67638483018380384940e0) * r +
              2.05319162663775882187e0) * r + 1.0);
  } else {
    r -= 5;
    value = (((((((2.01033439929228813265e-7 * r + 2.71155556874348757815e-5) * r +
                  1.24266094738807843860e-3) * r + 2.65321895265761230930e-2) * r +
                2.96560571828504891230e-1) * r + 1.78482653991729133580e0) * r +
              5.46378491116411436990e0) * r + 6.65790464350110377720e0) /
            (((((((2.04426310338993978564e-15 * r + 1.42151175831644588870e-7) * r +
                  1.84631831751005468180e-5) * r + 7.86869131145613259100e-4) * r +
                1.48753612908506148525e-2) * r + 1.36929880922735805310e-1) * r +
              5.99832206555887937690e-1) * r + 1.0);
  }
  return q < 0 ? -value : value;
}

}  // namespace tunesmith
