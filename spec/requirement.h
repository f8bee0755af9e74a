// Outcome constraints: what a trial's metrics have to meet for the trial to count, such as "latency_ms <= 20".
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tunesmith {

struct Requirement {
  enum class Op : unsigned char { kLess, kLessEqual, kGreater, kGreaterEqual };
  std::string metric;
  Op op = Op::kLessEqual;
  double limit = 0;
  friend bool operator==(const Requirement&, const Requirement&) = default;
};

// METRIC OP NUMBER. nullopt with what is wrong and a hint.
std::optional<Requirement> ParseRequirement(std::string_view text, std::string* why, std::string* hint);

// By how much the value exceeds the limit, as a share of it: 0 if it does not. 1 for NaN, or a metric that was not
// reported.
double ExcessOf(const Requirement& requirement, double value);

}  // namespace tunesmith
