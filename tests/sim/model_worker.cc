// The worker protocol, read plainly.
#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <utility>

#include "common/limits.h"
#include "tests/sim/worker_model.h"

namespace tunesmith::sim {

namespace {

class ModelWorker : public WorkerModel {
 public:
  void Restore(const AttemptRef& ref, const std::vector<WorkerRecord>& records, Time now) override {
    Attempt& attempt = attempts_[ref];
    attempt.phase = Phase::kEnded;
    attempt.unacked.assign(records.begin(), records.end());
    if (!records.empty()) attempt.last_sequence = records.back().sequence;
    attempt.end_unknown = records.empty() || records.back().kind != WorkerRecord::Kind::kEnded;
  }

  std::vector<AttemptRef> HelloAttempts() const override {
    std::vector<AttemptRef> refs;
    for (const auto& [ref, attempt] : attempts_) {
      if (!attempt.forgotten) refs.push_back(ref);
    }
    return refs;
  }

  void OnMessage(const ToWorker& message, Time now) override {
    std::visit([&](const auto& m) { On(m, now); }, message);
    LoseWhatIsQuarantined(now);
    StartWaiting();
  }

  void OnDisconnected(Time now) override {
    welcomed_ = false;
    lease_ends_ = now + Milliseconds(kLeaseMs);
  }

  std::vector<WorkerRecord> TakeRecords(size_t max) override {
    std::vector<WorkerRecord> records;
    if (!welcomed_) return records;
    for (auto& [ref, attempt] : attempts_) {
      for (; attempt.sent < attempt.unacked.size() && records.size() < max; ++attempt.sent) {
        records.push_back(attempt.unacked[attempt.sent]);
      }
    }
    return records;
  }

  bool draining() const override { return draining_; }
  void Leave(Time now) override {
    draining_ = true;
    StopForGood(now);
  }
  bool Full(const AttemptRef& ref) const override {
    const auto it = attempts_.find(ref);
    return it != attempts_.end() && it->second.unacked.size() >= kSimUnackedRecordsMax;
  }

  void OnResumeFound(const AttemptRef& ref, int64_t /*step*/, Time now) override {
    Attempt* attempt = Find(ref);
    if (attempt == nullptr || attempt->phase != Phase::kFinding) return;
    attempt->found = true;
    attempt->phase = Phase::kWaiting;
    LoseWhatIsQuarantined(now);
    StartWaiting();
  }
  void OnStarted(const AttemptRef& ref, Time now) override {
    Attempt* attempt = Find(ref);
    if (attempt == nullptr || attempt->forgotten) return;
    Append(ref, attempt, RecordOf(WorkerRecord::Kind::kStarted), now);
  }

  void OnStartFailed(const AttemptRef& ref, const std::string& reason, Time now) override {
    Attempt* attempt = Find(ref);
    if (attempt == nullptr) return;
    AttemptExit exit;
    exit.start_failed = true;
    exit.reason = reason;
    End(ref, attempt, exit, now);
  }

  void OnReport(const AttemptRef& ref, int64_t step, const std::vector<NamedMetric>& metrics,
                const std::string& checkpoint, Time now) override {
    Attempt* attempt = Find(ref);
    if (attempt == nullptr || attempt->forgotten) return;
    WorkerRecord record = RecordOf(WorkerRecord::Kind::kMeasured);
    record.step = step;
    record.metrics = metrics;
    record.checkpoint = checkpoint;
    Append(ref, attempt, std::move(record), now);
    if (!checkpoint.empty()) actions_.push_back(SaveCheckpoint{ref, step});
  }

  void OnLog(const AttemptRef& ref, const std::string& line, Time now) override {
    Attempt* attempt = Find(ref);
    if (attempt == nullptr || attempt->forgotten) return;
    WorkerRecord record = RecordOf(WorkerRecord::Kind::kLog);
    record.data = line;
    Append(ref, attempt, std::move(record), now);
  }

  void OnTreeGone(const AttemptRef& ref, int32_t exit_code, int32_t signal, Time now) override {
    Attempt* attempt = Find(ref);
    if (attempt == nullptr) return;
    AttemptExit exit;
    if (signal == 0) exit.exit_code = exit_code;
    exit.signal = signal;
    exit.lost = attempt->lost;
    exit.stop_requested = attempt->stopping && !attempt->lost;
    if (attempt->lost) exit.reason = "the daemon gave it up";
    End(ref, attempt, exit, now);
    StartWaiting();
  }

