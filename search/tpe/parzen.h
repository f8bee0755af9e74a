// The density of a group of trials: a mixture over trials of products over parameters.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "common/rng.h"
#include "search/tpe/coding.h"

namespace tunesmith::tpe {

// One member of the group.
struct Kernel {
  const float* codes = nullptr;  // one per parameter, NaN where inactive
  double weight = 1;
};

// A multivariate Parzen estimator over the tree of conditions, with a prior component beside the trials
// (Watanabe 2023, arXiv 2304.11127, sections 3 and 4; Optuna 4's multivariate TPE).
// - Ordered parameters have normal kernels truncated to [0, 1] of bandwidth 0.2 n^(-1/(d+4)) with n trials in the group
//   and d parameters. On HPOLib, HPOBench, NAS-Bench-201 and LCBench tasks factors of 0.15 and 0.2 did best; 0.1, 0.3,
//   narrowing with the sweep, and weights by rank or none in place of improvements were no better after 200 trials.
// - Categorical ones keep mass on their value and spread the rest evenly.
// - A component contributes its kernel where both it and the point are active, and the prior where only the point is: a
//   union over the tree instead of an intersection, and no value is made up for what a trial did not have.
class Parzen {
 public:
  // `prior_weight` is that of the prior component. Weights need not sum to one. The coding must
  // outlive it.
  Parzen(const Coding& coding, const std::vector<Kernel>& kernels, double prior_weight);

  // Draws codes: a component by weight, then parents before children, and activity as the drawn
  // values say. `point` receives the values of parameters that others depend on (only these).
  void Sample(const Space& space, Rng* rng, Codes* codes, Point* point) const;
  // Natural logarithm of the density of each candidate (one row of `size()` codes each), appended
  // to `out`.
  void LogDensity(const std::vector<Codes>& candidates, std::vector<double>* out) const;

 private:
  void AddDim(size_t i, const std::vector<Codes>& candidates, double* sums) const;
  void AddNumeric(size_t i, const std::vector<Codes>& candidates, double* sums) const;
  void AddLattice(size_t i, const std::vector<Codes>& candidates, double* sums) const;
  void AddCategorical(size_t i, const std::vector<Codes>& candidates, double* sums) const;
  double SampleKernel(size_t i, double centre, Rng* rng) const;
  double LogMass(double mu) const;
  double CategoricalShare(size_t i) const;  // relative weight of a value that is not the kernel's

  const Coding& coding_;
  size_t kernels_ = 0;               // without the prior, which is the last component
  std::vector<float> codes_;         // by parameter, then component
  std::vector<double> log_weights_;  // of kernels_ + 1 components
  std::vector<double> cumulative_;   // of the weights
  double sigma_ = 0;
  // log of the mass of normal(mu, sigma) on [0, 1] for mu in [0, 1], by linear interpolation: there is one bandwidth
  // and there are thousands of centres.
  static constexpr size_t kMassSteps = 128;
  std::array<double, kMassSteps + 1> log_mass_;
};

}  // namespace tunesmith::tpe
