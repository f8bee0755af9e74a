#include "search/hyperopt/parzen.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/exact_math.h"

namespace tunesmith::hyperopt {
namespace {

constexpr double kLogSqrt2Pi = 0.91893853320467274178;

double LogPositive(double x) { return PortableLog(std::max(x, 1e-300)); }

// Mass of the mixture between two places of its axis.
double Mass(const Mixture& m, double from, double to) {
  double sum = 0;
  for (size_t k = 0; k < m.mus.size(); ++k) {
    sum += m.weights[k] * (NormalCdf((to - m.mus[k]) / m.sigmas[k]) - NormalCdf((from - m.mus[k]) / m.sigmas[k]));
  }
  return sum;
}

}  // namespace

size_t BelowCount(double gamma, size_t n) {
  const double count = std::ceil(gamma * std::sqrt(static_cast<double>(n)));
  return static_cast<size_t>(std::min(count, static_cast<double>(kLinearForgetting)));
}

std::vector<double> ForgettingWeights(size_t n) {
  std::vector<double> weights(n, 1.0);
  if (n <= kLinearForgetting) return weights;
  const size_t ramp = n - kLinearForgetting;
  const double first = 1.0 / static_cast<double>(n);
  for (size_t k = 0; k < ramp; ++k) {
    const double share = ramp > 1 ? static_cast<double>(k) / static_cast<double>(ramp - 1) : 0;
    weights[k] = first + (1 - first) * share;
  }
  return weights;
}

Mixture AdaptiveParzen(const std::vector<double>& observations, double prior_weight, double prior_mu,
                       double prior_sigma) {
  const size_t n = observations.size();
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return observations[a] < observations[b]; });
  const std::vector<double> ages = ForgettingWeights(n);
  Mixture m;
  size_t prior = 0;
  for (const size_t k : order) prior += observations[k] < prior_mu ? 1 : 0;
  for (size_t k = 0; k < n; ++k) {
    m.mus.push_back(observations[order[k]]);
    m.weights.push_back(ages[order[k]]);
  }
  m.mus.insert(m.mus.begin() + static_cast<ptrdiff_t>(prior), prior_mu);
  m.weights.insert(m.weights.begin() + static_cast<ptrdiff_t>(prior), prior_weight);
  m.sigmas.assign(n + 1, prior_sigma);
  const double narrowest = prior_sigma / std::min(100.0, static_cast<double>(n) + 2);
  for (size_t k = 0; k <= n && n > 0; ++k) {
    if (k == prior) continue;
    const double left = k > 0 ? m.mus[k] - m.mus[k - 1] : 0;
    const double right = k < n ? m.mus[k + 1] - m.mus[k] : 0;
    m.sigmas[k] = n == 1 ? 0.5 * prior_sigma : std::clamp(std::max(left, right), narrowest, prior_sigma);
  }
  const double sum = std::accumulate(m.weights.begin(), m.weights.end(), 0.0);
  for (double& w : m.weights) w /= sum;
  return m;
}

double Draw(const Mixture& m, const Domain& domain, Rng* rng) {
  // The worst centre is on an edge with the prior's width: a third of the draws are inside.
  constexpr int kTries = 1000;
  double x = 0;
  for (int n = 0; n < kTries; ++n) {
    double pick = rng->Uniform();
    size_t k = 0;
    for (; k + 1 < m.weights.size() && pick >= m.weights[k]; ++k) pick -= m.weights[k];
    x = m.mus[k] + m.sigmas[k] * rng->Normal();
    if (x >= domain.lo && x < domain.hi) break;
  }
  x = std::clamp(x, domain.lo, domain.hi);
  return domain.log ? PortableExp(x) : x;
}

double LogDensity(const Mixture& m, const Domain& domain, double value) {
  const double accepted = domain.bounded() ? Mass(m, domain.lo, domain.hi) : 1;
  if (domain.q > 0) {
    double from = value - domain.q / 2, to = value + domain.q / 2;
    if (domain.log) {
      from = from > 0 ? PortableLog(from) : -std::numeric_limits<double>::infinity();
      to = LogPositive(to);
    }
    return LogPositive(Mass(m, std::max(from, domain.lo), std::min(to, domain.hi))) - LogPositive(accepted);
  }
  const double x = domain.log ? PortableLog(value) : value;
  std::vector<double> terms(m.mus.size());
  for (size_t k = 0; k < terms.size(); ++k) {
    const double z = (x - m.mus[k]) / m.sigmas[k];
    terms[k] = LogPositive(m.weights[k]) - PortableLog(m.sigmas[k]) - kLogSqrt2Pi - 0.5 * z * z;
  }
  const double top = *std::max_element(terms.begin(), terms.end());
  double sum = 0;
  for (const double t : terms) sum += PortableExp(t - top);
  const double density = top + PortableLog(sum);
  return domain.log ? density - x : density - LogPositive(accepted);
}

Categorical::Categorical(const std::vector<double>& observations, uint64_t values, double prior_weight)
    : values_(values), prior_weight_(prior_weight), total_(prior_weight * static_cast<double>(values)) {
  const std::vector<double> ages = ForgettingWeights(observations.size());
  for (size_t k = 0; k < observations.size(); ++k) {
    observed_.emplace_back(static_cast<uint64_t>(observations[k]), ages[k]);
    total_ += ages[k];
  }
  std::stable_sort(observed_.begin(), observed_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  size_t kept = 0;
  for (size_t k = 0; k < observed_.size(); ++k) {
    if (kept > 0 && observed_[kept - 1].first == observed_[k].first) {
      observed_[kept - 1].second += observed_[k].second;
    } else {
      observed_[kept++] = observed_[k];
    }
  }
  observed_.resize(kept);
}

uint64_t Categorical::Draw(Rng* rng) const {
  double pick = rng->Uniform() * total_;
  for (const auto& [option, weight] : observed_) {
    if (pick < weight) return option;
    pick -= weight;
  }
  return rng->Below(values_);
}

double Categorical::LogMass(uint64_t option) const {
  const auto it = std::lower_bound(observed_.begin(), observed_.end(), std::pair<uint64_t, double>(option, 0));
  const bool seen = it != observed_.end() && it->first == option;
  return LogPositive((prior_weight_ + (seen ? it->second : 0)) / total_);
}

}  // namespace tunesmith::hyperopt