  void OnDevices(const std::vector<DeviceInfo>& held, Time now) override {
    held_ = held;
    LoseWhatIsQuarantined(now);
    StartWaiting();
  }

  void Tick(Time now) override {
    if (!welcomed_ && now >= lease_ends_) {
      lease_ends_ = kTimeNever;
      for (auto& [ref, attempt] : attempts_) Lose(ref, &attempt, now);
    }
    for (auto& [ref, attempt] : attempts_) {
      if (attempt.kill_at > now) continue;
      attempt.kill_at = kTimeNever;
      actions_.push_back(Signal{ref, true});
    }
    StartWaiting();
  }

  Time NextDeadline() const override {
    Time next = welcomed_ ? kTimeNever : lease_ends_;
    for (const auto& [ref, attempt] : attempts_) next = std::min(next, attempt.kill_at);
    return next;
  }

  std::vector<WorkerAction> TakeActions() override { return std::exchange(actions_, {}); }
  size_t open() const override { return attempts_.size(); }

 private:
  enum class Phase : uint8_t { kWaiting, kFinding, kRunning, kEnded };
  struct Attempt {
    SendAssign assign;
    Phase phase = Phase::kWaiting;
    bool found = false;      // what it resumes from
    bool stopping = false;
    bool lost = false;       // given up for the daemon's own trouble
    bool forgotten = false;  // nobody wants to hear of it
    bool end_unknown = false;  // restored, and nobody saw its end
    Time kill_at = kTimeNever;
    uint64_t last_sequence = 0;
    std::deque<WorkerRecord> unacked;
    size_t sent = 0;  // of these, in this session
  };

  Attempt* Find(const AttemptRef& ref) {
    const auto it = attempts_.find(ref);
    return it == attempts_.end() ? nullptr : &it->second;
  }

  static WorkerRecord RecordOf(WorkerRecord::Kind kind) {
    WorkerRecord record;
    record.kind = kind;
    return record;
  }

  void Append(const AttemptRef& ref, Attempt* attempt, WorkerRecord record, Time now) {
    record.ref = ref;
    record.sequence = ++attempt->last_sequence;
    record.time = now;
    actions_.push_back(Store{record});
    attempt->unacked.push_back(std::move(record));
  }

  void AppendEnded(const AttemptRef& ref, Attempt* attempt, const AttemptExit& exit, Time now) {
    WorkerRecord record = RecordOf(WorkerRecord::Kind::kEnded);
    record.exit = exit;
    Append(ref, attempt, std::move(record), now);
  }

  void End(const AttemptRef& ref, Attempt* attempt, const AttemptExit& exit, Time now) {
    attempt->phase = Phase::kEnded;
    attempt->kill_at = kTimeNever;
    if (attempt->forgotten) return Drop(ref);
    AppendEnded(ref, attempt, exit, now);
  }

  void Drop(const AttemptRef& ref) {
    actions_.push_back(Forget{ref});
    attempts_.erase(ref);
  }

  void BeginStop(const AttemptRef& ref, Attempt* attempt, bool at_once, Time now) {
    if (attempt->phase == Phase::kEnded) return;
    attempt->stopping = true;
    if (attempt->phase != Phase::kRunning) {
      AttemptExit exit;
      exit.lost = attempt->lost;
      exit.stop_requested = !attempt->lost;
      exit.exit_code = 0;
      return End(ref, attempt, exit, now);
    }
    actions_.push_back(Signal{ref, at_once});
    if (!at_once && attempt->kill_at == kTimeNever) {
      attempt->kill_at = now + Milliseconds(attempt->assign.spec->stop_grace_ms);
    }
  }

  void Lose(const AttemptRef& ref, Attempt* attempt, Time now) {
    if (attempt->phase == Phase::kEnded) return;
    attempt->lost = true;
    BeginStop(ref, attempt, true, now);
  }

  void AckUpTo(const AttemptRef& ref, Attempt* attempt, uint64_t sequence) {
    while (!attempt->unacked.empty() && attempt->unacked.front().sequence <= sequence) {
      attempt->unacked.pop_front();
      if (attempt->sent > 0) --attempt->sent;
    }
    if (attempt->phase == Phase::kEnded && attempt->unacked.empty()) Drop(ref);
  }

