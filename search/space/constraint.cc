#include "search/space/constraint.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "common/exact_math.h"

namespace tunesmith {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

double Exp(double x) {
  if (x < 700) return PortableExp(x);
  const double half = PortableExp(std::min(x, 1400.0) / 2);
  return half * half;  // may be infinite
}

double Log(double x) {
  if (std::isnan(x) || x < 0) return kNan;
  if (x == 0) return -kInfinity;
  if (std::isinf(x)) return x;
  if (x < std::numeric_limits<double>::min()) return PortableLog(x * 0x1p54) - PortableLog(0x1p54);
  return PortableLog(x);
}

// The remainder with the sign of b.
double Modulo(double a, double b) {
  const double rest = std::fmod(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

// Whole exponents by squaring, so that powers of whole numbers are exact.
double Power(double base, double exponent) {
  constexpr double kWholeMax = 1 << 20;
  if (exponent == std::floor(exponent) && std::fabs(exponent) <= kWholeMax) {
    double result = 1;
    double square = base;
    for (auto n = static_cast<uint64_t>(std::fabs(exponent)); n > 0; n /= 2) {
      if (n % 2 == 1) result *= square;
      square *= square;
    }
    return exponent < 0 ? 1 / result : result;
  }
  if (base == 1) return 1;
  if (std::isnan(base) || std::isnan(exponent) || base < 0) return kNan;
  if (base == 0) return exponent > 0 ? 0 : kInfinity;
  return Exp(exponent * Log(base));
}

// How far a is above b.
double Excess(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return 1;
  return a > b ? a - b : 0;
}

}  // namespace

// What an operand is.
struct Constraint::Item {
  enum class Kind : uint8_t { kNumber, kTruth, kText, kJson };
  Kind kind = Kind::kNumber;
  double number = 0;                  // of a truth value 0 or 1; NaN of the others
  const std::string* text = nullptr;  // of a word or JSON
  // Of a truth value: how much is missing until it is true, and until it is false.
  double to_true = 1, to_false = 1;

  static Item Number(double x) { return Item(Kind::kNumber, x, nullptr); }
  static Item Truth(bool x, double to_true, double to_false) {
    Item item(Kind::kTruth, x ? 1.0 : 0.0, nullptr);
    // Rounding and strict comparisons may leave nothing to miss.
    constexpr double kLeast = 1e-300;
    item.to_true = x ? 0 : std::max(kLeast, to_true);
    item.to_false = x ? std::max(kLeast, to_false) : 0;
    return item;
  }
  static Item FromValue(const Value& value) {
    if (const auto* text = std::get_if<std::string>(&value)) return Item(Kind::kText, kNan, text);
    if (const auto* json = std::get_if<JsonValue>(&value))
      return Item(Kind::kJson, kNan, &json->text);
    if (const auto* truth = std::get_if<bool>(&value)) return Truth(*truth, 1, 1);
    return Number(ValueNumber(value));
  }

  bool IsTrue() const { return kind == Kind::kTruth && number == 1; }

  static Item Equal(const Item& a, const Item& b) {
    if (a.kind != b.kind) return Truth(false, 1, 1);
    if (a.text != nullptr) return Truth(*a.text == *b.text, 1, 1);
    return Truth(a.number == b.number, Excess(a.number, b.number) + Excess(b.number, a.number), 1);
  }
  static Item Less(const Item& a, const Item& b, bool or_equal) {
    const bool truth = or_equal ? a.number <= b.number : a.number < b.number;
    return Truth(truth, Excess(a.number, b.number), Excess(b.number, a.number));
  }
  static Item Or(const Item& a, const Item& b) {
    return Truth(a.IsTrue() || b.IsTrue(), std::min(a.to_true, b.to_true), a.to_false + b.to_false);
  }
  static Item Not(const Item& a) { return Truth(!a.IsTrue(), a.to_false, a.to_true); }
  static Item And(const Item& a, const Item& b) {
    return Truth(a.IsTrue() && b.IsTrue(), a.to_true + b.to_true, std::min(a.to_false, b.to_false));
  }

  Item() = default;
  Item(Kind item_kind, double item_number, const std::string* item_text)
      : kind(item_kind), number(item_number), text(item_text) {}
};

bool Constraint::Holds(const Point& point) const { return Evaluate(point).IsTrue(); }

double Constraint::Miss(const Point& point) const { return Evaluate(point).to_true; }

Constraint::Item Constraint::Evaluate(const Point& point) const {
  for (const size_t i : parameters_) {
    if (!IsActive(point[i])) return Item::Truth(true, 0, 1);
  }
  constexpr size_t kSmall = 8;
  std::array<Item, kSmall> small;
  std::vector<Item> large(stack_max_ > kSmall ? stack_max_ : 0);
  Item* const stack = stack_max_ > kSmall ? large.data() : small.data();
  size_t size = 0;
  const auto fold = [&](uint32_t count, auto&& f) {
    for (; count > 1; --count, --size) {
      stack[size - 2] = Item::Number(f(stack[size - 2].number, stack[size - 1].number));
    }
    stack[size - 1] = Item::Number(stack[size - 1].number);
  };
  const auto unary = [&](double x) { stack[size - 1] = Item::Number(x); };
  const auto binary = [&](const Item& result) { stack[--size - 1] = result; };
  for (const Step& step : steps_) {
    if (step.code == Code::kLiteral) {
      stack[size++] = Item::FromValue(literals_[step.operand]);
      continue;
    }
    if (step.code == Code::kParameter) {
      stack[size++] = Item::FromValue(point[step.operand]);
      continue;
    }
    // Of the last two operands.
    const Item b = stack[size - 1];
    const Item a = size > 1 ? stack[size - 2] : b;
    const double x = a.number, y = b.number;
    switch (step.code) {
      case Code::kNegate:
        unary(-y);
        break;
      case Code::kAbs:
        unary(std::fabs(y));
        break;
      case Code::kLog:
        unary(Log(y));
        break;
      case Code::kExp:
        unary(Exp(y));
        break;
      case Code::kSqrt:
        unary(std::sqrt(y));
        break;
      case Code::kFloor:
        unary(std::floor(y));
        break;
      case Code::kCeil:
        unary(std::ceil(y));
        break;
      case Code::kRound:
        unary(std::nearbyint(y));
        break;
      case Code::kAdd:
        binary(Item::Number(x + y));
        break;
      case Code::kSubtract:
        binary(Item::Number(x - y));
        break;
      case Code::kMultiply:
        binary(Item::Number(x * y));
        break;
      case Code::kDivide:
        binary(Item::Number(x / y));
        break;
      case Code::kModulo:
        binary(Item::Number(Modulo(x, y)));
        break;
      case Code::kPower:
        binary(Item::Number(Power(x, y)));
        break;
      // NaN spreads.
      case Code::kMin:
        fold(step.operand, [](double p, double q) { return p < q || std::isnan(p) ? p : q; });
        break;
      case Code::kMax:
        fold(step.operand, [](double p, double q) { return p > q || std::isnan(p) ? p : q; });
        break;
      case Code::kEqual:
        binary(Item::Equal(a, b));
        break;
      case Code::kUnequal:
        binary(Item::Not(Item::Equal(a, b)));
        break;
      case Code::kLess:
        binary(Item::Less(a, b, false));
        break;
      case Code::kLessEqual:
        binary(Item::Less(a, b, true));
        break;
      case Code::kGreater:
        binary(Item::Less(b, a, false));
        break;
      case Code::kGreaterEqual:
        binary(Item::Less(b, a, true));
        break;
      case Code::kAnd:
        binary(Item::And(a, b));
        break;
      case Code::kOr:
        binary(Item::Or(a, b));
        break;
      case Code::kNot:
        stack[size - 1] = Item::Not(b);
        break;
      case Code::kIn: {
        size -= step.operand;
        Item among = Item::Equal(stack[size - 1], stack[size]);
        for (uint32_t k = 1; k < step.operand; ++k)
          among = Item::Or(among, Item::Equal(stack[size - 1], stack[size + k]));
        stack[size - 1] = among;
        break;
      }
      case Code::kLiteral:
      case Code::kParameter:
        break;  // above
    }
  }
  return stack[0];
}

}  // namespace tunesmith
