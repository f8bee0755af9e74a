// Which copies of checkpoints the controller takes and keeps.
#include <algorithm>
#include <cmath>

#include "common/text.h"
#include "server/core/controller.h"

namespace tunesmith {

namespace {

std::string GigabytesText(int64_t bytes) { return ShortText(static_cast<double>(bytes) / 1e9) + " GB"; }

// Of the copies since an attempt, by (attempt, step), the one with the best value; none if no value is a number.
const StoredCheckpoint* BestOf(const std::vector<StoredCheckpoint>& stored, uint32_t first_attempt, Goal goal) {
  const StoredCheckpoint* best = nullptr;
  for (const StoredCheckpoint& one : stored) {
    if (one.attempt < first_attempt || std::isnan(one.value)) continue;
    if (best == nullptr || Better(goal, one.value, best->value)) best = &one;
  }
  return best;
}

}  // namespace

Status Controller::TakesCheckpoint(const AttemptRef& ref) const {
  const Sweep* sweep = state_.FindSweep(ref.attempt.trial.sweep);
  const Trial* trial = state_.FindTrial(ref.attempt.trial);
  if (trial == nullptr) return NotFound("there is no such trial");
  const CheckpointSpec& rules = sweep->spec->checkpoints;
  if (!rules.store) return FailedPrecondition("the sweep keeps no copies of checkpoints (checkpoints.store: false)");
  const uint32_t attempt_number = ref.attempt.number;
  if (attempt_number == 0 || attempt_number > trial->attempts.size()) return NotFound("no such attempt");
  const Attempt& attempt = trial->attempts[attempt_number - 1];
  if (attempt.epoch != ref.epoch || attempt.fenced) {
    return FailedPrecondition("the attempt's lease is no longer valid");
  }
  if (attempt_number < trial->FirstAttempt() || (trial->lineage != nullptr && trial->lineage->due)) {
    return FailedPrecondition("the trial goes on from another trial's checkpoint");
  }
  const bool useful = !IsTerminal(trial->state) || trial->state == TrialState::kCompleted ||
                      (trial->state == TrialState::kStopped && rules.keep_stopped);
  if (!useful) return FailedPrecondition(std::string("the trial is ") + Name(trial->state));
  return OkStatus();
}

LeftoverUse Controller::UseOfLeftovers(const TrialId& id) const {
  const Sweep* sweep = state_.FindSweep(id.sweep);
  if (sweep == nullptr) return id.sweep < state_.next_sweep() ? LeftoverUse::kNone : LeftoverUse::kAll;
  const Trial* trial = state_.FindTrial(id);
  // The best one is what people come for, however it ended. When another one is better, its turn comes.
  const bool stopped = trial != nullptr && trial->state == TrialState::kStopped && sweep->best_trial != id.number;
  return stopped && !sweep->spec->checkpoints.keep_stopped ? LeftoverUse::kNoCheckpoints : LeftoverUse::kAll;
}

void Controller::Handle(const CheckpointArrived& command) {
  if (Status status = TakesCheckpoint(command.ref); !status.ok()) {
    return Refuse(std::move(status), "CHECKPOINT_UNWANTED");
  }
  const TrialId id = command.ref.attempt.trial;
  const Sweep& sweep = *state_.FindSweep(id.sweep);
  const int64_t room = sweep.spec->checkpoints.max_bytes;
  if (room > 0 && command.checkpoint.bytes <= room) MakeRoom(sweep, room - command.checkpoint.bytes, id.number);
  if (room > 0 && sweep.checkpoint_bytes + command.checkpoint.bytes > room) {
    return Refuse(ResourceExhausted("the sweep's checkpoints would take more than the " + GigabytesText(room) +
                                    " that checkpoints.max_gb allows"),
                  "CHECKPOINT_NO_ROOM");
  }
  Emit(CheckpointStored{id, command.checkpoint, now_});
  KeepByRules(sweep, id.number);
  dispatch_ = true;  // the trial may go on anywhere now
}

void Controller::DropCopy(const TrialId& trial, const StoredCheckpoint& checkpoint) {
  const uint32_t attempt = checkpoint.attempt;
  const int64_t step = checkpoint.step;
  Emit(CheckpointDropped{trial, attempt, step});
  Effect_(DropCheckpoint{trial, attempt, step});
}

void Controller::KeepByRules(const Sweep& sweep, uint32_t number) {
  const Trial& trial = sweep.trials[number];
  const CheckpointSpec& rules = sweep.spec->checkpoints;
  // An attempt that is starting may be fetching any of them.
  const Attempt* live = trial.LiveAttempt();
  if (live != nullptr && live->state == AttemptState::kStarting) return;
  const std::vector<StoredCheckpoint> stored = trial.StoredCheckpoints();
  if (stored.empty()) return;
  const bool none = trial.state == TrialState::kStopped && !rules.keep_stopped;
  const StoredCheckpoint* best =
      rules.keep_best ? BestOf(stored, trial.FirstAttempt(), sweep.spec->search.goal) : nullptr;
  // The last one is that of the newest report. What has overtaken its report is kept until that comes.
  const StoredCheckpoint* last = &stored.back();
  while (last != &stored.front() && last->step > trial.last_step) --last;
  const bool reports_may_come = !IsTerminal(trial.state);
  for (const StoredCheckpoint& one : stored) {
    const bool kept = &one == last || &one == best || (&one > last && reports_may_come);
    if (none || !kept) DropCopy({sweep.number, number}, one);
  }
}

void Controller::MakeRoom(const Sweep& sweep, int64_t bytes, uint32_t except) {
  for (const uint32_t number : sweep.finished) {
    if (sweep.checkpoint_bytes <= bytes) return;
    if (number == except || sweep.best_trial == number) continue;
    const std::vector<StoredCheckpoint> stored = sweep.trials[number].StoredCheckpoints();
    for (const StoredCheckpoint& one : stored) DropCopy({sweep.number, number}, one);
  }
}

}  // namespace tunesmith
