// The live screen of a sweep as a pure function from plain data and a width to lines of text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace tunesmith {

enum class ViewGoal : uint8_t { kMin, kMax };

// In the order of the groups of rows on the screen.
enum class RowState : uint8_t {
  kRunning,
  kStopping,
  kCompleted,  // "done"
  kStopped,    // stopped early by the scheduler
  kPaused,
  kWaiting,
  kFailed,
  kCancelled,
};
const char* RowStateWord(RowState state);  // "running", "done", ...

// A parameter's value; std::monostate: inactive in this trial, shown as "-".
using ViewValue = std::variant<std::monostate, bool, int64_t, double, std::string>;

struct TrialRow {
  uint32_t number = 0;
  RowState state = RowState::kWaiting;
  std::string state_text;  // in place of the state's own word, e.g. "retry 2/3"; may be empty
  int64_t step = 0;
  std::optional<int64_t> max_step;
  std::vector<std::optional<double>>
      metrics;                     // one per SweepView::metric_columns; nullopt: not reported
  std::vector<ViewValue> params;   // one per SweepView::param_columns
  std::vector<double> curve;       // the objective, oldest first, over the steps so far
  std::string where;               // "lab-01:0"
  std::optional<int64_t> time_ms;  // running time
  std::string note;                // "CUDA out of memory on lab-02:0"
  std::string from = {};           // where the point came from: "gp", "start", "user"
  bool front = false;              // with several objectives: no other trial dominates it
};

struct BestView {
  uint32_t number = 0;
  double value = 0;
  std::vector<std::pair<std::string, ViewValue>> params;
  int64_t mean_of = 0;  // `value` is the mean of so many trials, `number` the first; 0: of one
};

struct RungView {
  int32_t bracket = 0;
  double milestone = 0;
  int64_t recorded = 0;
  int64_t stopped = 0;           // or paused
  std::optional<double> cutoff;  // in the metric's own sign
};

struct DeviceView {
  std::string name;  // "0"
  bool busy = false;
  std::optional<double> utilisation;  // 0..1
  std::string note;                   // "held", "drain"; may be empty
};

struct WorkerView {
  std::string name;
  std::string state;  // shown unless empty: "draining", "lost 12s"
  double slots_used = 0;
  double slots_total = 0;
  std::vector<DeviceView> devices;  // GPUs; empty: only the slots are shown
};

// Everything on the screen. Rows may be a part of the trials: `counts` and `done` speak for all of
// them.
struct SweepView {
  std::string name;
  std::string state;  // "ACTIVE"
  int64_t elapsed_ms = 0;
  std::string controller;  // address; empty: not shown
  std::string
      notice;  // one line for what needs attention, e.g. "no worker is connected"; may be empty

  int64_t done = 0;              // trials that have ended
  std::optional<int64_t> total;  // nullopt: no limit
  std::optional<int64_t> eta_ms;
  std::vector<std::pair<RowState, int64_t>> counts;

  std::string metric;  // the objective
  ViewGoal goal = ViewGoal::kMin;
  std::optional<BestView> best;
  std::vector<double> best_so_far;  // best objective value after each ended trial
  // Several objectives, of which `metric` is the first one: then there is a front and no best trial.
  std::vector<std::pair<std::string, ViewGoal>> objectives;
  std::vector<uint32_t> front;  // trials, by number

  std::string searcher;     // "tpe", for people; may be empty
  std::string scheduler;    // "asha 1..9 by 2"; may be empty
  std::string rung_metric;  // the scheduler's metric; empty: the objective
  ViewGoal rung_goal = ViewGoal::kMin;
  std::vector<RungView> rungs;

  std::vector<WorkerView> workers;
  std::vector<std::string> metric_columns;  // the one named like `metric` comes first on the screen
  std::vector<std::string> param_columns;
  std::vector<TrialRow> rows;
  std::vector<std::string> hints;  // "q detach", ...; the last line
};

struct RenderOptions {
  size_t width = 80;   // columns; no line is wider. At least 20 is used.
  size_t height = 24;  // lines at most; 0: no limit. On a terminal one less than it has: the cursor
                       // stands below.
  bool color = false;  // SGR sequences; words stay, colour only underlines them
  bool unicode = true;
};

// Without `color` no control character is in it, with it only "\x1b[...m". Lines have no trailing
// spaces.
std::vector<std::string> RenderTable(const SweepView& view, const RenderOptions& options);

// "lr=3.1e-3" pieces and single values, as in the table: for other commands of the client.
std::string ViewValueText(const ViewValue& value, int digits);

}  // namespace tunesmith
