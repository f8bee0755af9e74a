#include "schedulers/hyperband.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/limits.h"
#include "schedulers/hyperband_ray.h"
#include "schedulers/options.h"
#include "schedulers/rungs.h"

namespace tunesmith {
namespace {

constexpr double kWorst = -std::numeric_limits<double>::infinity();

// How a bracket is laid out.
struct Shape {
  struct Halving {
    double milestone = 0;
    double share = 1;  // one in so many of the bracket's trials goes on
  };
  uint64_t trials = 0;
  std::vector<Halving> halvings;  // lowest milestone first
};

// Bracket S first. The options are filled.
std::vector<Shape> ShapesOf(const SchedulerOptions& options) {
  // 10 * 1.1 is 11.000000000000002 in binary: no rounding error may add a bracket or a trial.
  constexpr double kMargin = 1e-12;
  constexpr double kTrialsMax = 4e9;  // far above what a sweep may have
  const double factor = *options.reduction_factor;
  const auto end = static_cast<double>(options.max_t);
  std::vector<double> powers = {1};
  while (powers.size() <= kRungsPerBracketMax && options.grace_period * powers.back() * factor <= end * (1 + kMargin)) {
    powers.push_back(powers.back() * factor);
  }
  std::vector<Shape> shapes;
  for (size_t s = powers.size(); s-- > 0;) {
    Shape shape;
    const double trials = static_cast<double>(powers.size()) * powers[s] / static_cast<double>(s + 1);
    shape.trials = static_cast<uint64_t>(std::min(kTrialsMax, std::ceil(trials * (1 - kMargin))));
    for (size_t k = s; k > 0; --k) {
      const double milestone = std::floor(end / powers[k] + 0.5);
      if (milestone >= end) break;
      const Shape::Halving halving{milestone, powers[s - k + 1]};
      // With a factor near 1 two of them may fall on one step: the later one, which lets fewer on, is left.
      if (!shape.halvings.empty() && shape.halvings.back().milestone == milestone) shape.halvings.pop_back();
      shape.halvings.push_back(halving);
    }
    shapes.push_back(std::move(shape));
  }
  return shapes;
}

// One rung of one bracket.
struct Stage {
  explicit Stage(const Shape::Halving& halving) : recorded(halving.milestone), share(halving.share) {}

  Rung recorded;
  double share;
  std::set<std::pair<double, uint32_t>> waiting;  // (-score, trial) of paused ones: the best first
  uint32_t under_way = 0;                         // live trials whose next rung it is
  uint32_t promoted = 0;
  uint32_t stopped = 0;
  double last_promoted = 0;  // the worst score that went on
  bool judged() const { return promoted + stopped > 0; }
};

struct Bracket {
  explicit Bracket(const Shape& shape) : full_size(shape.trials) {
    for (const Shape::Halving& halving : shape.halvings) stages.emplace_back(halving);
  }

  uint64_t full_size;
  uint64_t added = 0;
  uint64_t live = 0;
  std::vector<Stage> stages;  // lowest milestone first

  bool Full() const { return added >= full_size; }
  // How many go on from the stage.
  uint64_t Quota(size_t stage) const {
    // 9 / 3 must be 3, whatever the rounding.
    const double exact = static_cast<double>(std::min(added, full_size)) / stages[stage].share;
    return std::max<uint64_t>(1, static_cast<uint64_t>(std::floor(exact + 1e-9)));
  }
  uint64_t UnderWayUpTo(size_t stage) const {
    uint64_t count = 0;
    for (size_t i = 0; i <= stage; ++i) count += stages[i].under_way;
    return count;
  }
};

class HyperBand final : public Scheduler {
 public:
  explicit HyperBand(const SchedulerOptions& options) : options_(options), shapes_(ShapesOf(options)) {
    for (const Shape& shape : shapes_) trials_per_band_ += shape.trials;
  }

  int32_t BracketFor(uint32_t trial) const override;
  void AddTrial(uint32_t trial, int32_t bracket) override;
  Verdict Decide(const TrialReport& report) const override;
  // What ends is not waited for any more; what it recorded stays.
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
    double value = 0;  // at the one before
    bool waits = false;
    bool stopped = false;
  };

