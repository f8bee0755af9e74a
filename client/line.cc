#include "client/line.h"

#include <algorithm>

#include "client/format.h"

namespace tunesmith {
namespace {

const char* SgrOf(Style style) {
  switch (style) {
    case Style::kPlain:
      return "";
    case Style::kBold:
      return "\x1b[1m";
    case Style::kDim:
      return "\x1b[2m";
    case Style::kGood:
      return "\x1b[32m";
    case Style::kWarn:
      return "\x1b[33m";
    case Style::kBad:
      return "\x1b[31m";
    case Style::kAccent:
      return "\x1b[36m";
  }
  return "";
}

}  // namespace

Line& Line::Add(std::string_view text, Style style) {
  if (text.empty()) return *this;
  width_ += DisplayWidth(text);
  if (!pieces_.empty() && pieces_.back().style == style) {
    pieces_.back().text += text;
  } else {
    pieces_.push_back({std::string(text), style});
  }
  return *this;
}

Line& Line::Append(const Line& other) {
  for (const Piece& piece : other.pieces_) Add(piece.text, piece.style);
  return *this;
}

std::string Line::Finish(const Canvas& canvas) const {
  // The spaces at the end may span several pieces.
  size_t last = pieces_.size();
  while (last > 0 && pieces_[last - 1].text.find_first_not_of(' ') == std::string::npos) --last;
  std::string out;
  size_t left = canvas.width;
  for (size_t i = 0; i < last && left > 0; ++i) {
    std::string text = pieces_[i].text;
    if (i + 1 == last) text.erase(text.find_last_not_of(' ') + 1);
    const size_t width = DisplayWidth(text);
    // The ellipsis needs a column of its own if something follows this piece.
    const bool is_cut = width > left || (width == left && i + 1 < last);
    if (is_cut) {
      text = CutText(text + "  ", left, canvas.unicode);
      while (text.ends_with(' ')) text.pop_back();
    }
    const char* sgr = canvas.color ? SgrOf(pieces_[i].style) : "";
    out += sgr;
    out += text;
    if (*sgr != '\0') out += "\x1b[0m";
    if (is_cut) break;
    left -= width;
  }
  return out;
}

std::vector<Line> Flow(const std::vector<Line>& blocks, size_t gap, const Canvas& canvas) {
  std::vector<Line> lines;
  for (const Line& block : blocks) {
    if (block.empty()) continue;
    const bool fits = !lines.empty() && lines.back().width() + gap + block.width() <= canvas.width;
    if (fits) {
      lines.back().Spaces(gap);
    } else {
      lines.emplace_back().Spaces(1);
    }
    lines.back().Append(block);
  }
  return lines;
}

}  // namespace tunesmith
