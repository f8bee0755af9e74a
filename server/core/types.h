// Words that commands, events, effects and state share. Plain data; no gRPC, no SQL.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/ids.h"
#include "common/time.h"
#include "schedulers/scheduler.h"
#include "search/searcher.h"
#include "search/space/value.h"

namespace tunesmith {

enum class SweepState : uint8_t { kActive, kPaused, kStopping, kSucceeded, kFailed, kCancelled };
enum class TrialState : uint8_t {
  kPending,    // waits for a place
  kRunning,
  kPaused,
  kStopping,   // decided; its processes are not gone yet
  kCompleted,
  kStopped,    // early, by the scheduler
  kFailed,
  kCancelled,
};
constexpr size_t kTrialStates = 8;
enum class AttemptState : uint8_t {
  kStarting,
  kRunning,
  kStopping,
  kSucceeded,
  kFailed,
  kLost,
  kCancelled,
  kPreempted,  // made room for a sweep of higher priority
};
constexpr size_t kAttemptStates = 8;

constexpr bool IsTerminal(SweepState s) { return s >= SweepState::kSucceeded; }
constexpr bool IsTerminal(TrialState s) { return s >= TrialState::kCompleted; }
constexpr bool IsTerminal(AttemptState s) { return s >= AttemptState::kSucceeded; }
const char* Name(SweepState state);    // "active", ...
const char* Name(TrialState state);    // "pending", ...
const char* Name(AttemptState state);  // "starting", ...
const char* Name(Origin::Kind kind);   // "user", "start", "model", ...; "unknown"
const char* Name(Origin::Judge judge); // "gp", "forest", ...; "none"

// A metric of one measurement: its slot in Sweep::metric_names.
struct SlotValue {
  uint32_t slot = 0;
  double value = 0;
};

struct NamedMetric {
  std::string name;
  double value = 0;
};

enum class DeviceState : uint8_t {
  kReady,
  kReturning,    // the memory of an ended attempt is not back yet
  kQuarantined,  // nor did it come back in time
};

struct DeviceInfo {
  std::string uuid;
  std::string name = {};
  int32_t index = 0;
  int64_t memory_bytes = 0;
  DeviceState state = DeviceState::kReady;  // nothing is leased on it unless it is ready
  std::string state_reason = {};
};

// Names one execution and its fencing token, as every worker message does.
struct AttemptRef {
  AttemptId attempt;
  LeaseEpoch epoch;
  friend auto operator<=>(const AttemptRef&, const AttemptRef&) = default;
};

// What a daemon says about itself when it connects.
struct WorkerHello {
  std::string name;
  std::string boot_id;
  std::string host;
  std::string version;
  int32_t cpus = 1;
  std::vector<DeviceInfo> devices;
  std::map<std::string, std::string> labels;
  std::vector<AttemptRef> attempts;  // still running, or ended and not acknowledged
  bool draining = false;
  bool reconnects = false;           // it was welcomed before, since it started
};

// How an attempt's processes ended, as the daemon saw it.
struct AttemptExit {
  std::optional<int32_t> exit_code;
  int32_t signal = 0;
  bool out_of_memory = false;
  bool start_failed = false;
  bool stop_requested = false;
  bool lost = false;
  std::string reason;
};

// A checkpoint of which the controller keeps a copy. Attempt and step name it within its trial.
struct StoredCheckpoint {
  uint32_t attempt = 0;     // that made it
  int64_t step = 0;         // of the report that named it
  std::string name;         // relative to the trial's checkpoint folder; "" = the whole folder
  int64_t bytes = 0;        // of the archive
  std::string sha256;       // of the archive, in hexadecimal
  double value = std::numeric_limits<double>::quiet_NaN();  // the searcher's metric at that step; NaN if not reported
};

// By (attempt, step): what a later attempt made is newer.
bool OlderCheckpoint(const StoredCheckpoint& a, const StoredCheckpoint& b);

// One fact about an attempt, numbered by the daemon.
struct WorkerRecord {
  enum class Kind : uint8_t { kStarted, kMeasured, kLog, kEnded };
  AttemptRef ref;
  uint64_t sequence = 0;
  Time time;  // on the daemon's clock
  Kind kind = Kind::kStarted;
  int64_t step = 0;                    // measured; 0 = the last one plus 1
  std::vector<NamedMetric> metrics;    // measured
  std::string checkpoint;              // measured
  std::string data;                    // log
  int64_t dropped_bytes = 0;           // log
  AttemptExit exit;                    // ended
};

}  // namespace tunesmith