  void On(const SendWelcome& welcome, Time now) {
    welcomed_ = true;
    lease_ends_ = kTimeNever;
    for (auto& [ref, attempt] : attempts_) attempt.sent = 0;
    for (const AttemptAnswer& answer : welcome.attempts) {
      Attempt* attempt = Find(answer.ref);
      if (attempt == nullptr) continue;
      if (answer.kind == AttemptAnswer::Kind::kForget) {
        attempt->unacked.clear();
        attempt->forgotten = true;
        if (attempt->phase == Phase::kRunning) {
          BeginStop(answer.ref, attempt, true, now);
        } else {
          Drop(answer.ref);
        }
        continue;
      }
      if (std::exchange(attempt->end_unknown, false)) {
        // The spool may lack records that the controller has: the end is numbered after those.
        attempt->last_sequence = std::max(attempt->last_sequence, answer.acked);
        AttemptExit exit;
        exit.lost = true;
        exit.reason = "the daemon was killed";
        AppendEnded(answer.ref, attempt, exit, now);
      }
      if (answer.kind == AttemptAnswer::Kind::kKill) BeginStop(answer.ref, attempt, false, now);
      AckUpTo(answer.ref, attempt, answer.acked);
    }
  }

  void On(const SendAssign& assign, Time now) {
    if (attempts_.count(assign.ref) != 0) return;
    Attempt& attempt = attempts_[assign.ref];
    attempt.assign = assign;
    attempt.lost = draining_;
    if (draining_) BeginStop(assign.ref, &attempt, false, now);
  }

  void On(const SendStop& stop, Time now) {
    if (Attempt* attempt = Find(stop.ref)) BeginStop(stop.ref, attempt, stop.now, now);
  }

  void On(const SendAck& ack, Time now) {
    if (Attempt* attempt = Find(ack.ref)) AckUpTo(ack.ref, attempt, ack.sequence);
  }

  void On(const SendVerdict& verdict, Time now) {}

  void On(const SendDrain& drain, Time now) {
    if (drain.stop_running) StopForGood(now);
  }

  // What runs goes on elsewhere.
  void StopForGood(Time now) {
    for (auto& [ref, attempt] : attempts_) {
      if (attempt.phase == Phase::kEnded) continue;
      attempt.lost = true;
      BeginStop(ref, &attempt, false, now);
    }
  }

  // Waits while a process of the same trial, or one that holds a needed device or place, is still there though the
  // controller has given its place to somebody else.
  void StartWaiting() {
    for (auto& [ref, attempt] : attempts_) {
      if (attempt.phase != Phase::kWaiting || Blocked(ref, attempt)) continue;
      const bool find = attempt.assign.resume && !attempt.found;
      attempt.phase = find ? Phase::kFinding : Phase::kRunning;
      if (find) {
        actions_.push_back(FindResume{attempt.assign});
      } else {
        actions_.push_back(Spawn{attempt.assign});
      }
    }
  }

  static bool Wants(const Attempt& attempt, const std::string& device) {
    const auto& wanted = attempt.assign.devices;
    return std::find(wanted.begin(), wanted.end(), device) != wanted.end();
  }

  // What was leased on such a device before the controller knew runs elsewhere.
  void LoseWhatIsQuarantined(Time now) {
    for (auto& [ref, attempt] : attempts_) {
      if (attempt.phase != Phase::kWaiting) continue;
      for (const DeviceInfo& one : held_) {
        if (one.state != DeviceState::kQuarantined || !Wants(attempt, one.uuid)) continue;
        Lose(ref, &attempt, now);
        break;
      }
    }
  }

  bool Blocked(const AttemptRef& ref, const Attempt& waiting) const {
    for (const DeviceInfo& one : held_) {
      if (Wants(waiting, one.uuid)) return true;
    }
    for (const auto& [other, attempt] : attempts_) {
      if (attempt.phase != Phase::kRunning) continue;
      if (other.attempt.trial == ref.attempt.trial) return true;
      // Only what is being killed is in the way; what the controller put beside each other shares.
      if (!attempt.stopping) continue;
      for (const std::string& device : attempt.assign.devices) {
        const auto& wanted = waiting.assign.devices;
        if (std::find(wanted.begin(), wanted.end(), device) != wanted.end()) return true;
      }
    }
    return false;
  }

  std::map<AttemptRef, Attempt> attempts_;
  std::vector<WorkerAction> actions_;
  std::vector<DeviceInfo> held_;
  bool welcomed_ = false;
  bool draining_ = false;
  Time lease_ends_ = kTimeNever;
};

}  // namespace

std::unique_ptr<WorkerModel> MakeModelWorker() { return std::make_unique<ModelWorker>(); }

}  // namespace tunesmith::sim
