#include "search/auto/history.h"

#include <algorithm>
#include <cmath>

#include "common/exact_math.h"
#include "common/rng.h"
#include "search/registry.h"

namespace tunesmith::model {

void History::Add(uint32_t trial, std::vector<float> codes) {
  if (!records_.emplace(trial, std::move(codes)).second) return;
  running_.insert(trial);
  pending_.insert(trial);
}

void History::HasResult(uint32_t trial) {
  ++results_;
  if (pending_.erase(trial) == 0) return;
  // Exponential keys with rate trial + 1: recent trials are likelier to be drawn (Efraimidis and Spirakis 2006).
  Rng rng = Rng::ForLabels({seed_, trial, kStreamReservoir});
  sample_.emplace(-PortableLog(1 - rng.Uniform()) / (static_cast<double>(trial) + 1), trial);
  if (sample_.size() > kSampleMax) sample_.erase(std::prev(sample_.end()));
}

void History::Report(const RungReport& report) {
  if (running_.count(report.trial) == 0) return;
  standings_.Reach(report.trial, report.rung, Loss(report.value));
  HasResult(report.trial);
}

void History::Observe(const Observation& observation) {
  const uint32_t trial = observation.trial;
  if (running_.erase(trial) == 0) return;
  const double loss = Loss(observation.value);
  if (observation.outcome == Outcome::kFailed) {
    standings_.Fail(trial);
  } else if (observation.violation > 0) {
    standings_.Violate(trial, observation.violation);
  } else if (observation.outcome == Outcome::kStopped) {
    standings_.Stop(trial, loss);
  } else {
    standings_.Complete(trial, loss);
  }
  HasResult(trial);
}

void History::Forget(uint32_t trial) {
  if (running_.erase(trial) == 0) return;
  if (pending_.erase(trial) > 0) records_.erase(trial);  // else what it reported at its rungs stays true
}

History::Scale History::ScaleNow() const {
  constexpr size_t kGoodMin = 4;
  constexpr double kBestScore = 2.5;
  Scale scale;
  if (!standings_.plain() || standings_.good() < kGoodMin) return scale;
  scale.middle = standings_.LossAt(0.5);
  const double range = scale.middle - standings_.LossAt(0);
  scale.by_value = range > 0 && std::isfinite(range);
  if (scale.by_value) scale.unit = range / kBestScore;
  return scale;
}

double History::Score(const Scale& scale, double quantile, double loss) {
  const double by_rank = NormalQuantile(quantile);
  if (!scale.by_value || quantile >= 0.5) return by_rank;
  constexpr double kShareOfValue = 0.75;
  return (1 - kShareOfValue) * by_rank + kShareOfValue * ((loss - scale.middle) / scale.unit);
}

std::vector<Scored> History::Select(size_t best, size_t others) const {
  const Scale scale = ScaleNow();
  std::vector<Scored> out;
  std::vector<uint32_t> chosen;
  for (const Standings::Placed& placed : standings_.Best(best)) {
    out.push_back({placed.trial, Score(scale, placed.quantile, standings_.LossOf(placed.trial))});
    chosen.push_back(placed.trial);
  }
  std::sort(chosen.begin(), chosen.end());
  for (const auto& [key, trial] : sample_) {
    if (others == 0) break;
    if (std::binary_search(chosen.begin(), chosen.end(), trial)) continue;
    out.push_back({trial, Score(scale, standings_.Quantile(trial), standings_.LossOf(trial))});
    --others;
  }
  return out;
}

double History::MetricAt(double score) const {
  const Scale scale = ScaleNow();
  // Scores grow with the quantile.
  double low = 0, high = 1;
  for (int i = 0; i < 30; ++i) {
    const double middle = 0.5 * (low + high);
    (Score(scale, middle, standings_.LossAt(middle)) < score ? low : high) = middle;
  }
  const double loss = standings_.LossAt(low);
  return goal_ == Goal::kMin ? loss : -loss;
}

}  // namespace tunesmith::model
