#include "schedulers/asha.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "common/limits.h"
#include "schedulers/asha_promotion.h"
#include "schedulers/options.h"
#include "schedulers/rungs.h"

namespace tunesmith {
namespace {

using Bracket = std::vector<Rung>;  // lowest milestone first

class Asha final : public Scheduler {
 public:
  Asha(const SchedulerOptions& options, const std::vector<std::vector<double>>& milestones)
      // numpy takes a percentage, and dividing by 100 again may round.
      : options_(options), fraction_((1 - 1 / *options.reduction_factor) * 100 / 100) {
    for (const auto& of_bracket : milestones) {
      brackets_.emplace_back(of_bracket.begin(), of_bracket.end());
    }
  }

  int32_t BracketFor(uint32_t trial) const override;
  void AddTrial(uint32_t trial, int32_t bracket) override {
    trials_[trial] = Clamp(bracket);
  }
  Verdict Decide(const TrialReport& report) const override;
  Verdict DecideFinal(const TrialReport& last) const override;
  void Apply(uint32_t trial, const Verdict& verdict) override;
  void RemoveTrial(uint32_t trial) override { trials_.erase(trial); }
  std::vector<int64_t> Milestones(int32_t bracket) const override;
  std::vector<RungStatus> Rungs() const override;

 private:
  int32_t Clamp(int32_t bracket) const {
    return std::clamp(bracket, 0, static_cast<int32_t>(brackets_.size()) - 1);
  }
  const Rung* RungToJudge(const Bracket& bracket, const TrialReport& report) const;
  Verdict JudgeAtRungs(int32_t bracket, const TrialReport& report) const;
  std::optional<double> Cutoff(const Rung& rung) const;  // as a score
  double Score(double value) const;
  double Oriented(double x) const { return tunesmith::Oriented(options_.goal, x); }

