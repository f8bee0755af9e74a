// What is asked of the controller. Every input of the pure machine, time apart, is one of these.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/problem.h"
#include "common/status.h"
#include "search/searcher.h"
#include "server/core/types.h"
#include "spec/sweep_spec.h"

namespace tunesmith {

struct CreateSweep {
  SweepSpec spec;
  std::string request_id;
  uint64_t drawn_seed = 0;  // used if the spec has none
  bool validate_only = false;
};

struct ControlSweep {
  enum class Operation : uint8_t { kStop, kPause, kResume, kDelete, kForceDelete };
  SweepId sweep;
  Operation operation = Operation::kStop;
};

// Changes what may change while a sweep runs; what is not given stays.
struct UpdateSweep {
  SweepId sweep;
  std::optional<int32_t> priority;
  std::optional<double> weight;
  std::optional<Preemptible> preemptible;
  std::optional<int32_t> max_parallel;
};

struct StopTrial {
  TrialId trial;
};

// The answer to a RequestSuggestion effect.
struct SuggestionReady {
  SweepId sweep;
  uint32_t trial = 0;
  Suggestion suggestion;
};

struct WorkerConnected {
  SessionId session;
  WorkerHello hello;
};

struct WorkerDisconnected {
  SessionId session;
};

struct WorkerHeartbeat {
  SessionId session;
  bool draining = false;
};

// All of its devices that are not ready.
struct WorkerDevices {
  SessionId session;
  std::vector<DeviceInfo> held;  // uuid, state and reason count
};

struct WorkerRecords {
  SessionId session;
  std::vector<WorkerRecord> records;
};

// A copy of a checkpoint lies in the store, whole and durable. Refused if nobody would use it; the store then drops it.
struct CheckpointArrived {
  AttemptRef ref;
  StoredCheckpoint checkpoint;
};

struct DrainWorker {
  std::string worker;
  bool drain = true;  // false: take work again
  bool stop_running = false;
};

struct AskTrials {
  SweepId sweep;
  std::string client_id;
  int32_t count = 1;
  int64_t lease_ms = 60'000;
};

struct ReportTrial {
  TrialId trial;
  LeaseEpoch epoch;
  uint64_t sequence = 0;
  int64_t step = 0;
  std::vector<NamedMetric> metrics;
};

struct RenewTrial {
  TrialId trial;
  LeaseEpoch epoch;
};

struct CompleteTrial {
  TrialId trial;
  LeaseEpoch epoch;
  std::string failure;
};

// Time has passed: leases and budgets are looked at.
struct Tick {};

using Command = std::variant<CreateSweep, ControlSweep, UpdateSweep, StopTrial, SuggestionReady, WorkerConnected,
                             WorkerDisconnected, WorkerHeartbeat, WorkerDevices, WorkerRecords, CheckpointArrived,
                             DrainWorker, AskTrials, ReportTrial, RenewTrial, CompleteTrial, Tick>;

// The answer to a command that somebody waits for.
struct Reply {
  Status status;
  std::string reason;        // UPPER_SNAKE, with a status that is not OK
  Problems problems;
  SweepId sweep;             // CreateSweep
  WorkerId worker;           // DrainWorker
  std::vector<AttemptRef> asked;  // AskTrials
  bool finished = false;     // AskTrials: there will never be another
  std::string text;          // AskTrials: why there are fewer; RenewTrial: why it should stop
  bool stop = false;         // RenewTrial
  Verdict verdict;           // ReportTrial
};

}  // namespace tunesmith
