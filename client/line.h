// One line of the screen under construction: styled pieces, counted in display columns.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tunesmith {

enum class Style : unsigned char { kPlain, kBold, kDim, kGood, kWarn, kBad, kAccent };

// What every piece of a screen is drawn with.
struct Canvas {
  size_t width = 80;
  bool color = false;
  bool unicode = true;

  const char* Pick(const char* with_unicode, const char* ascii) const {
    return unicode ? with_unicode : ascii;
  }
};

class Line {
 public:
  // `text` must be clean (CleanText).
  Line& Add(std::string_view text, Style style = Style::kPlain);
  Line& Append(const Line& other);
  Line& Spaces(size_t count) { return Add(std::string(count, ' ')); }
  size_t width() const { return width_; }
  bool empty() const { return width_ == 0; }

  // Cut to the canvas, without trailing spaces.
  std::string Finish(const Canvas& canvas) const;

 private:
  struct Piece {
    std::string text;
    Style style = Style::kPlain;
  };
  std::vector<Piece> pieces_;
  size_t width_ = 0;
};

// Blocks side by side, `gap` columns apart, on as many lines as they need; each line starts with
// one space.
std::vector<Line> Flow(const std::vector<Line>& blocks, size_t gap, const Canvas& canvas);

}  // namespace tunesmith
