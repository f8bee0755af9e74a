#include "worker/agent/agent.h"

#include <signal.h>
#include <string.h>

#include <algorithm>
#include <utility>

#include "common/check.h"
#include "common/text.h"

namespace tunesmith::worker {

Agent::Attempt* Agent::Find(const AttemptKey& key) {
  const auto it = attempts_.find(key);
  return it == attempts_.end() ? nullptr : &it->second;
}

// --- the session

std::vector<AttemptKey> Agent::HelloAttempts() const {
  std::vector<AttemptKey> keys;
  for (const auto& [key, attempt] : attempts_) {
    if (!attempt.forgotten) keys.push_back(key);
  }
  return keys;
}

void Agent::OnWelcome(Duration lease, const std::vector<AttemptAnswer>& answers, Time now) {
  welcomed_ = true;
  lease_ = lease;
  lease_ends_ = kTimeNever;
  for (auto& [key, attempt] : attempts_) attempt.sent = 0;
  for (const AttemptAnswer& answer : answers) {
    Attempt* attempt = Find(answer.key);
    if (attempt == nullptr) continue;
    switch (answer.kind) {
      case AttemptAnswer::Kind::kAdopt:
      case AttemptAnswer::Kind::kKill:
        if (std::exchange(attempt->end_unknown, false)) {
          // Numbered after the answer is known: the spool may lack records that the controller has.
          attempt->last_sequence = std::max(attempt->last_sequence, answer.acked);
          End(answer.key, attempt,
              Ended{.reason = "the worker daemon was killed and has started again", .lost = true},
              now);
        }
        // Before what was recorded is answered: a trial that reads "continue" first begins its next step.
        if (answer.kind == AttemptAnswer::Kind::kKill) OnStop(answer.key, answer.reason, false, now);
        AckUpTo(answer.key, attempt, answer.acked);
        break;
      case AttemptAnswer::Kind::kForget:
        attempt->forgotten = true;
        attempt->unacked.clear();
        attempt->unacked_bytes = attempt->sent = 0;
        if (attempt->HasNoProcess()) {
          Release(answer.key);
        } else {
          BeginStop(answer.key, attempt, StopCause::kForgotten, answer.reason, true, now);
        }
        break;
    }
  }
  StartWaiting(now);
}

void Agent::OnDisconnected(Time now) {
  if (!welcomed_) return;
  welcomed_ = false;
  lease_ends_ = now + lease_;
}

void Agent::OnAssign(std::shared_ptr<const Assignment> assignment, Time now) {
  const AttemptKey key = assignment->key;
  if (attempts_.count(key) != 0) return;
  Attempt& attempt = attempts_[key];
  attempt.assignment = std::move(assignment);
  if (draining_) {
    End(key, &attempt,
        Ended{.reason = "the worker is leaving and starts nothing new", .lost = true}, now);
    return;
  }
  StartWaiting(now);
}

void Agent::OnStop(const AttemptKey& key, const std::string& reason, bool at_once, Time now) {
  Attempt* attempt = Find(key);
  if (attempt == nullptr || attempt->phase == Phase::kEnded) return;
  if (attempt->HasNoProcess()) {
    End(key, attempt,
        Ended{.reason = "stopped before it started: " + reason, .stop_requested = true}, now);
    return;
  }
  if (attempt->cause == StopCause::kNone) {
    outputs_.push_back(TellTrial{key, attempt->last_step, true, reason});
  }
  BeginStop(key, attempt, StopCause::kController, reason, at_once, now);
}

void Agent::OnAck(const AttemptKey& key, uint64_t sequence, Time now) {
  Attempt* attempt = Find(key);
  if (attempt == nullptr) return;
  AckUpTo(key, attempt, sequence);
  StartWaiting(now);
}

void Agent::OnVerdict(const AttemptKey& key, uint64_t sequence, bool stop,
                      const std::string& reason) {
  Attempt* attempt = Find(key);
  if (attempt == nullptr) return;
  for (const RecordPtr& record : attempt->unacked) {
    if (record->sequence != sequence) continue;
    const auto* measured = std::get_if<Measured>(&record->kind);
    if (measured == nullptr || !measured->channel_step.has_value()) return;
    if (!attempt->verdicts_delivered.insert(sequence).second) return;
    // From here on it leaves because it was asked to, also if it is gone before the Stop comes.
    if (stop && attempt->cause == StopCause::kNone) {
      attempt->cause = StopCause::kController;
      attempt->cause_reason = reason;
    }
    outputs_.push_back(TellTrial{key, *measured->channel_step, stop, reason});
    return;
  }
}

void Agent::OnDrain(bool stop_running, Time now) {
  if (stop_running) LoseRunning("the worker was drained", false, now);
}

void Agent::AckUpTo(const AttemptKey& key, Attempt* attempt, uint64_t sequence) {
  bool ended = false;
  while (!attempt->unacked.empty() && attempt->unacked.front()->sequence <= sequence) {
    const RecordPtr record = std::move(attempt->unacked.front());
    attempt->unacked.pop_front();
    attempt->unacked_bytes -= RecordBytes(*record);
    if (attempt->sent > 0) --attempt->sent;
    ended = ended || std::holds_alternative<Ended>(record->kind);
    const auto* measured = std::get_if<Measured>(&record->kind);
    if (measured != nullptr && measured->channel_step.has_value() &&
        attempt->verdicts_delivered.erase(record->sequence) == 0) {
      outputs_.push_back(TellTrial{key, *measured->channel_step, false, ""});
    }
  }
  if (ended) Release(key);
}

// --- processes

void Agent::OnResumeFound(const AttemptKey& key, const Resume& resume, Time now) {
  Attempt* attempt = Find(key);
  if (attempt == nullptr || attempt->phase != Phase::kFinding) return;
  auto assignment = std::make_shared<Assignment>(*attempt->assignment);
  assignment->resume_step = resume.step;
  assignment->resume_name = resume.name;
  attempt->assignment = std::move(assignment);
  if (!resume.note.empty()) Append(key, attempt, now, LogChunk{"[tunesmith: " + resume.note + "]\n", 0});
  // Something may have come in its way meanwhile.
  attempt->resume_found = true;
  attempt->phase = Phase::kWaiting;
  StartWaiting(now);
}

void Agent::OnStarted(const AttemptKey& key, int64_t pid, bool steps_from_zero, Time now) {
  Attempt* attempt = Find(key);
  TS_CHECK(attempt != nullptr && attempt->phase == Phase::kStarting, "started without a Spawn");
  attempt->phase = Phase::kRunning;
  attempt->steps_from_zero = steps_from_zero;
  Append(key, attempt, now, Started{pid});
}

void Agent::OnStartFailed(const AttemptKey& key, const std::string& reason, Time now) {
  Attempt* attempt = Find(key);
  TS_CHECK(attempt != nullptr && attempt->phase == Phase::kStarting, "failed without a Spawn");
  if (attempt->forgotten) return Release(key);
  End(key, attempt, Ended{.start_failed = true, .reason = reason}, now);
}

void Agent::OnReport(const AttemptKey& key, const Report& report, Time now) {
  Attempt* attempt = Find(key);
  if (attempt == nullptr || attempt->phase == Phase::kEnded || attempt->forgotten) return;
  if (attempt->measurements >= options_.measurements_max) {
    BeginStop(key, attempt, StopCause::kLimit,
              "reported more than " + std::to_string(options_.measurements_max) +
                  " measurements; report once per epoch instead of once per batch",
              false, now);
    return;
  }
  ++attempt->measurements;
  const int64_t given = report.step.value_or(attempt->last_step + 1);
  // A program that counts from 0 would reach every milestone one epoch late.
  if (report.step == 0 && attempt->measurements == 1) attempt->steps_from_zero = true;
  const int64_t step = report.step.has_value() && attempt->steps_from_zero ? given + 1 : given;
  attempt->last_step = step;
  if (attempt->assignment != nullptr) {
    for (const NamedValue& metric : report.metrics) {
      const auto& declared = attempt->assignment->metrics;
      if (std::find(declared.begin(), declared.end(), metric.name) != declared.end()) {
        attempt->metrics_seen.insert(metric.name);
      }
    }
  }
  Append(key, attempt, now,
         Measured{step, report.metrics, report.checkpoint,
                  report.from_channel ? std::optional<int64_t>(given) : std::nullopt});
  if (!report.checkpoint.empty() && attempt->assignment != nullptr) {
    attempt->named_checkpoint = true;
    outputs_.push_back(SaveCheckpoint{attempt->assignment, step, report.checkpoint});
  }
}

void Agent::OnLog(const AttemptKey& key, std::string data, int64_t dropped_bytes, Time now) {
  Attempt* attempt = Find(key);
  if (attempt == nullptr || attempt->phase == Phase::kEnded || attempt->forgotten) return;
  Append(key, attempt, now, LogChunk{std::move(data), dropped_bytes});
}

void Agent::OnProgramExited(const AttemptKey& key, Time now) {
  Attempt* attempt = Find(key);
  if (attempt == nullptr || attempt->phase != Phase::kRunning) return;
  attempt->phase = Phase::kLeaving;
  if (attempt->term_sent) return;  // children use the rest of the grace, for a checkpoint perhaps
  SignalAttempt(key, attempt, false, now);
  attempt->kill_at = std::min(attempt->kill_at, now + Milliseconds(kLeftoverGraceMs));
}

void Agent::OnTreeGone(const AttemptKey& key, const ProcessEnd& end, Time now) {
  Attempt* attempt = Find(key);
  TS_CHECK(attempt != nullptr, "an attempt ended that is not known");
  if (attempt->forgotten) {
    Release(key);
  } else {
    const bool may_go_on = attempt->cause != StopCause::kNone || end.exit_code.value_or(1) != 0;
    if (may_go_on && !attempt->named_checkpoint && attempt->last_step > 0 && attempt->assignment != nullptr) {
      outputs_.push_back(SaveCheckpoint{attempt->assignment, attempt->last_step, ""});
    }
    End(key, attempt, DescribeEnd(*attempt, end), now);
  }
  StartWaiting(now);
}

void Agent::OnDevices(std::vector<HeldDevice> held, Time now) {
  if (held == held_) return;
  held_ = std::move(held);
  ++devices_version_;
  StartWaiting(now);
}

// --- the daemon

void Agent::StopAll(const std::string& reason, bool at_once, Time now) {
  draining_ = true;
  LoseRunning(reason, at_once, now);
}

void Agent::LoseRunning(const std::string& reason, bool at_once, Time now) {
  std::vector<AttemptKey> keys;
  for (const auto& [key, attempt] : attempts_) {
    if (attempt.phase != Phase::kEnded) keys.push_back(key);
  }
  for (const AttemptKey& key : keys) {
    Attempt* attempt = Find(key);
    if (attempt->HasNoProcess()) {
      End(key, attempt, Ended{.reason = reason, .lost = true}, now);
    } else {
      if (attempt->cause == StopCause::kNone) {
        outputs_.push_back(TellTrial{key, attempt->last_step, true, reason});
      }
      BeginStop(key, attempt, StopCause::kLost, reason, at_once, now);
    }
  }
}

void Agent::Restore(const AttemptKey& key, std::vector<RecordPtr> records, uint64_t last_sequence) {
  TS_CHECK(!welcomed_ && attempts_.count(key) == 0, "restored too late or twice");
  Attempt& attempt = attempts_[key];
  attempt.phase = Phase::kEnded;
  attempt.last_sequence = last_sequence;
  attempt.end_unknown = true;
  for (RecordPtr& record : records) {
    attempt.unacked_bytes += RecordBytes(*record);
    if (std::holds_alternative<Ended>(record->kind)) attempt.end_unknown = false;
    attempt.unacked.push_back(std::move(record));
  }
}

AgentSnapshot Agent::Snapshot(Time now) const {
  TS_CHECK(outputs_.empty(), "handed on with work that is not carried out");
  AgentSnapshot snapshot{attempts_, draining_, lease_, welcomed_ ? now + lease_ : lease_ends_};
  for (auto& [key, attempt] : snapshot.attempts) {
    TS_CHECK(attempt.phase != Phase::kStarting, "handed on while it starts");
    if (attempt.phase == Phase::kFinding) attempt.phase = Phase::kWaiting;
    attempt.sent = 0;
  }
  return snapshot;
}

void Agent::Adopt(AgentSnapshot snapshot) {
  TS_CHECK(!welcomed_ && attempts_.empty(), "adopted too late");
  attempts_ = std::move(snapshot.attempts);
  draining_ = snapshot.draining;
  lease_ = snapshot.lease;
  lease_ends_ = snapshot.lease_ends;
}

void Agent::Tick(Time now) {
  if (!welcomed_ && now >= lease_ends_) {
    lease_ends_ = kTimeNever;
    LoseRunning("no connection to the controller for " + std::to_string(lease_.ms / 1000) + " s",
                true, now);
  }
  for (auto& [key, attempt] : attempts_) {
    if (attempt.kill_at <= now) SignalAttempt(key, &attempt, true, now);
  }
  StartWaiting(now);
}

Time Agent::NextDeadline() const {
  Time deadline = lease_ends_;
  for (const auto& [key, attempt] : attempts_) deadline = std::min(deadline, attempt.kill_at);
  return deadline;
}

std::vector<Output> Agent::TakeOutputs() { return std::exchange(outputs_, {}); }

std::vector<RecordPtr> Agent::TakeRecords(size_t max) {
  std::vector<RecordPtr> records;
  if (!welcomed_ || attempts_.empty()) return records;
  // A share for each attempt, then the next, so that a flood in one does not delay the others.
  const size_t share = std::max<size_t>(1, max / 8);
  size_t bytes = 0;
  auto it = attempts_.lower_bound(next_to_send_);
  for (size_t idle = 0;
       idle < attempts_.size() && records.size() < max && bytes < kRecordBytesPerMessageMax;) {
    if (it == attempts_.end()) it = attempts_.begin();
    Attempt& attempt = it->second;
    size_t taken = 0;
    while (attempt.sent < attempt.unacked.size() && taken < share && records.size() < max &&
           bytes < kRecordBytesPerMessageMax) {
      const RecordPtr& record = attempt.unacked[attempt.sent++];
      bytes += RecordBytes(*record);
      records.push_back(record);
      ++taken;
    }
    idle = taken == 0 ? idle + 1 : 0;
    ++it;
  }
  next_to_send_ = it == attempts_.end() ? AttemptKey() : it->first;
  return records;
}

bool Agent::HasRecordsToSend() const {
  return welcomed_ && std::any_of(attempts_.begin(), attempts_.end(), [](const auto& entry) {
           return entry.second.sent < entry.second.unacked.size();
         });
}

bool Agent::Full(const AttemptKey& key) const {
  const auto it = attempts_.find(key);
  return it != attempts_.end() && (it->second.unacked.size() >= options_.unacked_records_max ||
                                   it->second.unacked_bytes >= options_.unacked_bytes_max);
}

size_t Agent::running() const {
  return static_cast<size_t>(
      std::count_if(attempts_.begin(), attempts_.end(),
                    [](const auto& entry) { return entry.second.phase != Phase::kEnded; }));
}

// --- private

void Agent::Append(const AttemptKey& key, Attempt* attempt, Time now, decltype(Record::kind) kind) {
  if (attempt->forgotten) return;
  auto record =
      std::make_shared<const Record>(Record{key, ++attempt->last_sequence, now, std::move(kind)});
  attempt->unacked_bytes += RecordBytes(*record);
  outputs_.push_back(Store{record});
  attempt->unacked.push_back(std::move(record));
}

void Agent::BeginStop(const AttemptKey& key, Attempt* attempt, StopCause cause,
                      const std::string& reason, bool at_once, Time now) {
  if (attempt->cause == StopCause::kNone || cause == StopCause::kForgotten) {
    attempt->cause = cause;
    attempt->cause_reason = reason;
  }
  SignalAttempt(key, attempt, at_once, now);
}

void Agent::SignalAttempt(const AttemptKey& key, Attempt* attempt, bool at_once, Time now) {
  if (at_once) {
    attempt->kill_at = kTimeNever;
    if (attempt->kill_sent) return;
    attempt->kill_sent = attempt->term_sent = true;
    outputs_.push_back(SignalTree{key, true});
    return;
  }
  if (attempt->term_sent) return;
  attempt->term_sent = true;
  attempt->kill_at = now + attempt->assignment->stop_grace;
  outputs_.push_back(SignalTree{key, false});
}

void Agent::End(const AttemptKey& key, Attempt* attempt, Ended ended, Time now) {
  if (attempt->phase == Phase::kFinding) outputs_.push_back(CancelFind{key});
  attempt->phase = Phase::kEnded;
  attempt->kill_at = kTimeNever;
  ended.reason = ValidUtf8(ended.reason);
  if (ended.reason.size() > kEndReasonBytesMax) {
    ended.reason = ValidUtf8(ended.reason.substr(0, kEndReasonBytesMax - 8)) + " ...";
  }
  Append(key, attempt, now, std::move(ended));
}

void Agent::Release(const AttemptKey& key) {
  if (attempts_.at(key).phase == Phase::kFinding) outputs_.push_back(CancelFind{key});
  outputs_.push_back(Forget{key});
  attempts_.erase(key);
}

bool Agent::Blocked(const AttemptKey& key, const Attempt& attempt) const {
  return std::any_of(attempts_.begin(), attempts_.end(), [&](const auto& entry) {
    const auto& [other_key, other] = entry;
    if (other_key == key || other.HasNoProcess()) return false;
    if (other_key.id.trial == key.id.trial) return true;
    if (!other.forgotten) return false;
    const auto& devices = other.assignment->devices;
    return std::any_of(devices.begin(), devices.end(), [&](const std::string& device) {
      const auto& wanted = attempt.assignment->devices;
      return std::find(wanted.begin(), wanted.end(), device) != wanted.end();
    });
  });
}

const HeldDevice* Agent::HeldOf(const Attempt& attempt) const {
  const HeldDevice* worst = nullptr;
  for (const HeldDevice& held : held_) {
    const auto& wanted = attempt.assignment->devices;
    if (std::find(wanted.begin(), wanted.end(), held.uuid) == wanted.end()) continue;
    if (worst == nullptr || held.quarantined) worst = &held;
  }
  return worst;
}

void Agent::StartWaiting(Time now) {
  for (auto& [key, attempt] : attempts_) {
    if (attempt.phase != Phase::kWaiting) continue;
    const HeldDevice* const held = HeldOf(attempt);
    if (held != nullptr && held->quarantined) {
      // It was leased before the controller knew.
      End(key, &attempt, Ended{.reason = held->uuid + " is quarantined: " + held->reason, .lost = true}, now);
      continue;
    }
    if (held != nullptr || Blocked(key, attempt)) continue;
    if (attempt.assignment->resume && !attempt.resume_found) {
      attempt.phase = Phase::kFinding;
      outputs_.push_back(FindResume{attempt.assignment});
    } else {
      attempt.phase = Phase::kStarting;
      outputs_.push_back(Spawn{attempt.assignment});
    }
  }
}

Ended Agent::DescribeEnd(const Attempt& attempt, const ProcessEnd& end) const {
  Ended ended;
  ended.exit_code = end.exit_code;
  ended.signal = end.signal;
  ended.stop_requested = attempt.cause == StopCause::kController;
  ended.lost = attempt.cause == StopCause::kLost;
  if (attempt.cause == StopCause::kLimit) {
    // The program's fault, whatever it made of the TERM.
    ended.exit_code.reset();
    ended.reason = attempt.cause_reason;
    return ended;
  }
  if (attempt.cause != StopCause::kNone) {
    ended.reason = attempt.cause_reason;
    if (end.signal == SIGKILL && attempt.kill_sent) {
      ended.reason +=
          " (killed" +
          std::string(attempt.cause == StopCause::kController ? " after the grace period)" : ")");
    }
    return ended;
  }
  std::string words = end.failed_reason.empty() ? end.stderr_tail : end.failed_reason;
  if (!end.memory_evidence.empty()) {
    ended.out_of_memory = true;
    ended.reason = "out of memory: " + end.memory_evidence;
    if (!words.empty()) ended.reason += "\n" + words;
  } else if (end.signal != 0) {
    const char* name = sigabbrev_np(end.signal);
    ended.reason = "ended by signal " + std::to_string(end.signal);
    if (name != nullptr) ended.reason += " (SIG" + std::string(name) + ")";
    if (end.signal == SIGKILL) ended.reason += ", which this worker did not send";
    if (!words.empty()) ended.reason += ": " + words;
  } else if (end.exit_code.value_or(0) != 0) {
    ended.reason =
        "exit code " + std::to_string(*end.exit_code) + (words.empty() ? "" : ": " + words);
  } else {
    std::vector<std::string> missing;
    for (const std::string& metric : attempt.assignment->metrics) {
      if (attempt.metrics_seen.count(metric) == 0) missing.push_back(metric);
    }
    if (!missing.empty()) {
      ended.reason = "ended well but never reported " + Join(missing, ", ") +
                     (end.hint.empty() ? "; print it as \"" + missing.front() +
                                             "=0.5\", as a JSON line, or report it through the SDK"
                                       : "; " + end.hint);
    }
  }
  return ended;
}

}  // namespace tunesmith::worker
