#include "search/model/gp.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/exact_math.h"

namespace tunesmith::model {

namespace {

constexpr double kSqrt5 = 2.23606797749978969641;
constexpr double kApart = 0.75;  // squared: of an inactive value from the middle of the active ones
constexpr double kLogNoiseMin = -11.5, kLogNoiseMax = 1.0;
constexpr double kLogScaleMin = -8.0, kLogScaleMax = 8.0;
constexpr double kLogAmplitudeMin = -3.0, kLogAmplitudeMax = 3.0;
constexpr double kLogScaleVariance = 1.5 * 1.5, kLogNoiseVariance = 1.5 * 1.5, kLogAmplitudeVariance = 1.0;

std::vector<double> Exp(std::vector<double> x) {
  for (double& value : x) value = PortableExp(value);
  return x;
}

// out[j] += scale * squared distance of `x` to each of the n values.
void AddSquaredDistances(const FeatureMap::Feature& feature, double x, const double* values, size_t n, double scale,
                         double* out) {
  if (feature.categorical) {
    // Inactive ones are NaN, which differs from everything; both inactive are alike.
    if (std::isnan(x)) {
      for (size_t j = 0; j < n; ++j) out[j] += values[j] != values[j] ? 0.0 : scale;
    } else {
      for (size_t j = 0; j < n; ++j) out[j] += values[j] == x ? 0.0 : scale;
    }
    return;
  }
  if (!feature.conditional) {
    for (size_t j = 0; j < n; ++j) out[j] += scale * ((values[j] - x) * (values[j] - x));
    return;
  }
  if (std::isnan(x)) {
    for (size_t j = 0; j < n; ++j) {
      const double d = values[j] - 0.5;
      out[j] += values[j] != values[j] ? 0.0 : scale * (kApart + d * d);
    }
    return;
  }
  const double apart = kApart + (x - 0.5) * (x - 0.5);
  for (size_t j = 0; j < n; ++j) {
    const double d = values[j] - x;
    out[j] += scale * (values[j] != values[j] ? apart : d * d);
  }
}

// Squared distances r^2 to covariances of unit amplitude, in place.
void Matern(double* r2, size_t n) {
  for (size_t j = 0; j < n; ++j) {
    const double a = kSqrt5 * std::sqrt(r2[j]);
    r2[j] = (1 + a + a * a * (1.0 / 3)) * PortableExp(-a);
  }
}

// Replaces the upper triangle of a positive definite n x n matrix by U with A = U^T U. Row operations only: they
// vectorise without changing the order of any sum. A pivot that rounding has made non-positive becomes tiny.
void Factorise(size_t n, double* a) {
  for (size_t k = 0; k < n; ++k) {
    double* row = a + k * n;
    const double pivot = std::sqrt(std::max(row[k], 1e-12));
    row[k] = pivot;
    const double inverse = 1 / pivot;
    for (size_t j = k + 1; j < n; ++j) row[j] *= inverse;
    for (size_t i = k + 1; i < n; ++i) {
      const double f = row[i];
      double* target = a + i * n;
      for (size_t j = i; j < n; ++j) target[j] -= f * row[j];
    }
  }
}

// b := U^-T b for `columns` right-hand sides (rows of b are contiguous).
void SolveTransposed(size_t n, const double* u, size_t columns, double* b) {
  for (size_t k = 0; k < n; ++k) {
    double* row = b + k * columns;
    const double inverse = 1 / u[k * n + k];
    for (size_t c = 0; c < columns; ++c) row[c] *= inverse;
    for (size_t i = k + 1; i < n; ++i) {
      const double f = u[k * n + i];
      double* target = b + i * columns;
      for (size_t c = 0; c < columns; ++c) target[c] -= f * row[c];
    }
  }
}

// Log posterior density of the parameters is climbed by its slope alone.
class Slope {
 public:
  Slope(const FeatureTable& points, const std::vector<double>& y, double log_noise_prior)
      : map_(points.map()), y_(y), n_(y.size()), log_noise_prior_(log_noise_prior) {
    const size_t pairs = n_ * (n_ - 1) / 2;
    distances_.resize(map_.size() * pairs);
    for (size_t f = 0; f < map_.size(); ++f) {
      double* out = distances_.data() + f * pairs;
      for (size_t p = 0; p + 1 < n_; ++p) {
        const double* values = points.value(f);
        AddSquaredDistances(map_.features[f], values[p], values + p + 1, n_ - p - 1, 1.0, out);
        out += n_ - p - 1;
      }
    }
    r2_.resize(pairs);
    correlation_.resize(pairs);
    change_.resize(pairs);
    matrix_.resize(n_ * n_);
    inverse_.resize(n_ * n_);
    lower_.resize(n_ * n_);
  }

