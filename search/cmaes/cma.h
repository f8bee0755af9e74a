// Covariance matrix adaptation: a normal distribution that moves, stretches and turns towards what was good.
#pragma once

#include <cstddef>
#include <vector>

#include "common/rng.h"

namespace tunesmith::cmaes {

// A matrix of a symmetric or lower triangular kind: row i holds places 0 .. i. Immutable size.
class Triangle {
 public:
  explicit Triangle(size_t n) : n_(n), rows_(n * (n + 1) / 2) {}

  size_t size() const { return n_; }
  double* row(size_t i) { return rows_.data() + i * (i + 1) / 2; }
  const double* row(size_t i) const { return rows_.data() + i * (i + 1) / 2; }

 private:
  size_t n_;
  std::vector<double> rows_;
};

// The lower factor of a symmetric matrix; false if it is not safely positive definite (a pivot below 1e-14 of the
// largest diagonal element), and `factor` is of no use then.
bool Cholesky(const Triangle& matrix, Triangle* factor);

// Weights of ranks 1 .. count (Hansen, arXiv 1604.00772, equations 49 to 53) and the rates that go with them.
struct Weights {
  Weights(size_t count, size_t dims);

  std::vector<double> mean;        // the better half, of sum 1; 0 for the others
  std::vector<double> covariance;  // all; the worse half negative
  double effective = 1;            // mu_eff
  double step_rate = 0, step_damping = 1, path_rate = 0, rank_one_rate = 0, rank_mu_rate = 0;
};

// One evaluated point.
struct Member {
  const double* x = nullptr;
  bool tied = false;  // as good as the member before it
};

// The state of Hansen's CMA-ES ("The CMA Evolution Strategy: A Tutorial", arXiv 1604.00772: rank-one and rank-mu update
// with negative weights, cumulative step-size adaptation), with three differences:
// - The square root of the covariance is its Cholesky factor (Krause, Arbones, Igel, NIPS 2016), in plain loops of a
//   fixed order: the same bits on every machine, and a ninth of the work of an eigendecomposition.
// - Points need not come from this very state, since workers are asynchronous and users have points of their own: a
// step
//   longer than sqrt(n) + 3 standard deviations, which no draw is, is shortened to that (Hansen, "Injecting external
//   solutions into CMA-ES", 2011).
// - Equally good members share the mean of their ranks' weights, so that a plateau pulls nowhere.
// Not thread-safe.
class Cma {
 public:
  Cma(std::vector<double> mean, double sigma);

  size_t dims() const { return mean_.size(); }
  const std::vector<double>& mean() const { return mean_; }
  // Standard deviation of coordinate i.
  double Deviation(size_t i) const;

  // A draw, with the deviation `spread` times as large.
  void Sample(double spread, Rng* rng, std::vector<double>* x) const;
  // Learns from the members, best first. False if the covariance has degenerated: the state is of no use then.
  bool Update(const std::vector<Member>& members);
  // Stretches coordinates that have become narrower than minima[i]; correlations stay. False as in Update.
  bool Widen(const std::vector<double>& minima);

 private:
  // Solves factor * z = y.
  void Whiten(const std::vector<double>& y, std::vector<double>* z) const;

  std::vector<double> mean_;
  double sigma_;
  Triangle covariance_;
  Triangle factor_;  // of the covariance
  std::vector<double> step_path_, path_;
  size_t updates_ = 0;
};

}  // namespace tunesmith::cmaes
