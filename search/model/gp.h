// A small exact Gaussian process over mixed and conditional parameters.
#pragma once

#include <cstddef>
#include <vector>

#include "search/model/features.h"

namespace tunesmith::model {

// Kernel: amplitude x Matern-5/2(r), r^2 = sum over features of scale x d^2, where d is the difference of two ordered
// values on [0, 1]; 1 for different categories; where the parameter is active in neither point 0, and where in one only
// 1 for categories and sqrt(0.75 + (x - 0.5)^2) for an ordered value x. So every value has a place in a Euclidean space
// (what is inactive lies beside the middle), without which covariances would not be positive: a point that is equally
// far from all of a line there is not. The mean is 0 and observations have independent noise. (Rasmussen and Williams
// 2006, sections 2.2, 4.2 and 5.4; inactive parameters as in the "Arc" family of kernels, Swersky et al. 2013, in its
// simplest form.)
struct GpParameters {
  std::vector<double> log_scale;  // by feature: logarithm of the inverse squared length scale
  double log_amplitude = 0;
  double log_noise = 0;  // of the variance
  // Of the search for them: how far the next step goes, and the sign of the last slope, by parameter.
  std::vector<double> step, slope;

  // To start a fit from.
  GpParameters(size_t features, double log_noise_prior);
};

// Moves the parameters towards the maximum of their posterior density by `steps` steps of Rprop (Riedmiller and Braun
// 1993), under priors log scale ~ N(0, 1.5^2), log noise ~ N(log_noise_prior, 1.5^2), log amplitude ~ N(0, 1).
// `y` has one value per point. Same input, same output on every machine.
void FitGp(const FeatureTable& points, const std::vector<double>& y, double log_noise_prior, int steps,
           GpParameters* parameters);

// The process given observations, and points that are believed to turn out as predicted: a pending point leaves the
// means as they are and lowers the deviations around it ("kriging believer", Ginsbourger et al. 2010, section 4.2).
class Gp {
 public:
  Gp(FeatureTable points, const std::vector<double>& y, const GpParameters& parameters);

  void AddPending(const FeatureTable& one_point);
  size_t pending() const { return pending_.size(); }
  void ForgetPending() { pending_.clear(); }

 private:
  friend class GpView;
  struct Pending {
    FeatureTable point;
    std::vector<double> whitened;  // U^-T k of the point
    std::vector<double> among;     // the same with the earlier pending points
    double pivot = 1;
  };
  // Covariances of one point with the others from `begin` on, to out[0..].
  void Covary(const FeatureTable& points, size_t point, const FeatureTable& others, size_t begin, double* out) const;
  // Covariances of the points with the others, a row of others.points() values for each point.
  std::vector<double> Covariances(const FeatureTable& points, const FeatureTable& others) const;

  const FeatureTable points_;
  const std::vector<double> scales_;  // by feature: inverse squared length scale
  const double amplitude_, noise_;
  const size_t n_;
  std::vector<double> factor_;      // n x n, upper: K = U^T U, row by row
  std::vector<double> whitened_y_;  // U^-T y
  std::vector<Pending> pending_;
};

// What a process says of some candidates.
class GpView {
 public:
  // The process must outlive it.
  GpView(const Gp& gp, const FeatureTable& candidates);

  // Takes in the pending points that the process has by now. After ForgetPending make a new view.
  void Update();

  double Mean(size_t candidate) const { return mean_[candidate]; }
  double Deviation(size_t candidate) const;

 private:
  const Gp& gp_;
  const FeatureTable& candidates_;
  std::vector<double> whitened_;  // U^-T k: n rows, a column for each candidate
  std::vector<double> mean_, variance_;
  std::vector<std::vector<double>> pending_rows_;
};

}  // namespace tunesmith::model