  // Slopes by log scale of each feature, then log amplitude, then log noise.
  void Compute(const GpParameters& p, std::vector<double>* slope) {
    const size_t pairs = r2_.size();
    const size_t features = map_.size();
    std::fill(r2_.begin(), r2_.end(), 0.0);
    for (size_t f = 0; f < features; ++f) {
      const double scale = PortableExp(p.log_scale[f]);
      const double* d = distances_.data() + f * pairs;
      for (size_t k = 0; k < pairs; ++k) r2_[k] += scale * d[k];
    }
    for (size_t k = 0; k < pairs; ++k) {
      const double a = kSqrt5 * std::sqrt(r2_[k]);
      const double e = PortableExp(-a);
      correlation_[k] = (1 + a + a * a * (1.0 / 3)) * e;
      change_[k] = (-5.0 / 6) * (1 + a) * e;  // by r^2
    }
    const double amplitude = PortableExp(p.log_amplitude);
    const double noise = PortableExp(p.log_noise);
    size_t k = 0;
    for (size_t i = 0; i < n_; ++i) {
      matrix_[i * n_ + i] = amplitude + noise;
      for (size_t j = i + 1; j < n_; ++j) matrix_[i * n_ + j] = amplitude * correlation_[k++];
    }
    Factorise(n_, matrix_.data());
    Invert();

    slope->assign(features + 2, 0);
    double trace = 0, fit = 0;  // of the inverse; of alpha alpha^T
    for (size_t i = 0; i < n_; ++i) {
      trace += inverse_[i * n_ + i];
      fit += alpha_[i] * alpha_[i];
    }
    (*slope)[features + 1] = 0.5 * noise * (fit - trace) - (p.log_noise - log_noise_prior_) / kLogNoiseVariance;
    double by_amplitude = 0.5 * amplitude * (fit - trace);
    k = 0;
    for (size_t i = 0; i < n_; ++i) {
      for (size_t j = i + 1; j < n_; ++j, ++k) {
        const double weight = amplitude * (alpha_[i] * alpha_[j] - inverse_[i * n_ + j]);
        by_amplitude += weight * correlation_[k];
        change_[k] *= weight;
      }
    }
    (*slope)[features] = by_amplitude - p.log_amplitude / kLogAmplitudeVariance;
    for (size_t f = 0; f < features; ++f) {
      const double* d = distances_.data() + f * pairs;
      double parts[4] = {0, 0, 0, 0};  // fixed partial sums: the same order on every machine, and they vectorise
      size_t q = 0;
      for (; q + 4 <= pairs; q += 4) {
        for (size_t s = 0; s < 4; ++s) parts[s] += change_[q + s] * d[q + s];
      }
      for (; q < pairs; ++q) parts[0] += change_[q] * d[q];
      const double sum = (parts[0] + parts[1]) + (parts[2] + parts[3]);
      (*slope)[f] = PortableExp(p.log_scale[f]) * sum - p.log_scale[f] / kLogScaleVariance;
    }
  }

 private:
  // inverse_ (upper triangle) and alpha_ = inverse y from the factor in matrix_.
  void Invert() {
    // lower_ = U^-T, lower triangular.
    std::fill(lower_.begin(), lower_.end(), 0.0);
    for (size_t i = 0; i < n_; ++i) lower_[i * n_ + i] = 1;
    for (size_t k = 0; k < n_; ++k) {
      double* row = lower_.data() + k * n_;
      const double inverse = 1 / matrix_[k * n_ + k];
      for (size_t c = 0; c <= k; ++c) row[c] *= inverse;
      for (size_t i = k + 1; i < n_; ++i) {
        const double f = matrix_[k * n_ + i];
        double* target = lower_.data() + i * n_;
        for (size_t c = 0; c <= k; ++c) target[c] -= f * row[c];
      }
    }
    std::fill(inverse_.begin(), inverse_.end(), 0.0);
    alpha_.assign(n_, 0);
    for (size_t k = 0; k < n_; ++k) {
      const double* row = lower_.data() + k * n_;
      double projected = 0;
      for (size_t c = 0; c <= k; ++c) projected += row[c] * y_[c];
      for (size_t i = 0; i <= k; ++i) {
        alpha_[i] += row[i] * projected;
        const double f = row[i];
        double* target = inverse_.data() + i * n_;
        for (size_t j = i; j <= k; ++j) target[j] += f * row[j];
      }
    }
  }

