// Ask and tell: trials that the clients run themselves.
#include "server/core/controller.h"

#include <algorithm>

#include "common/limits.h"

namespace tunesmith {

namespace {

constexpr size_t kClientIdBytesMax = 64;
constexpr int32_t kAskCountMax = 100;
constexpr int64_t kAskLeaseMsMin = 1'000;
constexpr int64_t kAskLeaseMsMax = 24 * 3600 * 1000;

}  // namespace

void Controller::Handle(const AskTrials& command) {
  const Sweep* sweep = NeedSweep(command.sweep);
  if (sweep == nullptr) return;
  Problems problems;
  if (command.client_id.empty() || command.client_id.size() > kClientIdBytesMax) {
    problems.push_back({"client_id", "must have 1 to 64 bytes", "name the client, the same over its life"});
  }
  if (command.count < 1 || command.count > kAskCountMax) {
    problems.push_back({"count", "must be 1 to 100", "ask again for more"});
  }
  if (command.lease_ms < kAskLeaseMsMin || command.lease_ms > kAskLeaseMsMax) {
    problems.push_back({"lease", "must be 1 s to 1 day", "renew it with RenewTrial or ReportTrial"});
  }
  if (!problems.empty()) {
    return Refuse(InvalidArgument(problems[0].field + ": " + problems[0].message), "ASK_INVALID", problems);
  }
  if (!sweep->spec->ask_tell) {
    return Refuse(FailedPrecondition("sweep " + sweep->id +
                                     " dispatches its trials to workers; create it with ask_tell to run them yourself"),
                  "SWEEP_NOT_ASK_TELL");
  }
  work_[command.sweep].asks.push_back({std::exchange(token_, 0), command.client_id, command.count, command.lease_ms});
  ServeAsks(*sweep);
  dispatch_ = true;
}

void Controller::ServeAsks(const Sweep& sweep) {
  SweepWork& work = work_[sweep.number];
  while (!work.asks.empty()) {
    const Ask ask = work.asks.front();
    Reply reply;
    // What the client holds already comes first: asking again after a crash or a lost answer gives the same trials.
    std::vector<uint32_t> held;
    for (const uint32_t number : sweep.live) {
      const Attempt* attempt = sweep.trials[number].LiveAttempt();
      if (attempt != nullptr && attempt->client == ask.client_id &&
          sweep.trials[number].state == TrialState::kRunning) {
        held.push_back(number);
      }
      if (held.size() == static_cast<size_t>(ask.count)) break;
    }
    int64_t fresh = ask.count - static_cast<int64_t>(held.size());
    const bool at_limit = fresh > MayStart(sweep);
    fresh = std::min(fresh, MayStart(sweep));
    const bool active = sweep.state == SweepState::kActive;
    if (!active) fresh = 0;
    const auto pending = static_cast<int64_t>(sweep.pending.size());
    if (fresh > pending && MoreToCome(sweep)) {
      RequestSuggestions(sweep, fresh - pending);
      return;  // goes on when they have come
    }
    work.asks.pop_front();
    for (const uint32_t number : held) {
      const Trial& trial = sweep.trials[number];
      reply.asked.push_back({{{sweep.number, number}, static_cast<uint32_t>(trial.attempts.size())},
                             trial.attempts.back().epoch});
      work.ask_deadlines[number] = now_ + Milliseconds(ask.lease_ms);
    }
    for (; fresh > 0 && !sweep.pending.empty(); --fresh) {
      const uint32_t number = sweep.pending.front();
      AttemptLeased event;
      event.attempt = {{sweep.number, number}, static_cast<uint32_t>(sweep.trials[number].attempts.size()) + 1};
      event.epoch = state_.next_epoch();
      event.client = ask.client_id;
      event.lease_ms = ask.lease_ms;
      event.time = now_;
      reply.asked.push_back({event.attempt, event.epoch});
      Emit(std::move(event));
      work.ask_deadlines[number] = now_ + Milliseconds(ask.lease_ms);
    }
    if (static_cast<int64_t>(reply.asked.size()) < ask.count) {
      if (sweep.state == SweepState::kPaused) {
        reply.text = "the sweep is paused";
      } else if (!active) {
        reply.text = "the sweep has ended";
        reply.finished = true;
      } else if (at_limit) {
        reply.text = "max_parallel trials are running";
      } else if (sweep.exhausted) {
        reply.text = "the search space is exhausted";
        reply.finished = true;
      } else {
        reply.text = "all trials of the budget are handed out";
        reply.finished = true;
      }
      // A trial that others hold may come back lost, so it is not over for those who hold nothing.
      if (!sweep.live.empty() && active) reply.finished = reply.finished && held.size() == sweep.live.size();
    }
    AnswerTo(ask.token, std::move(reply));
  }
}

void Controller::Handle(const ReportTrial& command) {
  const Sweep* sweep = NeedSweep(command.trial.sweep);
  if (sweep == nullptr) return;
  const Trial* trial = sweep->Find(command.trial.number);
  if (trial == nullptr) return Refuse(NotFound("no such trial"), "TRIAL_NOT_FOUND");
  const Attempt* attempt = trial->LiveAttempt();
  if (attempt == nullptr || attempt->epoch != command.epoch || attempt->worker) {
    return Refuse(MakeStatus(StatusCode::kAborted, "the lease on trial " + std::to_string(command.trial.number) +
                                                       " is no longer held; ask for another trial"),
                  "LEASE_LOST");
  }
  if (command.sequence == 0) {
    return Refuse(InvalidArgument("sequence: must be 1, 2, ... within the attempt"), "REPORT_INVALID",
                  {{"sequence", "must be 1, 2, ... within the attempt", ""}});
  }
  work_[command.trial.sweep].ask_deadlines[command.trial.number] = now_ + Milliseconds(attempt->lease_ms);
  Reply reply;
  if (command.sequence <= attempt->sequence) {
    // Seen before: the verdict that stands. (A stop holds until the trial ends; anything else continues.)
    if (trial->state == TrialState::kStopping) {
      reply.verdict = trial->stop_verdict;
      const bool by_scheduler = reply.verdict.action == Action::kStop;
      reply.verdict.action = Action::kStop;
      reply.text = by_scheduler ? ExplainVerdict(*sweep->spec, reply.verdict)
                                : trial->reason;
    }
    return Answer(std::move(reply));
  }
  const AttemptRef ref{{command.trial, static_cast<uint32_t>(trial->attempts.size())}, command.epoch};
  reply.verdict = Measure(ref, command.sequence, command.step, command.metrics, "", now_);
  if (trial->state == TrialState::kStopping && reply.verdict.action != Action::kStop) {
    reply.verdict.action = Action::kStop;
    reply.text = trial->reason;
  } else if (IsDecision(reply.verdict)) {
    reply.text = ExplainVerdict(*sweep->spec, reply.verdict);
  }
  Answer(std::move(reply));
}

void Controller::Handle(const RenewTrial& command) {
  const Sweep* sweep = NeedSweep(command.trial.sweep);
  if (sweep == nullptr) return;
  const Trial* trial = sweep->Find(command.trial.number);
  if (trial == nullptr) return Refuse(NotFound("no such trial"), "TRIAL_NOT_FOUND");
  const Attempt* attempt = trial->LiveAttempt();
  if (attempt == nullptr || attempt->epoch != command.epoch || attempt->worker) {
    return Refuse(MakeStatus(StatusCode::kAborted, "the lease is no longer held; ask for another trial"), "LEASE_LOST");
  }
  work_[command.trial.sweep].ask_deadlines[command.trial.number] = now_ + Milliseconds(attempt->lease_ms);
  Reply reply;
  reply.stop = trial->state == TrialState::kStopping;
  reply.text = trial->reason;
  Answer(std::move(reply));
}

void Controller::Handle(const CompleteTrial& command) {
  const Sweep* sweep = NeedSweep(command.trial.sweep);
  if (sweep == nullptr) return;
  const Trial* trial = sweep->Find(command.trial.number);
  if (trial == nullptr) return Refuse(NotFound("no such trial"), "TRIAL_NOT_FOUND");
  const bool same = !trial->attempts.empty() && trial->attempts.back().epoch == command.epoch;
  if (same && IsTerminal(trial->state)) return Answer({});  // said before
  const Attempt* attempt = trial->LiveAttempt();
  if (!same || attempt == nullptr || attempt->worker) {
    return Refuse(MakeStatus(StatusCode::kAborted, "the lease is no longer held; another client may run the trial"),
                  "LEASE_LOST");
  }
  AttemptExit exit;
  if (!command.failure.empty()) {
    exit.exit_code = 1;
    exit.reason = command.failure;
  } else {
    exit.exit_code = 0;
  }
  const AttemptRef ref{{command.trial, static_cast<uint32_t>(trial->attempts.size())}, command.epoch};
  FinishAttempt(ref, 0, exit, now_);
  Answer({});
}

}  // namespace tunesmith
