// What a scheduler would have decided on reports that are given one by one. Pure: what is read and written is
// report_line.h's matter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/problem.h"
#include "schedulers/scheduler.h"

namespace tunesmith {

// Text, or a whole number in decimal digits: 7 and "7" are two trials.
struct TrialName {
  std::string text;
  bool is_number = false;
  friend auto operator<=>(const TrialName&, const TrialName&) = default;
};

struct ReportLine {
  enum class Event : uint8_t {
    kReport,
    kComplete,  // the trial has ended by itself; a step or value is its last report
    kError,     // it has failed
  };
  TrialName trial;
  Event event = Event::kReport;
  std::optional<int64_t> step;  // 1 to kReportStepMax; none: the one after the trial's last
  std::optional<double> value;  // the scheduler's metric
};

struct SimulatedAnswer {
  enum class Kind : uint8_t {
    kVerdict,    // the scheduler's decision on the report
    kCompleted,  // the verdict says what was recorded at the end; its action means nothing
    kFailed,
    kEnded,      // the trial had ended before: nothing has changed
  };
  TrialName trial;
  Kind kind = Kind::kVerdict;
  int64_t step = 0;             // 0: the trial never reported
  Verdict verdict;              // of kVerdict and kCompleted
  std::optional<double> value;  // that was judged
  bool has_bracket = false;     // the scheduler has rungs, and brackets of them
  std::string text;             // for people
  std::vector<TrialName> resumed;  // paused trials that the scheduler lets on now, this one perhaps among them
  std::vector<TrialName> stopped;  // paused trials that it ends now
};

// Not thread-safe. Numbers the trials in the order in which they appear, and does with each what the controller does: a
// trial that is stopped or ends by itself is judged once more by its last report (DecideFinal), then forgotten; one
// that is paused is not judged until it is let on. With pbt every trial is taken to have a checkpoint of its last step
// and a place to run, and one that takes over goes on with the reports that it has: they cannot be those of its new
// weights.
class Simulation {
 public:
  struct Counts {
    uint64_t reports = 0;    // of trials that had not ended
    uint64_t valued = 0;     // of these, with the scheduler's metric
    uint64_t ignored = 0;    // lines of trials that had ended
    uint64_t trials = 0;
    uint64_t stopped = 0;
    uint64_t completed = 0;  // by themselves, or at max_t
    uint64_t failed = 0;
  };

  // `metric` and `goal` are the scheduler's. `trials`: how many the sweep has, 0 if that is not known.
  Simulation(std::unique_ptr<Scheduler> scheduler, std::string metric, Goal goal, int64_t trials = 0);

  // nullopt and the problem if the line contradicts those before it; then nothing has changed.
  std::optional<SimulatedAnswer> Take(const ReportLine& line, Problem* problem);

  const Counts& counts() const { return counts_; }
  // "12 reports of 4 trials: 3 stopped, 1 completed".
  std::string Summary() const;

 private:
  enum class End : uint8_t { kNone, kStopped, kCompleted, kFailed };
  struct Trial {
    uint32_t number = 0;
    End end = End::kNone;
    int64_t last_step = 0;  // 0: none yet
    std::optional<double> last_value;
    bool paused = false;
  };

  std::optional<int64_t> StepOf(const ReportLine& line, const Trial& trial, Problem* problem) const;
  Trial* Add(const TrialName& name);
  void Judge(Trial* trial, SimulatedAnswer* answer);
  // What the scheduler decides now on those that are paused.
  void JudgePaused(SimulatedAnswer* answer);
  void Stop(Trial* trial, const Verdict& verdict);
  void Complete(Trial* trial, SimulatedAnswer* answer);
  Verdict Finish(Trial* trial, End end);

  std::unique_ptr<Scheduler> scheduler_;
  const std::string metric_;
  const Goal goal_;
  const int64_t expected_;
  const bool has_rungs_;
  std::map<TrialName, Trial> trials_;
  std::vector<std::map<TrialName, Trial>::iterator> by_number_;
  Counts counts_;
};

}  // namespace tunesmith
