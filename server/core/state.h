// Everything the controller knows for good. Plain data; changed by Apply(event) alone, so that replaying the journal
// gives the same state to the last bit (Hash). What a restart may forget (connections, deadlines, outstanding
// suggestions) lives in Controller instead.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "schedulers/scheduler.h"
#include "search/space/space.h"
#include "server/core/event.h"
#include "server/core/queue.h"
#include "server/core/types.h"
#include "spec/requirement.h"
#include "spec/sweep_spec.h"

namespace tunesmith {

struct Attempt {
  AttemptState state = AttemptState::kStarting;
  LeaseEpoch epoch;
  WorkerId worker;                   // none for ask/tell
  int32_t cpus = 0;
  float gpus = 0;                    // asked of each device, or the number of whole devices
  int64_t lease_ms = 0;              // ask/tell only
  bool guarded = false;              // given to a sweep that had starved: not preempted for a while
  bool fenced = false;               // lost by the controller's own decision: its worker may not know
  uint64_t sequence = 0;             // last one recorded
  Time start;
  Time latest;                       // of what was recorded of it
  Time end;
  std::vector<std::string> devices;
  std::string client;                // ask/tell: who holds it
  std::unique_ptr<AttemptExit> exit; // once ended with something to say
};

struct TrialCheckpoints {
  std::vector<StoredCheckpoint> stored;  // copies that are kept, by (attempt, step)
  // Of reports that named one, the latest kNamedCheckpointsMax: (attempt, step, searcher's metric or NaN).
  struct Named {
    uint32_t attempt = 0;
    int64_t step = 0;
    double value = 0;
  };
  std::vector<Named> named;
};
constexpr size_t kNamedCheckpointsMax = 16;

// A trial has taken over from another one (TrialExploited).
struct Exploit {
  uint32_t donor = 0;
  uint32_t donor_attempt = 0;
  int64_t step = 0;                // of the donor's checkpoint: it went on from there
  int64_t left_step = 0;           // the trial's own last step before that
  uint32_t attempt = 0;            // the first one since
  Point left_point;                // its own before that
  Point donor_point;
  Point point;                     // explored from the donor's
  Time time;
};

struct Lineage {
  std::vector<Exploit> exploits;          // the first to happen first
  // Decided, and waiting for the processes to be gone; with it the copy that it will go on from.
  std::optional<std::pair<Exploit, StoredCheckpoint>> due;
};

// States: pending -> running -> completed | stopped | failed; running -> stopping -> (stopped | completed |
// cancelled | paused | pending, if it was to make room); paused -> pending when the scheduler lets it go on, else ->
// stopped; running -> pending again when its attempt was lost or is tried once more; any but terminal -> cancelled.
struct Trial {
  TrialState state = TrialState::kPending;
  bool from_user = false;            // one of the spec's points, or a repeat of one
  bool has_best = false;
  bool has_value = false;            // the last report held the searcher's metric
  uint8_t failures = 0;              // attempts that failed by the program
  uint8_t losses = 0;                // attempts lost by machine trouble
  int32_t bracket = 0;
  uint32_t measurements = 0;
  uint32_t curve_reports = 0;        // reports that held the searcher's metric
  uint32_t curve_stride = 1;         // every so many of them give a point of the curve
  int64_t last_step = 0;
  int64_t steps_before = 0;          // as far as attempts before the last one had come
  int64_t best_step = 0;
  double last_value = 0;             // searcher's metric, last reported
  double best_value = 0;
  Time created;
  Time started;
  Time ended;
  uint64_t revision = 0;
  Verdict stop_verdict;              // the one that stopped or paused it, if the scheduler did
  bool promoted = false;             // waits for a place, or will, because the scheduler let it go on
  bool preempting = false;           // while stopping: only to make room; `reason` says for whom
  bool takes_turns = false;          // with `promoted`: those that are behind go first
  Point point;
  Origin origin;                     // why this point
  std::optional<uint32_t> repeat_of; // the first trial with this point
  std::vector<SlotValue> last_metrics;
  std::vector<double> watched;       // last value of each of the sweep's watched metrics; NaN: never reported; or empty
  uint64_t watched_seen = 0;         // which of them were reported, as bits
  // Searcher's metric at the report that reached each of the bracket's milestones, as far as the trial got; the last
  // known value where that report lacked it, NaN where there was none.
  std::vector<double> rung_values;
  std::vector<double> latest;        // with stop.plateau: the last values of its metric, at most num_results
  uint32_t latest_reports = 0;       // with stop.plateau: reports that held its metric
  std::vector<double> curve;         // searcher's metric, at most kCurvePointsMax, thinned evenly
  std::vector<Attempt> attempts;
  std::string reason;                // why it ended, or is being stopped
  std::unique_ptr<TrialCheckpoints> checkpoints;  // may be null: none was named

