#include "schedulers/rungs.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/rng.h"

namespace tunesmith {

std::vector<double> ExactMilestones(int64_t grace, double factor, int64_t max_t) {
  // 10 * 1.1 is 11.000000000000002 in binary: a rounding error must not put the rung a whole step
  // later.
  constexpr double kMargin = 1e-12;
  const auto end = static_cast<double>(max_t);
  std::vector<double> milestones;
  double exact = static_cast<double>(grace);
  for (; exact < end; exact *= factor) {
    const bool whole = exact == std::floor(exact);
    const double step = whole ? exact : std::ceil(exact - exact * kMargin);
    if (step >= end) break;
    if (milestones.empty() || step > milestones.back()) milestones.push_back(step);
  }
  return milestones;
}

std::vector<double> RayMilestones(double grace, double factor, int64_t max_t, int s) {
  const int count =
      static_cast<int>(std::log(static_cast<double>(max_t) / grace) / std::log(factor) - s + 1);
  std::vector<double> milestones;
  for (int k = 0; k < count; ++k) milestones.push_back(grace * std::pow(factor, k + s));
  return milestones;
}

int32_t DrawBracket(uint64_t seed, uint32_t trial, const std::vector<size_t>& rungs) {
  if (rungs.size() == 1) return 0;
  constexpr uint64_t kStreamBracket = 0x627261636b6574;
  // Powers of 1/e by multiplication, for the same bits on every machine.
  constexpr double kInverseE = 0.36787944117144233;
  const size_t most = *std::max_element(rungs.begin(), rungs.end());
  std::vector<double> weights;
  double sum = 0;
  for (const size_t count : rungs) {
    double weight = 1;
    for (size_t i = count; i < most; ++i) weight *= kInverseE;
    weights.push_back(weight);
    sum += weight;
  }
  double left = Rng::ForLabels({seed, trial, kStreamBracket}).Uniform() * sum;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (left < weights[i]) return static_cast<int32_t>(i);
    left -= weights[i];
  }
  return static_cast<int32_t>(weights.size()) - 1;
}

void Rung::Record(uint32_t trial, double score, bool stopped) {
  if (!trials_.insert(trial).second) return;
  if (stopped) ++stopped_;
  if (!std::isnan(score)) scores_.insert({score, trial});
}

size_t Rung::CountBetter(double score) const {
  if (std::isnan(score)) return scores_.size();
  return scores_.size() - scores_.order_of_key({score, std::numeric_limits<uint64_t>::max()});
}

Rung::Neighbours Rung::Around(double fraction) const {
  const size_t n = scores_.size();
  const double position = static_cast<double>(n - 1) * fraction;
  const size_t below = std::min(static_cast<size_t>(position), n - 1);
  const size_t above = std::min(below + 1, n - 1);
  return {.lower = scores_.find_by_order(below)->first,
          .upper = scores_.find_by_order(above)->first,
          .weight = position - static_cast<double>(below)};
}

double InterpolateAsNumpy(const Rung::Neighbours& n) {
  const double difference = n.upper - n.lower;
  if (n.weight >= 0.5) return n.upper - difference * (1 - n.weight);
  return n.lower + difference * n.weight;
}

double InterpolateMildly(const Rung::Neighbours& n) {
  if (std::isinf(n.lower) || std::isinf(n.upper)) return n.lower;
  // Half each: the difference of two finite numbers can overflow.
  return n.lower * (1 - n.weight) + n.upper * n.weight;
}

}  // namespace tunesmith
