#include "server/core/controller.h"

#include <algorithm>
#include <cmath>

#include "common/check.h"
#include "common/limits.h"
#include "common/text.h"
#include "server/core/failures.h"
#include "server/core/repeats.h"
#include "server/core/rules.h"

namespace tunesmith {

void Controller::Step(const Command& command, uint64_t token, Time now, Output* out) {
  now_ = std::max(now_, now);
  out_ = out;
  token_ = token;
  std::visit([this](const auto& c) { Handle(c); }, command);
  // Commands that have nothing to say are answered all the same: somebody may wait for their being durable.
  if (token_ != 0) Answer({});
  // Each round may create trials or end sweeps, which can free or fill places again.
  while (dispatch_) {
    dispatch_ = false;
    Dispatch();
  }
  out_ = nullptr;
}

void Controller::FinishRecovery(Time now, Output* out) {
  now_ = std::max(now_, now);
  out_ = out;
  token_ = 0;
  for (const auto& [id, sweep] : state_.sweeps()) {
    SweepWork& work = work_[id];
    for (const Trial& trial : sweep->trials) work.points_used += trial.from_user && !trial.repeat_of ? 1 : 0;
    if (IsTerminal(sweep->state)) continue;
    TellHistory(*sweep);
    // Workers that have checkpoints of what waits get the time of a lease to come back, unless they had been given up.
    std::vector<uint32_t> waiting = sweep->pending.Numbers();
    waiting.insert(waiting.end(), sweep->paused.begin(), sweep->paused.end());
    for (const uint32_t number : waiting) {
      const std::vector<Attempt>& attempts = sweep->trials[number].attempts;
      if (attempts.empty() || !attempts.back().worker || attempts.back().state == AttemptState::kLost) continue;
      live_[attempts.back().worker].last_seen = now_;
    }
    for (uint32_t number : sweep->live) {
      const Attempt* attempt = sweep->trials[number].LiveAttempt();
      TS_CHECK(attempt != nullptr, "a live trial has a live attempt");
      const AttemptId attempt_id{{id, number}, static_cast<uint32_t>(sweep->trials[number].attempts.size())};
      if (!attempt->worker) {
        work.ask_deadlines[number] = now_ + Milliseconds(attempt->lease_ms);
        continue;
      }
      LiveWorker& worker = live_[attempt->worker];
      worker.last_seen = now_;
      worker.attempts[attempt_id] = attempt->sequence;
    }
  }
  // A sweep that only waited for suggestions waits for none any more.
  std::vector<SweepId> ids;
  for (const auto& [id, sweep] : state_.sweeps()) ids.push_back(id);
  for (const SweepId id : ids) MaybeFinishSweep(id);
  dispatch_ = true;
  while (dispatch_) {
    dispatch_ = false;
    Dispatch();
  }
  out_ = nullptr;
}

StartSearcher Controller::SearcherFor(const Sweep& sweep) const {
  StartSearcher start{sweep.number, SearcherOptionsOf(*sweep.spec, sweep.seed), sweep.space};
  start.options.trials = sweep.target / RepeatsOf(sweep);
  start.options.earlier = sweep.earlier;
  return start;
}

void Controller::TellRung(const Sweep& sweep, uint32_t number, size_t index) {
  if (RepeatsOf(sweep) > 1) return;
  const Trial& trial = sweep.trials[number];
  const int64_t rung = sweep.milestones.at(trial.bracket)[index];
  Effect_(ReportRung{sweep.number, {.trial = number, .rung = rung, .value = trial.rung_values[index]}});
}

void Controller::TellHistory(const Sweep& sweep) {
  Effect_(SearcherFor(sweep));
  const uint32_t repeats = RepeatsOf(sweep);
  const auto trials = static_cast<uint32_t>(sweep.trials.size());
  for (uint32_t i = 0; i < trials; i += repeats) Effect_(AnnounceTrial{sweep.number, i, sweep.trials[i].FirstPoint()});
  std::vector<uint32_t> results(trials), ended(trials);  // told so far; of points, by the first trial
  for (const uint32_t number : sweep.results) {
    const uint32_t index = results[number]++;
    const uint32_t first = FirstOf(sweep, number);
    if (index < sweep.trials[number].rung_values.size()) {
      TellRung(sweep, number, index);
    } else if (++ended[first] == repeats) {
      TellEnd(sweep, first);
    }
  }
}

void Controller::TellEnd(const Sweep& sweep, uint32_t first) {
  // What a trial reached that took over from another one says nothing about its own first point.
  auto observation = sweep.trials[first].Exploited() ? std::nullopt : PointObservation(sweep, first);
  if (observation) {
    Effect_(ObserveTrial{sweep.number, *std::move(observation)});
  } else {
    Effect_(ForgetTrial{sweep.number, first});
  }
}

void Controller::Emit(Event event) {
  state_.Apply(event);
  out_->events.push_back(std::move(event));
}

void Controller::AnswerTo(uint64_t token, Reply reply) {
  if (token != 0) out_->replies.emplace_back(token, std::move(reply));
}

void Controller::Answer(Reply reply) { AnswerTo(std::exchange(token_, 0), std::move(reply)); }

void Controller::Refuse(Status status, std::string reason, Problems problems) {
  Reply reply;
  reply.status = std::move(status);
  reply.reason = std::move(reason);
  reply.problems = std::move(problems);
  Answer(std::move(reply));
}

const Sweep* Controller::NeedSweep(SweepId id) {
  const Sweep* sweep = state_.FindSweep(id);
  if (sweep == nullptr) Refuse(NotFound("no such sweep"), "SWEEP_NOT_FOUND");
  return sweep;
}

bool Controller::IsCurrent(const AttemptRef& ref) const {
  const Trial* trial = state_.FindTrial(ref.attempt.trial);
  if (trial == nullptr || trial->attempts.size() != ref.attempt.number) return false;
  const Attempt* attempt = trial->LiveAttempt();
  return attempt != nullptr && attempt->epoch == ref.epoch;
}

Observation ObservationOf(const Sweep& sweep, uint32_t number) {
  const Trial& trial = sweep.trials[number];
  Observation observation;
  observation.trial = number;
  observation.outcome = trial.state == TrialState::kCompleted ? Outcome::kCompleted
                        : trial.state == TrialState::kStopped ? Outcome::kStopped
                                                              : Outcome::kFailed;
  observation.value = trial.has_value ? trial.last_value : std::nan("");
  if (!sweep.goals.empty()) observation.values = ObjectiveValues(sweep, trial);
  observation.violation = ViolationOf(sweep, trial);
  observation.step = trial.last_step;
  int64_t ms = 0;
  for (const Attempt& attempt : trial.attempts) ms += std::max<int64_t>(0, (attempt.end - attempt.start).ms);
  observation.seconds = static_cast<double>(ms) / 1000;
  return observation;
}

double GpuMs(const Attempt& attempt, Time until) {
  return static_cast<double>(attempt.gpus) * static_cast<double>(std::max<int64_t>(0, (until - attempt.start).ms));
}

double ViolationOf(const Sweep& sweep, const Trial& trial) { return ViolationAt(sweep, trial, {}); }

std::vector<double> ObjectiveValues(const Sweep& sweep, const Trial& trial) {
  std::vector<double> values(sweep.goals.size(), std::nan(""));
  std::copy_n(trial.watched.begin(), std::min(values.size(), trial.watched.size()), values.begin());
  return values;
}

std::string MissingMetric(const Sweep& sweep, const Trial& trial) {
  if (sweep.goals.empty()) return trial.has_value ? "" : sweep.spec->search.metric;
  for (size_t i = 0; i < sweep.goals.size(); ++i) {
    if ((trial.watched_seen >> i & 1U) == 0) return sweep.watched_names[i];
  }
  return "";
}

// --- trials

void Controller::StopIfReached(const Sweep& sweep, uint32_t number, const Verdict& verdict) {
  if (verdict.reason != Reason::kTarget) return;
  BeginStop(sweep, SweepState::kSucceeded,
            "trial " + std::to_string(number) + " has reached the target: " + ExplainVerdict(*sweep.spec, verdict));
}

void Controller::StopIfUsedUp(const Sweep& sweep) {
  constexpr double kMsPerHour = 3'600'000;
  const double hours = sweep.spec->budget.gpu_hours;
  if (hours <= 0 || sweep.state >= SweepState::kStopping) return;
  double used = sweep.gpu_ms;
  for (const uint32_t number : sweep.live) {
    if (const Attempt* attempt = sweep.trials[number].LiveAttempt()) used += GpuMs(*attempt, now_);
  }
  if (used < hours * kMsPerHour) return;
  BeginStop(sweep, SweepState::kSucceeded,
            "its " + ShortText(hours) + " GPU hours (budget.gpu_hours) are used up: " + ShortText(used / kMsPerHour));
}

Verdict Controller::Measure(const AttemptRef& ref, uint64_t sequence, int64_t step,
                            const std::vector<NamedMetric>& metrics, const std::string& checkpoint, Time time) {
  const TrialId id = ref.attempt.trial;
  const Sweep& sweep = *state_.FindSweep(id.sweep);
  const Trial& trial = *sweep.Find(id.number);
  Measured event;
  event.attempt = ref.attempt;
  event.sequence = sequence;
  event.step = step > 0 ? step : trial.last_step + 1;
  event.time = time;
  event.checkpoint = checkpoint;
  event.metrics.reserve(metrics.size());
  for (const NamedMetric& metric : metrics) {
    const auto& names = sweep.metric_names;
    auto slot = static_cast<uint32_t>(std::find(names.begin(), names.end(), metric.name) - names.begin());
    if (slot == names.size()) {
      if (slot >= kMetricsPerSweepMax) continue;
      Emit(MetricNamed{id.sweep, slot, metric.name});
    }
    event.metrics.push_back({slot, metric.value});
  }
  // By slot, each once; where a report names a metric twice, the later value counts.
  std::stable_sort(event.metrics.begin(), event.metrics.end(),
                   [](const SlotValue& a, const SlotValue& b) { return a.slot < b.slot; });
  const auto last = std::unique(event.metrics.rbegin(), event.metrics.rend(),
                                [](const SlotValue& a, const SlotValue& b) { return a.slot == b.slot; });
  event.metrics.erase(event.metrics.begin(), last.base());
  TrialReport report{id.number, event.step, std::nullopt};
  for (const SlotValue& metric : event.metrics) {
    if (sweep.schedule_slot && metric.slot == *sweep.schedule_slot) report.value = metric.value;
  }
  // A trial that is being stopped already is recorded, not judged again. Nor is a step that an earlier attempt had
  // reported: a trial that runs again is decided as if nothing had interrupted it.
  if ((trial.state == TrialState::kRunning || trial.Preempting()) && event.step > trial.steps_before) {
    event.verdict = JudgeByRules(sweep, trial, event.step, event.metrics);
    if (event.verdict.action == Action::kContinue) {
      AddOutlook(sweep, id.number, &report);
      event.verdict = sweep.scheduler->Decide(report);
    }
  }
  const Verdict verdict = event.verdict;
  // What waits at the rung and is now among the best goes on by this report, not by whatever happens next.
  if (verdict.rank > 0 || verdict.action == Action::kPause) dispatch_ = true;
  const size_t rungs = trial.rung_values.size();
  Emit(std::move(event));
  for (size_t i = rungs; i < trial.rung_values.size(); ++i) TellRung(sweep, id.number, i);
  // By what is known now, and before anything else is heard.
  if (verdict.reason == Reason::kExploits) ExploitOne(sweep, {id.number, {.reason = Reason::kExploits}});
  StopIfReached(sweep, id.number, verdict);
  return verdict;
}

void Controller::EndTrial(const Sweep& sweep, uint32_t number, TrialState end, const std::string& reason) {
  const Trial& trial = *sweep.Find(number);
  TrialEnded event;
  event.trial = {sweep.number, number};
  event.state = end;
  event.reason = reason;
  event.time = now_;
  if ((end == TrialState::kCompleted || end == TrialState::kStopped) && trial.measurements > 0) {
    TrialReport last{number, trial.last_step, std::nullopt};
    for (const SlotValue& metric : trial.last_metrics) {
      if (sweep.schedule_slot && metric.slot == *sweep.schedule_slot) last.value = metric.value;
    }
    event.final_verdict = sweep.scheduler->DecideFinal(last);
  }
  const SweepId id = sweep.number;
  DropDueExploit(sweep, number);
  Emit(std::move(event));
  work_[id].ask_deadlines.erase(number);
  KeepByRules(sweep, number);
  if (const uint32_t first = FirstOf(sweep, number); PointHasEnded(sweep, first)) TellEnd(sweep, first);
  dispatch_ = true;
  const int64_t failures = sweep.spec->budget.failures;
  const int64_t failed = sweep.counts[static_cast<size_t>(TrialState::kFailed)];
  if (end == TrialState::kFailed && failures > 0 && failed >= failures && sweep.state < SweepState::kStopping) {
    BeginStop(sweep, SweepState::kFailed,
              std::to_string(failed) + " trials failed, which is as many as budget.failures allows; the last one: " +
                  reason);
  }
  if (sweep.spec->stop.target && RepeatsOf(sweep) > 1 && sweep.best_trial && sweep.state < SweepState::kStopping) {
    const double mean = BestMeanOf(sweep, *sweep.best_trial)->value;
    if (ReachesTarget(*sweep.spec, mean)) {
      BeginStop(sweep, SweepState::kSucceeded,
                "the point of trial " + std::to_string(*sweep.best_trial) + " has reached the target: its mean " +
                    ShortText(mean) + " is as good as " + ShortText(*sweep.spec->stop.target) +
                    " or better (stop.target)");
    }
  }
  constexpr uint32_t kStartFailuresInRowMax = 5;
  const uint32_t in_row = sweep.start_failures_in_row;
  if (end == TrialState::kFailed && in_row >= kStartFailuresInRowMax && sweep.state < SweepState::kStopping) {
    BeginStop(sweep, SweepState::kFailed,
              std::to_string(in_row) + " attempts in a row could not be started; the last trial: " + reason);
  }
  MaybeFinishSweep(id);
}

namespace {

// The daemon's own words, which name the exit code or signal; made up only where it had none.
std::string DescribeExit(const AttemptExit& exit) {
  if (!exit.reason.empty()) return exit.reason;
  std::string text = "exit code " + std::to_string(exit.exit_code.value_or(0));
  if (exit.start_failed) text = "could not be started";
  if (exit.signal != 0) text = "killed by signal " + std::to_string(exit.signal);
  if (exit.out_of_memory) text += " (out of memory)";
  return text;
}

}  // namespace

void Controller::FinishAttempt(const AttemptRef& ref, uint64_t sequence, const AttemptExit& exit, Time time) {
  const TrialId id = ref.attempt.trial;
  const Sweep& sweep = *state_.FindSweep(id.sweep);
  const uint32_t number = id.number;
  const Trial& trial = *sweep.Find(number);
  NoteEnd(ref, exit);
  ReleasePlace(trial.attempts.back(), ref.attempt);
  dispatch_ = true;

  AttemptEnded event;
  event.attempt = ref.attempt;
  event.sequence = sequence;
  event.exit = exit;
  event.time = time;

  const bool active = sweep.state == SweepState::kActive || sweep.state == SweepState::kPaused;
  if (trial.Preempting() && !exit.lost && exit.stop_requested) {
    event.state = AttemptState::kPreempted;
    event.exit.reason = trial.reason;
    event.requeue = active;
    return Emit(std::move(event));
  }
  if (trial.state == TrialState::kStopping && !trial.preempting) {
    // Decided before: how the processes ended does not matter any more.
    if (trial.Pausing()) return FinishPause(sweep, number, std::move(event));
    const bool by_scheduler = trial.stop_verdict.action == Action::kStop;
    const bool completes = Completes(trial.stop_verdict);
    event.state = exit.lost ? AttemptState::kLost : AttemptState::kCancelled;
    if (by_scheduler && completes) event.state = AttemptState::kSucceeded;
    const std::string reason =
        by_scheduler ? ExplainVerdict(*sweep.spec, trial.stop_verdict)
                     : trial.reason;
    const TrialState end = !by_scheduler ? TrialState::kCancelled
                           : completes   ? TrialState::kCompleted
                                         : TrialState::kStopped;
    Emit(std::move(event));
    EndTrial(sweep, number, end, reason);
    return;
  }

  if (exit.lost) {
    event.state = AttemptState::kLost;
    event.requeue = active && trial.losses < sweep.spec->retry.lost;
    const bool requeue = event.requeue;
    Emit(std::move(event));
    if (!requeue) {
      EndTrial(sweep, number, TrialState::kFailed,
               "lost " + std::to_string(trial.losses) + " times by machine trouble: " + exit.reason);
    }
    return;
  }

  const bool succeeded = !Failed(exit);
  const std::string missing = MissingMetric(sweep, trial);
  if (succeeded && missing.empty()) {
    event.state = AttemptState::kSucceeded;
    Emit(std::move(event));
    EndTrial(sweep, number, TrialState::kCompleted, "");
    return;
  }

  event.state = AttemptState::kFailed;
  event.requeue = active && !succeeded && trial.failures < sweep.spec->retry.failed;
  const bool requeue = event.requeue;
  Emit(std::move(event));
  if (requeue) return;
  std::string reason = DescribeExit(exit);
  if (succeeded && exit.reason.empty()) {
    reason = "ended well but never reported " + missing;
    if (!sweep.metric_names.empty()) reason += " (it reported " + Join(sweep.metric_names, ", ") + ")";
  }
  EndTrial(sweep, number, TrialState::kFailed, reason);
}

void Controller::FinishPause(const Sweep& sweep, uint32_t number, AttemptEnded event) {
  const AttemptExit& exit = event.exit;
  // It may have come to its own end before it was told to pause: then there is nothing to go on with.
  const bool complete = !exit.lost && !exit.stop_requested && !Failed(exit) &&
                        MissingMetric(sweep, sweep.trials[number]).empty();
  event.state = complete    ? AttemptState::kSucceeded
                : exit.lost ? AttemptState::kLost
                            : AttemptState::kCancelled;
  const SweepId id = sweep.number;
  Emit(std::move(event));
  if (complete) {
    EndTrial(sweep, number, TrialState::kCompleted, "");
  } else {
    if (sweep.trials[number].Exploited()) KeepByRules(sweep, number);
    MaybeFinishSweep(id);
  }
}

Outlook Controller::OutlookOf(const Sweep& sweep) const {
  if (MoreToCome(sweep)) return Outlook::kOpen;
  return sweep.live.empty() && sweep.pending.empty() ? Outlook::kIdle : Outlook::kComplete;
}

void Controller::JudgePaused(SweepId id) {
  // The end of a trial may end the sweep.
  const auto active = [&]() -> const Sweep* {
    const Sweep* sweep = state_.FindSweep(id);
    return sweep != nullptr && sweep->state == SweepState::kActive ? sweep : nullptr;
  };
  while (const Sweep* sweep = active()) {
    const Outlook outlook = OutlookOf(*sweep);
    if (const auto next = sweep->scheduler->NextPaused(outlook)) {
      JudgeOnePaused(*sweep, *next);
      continue;
    }
    if (outlook != Outlook::kIdle || sweep->paused.empty()) return;
    const uint32_t number = *sweep->paused.begin();
    EndTrial(*sweep, number, TrialState::kStopped,
             ExplainVerdict(*sweep->spec, sweep->trials[number].stop_verdict) +
                 ", and nothing else was left to run");
  }
}

void Controller::JudgeOnePaused(const Sweep& sweep, const PausedVerdict& next) {
  if (next.verdict.reason == Reason::kExploits) return ExploitOne(sweep, next);
  Emit(PausedJudged{{sweep.number, next.trial}, next.verdict, now_});
  if (next.verdict.action != Action::kStop || sweep.trials[next.trial].state != TrialState::kPaused) return;
  EndTrial(sweep, next.trial,
           Completes(next.verdict) ? TrialState::kCompleted : TrialState::kStopped,
           ExplainVerdict(*sweep.spec, next.verdict));
}

void Controller::LoseAttempt(const AttemptRef& ref, const std::string& why) {
  AttemptExit exit;
  exit.lost = true;
  exit.reason = why;
  FinishAttempt(ref, 0, exit, now_);
}

void Controller::StopOneTrial(const Sweep& sweep, uint32_t number, const std::string& reason) {
  const Trial& trial = *sweep.Find(number);
  const bool ends_already = trial.state == TrialState::kStopping && !trial.Pausing() && !trial.preempting;
  if (IsTerminal(trial.state) || ends_already) return;
  const Attempt* attempt = trial.LiveAttempt();
  if (attempt == nullptr) {
    EndTrial(sweep, number, TrialState::kCancelled, reason);
    return;
  }
  const AttemptRef ref{{{sweep.number, number}, static_cast<uint32_t>(trial.attempts.size())}, attempt->epoch};
  const WorkerId worker = attempt->worker;
  DropDueExploit(sweep, number);
  Emit(TrialStopping{ref.attempt.trial, reason, now_});
  if (!worker) return;  // the client learns it at its next call
  const auto live = live_.find(worker);
  if (live != live_.end() && live->second.session) Effect_(SendStop{live->second.session, ref, reason, false});
}

// --- sweeps

void Controller::BeginStop(const Sweep& sweep, SweepState end, const std::string& reason, bool delete_when_ended) {
  if (sweep.state >= SweepState::kStopping) return;
  const SweepId id = sweep.number;
  Emit(SweepChanged{id, SweepState::kStopping, end, reason, now_, delete_when_ended});
  std::vector<uint32_t> numbers = sweep.pending.Numbers();
  numbers.insert(numbers.end(), sweep.live.begin(), sweep.live.end());
  numbers.insert(numbers.end(), sweep.paused.begin(), sweep.paused.end());
  for (uint32_t number : numbers) StopOneTrial(sweep, number, reason);
  // The last of them may have ended the sweep, and deleted it.
  if (const Sweep* left = state_.FindSweep(id)) ServeAsks(*left);
  MaybeFinishSweep(id);
}

void Controller::MaybeFinishSweep(SweepId id) {
  const Sweep* sweep = state_.FindSweep(id);
  if (sweep == nullptr || IsTerminal(sweep->state)) return;
  if (!sweep->pending.empty() || !sweep->live.empty() || !sweep->paused.empty()) return;
  SweepWork& work = work_[id];
  SweepChanged event{id, SweepState::kSucceeded, SweepState::kSucceeded, "", now_};
  if (sweep->state == SweepState::kStopping) {
    event.state = event.becomes = sweep->becomes;
    event.reason = sweep->reason;
    event.delete_when_ended = sweep->delete_when_ended;
  } else {
    if (MoreToCome(*sweep)) return;
    const auto ended = static_cast<int64_t>(sweep->trials.size());
    const int64_t failed = sweep->counts[static_cast<size_t>(TrialState::kFailed)];
    if (failed > 0 && failed == ended) {
      event.state = event.becomes = SweepState::kFailed;
      event.reason = "all " + std::to_string(ended) + " trials failed; the last one: " +
                     sweep->trials[sweep->finished.back()].reason;
    } else if (sweep->exhausted && ended < sweep->target) {
      event.reason = "the search space is exhausted: every point has been tried";
    } else {
      event.reason = "all " + std::to_string(ended) + " trials have ended";
    }
  }
  Emit(std::move(event));
  Effect_(DropSearcher{id});
  for (const Ask& ask : work.asks) {
    Reply reply;
    reply.finished = true;
    reply.text = "the sweep has ended";
    AnswerTo(ask.token, std::move(reply));
  }
  work.asks.clear();
  if (sweep->delete_when_ended) DropSweep(id);
}

void Controller::DropSweep(SweepId id) {
  Emit(SweepDeleted{id, state_.last_epoch()});
  Effect_(DropSearcher{id});
  Effect_(DeleteLogs{id});
  Effect_(DropCheckpoints{id});
  work_.erase(id);
}

std::string Controller::CheckInvariants() const {
  std::map<std::pair<WorkerId, std::string>, double> device_use;
  std::map<WorkerId, int32_t> cpu_use;
  for (const auto& [id, sweep] : state_.sweeps()) {
    int64_t counts[kTrialStates] = {};
    for (uint32_t i = 0; i < sweep->trials.size(); ++i) {
      const Trial& trial = sweep->trials[i];
      ++counts[static_cast<size_t>(trial.state)];
      size_t live = 0;
      LeaseEpoch last;
      for (const Attempt& attempt : trial.attempts) {
        if (!(attempt.epoch > last)) return "lease epochs of a trial do not grow";
        last = attempt.epoch;
        if (IsTerminal(attempt.state)) continue;
        ++live;
        if (!attempt.worker) continue;
        cpu_use[attempt.worker] += attempt.cpus;
        for (const std::string& device : attempt.devices) {
          device_use[{attempt.worker, device}] += attempt.gpus >= 1 ? 1 : attempt.gpus;
        }
      }
      const uint32_t first = FirstOf(*sweep, i);
      if (trial.repeat_of != (first == i ? std::nullopt : std::optional(first)) ||
          !SamePoint(trial.point, sweep->trials[first].point)) {
        return "a repeat and its first trial disagree";
      }
      if (live > 1) return "a trial has two live attempts";
      const bool should_live = trial.state == TrialState::kRunning || trial.state == TrialState::kStopping;
      if (should_live != (live == 1)) return "a trial's state and its attempts disagree";
      if (sweep->live.count(i) != live) return "the set of live trials is wrong";
      if ((trial.state == TrialState::kPaused) != sweep->paused.contains(i)) return "the set of paused trials is wrong";
      if ((trial.state == TrialState::kPending) != sweep->pending.Contains(i)) return "the pending set is wrong";
    }
    for (size_t s = 0; s < kTrialStates; ++s) {
      if (counts[s] != sweep->counts[s]) return "the counts of trial states are wrong";
    }
    if (static_cast<int64_t>(sweep->trials.size()) > sweep->target) return "more trials than the budget";
    if (sweep->trials.size() % RepeatsOf(*sweep) != 0) return "a point has fewer trials than it is repeated";
  }
  for (const auto& [device, used] : device_use) {
    if (used > 1 + 1e-6) return "a device is leased twice: " + device.second;
  }
  for (const auto& [id, worker] : live_) {
    const auto it = cpu_use.find(id);
    const int32_t used = it == cpu_use.end() ? 0 : it->second;
    if (worker.session && worker.cpus_used != used) return "a worker's used CPUs are wrong";
  }
  return "";
}

}  // namespace tunesmith
