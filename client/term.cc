#include "client/term.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <utility>

#include "client/format.h"

namespace tunesmith {
namespace {

// No cursor and no automatic line break while painting: a line that the terminal thinks wider than
// we do is cut at the edge and can't push the frame down.
constexpr std::string_view kBegin = "\x1b[?25l\x1b[?7l";
constexpr std::string_view kEnd = "\x1b[?7h\x1b[?25h";
constexpr std::string_view kEraseLine = "\x1b[2K";

size_t SizeFromText(const std::optional<std::string>& text) {
  constexpr size_t kMax = 10'000;
  size_t value = 0;
  if (!text) return 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  return error == std::errc() && end == text->data() + text->size() && value <= kMax ? value : 0;
}

// Display columns of a line that may hold SGR sequences.
size_t WidthWithoutSgr(std::string_view line) {
  size_t width = 0;
  while (!line.empty()) {
    const size_t escape = std::min(line.find('\x1b'), line.size());
    width += DisplayWidth(line.substr(0, escape));
    line.remove_prefix(escape);
    const size_t end = line.find('m');
    if (line.empty() || end == std::string_view::npos) break;
    line.remove_prefix(end + 1);
  }
  return width;
}

std::string CursorUp(size_t rows) { return rows == 0 ? "" : "\x1b[" + std::to_string(rows) + "A"; }
std::string CursorDown(size_t rows) {
  return rows == 0 ? "" : "\x1b[" + std::to_string(rows) + "B";
}

// From the cursor's row on; the cursor comes back. Line by line: some terminals (tmux) take "erase
// everything below" at the top of the screen for a cleared screen and keep the old frame in their
// history.
std::string EraseRows(size_t rows) {
  if (rows == 0) return "";
  std::string out = "\r";
  for (size_t i = 0; i < rows; ++i) {
    if (i > 0) out += CursorDown(1);
    out += kEraseLine;
  }
  return out + CursorUp(rows - 1);
}

std::string InOneFrame(const std::string& bytes) {
  return std::string(kBegin) + bytes + std::string(kEnd);
}

}  // namespace

Environment ProcessEnvironment() {
  return [](std::string_view name) -> std::optional<std::string> {
    const char* value = std::getenv(std::string(name).c_str());
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  };
}

TermSize TerminalSize(int fd, const Environment& environment) {
  TermSize size;
  winsize window{};
  const bool known = ioctl(fd, TIOCGWINSZ, &window) == 0;
  if (const size_t columns = SizeFromText(environment("COLUMNS")); columns > 0)
    size.width = columns;
  if (const size_t lines = SizeFromText(environment("LINES")); lines > 0) size.height = lines;
  if (known && window.ws_col > 0) size.width = window.ws_col;
  if (known && window.ws_row > 0) size.height = window.ws_row;
  return size;
}

bool IsTerminal(int fd) { return isatty(fd) == 1; }

std::optional<ColorMode> ColorModeFromText(std::string_view text) {
  if (text == "auto") return ColorMode::kAuto;
  if (text == "always") return ColorMode::kAlways;
  if (text == "never") return ColorMode::kNever;
  return std::nullopt;
}

bool UseColor(ColorMode mode, bool is_terminal, const Environment& environment) {
  if (mode != ColorMode::kAuto) return mode == ColorMode::kAlways;
  if (!environment("NO_COLOR").value_or("").empty()) return false;
  const std::string force = environment("CLICOLOR_FORCE").value_or("");
  if (!force.empty() && force != "0") return true;
  return CanRepaint(is_terminal, environment);
}

bool Utf8Locale(const Environment& environment) {
  for (const std::string_view name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    std::string locale = environment(name).value_or("");
    if (locale.empty()) continue;
    for (char& c : locale) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return locale.find("utf-8") != std::string::npos || locale.find("utf8") != std::string::npos;
  }
  return false;
}

bool CanRepaint(bool is_terminal, const Environment& environment) {
  return is_terminal && environment("TERM").value_or("") != "dumb";
}

Sink FdSink(int fd) {
  return [fd](std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t written = write(fd, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(written));
    }
  };
}

// Terminals fold a line that has become too wide when the window shrinks. The few that cut it
// instead lose as many rows above the frame.
size_t Repainter::RowsOnScreen(size_t width) const {
  size_t rows = 0;
  for (const std::string& line : shown_) {
    const size_t columns = WidthWithoutSgr(line);
    rows += std::max<size_t>(1, (columns + width - 1) / width);
  }
  return rows;
}

std::string Repainter::EraseFrame(TermSize size) const {
  // What has scrolled off the screen can't be reached.
  const size_t rows = std::min(RowsOnScreen(std::max<size_t>(size.width, 1)), size.height - 1);
  return "\r" + CursorUp(rows) + EraseRows(rows);
}

// Same size of the window as for the frame that is shown.
std::string Repainter::ChangedLines(const std::vector<std::string>& lines) const {
  std::string out;
  size_t row = shown_.size();  // where the cursor is
  const auto move_to = [&](size_t target) {
    out += target < row ? CursorUp(row - target) : CursorDown(target - row);
    row = target;
  };
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i < shown_.size() && lines[i] == shown_[i]) continue;
    move_to(i);
    out += "\r";
    out += kEraseLine;
    out += lines[i];
    // Only a line feed scrolls: rows below the old frame need not exist yet.
    if (i >= shown_.size()) {
      out += "\r\n";
      ++row;
    }
  }
  if (lines.size() < shown_.size()) {
    move_to(lines.size());
    out += EraseRows(shown_.size() - lines.size());
  }
  if (out.empty()) return out;
  move_to(lines.size());
  return out + "\r";
}

void Repainter::Paint(const std::vector<std::string>& lines, TermSize size) {
  size.height = std::max<size_t>(size.height, 2);
  std::vector<std::string> frame = lines;
  frame.resize(std::min(frame.size(), size.height - 1));
  std::string bytes;
  if (!shown_.empty() && size != size_) {
    bytes = EraseFrame(size);
    shown_.clear();
  }
  bytes += ChangedLines(frame);
  shown_ = std::move(frame);
  size_ = size;
  if (!bytes.empty()) sink_(InOneFrame(bytes));
}

void Repainter::Clear() {
  if (shown_.empty()) return;
  sink_(InOneFrame(EraseFrame(size_)));
  shown_.clear();
}

void Repainter::Release() { shown_.clear(); }

}  // namespace tunesmith
