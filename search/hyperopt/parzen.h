// The one-dimensional densities of hyperopt's TPE.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "common/rng.h"

namespace tunesmith::hyperopt {

// Observations that weigh fully; older ones weigh less (hyperopt's DEFAULT_LF). Also the most that count as good.
constexpr size_t kLinearForgetting = 25;

// How many of n trials are good: ceil(gamma sqrt(n)), at most 25.
size_t BelowCount(double gamma, size_t n);

// Of n observations in order of age, the oldest first: 1/n rising linearly to 1, then ones for the youngest 25.
std::vector<double> ForgettingWeights(size_t n);

// A mixture of normal distributions, the prior among them, by rising centre.
struct Mixture {
  std::vector<double> weights;  // of sum 1
  std::vector<double> mus, sigmas;
};

// hyperopt's adaptive_parzen_normal: a kernel at every observation (oldest first), as wide as the wider gap to its
// neighbours, the prior being one of them, and the prior itself. No kernel is wider than the prior or narrower than
// prior_sigma / min(100, kernels + 1).
Mixture AdaptiveParzen(const std::vector<double>& observations, double prior_weight, double prior_mu,
                       double prior_sigma);

// Where the draws of a numeric parameter may lie, and what they are rounded to. In the units of the mixture: logarithms
// if `log`, but q is a step of the values themselves.
struct Domain {
  double lo = -std::numeric_limits<double>::infinity(), hi = std::numeric_limits<double>::infinity();
  double q = 0;  // 0: continuous
  bool log = false;

  bool bounded() const { return hi < std::numeric_limits<double>::infinity(); }
};

// A draw, as a value (not its logarithm): a component by weight and a normal draw, again until it is inside [lo, hi);
// not rounded.
double Draw(const Mixture& mixture, const Domain& domain, Rng* rng);

// Natural logarithm of the density of a value; with q > 0 of the mass of its step, cut off at the bounds. The density
// of an unquantised logarithmic parameter is not divided by the mass inside the bounds, as in hyperopt's LGMM1_lpdf.
double LogDensity(const Mixture& mixture, const Domain& domain, double value);

// Pseudo-counts of `values` options: prior_weight for each, and the weights of the observations (option numbers, oldest
// first). Space does not grow with `values`.
class Categorical {
 public:
  Categorical(const std::vector<double>& observations, uint64_t values, double prior_weight);

  uint64_t Draw(Rng* rng) const;
  double LogMass(uint64_t option) const;

 private:
  uint64_t values_;
  double prior_weight_;
  double total_;                                       // of all pseudo-counts
  std::vector<std::pair<uint64_t, double>> observed_;  // option, its weight beyond the prior; by option
};

}  // namespace tunesmith::hyperopt
