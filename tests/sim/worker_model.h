// The seam between the simulated machine and the daemon's decisions. The simulator carries out what a model wants
// (processes, the spool, the stream) and tells it what happens; a model decides. ModelWorker is a plain reading of the
// worker protocol; the real agent plugs in behind the same interface.
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "server/core/effect.h"
#include "server/core/types.h"

namespace tunesmith::sim {

// What the controller says to a daemon. In order within a session.
using ToWorker = std::variant<SendWelcome, SendAssign, SendStop, SendAck, SendVerdict, SendDrain>;

// Records of an attempt that wait for their acknowledgement before nothing more is read from it.
constexpr size_t kSimUnackedRecordsMax = 60;

// --- what a model wants done, in order

struct Spawn {  // answered by OnStarted or OnStartFailed, at the end by OnTreeGone
  SendAssign assign;
};
struct FindResume {  // answered by OnResumeFound
  SendAssign assign;
};
struct SaveCheckpoint {  // one that a report has named
  AttemptRef ref;
  int64_t step = 0;
};
struct Signal {
  AttemptRef ref;
  bool kill = false;  // SIGKILL, else SIGTERM
};
struct Store {  // into the spool, BEFORE the record is sent
  WorkerRecord record;
};
struct Forget {  // the spool of this attempt may go
  AttemptRef ref;
};
using WorkerAction = std::variant<Spawn, FindResume, SaveCheckpoint, Signal, Store, Forget>;

class WorkerModel {
 public:
  virtual ~WorkerModel() = default;

  // What a daemon that died left in its spool, before the first Hello. The attempt is over.
  virtual void Restore(const AttemptRef& ref, const std::vector<WorkerRecord>& records, Time now) = 0;

  // --- the session
  virtual std::vector<AttemptRef> HelloAttempts() const = 0;
  virtual void OnMessage(const ToWorker& message, Time now) = 0;
  virtual void OnDisconnected(Time now) = 0;
  // At most `max` records that were not yet sent in this session, in order within each attempt.
  virtual std::vector<WorkerRecord> TakeRecords(size_t max) = 0;
  virtual bool draining() const = 0;
  // The daemon was asked to leave: nothing new starts, and what runs is stopped and reported lost.
  virtual void Leave(Time now) = 0;
  // Nothing more is read from this trial until acknowledgements come.
  virtual bool Full(const AttemptRef& ref) const = 0;

  // --- processes
  virtual void OnResumeFound(const AttemptRef& ref, int64_t step, Time now) = 0;
  virtual void OnStarted(const AttemptRef& ref, Time now) = 0;
  virtual void OnStartFailed(const AttemptRef& ref, const std::string& reason, Time now) = 0;
  // `checkpoint`: the name of one, or "".
  virtual void OnReport(const AttemptRef& ref, int64_t step, const std::vector<NamedMetric>& metrics,
                        const std::string& checkpoint, Time now) = 0;
  virtual void OnLog(const AttemptRef& ref, const std::string& line, Time now) = 0;
  // After OnDevices, if it leaves devices held.
  virtual void OnTreeGone(const AttemptRef& ref, int32_t exit_code, int32_t signal, Time now) = 0;
  // All devices on which nothing may start now.
  virtual void OnDevices(const std::vector<DeviceInfo>& held, Time now) = 0;

  virtual void Tick(Time now) = 0;
  virtual Time NextDeadline() const = 0;
  virtual std::vector<WorkerAction> TakeActions() = 0;
  // Attempts whose end is not acknowledged, running ones included.
  virtual size_t open() const = 0;
};

std::unique_ptr<WorkerModel> MakeModelWorker();
// The agent of tunesmith-worker.
std::unique_ptr<WorkerModel> MakeAgentWorker();

}  // namespace tunesmith::sim
