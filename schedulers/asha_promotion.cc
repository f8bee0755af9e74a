#include "schedulers/asha_promotion.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "schedulers/rungs.h"

namespace tunesmith {
namespace {

struct PromotionRung {
  explicit PromotionRung(double milestone) : recorded(milestone) {}

  Rung recorded;
  std::set<std::pair<double, uint32_t>> waiting;  // (-score, trial) of paused ones: the best first
  uint32_t promoted = 0;
};

class AshaPromotion final : public Scheduler {
 public:
  AshaPromotion(const SchedulerOptions& options, const std::vector<std::vector<double>>& milestones)
      : options_(options) {
    for (const auto& of_bracket : milestones) brackets_.emplace_back(of_bracket.begin(), of_bracket.end());
  }

  int32_t BracketFor(uint32_t trial) const override {
    std::vector<size_t> rungs;
    for (const auto& bracket : brackets_) rungs.push_back(bracket.size());
    return DrawBracket(options_.seed, trial, rungs);
  }
  void AddTrial(uint32_t trial, int32_t bracket) override {
    trials_[trial] = {.bracket = std::clamp(bracket, 0, static_cast<int32_t>(brackets_.size()) - 1)};
  }
  Verdict Decide(const TrialReport& report) const override;
  Verdict DecideFinal(const TrialReport& last) const override;
  void Apply(uint32_t trial, const Verdict& verdict) override;
  void RemoveTrial(uint32_t trial) override;
  std::optional<PausedVerdict> NextPaused(Outlook outlook) const override;
  std::vector<int64_t> Milestones(int32_t bracket) const override;
  std::vector<RungStatus> Rungs() const override;

 private:
  struct Place {
    int32_t bracket = 0;
    size_t next = 0;   // index of the rung that it has not reached
    double score = 0;  // at the one before
    bool waits = false;
  };

  double Oriented(double x) const { return tunesmith::Oriented(options_.goal, x); }
  double Score(double value) const { return ScoreOf(options_.goal, value); }
  // How many of n recorded trials go on.
  uint32_t Quota(size_t n) const {
    // 9 / 3 must be 3, whatever the rounding.
    return static_cast<uint32_t>(std::floor(static_cast<double>(n) / *options_.reduction_factor + 1e-9));
  }
  Verdict JudgeAtNextRung(const Place& place, const TrialReport& report) const;
  Verdict PromotionOf(int32_t bracket, const PromotionRung& rung, double score) const;

