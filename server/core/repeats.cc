#include "server/core/repeats.h"

#include <algorithm>
#include <cmath>

#include "server/core/state.h"

namespace tunesmith {

namespace {

// A running mean of what is finite.
class Mean {
 public:
  void Add(double x) {
    if (!std::isfinite(x)) return;
    ++count_;
    // So that the sum of large numbers does not overflow.
    mean_ += x / count_ - mean_ / count_;
  }
  double value() const { return count_ == 0 ? std::nan("") : mean_; }

 private:
  double mean_ = 0;
  double count_ = 0;
};

}  // namespace

uint32_t RepeatsOf(const Sweep& sweep) { return static_cast<uint32_t>(sweep.spec->repeats); }

uint32_t FirstOf(const Sweep& sweep, uint32_t trial) { return trial - trial % RepeatsOf(sweep); }

bool PointHasEnded(const Sweep& sweep, uint32_t first) {
  for (uint32_t i = 0; i < RepeatsOf(sweep); ++i) {
    if (!IsTerminal(sweep.trials[first + i].state)) return false;
  }
  return true;
}

std::optional<Observation> PointObservation(const Sweep& sweep, uint32_t first) {
  const uint32_t repeats = RepeatsOf(sweep);
  if (repeats == 1) {
    if (sweep.trials[first].state == TrialState::kCancelled) return std::nullopt;
    return ObservationOf(sweep, first);
  }
  Observation point;
  point.trial = first;
  point.outcome = Outcome::kFailed;
  Mean value, violation;
  std::vector<Mean> values;
  bool any = false;
  for (uint32_t i = 0; i < repeats; ++i) {
    const Trial& trial = sweep.trials[first + i];
    if (trial.state == TrialState::kCancelled) continue;
    any = true;
    const Observation one = ObservationOf(sweep, first + i);
    point.step = std::max(point.step, one.step);
    point.seconds += one.seconds;
    if (one.outcome == Outcome::kFailed) continue;
    if (point.outcome != Outcome::kCompleted) point.outcome = one.outcome;
    value.Add(one.value);
    violation.Add(one.violation);
    values.resize(std::max(values.size(), one.values.size()));
    for (size_t k = 0; k < one.values.size(); ++k) values[k].Add(one.values[k]);
  }
  if (!any) return std::nullopt;
  point.value = value.value();
  for (const Mean& mean : values) point.values.push_back(mean.value());
  if (const double v = violation.value(); !std::isnan(v)) point.violation = v;
  return point;
}

std::optional<BestMean> BestMeanOf(const Sweep& sweep, uint32_t first) {
  Mean mean;
  BestMean best;
  for (uint32_t i = 0; i < RepeatsOf(sweep); ++i) {
    const Trial& trial = sweep.trials[first + i];
    const bool counts = trial.state == TrialState::kCompleted || trial.state == TrialState::kStopped;
    if (!counts || !trial.has_best || !std::isfinite(trial.best_value)) continue;
    mean.Add(trial.best_value);
    ++best.of;
  }
  if (best.of == 0) return std::nullopt;
  best.value = mean.value();
  return best;
}

}  // namespace tunesmith