  std::unique_ptr<Lineage> lineage;  // may be null: it never took over from another one

  bool Exploited() const { return lineage != nullptr && !lineage->exploits.empty(); }
  // Of the attempts that have led to its present weights, the first one.
  uint32_t FirstAttempt() const { return Exploited() ? lineage->exploits.back().attempt : 1; }
  // The one that it was created with.
  const Point& FirstPoint() const { return Exploited() ? lineage->exploits.front().left_point : point; }
  const std::vector<StoredCheckpoint>& StoredCheckpoints() const {
    static const std::vector<StoredCheckpoint> kNone;
    return checkpoints == nullptr ? kNone : checkpoints->stored;
  }
  // Whether the store has its newest checkpoint, as far as is known: the newest that the program named, or one of its
  // last step.
  bool NewestIsStored() const;
  // The scheduler has decided to pause it, and its processes are not gone yet.
  bool Pausing() const { return state == TrialState::kStopping && stop_verdict.action == Action::kPause; }
  // It goes on when there is a place again, and its processes are not gone yet.
  bool Preempting() const { return state == TrialState::kStopping && preempting; }
  Attempt* LiveAttempt() {
    return attempts.empty() || IsTerminal(attempts.back().state) ? nullptr : &attempts.back();
  }
  const Attempt* LiveAttempt() const { return const_cast<Trial*>(this)->LiveAttempt(); }
};

struct Sweep {
  SweepId number;
  std::string id;
  std::string request_id;
  std::shared_ptr<const SweepSpec> spec;
  std::shared_ptr<const Space> space;
  std::unique_ptr<Scheduler> scheduler;
  uint64_t seed = 0;
  SweepState state = SweepState::kActive;
  SweepState becomes = SweepState::kCancelled;  // while stopping: the state it will end in
  bool delete_when_ended = false;
  std::string reason;
  Time created;
  Time ended;
  bool exhausted = false;
  std::map<int32_t, std::vector<int64_t>> milestones;  // by bracket: the scheduler's, for those that trials are in
  int64_t target = 0;                 // trials in all: budget x grid cells x repeats
  std::deque<Trial> trials;           // by number
  PendingQueue pending;               // in the order in which they get a place
  std::set<uint32_t> live;            // running or stopping
  std::set<uint32_t> paused;
  std::set<uint32_t> preempting;      // stopping, only to make room
  int64_t counts[kTrialStates] = {};
  int64_t measurements = 0;
  int64_t attempts_lost = 0;
  Time idle_since;                    // since when nothing of it runs, while it is active
  int64_t cpus_used = 0;              // by what runs
  double gpus_used = 0;
  double gpu_ms = 0;                  // of ended attempts: GPUs times milliseconds
  uint32_t start_failures_in_row = 0; // attempts that could not be started, since one could
  int64_t checkpoint_bytes = 0;           // of all copies
  std::vector<std::string> metric_names;
  std::optional<uint32_t> search_slot;    // of the searcher's metric, once reported
  std::optional<uint32_t> schedule_slot;
  std::optional<uint32_t> plateau_slot;
  std::optional<uint32_t> best_trial;     // with several objectives: none; with repeats the first one of the best point
  // With several objectives or with requirements, their metrics: objectives first, then one of each requirement.
  std::vector<std::string> watched_names;
  std::vector<std::optional<uint32_t>> watched_slots;
  std::vector<Goal> goals;                // of several objectives
  std::vector<Requirement> requirements;
  std::vector<uint32_t> pareto;           // of several objectives: ended trials that no other one dominates, by number
  // What it took over from earlier sweeps: the trials while it goes on, and for good how many of which sweep.
  std::vector<EarlierTrial> earlier;
  std::vector<std::pair<std::string, uint32_t>> warm_started;
  // Trials in the order of their results: one entry for each rung that a trial reached, and one for its end. Searchers
  // hear of them in this order, also after a restart.
  std::vector<uint32_t> results;
  std::vector<uint32_t> finished;     // numbers in order of ending
  uint64_t revision = 0;
  // (revision, trial) of late changes, oldest first; a watcher whose cursor is older than the floor needs a snapshot.
  std::deque<std::pair<uint64_t, uint32_t>> changes;
  uint64_t changes_floor = 0;