  const SchedulerOptions options_;
  std::vector<std::vector<PromotionRung>> brackets_;  // lowest milestone first
  std::unordered_map<uint32_t, Place> trials_;        // that have not ended; looked up only
  bool one_is_through_ = false;                       // a trial has got to max_t or to its own end
};

Verdict AshaPromotion::JudgeAtNextRung(const Place& place, const TrialReport& report) const {
  Verdict verdict;
  verdict.bracket = place.bracket;
  verdict.value = *report.value;
  const auto& rungs = brackets_[static_cast<size_t>(place.bracket)];
  if (place.next >= rungs.size()) return verdict;
  const PromotionRung& rung = rungs[place.next];
  if (static_cast<double>(report.step) < rung.recorded.milestone()) return verdict;
  const double score = Score(*report.value);
  verdict.milestone = rung.recorded.milestone();
  verdict.recorded = true;
  verdict.rank = static_cast<uint32_t>(rung.recorded.CountBetter(score) + 1);
  verdict.peers = static_cast<uint32_t>(rung.recorded.recorded() + 1);
  const uint32_t quota = Quota(verdict.peers);
  if (score > -std::numeric_limits<double>::infinity() && verdict.rank <= quota && rung.promoted < quota) {
    verdict.reason = Reason::kPromoted;
  } else {
    verdict.action = Action::kPause;
    verdict.reason = std::isnan(*report.value) ? Reason::kNotANumber : Reason::kPausedAtRung;
  }
  return verdict;
}

Verdict AshaPromotion::Decide(const TrialReport& report) const {
  Verdict verdict;
  const auto trial = trials_.find(report.trial);
  if (trial == trials_.end()) return verdict;
  verdict.bracket = trial->second.bracket;
  if (report.value) verdict.value = *report.value;
  if (JudgedAlone(report.step >= options_.max_t, report, &verdict)) return verdict;
  return JudgeAtNextRung(trial->second, report);
}

Verdict AshaPromotion::DecideFinal(const TrialReport& last) const {
  Verdict verdict;
  const auto trial = trials_.find(last.trial);
  if (trial == trials_.end()) return verdict;
  verdict.bracket = trial->second.bracket;
  if (!last.value) {
    verdict.reason = Reason::kNoMetric;
    return verdict;
  }
  if (trial->second.waits) return verdict;  // nobody has let it on
  verdict = JudgeAtNextRung(trial->second, last);
  verdict.reason = Reason::kEnded;  // at a rung it is a peer, which neither waits nor goes on
  verdict.action = Action::kContinue;
  return verdict;
}

void AshaPromotion::Apply(uint32_t trial, const Verdict& verdict) {
  if (verdict.reason == Reason::kReachedMax || verdict.reason == Reason::kEnded) one_is_through_ = true;
  const auto place = trials_.find(trial);
  if (place == trials_.end()) return;
  Place& of_trial = place->second;
  auto& rungs = brackets_[static_cast<size_t>(of_trial.bracket)];
  for (size_t i = 0; i < rungs.size(); ++i) {
    PromotionRung& rung = rungs[i];
    if (rung.recorded.milestone() != verdict.milestone) continue;
    if (verdict.recorded) {
      if (rung.recorded.Has(trial)) return;
      of_trial.score = Score(verdict.value);
      of_trial.next = i + 1;
      of_trial.waits = verdict.action == Action::kPause;
      rung.recorded.Record(trial, of_trial.score, false);
      if (of_trial.waits) rung.waiting.insert({-of_trial.score, trial});
      if (verdict.reason == Reason::kPromoted) ++rung.promoted;
    } else if (verdict.reason == Reason::kPromoted && std::exchange(of_trial.waits, false)) {
      rung.waiting.erase({-of_trial.score, trial});
      ++rung.promoted;
    }
    return;
  }
}

void AshaPromotion::RemoveTrial(uint32_t trial) {
  const auto place = trials_.find(trial);
  if (place == trials_.end()) return;
  const Place& of_trial = place->second;
  if (of_trial.waits) {
    brackets_[static_cast<size_t>(of_trial.bracket)][of_trial.next - 1].waiting.erase({-of_trial.score, trial});
  }
  trials_.erase(place);
}

Verdict AshaPromotion::PromotionOf(int32_t bracket, const PromotionRung& rung, double score) const {
  Verdict verdict;
  verdict.reason = Reason::kPromoted;
  verdict.bracket = bracket;
  verdict.milestone = rung.recorded.milestone();
  verdict.value = Oriented(score);
  verdict.rank = static_cast<uint32_t>(rung.recorded.CountBetter(score) + 1);
  verdict.peers = static_cast<uint32_t>(rung.recorded.recorded());
  return verdict;
}

std::optional<PausedVerdict> AshaPromotion::NextPaused(Outlook outlook) const {
  // The highest rung first, whatever its bracket: what is nearest to the end.
  std::optional<PausedVerdict> best, last_resort;
  for (size_t b = 0; b < brackets_.size(); ++b) {
    for (const PromotionRung& rung : brackets_[b]) {
      if (rung.waiting.empty()) continue;
      const double score = -rung.waiting.begin()->first;
      if (score == -std::numeric_limits<double>::infinity()) continue;
      const PausedVerdict next{rung.waiting.begin()->second, PromotionOf(static_cast<int32_t>(b), rung, score)};
      const uint32_t quota = Quota(rung.recorded.recorded());
      const auto higher = [&](const std::optional<PausedVerdict>& other) {
        return !other || next.verdict.milestone > other->verdict.milestone;
      };
      if (next.verdict.rank <= quota && rung.promoted < quota) {
        if (higher(best)) best = next;
      } else if (higher(last_resort)) {
        last_resort = next;
      }
    }
  }
  if (best || outlook != Outlook::kIdle || one_is_through_) return best;
  return last_resort;
}

std::vector<int64_t> AshaPromotion::Milestones(int32_t bracket) const {
  std::vector<int64_t> steps;
  const auto index = static_cast<size_t>(std::clamp(bracket, 0, static_cast<int32_t>(brackets_.size()) - 1));
  for (const PromotionRung& rung : brackets_[index]) steps.push_back(static_cast<int64_t>(rung.recorded.milestone()));
  return steps;
}

std::vector<RungStatus> AshaPromotion::Rungs() const {
  std::vector<RungStatus> all;
  for (size_t b = 0; b < brackets_.size(); ++b) {
    for (auto rung = brackets_[b].rbegin(); rung != brackets_[b].rend(); ++rung) {
      RungStatus status;
      status.bracket = static_cast<int32_t>(b);
      status.milestone = rung->recorded.milestone();
      status.recorded = static_cast<uint32_t>(rung->recorded.recorded());
      status.promoted = rung->promoted;
      status.waiting = static_cast<uint32_t>(rung->waiting.size());
      const uint32_t quota = Quota(status.recorded);
      if (quota > 0) status.cutoff = Oriented(rung->recorded.ScoreOfRank(quota));
      all.push_back(status);
    }
  }
  return all;
}

}  // namespace

std::unique_ptr<Scheduler> MakeAshaPromotion(const SchedulerOptions& options,
                                             const std::vector<std::vector<double>>& milestones) {
  return std::make_unique<AshaPromotion>(options, milestones);
}

}  // namespace tunesmith
