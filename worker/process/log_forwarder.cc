#include "worker/process/log_forwarder.h"

#include <algorithm>
#include <utility>

namespace tunesmith::worker {
namespace {
constexpr int64_t kBurstSeconds = 8;
}  // namespace

LogForwarder::LogForwarder(LogForwarderOptions options)
    : options_(options),
      budget_(options.bytes_max - static_cast<int64_t>(options.chunk_bytes_max)),
      tokens_(options.bytes_per_second_max * kBurstSeconds) {}

void LogForwarder::Append(std::string_view bytes, Time now) {
  if (window_.empty()) gathering_since_ = now;
  const size_t max = options_.chunk_bytes_max;
  if (bytes.size() >= max) {
    dropped_ += static_cast<int64_t>(window_.size() + bytes.size() - max);
    window_.assign(bytes.substr(bytes.size() - max));
    return;
  }
  if (window_.size() + bytes.size() > max) {
    const size_t excess = window_.size() + bytes.size() - max;
    dropped_ += static_cast<int64_t>(excess);
    window_.erase(0, excess);
  }
  window_ += bytes;
}

std::optional<LogChunk> LogForwarder::Take(Time now) {
  Refill(now);
  if (window_.empty() || now < NextDue()) return std::nullopt;
  const auto size = static_cast<int64_t>(window_.size());
  if (size > tokens_ || size > budget_) return std::nullopt;
  tokens_ -= size;
  budget_ -= size;
  return Pop();
}

Time LogForwarder::NextDue() const {
  const auto size = static_cast<int64_t>(window_.size());
  if (window_.empty() || size > budget_) return kTimeNever;
  Time due = gathering_since_ + options_.gather;
  if (window_.size() * 2 >= options_.chunk_bytes_max) due = gathering_since_;
  if (size > tokens_) {
    due = std::max(
        due, refilled_ + Milliseconds((size - tokens_) * 1000 / options_.bytes_per_second_max + 1));
  }
  return due;
}

std::optional<LogChunk> LogForwarder::Finish() {
  if (window_.empty() && dropped_ == 0) return std::nullopt;
  return Pop();
}

void LogForwarder::Refill(Time now) {
  const int64_t elapsed_ms = std::max<int64_t>(0, now.ms - refilled_.ms);
  const int64_t max = options_.bytes_per_second_max * kBurstSeconds;
  if (elapsed_ms >= kBurstSeconds * 1000) {
    tokens_ = max;
    refilled_ = now;
    return;
  }
  const int64_t gained = elapsed_ms * options_.bytes_per_second_max / 1000;
  if (gained == 0) return;
  tokens_ = std::min(max, tokens_ + gained);
  refilled_ = now;
}

LogChunk LogForwarder::Pop() {
  return LogChunk{std::exchange(window_, {}), std::exchange(dropped_, 0)};
}

}  // namespace tunesmith::worker
