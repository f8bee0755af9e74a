// The terminal that the client draws on: size, colour, character set, and repainting in place.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tunesmith {

// Looks up an environment variable; nullopt if it is not set. Tests pass their own.
using Environment = std::function<std::optional<std::string>(std::string_view name)>;
Environment ProcessEnvironment();

struct TermSize {
  size_t width = 80;
  size_t height = 24;
  friend bool operator==(const TermSize&, const TermSize&) = default;
};

// What the terminal behind `fd` says; else COLUMNS and LINES; else 80 x 24. Ask again before each
// frame: that is how a resize is noticed.
TermSize TerminalSize(int fd, const Environment& environment);

bool IsTerminal(int fd);

enum class ColorMode : unsigned char { kAuto, kAlways, kNever };
std::optional<ColorMode> ColorModeFromText(std::string_view text);  // "auto", "always", "never"

// --color always and never win. Then, in this order: NO_COLOR (not empty) means no; CLICOLOR_FORCE
// (neither empty nor 0) means yes; TERM=dumb means no; else colour where there is a terminal.
bool UseColor(ColorMode mode, bool is_terminal, const Environment& environment);

// Whether the locale of LC_ALL, LC_CTYPE or LANG (the first that is set) is a UTF-8 one.
bool Utf8Locale(const Environment& environment);

// Whether frames can be repainted in place: a terminal that is not TERM=dumb.
bool CanRepaint(bool is_terminal, const Environment& environment);

// Where terminal output goes.
using Sink = std::function<void(std::string_view bytes)>;
// Writes everything to `fd`, through EINTR and short writes. Output to a terminal that is gone is
// dropped.
Sink FdSink(int fd);

// Repaints a block of lines in place, below what the terminal shows already, and sends only the
// lines that changed. Not thread-safe.
//
// Between calls the cursor stands at the start of the line below the frame. After a resize the
// whole frame is repainted; lines of the old frame that the terminal has folded to several rows are
// taken into account.
class Repainter {
 public:
  explicit Repainter(Sink sink) : sink_(std::move(sink)) {}

  // Shows `lines` (at most size.width columns each, SGR sequences allowed). At most size.height - 1
  // lines are shown. Sends nothing if nothing changed.
  void Paint(const std::vector<std::string>& lines, TermSize size);

  // Takes the frame off the screen, so that other text can be printed; the next Paint draws it anew
  // below.
  void Clear();

  // Leaves the frame where it is; the next Paint starts a new one below it.
  void Release();

 private:
  size_t RowsOnScreen(size_t width) const;
  std::string EraseFrame(TermSize size) const;
  std::string ChangedLines(const std::vector<std::string>& lines) const;

  Sink sink_;
  std::vector<std::string> shown_;
  TermSize size_;
};

}  // namespace tunesmith
