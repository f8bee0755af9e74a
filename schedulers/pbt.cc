#include "schedulers/pbt.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/rng.h"
#include "schedulers/options.h"
#include "schedulers/rungs.h"

namespace tunesmith {
namespace {

constexpr uint64_t kStreamDonor = 0x646f6e6f72;

struct Ranked {
  uint32_t trial = 0;
  double score = 0;
};

bool Worse(const Ranked& a, const Ranked& b) { return a.score < b.score; }

// list.sort of CPython 3 for fewer than 64 elements (Objects/listobject.c, count_run and binarysort), which settles
// where NaN goes. Longer lists without NaN come out alike; with NaN they may not.
void SortAsPython(std::vector<Ranked>* list) {
  const auto begin = list->begin();
  const auto end = list->end();
  if (end - begin < 2) return;
  auto run = begin + 2;
  if (Worse(begin[1], begin[0])) {
    while (run != end && Worse(*run, *(run - 1))) ++run;
    std::reverse(begin, run);
  } else {
    while (run != end && !Worse(*run, *(run - 1))) ++run;
  }
  for (; run != end; ++run) {
    auto left = begin;
    auto right = run;
    while (left < right) {
      const auto middle = left + (right - left) / 2;
      if (Worse(*run, *middle)) {
        right = middle;
      } else {
        left = middle + 1;
      }
    }
    std::rotate(left, run, run + 1);
  }
}

class Pbt final : public Scheduler {
 public:
  explicit Pbt(const SchedulerOptions& options)
      : options_(options),
        pbt_(options.pbt),
        next_sync_(static_cast<double>(std::max(pbt_.perturbation_interval, pbt_.burn_in_period))) {}

  void AddTrial(uint32_t trial, int32_t /*bracket*/) override { members_.try_emplace(trial); }
  Verdict Decide(const TrialReport& report) const override;
  Verdict DecideFinal(const TrialReport& /*last*/) const override { return {}; }
  void Apply(uint32_t trial, const Verdict& verdict) override;
  void RemoveTrial(uint32_t trial) override;
  std::optional<PausedVerdict> NextPaused(Outlook outlook) const override;
  std::vector<uint32_t> Donors(uint32_t trial) const override;
  void Exploit(uint32_t trial, uint32_t donor, int64_t step) override;
  std::vector<RungStatus> Rungs() const override { return {}; }

 private:
  struct Member {
    std::optional<double> score;  // at its last judgement; larger is better
    double judged = 0;            // step of its last judgement (last_perturbation_time)
    double reported = 0;          // step that was recorded last (last_train_time); with synch it may wait to be judged
    bool was_upper = false;       // among the best at its last judgement
    bool waits = false;           // paused
    uint32_t exploits = 0;
  };

  bool as_ray() const { return options_.compat_ray; }
  double Score(double value) const {
    // Ray Tune multiplies by 1 or -1: NaN stays.
    return as_ray() && std::isnan(value) ? value : ScoreOf(options_.goal, value);
  }
  // Of n trials, how many are the best, and the worst.
  size_t QuantileOf(size_t n) const;
  bool IsUpper(size_t rank, size_t n) const;
  // Those that have a score, the worst first, with one more score in the place of the trial's.
  std::vector<Ranked> Ranking(std::optional<Ranked> with = std::nullopt) const;
  // Who may give to the trial, which is among the worst; the preferred one first.
  std::vector<uint32_t> DonorsIn(const std::vector<Ranked>& ranking, uint32_t trial) const;
  void JudgeInRanking(const TrialReport& report, Verdict* verdict) const;
  bool AllThere() const;
  void JudgeAll(double step);
  // Whether a trial that has taken over from the donor stays paused until the next judgement of all.
  bool StaysPaused(uint32_t donor) const;
  // The next verdict on one that waits, lowest step first.
  std::optional<PausedVerdict> NextTurn(double below) const;

