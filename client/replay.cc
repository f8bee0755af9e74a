#include "client/replay.h"

#include <algorithm>
#include <cmath>
#include <compare>
#include <functional>
#include <limits>
#include <queue>
#include <tuple>
#include <utility>

namespace tunesmith {
namespace {

bool IsBetter(double a, double b, Goal goal) { return goal == Goal::kMin ? a < b : a > b; }

void Use(const ReplayReport& report, Goal goal, ReplayUse* use) {
  use->steps = std::max(use->steps, report.step);
  use->ms = std::max(use->ms, report.used_ms);
  if (!report.objective || !std::isfinite(*report.objective)) return;
  if (use->best && !IsBetter(*report.objective, *use->best, goal)) return;
  use->best = report.objective;
  use->best_step = report.step;
}

class Replayer {
 public:
  Replayer(Scheduler* scheduler, const ReplayInput& input) : scheduler_(scheduler), input_(input) {
    result_.trials.resize(input.trials.size());
    trials_.resize(input.trials.size());
    Order();
  }

  ReplayResult Run() && {
    while (!due_.empty()) {
      const Next next = due_.top();
      due_.pop();
      switch (next.kind) {
        case Kind::kCreated:
          scheduler_->AddTrial(next.trial, scheduler_->BracketFor(next.trial));
          ++created_;
          ++active_;
          Push(next.trial);
          break;
        case Kind::kReport:
          Take(next.trial, input_.reports[next.order]);
          break;
        case Kind::kEnd:
          End(next.trial);
          break;
      }
      JudgePaused();
    }
    for (uint32_t number = 0; number < trials_.size(); ++number) Settle(number);
    Total();
    return std::move(result_);
  }

 private:
  enum class Kind : uint8_t { kCreated, kReport, kEnd };
  // What happens next to a trial; the order among those of one time is that of the fields.
  struct Next {
    int64_t time_ms = 0;
    Kind kind = Kind::kCreated;
    uint64_t order = 0;
    uint32_t trial = 0;
    auto operator<=>(const Next&) const = default;
  };
  struct Trial {
    std::vector<size_t> reports;  // in `input`
    size_t next = 0;              // of these
    int64_t create_ms = 0;
    uint32_t attempt = 0;
    int64_t steps_before = 0;     // of earlier attempts
    TrialReport last;
    bool paused = false;
    bool ended = false;
  };

  // Times as they can have been: trials one after the other, and no report before the one that was recorded earlier.
  void Order() {
    int64_t created = std::numeric_limits<int64_t>::min();
    for (uint32_t number = 0; number < trials_.size(); ++number) {
      created = std::max(created, input_.trials[number].create_ms);
      trials_[number].create_ms = created;
      due_.push({created, Kind::kCreated, number, number});
    }
    times_.reserve(input_.reports.size());
    int64_t recorded = std::numeric_limits<int64_t>::min();
    for (size_t i = 0; i < input_.reports.size(); ++i) {
      const ReplayReport& report = input_.reports[i];
      Trial& trial = trials_[report.trial];
      recorded = std::max({recorded, report.time_ms, trial.create_ms});
      times_.push_back(recorded);
      trial.reports.push_back(i);
      Use(report, input_.objective_goal, &result_.trials[report.trial].run);
    }
  }

  void Push(uint32_t number) {
    const Trial& trial = trials_[number];
    const ReplayTrial& real = input_.trials[number];
    if (trial.next < trial.reports.size()) {
      const size_t report = trial.reports[trial.next];
      due_.push({times_[report], Kind::kReport, report, number});
    } else if (real.end != ReplayTrial::End::kNone) {
      const int64_t last = trial.reports.empty() ? trial.create_ms : times_[trial.reports.back()];
      due_.push({std::max(real.end_ms, last), Kind::kEnd, number, number});
    }
  }

  void Take(uint32_t number, const ReplayReport& report) {
    Trial& trial = trials_[number];
    ++trial.next;
    if (report.attempt != trial.attempt) {
      trial.steps_before = std::max(trial.steps_before, trial.last.step);
      trial.attempt = report.attempt;
    }
    trial.last = {number, report.step, report.value};
    ReplayedTrial& replayed = result_.trials[number];
    Use(report, input_.objective_goal, &replayed.replay);
    if (report.step > trial.steps_before) {
      const Verdict verdict = scheduler_->Decide(trial.last);
      scheduler_->Apply(number, verdict);
      if (verdict.action == Action::kStop) return Stop(number, verdict);
      if (verdict.action == Action::kPause) {
        replayed.verdict = verdict;
        trial.paused = true;
        --active_;
        return;
      }
    }
    Push(number);
  }

  void Stop(uint32_t number, const Verdict& verdict) {
    ReplayedTrial& replayed = result_.trials[number];
    replayed.verdict = verdict;
    replayed.outcome = verdict.reason == Reason::kReachedMax ? ReplayOutcome::kMaxT : ReplayOutcome::kStopped;
    Leave(number, true);
  }

  void Leave(uint32_t number, bool record) {
    Trial& trial = trials_[number];
    if (record && trial.last.step > 0) scheduler_->Apply(number, scheduler_->DecideFinal(trial.last));
    scheduler_->RemoveTrial(number);
    if (!trial.paused) --active_;
    trial.ended = true;
  }