  const Trial* Find(uint32_t trial) const { return trial < trials.size() ? &trials[trial] : nullptr; }
};

struct WorkerIdentity {
  std::string name;
  bool drained = false;
  bool quarantined = false;
  std::string reason;
};

class State {
 public:
  void Apply(const Event& event);

  const std::map<SweepId, std::unique_ptr<Sweep>>& sweeps() const { return sweeps_; }
  const std::map<WorkerId, WorkerIdentity>& workers() const { return workers_; }
  const Sweep* FindSweep(SweepId sweep) const;
  const Sweep* FindSweep(const std::string& id) const;
  const Trial* FindTrial(TrialId trial) const;
  WorkerId FindWorker(const std::string& name) const;  // none if unknown
  SweepId next_sweep() const { return SweepId(last_sweep_.value + 1); }
  LeaseEpoch last_epoch() const { return last_epoch_; }
  LeaseEpoch next_epoch() const { return LeaseEpoch(last_epoch_.value + 1); }
  WorkerId next_worker() const { return WorkerId(last_worker_.value + 1); }
  uint64_t revision() const { return revision_; }
  // Sweeps with the request id of an earlier CreateSweep.
  SweepId FindRequest(const std::string& request_id) const;

  // A digest of all durable state; equal for equal states on every machine.
  uint64_t Hash() const;

 private:
  struct Applier;
  std::map<SweepId, std::unique_ptr<Sweep>> sweeps_;
  std::map<std::string, SweepId> by_id_;
  std::map<std::string, SweepId> by_request_;
  std::map<WorkerId, WorkerIdentity> workers_;
  std::map<std::string, WorkerId> worker_by_name_;
  SweepId last_sweep_;
  LeaseEpoch last_epoch_;
  WorkerId last_worker_;
  uint64_t revision_ = 0;
};

// Trials that may start beside those that run, by budget.max_parallel.
int64_t MayStart(const Sweep& sweep);

// What the searcher is told of a trial that has ended.
Observation ObservationOf(const Sweep& sweep, uint32_t number);

// GPU time of an attempt from its start to `until`: its GPUs times milliseconds.
double GpuMs(const Attempt& attempt, Time until);

// By how much the trial's last metrics exceed the sweep's requirements, in all: 0 if they are met; 1 for each metric
// that was not reported.
double ViolationOf(const Sweep& sweep, const Trial& trial);

// The last value of each of several objectives; NaN where it was not reported.
std::vector<double> ObjectiveValues(const Sweep& sweep, const Trial& trial);

// An objective that the trial has not reported; "" if there is none.
std::string MissingMetric(const Sweep& sweep, const Trial& trial);

// Whether value a is better than b for the goal; a number is better than NaN, NaN is better than nothing.
bool Better(Goal goal, double a, double b);

}  // namespace tunesmith
