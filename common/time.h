// Time as a value. Nothing here reads a clock: the edges do, and pass the result in.
#pragma once

#include <compare>
#include <cstdint>

namespace tunesmith {

// Milliseconds; a difference of two Time values.
struct Duration {
  int64_t ms = 0;
  friend constexpr auto operator<=>(const Duration&, const Duration&) = default;
};

// Milliseconds since the Unix epoch.
struct Time {
  int64_t ms = 0;
  friend constexpr auto operator<=>(const Time&, const Time&) = default;
  friend constexpr Time operator+(Time t, Duration d) { return Time{t.ms + d.ms}; }
  friend constexpr Time operator-(Time t, Duration d) { return Time{t.ms - d.ms}; }
  friend constexpr Duration operator-(Time a, Time b) { return Duration{a.ms - b.ms}; }
};

constexpr Duration Seconds(int64_t s) { return Duration{s * 1000}; }
constexpr Duration Milliseconds(int64_t ms) { return Duration{ms}; }
constexpr Time kTimeNever{INT64_MAX};

}  // namespace tunesmith
