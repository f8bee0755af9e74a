#include "search/auto/history.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/exact_math.h"
#include "common/rng.h"
#include "search/pareto/pareto.h"
#include "search/registry.h"

namespace tunesmith::model {

namespace {

constexpr size_t kSeveralMax = 256;  // completed trials that several objectives are compared on, at least

}  // namespace

void History::Add(uint32_t trial, std::vector<float> codes) {
  if (EarlierTrials::Is(trial, earlier_.size())) return;
  if (!records_.emplace(trial, Record{std::move(codes), 0}).second) return;
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

bool History::Report(const RungReport& report) {
  if (goals_.size() > 1 || running_.count(report.trial) == 0) return false;
  standings_.Reach(report.trial, report.rung, Loss(report.value));
  HasResult(report.trial);
  return true;
}

bool History::Observe(const Observation& observation) {
  const uint32_t trial = observation.trial;
  if (running_.erase(trial) == 0) return false;
  records_.at(trial).seconds = static_cast<float>(observation.seconds);
  const double loss = Loss(observation.value);
  if (observation.outcome == Outcome::kFailed) {
    standings_.Fail(trial);
  } else if (observation.violation > 0) {
    standings_.Violate(trial, observation.violation);
  } else if (goals_.size() > 1) {
    ObserveSeveral(observation);
  } else if (observation.outcome == Outcome::kStopped) {
    standings_.Stop(trial, loss);
  } else {
    standings_.Complete(trial, loss);
  }
  HasResult(trial);
  return true;
}

void History::ObserveSeveral(const Observation& observation) {
  const auto& values = observation.values;
  const bool whole = values.size() == goals_.size() &&
                     std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
  if (!whole) return standings_.Fail(observation.trial);
  standings_.Complete(observation.trial, 0);
  several_.push_back({observation.trial, values});
  ranked_ = false;
  if (several_.size() < 2 * kSeveralMax) return;
  Rank();
  // The worse half is out of reach; it stays behind all others but those that broke a constraint or failed.
  for (size_t k = kSeveralMax; k < several_.size(); ++k) {
    standings_.Violate(several_[k].trial, std::numeric_limits<double>::min());
  }
  several_.resize(kSeveralMax);
}

void History::Rank() const {
  if (ranked_) return;
  ranked_ = true;
  std::vector<std::vector<double>> values;
  for (const Several& s : several_) values.push_back(s.values);
  std::vector<Several> ordered;
  std::vector<RankedList::Entry> losses;
  for (const uint32_t k : ParetoOrder(values, goals_)) {
    losses.push_back({static_cast<double>(losses.size()), several_[k].trial});
    ordered.push_back(several_[k]);
  }
  several_ = std::move(ordered);
  standings_.ReplaceCompleted(losses);
}

size_t History::EarlierNow() const {
  constexpr uint64_t kMost = 24, kGoneAfter = 200;
  if (results_ >= kGoneAfter) return 0;
  return std::min<size_t>(earlier_.size(), static_cast<size_t>(kMost * (kGoneAfter - results_) / kGoneAfter));
}

const std::vector<float>& History::codes(uint32_t trial) const {
  return EarlierTrials::Is(trial, earlier_.size()) ? earlier_.codes(trial) : records_.at(trial).codes;
}

double History::seconds(uint32_t trial) const {
  const auto it = records_.find(trial);
  return it == records_.end() ? 0 : static_cast<double>(it->second.seconds);
}

void History::Forget(uint32_t trial) {
  if (running_.erase(trial) == 0) return;
  if (pending_.erase(trial) > 0) records_.erase(trial);  // else what it reported at its rungs stays true
}

History::Scale History::ScaleNow() const {
  constexpr size_t kGoodMin = 4;
  constexpr double kBestScore = 2.5;
  constexpr double kBadWeightAtRungs = 0.6;
  Scale scale;
  if (!standings_.plain()) scale.bad_weight = kBadWeightAtRungs;
  if (goals_.size() > 1 || !standings_.plain() || standings_.good() < kGoodMin) return scale;
  scale.middle = standings_.LossAt(0.5);
  const double range = scale.middle - standings_.LossAt(0);
  scale.by_value = std::isnormal(range / kBestScore);  // not 0 either, nor too small to divide by
  if (scale.by_value) scale.unit = range / kBestScore;
  return scale;
}

double History::Score(const Scale& scale, double quantile, double loss) {
  const double by_rank = NormalQuantile(quantile);
  if (quantile >= 0.5) return scale.bad_weight * by_rank;
  if (!scale.by_value) return by_rank;
  constexpr double kShareOfValue = 0.75;
  return (1 - kShareOfValue) * by_rank + kShareOfValue * ((loss - scale.middle) / scale.unit);
}

std::vector<Scored> History::Select(size_t best, size_t others) const {
  Rank();
  const Scale scale = ScaleNow();
  std::vector<Scored> out;
  for (const Standings::Placed& placed : standings_.Best(best)) {
    out.push_back({placed.trial, Score(scale, placed.quantile, standings_.LossOf(placed.trial))});
  }
  const std::vector<Scored> earlier = earlier_.Select(EarlierNow());
  out.insert(out.end(), earlier.begin(), earlier.end());
  std::stable_sort(out.begin(), out.end(), [](const Scored& a, const Scored& b) { return a.score < b.score; });
  // Of the earlier ones those that are not among the best come first among the others.
  const size_t end = std::min(best, out.size());
  std::vector<Scored> rest;
  for (size_t k = end; k < out.size(); ++k) {
    if (EarlierTrials::Is(out[k].trial, earlier_.size())) rest.push_back(out[k]);
  }
  out.resize(end);
  std::vector<uint32_t> chosen;
  for (const Scored& s : out) chosen.push_back(s.trial);
  std::sort(chosen.begin(), chosen.end());
  for (size_t k = 0; k < rest.size() && others > 0; ++k, --others) out.push_back(rest[k]);
  for (const auto& [key, trial] : sample_) {
    if (others == 0) break;
    if (std::binary_search(chosen.begin(), chosen.end(), trial)) continue;
    out.push_back({trial, Score(scale, standings_.Quantile(trial), standings_.LossOf(trial))});
    --others;
  }
  return out;
}

double History::MetricAt(double score) const {
  if (goals_.size() > 1) return std::nan("");
  const Scale scale = ScaleNow();
  // Scores grow with the quantile.
  double low = 0, high = 1;
  for (int i = 0; i < 30; ++i) {
    const double middle = 0.5 * (low + high);
    (Score(scale, middle, standings_.LossAt(middle)) < score ? low : high) = middle;
  }
  const double loss = standings_.LossAt(low);
  return goals_[0] == Goal::kMin ? loss : -loss;
}

}  // namespace tunesmith::model
