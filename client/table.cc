#include "client/table.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "client/format.h"
#include "client/line.h"
#include "client/table_header.h"

namespace tunesmith {
namespace {

constexpr size_t kWidthMin = 20;
constexpr size_t kStates = static_cast<size_t>(RowState::kCancelled) + 1;
constexpr size_t kCurveMin = 5;  // as wide as its heading
constexpr size_t kCurveMinOnWideScreens = 8;
constexpr size_t kCurveMax = 16;
constexpr size_t kNoteMin = 12;
constexpr size_t kNoteMinOnWideScreens = 24;
constexpr size_t kNoteMax = 80;

using RowList = std::vector<const TrialRow*>;

// One column of the table: its cells are made once, its width may still grow.
struct Column {
  std::string heading;
  std::vector<std::string> cells;  // one per shown row
  bool right = false;              // right-aligned
  size_t width = 0;
  size_t width_wanted = 0;
  bool shown = false;
  enum Kind { kNumber, kState, kMetric, kPlain, kDimmed } kind = kPlain;
};

size_t ObjectiveIndex(const SweepView& view) {
  const auto it = std::find(view.metric_columns.begin(), view.metric_columns.end(), view.metric);
  return it == view.metric_columns.end() ? 0
                                         : static_cast<size_t>(it - view.metric_columns.begin());
}

// The objective's value; NaN where there is none.
double ObjectiveOf(const TrialRow& row, size_t objective) {
  if (objective >= row.metrics.size() || !row.metrics[objective]) return NAN;
  return *row.metrics[objective];
}

std::array<RowList, kStates> GroupRows(const SweepView& view) {
  std::array<RowList, kStates> groups;
  for (const TrialRow& row : view.rows) groups[static_cast<size_t>(row.state)].push_back(&row);
  const size_t objective = ObjectiveIndex(view);
  const double sign = view.goal == ViewGoal::kMin ? 1 : -1;
  const auto before = [&](const TrialRow* a, const TrialRow* b) {
    const double x = ObjectiveOf(*a, objective) * sign;
    const double y = ObjectiveOf(*b, objective) * sign;
    if (std::isnan(x) != std::isnan(y)) return std::isnan(y);
    if (x != y && !std::isnan(x)) return x < y;
    return a->number < b->number;
  };
  for (const RowState state : {RowState::kRunning, RowState::kStopping, RowState::kCompleted,
                               RowState::kStopped, RowState::kPaused}) {
    RowList& group = groups[static_cast<size_t>(state)];
    std::sort(group.begin(), group.end(), before);
  }
  return groups;
}

// At most `room` rows, every state getting its share in turn; the best trial is always among them.
RowList PickRows(const SweepView& view, size_t room) {
  const std::array<RowList, kStates> groups = GroupRows(view);
  std::array<size_t, kStates> take{};
  size_t taken = 0;
  while (taken < std::min(room, view.rows.size())) {
    for (size_t i = 0; i < kStates && taken < room; ++i) {
      if (take[i] == groups[i].size()) continue;
      ++take[i];
      ++taken;
    }
  }
  RowList picked;
  for (size_t i = 0; i < kStates; ++i) {
    RowList part(groups[i].begin(), groups[i].begin() + static_cast<std::ptrdiff_t>(take[i]));
    const auto is_best = [&](const TrialRow* row) {
      return view.best && row->number == view.best->number;
    };
    const auto best = std::find_if(groups[i].begin(), groups[i].end(), is_best);
    if (best != groups[i].end() && std::find(part.begin(), part.end(), *best) == part.end()) {
      if (!part.empty()) part.back() = *best;
    }
    picked.insert(picked.end(), part.begin(), part.end());
  }
  return picked;
}

// "... 12 more trials (3 running, 9 waiting)"; empty if every trial is shown.
Line MoreLine(const SweepView& view, const RowList& shown) {
  std::array<int64_t, kStates> missing{};
  std::array<int64_t, kStates> rows{};
  for (const TrialRow& row : view.rows) ++rows[static_cast<size_t>(row.state)];
  for (const auto& [state, count] : view.counts) missing[static_cast<size_t>(state)] += count;
  for (size_t i = 0; i < kStates; ++i) missing[i] = std::max(missing[i], rows[i]);
  for (const TrialRow* row : shown) --missing[static_cast<size_t>(row->state)];
  int64_t sum = 0;
  std::string states;
  for (size_t i = 0; i < kStates; ++i) {
    if (missing[i] <= 0) continue;
    sum += missing[i];
    if (!states.empty()) states += ", ";
    states += std::to_string(missing[i]) + " " + RowStateWord(static_cast<RowState>(i));
  }
  Line line;
  if (sum == 0) return line;
  const std::string noun = sum == 1 ? " more trial" : " more trials";
  return line.Add("   ... " + std::to_string(sum) + noun + " (" + states + ")", Style::kDim);
}

// Where nearly all points of all curves lie: a few wild values must not flatten the others.
std::pair<double, double> CurveRange(const RowList& rows) {
  std::vector<double> points;
  for (const TrialRow* row : rows) {
    for (const double x : row->curve) {
      if (std::isfinite(x)) points.push_back(x);
    }
  }
  if (points.empty()) return {0, 0};
  std::sort(points.begin(), points.end());
  const size_t trim = points.size() / 20;
  return {points[trim], points[points.size() - 1 - trim]};
}

// As wide a part of `width` as the trial has gone of its way.
std::string CurveText(const TrialRow& row, size_t width, std::pair<double, double> range,
                      bool unicode) {
  if (row.curve.empty()) return "-";
  size_t columns = width;
  if (row.max_step && *row.max_step > 0) {
    const double gone = static_cast<double>(row.step) / static_cast<double>(*row.max_step);
    const double full = std::min(static_cast<double>(width), static_cast<double>(*row.max_step));
    columns = static_cast<size_t>(std::clamp(std::ceil(gone * full), 1.0, full));
  }
  return Sparkline(row.curve, columns, range.first, range.second, unicode);
}

std::string StepText(const TrialRow& row) {
  if (!row.max_step) return CountText(row.step);
  return CountText(row.step) + "/" + CountText(*row.max_step);
}

class TableMaker {
 public:
  TableMaker(const SweepView& view, const ColumnStyles& styles, const Canvas& canvas, RowList rows)
      : view_(view), styles_(styles), canvas_(canvas), rows_(std::move(rows)) {
    gap_ = canvas_.width < 60 ? 1 : 2;
    cell_max_ = canvas_.width < 100 ? 12 : 20;
  }