  const FeatureMap& map_;
  const std::vector<double>& y_;
  const size_t n_;
  const double log_noise_prior_;
  std::vector<double> distances_;  // by feature, then pair
  std::vector<double> r2_, correlation_, change_, matrix_, inverse_, lower_, alpha_;
};

}  // namespace

GpParameters::GpParameters(size_t features, double log_noise_prior)
    : log_scale(features, 0.0), log_noise(log_noise_prior), step(features + 2, 0.3), slope(features + 2, 0.0) {}

void FitGp(const FeatureTable& points, const std::vector<double>& y, double log_noise_prior, int steps,
           GpParameters* parameters) {
  if (y.size() < 2) return;
  Slope slope_of(points, y, log_noise_prior);
  const size_t features = points.map().size();
  std::vector<double> slope;
  for (int s = 0; s < steps; ++s) {
    slope_of.Compute(*parameters, &slope);
    for (size_t i = 0; i < slope.size(); ++i) {
      const double agreement = slope[i] * parameters->slope[i];
      double& step = parameters->step[i];
      if (agreement > 0) step = std::min(step * 1.2, 1.0);
      if (agreement < 0) step = std::max(step * 0.5, 1e-3);
      parameters->slope[i] = slope[i];
      if (slope[i] == 0 || slope[i] != slope[i]) continue;
      const double move = slope[i] > 0 ? step : -step;
      if (i < features) {
        parameters->log_scale[i] = std::clamp(parameters->log_scale[i] + move, kLogScaleMin, kLogScaleMax);
      } else if (i == features) {
        parameters->log_amplitude =
            std::clamp(parameters->log_amplitude + move, kLogAmplitudeMin, kLogAmplitudeMax);
      } else {
        parameters->log_noise = std::clamp(parameters->log_noise + move, kLogNoiseMin, kLogNoiseMax);
      }
    }
  }
}

Gp::Gp(FeatureTable points, const std::vector<double>& y, const GpParameters& parameters)
    : points_(std::move(points)),
      scales_(Exp(parameters.log_scale)),
      amplitude_(PortableExp(parameters.log_amplitude)),
      noise_(PortableExp(parameters.log_noise)),
      n_(y.size()),
      factor_(n_ * n_),
      whitened_y_(y) {
  for (size_t i = 0; i < n_; ++i) {
    Covary(points_, i, points_, i + 1, factor_.data() + i * n_ + i + 1);
    factor_[i * n_ + i] = amplitude_ + noise_;
  }
  Factorise(n_, factor_.data());
  SolveTransposed(n_, factor_.data(), 1, whitened_y_.data());
}

void Gp::Covary(const FeatureTable& points, size_t point, const FeatureTable& others, size_t begin,
                double* out) const {
  const size_t columns = others.points() - begin;
  std::fill(out, out + columns, 0.0);
  for (size_t f = 0; f < points.map().size(); ++f) {
    AddSquaredDistances(points.map().features[f], points.value(f)[point], others.value(f) + begin, columns, scales_[f],
                        out);
  }
  Matern(out, columns);
  for (size_t c = 0; c < columns; ++c) out[c] *= amplitude_;
}

std::vector<double> Gp::Covariances(const FeatureTable& points, const FeatureTable& others) const {
  const size_t columns = others.points();
  std::vector<double> out(points.points() * columns);
  for (size_t i = 0; i < points.points(); ++i) Covary(points, i, others, 0, out.data() + i * columns);
  return out;
}

void Gp::AddPending(const FeatureTable& one_point) {
  Pending next{one_point, Covariances(points_, one_point), {}, 1};
  SolveTransposed(n_, factor_.data(), 1, next.whitened.data());
  double pivot = amplitude_ + noise_;
  for (const double f : next.whitened) pivot -= f * f;
  for (const Pending& earlier : pending_) {
    double covariance = Covariances(one_point, earlier.point)[0];
    for (size_t i = 0; i < n_; ++i) covariance -= next.whitened[i] * earlier.whitened[i];
    for (size_t q = 0; q < earlier.among.size(); ++q) covariance -= next.among[q] * earlier.among[q];
    next.among.push_back(covariance / earlier.pivot);
    pivot -= next.among.back() * next.among.back();
  }
  next.pivot = std::sqrt(std::max(pivot, 1e-9));
  pending_.push_back(std::move(next));
}

GpView::GpView(const Gp& gp, const FeatureTable& candidates)
    : gp_(gp),
      candidates_(candidates),
      whitened_(gp.Covariances(gp.points_, candidates)),
      mean_(candidates.points()),
      variance_(candidates.points(), gp.amplitude_) {
  const size_t columns = candidates.points();
  SolveTransposed(gp.n_, gp.factor_.data(), columns, whitened_.data());
  for (size_t i = 0; i < gp.n_; ++i) {
    const double* row = whitened_.data() + i * columns;
    const double y = gp.whitened_y_[i];
    for (size_t c = 0; c < columns; ++c) {
      mean_[c] += y * row[c];
      variance_[c] -= row[c] * row[c];
    }
  }
  Update();
}

void GpView::Update() {
  const size_t columns = candidates_.points();
  for (size_t p = pending_rows_.size(); p < gp_.pending_.size(); ++p) {
    const Gp::Pending& pending = gp_.pending_[p];
    std::vector<double> row = gp_.Covariances(pending.point, candidates_);
    for (size_t i = 0; i < gp_.n_; ++i) {
      const double f = pending.whitened[i];
      const double* known = whitened_.data() + i * columns;
      for (size_t c = 0; c < columns; ++c) row[c] -= f * known[c];
    }
    for (size_t q = 0; q < p; ++q) {
      const double f = pending.among[q];
      for (size_t c = 0; c < columns; ++c) row[c] -= f * pending_rows_[q][c];
    }
    for (size_t c = 0; c < columns; ++c) {
      row[c] /= pending.pivot;
      variance_[c] -= row[c] * row[c];
    }
    pending_rows_.push_back(std::move(row));
  }
}

double GpView::Deviation(size_t candidate) const { return std::sqrt(std::max(variance_[candidate], 1e-10)); }

}  // namespace tunesmith::model
