// The value of one parameter in one trial.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace tunesmith {

// A value that is neither a number, a word nor a truth value: a list, an object or null of a `choice`, kept as
// compact JSON text and handed to the program as it is.
struct JsonValue {
  std::string text;
  friend bool operator==(const JsonValue&, const JsonValue&) = default;
  friend auto operator<=>(const JsonValue&, const JsonValue&) = default;
};

// std::monostate: the parameter is inactive in this trial (its `when` does not hold) and the program does not get it.
using Value = std::variant<std::monostate, bool, int64_t, double, std::string, JsonValue>;

// One value per parameter of the space, in the space's order.
using Point = std::vector<Value>;

inline bool IsActive(const Value& value) { return !std::holds_alternative<std::monostate>(value); }

// As a person writes it and a program reads it on its command line: "0.1", "64", "true", "adam", "[0.9,0.99]"; ""
// when inactive. Doubles are the shortest text that reads back the same.
std::string ValueText(const Value& value);

// As JSON: 0.1, 64, true, "adam", [0.9,0.99]; null when inactive. Doubles that JSON cannot hold become strings.
void AppendValueJson(const Value& value, std::string* out);
std::string ValueJson(const Value& value);

// Numbers (int64_t, double, bool as 0/1) as a double; NaN for the others.
double ValueNumber(const Value& value);

// Equal, where 1 and 1.0 are the same number (true is not 1), 0.0 is -0.0 and NaN is NaN.
bool SameValue(const Value& a, const Value& b);

uint64_t HashValue(const Value& value);

// A hash of the active values, the same on every machine. Equal points (SameValue in every place) hash alike.
uint64_t HashPoint(const Point& point);
bool SamePoint(const Point& a, const Point& b);

}  // namespace tunesmith