  void End(uint32_t number) {
    ReplayedTrial& replayed = result_.trials[number];
    replayed.verdict.reset();
    const ReplayTrial::End end = input_.trials[number].end;
    replayed.outcome = end == ReplayTrial::End::kFailed  ? ReplayOutcome::kFailed
                       : end == ReplayTrial::End::kCut   ? ReplayOutcome::kBeyond
                                                         : ReplayOutcome::kCompleted;
    if (trials_[number].reports.empty() && end != ReplayTrial::End::kFailed)
      replayed.outcome = ReplayOutcome::kNoReport;
    Leave(number, end == ReplayTrial::End::kCompleted);
  }

  Outlook Ahead() const {
    if (created_ < trials_.size() || !input_.all_created) return Outlook::kOpen;
    return active_ == 0 ? Outlook::kIdle : Outlook::kComplete;
  }

  void JudgePaused() {
    while (const auto next = scheduler_->NextPaused(Ahead())) {
      scheduler_->Apply(next->trial, next->verdict);
      Trial& trial = trials_[next->trial];
      if (next->verdict.action == Action::kStop) {
        Stop(next->trial, next->verdict);
        trial.paused = false;
        continue;
      }
      trial.paused = false;
      ++active_;
      Push(next->trial);
    }
  }

  // What is left when everything has happened.
  void Settle(uint32_t number) {
    const Trial& trial = trials_[number];
    ReplayedTrial& replayed = result_.trials[number];
    if (!trial.ended) {
      replayed.outcome = trial.paused ? ReplayOutcome::kPaused : ReplayOutcome::kRunning;
      if (!trial.paused) replayed.verdict.reset();
      if (trial.reports.empty()) replayed.outcome = ReplayOutcome::kNoReport;
    }
    const ReplayTrial& real = input_.trials[number];
    replayed.run.ms = std::max(replayed.run.ms, real.used_ms);
    // It went as far as in the run, so it took as long.
    if (trial.next == trial.reports.size()) replayed.replay.ms = replayed.run.ms;
  }

  void Total() {
    std::vector<std::pair<double, uint32_t>> ranks;
    const double sign = input_.objective_goal == Goal::kMin ? 1 : -1;
    for (uint32_t number = 0; number < trials_.size(); ++number) {
      const ReplayedTrial& replayed = result_.trials[number];
      const ReplayTrial& real = input_.trials[number];
      result_.run.stopped += real.stopped_early ? 1 : 0;
      const bool paused = replayed.outcome == ReplayOutcome::kPaused;
      result_.paused += paused ? 1 : 0;
      // The controller ends them where nothing else is left to run.
      const bool stopped = replayed.outcome == ReplayOutcome::kStopped || (paused && Ahead() == Outlook::kIdle);
      result_.replay.stopped += stopped ? 1 : 0;
      result_.beyond += replayed.outcome == ReplayOutcome::kBeyond ? 1 : 0;
      AddUse(number, replayed.run, &result_.run);
      AddUse(number, replayed.replay, &result_.replay);
      if (real.may_be_best && replayed.run.best) ranks.emplace_back(sign * *replayed.run.best, number);
    }
    std::sort(ranks.begin(), ranks.end());
    for (size_t i = 0; i < ranks.size(); ++i)
      result_.trials[ranks[i].second].run_rank = static_cast<uint32_t>(i) + 1;
  }

  void AddUse(uint32_t number, const ReplayUse& use, ReplayTotals* totals) {
    totals->steps += use.steps;
    totals->ms += use.ms;
    if (!use.best || !input_.trials[number].may_be_best) return;
    if (totals->best_trial && !IsBetter(*use.best, totals->best_value, input_.objective_goal)) return;
    totals->best_trial = number;
    totals->best_value = *use.best;
  }

  Scheduler* scheduler_;
  const ReplayInput& input_;
  ReplayResult result_;
  std::vector<Trial> trials_;
  std::vector<int64_t> times_;  // of the reports
  std::priority_queue<Next, std::vector<Next>, std::greater<>> due_;
  size_t created_ = 0;
  size_t active_ = 0;  // created, neither ended nor paused
};

}  // namespace

const char* OutcomeWord(ReplayOutcome outcome) {
  switch (outcome) {
    case ReplayOutcome::kStopped:
      return "stopped";
    case ReplayOutcome::kPaused:
      return "paused";
    case ReplayOutcome::kMaxT:
      return "max_t";
    case ReplayOutcome::kCompleted:
      return "completed";
    case ReplayOutcome::kFailed:
      return "failed";
    case ReplayOutcome::kBeyond:
      return "beyond";
    case ReplayOutcome::kRunning:
      return "running";
    case ReplayOutcome::kNoReport:
      return "no_report";
  }
  return "unknown";
}

ReplayResult RunReplay(Scheduler* scheduler, const ReplayInput& input) { return Replayer(scheduler, input).Run(); }

std::vector<uint32_t> MostTelling(const ReplayResult& result) {
  std::vector<uint32_t> order(result.trials.size());
  for (uint32_t number = 0; number < order.size(); ++number) order[number] = number;
  const auto key = [&](uint32_t number) {
    const ReplayedTrial& trial = result.trials[number];
    const bool at_max = trial.outcome == ReplayOutcome::kMaxT;
    const int group = trial.shortened() ? (at_max ? 2 : 0) : trial.outcome == ReplayOutcome::kBeyond ? 1 : 3;
    return std::tuple(group, trial.run_rank == 0, trial.run_rank, number);
  };
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return key(a) < key(b); });
  return order;
}

}  // namespace tunesmith
