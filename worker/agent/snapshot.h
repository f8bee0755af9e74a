// What an agent knows, as plain data: a daemon that is replaced by a newer program hands it on.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "common/time.h"
#include "worker/agent/types.h"

namespace tunesmith::worker {

struct AttemptState {
  enum class Phase : uint8_t { kWaiting, kFinding, kStarting, kRunning, kLeaving, kEnded };
  enum class StopCause : uint8_t { kNone, kController, kLost, kLimit, kForgotten };

  std::shared_ptr<const Assignment> assignment;  // null for a restored one
  Phase phase = Phase::kWaiting;
  StopCause cause = StopCause::kNone;
  std::string cause_reason;
  bool term_sent = false;
  bool kill_sent = false;
  Time kill_at = kTimeNever;
  bool forgotten = false;  // no report, no record
  bool named_checkpoint = false;
  bool resume_found = false;
  bool end_unknown = false;  // restored, and nobody saw its end

  uint64_t last_sequence = 0;
  std::deque<RecordPtr> unacked;
  size_t unacked_bytes = 0;
  size_t sent = 0;  // of unacked, in this session
  int64_t last_step = 0;
  int64_t measurements = 0;
  bool steps_from_zero = false;
  std::set<std::string> metrics_seen;     // of the declared ones
  std::set<uint64_t> verdicts_delivered;  // sequences above the last ack

  bool HasNoProcess() const { return phase == Phase::kWaiting || phase == Phase::kFinding || phase == Phase::kEnded; }
};

struct AgentSnapshot {
  std::map<AttemptKey, AttemptState> attempts;
  bool draining = false;
  Duration lease{0};
  Time lease_ends = kTimeNever;
};

}  // namespace tunesmith::worker
