#include "client/importance_table.h"

#include <algorithm>
#include <cmath>

#include "client/format.h"
#include "client/line.h"

namespace tunesmith {
namespace {

constexpr char kInteractions[] = "(interactions)";
constexpr size_t kShareWidth = 4;        // "100%"
constexpr size_t kEffectWidthMin = 40;   // narrower ones get a line of their own
constexpr double kR2Weak = 0.1, kR2Fair = 0.5;

std::string PercentText(double share) {
  if (share > 0 && share < 0.005) return "<1%";
  return std::to_string(static_cast<int>(std::lround(std::clamp(share, 0.0, 1.0) * 100))) + "%";
}

struct Layout {
  size_t name = 0, bar = 0, spread = 0;
  bool beside = false;  // the effect stands on the line of its share

  Layout(const ImportanceView& view, const Canvas& canvas) {
    name = DisplayWidth("PARAMETER");
    if (view.interactions > 0) name = DisplayWidth(kInteractions);
    for (const ImportanceRow& row : view.rows) {
      name = std::max(name, DisplayWidth(CleanText(row.name, canvas.unicode)));
    }
    name = std::min(name, std::clamp<size_t>(canvas.width / 4, 14, 40));
    bar = canvas.width < 60 ? 8 : canvas.width < 120 ? 12 : 22;
    spread = canvas.unicode ? 4 : 6;  // "±12%", "+-12%"
    const size_t left = 1 + name + 2 + bar + 1 + kShareWidth + 1 + spread + 2;
    beside = left + kEffectWidthMin <= canvas.width;
  }
};

std::string SpreadText(double spread, const Canvas& canvas) {
  return canvas.Pick("±", "+-") + std::to_string(static_cast<int>(std::lround(std::min(spread, 1.0) * 100)));
}

std::vector<Line> TitleLines(const ImportanceView& view, const Canvas& canvas) {
  std::vector<Line> blocks(3);
  blocks[0].Add("importance for ", Style::kDim).Add(CleanText(view.metric, canvas.unicode), Style::kBold);
  blocks[0].Add(" in ", Style::kDim).Add(CleanText(view.sweep, canvas.unicode));
  std::string trials = std::to_string(view.used);
  if (view.with_value > view.used) trials += " of " + std::to_string(view.with_value);
  trials += " trials";
  if (view.left_out > 0) trials += " (" + std::to_string(view.left_out) + " without a result left out)";
  blocks[1].Add(trials);
  const Style trust = view.r2 < kR2Weak ? Style::kBad : view.r2 < kR2Fair ? Style::kWarn : Style::kGood;
  blocks[2].Add("held-out " + std::string(canvas.Pick("R²", "R2")) + " ");
  blocks[2].Add(ShortNumber(std::round(view.r2 * 100) / 100, 2), trust);
  std::vector<Line> lines = Flow(blocks, 3, canvas);
  if (view.r2 < kR2Fair) {
    lines.emplace_back().Add(view.r2 < kR2Weak ? " the model foretells next to nothing: do not rely on this"
                                               : " the model foretells less than half: take this as a hint",
                             trust);
  }
  return lines;
}

Line ShareCells(double share, const std::string& spread, const Layout& layout, const Canvas& canvas) {
  Line line;
  line.Spaces(2).Add(ProgressBar(share, layout.bar, canvas.unicode), Style::kAccent).Spaces(1);
  line.Add(PadLeft(PercentText(share), kShareWidth, canvas.unicode), share >= 0.1 ? Style::kBold : Style::kPlain);
  return line.Spaces(1).Add(PadRight(spread, layout.spread, canvas.unicode), Style::kDim);
}

void AddRow(const ImportanceRow& row, const Layout& layout, const Canvas& canvas, std::vector<Line>* lines) {
  Line& line = lines->emplace_back();
  line.Spaces(1).Add(PadRight(CleanText(row.name, canvas.unicode), layout.name, canvas.unicode));
  line.Append(ShareCells(row.share, SpreadText(row.spread, canvas), layout, canvas));
  const std::string effect = CleanText(row.line, canvas.unicode);
  if (effect.empty()) return;
  if (layout.beside) {
    line.Spaces(2).Add(effect);
  } else {
    lines->emplace_back().Spaces(3).Add(effect, Style::kDim);
  }
}

Line HeaderLine(const Layout& layout, const Canvas& canvas) {
  Line line;
  line.Spaces(1).Add(PadRight("PARAMETER", layout.name, canvas.unicode), Style::kDim);
  line.Spaces(2 + layout.bar + 1 + kShareWidth - 5).Add("SHARE", Style::kDim);
  if (layout.beside) line.Spaces(1 + layout.spread + 2).Add("EFFECT", Style::kDim);
  return line;
}

}  // namespace

std::vector<std::string> RenderImportance(const ImportanceView& view, const RenderOptions& options, bool headers) {
  Canvas canvas;
  canvas.width = std::max<size_t>(options.width, 20);
  canvas.color = options.color;
  canvas.unicode = options.unicode;
  const Layout layout(view, canvas);
  std::vector<Line> lines;
  if (headers) {
    lines = TitleLines(view, canvas);
    lines.emplace_back();
    lines.push_back(HeaderLine(layout, canvas));
  }
  for (const ImportanceRow& row : view.rows) AddRow(row, layout, canvas, &lines);
  if (view.interactions > 0) {
    Line& line = lines.emplace_back();
    line.Spaces(1).Add(PadRight(kInteractions, layout.name, canvas.unicode), Style::kDim);
    line.Append(ShareCells(view.interactions, "", layout, canvas));
    const char* text = "what only several of them together explain";
    if (layout.beside) line.Spaces(2).Add(text, Style::kDim);
  }
  std::vector<std::string> out;
  for (const Line& line : lines) out.push_back(line.Finish(canvas));
  return out;
}

}  // namespace tunesmith
