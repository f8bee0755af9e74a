// Why a trial is where it is: the facts that the controller acts on, in words.
#include <algorithm>
#include <cmath>

#include "common/text.h"
#include "server/core/controller.h"

namespace tunesmith {

namespace {

constexpr size_t kWorkersNamedMax = 8;

std::string Because(const AttemptExit* exit) {
  return exit == nullptr || exit->reason.empty() ? "" : ": " + exit->reason;
}

}  // namespace

std::string Controller::AttemptText(const Trial& trial, size_t index) const {
  const Attempt& attempt = trial.attempts[index];
  std::string text = "attempt " + std::to_string(index + 1);
  const auto worker = state_.workers().find(attempt.worker);
  if (worker != state_.workers().end()) text += " on " + worker->second.name;
  if (!attempt.client.empty()) text += " by client " + attempt.client;
  switch (attempt.state) {
    case AttemptState::kStarting: return text + " is being started";
    case AttemptState::kRunning: return text + " runs";
    case AttemptState::kStopping: return text + " has been told to leave";
    case AttemptState::kSucceeded: return text + " ended well";
    case AttemptState::kFailed: return text + " failed" + Because(attempt.exit.get());
    case AttemptState::kLost: return text + " was lost" + Because(attempt.exit.get());
    case AttemptState::kCancelled: return text + " was ended" + Because(attempt.exit.get());
    case AttemptState::kPreempted: return text + " was preempted" + Because(attempt.exit.get());
  }
  return text;
}

std::string Controller::MissText(const Sweep& sweep, WorkerId id, const LiveWorker& worker) const {
  const WorkerIdentity& identity = state_.workers().at(id);
  if (!worker.session) return "it is not connected";
  if (identity.quarantined) return "it is quarantined: " + identity.reason;
  if (identity.drained) return "it is drained: " + identity.reason;
  if (worker.draining) return "its daemon is going away";
  if (IsKeptFree(sweep, id)) {
    const auto kept = kept_free_.find(id);
    const Sweep* other = kept == kept_free_.end() ? nullptr : state_.FindSweep(kept->second);
    return other == nullptr ? "trials on it make room for a sweep of higher priority"
                            : "it is kept free for sweep " + other->id + ", which has waited the longest";
  }
  return MissOn(worker, RequestOf(sweep));
}

void Controller::WhyPending(const Sweep& sweep, uint32_t number, std::vector<std::string>* lines) const {
  const Trial& trial = sweep.trials[number];
  const RetrySpec& retry = sweep.spec->retry;
  if (trial.promoted && trial.takes_turns) {
    lines->push_back("it goes on from step " + std::to_string(trial.last_step) + " when it is its turn");
  } else if (trial.promoted) {
    lines->push_back("it is among the best at its rung, and goes on from step " + std::to_string(trial.last_step));
  } else if (!trial.attempts.empty() && trial.attempts.back().state == AttemptState::kLost) {
    lines->push_back(AttemptText(trial, trial.attempts.size() - 1) + "; it runs again from its last checkpoint (" +
                     std::to_string(trial.losses) + " of " + std::to_string(retry.lost) + " that retry.lost allows)");
  } else if (!trial.attempts.empty() && trial.attempts.back().state == AttemptState::kPreempted) {
    lines->push_back(AttemptText(trial, trial.attempts.size() - 1) + "; it goes on from its last checkpoint");
  } else if (!trial.attempts.empty()) {
    lines->push_back(AttemptText(trial, trial.attempts.size() - 1) + "; it is tried again (" +
                     std::to_string(trial.failures) + " of " + std::to_string(retry.failed) +
                     " that retry.failed allows)");
  } else {
    lines->push_back("it has not run yet");
  }
  if (sweep.state == SweepState::kPaused) {
    lines->push_back("its sweep is paused: nothing starts until it is resumed");
    return;
  }
  if (sweep.spec->ask_tell) {
    lines->push_back("it waits for a client to ask for it");
    return;
  }
  if (MayStart(sweep) == 0) {
    lines->push_back("budget.max_parallel is " + std::to_string(sweep.spec->budget.max_parallel) +
                     ", and as many trials of the sweep run");
  }
  const auto& order = sweep.pending.order();
  const auto ahead = std::distance(order.begin(), order.find(PlaceOf(trial, number)));
  if (ahead > 0) lines->push_back(Counted(ahead, "trial") + " of its sweep " + (ahead == 1 ? "goes" : "go") + " first");
  if (const std::string held = HeldBackText(sweep); !held.empty()) lines->push_back(held);
  if (const WorkerId home = HomeOf(sweep, trial); home && !trial.NewestIsStored()) {
    const std::string miss = MissText(sweep, home, live_.at(home));
    lines->push_back("its checkpoints are on worker " + state_.workers().at(home).name +
                     (miss.empty() ? ", which has room" : ", and it waits for room there: " + miss));
    return;
  }
  if (live_.empty()) lines->push_back("no worker is connected");
  // The closest miss first: those that would take it if they had room.
  std::vector<std::string> close, others;
  for (const auto& [id, worker] : live_) {
    const std::string miss = MissText(sweep, id, worker);
    const std::string line = "worker " + state_.workers().at(id).name + (miss.empty() ? " has room" : ": " + miss);
    (Accepts(id, worker) ? close : others).push_back(line);
  }
  close.insert(close.end(), others.begin(), others.end());
  for (size_t i = 0; i < std::min(close.size(), kWorkersNamedMax); ++i) lines->push_back(close[i]);
  if (close.size() > kWorkersNamedMax) {
    lines->push_back("and " + Counted(static_cast<int64_t>(close.size() - kWorkersNamedMax), "more worker"));
  }
}

void Controller::WhyAtRung(const Sweep& sweep, const Trial& trial, std::vector<std::string>* lines) const {
  const auto milestones = sweep.milestones.find(trial.bracket);
  if (milestones == sweep.milestones.end()) return;
  const bool paused = trial.state == TrialState::kPaused;
  const auto next = std::find_if(milestones->second.begin(), milestones->second.end(),
                                 [&](int64_t step) { return step > trial.last_step; });
  if (!paused && next == milestones->second.end()) return;
  const double rung = paused ? trial.stop_verdict.milestone : static_cast<double>(*next);
  for (const RungStatus& status : sweep.scheduler->Rungs()) {
    if (status.bracket != trial.bracket || std::ceil(status.milestone) != rung) continue;
    const SchedulerSpec& scheduler = sweep.spec->scheduler;
    const bool pauses = Pauses(SchedulerOptionsOf(*sweep.spec, sweep.seed));
    std::string text = "it is judged next at step " + ShortText(rung);
    if (paused && scheduler.promotion) text = "it goes on when it is among the best at rung " + ShortText(rung);
    if (paused && !scheduler.promotion) {
      text = "bracket " + std::to_string(trial.bracket) + " is judged when its other trials have got to rung " +
             ShortText(rung) + " or have ended";
    }
    text += ", which " + Counted(status.recorded, "trial") + (status.recorded == 1 ? " has" : " have") + " reached";
    if (pauses) {
      text += "; " + std::to_string(status.promoted) + " of them went on";
    } else if (status.stopped > 0) {
      text += "; " + std::to_string(status.stopped) + " of them stopped there";
    }
    if (status.cutoff) text += "; the cutoff is " + ShortText(*status.cutoff) + " now";
    lines->push_back(text);
    return;
  }
}

void Controller::WhyTakenOver(const Sweep& sweep, const Trial& trial, std::vector<std::string>* lines) const {
  const auto text = [&](const Exploit& exploit) {
    std::string changed;
    for (size_t i = 0; i < exploit.point.size(); ++i) {
      if (SameValue(exploit.point[i], exploit.donor_point[i])) continue;
      const auto value = [](const Value& v) { return IsActive(v) ? ValueText(v) : "inactive"; };
      changed += (changed.empty() ? ", with " : ", ") + sweep.space->parameters()[i].name + " " +
                 value(exploit.donor_point[i]) + " -> " + value(exploit.point[i]);
    }
    return "the checkpoint of trial " + std::to_string(exploit.donor) + " at step " + std::to_string(exploit.step) +
           changed;
  };
  if (trial.lineage == nullptr) return;
  if (trial.lineage->due) lines->push_back("it will go on from " + text(trial.lineage->due->first));
  const auto& exploits = trial.lineage->exploits;
  for (auto exploit = exploits.rbegin(); exploit != exploits.rend(); ++exploit) {
    lines->push_back("after its own step " + std::to_string(exploit->left_step) + " it went on from " +
                     text(*exploit));
  }
}

std::vector<std::string> Controller::WhyTrial(const Sweep& sweep, uint32_t number) const {
  const Trial& trial = sweep.trials.at(number);
  std::vector<std::string> lines;
  const std::string verdict = ExplainVerdict(*sweep.spec, trial.stop_verdict);
  const bool judged = trial.stop_verdict.action != Action::kContinue;
  const std::string reason = trial.reason.empty() && judged ? verdict : trial.reason;
  switch (trial.state) {
    case TrialState::kPending:
      WhyPending(sweep, number, &lines);
      WhyTakenOver(sweep, trial, &lines);
      return lines;
    case TrialState::kRunning:
      lines.push_back(AttemptText(trial, trial.attempts.size() - 1) + ", at step " + std::to_string(trial.last_step));
      WhyAtRung(sweep, trial, &lines);
      break;
    case TrialState::kStopping:
      lines.push_back(reason);
      lines.push_back("its processes have " + ShortText(static_cast<double>(sweep.spec->stop_grace_ms) / 1000) +
                      " s to leave, then they are killed");
      break;
    case TrialState::kPaused:
      lines.push_back(reason);
      WhyAtRung(sweep, trial, &lines);
      break;
    case TrialState::kCompleted:
      lines.push_back((reason.empty() ? "its program ended by itself" : reason) + ", at step " +
                      std::to_string(trial.last_step));
      break;
    case TrialState::kStopped:
    case TrialState::kCancelled:
      lines.push_back(reason);
      break;
    case TrialState::kFailed: {
      lines.push_back(reason);
      const RetrySpec& retry = sweep.spec->retry;
      lines.push_back("it is not tried again: it failed " + Counted(trial.failures, "time") + " (retry.failed: " +
                      std::to_string(retry.failed) + ") and was lost " + Counted(trial.losses, "time") +
                      " (retry.lost: " + std::to_string(retry.lost) + ")");
      break;
    }
  }
  WhyTakenOver(sweep, trial, &lines);
  // What came before.
  const size_t earlier = trial.LiveAttempt() != nullptr ? trial.attempts.size() - 1 : trial.attempts.size();
  for (size_t i = 0; i < earlier && earlier + (trial.LiveAttempt() != nullptr ? 1 : 0) > 1; ++i) {
    lines.push_back(AttemptText(trial, i));
  }
  return lines;
}

}  // namespace tunesmith
