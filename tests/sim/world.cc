#include "tests/sim/world.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace tunesmith::sim {

Duration World::Draw(Duration mean) {
  // The logarithm's last bits differ between libraries; whole milliseconds do not show them in practice, and the trace
  // of a seed is compared within one build only.
  const double x = -std::log(1.0 - rng_.Uniform()) * static_cast<double>(mean.ms);
  return Duration{std::max<int64_t>(1, static_cast<int64_t>(x))};
}

void World::After(Duration delay, std::function<void()> action) {
  heap_.push({now_ + Duration{std::max<int64_t>(0, delay.ms)}, next_order_++, std::move(action)});
}

bool World::RunNext() {
  if (heap_.empty() || !failure_.empty()) return false;
  // The entry is moved out before it runs, since it may add others.
  Entry entry = std::move(const_cast<Entry&>(heap_.top()));
  heap_.pop();
  now_ = std::max(now_, entry.time);
  ++events_run_;
  entry.action();
  return failure_.empty();
}

void World::Trace(uint64_t kind, std::initializer_list<uint64_t> values) {
  trace_ = Mix64(trace_ ^ Mix64(kind) ^ static_cast<uint64_t>(now_.ms));
  for (const uint64_t value : values) trace_ = Mix64(trace_ ^ value);
}

void World::Fail(const std::string& what) {
  if (!failure_.empty()) return;
  failure_ = what;
  Log([&] { return "FAILED: " + what; });
}

void World::Print(const std::string& line) const {
  const int64_t ms = now_.ms - 1'700'000'000'000;
  std::printf("%6lld.%03lld  %s\n", static_cast<long long>(ms / 1000), static_cast<long long>(ms % 1000), line.c_str());
}

}  // namespace tunesmith::sim