  const SchedulerOptions options_;
  const PbtOptions pbt_;
  std::map<uint32_t, Member> members_;  // that have not ended
  std::vector<uint32_t> exploiting_;    // paused, and about to take over from another one; the worst first
  std::vector<Ranked> ranking_;         // by which they were judged
  double next_sync_;                    // with synch: all wait for those that are not as far
  std::optional<uint32_t> latest_;      // the last one recorded since all were judged
};

size_t Pbt::QuantileOf(size_t n) const {
  if (n <= 1) return 0;
  const double slack = as_ray() ? 0 : 1e-9;  // 0.07 * 100 is more than 7
  const double count = std::ceil(static_cast<double>(n) * pbt_.quantile_fraction - slack);
  return count > static_cast<double>(n) / 2 ? n / 2 : static_cast<size_t>(count);
}

bool Pbt::IsUpper(size_t rank, size_t n) const {
  const size_t quantile = QuantileOf(n);
  if (n <= 1) return false;
  return rank <= quantile || (as_ray() && quantile == 0);  // Python's list[-0:] is the whole list
}

std::vector<Ranked> Pbt::Ranking(std::optional<Ranked> with) const {
  std::vector<Ranked> ranking;
  for (const auto& [number, member] : members_) {
    if (with && with->trial == number) {
      ranking.push_back(*with);
    } else if (member.score) {
      ranking.push_back({number, *member.score});
    }
  }
  const bool any_nan =
      std::any_of(ranking.begin(), ranking.end(), [](const Ranked& r) { return std::isnan(r.score); });
  if (any_nan) {
    SortAsPython(&ranking);
  } else {
    std::stable_sort(ranking.begin(), ranking.end(), Worse);
  }
  return ranking;
}

std::vector<uint32_t> Pbt::DonorsIn(const std::vector<Ranked>& ranking, uint32_t trial) const {
  const size_t quantile = QuantileOf(ranking.size());
  const auto own = std::find_if(ranking.begin(), ranking.end(), [&](const Ranked& r) { return r.trial == trial; });
  if (quantile == 0 || own == ranking.end()) return {};
  Rng rng = Rng::ForLabels({options_.seed, trial, members_.at(trial).exploits, kStreamDonor});
  const auto upper = ranking.end() - static_cast<std::ptrdiff_t>(quantile);
  if (as_ray()) {
    const uint32_t donor = upper[static_cast<std::ptrdiff_t>(rng.Below(quantile))].trial;
    const auto member = members_.find(donor);
    return member != members_.end() && member->second.was_upper ? std::vector{donor} : std::vector<uint32_t>();
  }
  const auto better = [&](const Ranked& other) { return other.score > own->score && members_.contains(other.trial); };
  std::vector<uint32_t> best, donors;
  std::for_each(upper, ranking.end(), [&](const Ranked& r) {
    if (better(r)) best.push_back(r.trial);
  });
  if (!best.empty()) donors.push_back(best[rng.Below(best.size())]);
  for (auto other = ranking.rbegin(); other != ranking.rend() - static_cast<std::ptrdiff_t>(quantile); ++other) {
    if (better(*other) && (donors.empty() || donors[0] != other->trial)) donors.push_back(other->trial);
  }
  return donors;
}

Verdict Pbt::Decide(const TrialReport& report) const {
  Verdict verdict;
  const auto found = members_.find(report.trial);
  if (found == members_.end() || found->second.waits) return verdict;
  if (report.value) verdict.value = *report.value;
  if (JudgedAlone(options_.max_t > 0 && report.step >= options_.max_t, report, &verdict)) return verdict;
  const auto step = static_cast<double>(report.step);
  if (report.step < pbt_.burn_in_period) return verdict;
  if (step - found->second.judged < static_cast<double>(pbt_.perturbation_interval)) return verdict;
  verdict.recorded = true;
  verdict.milestone = step;
  if (pbt_.synch) {
    // Ray Tune pauses it, only to let it go on.
    if (!as_ray() && step < next_sync_) return {.value = verdict.value};
    verdict.action = Action::kPause;
    verdict.reason = Reason::kWaitsForAll;
    return verdict;
  }
  JudgeInRanking(report, &verdict);
  const bool gives_way = report.waiting && (as_ray() || *report.waiting < report.step);
  if (gives_way && verdict.action == Action::kContinue) {
    verdict.action = Action::kPause;
    verdict.reason = Reason::kTakesTurn;
  }
  return verdict;
}

void Pbt::JudgeInRanking(const TrialReport& report, Verdict* verdict) const {
  const auto ranking = Ranking(Ranked{report.trial, Score(*report.value)});
  if (ranking.size() <= 1) return;  // there is nobody to compare it with
  const auto own =
      std::find_if(ranking.begin(), ranking.end(), [&](const Ranked& r) { return r.trial == report.trial; });
  const auto worse = static_cast<size_t>(own - ranking.begin());
  verdict->peers = static_cast<uint32_t>(ranking.size());
  verdict->rank = static_cast<uint32_t>(ranking.size() - worse);
  verdict->reason = Reason::kKeepsOn;
  if (worse >= QuantileOf(ranking.size())) return;
  const std::vector<uint32_t> donors = DonorsIn(ranking, report.trial);
  const bool any = std::any_of(donors.begin(), donors.end(),
                               [&](uint32_t donor) { return !report.gives || report.gives(donor); });
  verdict->reason = any ? Reason::kExploits : Reason::kNoDonor;
  if (any) verdict->action = Action::kPause;
}

void Pbt::Apply(uint32_t trial, const Verdict& verdict) {
  const auto found = members_.find(trial);
  if (found == members_.end()) return;
  Member& member = found->second;
  if (verdict.recorded) {
    member.score = Score(verdict.value);
    member.reported = verdict.milestone;
    latest_ = trial;
    if (!pbt_.synch) {
      member.judged = verdict.milestone;
      member.was_upper = verdict.rank > 0 && IsUpper(verdict.rank, verdict.peers);
    }
    member.waits = verdict.action == Action::kPause;
  }
  switch (verdict.reason) {
    case Reason::kExploits:
      if (!verdict.recorded || std::count(exploiting_.begin(), exploiting_.end(), trial) > 0) break;
      ranking_ = Ranking();
      exploiting_.push_back(trial);
      break;
    case Reason::kAllThere:
      if (AllThere()) JudgeAll(member.reported);
      break;
    case Reason::kNoDonor:
      std::erase(exploiting_, trial);
      break;
    case Reason::kTakesTurn:
      if (verdict.action == Action::kContinue) member.waits = false;
      break;
    default:
      break;
  }
}

void Pbt::JudgeAll(double step) {
  ranking_ = Ranking();
  exploiting_.clear();
  const size_t n = ranking_.size();
  for (size_t i = 0; i < n; ++i) {
    members_.at(ranking_[i].trial).was_upper = IsUpper(n - i, n);
    if (i < QuantileOf(n)) exploiting_.push_back(ranking_[i].trial);
  }
  double furthest = 0;
  for (auto& [number, member] : members_) {
    member.judged = step;
    furthest = std::max(furthest, member.reported);
  }
  latest_.reset();
  next_sync_ = std::max(next_sync_ + static_cast<double>(pbt_.perturbation_interval), furthest);
}

void Pbt::RemoveTrial(uint32_t trial) {
  members_.erase(trial);
  std::erase(exploiting_, trial);
}

std::vector<uint32_t> Pbt::Donors(uint32_t trial) const {
  if (!members_.contains(trial) || std::count(exploiting_.begin(), exploiting_.end(), trial) == 0) return {};
  return DonorsIn(ranking_, trial);
}

void Pbt::Exploit(uint32_t trial, uint32_t donor, int64_t step) {
  std::erase(exploiting_, trial);
  const auto found = members_.find(trial);
  if (found == members_.end()) return;
  Member& member = found->second;
  ++member.exploits;
  member.waits = false;
  member.was_upper = false;
  const auto from = members_.find(donor);
  if (as_ray() && from != members_.end()) {
    member.waits = StaysPaused(donor);
    member.judged = from->second.judged;
    member.reported = from->second.reported;
    return;
  }
  // What it had reported was of weights that are gone.
  member.score.reset();
  member.reported = static_cast<double>(std::max<int64_t>(step, 0));
  if (!pbt_.synch) member.judged = member.reported;
}

bool Pbt::StaysPaused(uint32_t donor) const {
  if (!as_ray() || !pbt_.synch) return false;
  const auto from = members_.find(donor);
  return from != members_.end() && from->second.reported >= next_sync_;
}

bool Pbt::AllThere() const {
  // Ray Tune asks it of all but the one that has just reported.
  return !members_.empty() && std::all_of(members_.begin(), members_.end(), [&](const auto& entry) {
    const auto& [number, member] = entry;
    return member.waits && (member.reported >= next_sync_ || (as_ray() && latest_ == number));
  });
}

std::optional<PausedVerdict> Pbt::NextTurn(double below) const {
  std::optional<uint32_t> next;
  for (const auto& [number, member] : members_) {
    if (!member.waits || member.reported >= below) continue;
    if (!next || member.reported < members_.at(*next).reported) next = number;
  }
  if (!next) return std::nullopt;
  return PausedVerdict{*next, {.reason = Reason::kTakesTurn}};
}

std::optional<PausedVerdict> Pbt::NextPaused(Outlook outlook) const {
  if (!exploiting_.empty()) {
    const uint32_t trial = exploiting_.front();
    const std::vector<uint32_t> donors = DonorsIn(ranking_, trial);
    const bool stays = !donors.empty() && StaysPaused(donors[0]);
    return PausedVerdict{trial, {.action = stays ? Action::kPause : Action::kContinue, .reason = Reason::kExploits}};
  }
  if (!pbt_.synch) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    return outlook == Outlook::kOpen ? std::nullopt : NextTurn(kInfinity);
  }
  if (outlook == Outlook::kOpen || !AllThere()) return NextTurn(next_sync_);
  const uint32_t last = latest_ && members_.contains(*latest_) ? *latest_ : members_.begin()->first;
  return PausedVerdict{last, {.action = Action::kPause, .reason = Reason::kAllThere}};
}

class Checker {
 public:
  Checker(const PbtOptions& options, Problems* problems) : options_(options), problems_(problems) {}

