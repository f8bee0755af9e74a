#include "search/cmaes/cma.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/exact_math.h"

namespace tunesmith::cmaes {
namespace {

double Norm(const std::vector<double>& v) {
  double sum = 0;
  for (const double x : v) sum += x * x;
  return std::sqrt(sum);
}

// x^k for x in (0, 1).
double Power(double x, double k) { return PortableExp(k * PortableLog(x)); }

// Every run of tied members gets the mean of its weights.
std::vector<double> Shared(std::vector<double> weights, const std::vector<Member>& members) {
  for (size_t from = 0, to = 0; from < weights.size(); from = to) {
    double sum = weights[from];
    for (to = from + 1; to < weights.size() && members[to].tied; ++to) sum += weights[to];
    std::fill(weights.begin() + static_cast<ptrdiff_t>(from), weights.begin() + static_cast<ptrdiff_t>(to),
              sum / static_cast<double>(to - from));
  }
  return weights;
}

}  // namespace

bool Cholesky(const Triangle& matrix, Triangle* factor) {
  *factor = matrix;
  const size_t n = matrix.size();
  double largest = 0;
  for (size_t i = 0; i < n; ++i) largest = std::max(largest, matrix.row(i)[i]);
  std::vector<double> column(n);
  for (size_t k = 0; k < n; ++k) {
    const double pivot = factor->row(k)[k];
    if (!(pivot > 1e-14 * largest && std::isfinite(pivot))) return false;
    const double root = std::sqrt(pivot);
    factor->row(k)[k] = root;
    for (size_t i = k + 1; i < n; ++i) column[i] = factor->row(i)[k] /= root;
    for (size_t i = k + 1; i < n; ++i) {
      double* row = factor->row(i);
      const double scale = column[i];
      for (size_t j = k + 1; j <= i; ++j) row[j] -= scale * column[j];
    }
  }
  return true;
}

Weights::Weights(size_t count, size_t dims) : mean(count), covariance(count) {
  const auto n = static_cast<double>(dims);
  const size_t parents = count / 2;
  const double middle = PortableLog((static_cast<double>(count) + 1) / 2);
  double good = 0, good_squares = 0, bad = 0, bad_squares = 0;
  for (size_t i = 0; i < count; ++i) {
    const double w = middle - PortableLog(static_cast<double>(i) + 1);
    covariance[i] = w;
    (i < parents ? good : bad) += w;
    (i < parents ? good_squares : bad_squares) += w * w;
  }
  effective = good * good / good_squares;
  const double bad_effective = bad_squares > 0 ? bad * bad / bad_squares : 0;
  step_rate = (effective + 2) / (n + effective + 5);
  step_damping = 1 + 2 * std::max(0.0, std::sqrt((effective - 1) / (n + 1)) - 1) + step_rate;
  path_rate = (4 + effective / n) / (n + 4 + 2 * effective / n);
  rank_one_rate = 2 / ((n + 1.3) * (n + 1.3) + effective);
  rank_mu_rate =
      std::min(1 - rank_one_rate, 2 * (0.25 + effective + 1 / effective - 2) / ((n + 2) * (n + 2) + effective));
  const double negative = std::min({1 + rank_one_rate / rank_mu_rate, 1 + 2 * bad_effective / (effective + 2),
                                    (1 - rank_one_rate - rank_mu_rate) / (n * rank_mu_rate)});
  for (size_t i = 0; i < count; ++i) {
    if (i < parents) mean[i] = covariance[i] / good;
    // The middle rank of an odd number weighs nothing, up to rounding.
    covariance[i] = i < parents ? mean[i] : (bad < 0 ? negative * covariance[i] / -bad : 0);
  }
}

Cma::Cma(std::vector<double> mean, double sigma)
    : mean_(std::move(mean)),
      sigma_(sigma),
      covariance_(mean_.size()),
      factor_(mean_.size()),
      step_path_(mean_.size()),
      path_(mean_.size()) {
  for (size_t i = 0; i < dims(); ++i) covariance_.row(i)[i] = factor_.row(i)[i] = 1;
}

double Cma::Deviation(size_t i) const { return sigma_ * std::sqrt(covariance_.row(i)[i]); }

void Cma::Sample(double spread, Rng* rng, std::vector<double>* x) const {
  std::vector<double> z(dims());
  for (double& coordinate : z) coordinate = rng->Normal();
  x->resize(dims());
  for (size_t i = 0; i < dims(); ++i) {
    const double* row = factor_.row(i);
    double sum = 0;
    for (size_t j = 0; j <= i; ++j) sum += row[j] * z[j];
    (*x)[i] = mean_[i] + spread * sigma_ * sum;
  }
}

void Cma::Whiten(const std::vector<double>& y, std::vector<double>* z) const {
  z->resize(dims());
  for (size_t i = 0; i < dims(); ++i) {
    const double* row = factor_.row(i);
    double sum = y[i];
    for (size_t j = 0; j < i; ++j) sum -= row[j] * (*z)[j];
    (*z)[i] = sum / row[i];
  }
}

bool Cma::Update(const std::vector<Member>& members) {
  const auto n = static_cast<double>(dims());
  const Weights rates(members.size(), dims());
  const std::vector<double> mean_weights = Shared(rates.mean, members);
  const std::vector<double> weights = Shared(rates.covariance, members);
  const double longest = std::sqrt(n) + 3;
  std::vector<std::vector<double>> steps(members.size());
  std::vector<double> lengths(members.size()), z, move(dims());
  for (size_t k = 0; k < members.size(); ++k) {
    std::vector<double>& y = steps[k];
    y.resize(dims());
    for (size_t i = 0; i < dims(); ++i) y[i] = (members[k].x[i] - mean_[i]) / sigma_;
    Whiten(y, &z);
    lengths[k] = Norm(z);
    const double scale = lengths[k] > longest ? longest / lengths[k] : 1;
    for (double& coordinate : y) coordinate *= scale;
    lengths[k] *= scale;
    for (size_t i = 0; i < dims(); ++i) move[i] += mean_weights[k] * y[i];
  }

  Whiten(move, &z);
  const double root = std::sqrt(rates.step_rate * (2 - rates.step_rate) * rates.effective);
  for (size_t i = 0; i < dims(); ++i) step_path_[i] = (1 - rates.step_rate) * step_path_[i] + root * z[i];
  const double expected = std::sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n));
  const double length = Norm(step_path_);
  ++updates_;
  const double settled = std::sqrt(1 - Power(1 - rates.step_rate, 2 * static_cast<double>(updates_)));
  const bool steady = length / settled < (1.4 + 2 / (n + 1)) * expected;  // h_sigma
  const double path_root = std::sqrt(rates.path_rate * (2 - rates.path_rate) * rates.effective);
  for (size_t i = 0; i < dims(); ++i) {
    path_[i] = (1 - rates.path_rate) * path_[i] + (steady ? path_root * move[i] : 0);
    mean_[i] += sigma_ * move[i];
  }

  double sum = 0;
  for (const double w : weights) sum += w;
  const double lost = steady ? 0 : rates.path_rate * (2 - rates.path_rate);
  const double keep = 1 + rates.rank_one_rate * (lost - 1) - rates.rank_mu_rate * sum;
  for (size_t i = 0; i < dims(); ++i) {
    double* row = covariance_.row(i);
    const double scale = rates.rank_one_rate * path_[i];
    for (size_t j = 0; j <= i; ++j) row[j] = keep * row[j] + scale * path_[j];
  }
  for (size_t k = 0; k < members.size(); ++k) {
    double w = rates.rank_mu_rate * weights[k];
    if (w < 0) w *= n / std::max(lengths[k] * lengths[k], 1e-8);
    for (size_t i = 0; i < dims(); ++i) {
      double* row = covariance_.row(i);
      const double scale = w * steps[k][i];
      for (size_t j = 0; j <= i; ++j) row[j] += scale * steps[k][j];
    }
  }
  sigma_ *= PortableExp(std::min(1.0, rates.step_rate / rates.step_damping * (length / expected - 1)));
  return Cholesky(covariance_, &factor_);
}

bool Cma::Widen(const std::vector<double>& minima) {
  bool changed = false;
  for (size_t i = 0; i < dims(); ++i) {
    const double deviation = Deviation(i);
    if (deviation >= minima[i]) continue;
    changed = true;
    const double scale = minima[i] / deviation;
    double* row = covariance_.row(i);
    for (size_t j = 0; j < i; ++j) row[j] *= scale;
    row[i] *= scale * scale;
    for (size_t j = i + 1; j < dims(); ++j) covariance_.row(j)[i] *= scale;
  }
  return !changed || Cholesky(covariance_, &factor_);
}

}  // namespace tunesmith::cmaes