  std::vector<Line> Make() {
    MakeColumns();
    ChooseColumns();
    GrowColumns();
    FillCurves();
    std::vector<Line> lines = {HeadingLine()};
    for (size_t i = 0; i < rows_.size(); ++i) lines.push_back(RowLine(i));
    return lines;
  }

 private:
  template <typename CellOf>
  size_t AddColumn(std::string heading, bool right, Column::Kind kind, const CellOf& cell_of) {
    Column column;
    column.heading = CleanText(heading, canvas_.unicode);
    column.right = right;
    column.kind = kind;
    size_t width = DisplayWidth(column.heading);
    for (const TrialRow* row : rows_) {
      column.cells.push_back(cell_of(*row));
      width = std::max(width, DisplayWidth(column.cells.back()));
    }
    column.width = std::min(width, cell_max_);
    column.width_wanted = column.width;
    columns_.push_back(std::move(column));
    return columns_.size() - 1;
  }

  size_t AddMetric(size_t index) {
    return AddColumn(view_.metric_columns[index], true, Column::kMetric, [&](const TrialRow& row) {
      if (index >= row.metrics.size() || !row.metrics[index]) return std::string("-");
      return NumberText(*row.metrics[index], styles_.metrics[index]);
    });
  }

  size_t AddParam(size_t index) {
    bool numeric = true;
    for (const TrialRow* row : rows_) {
      if (index >= row->params.size()) continue;
      numeric = numeric && !std::holds_alternative<std::string>(row->params[index]) &&
                !std::holds_alternative<bool>(row->params[index]);
    }
    return AddColumn(view_.param_columns[index], numeric, Column::kPlain, [&](const TrialRow& row) {
      if (index >= row.params.size()) return std::string("-");
      return CellText(row.params[index], styles_.params[index], canvas_);
    });
  }

