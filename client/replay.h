// What another scheduler would have done on a sweep that has been run. Pure: reports in, outcomes out.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "schedulers/scheduler.h"

namespace tunesmith {

// A report of the run.
struct ReplayReport {
  uint32_t trial = 0;
  uint32_t attempt = 1;
  int64_t step = 0;
  int64_t time_ms = 0;              // since the Unix epoch
  int64_t used_ms = 0;              // by the trial until here, all its attempts together
  std::optional<double> value;      // the scheduler's metric
  std::optional<double> objective;  // the searcher's metric
};

// A trial of the run.
struct ReplayTrial {
  enum class End : uint8_t {
    kNone,       // it has not ended
    kCompleted,  // by itself, or by a rule of the sweep that holds whatever the scheduler is
    kFailed,
    kCut,        // ended by the scheduler of the run or by a user: nobody knows what it would have reported next
  };
  End end = End::kNone;
  bool stopped_early = false;    // by the scheduler of the run
  bool may_be_best = true;       // it did not fail and met the sweep's requirements
  int64_t create_ms = 0;
  int64_t end_ms = 0;            // meaningful with an end
  int64_t used_ms = 0;           // by all its attempts
};

struct ReplayInput {
  std::vector<ReplayTrial> trials;    // by number, from 0
  std::vector<ReplayReport> reports;  // in the order in which they were recorded
  bool all_created = true;            // no trial will be added to the sweep any more
  Goal objective_goal = Goal::kMin;
};

enum class ReplayOutcome : uint8_t {
  kStopped,    // early, by the scheduler that is tried
  kPaused,     // and nothing let it on
  kMaxT,       // ended at its last step max_t
  kCompleted,  // as in the run
  kFailed,     // as in the run
  kBeyond,     // would have gone on where the run ended it
  kRunning,    // has not ended, in an unfinished sweep
  kNoReport,   // never reported anything
};
const char* OutcomeWord(ReplayOutcome outcome);  // "stopped", "paused", "max_t", ...

// How far a trial went.
struct ReplayUse {
  int64_t steps = 0;  // the last one
  int64_t ms = 0;
  std::optional<double> best;  // of the searcher's metric
  int64_t best_step = 0;
};

struct ReplayedTrial {
  ReplayOutcome outcome = ReplayOutcome::kNoReport;
  ReplayUse run;
  ReplayUse replay;
  uint32_t run_rank = 0;           // by `run.best` among those that may be best, 1 = best; 0: none
  std::optional<Verdict> verdict;  // the decision that ended or paused it last
  // It went less far than in the run.
  bool shortened() const { return replay.steps < run.steps; }
};

struct ReplayTotals {
  int64_t stopped = 0;  // early; in the replay also what is left paused when nothing else is left to run
  int64_t steps = 0;
  int64_t ms = 0;
  std::optional<uint32_t> best_trial;
  double best_value = 0;
};

struct ReplayResult {
  std::vector<ReplayedTrial> trials;  // by number
  ReplayTotals run;
  ReplayTotals replay;
  int64_t beyond = 0;        // trials with ReplayOutcome::kBeyond
  int64_t paused = 0;
};

// The trials in the order in which they were created, their reports in the order in which they were recorded, and their
// ends are given to `scheduler`, as the controller gives them.
//
// - A trial that it stops ends there: the rest of its reports are not looked at.
// - The reports and the end of a trial that it pauses wait. As soon as it lets the trial on they are judged at once,
//   in their order, up to the next pause.
// - A trial that the run cut leaves: what it recorded stays, and nobody waits for it any longer (kBeyond).
// - A step that an earlier attempt of the trial had reported is not judged again.
//
// O(n log n) for n reports, besides what the scheduler takes.
ReplayResult RunReplay(Scheduler* scheduler, const ReplayInput& input);

// The trials by what they tell: those that would have been stopped or left paused before they got as far as in the run,
// then those that would have gone on, those that max_t would have ended, and the others; the best of the run first.
std::vector<uint32_t> MostTelling(const ReplayResult& result);

}  // namespace tunesmith
