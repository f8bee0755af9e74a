#include "schedulers/hyperband_ray.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/limits.h"
#include "schedulers/rungs.h"

namespace tunesmith {
namespace {

using Key = std::pair<double, uint32_t>;  // (score, trial): the worst first; of equals the earlier one is worse

struct RayBracket {
  // "Cumulative r" of each stage, ascending; at the last one, which halves nobody, it is finished.
  std::vector<int64_t> rungs;
  uint64_t left = 0;  // Ray's n: how many the last halving has let on, at first how many it takes
  size_t stage = 0;   // halvings done
  std::set<uint32_t> live;
  uint32_t members = 0;  // live ones, and those that were told to stop and have not been removed
  struct Count {
    uint32_t recorded = 0;
    uint32_t stopped = 0;
    uint32_t promoted = 0;
  };
  std::vector<Count> counts;  // by rung

  size_t last() const { return rungs.size() - 1; }
};

class RayHyperBand final : public Scheduler {
 public:
  explicit RayHyperBand(const SchedulerOptions& options);

  int32_t BracketFor(uint32_t trial) const override;
  void AddTrial(uint32_t trial, int32_t bracket) override;
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
    size_t reached = 0;  // rungs
    double value = 0;    // at the last of them
    bool waits = false;
    bool stopped = false;
  };

  // Ray's formulas, in floating point as there.
  uint64_t TrialsOf(int s) const {
    const double n = static_cast<double>(shapes_) / static_cast<double>(s + 1) * std::pow(factor_, s);
    return static_cast<uint64_t>(std::ceil(n));
  }
  int64_t FirstRungOf(int s) const {
    return static_cast<int64_t>(static_cast<double>(options_.max_t) * std::pow(factor_, -s));
  }
  RayBracket MakeBracket(int32_t index) const;
  uint64_t Halved(uint64_t n) const { return static_cast<uint64_t>(std::ceil(static_cast<double>(n) / factor_)); }

  double Oriented(double x) const { return tunesmith::Oriented(options_.goal, x); }
  double Score(double value) const { return ScoreOf(options_.goal, value); }
  // Of the live trials that have got to the stage, without `except`.
  std::vector<Key> Arrived(const RayBracket& bracket, size_t stage, std::optional<uint32_t> except = {}) const;
  bool Endless(const RayBracket& bracket) const {
    return !options_.stop_last_trials && bracket.stage == bracket.last();
  }
  Verdict Halve(const RayBracket& bracket, size_t reached, const TrialReport& report, Verdict verdict) const;
  std::optional<PausedVerdict> NextOf(int32_t index, const RayBracket& bracket) const;
  PausedVerdict VerdictOn(uint32_t trial, Action action, const RayBracket& bracket, size_t stage) const;
  void Advance(RayBracket* bracket, size_t stage) const;

