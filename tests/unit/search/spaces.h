// Short ways to write parameters and spaces in tests.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <iterator>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "search/space/space.h"

namespace tunesmith::testing_spaces {

inline Value Text(const char* text) { return Value(std::string(text)); }

inline Condition When(std::string on, std::vector<Value> values,
                      Condition::Op op = Condition::Op::kIn) {
  Condition c;
  c.on = std::move(on);
  c.op = op;
  c.values = std::move(values);
  return c;
}

inline Parameter Range(std::string name, Distribution distribution, double lo, double hi,
                       double q = 0, std::vector<Condition> when = {}) {
  Parameter p;
  p.name = std::move(name);
  p.distribution = distribution;
  p.lo = lo;
  p.hi = hi;
  p.q = q;
  p.when = std::move(when);
  return p;
}

inline Parameter Normal(std::string name, double mean, double sd, double q = 0) {
  Parameter p;
  p.name = std::move(name);
  p.distribution = q > 0 ? Distribution::kQNormal : Distribution::kNormal;
  p.mean = mean;
  p.sd = sd;
  p.q = q;
  return p;
}

inline Parameter Options(std::string name, Distribution distribution, std::vector<Value> options,
                         std::vector<Condition> when) {
  Parameter p;
  p.name = std::move(name);
  p.distribution = distribution;
  p.options = std::move(options);
  p.when = std::move(when);
  return p;
}
inline Parameter Choice(std::string name, std::vector<Value> options,
                        std::vector<Condition> when = {}) {
  return Options(std::move(name), Distribution::kChoice, std::move(options), std::move(when));
}
inline Parameter Grid(std::string name, std::vector<Value> options,
                      std::vector<Condition> when = {}) {
  return Options(std::move(name), Distribution::kGrid, std::move(options), std::move(when));
}
inline Parameter Constant(std::string name, Value value) {
  return Options(std::move(name), Distribution::kConstant, {std::move(value)}, {});
}

// A parameter of any distribution with extreme, senseless or fitting numbers; more often wrong than
// right.
inline Parameter Garbage(std::string name, Rng* rng) {
  const double kInf = std::numeric_limits<double>::infinity();
  const double numbers[] = {0,       -0.0,     1,      -1,         0.1,         0.3,
                            2,       3,        10,     1e-300,     5e-324,      1e300,
                            1.7e308, -1.7e308, 0x1p53, 0x1p53 + 2, -0x1p53,     0x1p63,
                            1e-9,    0.5,      kInf,   -kInf,      std::nan("")};
  const auto number = [&] { return numbers[rng->Below(std::size(numbers))]; };
  Parameter p;
  p.name = std::move(name);
  p.distribution = static_cast<Distribution>(rng->Below(13));
  p.lo = number();
  p.hi = number();
  p.q = number();
  p.mean = number();
  p.sd = number();
  for (uint64_t k = rng->Below(4); k > 0; --k) p.options.emplace_back(number());
  return p;
}

// The space, which must be sound.
inline Space Make(std::vector<Parameter> parameters, const std::vector<std::string>& constraints = {}) {
  Problems problems;
  auto space = Space::Create(std::move(parameters), constraints, &problems);
  for (const Problem& p : problems)
    ADD_FAILURE() << p.field << ": " << p.message << " (" << p.hint << ")";
  return space ? std::move(*space) : Space();
}

// Every kind of parameter, nested conditions included. `finite`: only those that take finitely many values.
inline std::vector<Parameter> MixedParameters(bool finite = false) {
  std::vector<Parameter> p = {
      Choice("optimizer", {Text("sgd"), Text("adam"), Text("none")}),
      Choice("nesterov", {Value(true), Value(false)}, {When("optimizer", {Text("sgd")})}),
      Range("momentum", Distribution::kQUniform, 0, 0.9, 0.1, {When("nesterov", {Value(true)})}),
      Range("layers", Distribution::kRandInt, 1, 5),
      Range("width", Distribution::kQLogRandInt, 8, 256, 8,
            {When("layers", {Value(int64_t{2})}, Condition::Op::kGreater)}),
      Constant("data", Text("digits")),
      Range("batch", Distribution::kLogRandInt, 16, 512)};
  if (finite) return p;
  p.push_back(Range("rate", Distribution::kLogUniform, 1e-5, 1, 0,
                    {When("optimizer", {Text("none")}, Condition::Op::kNotIn)}));
  p.push_back(Range("dropout", Distribution::kUniform, 0, 0.5));
  p.push_back(Normal("shift", 0, 1));
  p.push_back(Normal("steps", 5, 2, 1));
  return p;
}

}  // namespace tunesmith::testing_spaces
