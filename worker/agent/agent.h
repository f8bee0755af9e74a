// The daemon's decisions as a pure machine: what runs, what must be killed, what must be told. It
// reads no clock, opens no file and starts no process: inputs come in with the time, outputs are
// taken out and carried out by the daemon.
//
//   Assign -> [waiting] -> [finding] -> starting -> running -> leaving -> ended -> (Ended acknowledged) ->
//   forgotten
//                 |            |          |  program gone, children left
//                 |            +-> ended  +-> ended
//                 +-> ended (stopped before it started)
//
// "waiting" lasts while an older attempt of the same trial, or a fenced-off one on the same device,
// is still being killed, or while that device's memory is not back; "finding" while the checkpoint is
// looked for that a later attempt resumes from, after which it may wait once more. The stop ladder
// (TERM, grace, KILL) runs beside these states; it applies to the whole process tree.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "common/limits.h"
#include "worker/agent/snapshot.h"
#include "worker/agent/types.h"

namespace tunesmith::worker {

// --- what the daemon must do, in order

// Start it; answer with OnStarted or OnStartFailed.
struct Spawn {
  std::shared_ptr<const Assignment> assignment;
};
// Find what it resumes from, on this machine or at the controller; answer with OnResumeFound.
struct FindResume {
  std::shared_ptr<const Assignment> assignment;
};
// Nobody waits for the answer to FindResume any more.
struct CancelFind {
  AttemptKey key;
};
// The program has named a checkpoint, or (name "") left some in its folder without ever naming one.
struct SaveCheckpoint {
  std::shared_ptr<const Assignment> assignment;
  int64_t step = 0;
  std::string name;
};
// To every process of the tree.
struct SignalTree {
  AttemptKey key;
  bool kill = false;  // SIGKILL, else SIGTERM
};
// A line on the trial's channel, if it has one.
struct TellTrial {
  AttemptKey key;
  int64_t step = 0;
  bool stop = false;
  std::string reason;
};
// Write it to the spool BEFORE it is sent.
struct Store {
  RecordPtr record;
};
// Everything of it is acknowledged, or nobody wants it: its spool may go.
struct Forget {
  AttemptKey key;
};
using Output = std::variant<Spawn, FindResume, CancelFind, SaveCheckpoint, SignalTree, TellTrial, Store, Forget>;

// What an attempt resumes from.
struct Resume {
  int64_t step = 0;  // of the checkpoint; 0: there is none, or it is not known
  std::string name;
  std::string note;  // for the trial's log: what was fetched, what was passed over; may be empty
};

// --- what the controller answers to a Hello

struct AttemptAnswer {
  enum class Kind : uint8_t { kAdopt, kKill, kForget };
  AttemptKey key;
  Kind kind = Kind::kAdopt;
  uint64_t acked = 0;
  std::string reason;
};

struct AgentOptions {
  // Records of one attempt that wait for their acknowledgement; then Full() says to read no more
  // from its trial.
  size_t unacked_records_max = kUnackedRecordsMax;
  size_t unacked_bytes_max = kUnackedBytesMax;
  int64_t measurements_max = kMeasurementsPerAttemptMax;
  // Without a Welcome that says otherwise.
  Duration lease = Milliseconds(kLeaseMs);
};

// Loop thread only. Time never goes back.
class Agent {
 public:
  explicit Agent(AgentOptions options = {}) : options_(options) {}

  // --- the session
  // Attempts for Hello: all that run or whose end has not been acknowledged.
  std::vector<AttemptKey> HelloAttempts() const;
  void OnWelcome(Duration lease, const std::vector<AttemptAnswer>& answers, Time now);
  void OnDisconnected(Time now);
  void OnAssign(std::shared_ptr<const Assignment> assignment, Time now);
  void OnStop(const AttemptKey& key, const std::string& reason, bool at_once, Time now);
  void OnAck(const AttemptKey& key, uint64_t sequence, Time now);
  void OnVerdict(const AttemptKey& key, uint64_t sequence, bool stop, const std::string& reason);
  void OnDrain(bool stop_running, Time now);

