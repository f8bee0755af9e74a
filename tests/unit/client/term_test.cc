#include "client/term.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <map>

#include "client/format.h"
#include "tests/unit/client/screens.h"

namespace tunesmith {
namespace {

Environment Fake(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](std::string_view name) -> std::optional<std::string> {
    const auto it = variables.find(std::string(name));
    if (it == variables.end()) return std::nullopt;
    return it->second;
  };
}

TEST(UseColor, TheFlagWinsThenNoColorThenForceThenTheTerminal) {
  EXPECT_TRUE(UseColor(ColorMode::kAlways, false, Fake({{"NO_COLOR", "1"}})));
  EXPECT_FALSE(UseColor(ColorMode::kNever, true, Fake({{"CLICOLOR_FORCE", "1"}})));
  EXPECT_FALSE(
      UseColor(ColorMode::kAuto, true, Fake({{"NO_COLOR", "1"}, {"CLICOLOR_FORCE", "1"}})));
  EXPECT_TRUE(UseColor(ColorMode::kAuto, true, Fake({{"NO_COLOR", ""}})))
      << "an empty NO_COLOR does not count";
  EXPECT_TRUE(UseColor(ColorMode::kAuto, false, Fake({{"CLICOLOR_FORCE", "1"}})));
  EXPECT_FALSE(UseColor(ColorMode::kAuto, false, Fake({{"CLICOLOR_FORCE", "0"}})));
  EXPECT_FALSE(UseColor(ColorMode::kAuto, true, Fake({{"TERM", "dumb"}})));
  EXPECT_TRUE(UseColor(ColorMode::kAuto, true, Fake({{"TERM", "xterm"}})));
  EXPECT_FALSE(UseColor(ColorMode::kAuto, false, Fake({})));
}

TEST(Utf8Locale, TheFirstVariableThatIsSetDecides) {
  EXPECT_TRUE(Utf8Locale(Fake({{"LANG", "en_US.UTF-8"}})));
  EXPECT_TRUE(Utf8Locale(Fake({{"LC_CTYPE", "C.utf8"}})));
  EXPECT_FALSE(Utf8Locale(Fake({{"LC_ALL", "C"}, {"LANG", "en_US.UTF-8"}})));
  EXPECT_TRUE(Utf8Locale(Fake({{"LC_ALL", ""}, {"LANG", "en_US.UTF-8"}})));
  EXPECT_FALSE(Utf8Locale(Fake({})));
}

TEST(TerminalSize, FallsBackToTheEnvironmentWhereThereIsNoTerminal) {
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  EXPECT_FALSE(IsTerminal(pipe_ends[1]));
  EXPECT_EQ(TerminalSize(pipe_ends[1], Fake({{"COLUMNS", "133"}, {"LINES", "50"}})),
            (TermSize{133, 50}));
  EXPECT_EQ(TerminalSize(pipe_ends[1], Fake({{"COLUMNS", "wide"}, {"LINES", "-3"}})),
            (TermSize{80, 24}));
  EXPECT_EQ(TerminalSize(-1, Fake({})), (TermSize{80, 24}));
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

TEST(FdSink, WritesEverything) {
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  FdSink(pipe_ends[1])("hello");
  close(pipe_ends[1]);
  char buffer[16];
  EXPECT_EQ(read(pipe_ends[0], buffer, sizeof(buffer)), 5);
  close(pipe_ends[0]);
}

// --- a small terminal: a screen of rows over a scrollback, with the sequences that Repainter may
// send

class FakeTerminal {
 public:
  FakeTerminal(size_t width, size_t height) : width_(width), height_(height) { rows_.resize(1); }

  void Write(std::string_view bytes) {
    bytes_ += bytes.size();
    while (!bytes.empty()) {
      if (bytes[0] == '\x1b') {
        bytes.remove_prefix(Sequence(bytes));
        continue;
      }
      size_t length = 1;
      while (length < bytes.size() && (static_cast<unsigned char>(bytes[length]) & 0xC0) == 0x80)
        ++length;
      Put(std::string(bytes.substr(0, length)));
      bytes.remove_prefix(length);
    }
  }

  // As modern terminals do: lines that are too wide now are folded, the cursor stays at its text.
  void Resize(size_t width, size_t height) {
    std::vector<std::vector<std::string>> folded;
    size_t cursor = 0;
    for (size_t r = 0; r < rows_.size(); ++r) {
      if (r == row_) cursor = folded.size();
      auto row = rows_[r];
      do {
        const size_t take = std::min(width, row.size());
        folded.emplace_back(row.begin(), row.begin() + static_cast<std::ptrdiff_t>(take));
        row.erase(row.begin(), row.begin() + static_cast<std::ptrdiff_t>(take));
      } while (!row.empty());
    }
    rows_ = std::move(folded);
    row_ = cursor;
    width_ = width;
    height_ = height;
  }

  // Everything from the first row of the scrollback, without empty rows at the end.
  std::vector<std::string> Text() const {
    std::vector<std::string> text;
    for (const auto& row : rows_) {
      std::string line;
      for (const std::string& cell : row) line += cell;
      line.erase(line.find_last_not_of(' ') + 1);
      text.push_back(line);
    }
    while (!text.empty() && text.back().empty()) text.pop_back();
    return text;
  }
  size_t column() const { return column_; }
  size_t row() const { return row_; }
  size_t bytes() const { return bytes_; }
  bool wraps() const { return wrap_; }

 private:
  size_t Top() const { return rows_.size() > height_ ? rows_.size() - height_ : 0; }

  void Put(const std::string& cell) {
    if (cell == "\r") {
      column_ = 0;
    } else if (cell == "\n") {
      if (++row_ == rows_.size()) rows_.emplace_back();
    } else {
      if (column_ >= width_) {
        EXPECT_FALSE(wrap_) << "a line that runs over the edge must not wrap";
        column_ = width_ - 1;
      }
      auto& row = rows_[row_];
      if (row.size() <= column_) row.resize(column_ + 1, " ");
      row[column_++] = cell;
    }
  }

  size_t Sequence(std::string_view bytes) {
    EXPECT_GE(bytes.size(), 3U);
    size_t end = 2;
    while (end < bytes.size() && (std::isdigit(static_cast<unsigned char>(bytes[end])) != 0 ||
                                  bytes[end] == '?' || bytes[end] == ';'))
      ++end;
    const std::string argument(bytes.substr(2, end - 2));
    const size_t count = argument.empty() || argument[0] == '?' ? 0 : std::stoul(argument);
    switch (bytes[end]) {
      case 'A':
        row_ = row_ < Top() + count ? Top() : row_ - count;
        break;
      case 'B':
        row_ = std::min(row_ + count, rows_.size() - 1);
        break;
      case 'K':
        EXPECT_EQ(argument, "2");
        rows_[row_].clear();
        break;
      case 'h':
      case 'l':
        if (argument == "?7") wrap_ = bytes[end] == 'h';
        break;
      case 'm':
        break;
      default:
        ADD_FAILURE() << "unknown sequence " << bytes[end];
    }
    return end + 1;
  }

  size_t width_;
  size_t height_;
  std::vector<std::vector<std::string>>
      rows_;  // scrollback and screen; the last height_ ones can be reached
  size_t row_ = 0;
  size_t column_ = 0;
  size_t bytes_ = 0;
  bool wrap_ = true;
};

std::vector<std::string> RandomFrame(Rng* rng, size_t width, size_t lines_max) {
  std::vector<std::string> lines(rng->Below(lines_max + 1));
  for (std::string& line : lines) {
    const size_t length = rng->Below(4) == 0 ? width : rng->Below(width + 1);
    for (size_t i = 0; i < length; ++i)
      line += rng->Below(5) == 0 ? "█" : std::string(1, static_cast<char>('a' + rng->Below(26)));
  }
  return lines;
}

std::vector<std::string> Expected(const std::vector<std::string>& before,
                                  std::vector<std::string> frame, size_t lines_max) {
  frame.resize(std::min(frame.size(), lines_max));
  std::vector<std::string> all = before;
  all.insert(all.end(), frame.begin(), frame.end());
  while (!all.empty() && all.back().empty()) all.pop_back();
  return all;
}

TEST(Repainter, ShowsEachFrameInPlaceAndLeavesTheLast) {
  Rng rng(3);
  for (int round = 0; round < 200 && !testing::Test::HasFailure(); ++round) {
    const size_t width = 5 + rng.Below(30);
    const size_t height = 2 + rng.Below(12);
    FakeTerminal terminal(width, height);
    terminal.Write("$ run\r\n");
    Repainter repainter([&](std::string_view bytes) { terminal.Write(bytes); });
    std::vector<std::string> frame;
    for (int i = 0; i < 20; ++i) {
      if (rng.Below(3) != 0 || frame.empty()) {
        frame = RandomFrame(&rng, width, height + 2);
      } else {
        frame[rng.Below(frame.size())] = "changed";
        for (auto& line : frame) line = line == "changed" ? std::string("ch") : line;
      }
      repainter.Paint(frame, {width, height});
      ASSERT_EQ(terminal.Text(), Expected({"$ run"}, frame, height - 1));
      ASSERT_EQ(terminal.column(), 0U);
      ASSERT_TRUE(terminal.wraps());
    }
    repainter.Release();
    terminal.Write("$ ls");
    ASSERT_EQ(terminal.Text().back(), "$ ls");
  }
}

TEST(Repainter, AResizeRepaintsTheFrameAndKeepsWhatIsAboveIt) {
  Rng rng(4);
  for (int round = 0; round < 200 && !testing::Test::HasFailure(); ++round) {
    constexpr size_t kHeight = 40;  // all of the folded frame can be reached
    size_t width = 60;
    FakeTerminal terminal(width, kHeight);
    terminal.Write("$ run\r\n");
    Repainter repainter([&](std::string_view bytes) { terminal.Write(bytes); });
    for (int i = 0; i < 10; ++i) {
      const auto frame = RandomFrame(&rng, width, 6);
      repainter.Paint(frame, {width, kHeight});
      ASSERT_EQ(terminal.Text(), Expected({"$ run"}, frame, kHeight - 1));
      width = 20 + rng.Below(60);
      terminal.Resize(width, kHeight);
    }
  }
}

TEST(Repainter, SendsNothingForAnUnchangedFrameAndOneLineForAChangedOne) {
  FakeTerminal terminal(80, 24);
  Repainter repainter([&](std::string_view bytes) { terminal.Write(bytes); });
  std::vector<std::string> frame(20, std::string(70, 'x'));
  repainter.Paint(frame, {80, 24});
  const size_t full = terminal.bytes();
  repainter.Paint(frame, {80, 24});
  EXPECT_EQ(terminal.bytes(), full);
  frame[7] = "y";
  repainter.Paint(frame, {80, 24});
  EXPECT_LT(terminal.bytes() - full, 60U);
}

TEST(Repainter, ClearTakesTheFrameAwayForOtherText) {
  FakeTerminal terminal(80, 24);
  Repainter repainter([&](std::string_view bytes) { terminal.Write(bytes); });
  repainter.Paint({"one", "two"}, {80, 24});
  repainter.Clear();
  terminal.Write("a log line\r\n");
  repainter.Paint({"one", "three"}, {80, 24});
  EXPECT_EQ(terminal.Text(), (std::vector<std::string>{"a log line", "one", "three"}));
}

}  // namespace
}  // namespace tunesmith
