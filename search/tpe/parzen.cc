#include "search/tpe/parzen.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "common/exact_math.h"

namespace tunesmith::tpe {
namespace {

constexpr double kLogSqrt2Pi = 0.91893853320467274178;
constexpr float kInactive = std::numeric_limits<float>::quiet_NaN();

// Mass of a standard normal between a and b, exact in both tails.
double NormalMass(double a, double b) {
  return a > 0 ? NormalCdf(-a) - NormalCdf(-b) : NormalCdf(b) - NormalCdf(a);
}

double LogPositive(double x) { return PortableLog(std::max(x, 1e-300)); }

}  // namespace

Parzen::Parzen(const Coding& coding, const std::vector<Kernel>& kernels, double prior_weight)
    : coding_(coding),
      kernels_(kernels.size()),
      codes_(coding.size() * (kernels.size() + 1), kInactive) {
  double total = prior_weight;
  for (const Kernel& k : kernels) total += k.weight;
  double sum = 0;
  for (size_t j = 0; j <= kernels_; ++j) {
    const double weight = (j < kernels_ ? kernels[j].weight : prior_weight) / total;
    sum += weight;
    cumulative_.push_back(sum);
    log_weights_.push_back(LogPositive(weight));
  }
  for (size_t j = 0; j < kernels_; ++j) {
    for (size_t i = 0; i < coding.size(); ++i) codes_[i * (kernels_ + 1) + j] = kernels[j].codes[i];
  }
  size_t searched = 0;
  for (const Dim& dim : coding.dims()) searched += dim.kind != Kind::kFixed ? 1 : 0;
  const auto n = static_cast<double>(std::max<size_t>(kernels_, 1));
  sigma_ = 0.2 * PortableExp(-PortableLog(n) / static_cast<double>(searched + 4));
  for (size_t k = 0; k < log_mass_.size(); ++k) {
    const double mu = static_cast<double>(k) / kMassSteps;
    log_mass_[k] = LogPositive(NormalMass(-mu / sigma_, (1 - mu) / sigma_));
  }
}

double Parzen::LogMass(double mu) const {
  const double place = mu * kMassSteps;
  const auto k = std::min(static_cast<size_t>(place), kMassSteps - 1);
  return log_mass_[k] + (place - static_cast<double>(k)) * (log_mass_[k + 1] - log_mass_[k]);
}

double Parzen::CategoricalShare(size_t i) const {
  // Optuna's 1 / components, but never more than half of a kernel's mass leaves its value however
  // many there are.
  return std::min(1.0 / static_cast<double>(kernels_ + 1),
                  1.0 / static_cast<double>(coding_.dims()[i].values));
}

double Parzen::SampleKernel(size_t i, double centre, Rng* rng) const {
  const Dim& dim = coding_.dims()[i];
  if (dim.kind == Kind::kFixed) return 0;
  if (dim.kind == Kind::kCategorical) {
    const double spread = CategoricalShare(i) * static_cast<double>(dim.values);
    return rng->Uniform() * (1 + spread) < 1 ? centre : static_cast<double>(rng->Below(dim.values));
  }
  const double mu = dim.kind == Kind::kLattice ? dim.centres[static_cast<size_t>(centre)] : centre;
  const double low = NormalCdf(-mu / sigma_);
  const double high = NormalCdf((1 - mu) / sigma_);
  const double u = mu + sigma_ * NormalQuantile(rng->Uniform(low, high));
  return coding_.Snap(i, std::clamp(u, 0.0, 0x1.fffffffffffffp-1));
}

void Parzen::Sample(const Space& space, Rng* rng, Codes* codes, Point* point) const {
  const double pick = rng->Uniform();
  const size_t j = std::min<size_t>(
      static_cast<size_t>(std::upper_bound(cumulative_.begin(), cumulative_.end(), pick) -
                          cumulative_.begin()),
      kernels_);
  codes->assign(coding_.size(), std::numeric_limits<double>::quiet_NaN());
  point->assign(coding_.size(), Value());
  for (const size_t i : space.SampleOrder()) {
    const Dim& dim = coding_.dims()[i];
    if (dim.conditional && !space.Active(i, *point)) continue;
    const float centre = codes_[i * (kernels_ + 1) + j];
    const double code =
        std::isnan(centre) ? coding_.SamplePrior(i, rng) : SampleKernel(i, centre, rng);
    (*codes)[i] = code;
    if (dim.parent) (*point)[i] = coding_.Decode(i, code);
  }
}

// sums[c * components + j] is the log density of candidate c under component j.
void Parzen::LogDensity(const std::vector<Codes>& candidates, std::vector<double>* out) const {
  const size_t components = kernels_ + 1;
  std::vector<double> sums(candidates.size() * components);
  for (size_t c = 0; c < candidates.size(); ++c) {
    std::copy(log_weights_.begin(), log_weights_.end(),
              sums.begin() + static_cast<ptrdiff_t>(c * components));
  }
  for (size_t i = 0; i < coding_.size(); ++i) AddDim(i, candidates, sums.data());
  for (size_t c = 0; c < candidates.size(); ++c) {
    const double* row = sums.data() + c * components;
    const double top = *std::max_element(row, row + components);
    double total = 0;
    for (size_t j = 0; j < components; ++j) total += PortableExp(row[j] - top);
    out->push_back(top + PortableLog(total));
  }
}

void Parzen::AddDim(size_t i, const std::vector<Codes>& candidates, double* sums) const {
  switch (coding_.dims()[i].kind) {
    case Kind::kFixed:
      return;
    case Kind::kCategorical:
      return AddCategorical(i, candidates, sums);
    case Kind::kLattice:
      return AddLattice(i, candidates, sums);
    case Kind::kFineLattice:
    case Kind::kContinuous:
      return AddNumeric(i, candidates, sums);
  }
}

void Parzen::AddNumeric(size_t i, const std::vector<Codes>& candidates, double* sums) const {
  const size_t components = kernels_ + 1;
  const float* centres = codes_.data() + i * components;
  const double log_peak = -PortableLog(sigma_) - kLogSqrt2Pi;
  const double slope = 0.5 / (sigma_ * sigma_);
  // An inactive component has a flat kernel: the prior.
  std::vector<double> centre(components), bias(components), scale(components);
  for (size_t j = 0; j < components; ++j) {
    if (std::isnan(centres[j])) continue;
    centre[j] = centres[j];
    bias[j] = log_peak - LogMass(centre[j]);
    scale[j] = slope;
  }
  for (size_t c = 0; c < candidates.size(); ++c) {
    const double x = candidates[c][i];
    if (std::isnan(x)) continue;
    const double log_width = LogPositive(coding_.CellWidth(i, x));
    double* row = sums + c * components;
    for (size_t j = 0; j < components; ++j) {
      const double d = x - centre[j];
      row[j] += log_width + bias[j] - scale[j] * (d * d);
    }
  }
}

void Parzen::AddLattice(size_t i, const std::vector<Codes>& candidates, double* sums) const {
  const Dim& dim = coding_.dims()[i];
  const size_t components = kernels_ + 1;
  const auto values = static_cast<size_t>(dim.values);
  const float* centres = codes_.data() + i * components;
  std::vector<uint32_t> index(components);  // `values` stands for an inactive component
  for (size_t j = 0; j < components; ++j) {
    index[j] =
        std::isnan(centres[j]) ? static_cast<uint32_t>(values) : static_cast<uint32_t>(centres[j]);
  }
  // rows[k][m]: log mass of the cell of value k under a kernel at value m. Filled for the values
  // that candidates have.
  std::vector<std::vector<double>> rows(values);
  std::vector<double> by_distance;  // without log: the mass depends on |k - m| alone
  if (!dim.log) {
    const double half = 0.5 / static_cast<double>(values);
    for (size_t m = 0; m < values; ++m) {
      const double distance = 2 * half * static_cast<double>(m);
      by_distance.push_back(
          LogPositive(NormalMass((distance - half) / sigma_, (distance + half) / sigma_)));
    }
  }
  for (size_t c = 0; c < candidates.size(); ++c) {
    if (std::isnan(candidates[c][i])) continue;
    const auto k = static_cast<size_t>(candidates[c][i]);
    std::vector<double>& masses = rows[k];
    for (size_t m = masses.size(); m < values; ++m) {
      const double mu = dim.centres[m];
      const double log_cell = dim.log ? LogPositive(NormalMass((dim.edges[k] - mu) / sigma_,
                                                               (dim.edges[k + 1] - mu) / sigma_))
                                      : by_distance[k > m ? k - m : m - k];
      masses.push_back(log_cell - LogMass(mu));
    }
    if (masses.size() == values)
      masses.push_back(LogPositive(coding_.CellWidth(i, candidates[c][i])));
    double* row = sums + c * components;
    for (size_t j = 0; j < components; ++j) row[j] += masses[index[j]];
  }
}

void Parzen::AddCategorical(size_t i, const std::vector<Codes>& candidates, double* sums) const {
  const size_t components = kernels_ + 1;
  const auto values = static_cast<double>(coding_.dims()[i].values);
  const float* centres = codes_.data() + i * components;
  const double share = CategoricalShare(i);
  const double log_sum = PortableLog(1 + values * share);
  const double log_other = PortableLog(share) - log_sum;
  const double log_gain = PortableLog(1 + share) - log_sum - log_other;
  std::vector<double> base(components);
  for (size_t j = 0; j < components; ++j)
    base[j] = std::isnan(centres[j]) ? -PortableLog(values) : log_other;
  for (size_t c = 0; c < candidates.size(); ++c) {
    if (std::isnan(candidates[c][i])) continue;
    const auto x = static_cast<float>(candidates[c][i]);
    double* row = sums + c * components;
    for (size_t j = 0; j < components; ++j) row[j] += base[j] + (centres[j] == x ? log_gain : 0.0);
  }
}

}  // namespace tunesmith::tpe
