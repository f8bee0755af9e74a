// What the controller wants done outside. An effect leaves only AFTER the events of its batch are durable.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "common/status.h"
#include "search/searcher.h"
#include "server/core/types.h"
#include "spec/sweep_spec.h"

namespace tunesmith {

// --- to the searcher pool; in order per sweep

struct StartSearcher {
  SweepId sweep;
  SearcherOptions options;
  std::shared_ptr<const Space> space;
};
struct DropSearcher {
  SweepId sweep;
};
// The point for trial `trial`; the searcher then counts it as announced. Answered by SuggestionReady.
struct RequestSuggestion {
  SweepId sweep;
  uint32_t trial = 0;
};
struct AnnounceTrial {  // a point that did not come from RequestSuggestion
  SweepId sweep;
  uint32_t trial = 0;
  Point point;
};
// Before the trial's ObserveTrial.
struct ReportRung {
  SweepId sweep;
  RungReport report;
};
struct ObserveTrial {
  SweepId sweep;
  Observation observation;
};
struct ForgetTrial {
  SweepId sweep;
  uint32_t trial = 0;
};

// --- to a worker session; in order per session

struct AttemptAnswer {
  enum class Kind : uint8_t { kAdopt, kKill, kForget };
  AttemptRef ref;
  Kind kind = Kind::kAdopt;
  uint64_t acked = 0;
  std::string reason;
};
struct SendWelcome {
  SessionId session;
  std::vector<AttemptAnswer> attempts;
};
struct SendAssign {
  SessionId session;
  AttemptRef ref;
  std::shared_ptr<const SweepSpec> spec;
  std::string sweep_id;
  Point point;
  uint64_t seed = 0;
  std::vector<std::string> devices;
  bool resume = false;
  std::vector<StoredCheckpoint> checkpoints;  // with `resume`: what the store has and may be used, the newest first
  int64_t last_step = 0;
  uint32_t first_attempt = 0;  // what earlier attempts have saved is of another trial's past: not to be used
};
struct SendStop {
  SessionId session;
  AttemptRef ref;
  std::string reason;
  bool now = false;
};
struct SendAck {
  SessionId session;
  AttemptRef ref;
  uint64_t sequence = 0;
};
struct SendVerdict {
  SessionId session;
  AttemptRef ref;
  uint64_t sequence = 0;
  int64_t step = 0;
  Verdict verdict;
  std::string text;  // Explain(verdict)
};
struct SendDrain {
  SessionId session;
  bool stop_running = false;
};
struct CloseSession {
  SessionId session;
  Status status;
};

// --- to the log store

struct AppendLog {
  AttemptId attempt;
  std::string data;
  int64_t dropped_bytes = 0;
};
struct DeleteLogs {
  SweepId sweep;
};

// --- to the checkpoint store

struct DropCheckpoint {
  TrialId trial;
  uint32_t attempt = 0;
  int64_t step = 0;
};
struct DropCheckpoints {
  SweepId sweep;
};
// The copy of one trial is one of another trial too, under the name that it has there. Before any DropCheckpoint that
// came later.
struct ShareCheckpoint {
  TrialId from;
  uint32_t from_attempt = 0;
  TrialId to;
  uint32_t to_attempt = 0;
  int64_t step = 0;
};

using Effect = std::variant<StartSearcher, DropSearcher, RequestSuggestion, AnnounceTrial, ReportRung, ObserveTrial,
                            ForgetTrial, SendWelcome, SendAssign, SendStop, SendAck, SendVerdict, SendDrain,
                            CloseSession, AppendLog, DeleteLogs, DropCheckpoint, DropCheckpoints, ShareCheckpoint>;

}  // namespace tunesmith
