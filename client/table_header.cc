#include "client/table_header.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

namespace tunesmith {
namespace {

constexpr size_t kWorkerLinesMax = 2;
constexpr size_t kWorkersShownMax = 24;
constexpr size_t kHistoryColumnsMax = 24;
constexpr int kMetricDigits = 4;
constexpr int kParamDigits = 3;

Style StateStyle(const std::string& state) {
  if (state == "FAILED") return Style::kBad;
  if (state == "PAUSED" || state == "STOPPING") return Style::kWarn;
  return Style::kGood;
}

size_t IndexOf(const std::vector<std::string>& names, const std::string& name) {
  return static_cast<size_t>(std::find(names.begin(), names.end(), name) - names.begin());
}

std::string MetricText(const SweepView& view, const ColumnStyles& styles, const std::string& metric,
                       double value) {
  const size_t i = IndexOf(view.metric_columns, metric);
  if (i < styles.metrics.size()) return NumberText(value, styles.metrics[i]);
  return ShortNumber(value, kMetricDigits);
}

// " tunesmith · digits                    ACTIVE 12m41s · controller lab-01:7070"
Line TitleLine(const SweepView& view, const Canvas& canvas) {
  const std::string dot = canvas.Pick(" · ", " - ");
  const std::string name = CleanText(view.name, canvas.unicode);
  Line state;
  state.Add(CleanText(view.state, canvas.unicode), StateStyle(view.state));
  state.Add(" " + BriefDuration(view.elapsed_ms));
  Line right = state;
  if (!view.controller.empty()) {
    right.Add(dot + "controller " + CleanText(view.controller, canvas.unicode), Style::kDim);
  }
  std::string product = "tunesmith" + dot;
  const auto width_with = [&](const Line& end) {
    return 1 + DisplayWidth(product) + DisplayWidth(name) + 2 + end.width();
  };
  if (width_with(right) > canvas.width) right = state;
  if (width_with(right) > canvas.width) product.clear();
  Line line;
  line.Spaces(1).Add(product, Style::kDim);
  const size_t room = canvas.width > line.width() + right.width() + 2
                          ? canvas.width - line.width() - right.width() - 2
                          : 0;
  line.Add(CutText(name, std::max<size_t>(room, 8), canvas.unicode), Style::kBold);
  const size_t used = line.width() + right.width();
  // The state keeps near the name on very wide screens.
  const size_t wide = std::min<size_t>(canvas.width, 120);
  return line.Spaces(wide > used + 2 ? wide - used : 2).Append(right);
}

int64_t CountOf(const SweepView& view, RowState state) {
  int64_t sum = 0;
  for (const auto& [s, count] : view.counts) sum += s == state ? count : 0;
  return sum;
}

// " ▕████▌     ▏ 103/200 trials · ETA 9m12s · 3 failed"
Line ProgressLine(const SweepView& view, const Canvas& canvas) {
  const std::string dot = canvas.Pick(" · ", " - ");
  std::string trials = std::to_string(view.done);
  if (view.total) trials += "/" + std::to_string(*view.total);
  Line text;
  text.Add(trials, Style::kBold).Add(" trials");
  text.Add(dot + "ETA " + (view.eta_ms ? BriefDuration(*view.eta_ms) : "-"));
  const int64_t failed = CountOf(view, RowState::kFailed);
  Line failures;
  if (failed > 0) failures.Add(dot).Add(std::to_string(failed) + " failed", Style::kBad);
  constexpr size_t kBarMin = 8;
  constexpr size_t kBarMax = 40;
  if (1 + kBarMin + 1 + text.width() + failures.width() <= canvas.width) text.Append(failures);
  Line line;
  line.Spaces(1);
  if (view.total && 2 + kBarMin + text.width() <= canvas.width) {
    const size_t room = canvas.width - 2 - text.width();
    const double total = static_cast<double>(std::max<int64_t>(*view.total, 1));
    const size_t bar_width = std::clamp(std::min(room, canvas.width / 3), kBarMin, kBarMax);
    const double fraction = static_cast<double>(view.done) / total;
    line.Add(ProgressBar(fraction, bar_width, canvas.unicode), Style::kAccent).Spaces(1);
  }
  return line.Append(text);
}

// " accuracy ↑ latency ↓ front of 14: #3 #8 #12 …": as many as the line holds.
Line FrontLine(const SweepView& view, const Canvas& canvas) {
  const size_t name_max = std::max<size_t>(canvas.width / 8, 6);
  Line line;
  for (const auto& [name, goal] : view.objectives) {
    const bool is_max = goal == ViewGoal::kMax;
    line.Spaces(1).Add(CutText(CleanText(name, canvas.unicode), name_max, canvas.unicode));
    line.Add(canvas.unicode ? (is_max ? " ↑" : " ↓") : (is_max ? " (max)" : " (min)"));
  }
  line.Add(" front");
  if (view.front.empty()) {
    line.Add(" -");
    return line;
  }
  line.Add(" of " + std::to_string(view.front.size()), Style::kBold).Add(":");
  for (const uint32_t number : view.front) {
    const std::string piece = " #" + std::to_string(number);
    if (line.width() + piece.size() + 2 > canvas.width) {
      line.Add(canvas.Pick(" …", " ~"), Style::kDim);
      break;
    }
    line.Add(piece);
  }
  return line;
}

// " val_acc ↑ best 0.9432 (#93)  lr=3.1e-3 wd=5.0e-4 opt=sgd" and a second line if there are many
// parameters.
std::vector<Line> BestLines(const SweepView& view, const ColumnStyles& styles,
                            const Canvas& canvas) {
  if (!view.objectives.empty()) return {FrontLine(view, canvas)};
  const bool is_max = view.goal == ViewGoal::kMax;
  const std::string arrow =
      canvas.unicode ? (is_max ? " ↑" : " ↓") : (is_max ? " (max)" : " (min)");
  const size_t name_max = std::max<size_t>(canvas.width / 3, 8);
  std::vector<Line> lines(1);
  lines[0].Spaces(1);
  lines[0].Add(CutText(CleanText(view.metric, canvas.unicode), name_max, canvas.unicode) + arrow);
  lines[0].Add(" best ");
  if (!view.best) {
    lines[0].Add("-");
    return lines;
  }
  lines[0].Add(MetricText(view, styles, view.metric, view.best->value), Style::kBold);
  std::string which = " (#" + std::to_string(view.best->number);
  if (view.best->mean_of > 0) which += ", mean of " + std::to_string(view.best->mean_of);
  lines[0].Add(which + ")");
  std::string gap = "  ";
  for (const auto& [name, value] : view.best->params) {
    if (std::holds_alternative<std::monostate>(value)) continue;
    const size_t i = IndexOf(view.param_columns, name);
    const std::string text = i < styles.params.size()
                                 ? CellText(value, styles.params[i], canvas)
                                 : CleanText(ViewValueText(value, kParamDigits), canvas.unicode);
    const std::string piece = CleanText(name, canvas.unicode) + "=" + text;
    // The columns after a piece stay for the mark that there are more.
    if (lines.back().width() + gap.size() + DisplayWidth(piece) + 2 > canvas.width) {
      if (lines.size() == 2) {
        lines.back().Add(canvas.Pick(" …", " ~"), Style::kDim);
        return lines;
      }
      lines.emplace_back();
      gap = "   ";
    }
    lines.back().Add(gap + piece);
    gap = " ";
  }
  return lines;
}

Line HistoryBlock(const SweepView& view, const Canvas& canvas) {
  Line block;
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (const double value : view.best_so_far) {
    if (!std::isfinite(value)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  if (view.best_so_far.size() < 2 || low > high) return block;
  block.Add("best so far ")
      .Add(Sparkline(view.best_so_far, kHistoryColumnsMax, low, high, canvas.unicode),
           Style::kAccent);
  return block;
}

// "running 4 · waiting 2 · done 9 · stopped 91", in one block if that fits on a line.
std::vector<Line> CountsBlocks(const SweepView& view, const Canvas& canvas) {
  std::vector<Line> blocks;
  Line joined;
  for (const RowState state :
       {RowState::kRunning, RowState::kStopping, RowState::kWaiting, RowState::kPaused,
        RowState::kCompleted, RowState::kStopped, RowState::kFailed, RowState::kCancelled}) {
    const int64_t count = CountOf(view, state);
    if (count == 0) continue;
    Line& block = blocks.emplace_back();
    block.Add(std::string(RowStateWord(state)) + " ");
    block.Add(std::to_string(count), state == RowState::kFailed ? Style::kBad : Style::kBold);
    if (!joined.empty()) joined.Add(canvas.Pick(" · ", ", "));
    joined.Append(block);
  }
  if (joined.width() < canvas.width) return {joined};
  return blocks;
}

// "rungs 1: 38/112 ≥0.4312 · 3: 16/41 ≥0.6102": at step 1, 38 of 112 went on, and 0.4312 is what it
// takes. Lower rungs give way if there is no room.
Line RungsBlock(const SweepView& view, const ColumnStyles& styles, int32_t bracket, bool several,
                const Canvas& canvas) {
  const std::string& metric = view.rung_metric.empty() ? view.metric : view.rung_metric;
  const ViewGoal goal = view.rung_metric.empty() ? view.goal : view.rung_goal;
  const std::string dot = canvas.Pick(" · ", ", ");
  std::string title = "rungs";
  if (several) title += "/" + std::to_string(bracket);
  if (metric != view.metric) {
    title += " (" + CutText(CleanText(metric, canvas.unicode), 12, canvas.unicode) + ")";
  }
  std::vector<const RungView*> rungs;
  for (const RungView& rung : view.rungs) {
    if (rung.bracket == bracket) rungs.push_back(&rung);
  }
  std::sort(rungs.begin(), rungs.end(),
            [](const RungView* a, const RungView* b) { return a->milestone > b->milestone; });
  std::vector<std::string> pieces;  // highest rung first
  size_t width = DisplayWidth(title) + 1;
  bool all = true;
  for (const RungView* rung : rungs) {
    std::string piece = ShortNumber(rung->milestone, 6) + ": ";
    if (rung->recorded == 0) {
      piece += "-";
    } else {
      piece +=
          std::to_string(rung->recorded - rung->stopped) + "/" + std::to_string(rung->recorded);
    }
    if (rung->cutoff) {
      piece += goal == ViewGoal::kMin ? canvas.Pick(" ≤", " <=") : canvas.Pick(" ≥", " >=");
      piece += MetricText(view, styles, metric, *rung->cutoff);
    }
    // The margin and the mark that there are more.
    if (width + DisplayWidth(piece + dot) + 3 > canvas.width) {
      all = false;
      break;
    }
    width += DisplayWidth(piece + dot);
    pieces.push_back(piece);
  }
  Line block;
  if (pieces.empty()) return block;
  block.Add(title + " ");
  if (!all) block.Add(canvas.Pick("… ", "~ "), Style::kDim);
  for (size_t i = pieces.size(); i-- > 0;) {
    block.Add(pieces[i]);
    if (i > 0) block.Add(dot, Style::kDim);
  }
  return block;
}

std::string SlotsText(double slots) { return ShortNumber(slots, 3); }

std::string DeviceText(const DeviceView& device, const Canvas& canvas) {
  std::string what = device.busy ? "busy" : "idle";
  if (device.busy && device.utilisation && std::isfinite(*device.utilisation)) {
    const double percent = std::clamp(*device.utilisation, 0.0, 1.0) * 100;
    what = std::to_string(std::lround(percent)) + "%";
  }
  if (!device.note.empty())
    what = CutText(CleanText(device.note, canvas.unicode), 8, canvas.unicode);
  return CutText(CleanText(device.name, canvas.unicode), 8, canvas.unicode) + " " + what;
}

// "lab-01 ▐0 97%▌▐1 idle▌" or "lab-01 2/4 slots".
Line WorkerBlock(const WorkerView& worker, const Canvas& canvas) {
  Line name;
  name.Add(CutText(CleanText(worker.name, canvas.unicode), 16, canvas.unicode), Style::kBold);
  if (!worker.state.empty()) {
    name.Add(" " + CutText(CleanText(worker.state, canvas.unicode), 16, canvas.unicode),
             Style::kWarn);
  }
  Line block = name;
  block.Spaces(1);
  for (const DeviceView& device : worker.devices) {
    const Style style = device.busy ? Style::kGood : Style::kDim;
    block.Add(canvas.Pick("▐", "["), style);
    block.Add(DeviceText(device, canvas), style);
    block.Add(canvas.Pick("▌", "]"), style);
  }
  if (!worker.devices.empty() && block.width() < canvas.width) return block;
  return name.Add(" " + SlotsText(worker.slots_used) + "/" + SlotsText(worker.slots_total) +
                  " slots");
}

std::vector<Line> WorkerLines(const SweepView& view, const Canvas& canvas) {
  double used = 0;
  double total = 0;
  for (const WorkerView& worker : view.workers) {
    used += worker.slots_used;
    total += worker.slots_total;
  }
  size_t shown = std::min(view.workers.size(), kWorkersShownMax);
  std::vector<Line> workers;
  for (size_t i = 0; i < shown; ++i) workers.push_back(WorkerBlock(view.workers[i], canvas));
  const auto flow = [&] {
    std::vector<Line> blocks(workers.begin(), workers.begin() + static_cast<std::ptrdiff_t>(shown));
    const size_t more = view.workers.size() - shown;
    if (more > 0) {
      const std::string noun = more == 1 ? " more worker" : " more workers";
      blocks.emplace_back().Add("... " + std::to_string(more) + noun, Style::kDim);
    }
    if (view.workers.size() > 1) {
      blocks.emplace_back().Add(SlotsText(used) + " of " + SlotsText(total) + " slots busy");
    }
    return Flow(blocks, 2, canvas);
  };
  std::vector<Line> lines = flow();
  while (lines.size() > kWorkerLinesMax && shown > 0) {
    --shown;
    lines = flow();
  }
  return lines;
}

}  // namespace

ColumnStyles ChooseStyles(const SweepView& view) {
  ColumnStyles styles;
  std::vector<double> values;
  for (size_t i = 0; i < view.metric_columns.size(); ++i) {
    values.clear();
    for (const TrialRow& row : view.rows) {
      if (i < row.metrics.size() && row.metrics[i]) values.push_back(*row.metrics[i]);
    }
    if (view.best && view.metric_columns[i] == view.metric) values.push_back(view.best->value);
    styles.metrics.push_back(StyleFor(values, kMetricDigits));
  }
  for (size_t i = 0; i < view.param_columns.size(); ++i) {
    values.clear();
    for (const TrialRow& row : view.rows) {
      const double* value = i < row.params.size() ? std::get_if<double>(&row.params[i]) : nullptr;
      if (value != nullptr) values.push_back(*value);
    }
    styles.params.push_back(StyleFor(values, kParamDigits));
  }
  return styles;
}

std::string CellText(const ViewValue& value, const NumberStyle& style, const Canvas& canvas) {
  if (const double* number = std::get_if<double>(&value)) return NumberText(*number, style);
  return CleanText(ViewValueText(value, kParamDigits), canvas.unicode);
}

std::vector<Line> HeaderLines(const SweepView& view, const ColumnStyles& styles,
                              const Canvas& canvas) {
  std::vector<Line> lines = {TitleLine(view, canvas), ProgressLine(view, canvas)};
  if (!view.metric.empty()) {
    for (Line& line : BestLines(view, styles, canvas)) lines.push_back(std::move(line));
  }
  if (!view.notice.empty()) {
    lines.emplace_back().Add(" ! " + CleanText(view.notice, canvas.unicode), Style::kWarn);
  }

  std::vector<Line> blocks = {HistoryBlock(view, canvas)};
  for (Line& block : CountsBlocks(view, canvas)) blocks.push_back(std::move(block));
  std::vector<int32_t> brackets;
  for (const RungView& rung : view.rungs) brackets.push_back(rung.bracket);
  std::sort(brackets.begin(), brackets.end());
  brackets.erase(std::unique(brackets.begin(), brackets.end()), brackets.end());
  constexpr std::ptrdiff_t kBracketsShown = 6;  // the latest; hyperband makes ever more
  if (std::ssize(brackets) > kBracketsShown) brackets.erase(brackets.begin(), brackets.end() - kBracketsShown);
  for (const int32_t bracket : brackets) {
    blocks.push_back(RungsBlock(view, styles, bracket, brackets.size() > 1, canvas));
  }
  std::string how = CleanText(view.searcher, canvas.unicode);
  if (!view.searcher.empty() && !view.scheduler.empty()) how += canvas.Pick(" · ", ", ");
  how += CleanText(view.scheduler, canvas.unicode);
  blocks.emplace_back().Add(how, Style::kDim);
  for (Line& line : Flow(blocks, 3, canvas)) lines.push_back(std::move(line));
  for (Line& line : WorkerLines(view, canvas)) lines.push_back(std::move(line));
  return lines;
}

}  // namespace tunesmith