  void Check() {
    if (options_.perturbation_interval == 0) {
      Add("perturbation_interval", "it is not said when trials are compared",
          "add perturbation_interval: 5, in steps; a trial should save a checkpoint as often");
    } else if (options_.perturbation_interval < 1 || options_.perturbation_interval > kStepsMax) {
      Add("perturbation_interval", std::to_string(options_.perturbation_interval) + " is not between 1 and 2^53",
          "give the number of steps between two judgements of a trial");
    }
    if (options_.burn_in_period < 0 || options_.burn_in_period > kStepsMax) {
      Add("burn_in_period", std::to_string(options_.burn_in_period) + " is not between 0 and 2^53",
          "give the number of steps before the first judgement");
    }
    if (!(options_.quantile_fraction >= 0 && options_.quantile_fraction <= 0.5)) {
      Add("quantile_fraction", OptionText(options_.quantile_fraction) + " is not between 0 and 0.5",
          "use 0.25: the worst quarter takes over from the best quarter");
    }
    if (!(options_.resample_probability >= 0 && options_.resample_probability <= 1)) {
      Add("resample_probability", OptionText(options_.resample_probability) + " is not between 0 and 1",
          "use 0.25: every fourth value is drawn anew");
    }
    CheckFactors();
  }

 private:
  static constexpr int64_t kStepsMax = int64_t{1} << 53;  // steps are compared as doubles

  void CheckFactors() {
    constexpr size_t kFactorsMax = 64;
    const std::vector<double>& factors = options_.perturbation_factors;
    if (factors.empty() || factors.size() > kFactorsMax) {
      return Add("perturbation_factors", std::to_string(factors.size()) + " factors are not between 1 and 64",
                 "use [1.2, 0.8]");
    }
    for (const double factor : factors) {
      if (factor > 0 && std::isfinite(factor)) continue;
      return Add("perturbation_factors", OptionText(factor) + " is not a number above 0", "use [1.2, 0.8]");
    }
  }

  void Add(const char* option, std::string message, std::string hint) {
    problems_->push_back({std::string("scheduler.") + option, std::move(message), std::move(hint)});
  }

  const PbtOptions& options_;
  Problems* problems_;
};

}  // namespace

std::unique_ptr<Scheduler> MakePbt(const SchedulerOptions& options, Problems* problems) {
  const size_t before = problems->size();
  Checker(options.pbt, problems).Check();
  if (options.max_t != 0) CheckMaxT(options, problems);
  if (problems->size() > before) return nullptr;
  return std::make_unique<Pbt>(options);
}

}  // namespace tunesmith
