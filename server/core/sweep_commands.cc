// Commands about sweeps and trials that users give.
#include "server/core/controller.h"

#include <algorithm>

#include "common/limits.h"
#include "server/core/warm_start.h"

namespace tunesmith {

namespace {

// The name, or name-2, name-3, ... where it is taken.
std::string FreeId(const State& state, const std::string& name) {
  std::string id = name;
  for (int n = 2; state.FindSweep(id) != nullptr; ++n) id = name + "-" + std::to_string(n);
  return id;
}

}  // namespace

void Controller::Handle(const CreateSweep& command) {
  if (!command.request_id.empty() && !command.validate_only) {
    if (const SweepId earlier = state_.FindRequest(command.request_id)) {
      Reply reply;
      reply.sweep = earlier;
      return Answer(std::move(reply));
    }
  }
  Problems problems = Validate(command.spec);
  std::vector<WarmStarted> earlier;
  if (problems.empty() && !command.spec.search.warm_start.empty()) {
    const auto space = Space::Create(command.spec.parameters, command.spec.constraints, &problems);
    if (space) earlier = CollectEarlier(state_, command.spec, *space, &problems);
  }
  if (!problems.empty()) {
    const Problem& first = problems.front();
    std::string message = first.field.empty() ? first.message : first.field + ": " + first.message;
    if (problems.size() > 1) message += " (and " + std::to_string(problems.size() - 1) + " more)";
    return Refuse(InvalidArgument(message), "SWEEP_INVALID", std::move(problems));
  }
  if (command.validate_only) return Answer({});
  size_t active = 0;
  for (const auto& [id, sweep] : state_.sweeps()) active += IsTerminal(sweep->state) ? 0 : 1;
  if (active >= kSweepsActiveMax) {
    return Refuse(ResourceExhausted("at most " + std::to_string(kSweepsActiveMax) +
                                    " sweeps can be active; stop or wait for some"),
                  "TOO_MANY_SWEEPS");
  }
  SweepCreated event;
  event.sweep = state_.next_sweep();
  event.id = FreeId(state_, command.spec.name);
  event.request_id = command.request_id;
  event.spec = command.spec;
  event.seed = command.spec.search.seed.value_or(command.drawn_seed);
  event.time = now_;
  const SweepId id = event.sweep;
  Emit(std::move(event));
  for (WarmStarted& trial : earlier) {
    trial.sweep = id;
    Emit(std::move(trial));
  }
  const Sweep& sweep = *state_.FindSweep(id);
  Effect_(SearcherFor(sweep));
  dispatch_ = true;
  Reply reply;
  reply.sweep = id;
  Answer(std::move(reply));
}

void Controller::Handle(const ControlSweep& command) {
  using Operation = ControlSweep::Operation;
  const Sweep* sweep = NeedSweep(command.sweep);
  if (sweep == nullptr) return;
  Reply reply;
  reply.sweep = command.sweep;
  const bool over = IsTerminal(sweep->state);
  const bool stopping = sweep->state == SweepState::kStopping;
  switch (command.operation) {
    case Operation::kStop:
      if (!over) BeginStop(*sweep, SweepState::kCancelled, "stopped by a user");
      break;
    case Operation::kPause:
      if (over || stopping) {
        return Refuse(FailedPrecondition("sweep " + sweep->id + " is " + Name(sweep->state) +
                                         "; only an active one can be paused"),
                      "SWEEP_NOT_ACTIVE");
      }
      if (sweep->state == SweepState::kActive) {
        Emit(SweepChanged{command.sweep, SweepState::kPaused, SweepState::kPaused, "paused by a user", now_});
        ServeAsks(*sweep);  // they are told so
        dispatch_ = true;
      }
      break;
    case Operation::kResume:
      if (over || stopping) {
        return Refuse(FailedPrecondition("sweep " + sweep->id + " is " + Name(sweep->state) +
                                         "; only a paused one can be resumed"),
                      "SWEEP_NOT_ACTIVE");
      }
      if (sweep->state == SweepState::kPaused) {
        Emit(SweepChanged{command.sweep, SweepState::kActive, SweepState::kActive, "", now_});
        dispatch_ = true;
      }
      break;
    case Operation::kDelete:
      if (!over) {
        return Refuse(FailedPrecondition("sweep " + sweep->id + " is " + Name(sweep->state) +
                                         "; stop it first, or delete it with force"),
                      "SWEEP_ACTIVE");
      }
      DropSweep(command.sweep);
      break;
    case Operation::kForceDelete:
      if (over) {
        DropSweep(command.sweep);
        break;
      }
      if (stopping) {
        Emit(SweepChanged{command.sweep, SweepState::kStopping, sweep->becomes, sweep->reason, now_, true});
      } else {
        BeginStop(*sweep, SweepState::kCancelled, "deleted by a user", true);
      }
      break;
  }
  Answer(std::move(reply));
}

void Controller::Handle(const UpdateSweep& command) {
  const Sweep* sweep = NeedSweep(command.sweep);
  if (sweep == nullptr) return;
  if (IsTerminal(sweep->state)) {
    return Refuse(FailedPrecondition("sweep " + sweep->id + " is " + Name(sweep->state) +
                                     "; nothing of it runs any more"),
                  "SWEEP_NOT_ACTIVE");
  }
  ShareSpec share = sweep->spec->share;
  share.priority = command.priority.value_or(share.priority);
  share.weight = command.weight.value_or(share.weight);
  share.preemptible = command.preemptible.value_or(share.preemptible);
  const int32_t max_parallel = command.max_parallel.value_or(sweep->spec->budget.max_parallel);
  if (Problems problems = ValidateShare(share, max_parallel); !problems.empty()) {
    const std::string message = problems.front().field + ": " + problems.front().message;
    return Refuse(InvalidArgument(message), "SWEEP_INVALID", std::move(problems));
  }
  if (share != sweep->spec->share || max_parallel != sweep->spec->budget.max_parallel) {
    Emit(SweepUpdated{command.sweep, share, max_parallel, now_});
    dispatch_ = true;
  }
  Reply reply;
  reply.sweep = command.sweep;
  Answer(std::move(reply));
}

void Controller::Handle(const StopTrial& command) {
  const Sweep* sweep = NeedSweep(command.trial.sweep);
  if (sweep == nullptr) return;
  const Trial* trial = sweep->Find(command.trial.number);
  if (trial == nullptr) {
    return Refuse(NotFound("sweep " + sweep->id + " has no trial " + std::to_string(command.trial.number)),
                  "TRIAL_NOT_FOUND");
  }
  if (IsTerminal(trial->state)) {
    return Refuse(FailedPrecondition("trial " + std::to_string(command.trial.number) + " has ended already (" +
                                     Name(trial->state) + ")"),
                  "TRIAL_TERMINAL");
  }
  StopOneTrial(*sweep, command.trial.number, "stopped by a user");
  Answer({});
}

void Controller::Handle(const SuggestionReady& command) {
  const Sweep* sweep = state_.FindSweep(command.sweep);
  if (sweep == nullptr) return;
  SweepWork& work = work_[command.sweep];
  if (work.suggestions_outstanding > 0) --work.suggestions_outstanding;
  dispatch_ = true;
  if (sweep->state >= SweepState::kStopping) return;
  if (command.suggestion.exhausted) {
    if (!sweep->exhausted) Emit(SpaceExhausted{command.sweep});
    return MaybeFinishSweep(command.sweep);
  }
  // Asked for in order and answered in order; anything else is an answer to a question nobody has any more.
  if (command.trial != sweep->trials.size()) return MaybeFinishSweep(command.sweep);
  CreateTrials(*sweep, command.suggestion.point, command.suggestion.origin);
}

void Controller::Handle(const Tick& command) {
  EndHoldBacks();
  // Sweeps may end or vanish on the way, so the numbers are copied first.
  std::vector<SweepId> ids;
  for (const auto& [id, sweep] : state_.sweeps()) {
    if (!IsTerminal(sweep->state)) ids.push_back(id);
  }
  for (const SweepId id : ids) {
    const Sweep* sweep = state_.FindSweep(id);
    if (sweep == nullptr) continue;
    const int64_t wall_ms = sweep->spec->budget.wall_ms;
    if (wall_ms > 0 && (now_ - sweep->created).ms >= wall_ms) {
      BeginStop(*sweep, SweepState::kSucceeded, "the time budget (budget.wall) is used up");
      if (state_.FindSweep(id) == nullptr) continue;
    }
    if (IsStarved(*sweep)) dispatch_ = true;
    StopIfUsedUp(*sweep);
    if (state_.FindSweep(id) == nullptr) continue;
    std::vector<uint32_t> expired;
    for (const auto& [number, deadline] : work_[id].ask_deadlines) {
      if (deadline <= now_) expired.push_back(number);
    }
    for (const uint32_t number : expired) {
      const Trial* trial = state_.FindTrial({id, number});
      work_[id].ask_deadlines.erase(number);
      if (trial == nullptr || trial->LiveAttempt() == nullptr) continue;
      LoseAttempt({{{id, number}, static_cast<uint32_t>(trial->attempts.size())}, trial->LiveAttempt()->epoch},
                  "its client gave no sign of life for " + std::to_string(trial->LiveAttempt()->lease_ms) + " ms");
    }
  }
  for (auto& [id, worker] : live_) {
    if ((now_ - worker.last_seen).ms < options_.lease_ms) continue;
    dispatch_ = true;  // what waited for it goes elsewhere
    if (worker.session) {
      Effect_(
          CloseSession{worker.session, Unavailable("no heartbeat for " + std::to_string(options_.lease_ms) + " ms")});
      sessions_.erase(worker.session);
      worker.session = SessionId();
      ++topology_;
    }
    const auto attempts = worker.attempts;
    for (const auto& [attempt, sequence] : attempts) {
      const Trial* trial = state_.FindTrial(attempt.trial);
      if (trial == nullptr || trial->LiveAttempt() == nullptr) continue;
      LoseAttempt({attempt, trial->LiveAttempt()->epoch},
                  "worker " + state_.workers().at(id).name + " was not heard of for " +
                      std::to_string(options_.lease_ms / 1000) + " s");
    }
    worker.attempts.clear();
  }
}

}  // namespace tunesmith