  const SchedulerOptions options_;
  const double factor_;
  int shapes_ = 1;                              // brackets of a band
  std::map<int32_t, RayBracket> brackets_;      // without those that ended long ago
  std::unordered_map<uint32_t, Place> trials_;  // that have not ended; looked up only
};

RayHyperBand::RayHyperBand(const SchedulerOptions& options) : options_(options), factor_(*options.reduction_factor) {
  shapes_ = static_cast<int>(std::nearbyint(std::log(static_cast<double>(options.max_t)) / std::log(factor_))) + 1;
}

RayBracket RayHyperBand::MakeBracket(int32_t index) const {
  const int s = std::max(index, 0) % shapes_;
  RayBracket bracket;
  bracket.left = TrialsOf(s);
  bracket.rungs.push_back(std::max<int64_t>(1, FirstRungOf(s)));
  for (int k = 0; k < s; ++k) {
    const auto end = static_cast<double>(options_.max_t);
    const double next = std::min(static_cast<double>(bracket.rungs.back()) * factor_, end);
    // They ascend by themselves but in a bracket whose first rung is 0, which no trial gets into.
    bracket.rungs.push_back(std::max(bracket.rungs.back() + 1, static_cast<int64_t>(next)));
  }
  bracket.counts.resize(bracket.rungs.size());
  return bracket;
}

int32_t RayHyperBand::BracketFor(uint32_t /*trial*/) const {
  int32_t index = 0;
  if (!brackets_.empty()) {
    const auto& [last, bracket] = *brackets_.rbegin();
    if (bracket.live.size() < bracket.left || last == std::numeric_limits<int32_t>::max()) return last;
    index = last + 1;
  }
  while (FirstRungOf(index % shapes_) == 0) ++index;
  return index;
}

void RayHyperBand::AddTrial(uint32_t trial, int32_t bracket) {
  const int32_t index = std::max(bracket, 0);
  if (!trials_.try_emplace(trial, Place{.bracket = index}).second) return;
  auto at = brackets_.find(index);
  if (at == brackets_.end()) {
    at = brackets_.try_emplace(index, MakeBracket(index)).first;
    std::erase_if(brackets_, [&](const auto& old) {
      return old.first < index - kEndedBracketsKept && old.second.members == 0;
    });
  }
  at->second.live.insert(trial);
  ++at->second.members;
}

std::vector<Key> RayHyperBand::Arrived(const RayBracket& bracket, size_t stage, std::optional<uint32_t> except) const {
  std::vector<Key> keys;
  for (const uint32_t trial : bracket.live) {
    const Place& place = trials_.at(trial);
    if (trial != except && place.reached > stage) keys.emplace_back(Score(place.value), trial);
  }
  std::sort(keys.begin(), keys.end());
  return keys;
}

Verdict RayHyperBand::Decide(const TrialReport& report) const {
  Verdict verdict;
  const auto trial = trials_.find(report.trial);
  if (trial == trials_.end()) return verdict;
  const Place& place = trial->second;
  verdict.bracket = place.bracket;
  if (report.value) verdict.value = *report.value;
  if (place.waits || place.stopped) return verdict;
  if (!report.value) {
    verdict.reason = Reason::kNoMetric;
    return verdict;
  }
  const RayBracket& bracket = brackets_.at(place.bracket);
  if (Endless(bracket) || report.step < bracket.rungs[bracket.stage]) return verdict;
  const auto above = std::upper_bound(bracket.rungs.begin(), bracket.rungs.end(), report.step);
  const auto reached = static_cast<size_t>(above - bracket.rungs.begin()) - 1;
  const std::vector<Key> others = Arrived(bracket, bracket.stage, report.trial);
  const bool all = others.size() + 1 == bracket.live.size();
  if (all && bracket.stage == bracket.last()) {
    verdict.action = Action::kStop;
    verdict.reason = Reason::kReachedMax;
    return verdict;
  }
  const double score = Score(*report.value);
  verdict.recorded = true;
  verdict.rank = static_cast<uint32_t>(
      std::count_if(others.begin(), others.end(), [&](const Key& other) { return other.first > score; }) + 1);
  verdict.peers = static_cast<uint32_t>(others.size() + 1);
  if (all) return Halve(bracket, reached, report, verdict);
  verdict.milestone = static_cast<double>(bracket.rungs[reached]);
  verdict.action = Action::kPause;
  verdict.reason = Reason::kWaitsAtRung;
  return verdict;
}

Verdict RayHyperBand::Halve(const RayBracket& bracket, size_t reached, const TrialReport& report,
                            Verdict verdict) const {
  const size_t stage = bracket.stage;
  verdict.milestone = static_cast<double>(bracket.rungs[stage]);
  std::vector<Key> all = Arrived(bracket, stage, report.trial);
  const Key own(Score(*report.value), report.trial);
  all.insert(std::upper_bound(all.begin(), all.end(), own), own);
  const size_t good = std::min<size_t>(all.size(), Halved(bracket.left));
  const Key& worst_good = all[all.size() - good];
  if (own < worst_good) {
    verdict.action = Action::kStop;
    verdict.reason = std::isnan(*report.value) ? Reason::kNotANumber : Reason::kHalved;
    verdict.has_cutoff = true;
    verdict.cutoff = Oriented(worst_good.first);
    return verdict;
  }
  const bool endless = !options_.stop_last_trials && stage + 1 == bracket.last();
  if (reached > stage && !endless) {
    // It is past the next rung as well: the others are judged right after (NextPaused).
    verdict.milestone = static_cast<double>(bracket.rungs[reached]);
    verdict.action = Action::kPause;
    verdict.reason = Reason::kWaitsAtRung;
    return verdict;
  }
  verdict.reason = Reason::kPromoted;
  return verdict;
}

Verdict RayHyperBand::DecideFinal(const TrialReport& last) const {
  Verdict verdict;
  const auto trial = trials_.find(last.trial);
  if (trial == trials_.end()) return verdict;
  verdict.bracket = trial->second.bracket;
  if (!last.value) verdict.reason = Reason::kNoMetric;
  return verdict;
}

void RayHyperBand::Advance(RayBracket* bracket, size_t stage) const {
  for (; bracket->stage < stage; ++bracket->stage) bracket->left = Halved(bracket->left);
}

void RayHyperBand::Apply(uint32_t trial, const Verdict& verdict) {
  const auto at = trials_.find(trial);
  if (at == trials_.end() || at->second.stopped) return;
  Place& place = at->second;
  RayBracket& bracket = brackets_.at(place.bracket);
  if (verdict.reason == Reason::kReachedMax) {
    place.stopped = true;
    bracket.live.erase(trial);
    return;
  }
  const auto rung = std::find(bracket.rungs.begin(), bracket.rungs.end(), static_cast<int64_t>(verdict.milestone));
  if (rung == bracket.rungs.end() || static_cast<double>(*rung) != verdict.milestone) return;
  const auto stage = static_cast<size_t>(rung - bracket.rungs.begin());
  if (verdict.recorded) {
    if (place.waits || place.reached > stage) return;
    ++bracket.counts[stage].recorded;
    place.reached = stage + 1;
    place.value = verdict.value;
    place.waits = verdict.action == Action::kPause;
    if (place.waits) return;
  } else if (verdict.reason == Reason::kNone || !std::exchange(place.waits, false)) {
    return;
  }
  // It has gone through a halving.
  Advance(&bracket, std::min(stage + 1, bracket.last()));
  place.stopped = verdict.action == Action::kStop;
  ++(place.stopped ? bracket.counts[stage].stopped : bracket.counts[stage].promoted);
  if (place.stopped) bracket.live.erase(trial);
}

void RayHyperBand::RemoveTrial(uint32_t trial) {
  const auto at = trials_.find(trial);
  if (at == trials_.end()) return;
  RayBracket& bracket = brackets_.at(at->second.bracket);
  --bracket.members;
  // The end of the last one there halves the empty bracket, into which more may come.
  if (bracket.live.erase(trial) > 0 && bracket.live.empty()) {
    Advance(&bracket, std::min(bracket.stage + 1, bracket.last()));
  }
  trials_.erase(at);
}

PausedVerdict RayHyperBand::VerdictOn(uint32_t trial, Action action, const RayBracket& bracket, size_t stage) const {
  const Place& place = trials_.at(trial);
  const std::vector<Key> all = Arrived(bracket, stage);
  PausedVerdict next{.trial = trial, .verdict = {}};
  Verdict& verdict = next.verdict;
  verdict.action = action;
  verdict.bracket = place.bracket;
  verdict.milestone = static_cast<double>(bracket.rungs[stage]);
  verdict.value = place.value;
  const double score = Score(place.value);
  verdict.rank = static_cast<uint32_t>(
      std::count_if(all.begin(), all.end(), [&](const Key& other) { return other.first > score; }) + 1);
  verdict.peers = static_cast<uint32_t>(std::max<size_t>(all.size(), verdict.rank));
  verdict.reason = action == Action::kContinue     ? Reason::kPromoted
                   : std::isnan(place.value) ? Reason::kNotANumber
                                                   : Reason::kHalved;
  return next;
}

std::optional<PausedVerdict> RayHyperBand::NextOf(int32_t index, const RayBracket& bracket) const {
  if (bracket.live.empty()) return std::nullopt;
  std::vector<Key> waiting;
  size_t fewest = bracket.rungs.size();  // rungs that a live trial has reached
  for (const uint32_t trial : bracket.live) {
    const Place& place = trials_.at(trial);
    if (place.waits) waiting.emplace_back(Score(place.value), trial);
    fewest = std::min(fewest, place.reached);
  }
  if (waiting.empty()) return std::nullopt;
  std::sort(waiting.begin(), waiting.end());
  const auto stop = [&](size_t stage, uint64_t good) {
    PausedVerdict next = VerdictOn(waiting.front().second, Action::kStop, bracket, stage);
    const std::vector<Key> all = Arrived(bracket, stage);
    const size_t worst_good = all.size() - std::min<size_t>(good, all.size());
    next.verdict.has_cutoff = worst_good < all.size();
    if (next.verdict.has_cutoff) next.verdict.cutoff = Oriented(all[worst_good].first);
    return next;
  };
  // What is left of the last halving: first those that stop, then those that go on.
  if (bracket.stage > 0 && bracket.live.size() > bracket.left) return stop(bracket.stage - 1, bracket.left);
  for (const auto& [score, trial] : waiting) {
    const bool behind = trials_.at(trial).reached <= bracket.stage;
    if (behind || Endless(bracket)) {
      return VerdictOn(trial, Action::kContinue, bracket, bracket.stage > 0 ? bracket.stage - 1 : 0);
    }
  }
  // All have got to the present rung, or further: they were waited for by one that has ended, or went past it.
  uint64_t good = bracket.left;
  for (size_t stage = bracket.stage; stage < fewest; ++stage) {
    if (stage == bracket.last()) {
      PausedVerdict next{.trial = waiting.front().second, .verdict = {}};
      next.verdict.action = Action::kStop;
      next.verdict.reason = Reason::kReachedMax;
      next.verdict.bracket = index;
      next.verdict.value = trials_.at(next.trial).value;
      return next;
    }
    good = Halved(good);
    if (bracket.live.size() > good) return stop(stage, good);
    for (const auto& [score, trial] : waiting) {
      const bool endless = !options_.stop_last_trials && stage + 1 == bracket.last();
      if (trials_.at(trial).reached == stage + 1 || endless) return VerdictOn(trial, Action::kContinue, bracket, stage);
    }
  }
  return std::nullopt;
}

std::optional<PausedVerdict> RayHyperBand::NextPaused(Outlook /*outlook*/) const {
  for (const auto& [index, bracket] : brackets_) {
    if (auto next = NextOf(index, bracket)) return next;
  }
  return std::nullopt;
}

std::vector<int64_t> RayHyperBand::Milestones(int32_t bracket) const {
  std::vector<int64_t> steps = MakeBracket(bracket).rungs;
  steps.pop_back();  // there it ends
  return steps;
}

std::vector<RungStatus> RayHyperBand::Rungs() const {
  std::vector<RungStatus> all;
  const auto add = [&](int32_t index, const RayBracket& bracket) {
    std::vector<uint32_t> waiting(bracket.rungs.size());
    for (const uint32_t trial : bracket.live) {
      const Place& place = trials_.at(trial);
      if (place.waits) ++waiting[place.reached - 1];
    }
    for (size_t k = bracket.rungs.size(); k-- > 0;) {
      RungStatus status;
      status.bracket = index;
      status.milestone = static_cast<double>(bracket.rungs[k]);
      status.recorded = bracket.counts[k].recorded;
      status.stopped = bracket.counts[k].stopped;
      status.promoted = bracket.counts[k].promoted;
      status.waiting = waiting[k];
      all.push_back(status);
    }
  };
  if (brackets_.empty()) add(0, MakeBracket(0));
  for (const auto& [index, bracket] : brackets_) add(index, bracket);
  return all;
}

}  // namespace

std::unique_ptr<Scheduler> MakeRayHyperBand(const SchedulerOptions& options) {
  return std::make_unique<RayHyperBand>(options);
}

}  // namespace tunesmith
