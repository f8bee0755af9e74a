#include "client/summary.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "client/format.h"
#include "client/line.h"
#include "common/text.h"

namespace tunesmith {
namespace {

constexpr int kDigits = 6;
constexpr size_t kTrialsPerCauseMax = 5;

// Exactly what the program got, so that it can be typed again.
std::string FullText(const ViewValue& value) {
  if (const double* number = std::get_if<double>(&value)) return DoubleText(*number);
  return ViewValueText(value, kDigits);
}

std::string StatesText(const std::vector<std::pair<RowState, int64_t>>& counts,
                       const std::string& separator) {
  std::string text;
  for (const auto& [state, count] : counts) {
    if (count == 0) continue;
    if (!text.empty()) text += separator;
    text += std::to_string(count) + " " + RowStateWord(state);
  }
  return text;
}

std::vector<Line> TitleLines(const SummaryView& view, const Canvas& canvas) {
  std::vector<Line> blocks(2);
  blocks[0].Add(std::string("tunesmith") + canvas.Pick(" · ", " - "), Style::kDim);
  blocks[0].Add(CleanText(view.name, canvas.unicode), Style::kBold).Spaces(2);
  blocks[0].Add(CleanText(view.state, canvas.unicode), view.best || !view.front.empty() ? Style::kGood : Style::kBad);
  blocks[0].Add(" after " + BriefDuration(view.elapsed_ms));
  blocks[1].Add(StatesText(view.counts, ", "));
  return Flow(blocks, 3, canvas);
}

Line GainLine(const SummaryView& view, const Canvas& canvas) {
  Line line;
  if (!view.best || !view.first_value) return line;
  const double gain = view.goal == ViewGoal::kMax ? view.best->value - *view.first_value
                                                  : *view.first_value - view.best->value;
  if (!std::isfinite(gain)) return line;
  line.Add(" gain  ");
  if (gain <= 0) return line.Add("none over the first trial");
  line.Add(ShortNumber(gain, 3), Style::kGood);
  line.Add(std::string(view.goal == ViewGoal::kMax ? " higher" : " lower") +
           " than the first trial (" + ShortNumber(*view.first_value, kDigits) + ")");
  return line;
}

void AddFront(const SummaryView& view, const Canvas& canvas, std::vector<Line>* lines) {
  constexpr size_t kShown = 20;
  std::string text;
  for (size_t i = 0; i < std::min(kShown, view.front.size()); ++i)
    text += " #" + std::to_string(view.front[i]);
  if (view.front.size() > kShown) text += " ...";
  Line& line = lines->emplace_back();
  line.Add(" front ").Add(std::to_string(view.front.size()) + " trials", Style::kBold).Add(":" + text);
  for (const std::string& objective : view.objectives)
    lines->emplace_back().Spaces(7).Add(CleanText(objective, canvas.unicode));
}

void AddBest(const SummaryView& view, const Canvas& canvas, std::vector<Line>* lines) {
  if (!view.front.empty()) return AddFront(view, canvas, lines);
  if (!view.best) {
    lines->emplace_back().Add(" no trial has a result", Style::kBad);
    return;
  }
  Line& best = lines->emplace_back();
  best.Add(" best  ").Add("#" + std::to_string(view.best->number), Style::kBold);
  best.Add("  " + CleanText(view.metric, canvas.unicode) + " ");
  best.Add(ShortNumber(view.best->value, kDigits), Style::kBold);
  if (view.best->mean_of > 0) best.Add("  mean of " + std::to_string(view.best->mean_of));
  if (view.best_step) best.Add("  at step " + std::to_string(*view.best_step));
  size_t widest = 0;
  for (const auto& [name, value] : view.best->params) {
    widest = std::max(widest, DisplayWidth(CleanText(name, canvas.unicode)));
  }
  widest = std::min<size_t>(widest, 32);
  for (const auto& [name, value] : view.best->params) {
    if (std::holds_alternative<std::monostate>(value)) continue;
    Line& line = lines->emplace_back();
    line.Spaces(7).Add(PadRight(CleanText(name, canvas.unicode), widest, canvas.unicode));
    line.Spaces(2).Add(CleanText(FullText(value), canvas.unicode));
  }
}

void AddFailures(const SummaryView& view, const Canvas& canvas, std::vector<Line>* lines) {
  if (view.failures.empty()) return;
  lines->emplace_back();
  lines->emplace_back().Add(" failures", Style::kBad);
  for (const FailureCause& failure : view.failures) {
    std::string where;
    for (size_t i = 0; i < std::min(failure.trials.size(), kTrialsPerCauseMax); ++i) {
      where += (i == 0 ? "#" : ", #") + std::to_string(failure.trials[i]);
    }
    const bool all =
        static_cast<int64_t>(std::min(failure.trials.size(), kTrialsPerCauseMax)) >= failure.count;
    if (!where.empty()) where = "  (" + where + (all ? ")" : ", ...)");
    // The cause gives way, the trial numbers stay.
    const std::string count = PadLeft(std::to_string(failure.count), 6, canvas.unicode) + "  ";
    const size_t taken = DisplayWidth(count) + DisplayWidth(where);
    const size_t room = canvas.width > taken + 10 ? canvas.width - taken : 10;
    lines->emplace_back()
        .Add(count)
        .Add(CutText(CleanText(failure.cause, canvas.unicode), room, canvas.unicode))
        .Add(where, Style::kDim);
  }
}

// 2025-11-24T19:44:01Z (civil date from days: Howard Hinnant, "chrono-Compatible Low-Level Date
// Algorithms").
std::string UtcText(int64_t ms) {
  int64_t s = ms / 1000 - (ms % 1000 < 0 ? 1 : 0);
  constexpr int64_t kDay = 86'400;
  int64_t days = s / kDay - (s % kDay < 0 ? 1 : 0);
  s -= days * kDay;
  days += 719'468;
  const int64_t era = (days >= 0 ? days : days - 146'096) / 146'097;
  const int64_t of_era = days - era * 146'097;
  const int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36'524 - of_era / 146'096) / 365;
  const int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t month_from_march = (5 * of_year + 2) / 153;
  const int64_t day = of_year - (153 * month_from_march + 2) / 5 + 1;
  const int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
  const int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
  char buffer[96];
  std::snprintf(buffer, sizeof(buffer), "%04lld-%02lld-%02lldT%02lld:%02lld:%02lldZ",
                static_cast<long long>(year), static_cast<long long>(month),
                static_cast<long long>(day), static_cast<long long>(s / 3600),
                static_cast<long long>(s % 3600 / 60), static_cast<long long>(s % 60));
  return buffer;
}

std::string ParamsText(const ProgressEvent& event) {
  std::string text;
  for (const auto& [name, value] : event.params) {
    if (!std::holds_alternative<std::monostate>(value)) text += " " + name + "=" + FullText(value);
  }
  return text;
}

std::string MetricsText(const ProgressEvent& event) {
  std::string text;
  for (const auto& [name, value] : event.metrics)
    text += " " + name + "=" + ShortNumber(value, kDigits);
  return text;
}

}  // namespace

std::vector<std::string> RenderSummary(const SummaryView& view, const RenderOptions& options) {
  const Canvas canvas{.width = std::max<size_t>(options.width, 20),
                      .color = options.color,
                      .unicode = options.unicode};
  std::vector<Line> lines = TitleLines(view, canvas);
  lines.emplace_back();
  AddBest(view, canvas, &lines);
  Line gain = GainLine(view, canvas);
  if (!gain.empty()) lines.push_back(std::move(gain));
  AddFailures(view, canvas, &lines);
  std::vector<std::string> out;
  for (const Line& line : lines) out.push_back(line.Finish(canvas));
  if (!view.argv.empty()) {
    out.insert(out.end(),
               {"", " run the best again:", "   " + CleanText(view.argv, canvas.unicode)});
  }
  if (!view.next.empty()) out.emplace_back();
  for (const std::string& command : view.next)
    out.push_back(" " + CleanText(command, canvas.unicode));
  return out;
}

std::string EventText(const ProgressEvent& event, bool unicode) {
  std::string trial = "trial " + std::to_string(event.trial);
  if (event.attempt > 1) trial += " attempt " + std::to_string(event.attempt);
  std::string text;
  switch (event.kind) {
    case ProgressEvent::Kind::kSweep:
      text = "sweep " + event.text;
      break;
    case ProgressEvent::Kind::kTrialStarted:
      text = trial + " started" + (event.where.empty() ? "" : " on " + event.where) +
             ParamsText(event);
      break;
    case ProgressEvent::Kind::kReport:
      text = trial + " step " + std::to_string(event.step);
      if (event.max_step) text += "/" + std::to_string(*event.max_step);
      text += MetricsText(event);
      break;
    case ProgressEvent::Kind::kTrialEnded:
      text =
          trial + " " + RowStateWord(event.state) + (event.text.empty() ? "" : ": " + event.text);
      break;
    case ProgressEvent::Kind::kNewBest:
      text = "best " + trial + MetricsText(event) + ParamsText(event);
      break;
    case ProgressEvent::Kind::kWorker:
      text = "worker " + event.text;
      break;
    case ProgressEvent::Kind::kNotice:
      text = event.text;
      break;
  }
  return UtcText(event.time_ms) + " " + CleanText(text, unicode);
}

}  // namespace tunesmith
