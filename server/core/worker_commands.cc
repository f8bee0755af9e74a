// Commands of worker daemons.
#include "server/core/controller.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "common/check.h"
#include "common/limits.h"

namespace tunesmith {

void Controller::Handle(const WorkerConnected& command) {
  const WorkerHello& hello = command.hello;
  if (hello.name.empty() || hello.name.size() > kNameBytesMax) {
    Effect_(CloseSession{command.session, InvalidArgument("a worker's name has 1 to " +
                                                          std::to_string(kNameBytesMax) + " bytes")});
    return;
  }
  WorkerId id = state_.FindWorker(hello.name);
  if (!id) {
    id = state_.next_worker();
    Emit(WorkerRegistered{id, hello.name});
  }
  LiveWorker& worker = live_[id];
  if (worker.session) {
    if (worker.info.boot_id != hello.boot_id) {
      Effect_(CloseSession{command.session,
                           AlreadyExists("a worker named " + hello.name +
                                         " is connected already; choose another --name or stop that one")});
      return;
    }
    Effect_(CloseSession{worker.session, MakeStatus(StatusCode::kAborted, "replaced by a newer stream")});
    sessions_.erase(worker.session);
  }
  // A daemon that started anew may have lost what it had run of an attempt, which then is not run a second time.
  const bool same_daemon = worker.info.boot_id.empty() ? hello.reconnects : worker.info.boot_id == hello.boot_id;
  if (!same_daemon) worker.failures.clear();  // somebody may have seen to it
  worker.session = SessionId();
  worker.info = hello;
  worker.connected = worker.last_seen = now_;
  worker.draining = hello.draining;
  worker.start_failures_in_row = 0;
  // What it no longer runs is lost BEFORE its places are counted and the rest is answered: the loss may end the sweep.
  const std::set<AttemptRef> running(hello.attempts.begin(), hello.attempts.end());
  const auto before = worker.attempts;
  std::vector<AttemptRef> undelivered;
  for (const auto& [attempt, sequence] : before) {
    const Trial* trial = state_.FindTrial(attempt.trial);
    if (trial == nullptr || trial->LiveAttempt() == nullptr) continue;
    const AttemptRef ref{attempt, trial->LiveAttempt()->epoch};
    if (running.count(ref) != 0) continue;
    if (same_daemon && sequence == 0 && NeverArrived(worker, *trial)) {
      undelivered.push_back(ref);
      continue;
    }
    LoseAttempt(ref, "worker " + hello.name + " no longer runs it");
  }

  worker.session = command.session;
  sessions_[command.session] = id;
  ++topology_;
  SendWelcome welcome{command.session, {}};
  std::map<AttemptId, uint64_t> adopted;
  for (const AttemptRef& ref : running) {
    AttemptAnswer answer{ref, AttemptAnswer::Kind::kForget, 0, ""};
    const Trial* trial = IsCurrent(ref) ? state_.FindTrial(ref.attempt.trial) : nullptr;
    if (trial == nullptr || trial->attempts.back().worker != id) {
      answer.reason = "its lease is no longer valid";
      welcome.attempts.push_back(std::move(answer));
      continue;
    }
    const auto seen = worker.attempts.find(ref.attempt);
    answer.acked = std::max(trial->attempts.back().sequence, seen == worker.attempts.end() ? 0 : seen->second);
    answer.kind = AttemptAnswer::Kind::kAdopt;
    if (trial->state == TrialState::kStopping) {
      answer.kind = AttemptAnswer::Kind::kKill;
      answer.reason = trial->stop_verdict.action == Action::kStop    ? "stopped early"
                      : trial->stop_verdict.action == Action::kPause ? "paused"
                                                                     : trial->reason;
    }
    adopted[ref.attempt] = answer.acked;
    welcome.attempts.push_back(std::move(answer));
  }
  // A loss above may have ended these.
  std::erase_if(undelivered, [this](const AttemptRef& ref) { return !IsCurrent(ref); });
  for (const AttemptRef& ref : undelivered) adopted[ref.attempt] = 0;
  worker.attempts = std::move(adopted);
  CountPlaces(&worker);
  Effect_(std::move(welcome));
  const bool room = worker.cpus_used <= worker.info.cpus;
  for (const AttemptRef& ref : undelivered) {
    if (!IsCurrent(ref)) continue;
    if (room && NeverArrived(worker, *state_.FindTrial(ref.attempt.trial))) {
      Assign(*state_.FindSweep(ref.attempt.trial.sweep), ref.attempt.trial.number, &worker);
    } else {
      LoseAttempt(ref, "worker " + hello.name + " never got it");
    }
  }
  dispatch_ = true;
}

// It was leased, and then the controller was killed or the stream broke before the daemon got it.
bool Controller::NeverArrived(const LiveWorker& worker, const Trial& trial) const {
  const Attempt& attempt = trial.attempts.back();
  if (worker.draining || trial.state != TrialState::kRunning || attempt.state != AttemptState::kStarting ||
      attempt.sequence != 0) {
    return false;
  }
  return std::all_of(attempt.devices.begin(), attempt.devices.end(), [&](const std::string& uuid) {
    return std::any_of(worker.info.devices.begin(), worker.info.devices.end(),
                       [&](const DeviceInfo& device) { return device.uuid == uuid; });
  });
}

void Controller::Handle(const WorkerDisconnected& command) {
  const auto it = sessions_.find(command.session);
  if (it == sessions_.end()) return;
  LiveWorker& worker = live_[it->second];
  worker.session = SessionId();
  worker.last_seen = now_;
  sessions_.erase(it);
  ++topology_;
  dispatch_ = true;  // with the last GPU gone, optional ones are not waited for
}

void Controller::Handle(const WorkerHeartbeat& command) {
  const auto it = sessions_.find(command.session);
  if (it == sessions_.end()) return;
  LiveWorker& worker = live_[it->second];
  worker.last_seen = now_;
  if (worker.draining != command.draining) {
    worker.draining = command.draining;
    ++topology_;
    dispatch_ = true;
  }
}

void Controller::Handle(const WorkerDevices& command) {
  const auto it = sessions_.find(command.session);
  if (it == sessions_.end()) return;
  LiveWorker& worker = live_[it->second];
  worker.last_seen = now_;
  for (DeviceInfo& device : worker.info.devices) {
    const auto held = std::find_if(command.held.begin(), command.held.end(),
                                   [&](const DeviceInfo& one) { return one.uuid == device.uuid; });
    device.state = held == command.held.end() ? DeviceState::kReady : held->state;
    device.state_reason = held == command.held.end() ? "" : held->state_reason;
  }
  ++topology_;
  dispatch_ = true;
}

Time Controller::Clamp(Time reported, const AttemptRef& ref) const {
  const Time latest = state_.FindTrial(ref.attempt.trial)->attempts.back().latest;
  return std::clamp(reported, std::min(latest, now_), now_);
}

void Controller::Handle(const WorkerRecords& command) {
  const auto it = sessions_.find(command.session);
  if (it == sessions_.end()) return;  // a stream that was closed; the daemon sends them again on its next one
  live_[it->second].last_seen = now_;
  // One cumulative acknowledgement an attempt, after everything else that the records caused.
  std::vector<std::pair<AttemptRef, uint64_t>> acks;
  for (const WorkerRecord& record : command.records) {
    HandleRecord(command.session, record);
    if (!acks.empty() && acks.back().first == record.ref) {
      acks.back().second = std::max(acks.back().second, record.sequence);
      continue;
    }
    const auto ack = std::find_if(acks.begin(), acks.end(), [&](const auto& a) { return a.first == record.ref; });
    if (ack == acks.end()) {
      acks.emplace_back(record.ref, record.sequence);
    } else {
      ack->second = std::max(ack->second, record.sequence);
    }
  }
  for (const auto& [ref, sequence] : acks) Effect_(SendAck{command.session, ref, sequence});
}

void Controller::HandleRecord(SessionId session, const WorkerRecord& record) {
  LiveWorker& worker = live_[sessions_.at(session)];
  const auto seen = worker.attempts.find(record.ref.attempt);
  if (seen == worker.attempts.end() || !IsCurrent(record.ref)) {
    ++stale_records_;
    return;
  }
  if (record.sequence <= seen->second) return;
  seen->second = record.sequence;
  switch (record.kind) {
    case WorkerRecord::Kind::kStarted:
      worker.start_failures_in_row = 0;
      Emit(AttemptRunning{record.ref.attempt, record.sequence, Clamp(record.time, record.ref)});
      return;
    case WorkerRecord::Kind::kLog:
      Effect_(AppendLog{record.ref.attempt, record.data, record.dropped_bytes});
      return;
    case WorkerRecord::Kind::kMeasured: {
      const Sweep& sweep = *state_.FindSweep(record.ref.attempt.trial.sweep);
      const Verdict verdict = Measure(record.ref, record.sequence, record.step, record.metrics, record.checkpoint,
                                      Clamp(record.time, record.ref));
      // A trial that goes on learns it by the ack; it is told of rungs, which are few, and not of each median.
      if (verdict.rank == 0 && verdict.action == Action::kContinue) return;
      const std::string text = ExplainVerdict(*sweep.spec, verdict);
      const int64_t step = sweep.Find(record.ref.attempt.trial.number)->last_step;
      Effect_(SendVerdict{session, record.ref, record.sequence, step, verdict, text});
      if (verdict.action != Action::kContinue) Effect_(SendStop{session, record.ref, text, false});
      return;
    }
    case WorkerRecord::Kind::kEnded:
      FinishAttempt(record.ref, record.sequence, record.exit, Clamp(record.time, record.ref));
      return;
  }
}

void Controller::Handle(const DrainWorker& command) {
  const WorkerId id = state_.FindWorker(command.worker);
  if (!id) return Refuse(NotFound("no worker named " + command.worker), "WORKER_NOT_FOUND");
  const WorkerIdentity& identity = state_.workers().at(id);
  const bool changes = command.drain ? !identity.drained : identity.drained || identity.quarantined;
  if (changes) Emit(WorkerDrained{id, command.drain, false, command.drain ? "drained by a user" : ""});
  const auto live = live_.find(id);
  if (live != live_.end()) {
    if (!command.drain) live->second.start_failures_in_row = 0;
    if (!command.drain) live->second.failures.clear();
    if (command.drain && live->second.session) Effect_(SendDrain{live->second.session, command.stop_running});
  }
  dispatch_ = true;
  ++topology_;
  Reply reply;
  reply.worker = id;
  Answer(std::move(reply));
}

namespace {

// Shares are counted in whole millionths of a device, so that taking and giving back leaves nothing behind.
double Millionths(double share) { return std::round(share * 1e6) / 1e6; }

// Rounded down: three thirds must fit.
double ShareOf(const Attempt& attempt) { return attempt.gpus >= 1 ? 1 : std::floor(attempt.gpus * 1e6) / 1e6; }

void ChangeDevices(LiveWorker* worker, const Attempt& attempt, double sign) {
  for (const std::string& uuid : attempt.devices) {
    for (size_t i = 0; i < worker->info.devices.size(); ++i) {
      if (worker->info.devices[i].uuid != uuid) continue;
      worker->device_used[i] = Millionths(worker->device_used[i] + sign * ShareOf(attempt));
    }
  }
}

}  // namespace

void Controller::OccupyPlace(LiveWorker* worker, const Attempt& attempt) {
  worker->cpus_used += attempt.cpus;
  ChangeDevices(worker, attempt, 1);
}

void Controller::VacatePlace(LiveWorker* worker, const Attempt& attempt) {
  worker->cpus_used -= attempt.cpus;
  ChangeDevices(worker, attempt, -1);
}

void Controller::CountPlaces(LiveWorker* worker) const {
  worker->cpus_used = 0;
  worker->device_used.assign(worker->info.devices.size(), 0.0);
  for (const auto& [attempt, sequence] : worker->attempts) {
    const Trial* trial = state_.FindTrial(attempt.trial);
    if (trial != nullptr) OccupyPlace(worker, trial->attempts[attempt.number - 1]);
  }
}

void Controller::ReleasePlace(const Attempt& attempt, const AttemptId& id) {
  const auto live = live_.find(attempt.worker);
  if (live == live_.end()) return;
  LiveWorker& worker = live->second;
  worker.attempts.erase(id);
  if (worker.session) {
    VacatePlace(&worker, attempt);
  } else {
    CountPlaces(&worker);  // after a restart of the controller nothing was counted yet
  }
}

}  // namespace tunesmith
