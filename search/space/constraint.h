// A condition that the values of several parameters must meet together: "layers * batch <= 1024".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/problem.h"
#include "search/space/value.h"

namespace tunesmith {

class Space;

// An expression over parameters, in Python's spelling and precedence.
// - Operands: numbers (doubles), 'words' and "words", true, false, and names of parameters; a name
// with other characters
//   than letters, digits, '_' and '.' stands in backquotes: `head/width`.
// - or, and, not; ==, !=, <, <=, >, >=, in [...], not in [...]; +, -, *, /, %, **; min, max, abs,
// log, exp, sqrt, floor,
//   ceil, round (half to even). % has the sign of the divisor. Comparisons do not chain.
// - A truth value counts as 1 or 0 in arithmetic. What is not a number (0 / 0, the logarithm of -1,
// a word of a choice
//   of numbers and words) is unequal to everything, and neither less nor greater.
// The same bits on every machine. Immutable.
class Constraint {
 public:
  // Checks the text against the parameters of `space`: unknown names, operands of the wrong type,
  // values that a parameter can never have. nullopt with message and hint (not the field) of
  // `problem` if anything is wrong; the first mistake counts.
  static std::optional<Constraint> Parse(std::string_view text, const Space& space,
                                         Problem* problem);

  // Whether the point meets it. One that names an inactive parameter is met.
  bool Holds(const Point& point) const;

  // 0 where it holds; else a positive number that gets smaller as both sides of its comparisons
  // come closer. For a search that has to find its way to where it holds.
  double Miss(const Point& point) const;

  const std::string& text() const { return text_; }
  // The parameters that it names: indices in increasing order. Never empty.
  const std::vector<size_t>& parameters() const { return parameters_; }

 private:
  enum class Code : uint8_t {
    kLiteral,
    kParameter,
    kNegate,
    kAdd,
    kSubtract,
    kMultiply,
    kDivide,
    kModulo,
    kPower,
    kMin,
    kMax,
    kAbs,
    kLog,
    kExp,
    kSqrt,
    kFloor,
    kCeil,
    kRound,
    kEqual,
    kUnequal,
    kLess,
    kLessEqual,
    kGreater,
    kGreaterEqual,
    kIn,
    kNot,
    kAnd,
    kOr,
  };
  // In postfix order: takes its operands from a stack and leaves its result there.
  struct Step {
    Code code = Code::kLiteral;
    uint32_t operand =
        0;  // index of the parameter or literal; number of operands of min, max and in
  };
  struct Item;
  Item Evaluate(const Point& point) const;

  std::string text_;
  std::vector<Step> steps_;
  std::vector<Value> literals_;
  std::vector<size_t> parameters_;
  size_t stack_max_ = 0;

  friend class ConstraintParser;
};

}  // namespace tunesmith
