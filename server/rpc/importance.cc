#include "server/rpc/importance.h"

#include <algorithm>
#include <cmath>

#include "common/limits.h"
#include "search/insight/effect_line.h"
#include "search/insight/sample.h"
#include "server/rpc/convert.h"

namespace tunesmith::rpc {
namespace {

// NaN where it was not reported, and of a trial that took over from another one: no one point has led to it.
double ValueOf(const Trial& trial, size_t objective) {
  if (trial.Exploited()) return std::nan("");
  if (objective == 0) return trial.has_value ? trial.last_value : std::nan("");
  return objective < trial.watched.size() ? trial.watched[objective] : std::nan("");
}

insight::FinishedTrial CopyOf(const Sweep& sweep, uint32_t number, size_t objective) {
  const Trial& trial = sweep.trials[number];
  insight::FinishedTrial copy;
  copy.trial = number;
  copy.completed = trial.state == TrialState::kCompleted;
  copy.value = ValueOf(trial, objective);
  copy.point = trial.point;
  if (objective > 0) return copy;  // rungs keep the first one alone
  const auto milestones = sweep.milestones.find(trial.bracket);
  if (milestones == sweep.milestones.end()) return copy;
  const size_t reached = std::min(trial.rung_values.size(), milestones->second.size());
  for (size_t k = 0; k < reached; ++k) copy.rungs.emplace_back(milestones->second[k], trial.rung_values[k]);
  return copy;
}

void FillEffect(const insight::Effect& effect, v1::GetImportanceResponse::Effect* out) {
  if (IsActive(effect.value)) {
    FillValue(effect.value, out->mutable_value());
  } else {
    out->set_lo(effect.lo);
    out->set_hi(effect.hi);
  }
  out->set_metric(effect.metric);
  out->set_trials(effect.trials);
}

}  // namespace

StatusOr<size_t> ObjectiveNamed(const Sweep& sweep, const std::string& metric) {
  const SearchSpec& search = sweep.spec->search;
  if (metric.empty() || metric == search.metric) return size_t{0};
  std::string names = search.metric;
  for (size_t i = 1; i < search.objectives.size(); ++i) {
    if (search.objectives[i].metric == metric) return i;
    names += ", " + search.objectives[i].metric;
  }
  return InvalidArgument("metric: " + metric.substr(0, kNameBytesMax) + " is no objective of sweep " + sweep.id +
                         "; it has " + names);
}

ImportanceTrials TrialsForImportance(const Sweep& sweep, size_t objective) {
  ImportanceTrials out;
  out.sweep = sweep.id;
  out.space = sweep.space;
  const SearchSpec& search = sweep.spec->search;
  out.question = {search.metric, search.goal, sweep.seed};
  if (objective > 0) {
    out.question.metric = search.objectives[objective].metric;
    out.question.goal = search.objectives[objective].goal;
  }
  std::vector<insight::Candidate> candidates;
  const size_t every = sweep.finished.size() / kTrialsScannedMax + 1;
  for (size_t k = 0; k < sweep.finished.size(); k += every) {
    const uint32_t number = sweep.finished[k];
    const Trial& trial = sweep.trials[number];
    if (trial.state == TrialState::kCancelled) continue;
    const double value = ValueOf(trial, objective);
    if (trial.state == TrialState::kFailed || !std::isfinite(value)) {
      ++out.left_out;
      continue;
    }
    candidates.push_back({number, trial.state == TrialState::kCompleted, value});
  }
  out.with_value = static_cast<int64_t>(candidates.size() * every);
  out.left_out *= static_cast<int64_t>(every);
  for (const uint32_t number : insight::ChooseTrials(std::move(candidates), out.question.goal,
                                                     insight::TrialsMax(sweep.space->size()), sweep.seed)) {
    out.trials.push_back(CopyOf(sweep, number, objective));
  }
  return out;
}

Status FillImportance(const ImportanceTrials& trials, std::string* reason, v1::GetImportanceResponse* out) {
  const auto importance = insight::ComputeImportance(*trials.space, trials.question, trials.trials);
  if (!importance.ok()) {
    *reason = trials.trials.size() < insight::kTrialsMin ? "TOO_FEW_TRIALS" : "NOTHING_TO_COMPARE";
    std::string message = "sweep " + trials.sweep + ": " + Message(importance.status());
    if (trials.left_out > 0) {
      message += " (" + std::to_string(trials.left_out) + " that failed or gave no finite value " +
                 (trials.left_out == 1 ? "is" : "are") + " left out)";
    }
    return FailedPrecondition(message);
  }
  out->set_metric(trials.question.metric);
  for (const insight::ParameterImportance& one : importance->parameters) {
    v1::GetImportanceResponse::Parameter* parameter = out->add_parameters();
    parameter->set_name(trials.space->parameters()[one.parameter].name);
    parameter->set_share(one.share);
    parameter->set_spread(one.spread);
    parameter->set_active(one.active);
    for (const insight::Effect& effect : one.effect) FillEffect(effect, parameter->add_effect());
    parameter->set_line(insight::EffectLine(*trials.space, trials.question, one));
  }
  out->set_interactions(importance->interactions);
  out->set_r2(importance->r2);
  out->set_trials_used(static_cast<uint32_t>(trials.trials.size()));
  out->set_trials_with_value(trials.with_value);
  out->set_trials_left_out(trials.left_out);
  return OkStatus();
}

}  // namespace tunesmith::rpc
