// A scheduler decides which trials go on. It is asked once per report and answers with a verdict that says why.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/problem.h"
#include "schedulers/explore.h"
#include "search/searcher.h"

namespace tunesmith {

enum class Action : uint8_t { kContinue, kStop, kPause };

enum class Reason : uint8_t {
  kNone,            // nothing was decided at this report (no rung reached)
  kNoMetric,        // the report lacks the scheduler's metric; continues
  kFirstAtRung,     // no cutoff yet: continues
  kAboveCutoff,     // as good as the cutoff or better: continues
  kBelowCutoff,     // strictly worse than the cutoff: stops
  kNotANumber,      // NaN is worse than every number: stops where there is a cutoff (under compat: ray never)
  kReachedMax,      // step >= max_t: stops, and counts as completed
  kPausedAtRung,    // not among the best at the rung, yet: pauses
  kPromoted,        // among the best at the rung: goes on, with or without a pause before
  kEnded,           // ended by itself: a peer for others
  kBelowMedian,     // its best is strictly worse than the median of the others, or that is NaN (compat: ray): stops
  kAboveMedian,     // its best is as good as the median of the others or better: continues
  kWaitsAtRung,     // waits at the rung for the others of its bracket: pauses
  kHalved,          // not among those of its bracket that go on from the rung: stops
  // pbt
  kKeepsOn,         // not among the worst of the population: continues
  kExploits,        // among the worst: pauses, and goes on from the checkpoint of one of the best
  kNoDonor,         // among the worst, and none that is better has a checkpoint: continues
  kTakesTurn,       // pauses so that another one can run, or goes on after that
  kWaitsForAll,     // waits for the rest of the population: pauses
  kAllThere,        // the population has been judged: what waits goes on by and by
  // Not the scheduler's, but of what the sweep stops trials by; all count as completed.
  kMaxSteps,        // step >= max_steps (the milestone)
  kPlateau,         // the deviation (value) of its last reports (peers) is below what counts as progress (cutoff)
  kTarget,          // as good as the target (cutoff) of the sweep
};
const char* ReasonName(Reason reason);  // "below_cutoff", ...

// A decision and the facts behind it. It is journaled; on replay Apply(verdict) restores the scheduler without
// deciding again.
struct Verdict {
  Action action = Action::kContinue;
  Reason reason = Reason::kNone;
  int32_t bracket = 0;
  double milestone = 0;    // rung that was judged, in steps; 0 if none (median: the step that was recorded)
  bool recorded = false;   // the value was recorded at that rung (median: at that step, whether judged or not)
  double value = 0;        // the metric as the program gave it
  double cutoff = 0;       // in the metric's own sign; meaningful if has_cutoff (median: the median)
  bool has_cutoff = false;
  uint32_t rank = 0;       // 1 = best among those recorded at the rung, this one included; 0 if none
  uint32_t peers = 0;      // recorded at the rung, this one included (median: the others that are compared with)
  friend bool operator==(const Verdict&, const Verdict&) = default;
};

// Whether something was judged, which people and programs are told; else the report was at most recorded.
bool IsDecision(const Verdict& verdict);

// "0.61 is worse than the cutoff 0.48 at rung 3 (rank 7 of 9, loss min)". `metric` names the scheduler's metric.
std::string Explain(const Verdict& verdict, const std::string& metric, Goal goal);

struct TrialReport {
  uint32_t trial = 0;
  int64_t step = 0;               // of the scheduler's time attribute, counted from 1
  std::optional<double> value;    // the scheduler's metric; nullopt if the report lacks it
  // pbt: the least step of those trials that would run if there were a place; none if there is no such trial.
  std::optional<int64_t> waiting = {};
  // pbt: whether another trial can go on from a checkpoint of this one. Empty: from all.
  std::function<bool(uint32_t trial)> gives = {};
};

struct RungStatus {
  int32_t bracket = 0;
  double milestone = 0;
  uint32_t recorded = 0;              // trials recorded there
  uint32_t stopped = 0;               // of these, stopped there
  uint32_t promoted = 0;              // of these, gone on by promotion
  uint32_t waiting = 0;               // of these, paused there
  std::optional<double> cutoff;       // in the metric's own sign
};

// A verdict on a paused trial: kContinue lets it go on, kStop ends it (with kReachedMax as completed), kPause only
// records something. One with kExploits is not applied: one of Donors(trial) is, by Exploit, or kNoDonor with kPause.
struct PausedVerdict {
  uint32_t trial = 0;
  Verdict verdict;  // not recorded at any rung
};

// What is still to come in a sweep.
enum class Outlook : uint8_t {
  kOpen,      // more trials may be added
  kComplete,  // no trial will be added any more
  kIdle,      // and none runs or waits for a place: nothing will change by itself
};

// Not thread-safe. Pure: Decide is const and Apply is the only mutator besides AddTrial and RemoveTrial.
// Whether the verdict needs no look at others: `at_end`, the trial has come to its last step and stops; or the report
// lacks the metric.
inline bool JudgedAlone(bool at_end, const TrialReport& report, Verdict* verdict) {
  if (at_end) {
    verdict->action = Action::kStop;
    verdict->reason = Reason::kReachedMax;
  } else if (!report.value) {
    verdict->reason = Reason::kNoMetric;
  }
  return at_end || !report.value;
}

class Scheduler {
 public:
  virtual ~Scheduler() = default;