  const Shape& ShapeOf(int32_t bracket) const {
    return shapes_[static_cast<size_t>(std::max(bracket, 0)) % shapes_.size()];
  }
  double Oriented(double x) const { return tunesmith::Oriented(options_.goal, x); }
  double Score(double value) const { return ScoreOf(options_.goal, value); }
  Verdict JudgeAtRung(const Place& place, const TrialReport& report) const;
  // The trial is under way to its next rung no more.
  void Arrive(const Place& place, Bracket* bracket);
  void Record(uint32_t trial, const Verdict& verdict, size_t stage, Place* place, Bracket* bracket);
  // It went on from the stage, or stopped there.
  void Leave(bool promoted, size_t stage, Place* place, Bracket* bracket);

  const SchedulerOptions options_;
  const std::vector<Shape> shapes_;  // in the order in which they are filled
  uint64_t trials_per_band_ = 0;
  std::map<int32_t, Bracket> brackets_;         // without those that ended long ago
  std::unordered_map<uint32_t, Place> trials_;  // that have not ended; looked up only
};

int32_t HyperBand::BracketFor(uint32_t trial) const {
  uint64_t bracket = trial / trials_per_band_ * shapes_.size();
  uint64_t left = trial % trials_per_band_;
  for (const Shape& shape : shapes_) {
    if (left < shape.trials) break;
    left -= shape.trials;
    ++bracket;
  }
  return static_cast<int32_t>(std::min<uint64_t>(bracket, std::numeric_limits<int32_t>::max()));
}

void HyperBand::AddTrial(uint32_t trial, int32_t bracket) {
  const int32_t index = std::max(bracket, 0);
  if (!trials_.try_emplace(trial, Place{.bracket = index}).second) return;
  auto at = brackets_.find(index);
  if (at == brackets_.end()) {
    at = brackets_.try_emplace(index, ShapeOf(index)).first;
    std::erase_if(brackets_, [&](const auto& old) {
      return old.first < index - kEndedBracketsKept && old.second.live == 0 && old.second.Full();
    });
  }
  Bracket& members = at->second;
  ++members.added;
  ++members.live;
  if (!members.stages.empty()) ++members.stages[0].under_way;
}

Verdict HyperBand::Decide(const TrialReport& report) const {
  Verdict verdict;
  const auto trial = trials_.find(report.trial);
  if (trial == trials_.end()) return verdict;
  const Place& place = trial->second;
  verdict.bracket = place.bracket;
  if (report.value) verdict.value = *report.value;
  if (place.waits || place.stopped) return verdict;
  if (JudgedAlone(options_.stop_last_trials && report.step >= options_.max_t, report, &verdict)) return verdict;
  return JudgeAtRung(place, report);
}

Verdict HyperBand::JudgeAtRung(const Place& place, const TrialReport& report) const {
  Verdict verdict;
  verdict.bracket = place.bracket;
  verdict.value = *report.value;
  const Bracket& bracket = brackets_.at(place.bracket);
  if (place.next >= bracket.stages.size()) return verdict;
  const Stage& stage = bracket.stages[place.next];
  if (static_cast<double>(report.step) < stage.recorded.milestone()) return verdict;
  const double score = Score(*report.value);
  verdict.milestone = stage.recorded.milestone();
  verdict.recorded = true;
  verdict.rank = static_cast<uint32_t>(stage.recorded.CountBetter(score) + 1);
  verdict.peers = static_cast<uint32_t>(stage.recorded.recorded() + 1);
  const bool last = bracket.Full() && bracket.UnderWayUpTo(place.next) == 1;
  if (!last && !stage.judged()) {
    verdict.action = Action::kPause;
    verdict.reason = Reason::kWaitsAtRung;
    return verdict;
  }
  // Those that wait and are better use up the share first.
  uint64_t left = bracket.Quota(place.next);
  left -= std::min<uint64_t>(left, stage.promoted);
  double cutoff = stage.last_promoted;
  bool has_cutoff = stage.promoted > 0;
  for (const auto& [loss, trial] : stage.waiting) {
    if (left == 0 || std::pair(loss, trial) > std::pair(-score, report.trial) || -loss == kWorst) break;
    cutoff = has_cutoff ? std::min(cutoff, -loss) : -loss;
    has_cutoff = true;
    --left;
  }
  if (left > 0 && score > kWorst) {
    verdict.reason = Reason::kPromoted;
    return verdict;
  }
  verdict.action = Action::kStop;
  verdict.reason = std::isnan(*report.value) ? Reason::kNotANumber : Reason::kHalved;
  verdict.has_cutoff = has_cutoff;
  if (has_cutoff) verdict.cutoff = Oriented(cutoff);
  return verdict;
}

Verdict HyperBand::DecideFinal(const TrialReport& last) const {
  Verdict verdict;
  const auto trial = trials_.find(last.trial);
  if (trial == trials_.end()) return verdict;
  verdict.bracket = trial->second.bracket;
  if (!last.value) verdict.reason = Reason::kNoMetric;
  return verdict;
}

void HyperBand::Arrive(const Place& place, Bracket* bracket) {
  if (!place.waits && !place.stopped && place.next < bracket->stages.size()) --bracket->stages[place.next].under_way;
}

void HyperBand::Leave(bool promoted, size_t stage, Place* place, Bracket* bracket) {
  Stage& left = bracket->stages[stage];
  if (!promoted) {
    ++left.stopped;
    place->stopped = true;
    return;
  }
  const double score = Score(place->value);
  left.last_promoted = left.promoted == 0 ? score : std::min(left.last_promoted, score);
  ++left.promoted;
  if (place->next < bracket->stages.size()) ++bracket->stages[place->next].under_way;
}

void HyperBand::Record(uint32_t trial, const Verdict& verdict, size_t stage, Place* place, Bracket* bracket) {
  if (place->waits || place->stopped || stage < place->next) return;
  Arrive(*place, bracket);
  Stage& reached = bracket->stages[stage];
  place->value = verdict.value;
  place->next = stage + 1;
  place->waits = verdict.action == Action::kPause;
  const double score = Score(verdict.value);
  reached.recorded.Record(trial, score, verdict.action == Action::kStop);
  if (place->waits) {
    reached.waiting.insert({-score, trial});
  } else {
    Leave(verdict.action == Action::kContinue, stage, place, bracket);
  }
}

void HyperBand::Apply(uint32_t trial, const Verdict& verdict) {
  const auto at = trials_.find(trial);
  if (at == trials_.end()) return;
  Place& place = at->second;
  Bracket& bracket = brackets_.at(place.bracket);
  if (verdict.reason == Reason::kReachedMax && !place.waits) {
    Arrive(place, &bracket);  // it is not waited for, though its processes may take a while to go
    place.stopped = true;
    return;
  }
  for (size_t i = 0; i < bracket.stages.size(); ++i) {
    if (bracket.stages[i].recorded.milestone() != verdict.milestone) continue;
    if (verdict.recorded) return Record(trial, verdict, i, &place, &bracket);
    if (!place.waits || place.next != i + 1) return;
    place.waits = false;
    bracket.stages[i].waiting.erase({-Score(place.value), trial});
    return Leave(verdict.action == Action::kContinue, i, &place, &bracket);
  }
}

void HyperBand::RemoveTrial(uint32_t trial) {
  const auto at = trials_.find(trial);
  if (at == trials_.end()) return;
  const Place& place = at->second;
  Bracket& bracket = brackets_.at(place.bracket);
  if (place.waits) bracket.stages[place.next - 1].waiting.erase({-Score(place.value), trial});
  Arrive(place, &bracket);
  --bracket.live;
  trials_.erase(at);
}

std::optional<PausedVerdict> HyperBand::NextPaused(Outlook outlook) const {
  for (const auto& [index, bracket] : brackets_) {
    const bool closed = bracket.Full() || outlook != Outlook::kOpen;
    for (size_t i = 0; i < bracket.stages.size(); ++i) {
      const Stage& stage = bracket.stages[i];
      if (stage.waiting.empty()) continue;
      if (!stage.judged() && !(closed && bracket.UnderWayUpTo(i) == 0)) continue;
      const double score = -stage.waiting.begin()->first;
      PausedVerdict next{.trial = stage.waiting.begin()->second, .verdict = {}};
      next.verdict.bracket = index;
      next.verdict.milestone = stage.recorded.milestone();
      next.verdict.value = trials_.at(next.trial).value;
      next.verdict.rank = static_cast<uint32_t>(stage.recorded.CountBetter(score) + 1);
      next.verdict.peers = static_cast<uint32_t>(stage.recorded.recorded());
      next.verdict.reason = Reason::kPromoted;
      if (score > kWorst && stage.promoted < bracket.Quota(i)) return next;
      next.verdict.action = Action::kStop;
      next.verdict.reason = std::isnan(next.verdict.value) ? Reason::kNotANumber : Reason::kHalved;
      next.verdict.has_cutoff = stage.promoted > 0;
      if (stage.promoted > 0) next.verdict.cutoff = Oriented(stage.last_promoted);
      return next;
    }
  }
  return std::nullopt;
}

std::vector<int64_t> HyperBand::Milestones(int32_t bracket) const {
  std::vector<int64_t> steps;
  for (const Shape::Halving& halving : ShapeOf(bracket).halvings) {
    steps.push_back(static_cast<int64_t>(halving.milestone));
  }
  return steps;
}

std::vector<RungStatus> HyperBand::Rungs() const {
  std::vector<RungStatus> all;
  const auto add = [&](int32_t index, const Bracket& bracket) {
    for (auto stage = bracket.stages.rbegin(); stage != bracket.stages.rend(); ++stage) {
      RungStatus status;
      status.bracket = index;
      status.milestone = stage->recorded.milestone();
      status.recorded = static_cast<uint32_t>(stage->recorded.recorded());
      status.stopped = stage->stopped;
      status.promoted = stage->promoted;
      status.waiting = static_cast<uint32_t>(stage->waiting.size());
      if (stage->promoted > 0) status.cutoff = Oriented(stage->last_promoted);
      all.push_back(status);
    }
  };
  if (brackets_.empty()) add(0, Bracket(shapes_[0]));
  for (const auto& [index, bracket] : brackets_) add(index, bracket);
  return all;
}

void CheckOptions(const SchedulerOptions& o, Problems* problems) {
  const auto add = [&](const char* field, std::string message, std::string hint) {
    problems->push_back({field, std::move(message), std::move(hint)});
  };
  CheckMaxT(o, problems);
  CheckReductionFactor(o, problems);
  if (o.brackets != 1) {
    add("scheduler.brackets", o.type + " makes its own brackets of max_t and reduction_factor",
        "leave it out; fewer brackets come of a larger grace_period");
  }
  if (!o.compat_ray) {
    return CheckGracePeriod(o, false, problems);
  }
  if (o.type == "bohb") {
    add("scheduler.compat", "there is no compat: ray of bohb, only of hyperband", "leave it out");
  }
  if (o.grace_period != 1) {
    add("scheduler.grace_period", "Ray Tune's hyperband has none", "leave it out, or leave out compat: ray");
  }
  if (o.reduction_factor.value_or(0) > 1 && o.reduction_factor.value_or(0) < 2) {
    add("scheduler.reduction_factor",
        OptionText(*o.reduction_factor) + " is less than 2, where Ray Tune's rungs stand still",
        "use 2 to 4, or leave out compat: ray");
  }
}

}  // namespace

std::unique_ptr<Scheduler> MakeHyperBand(const SchedulerOptions& options, Problems* problems) {
  SchedulerOptions filled = options;
  filled.max_t = MaxTOf(options);
  filled.reduction_factor = ReductionFactorOf(options);
  const size_t before = problems->size();
  CheckOptions(filled, problems);
  if (problems->size() > before) return nullptr;
  CheckRungCount(filled, problems);
  if (problems->size() > before) return nullptr;
  if (filled.compat_ray) return MakeRayHyperBand(filled);
  return std::make_unique<HyperBand>(filled);
}

}  // namespace tunesmith
