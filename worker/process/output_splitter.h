// Cuts a trial's output into lines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace tunesmith::worker {

// A line ends at '\n', "\r\n" or '\r'; the last kind redraws one line of a terminal (progress bars)
// and is marked. What exceeds `line_bytes_max` of one line is left out and counted. Not
// thread-safe.
class OutputSplitter {
 public:
  // `progress`: more states of the same line may follow.
  using OnLine = std::function<void(std::string_view line, bool progress)>;

  struct State {
    std::string partial;
    bool after_return = false;  // a '\r' ended the last bytes: a '\n' may follow
    int64_t cut_bytes = 0;
  };

  explicit OutputSplitter(size_t line_bytes_max) : line_bytes_max_(line_bytes_max) {}

  // Takes bytes up to and including the next end of a line, and calls `on_line` at most once.
  // Returns how many were taken: the caller goes on with the rest, or keeps it until it has room.
  size_t TakeLine(std::string_view bytes, const OnLine& on_line);
  // The rest without an end of line, if any.
  void Finish(const OnLine& on_line);
  // Bytes of lines that were cut.
  int64_t cut_bytes() const { return state_.cut_bytes; }
  const State& state() const { return state_; }
  void set_state(State state) { state_ = std::move(state); }

 private:
  void Append(std::string_view bytes);

  size_t line_bytes_max_;
  State state_;
};

}  // namespace tunesmith::worker