  // The bracket for a new trial, which is added next: a function of the options, the number, and what was applied.
  virtual int32_t BracketFor(uint32_t /*trial*/) const { return 0; }
  virtual void AddTrial(uint32_t trial, int32_t bracket) = 0;

  // The verdict on a report of a running trial.
  virtual Verdict Decide(const TrialReport& report) const = 0;
  // What to record when the trial has ended by itself or was stopped, given its last report; the action is ignored.
  virtual Verdict DecideFinal(const TrialReport& last) const = 0;
  // Records a verdict (from Decide, DecideFinal, or a journal).
  virtual void Apply(uint32_t trial, const Verdict& verdict) = 0;
  // The next verdict on a paused trial, if one is due; once it is applied, ask again. What is paused when an idle
  // scheduler has no verdict on anybody stays so.
  virtual std::optional<PausedVerdict> NextPaused(Outlook /*outlook*/) const { return std::nullopt; }
  // Of a trial with a verdict kExploits: from whom it may take over, the preferred one first.
  virtual std::vector<uint32_t> Donors(uint32_t /*trial*/) const { return {}; }
  // The trial goes on from a checkpoint of the donor, of that step.
  virtual void Exploit(uint32_t /*trial*/, uint32_t /*donor*/, int64_t /*step*/) {}
  // The trial has ended: what it recorded stays, the rest is forgotten.
  virtual void RemoveTrial(uint32_t trial) = 0;

  // The steps at which a trial of the bracket is judged, ascending; empty if it never is, or only at its end.
  virtual std::vector<int64_t> Milestones(int32_t /*bracket*/) const { return {}; }

  // For people: highest rung first, bracket by bracket.
  virtual std::vector<RungStatus> Rungs() const = 0;
};

struct SchedulerOptions {
  std::string type = "fifo";  // fifo, asha, hyperband, bohb, median, pbt
  Goal goal = Goal::kMin;
  uint64_t seed = 0;                 // bracket choice, donors
  int64_t max_t = 0;                 // 0: none given, see MaxTOf
  double grace_period = 1;           // steps before the first rung or median (a fraction is allowed under compat: ray)
  std::optional<double> reduction_factor = {};  // none given: 4, hyperband and bohb 3
  int32_t brackets = 1;
  int32_t min_samples_required = 3;  // median: other trials that it takes to judge one
  bool stop_last_trials = true;
  bool promotion = false;            // asha: trials pause at rungs, and the best go on; false: the worst stop
  bool compat_ray = false;           // decide as Ray Tune does, quirks included
  PbtOptions pbt = {};
};

std::vector<std::string> SchedulerTypes();

// The last step of a trial, 0 for no limit; where none is given asha's is 100, hyperband's and bohb's 81 (Ray Tune's).
int64_t MaxTOf(const SchedulerOptions& options);
double ReductionFactorOf(const SchedulerOptions& options);

// Whether trials may pause: then their programs have to resume from checkpoints, and workers have to run them.
bool Pauses(const SchedulerOptions& options);

// nullptr and appended problems (fields "scheduler.type", "scheduler.grace_period", ...) if the options make no sense.
std::unique_ptr<Scheduler> MakeScheduler(const SchedulerOptions& options, Problems* problems);

}  // namespace tunesmith