  const SchedulerOptions options_;
  const double fraction_;  // of the recorded trials that are below the cutoff
  std::vector<Bracket> brackets_;
  std::unordered_map<uint32_t, int32_t> trials_;  // live ones and their brackets; looked up only
};

int32_t Asha::BracketFor(uint32_t trial) const {
  std::vector<size_t> rungs;
  for (const Bracket& bracket : brackets_) rungs.push_back(bracket.size());
  return DrawBracket(options_.seed, trial, rungs);
}

double Asha::Score(double value) const {
  if (std::isnan(value) && !options_.compat_ray) return -std::numeric_limits<double>::infinity();
  return Oriented(value);
}

std::optional<double> Asha::Cutoff(const Rung& rung) const {
  if (rung.numbers() == 0) return std::nullopt;
  const Rung::Neighbours around = rung.Around(fraction_);
  const double cutoff =
      options_.compat_ray ? InterpolateAsNumpy(around) : InterpolateMildly(around);
  if (std::isnan(cutoff))
    return std::nullopt;  // between infinities under compat: nothing is below it
  return cutoff;
}

const Rung* Asha::RungToJudge(const Bracket& bracket, const TrialReport& report) const {
  const bool back_fill = options_.compat_ray && options_.stop_last_trials;
  const auto step = static_cast<double>(report.step);
  for (auto rung = bracket.rbegin(); rung != bracket.rend(); ++rung) {
    const bool passed = step >= rung->milestone();
    if (rung->Has(report.trial)) {
      // Ray Tune looks on below a recorded rung that this (older) step has not reached.
      if (back_fill || (options_.compat_ray && !passed)) continue;
      return nullptr;
    }
    if (passed) return &*rung;
  }
  return nullptr;
}

Verdict Asha::JudgeAtRungs(int32_t bracket, const TrialReport& report) const {
  Verdict verdict;
  verdict.bracket = bracket;
  verdict.value = *report.value;
  const Rung* rung = RungToJudge(brackets_[static_cast<size_t>(bracket)], report);
  if (rung == nullptr) return verdict;

  const double score = Score(*report.value);
  verdict.milestone = rung->milestone();
  verdict.recorded = true;
  verdict.rank = static_cast<uint32_t>(rung->CountBetter(score) + 1);
  verdict.peers = static_cast<uint32_t>(rung->recorded() + 1);
  const std::optional<double> cutoff = Cutoff(*rung);
  if (cutoff) {
    verdict.has_cutoff = true;
    verdict.cutoff = Oriented(*cutoff);
  }
  if (std::isnan(*report.value)) {
    verdict.reason = Reason::kNotANumber;
    if (cutoff && !options_.compat_ray) verdict.action = Action::kStop;
  } else if (!cutoff) {
    verdict.reason = Reason::kFirstAtRung;
  } else if (score < *cutoff) {
    verdict.reason = Reason::kBelowCutoff;
    verdict.action = Action::kStop;
  } else {
    verdict.reason = Reason::kAboveCutoff;
  }
  return verdict;
}

Verdict Asha::Decide(const TrialReport& report) const {
  Verdict verdict;
  const auto trial = trials_.find(report.trial);
  if (trial == trials_.end()) return verdict;  // ended or never added: nothing to decide
  verdict.bracket = trial->second;
  if (report.value) verdict.value = *report.value;
  const bool at_end = options_.stop_last_trials && report.step >= options_.max_t;
  if (JudgedAlone(at_end && (report.value || !options_.compat_ray), report, &verdict)) return verdict;
  return JudgeAtRungs(trial->second, report);
}

Verdict Asha::DecideFinal(const TrialReport& last) const {
  Verdict verdict;
  const auto trial = trials_.find(last.trial);
  if (trial == trials_.end()) return verdict;
  verdict.bracket = trial->second;
  if (!last.value) {
    verdict.reason = Reason::kNoMetric;
    return verdict;
  }
  verdict = JudgeAtRungs(trial->second, last);
  verdict.action =
      Action::kContinue;  // the trial has ended anyway: it counts as a peer, not as stopped
  return verdict;
}

void Asha::Apply(uint32_t trial, const Verdict& verdict) {
  if (!verdict.recorded || verdict.bracket < 0) return;
  const auto index = static_cast<size_t>(verdict.bracket);
  if (index >= brackets_.size()) return;
  for (Rung& rung : brackets_[index]) {
    if (rung.milestone() != verdict.milestone) continue;
    rung.Record(trial, Score(verdict.value), verdict.action == Action::kStop);
    return;
  }
}

std::vector<int64_t> Asha::Milestones(int32_t bracket) const {
  std::vector<int64_t> steps;
  for (const Rung& rung : brackets_[static_cast<size_t>(Clamp(bracket))]) {
    const auto step = static_cast<int64_t>(std::ceil(rung.milestone()));
    if (options_.stop_last_trials && step >= options_.max_t) break;  // it ends there
    if (steps.empty() || step > steps.back()) steps.push_back(step);
  }
  return steps;
}

std::vector<RungStatus> Asha::Rungs() const {
  std::vector<RungStatus> all;
  for (size_t i = 0; i < brackets_.size(); ++i) {
    for (auto rung = brackets_[i].rbegin(); rung != brackets_[i].rend(); ++rung) {
      RungStatus status{.bracket = static_cast<int32_t>(i),
                        .milestone = rung->milestone(),
                        .recorded = static_cast<uint32_t>(rung->recorded()),
                        .stopped = static_cast<uint32_t>(rung->stopped()),
                        .cutoff = Cutoff(*rung)};
      if (status.cutoff) status.cutoff = Oriented(*status.cutoff);
      all.push_back(status);
    }
  }
  return all;
}

// Appends what is wrong with the options, read on their own (max_t filled in).
void CheckOptions(const SchedulerOptions& o, Problems* problems) {
  const auto add = [&](const char* field, std::string message, std::string hint) {
    problems->push_back({field, std::move(message), std::move(hint)});
  };
  CheckMaxT(o, problems);
  CheckGracePeriod(o, false, problems);
  if (o.promotion && (o.compat_ray || !o.stop_last_trials)) {
    add("scheduler.variant", std::string("promotion does not go with ") +
                                 (o.compat_ray ? "compat: ray, which only stops" : "stop_last_trials: false"),
        "leave one of the two out");
  }
  CheckReductionFactor(o, problems);
  if (o.brackets < 1 || o.brackets > kBracketsMax) {
    add("scheduler.brackets",
        std::to_string(o.brackets) + " is not between 1 and " + std::to_string(kBracketsMax),
        "use 1 unless early reports mislead");
  }
}

// One ascending list of milestones per bracket; empty and a problem if there are too few rungs.
std::vector<std::vector<double>> PlaceRungs(const SchedulerOptions& o, Problems* problems) {
  std::vector<std::vector<double>> milestones;
  if (o.compat_ray) {
    for (int s = 0; s < o.brackets; ++s) {
      milestones.push_back(RayMilestones(o.grace_period, *o.reduction_factor, o.max_t, s));
    }
    return milestones;
  }
  const std::vector<double> all =
      ExactMilestones(static_cast<int64_t>(o.grace_period), *o.reduction_factor, o.max_t);
  const size_t brackets_max = std::max<size_t>(1, all.size());
  if (static_cast<size_t>(o.brackets) > brackets_max) {
    problems->push_back({"scheduler.brackets",
                         std::to_string(o.brackets) + " brackets, but there are only " +
                             std::to_string(all.size()) + " rungs below max_t " +
                             std::to_string(o.max_t),
                         "use at most " + std::to_string(brackets_max)});
    return {};
  }
  for (int s = 0; s < o.brackets; ++s) {
    milestones.emplace_back(all.begin() + std::min<std::ptrdiff_t>(s, std::ssize(all)), all.end());
  }
  return milestones;
}

}  // namespace

std::unique_ptr<Scheduler> MakeAsha(const SchedulerOptions& options, Problems* problems) {
  SchedulerOptions filled = options;
  filled.max_t = MaxTOf(options);
  filled.reduction_factor = ReductionFactorOf(options);
  const size_t before = problems->size();
  CheckOptions(filled, problems);
  if (problems->size() == before) CheckRungCount(filled, problems);
  if (problems->size() > before) return nullptr;
  const auto milestones = PlaceRungs(filled, problems);
  if (problems->size() > before) return nullptr;
  if (filled.promotion) return MakeAshaPromotion(filled, milestones);
  return std::make_unique<Asha>(filled, milestones);
}

}  // namespace tunesmith
