#include "worker/process/log_forwarder.h"

#include <algorithm>
#include <utility>

namespace tunesmith::worker {
namespace {
constexpr int64_t kBurstSeconds = 8;
}  // namespace

LogForwarder::LogForwarder(LogForwarderOptions options)
    : options_(options) {
  state_.budget = options.bytes_max - static_cast<int64_t>(options.chunk_bytes_max);
  state_.tokens = options.bytes_per_second_max * kBurstSeconds;
}

void LogForwarder::Append(std::string_view bytes, Time now) {
  if (state_.window.empty()) state_.gathering_since = now;
  const size_t max = options_.chunk_bytes_max;
  if (bytes.size() >= max) {
    state_.dropped += static_cast<int64_t>(state_.window.size() + bytes.size() - max);
    state_.window.assign(bytes.substr(bytes.size() - max));
    return;
  }
  if (state_.window.size() + bytes.size() > max) {
    const size_t excess = state_.window.size() + bytes.size() - max;
    state_.dropped += static_cast<int64_t>(excess);
    state_.window.erase(0, excess);
  }
  state_.window += bytes;
}

std::optional<LogChunk> LogForwarder::Take(Time now) {
  Refill(now);
  if (state_.window.empty() || now < NextDue()) return std::nullopt;
  const auto size = static_cast<int64_t>(state_.window.size());
  if (size > state_.tokens || size > state_.budget) return std::nullopt;
  state_.tokens -= size;
  state_.budget -= size;
  return Pop();
}

Time LogForwarder::NextDue() const {
  const auto size = static_cast<int64_t>(state_.window.size());
  if (state_.window.empty() || size > state_.budget) return kTimeNever;
  Time due = state_.gathering_since + options_.gather;
  if (state_.window.size() * 2 >= options_.chunk_bytes_max) due = state_.gathering_since;
  if (size > state_.tokens) {
    due = std::max(
        due, state_.refilled + Milliseconds((size - state_.tokens) * 1000 / options_.bytes_per_second_max + 1));
  }
  return due;
}

std::optional<LogChunk> LogForwarder::Finish() {
  if (state_.window.empty() && state_.dropped == 0) return std::nullopt;
  return Pop();
}

void LogForwarder::Refill(Time now) {
  const int64_t elapsed_ms = std::max<int64_t>(0, now.ms - state_.refilled.ms);
  const int64_t max = options_.bytes_per_second_max * kBurstSeconds;
  if (elapsed_ms >= kBurstSeconds * 1000) {
    state_.tokens = max;
    state_.refilled = now;
    return;
  }
  const int64_t gained = elapsed_ms * options_.bytes_per_second_max / 1000;
  if (gained == 0) return;
  state_.tokens = std::min(max, state_.tokens + gained);
  state_.refilled = now;
}

LogChunk LogForwarder::Pop() {
  return LogChunk{std::exchange(state_.window, {}), std::exchange(state_.dropped, 0)};
}

}  // namespace tunesmith::worker