  void MakeColumns();
  void ChooseColumns();
  void GrowColumns();
  void FillCurves();
  Line HeadingLine() const;
  Line RowLine(size_t row) const;
  Style CellStyle(const Column& column, const TrialRow& row) const;
  bool IsBest(const TrialRow& row) const {
    return row.front || (view_.best && view_.best->number == row.number);
  }
  size_t UsedWidth() const;

  const SweepView& view_;
  const ColumnStyles& styles_;
  const Canvas& canvas_;
  const RowList rows_;
  size_t gap_ = 2;
  size_t cell_max_ = 20;
  std::vector<Column> columns_;  // in display order
  std::vector<size_t> must_;     // indices of columns that always stay
  std::vector<size_t> params_;
  std::vector<size_t> other_metrics_;
  std::optional<size_t> curve_, from_, where_, time_, note_;
};

void TableMaker::MakeColumns() {
  const auto word = [&](const TrialRow& row) {
    const std::string own = CleanText(row.state_text, canvas_.unicode);
    return own.empty() ? std::string(RowStateWord(row.state)) : own;
  };
  const auto clean_or_dash = [&](const std::string& text) {
    return text.empty() ? std::string("-") : CleanText(text, canvas_.unicode);
  };
  must_.push_back(AddColumn("#", true, Column::kNumber,
                            [](const TrialRow& row) { return std::to_string(row.number); }));
  must_.push_back(AddColumn("STATE", false, Column::kState, word));
  must_.push_back(AddColumn("STEP", true, Column::kPlain, StepText));
  const size_t objective = ObjectiveIndex(view_);
  if (objective < view_.metric_columns.size()) must_.push_back(AddMetric(objective));
  for (size_t i = 0; i < view_.metric_columns.size(); ++i) {
    if (i != objective) other_metrics_.push_back(AddMetric(i));
  }
  curve_ = AddColumn("CURVE", false, Column::kPlain, [](const TrialRow&) { return ""; });
  must_.push_back(*curve_);
  for (size_t i = 0; i < view_.param_columns.size(); ++i) params_.push_back(AddParam(i));

  const auto any = [&](const auto& has) {
    return std::any_of(rows_.begin(), rows_.end(), [&](const TrialRow* row) { return has(*row); });
  };
  if (any([](const TrialRow& row) { return !row.from.empty(); })) {
    from_ = AddColumn("FROM", false, Column::kDimmed,
                      [&](const TrialRow& row) { return clean_or_dash(row.from); });
  }
  if (any([](const TrialRow& row) { return !row.where.empty(); })) {
    where_ = AddColumn("WHERE", false, Column::kDimmed,
                       [&](const TrialRow& row) { return clean_or_dash(row.where); });
  }
  if (any([](const TrialRow& row) { return row.time_ms.has_value(); })) {
    time_ = AddColumn("TIME", true, Column::kDimmed, [](const TrialRow& row) {
      return row.time_ms ? BriefDuration(*row.time_ms) : std::string("-");
    });
  }
  if (any([](const TrialRow& row) { return !row.note.empty(); })) {
    note_ = AddColumn("NOTE", false, Column::kDimmed,
                      [&](const TrialRow& row) { return CleanText(row.note, canvas_.unicode); });
    size_t longest = 0;
    for (const std::string& cell : columns_[*note_].cells)
      longest = std::max(longest, DisplayWidth(cell));
    columns_[*note_].width_wanted = std::min(longest, kNoteMax);
    columns_[*note_].width = std::min(columns_[*note_].width_wanted,
                                      canvas_.width < 100 ? kNoteMin : kNoteMinOnWideScreens);
  }
  size_t steps = kCurveMin;
  for (const TrialRow* row : rows_) {
    const auto max_step =
        static_cast<size_t>(std::clamp<int64_t>(row->max_step.value_or(0), 0, 1000));
    steps = std::max({steps, row->max_step ? max_step : row->curve.size()});
  }
  columns_[*curve_].width_wanted = std::min(steps, kCurveMax);
  columns_[*curve_].width = std::min(columns_[*curve_].width_wanted,
                                     canvas_.width < 80 ? kCurveMin : kCurveMinOnWideScreens);
}

size_t TableMaker::UsedWidth() const {
  size_t used = 3;  // margin, mark of the best, space
  bool first = true;
  for (const Column& column : columns_) {
    if (!column.shown) continue;
    used += column.width + (first ? 0 : gap_);
    first = false;
  }
  return used;
}

// The five that always stay, then the others in order of worth while there is room; once a
// parameter has no room, those after it are not shown either.
void TableMaker::ChooseColumns() {
  for (const size_t i : must_) columns_[i].shown = true;
  if (UsedWidth() > canvas_.width) gap_ = 1;
  const auto try_show = [&](size_t i) {
    columns_[i].shown = true;
    columns_[i].shown = UsedWidth() <= canvas_.width;
    return columns_[i].shown;
  };
  bool params_fit = params_.empty() || try_show(params_[0]);
  if (note_) try_show(*note_);
  if (!other_metrics_.empty()) try_show(other_metrics_[0]);
  if (params_.size() > 1) params_fit = params_fit && try_show(params_[1]);
  if (time_) try_show(*time_);
  for (size_t i = 2; i < params_.size() && params_fit; ++i) params_fit = try_show(params_[i]);
  for (size_t i = 1; i < other_metrics_.size(); ++i) {
    if (!try_show(other_metrics_[i])) break;
  }
  if (where_) try_show(*where_);
  if (from_) try_show(*from_);
}

void TableMaker::GrowColumns() {
  for (Column& column : columns_) {
    const size_t used = UsedWidth();
    if (!column.shown || used >= canvas_.width) continue;
    column.width = std::min(column.width + (canvas_.width - used),
                            std::max(column.width, column.width_wanted));
  }
}

void TableMaker::FillCurves() {
  const auto range = CurveRange(rows_);
  Column& curve = columns_[*curve_];
  for (size_t i = 0; i < rows_.size(); ++i) {
    curve.cells[i] = CurveText(*rows_[i], curve.width, range, canvas_.unicode);
  }
}

Line TableMaker::HeadingLine() const {
  Line line;
  line.Spaces(3);
  bool first = true;
  for (const Column& column : columns_) {
    if (!column.shown) continue;
    if (!first) line.Spaces(gap_);
    first = false;
    line.Add(column.right ? PadLeft(column.heading, column.width, canvas_.unicode)
                          : PadRight(column.heading, column.width, canvas_.unicode),
             Style::kBold);
  }
  return line;
}

Style TableMaker::CellStyle(const Column& column, const TrialRow& row) const {
  switch (column.kind) {
    case Column::kState:
      switch (row.state) {
        case RowState::kRunning:
          return Style::kAccent;
        case RowState::kCompleted:
          return Style::kGood;
        case RowState::kStopping:
        case RowState::kPaused:
          return Style::kWarn;
        case RowState::kFailed:
          return Style::kBad;
        default:
          return Style::kDim;
      }
    case Column::kNumber:
    case Column::kMetric:
      return IsBest(row) ? Style::kBold : Style::kPlain;
    case Column::kPlain:
      return Style::kPlain;
    case Column::kDimmed:
      return row.state == RowState::kFailed ? Style::kBad : Style::kDim;
  }
  return Style::kPlain;
}

Line TableMaker::RowLine(size_t index) const {
  const TrialRow& row = *rows_[index];
  Line line;
  line.Spaces(1);
  line.Add(IsBest(row) ? canvas_.Pick("★", "*") : " ", IsBest(row) ? Style::kWarn : Style::kPlain);
  line.Spaces(1);
  bool first = true;
  for (const Column& column : columns_) {
    if (!column.shown) continue;
    if (!first) line.Spaces(gap_);
    first = false;
    const std::string& cell = column.cells[index];
    line.Add(column.right ? PadLeft(cell, column.width, canvas_.unicode)
                          : PadRight(cell, column.width, canvas_.unicode),
             CellStyle(column, row));
  }
  return line;
}

Line HintsLine(const SweepView& view, const Canvas& canvas) {
  Line line;
  for (const std::string& hint : view.hints) {
    const std::string clean = CleanText(hint, canvas.unicode);
    const size_t gap = line.empty() ? 1 : 2;
    if (line.width() + gap + DisplayWidth(clean) > canvas.width) break;
    line.Spaces(gap).Add(clean, Style::kDim);
  }
  return line;
}

}  // namespace

const char* RowStateWord(RowState state) {
  switch (state) {
    case RowState::kRunning:
      return "running";
    case RowState::kStopping:
      return "stopping";
    case RowState::kCompleted:
      return "done";
    case RowState::kStopped:
      return "stopped";
    case RowState::kPaused:
      return "paused";
    case RowState::kWaiting:
      return "waiting";
    case RowState::kFailed:
      return "failed";
    case RowState::kCancelled:
      return "cancelled";
  }
  return "?";
}

std::string ViewValueText(const ViewValue& value, int digits) {
  if (const bool* truth = std::get_if<bool>(&value)) return *truth ? "true" : "false";
  if (const int64_t* whole = std::get_if<int64_t>(&value)) return std::to_string(*whole);
  if (const double* number = std::get_if<double>(&value)) return ShortNumber(*number, digits);
  if (const std::string* text = std::get_if<std::string>(&value)) return *text;
  return "-";
}

std::vector<std::string> RenderTable(const SweepView& view, const RenderOptions& options) {
  const Canvas canvas{.width = std::max(options.width, kWidthMin),
                      .color = options.color,
                      .unicode = options.unicode};
  constexpr size_t kNoLimit = SIZE_MAX / 2;
  const size_t height = options.height == 0 ? kNoLimit : options.height;
  const ColumnStyles styles = ChooseStyles(view);
  std::vector<Line> lines = HeaderLines(view, styles, canvas);
  // At least the headings and three rows are worth more than the lower lines of the header.
  constexpr size_t kTableLinesMin = 5;
  constexpr size_t kHeaderLinesMin = 3;
  if (lines.size() + kTableLinesMin > height) {
    const size_t room = height > kTableLinesMin ? height - kTableLinesMin : 0;
    lines.resize(std::min(lines.size(), std::max(room, kHeaderLinesMin)));
  }
  Line hints = HintsLine(view, canvas);
  if (lines.size() + kTableLinesMin + 2 > height) hints = Line();

  const size_t fixed = lines.size() + 2 + (hints.empty() ? 0 : 2);  // blank, headings; blank, hints
  if (fixed < height && !view.rows.empty()) {
    RowList rows = PickRows(view, height - fixed);
    Line more = MoreLine(view, rows);
    if (!more.empty() && rows.size() == height - fixed) {
      rows = PickRows(view, height - fixed - 1);
      more = MoreLine(view, rows);
    }
    lines.emplace_back();
    for (Line& line : TableMaker(view, styles, canvas, rows).Make())
      lines.push_back(std::move(line));
    if (!more.empty()) lines.push_back(std::move(more));
  }
  if (!hints.empty()) {
    lines.emplace_back();
    lines.push_back(std::move(hints));
  }
  if (lines.size() > height) lines.resize(height);
  std::vector<std::string> out;
  out.reserve(lines.size());
  for (const Line& line : lines) out.push_back(line.Finish(canvas));
  return out;
}

}  // namespace tunesmith
