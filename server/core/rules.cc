#include "server/core/rules.h"

#include <cmath>
#include <optional>

#include "server/core/repeats.h"

namespace tunesmith {

bool ReachesTarget(const SweepSpec& spec, double value) {
  return spec.search.goal == Goal::kMin ? value <= *spec.stop.target : value >= *spec.stop.target;
}

double ViolationAt(const Sweep& sweep, const Trial& trial, const std::vector<SlotValue>& report) {
  double sum = 0;
  for (size_t i = 0; i < sweep.requirements.size(); ++i) {
    const size_t at = sweep.goals.size() + i;
    double value = at < trial.watched.size() ? trial.watched[at] : std::nan("");
    for (const SlotValue& metric : report) {
      if (sweep.watched_slots[at] == metric.slot) value = metric.value;
    }
    sum += ExcessOf(sweep.requirements[i], value);
  }
  return sum;
}

namespace {

// As numpy.std does it but for the rounding: of the population, NaN if one of them is no finite number.
double StandardDeviation(const std::vector<double>& values) {
  const auto count = static_cast<double>(values.size());
  double mean = 0;
  for (const double value : values) mean += value / count;
  double sum = 0;
  for (const double value : values) sum += (value - mean) * (value - mean) / count;
  return std::sqrt(sum);
}

}  // namespace

Verdict JudgeByRules(const Sweep& sweep, const Trial& trial, int64_t step, const std::vector<SlotValue>& report) {
  const StopSpec& stop = sweep.spec->stop;
  const auto value_of = [&](const std::optional<uint32_t>& slot) -> std::optional<double> {
    for (const SlotValue& metric : report) {
      if (slot == metric.slot) return metric.value;
    }
    return std::nullopt;
  };
  Verdict verdict;
  verdict.action = Action::kStop;
  verdict.bracket = trial.bracket;
  const std::optional<double> value = value_of(sweep.search_slot);
  // Of repeated points the mean counts (EndTrial).
  if (stop.target && RepeatsOf(sweep) == 1 && value && ReachesTarget(*sweep.spec, *value) &&
      ViolationAt(sweep, trial, report) == 0) {
    verdict.reason = Reason::kTarget;
    verdict.value = *value;
    verdict.has_cutoff = true;
    verdict.cutoff = *stop.target;
    return verdict;
  }
  if (stop.max_steps > 0 && step >= stop.max_steps) {
    verdict.reason = Reason::kMaxSteps;
    verdict.milestone = static_cast<double>(stop.max_steps);
    verdict.value = value.value_or(0);
    return verdict;
  }
  const std::optional<double> latest = value_of(sweep.plateau_slot);
  if (!stop.plateau || !latest) return {};
  // Ray Tune's TrialPlateauStopper.
  std::vector<double> values = trial.latest;
  values.push_back(*latest);
  const auto enough = static_cast<size_t>(stop.plateau->num_results);
  if (values.size() > enough) values.erase(values.begin());
  if (values.size() < enough || trial.latest_reports + 1 < static_cast<uint32_t>(stop.plateau->grace_period)) return {};
  const double deviation = StandardDeviation(values);
  if (!(deviation < stop.plateau->std)) return {};
  verdict.reason = Reason::kPlateau;
  verdict.value = deviation;
  verdict.has_cutoff = true;
  verdict.cutoff = stop.plateau->std;
  verdict.peers = static_cast<uint32_t>(values.size());
  return verdict;
}

}  // namespace tunesmith