  // --- processes
  void OnResumeFound(const AttemptKey& key, const Resume& resume, Time now);
  // `steps_from_zero`: an earlier attempt of the trial counted its steps from 0.
  void OnStarted(const AttemptKey& key, int64_t pid, bool steps_from_zero, Time now);
  // `reason` says what, where and what to do instead.
  void OnStartFailed(const AttemptKey& key, const std::string& reason, Time now);
  void OnReport(const AttemptKey& key, const Report& report, Time now);
  void OnLog(const AttemptKey& key, std::string data, int64_t dropped_bytes, Time now);
  // The program has ended and children of it still run: they get TERM and a short grace.
  void OnProgramExited(const AttemptKey& key, Time now);
  // No process of the tree is left, its output is read. What it leaves behind on its devices was
  // told by OnDevices BEFORE.
  void OnTreeGone(const AttemptKey& key, const ProcessEnd& end, Time now);
  // All devices on which nothing may start now. What waits for one that is quarantined is lost, to
  // run elsewhere.
  void OnDevices(std::vector<HeldDevice> held, Time now);
  const std::vector<HeldDevice>& held_devices() const { return held_; }
  // Grows when they change: the controller must hear of it BEFORE the records that come after.
  uint64_t devices_version() const { return devices_version_; }

  // --- the daemon
  // Nothing new starts; what runs is stopped (`at_once`: killed) and reported lost, so that it runs
  // again elsewhere.
  void StopAll(const std::string& reason, bool at_once, Time now);
  // Takes in what a killed daemon left in its spool: records up to `last_sequence`. The attempt is
  // over; if its end is not among them, it is reported lost. Call it before the first Hello.
  void Restore(const AttemptKey& key, std::vector<RecordPtr> records, uint64_t last_sequence);
  // For the program that takes this one's place. Call it when all outputs have been carried out. What was looked for
  // is looked for anew, what was sent in this session is sent again.
  AgentSnapshot Snapshot(Time now) const;
  // Goes on from there, without a session. Call it first of all.
  void Adopt(AgentSnapshot snapshot);
  bool Knows(const AttemptKey& key) const { return attempts_.count(key) != 0; }
  void set_draining() { draining_ = true; }
  bool draining() const { return draining_; }

  void Tick(Time now);
  // When Tick is due; kTimeNever if nothing waits.
  Time NextDeadline() const;
  std::vector<Output> TakeOutputs();

  // At most `max` records and kRecordBytesPerMessageMax bytes that were not yet sent in this
  // session, in order within each attempt, fair among attempts. Empty before Welcome.
  std::vector<RecordPtr> TakeRecords(size_t max);
  bool HasRecordsToSend() const;
  // Whether the daemon must stop reading from this trial until acknowledgements come.
  bool Full(const AttemptKey& key) const;
  // Attempts with processes, or about to have some.
  size_t running() const;
  // Attempts whose end is not acknowledged, running ones included.
  size_t open() const { return attempts_.size(); }

 private:
  using Attempt = AttemptState;
  using Phase = Attempt::Phase;
  using StopCause = Attempt::StopCause;
  using Attempts = std::map<AttemptKey, Attempt>;

  Attempt* Find(const AttemptKey& key);
  void Append(const AttemptKey& key, Attempt* attempt, Time now, decltype(Record::kind) kind);
  void AckUpTo(const AttemptKey& key, Attempt* attempt, uint64_t sequence);
  void BeginStop(const AttemptKey& key, Attempt* attempt, StopCause cause,
                 const std::string& reason, bool at_once, Time now);
  void SignalAttempt(const AttemptKey& key, Attempt* attempt, bool at_once, Time now);
  void LoseRunning(const std::string& reason, bool at_once, Time now);
  void End(const AttemptKey& key, Attempt* attempt, Ended ended, Time now);
  void Release(const AttemptKey& key);
  bool Blocked(const AttemptKey& key, const Attempt& attempt) const;
  // The worst of the attempt's devices; nullptr if none is held.
  const HeldDevice* HeldOf(const Attempt& attempt) const;
  void StartWaiting(Time now);
  Ended DescribeEnd(const Attempt& attempt, const ProcessEnd& end) const;

  AgentOptions options_;
  Attempts attempts_;
  std::vector<Output> outputs_;
  bool welcomed_ = false;
  bool draining_ = false;
  Duration lease_ = options_.lease;
  Time lease_ends_ = kTimeNever;  // while there is no session
  AttemptKey next_to_send_;       // where TakeRecords goes on
  std::vector<HeldDevice> held_;
  uint64_t devices_version_ = 0;
};

}  // namespace tunesmith::worker
