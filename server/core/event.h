// What has happened: the journaled facts. State::Apply(event) is the only thing that changes durable state, so the
// journal is the state. Facts, not intentions: parameters as suggested, verdicts with their reasons, leases.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "server/core/types.h"
#include "spec/sweep_spec.h"

namespace tunesmith {

struct SweepCreated {
  SweepId sweep;
  std::string id;          // "digits", "digits-2"
  std::string request_id;
  SweepSpec spec;
  uint64_t seed = 0;       // the spec's, or drawn at the edge
  Time time;
};

struct SweepChanged {
  SweepId sweep;
  SweepState state = SweepState::kActive;
  // With kStopping: what it becomes once all its trials have ended.
  SweepState becomes = SweepState::kCancelled;
  std::string reason;
  Time time;
  // With kStopping: a user wants it deleted as soon as it has ended.
  bool delete_when_ended = false;
};

// A user changed what may change while a sweep runs.
struct SweepUpdated {
  SweepId sweep;
  ShareSpec share;
  int32_t max_parallel = 0;
  Time time;
};

struct SweepDeleted {
  SweepId sweep;
  // The last one given so far: the journal may drop all that it holds of the sweep, and epochs must grow all the same.
  LeaseEpoch last_epoch;
};

// The searcher has no further point.
struct SpaceExhausted {
  SweepId sweep;
};

struct TrialCreated {
  TrialId trial;
  Point point;
  int32_t bracket = 0;
  bool from_user = false;             // one of the spec's points, or a repeat of one
  Time time;
  Origin origin = {};                 // why this point
  std::optional<uint32_t> repeat_of = {};  // the first trial with this point
};

// A trial got a place: a new attempt with a new epoch.
struct AttemptLeased {
  AttemptId attempt;
  LeaseEpoch epoch;
  WorkerId worker;                    // none for ask/tell
  std::string client;                 // ask/tell: who asked
  int64_t lease_ms = 0;               // ask/tell: how long without a sign of life
  int32_t cpus = 0;
  double gpus = 0;
  std::vector<std::string> devices;   // UUIDs
  Time time;
};

struct AttemptRunning {
  AttemptId attempt;
  uint64_t sequence = 0;
  Time time;
};

// A metric name appeared for the first time in a sweep.
struct MetricNamed {
  SweepId sweep;
  uint32_t slot = 0;
  std::string name;
};

struct Measured {
  AttemptId attempt;
  uint64_t sequence = 0;
  int64_t step = 0;
  Time time;
  std::vector<SlotValue> metrics;
  std::string checkpoint;
  Verdict verdict;
};

// The scheduler's verdict on a paused trial, whose last processes may still have to go. kContinue: it waits for a place
// then. kStop: it ends then; if they are gone, its TrialEnded comes right after.
struct PausedJudged {
  TrialId trial;
  Verdict verdict;
  Time time;
};

// The controller keeps a copy of a checkpoint from now on. Its file was durable before.
struct CheckpointStored {
  TrialId trial;
  StoredCheckpoint checkpoint;  // the value is not journaled: it follows from the measurements
  Time time;
};

// The copy is not kept any more: by the sweep's rules, or for lack of room.
struct CheckpointDropped {
  TrialId trial;
  uint32_t attempt = 0;
  int64_t step = 0;
};

// A trial whose verdict is kExploits takes over from another one: once its processes are gone it goes on with the new
// point, from the donor's checkpoint, of which it has a copy of its own.
struct TrialExploited {
  TrialId trial;
  uint32_t donor = 0;
  StoredCheckpoint from;  // of the donor; the value is not journaled
  Point point;            // that of the donor, explored
  Verdict verdict;        // kPause: it stays paused after that
  Time time;
};

// Somebody other than the scheduler decided that the trial ends (a user, a budget), which may be about to pause or to
// make room. Its processes may still run.
struct TrialStopping {
  TrialId trial;
  std::string reason;
  Time time;
  bool preempts = false;  // only this attempt ends, to make room for another sweep: then the trial waits again
};

struct AttemptEnded {
  AttemptId attempt;
  uint64_t sequence = 0;   // 0: the controller found it lost
  AttemptState state = AttemptState::kSucceeded;
  AttemptExit exit;
  bool requeue = false;    // the trial waits for a new place
  Time time;
};

struct TrialEnded {
  TrialId trial;
  TrialState state = TrialState::kCompleted;
  std::string reason;
  Verdict final_verdict;   // what the scheduler recorded of the last report
  Time time;
};

// A trial of an earlier sweep that this one starts from, in its own space. Comes right after SweepCreated.
struct WarmStarted {
  SweepId sweep;
  std::string from;    // id of the earlier sweep, which may be deleted since
  uint32_t trial = 0;  // its number there
  Point point;
  double value = 0;    // of the earlier sweep's metric
};

// A daemon's name got its number.
struct WorkerRegistered {
  WorkerId worker;
  std::string name;
};

struct WorkerDrained {
  WorkerId worker;
  bool drained = true;        // false: a drain or quarantine has ended
  bool quarantine = false;
  std::string reason;
};

using Event = std::variant<SweepCreated, SweepChanged, SweepDeleted, SpaceExhausted, TrialCreated, AttemptLeased,
                           AttemptRunning, MetricNamed, Measured, TrialStopping, AttemptEnded, TrialEnded,
                           WarmStarted, PausedJudged, CheckpointStored, CheckpointDropped, SweepUpdated,
                           TrialExploited,
                           WorkerRegistered, WorkerDrained>;

}  // namespace tunesmith
