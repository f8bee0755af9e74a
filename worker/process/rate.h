// A token bucket in whole tokens.
#pragma once

#include <algorithm>
#include <cstdint>

#include "common/time.h"

namespace tunesmith::worker {

// Holds at most `burst` tokens and gains `per_second` of them. Spending may overdraw it: what was
// read is read; then nothing more until the debt is paid.
class TokenBucket {
 public:
  TokenBucket(int64_t per_second, int64_t burst, Time now)
      : per_second_(per_second), burst_(burst), tokens_(burst), refilled_(now) {}

  bool Positive(Time now) {
    Refill(now);
    return tokens_ > 0;
  }
  void Spend(int64_t tokens) { tokens_ -= tokens; }
  // When Positive will hold.
  Time NextPositive() const {
    if (tokens_ > 0) return refilled_;
    return refilled_ + Milliseconds((1 - tokens_) * 1000 / per_second_ + 1);
  }

 private:
  void Refill(Time now) {
    const int64_t elapsed_ms = std::clamp<int64_t>(now.ms - refilled_.ms, 0, 3'600'000);
    const int64_t gained = elapsed_ms * per_second_ / 1000;
    if (gained == 0) return;
    tokens_ = std::min(burst_, tokens_ + gained);
    refilled_ = now;
  }

  int64_t per_second_;
  int64_t burst_;
  int64_t tokens_;
  Time refilled_;
};

}  // namespace tunesmith::worker
