// Decides which bytes of a trial's output go to the controller.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "common/time.h"
#include "worker/agent/types.h"

namespace tunesmith::worker {

struct LogForwarderOptions {
  int64_t bytes_max;             // in all
  int64_t bytes_per_second_max;  // after a burst of eight seconds' worth
  size_t chunk_bytes_max;
  // Bytes come together for this long, so that a chatty program does not cost a record a line.
  Duration gather = Milliseconds(200);
};

// Forwards what comes while it comes slowly. What comes too fast, or after the budget, is kept in a
// window of one chunk that holds the newest bytes: the last words of a program are the ones that
// people need. Not thread-safe.
class LogForwarder {
 public:
  struct State {
    int64_t budget = 0;  // bytes that may still be sent, the last window set aside
    int64_t tokens = 0;
    Time refilled{0};
    std::string window;
    Time gathering_since{0};
    int64_t dropped = 0;  // before the window
  };

  explicit LogForwarder(LogForwarderOptions options);

  void Append(std::string_view bytes, Time now);
  // A chunk, if one is due.
  std::optional<LogChunk> Take(Time now);
  // When Take may give a chunk; kTimeNever if nothing waits.
  Time NextDue() const;
  // The window: the last chunk of the attempt, whatever the rate. nullopt if nothing is left.
  std::optional<LogChunk> Finish();
  const State& state() const { return state_; }
  void set_state(State state) { state_ = std::move(state); }

 private:
  void Refill(Time now);
  LogChunk Pop();

  LogForwarderOptions options_;
  State state_;
};

}  // namespace tunesmith::worker
