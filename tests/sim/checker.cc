#include "tests/sim/checker.h"

#include <cmath>

#include "server/core/exploits.h"
#include "server/core/rules.h"
#include "tests/conformance/event_text.h"

namespace tunesmith::sim {

namespace {

std::string NameOf(const AttemptId& id) {
  return std::to_string(id.trial.sweep.value) + "/" + std::to_string(id.trial.number) + "#" +
         std::to_string(id.number);
}

bool Same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

// The trial that an event changes, if it changes one that exists already.
std::optional<TrialId> TouchedTrial(const Event& event) {
  if (const auto* e = std::get_if<AttemptLeased>(&event)) return e->attempt.trial;
  if (const auto* e = std::get_if<AttemptRunning>(&event)) return e->attempt.trial;
  if (const auto* e = std::get_if<Measured>(&event)) return e->attempt.trial;
  if (const auto* e = std::get_if<TrialStopping>(&event)) return e->trial;
  if (const auto* e = std::get_if<PausedJudged>(&event)) return e->trial;
  if (const auto* e = std::get_if<TrialExploited>(&event)) return e->trial;
  if (const auto* e = std::get_if<AttemptEnded>(&event)) return e->attempt.trial;
  if (const auto* e = std::get_if<TrialEnded>(&event)) return e->trial;
  return std::nullopt;
}

}  // namespace

void Checker::OnStored(const WorkerRecord& record) {
  if (record.kind != WorkerRecord::Kind::kMeasured) return;
  if (!stored_[record.ref.attempt].emplace(record.sequence, record).second) {
    world_->Fail("the worker gave one sequence to two records of " + NameOf(record.ref.attempt));
  }
}

void Checker::OnGone(const AttemptRef& ref, uint64_t from) {
  const auto attempt = stored_.find(ref.attempt);
  if (attempt == stored_.end()) return;
  auto& gone = gone_[ref.attempt];
  for (auto it = attempt->second.lower_bound(from); it != attempt->second.end(); it = attempt->second.erase(it)) {
    gone[it->first] = it->second;
  }
}

// Whatever a worker's clock says, an attempt goes forward, from its lease to now.
void Checker::CheckTime(const AttemptId& id, Time time, const char* what) {
  const Trial* trial = durable_.FindTrial(id.trial);
  if (trial == nullptr || id.number > trial->attempts.size()) return;
  const Time start = trial->attempts[id.number - 1].start;
  Time& latest = times_.emplace(id, start).first->second;
  if (time < start || time > world_->now()) world_->Fail(std::string(what) + " of " + NameOf(id) + " has no sane time");
  if (time < latest) world_->Fail(std::string(what) + " of " + NameOf(id) + " is before what was recorded before it");
  latest = std::max(latest, time);
}

void Checker::Check(const Measured& event) {
  const std::string name = NameOf(event.attempt);
  const Sweep& sweep = *durable_.FindSweep(event.attempt.trial.sweep);
  const Trial& trial = *durable_.FindTrial(event.attempt.trial);
  // Once, in order, and as it was reported.
  if (!recorded_[event.attempt].insert(event.sequence).second) world_->Fail("a measurement of " + name + " is doubled");
  uint64_t& last = recorded_last_[event.attempt];
  if (event.sequence < last) world_->Fail("measurements of " + name + " are out of order");
  last = event.sequence;
  const WorkerRecord* record = nullptr;
  for (const auto* records : {&stored_, &gone_}) {
    const auto attempt = records->find(event.attempt);
    if (record != nullptr || attempt == records->end()) continue;
    const auto found = attempt->second.find(event.sequence);
    if (found != attempt->second.end()) record = &found->second;
  }
  if (record == nullptr) return world_->Fail("a measurement of " + name + " was never reported");
  if (record->metrics.size() != event.metrics.size()) world_->Fail("a measurement of " + name + " was changed");
  for (const SlotValue& metric : event.metrics) {
    bool found = false;
    for (const NamedMetric& reported : record->metrics) {
      found = found || (reported.name == sweep.metric_names.at(metric.slot) && Same(reported.value, metric.value));
    }
    if (!found) world_->Fail("a measurement of " + name + " was changed");
  }
  // What a later attempt resumes from is what was recorded: no step is missing.
  const Attempt& of_attempt = trial.attempts.at(event.attempt.number - 1);
  if (of_attempt.worker && event.step > trial.last_step + 1) {
    world_->Fail(name + " went on with step " + std::to_string(event.step) + " after step " +
                 std::to_string(trial.last_step));
  }
  // Decision for decision as a controller that never crashed.
  if (trial.state != TrialState::kRunning && !trial.Preempting()) {
    if (event.verdict != Verdict{}) world_->Fail("a verdict on " + name + ", which is being stopped already");
    return;
  }
  TrialReport report{event.attempt.trial.number, event.step, std::nullopt};
  for (const SlotValue& metric : event.metrics) {
    if (sweep.schedule_slot && metric.slot == *sweep.schedule_slot) report.value = metric.value;
  }
  report.gives = [&](uint32_t donor) { return CopyToGive(sweep.trials[donor], trial) != nullptr; };
  // Whether others waited for a place is known to the controller alone.
  if (event.verdict.reason == Reason::kTakesTurn) report.waiting = 0;
  // Steps of earlier attempts are not judged again.
  Verdict expected;
  if (event.step > trial.steps_before) {
    expected = JudgeByRules(sweep, trial, event.step, event.metrics);
    if (expected.action == Action::kContinue) expected = sweep.scheduler->Decide(report);
  }
  const bool same = expected.action == event.verdict.action && expected.reason == event.verdict.reason &&
                    expected.rank == event.verdict.rank && expected.peers == event.verdict.peers &&
                    Same(expected.cutoff, event.verdict.cutoff);
  if (!same) world_->Fail("a verdict on " + name + " differs from that of a controller that never crashed");
}

void Checker::Check(const Event& event) {
  if (const auto touched = TouchedTrial(event)) {
    const Trial* trial = durable_.FindTrial(*touched);
    if (trial == nullptr) return world_->Fail("an event of an unknown trial: " + EventText(event));
    if (IsTerminal(trial->state)) return world_->Fail("a terminal trial changed: " + EventText(event));
    changed_in_commit_.insert(*touched);
  }
  if (const auto* running = std::get_if<AttemptRunning>(&event)) {
    CheckTime(running->attempt, running->time, "the start");
  }
  if (const auto* measured = std::get_if<Measured>(&event)) {
    Check(*measured);
    CheckTime(measured->attempt, measured->time, "a measurement");
  }
  if (const auto* ended = std::get_if<AttemptEnded>(&event)) {
    CheckTime(ended->attempt, ended->time, "the end");
    if (ended->sequence == 0) fenced_.insert(ended->attempt);
  }
  if (const auto* leased = std::get_if<AttemptLeased>(&event)) {
    if (!(leased->epoch >= durable_.next_epoch())) world_->Fail("an epoch was given twice: " + EventText(event));
  }
}

void Checker::OnDurable(const std::vector<Event>& events) {
  changed_in_commit_.clear();
  for (const Event& event : events) {
    world_->Log([&] { return "  = " + EventText(event); });
    Check(event);
    if (!world_->failure().empty()) return;
    durable_.Apply(event);
    ++durable_events_;
    world_->Trace(event.index(), {durable_events_});
  }
}

void Checker::OnRecovered(const std::vector<Event>& events, const Controller& controller) {
  if (events.size() < durable_events_) return world_->Fail("durable events were lost");
  // A commit that had reached the disk though nobody was told: the whole of it, or nothing.
  const size_t found = events.size() - durable_events_;
  if (found != 0 && found != dying_commit_) return world_->Fail("half a commit was recovered");
  dying_commit_ = 0;
  OnDurable({events.begin() + static_cast<ptrdiff_t>(durable_events_), events.end()});
  OnBatch(controller, true);
}

void Checker::OnBatch(const Controller& controller, bool any_events) {
  // Looking at everything costs as much as there is: with thousands of trials only now and then.
  constexpr size_t kTrialsLookedAt = 100;
  size_t trials = 0;
  for (const auto& [id, sweep] : controller.state().sweeps()) trials += sweep->trials.size();
  if (++batches_ % (1 + trials / kTrialsLookedAt) != 0) return;
  const std::string broken = controller.CheckInvariants();
  if (!broken.empty()) return world_->Fail("invariant: " + broken);
  if (!any_events) return;
  const uint64_t hash = controller.state().Hash();
  if (hash != durable_.Hash()) return world_->Fail("the live state differs from what is durable");
  world_->Trace(100, {hash});
}

void Checker::OnEnd(const std::vector<Event>& events, const Controller& controller) {
  State replayed;
  for (const Event& event : events) replayed.Apply(event);
  if (replayed.Hash() != controller.state().Hash()) world_->Fail("a replay of the journal gives another state");
}

void Checker::CheckRecorded(const AttemptId& attempt, uint64_t up_to) {
  const auto stored = stored_.find(attempt);
  if (stored == stored_.end()) return;
  uint64_t& checked = checked_[attempt];
  for (auto it = stored->second.upper_bound(checked); it != stored->second.end() && it->first <= up_to; ++it) {
    if (recorded_[attempt].count(it->first) == 0) {
      return world_->Fail("measurement " + std::to_string(it->first) + " of " + NameOf(attempt) +
                          " was acknowledged and is not in the journal");
    }
  }
  checked = std::max(checked, up_to);
}

void Checker::OnWelcomeReleased(const SendWelcome& welcome) {
  for (const AttemptAnswer& answer : welcome.attempts) {
    const Trial* trial = durable_.FindTrial(answer.ref.attempt.trial);
    const Attempt* live = trial == nullptr ? nullptr : trial->LiveAttempt();
    const bool leased = live != nullptr && live->epoch == answer.ref.epoch;
    const bool stopping = leased && trial->state == TrialState::kStopping;
    using Kind = AttemptAnswer::Kind;
    const Kind expected = !leased ? Kind::kForget : stopping ? Kind::kKill : Kind::kAdopt;
    // A later command of the same commit may have stopped or ended it: that follows.
    if (answer.kind == expected || changed_in_commit_.count(answer.ref.attempt.trial) != 0) continue;
    world_->Fail("a daemon that came back got the wrong answer for " + NameOf(answer.ref.attempt));
  }
}

void Checker::OnAckReleased(const SendAck& ack) {
  acked_in_session_[{ack.session, ack.ref}] = ack.sequence;
  const AttemptId& id = ack.ref.attempt;
  const Trial* trial = durable_.FindTrial(id.trial);
  // Nobody wants the records of an attempt that was fenced off, or of a deleted sweep; they are acknowledged all the
  // same, so that the daemon forgets them.
  if (trial == nullptr || fenced_.count(id) != 0 || id.number > trial->attempts.size()) return;
  if (trial->attempts[id.number - 1].epoch != ack.ref.epoch) return;
  CheckRecorded(id, ack.sequence);
}

void Checker::OnVerdictReleased(const SendVerdict& verdict) {
  const auto acked = acked_in_session_.find({verdict.session, verdict.ref});
  if (acked != acked_in_session_.end() && verdict.sequence <= acked->second) {
    world_->Fail("the verdict on " + NameOf(verdict.ref.attempt) + " leaves after its acknowledgement");
  }
}

void Checker::OnReportAnswered(const AttemptId& attempt, uint64_t sequence) {
  if (durable_.FindTrial(attempt.trial) != nullptr) CheckRecorded(attempt, sequence);
}

}  // namespace tunesmith::sim
