// What the client says when a sweep has ended, and what it says line by line where there is no
// terminal. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/table.h"

namespace tunesmith {

struct FailureCause {
  std::string cause;  // "CUDA out of memory"
  int64_t count = 0;
  std::vector<uint32_t> trials;  // some of them, for looking up
};

struct SummaryView {
  std::string name;
  std::string state;  // "FINISHED"
  int64_t elapsed_ms = 0;
  std::vector<std::pair<RowState, int64_t>> counts;
  std::string metric;
  ViewGoal goal = ViewGoal::kMin;
  std::optional<BestView> best;
  std::optional<int64_t> best_step;
  std::vector<std::string> objectives;  // several: "accuracy (max)"; then there is a front and no best trial
  std::vector<uint32_t> front;
  std::optional<double> first_value;   // the objective of the first trial that completed
  std::string argv;                    // of the best trial, quoted for a shell, ready to paste
  std::vector<FailureCause> failures;  // most frequent first
  std::vector<std::string> next;       // commands worth trying: "tunesmith export digits -o csv"
};

// Values stand in full precision. The line with `argv` is not cut: it is there to be pasted.
std::vector<std::string> RenderSummary(const SummaryView& view, const RenderOptions& options);

// One thing that happened. Fields that do not fit the kind are ignored.
struct ProgressEvent {
  enum class Kind : uint8_t {
    kSweep,         // text: "ACTIVE", "FINISHED: 200 trials"
    kTrialStarted,  // where, params
    kReport,        // step, max_step, metrics
    kTrialEnded,    // state, text: the reason
    kNewBest,       // metrics[0], params
    kWorker,        // text
    kNotice,        // text
  };
  Kind kind = Kind::kNotice;
  int64_t time_ms = 0;  // since the Unix epoch
  uint32_t trial = 0;
  uint32_t attempt = 1;
  RowState state = RowState::kRunning;
  int64_t step = 0;
  std::optional<int64_t> max_step;
  std::vector<std::pair<std::string, double>> metrics;
  std::vector<std::pair<std::string, ViewValue>> params;
  std::string where;
  std::string text;
};

// "2025-11-24T19:44:01Z trial 3 step 4/9 loss=0.42 accuracy=0.91". Time is UTC. One line, no
// control characters.
std::string EventText(const ProgressEvent& event, bool unicode);

}  // namespace tunesmith
