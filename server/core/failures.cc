// Which workers are quarantined, and which sweeps are held back, because attempts fail.
#include "server/core/failures.h"

#include <algorithm>
#include <cmath>

#include "common/limits.h"
#include "common/text.h"
#include "server/core/controller.h"

namespace tunesmith {

namespace {

// How far the trial's last attempt has come: -1 before it has started, 0 without a report of a step that is new.
int64_t ProgressOf(const Trial& trial) {
  if (trial.attempts.back().state == AttemptState::kStarting) return -1;
  return trial.last_step > trial.steps_before ? trial.last_step : 0;
}

}  // namespace

void Controller::NoteEnd(const AttemptRef& ref, const AttemptExit& exit) {
  const Sweep& sweep = *state_.FindSweep(ref.attempt.trial.sweep);
  const Trial& trial = sweep.trials[ref.attempt.trial.number];
  const WorkerId id = trial.attempts.back().worker;
  const auto live = live_.find(id);
  if (exit.lost || live == live_.end()) return;
  LiveWorker& worker = live->second;
  SweepWork& work = work_[sweep.number];
  if (trial.state == TrialState::kStopping) {
    // What a user or a budget ended says nothing; what the scheduler judged has worked.
    if (trial.stop_verdict.action == Action::kContinue) return;
  } else if (Failed(exit) || !MissingMetric(sweep, trial).empty()) {
    ++work.ended[id].bad;
    ++work.failures_in_row;
    if (work.failures_in_row >= kFailuresInRowToHoldBack) {
      const uint32_t doublings = std::min(work.failures_in_row - kFailuresInRowToHoldBack, uint32_t{20});
      work.held_until = now_ + Milliseconds(std::min(kHoldBackMsMax, kHoldBackMsMin << doublings));
    }
    FailureStreak& streak = worker.failures[sweep.number];
    if (streak.failures == 0) streak.first_trial = ref.attempt.trial.number;
    ++streak.failures;
    streak.several_trials = streak.several_trials || streak.first_trial != ref.attempt.trial.number;
    if (!exit.start_failed) streak.furthest = std::max(streak.furthest, std::max<int64_t>(0, ProgressOf(trial)));
    worker.start_failures_in_row = exit.start_failed ? worker.start_failures_in_row + 1 : 0;
    MaybeQuarantine(id, worker, sweep, exit);
    return;
  }
  ++work.ended[id].good;
  work.failures_in_row = 0;
  work.held_until = Time();
  worker.failures.clear();
  worker.start_failures_in_row = 0;
}

int64_t Controller::FurtherElsewhere(const Sweep& sweep, WorkerId id, int64_t progress) const {
  int64_t count = 0;
  for (const uint32_t number : sweep.live) {
    const Trial& trial = sweep.trials[number];
    const WorkerId other = trial.attempts.back().worker;
    if (!other || other == id || ProgressOf(trial) <= progress) continue;
    if (++count == kWitnessesMax) break;
  }
  return count;
}

void Controller::MaybeQuarantine(WorkerId id, const LiveWorker& worker, const Sweep& sweep, const AttemptExit& exit) {
  constexpr auto kLeast = static_cast<uint32_t>(kFailuresInRowToQuarantine);
  const WorkerIdentity& identity = state_.workers().at(id);
  if (identity.quarantined || identity.drained) return;
  const auto quarantine = [&](const std::string& why) { Emit(WorkerDrained{id, true, true, why + exit.reason}); };
  const auto elsewhere_of = [&](SweepId one) {
    SweepWork::Ended sum;
    for (const auto& [other, ended] : work_[one].ended) {
      sum.good += other == id ? 0 : ended.good;
      sum.bad += other == id ? 0 : ended.bad;
    }
    return sum;
  };
  // Only a worker that is worse than others is to blame; where a sweep's trials fail everywhere, its program is.
  if (exit.start_failed && worker.start_failures_in_row >= kLeast) {
    const SweepWork::Ended others = elsewhere_of(sweep.number);
    const int64_t started = others.good + FurtherElsewhere(sweep, id, -1);
    constexpr int64_t kStartedForEachFailure = 4;
    if (started > 0 && others.bad * kStartedForEachFailure <= started) {
      return quarantine(std::to_string(worker.start_failures_in_row) +
                        " attempts in a row could not be started on it; the last one: ");
    }
  }
  uint32_t failures = 0;
  bool several_trials = false;
  int64_t witnesses = 0;
  double chance = 1;
  for (const auto& [one, streak] : worker.failures) {
    const Sweep* of = state_.FindSweep(one);
    if (of == nullptr) continue;
    int64_t good = FurtherElsewhere(*of, id, streak.furthest);
    const int64_t elsewhere = elsewhere_of(one).good + good;
    if (elsewhere == 0) continue;
    int64_t bad = -static_cast<int64_t>(streak.failures);
    for (const auto& [other, ended] : work_[one].ended) {
      good += ended.good;
      bad += ended.bad;
    }
    several_trials = several_trials || streak.several_trials || failures > 0;
    failures += streak.failures;
    witnesses += elsewhere;
    // The rule of succession (Laplace): how often the next attempt elsewhere fails, after so many that did and did not.
    const double rate = (static_cast<double>(std::max<int64_t>(0, bad)) + 1) /
                        (static_cast<double>(std::max<int64_t>(0, bad) + good) + 2);
    for (uint32_t i = 0; i < streak.failures && chance > 0; ++i) chance *= rate;
  }
  if (failures < kLeast || !several_trials || chance >= kChanceToQuarantine) return;
  quarantine(std::to_string(failures) + " attempts in a row failed on it, while " + std::to_string(witnesses) +
             " of the same sweeps did well on other workers; the last one: ");
}

bool Controller::HeldBack(const Sweep& sweep) const {
  const auto work = work_.find(sweep.number);
  if (work == work_.end() || work->second.held_until <= now_) return false;
  return std::any_of(state_.sweeps().begin(), state_.sweeps().end(), [&](const auto& entry) {
    const Sweep& other = *entry.second;
    if (other.number == sweep.number || other.state != SweepState::kActive || other.spec->ask_tell) return false;
    const auto its = work_.find(other.number);
    if (its != work_.end() && its->second.held_until > now_) return false;
    if (MayStart(other) == 0 || (other.pending.empty() && !MoreToCome(other))) return false;
    const Request request = RequestOf(other);
    return std::any_of(live_.begin(), live_.end(), [&](const auto& worker) {
      return Accepts(worker.first, worker.second) && CouldFitOn(worker.second, request);
    });
  });
}

std::string Controller::HeldBackText(const Sweep& sweep) const {
  if (!HeldBack(sweep)) return "";
  const SweepWork& work = work_.at(sweep.number);
  const double seconds = std::ceil(static_cast<double>((work.held_until - now_).ms) / 1000);
  return "its last " + std::to_string(work.failures_in_row) + " attempts failed one after the other: other sweeps go " +
         "first for " + ShortText(seconds) + " s";
}

void Controller::EndHoldBacks() {
  for (auto& [id, work] : work_) {
    if (work.held_until == Time() || work.held_until > now_) continue;
    work.held_until = Time();
    dispatch_ = true;
  }
}

}  // namespace tunesmith
