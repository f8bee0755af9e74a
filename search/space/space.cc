#include "search/space/space.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "common/check.h"
#include "common/exact_math.h"
#include "common/text.h"

namespace tunesmith {
namespace {

constexpr std::array<std::string_view, 13> kNames = {
    "constant", "choice",   "grid",       "uniform",     "quniform", "loguniform", "qloguniform",
    "randint",  "qrandint", "lograndint", "qlograndint", "normal",   "qnormal"};

// At the share u of [lo, hi).
double Between(double lo, double hi, double u) {
  if (!(lo < hi)) return lo;
  const double x = lo + (hi - lo) * u;
  return x < hi ? x : std::nextafter(hi, lo);
}

// At the share u of exp(uniform[ln lo, ln hi)), kept inside [lo, hi] whatever the rounding.
double LogBetween(double lo, double hi, double u) {
  return std::clamp(PortableExp(Between(PortableLog(lo), PortableLog(hi), u)), lo, hi);
}

// Index of one of `count` equally likely things.
uint64_t Share(uint64_t count, double u) {
  return std::min(static_cast<uint64_t>(u * static_cast<double>(count)), count - 1);
}

// Whether `multiple`, a quotient by a step, is a whole number up to rounding; a user's 0.1 * 3 is a
// multiple of 0.1.
bool NearlyWhole(double multiple) {
  return std::fabs(multiple - std::nearbyint(multiple)) <= 1e-6 + std::fabs(multiple) * 0x1p-50;
}

int64_t Floor(double x) { return static_cast<int64_t>(std::floor(x)); }

}  // namespace

std::string_view DistributionName(Distribution distribution) {
  return kNames[static_cast<size_t>(distribution)];
}

std::optional<Distribution> DistributionFromName(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Distribution>(i);
  }
  return std::nullopt;
}

bool IsInteger(Distribution d) {
  return d == Distribution::kRandInt || d == Distribution::kQRandInt ||
         d == Distribution::kLogRandInt || d == Distribution::kQLogRandInt;
}

bool HasOptions(Distribution d) {
  return d == Distribution::kConstant || d == Distribution::kChoice || d == Distribution::kGrid;
}

bool IsLog(Distribution d) {
  return d == Distribution::kLogUniform || d == Distribution::kQLogUniform ||
         d == Distribution::kLogRandInt || d == Distribution::kQLogRandInt;
}

std::optional<size_t> Space::Find(std::string_view name) const {
  const auto it = std::lower_bound(
      by_name_.begin(), by_name_.end(), name,
      [](const auto& entry, std::string_view wanted) { return entry.first < wanted; });
  if (it == by_name_.end() || it->first != name) return std::nullopt;
  return it->second;
}

bool Space::Holds(const Condition& condition, const Point& point) const {
  const Value& value = point[condition.parent];
  if (!IsActive(value)) return false;
  const auto among = [&] {
    return std::any_of(condition.values.begin(), condition.values.end(),
                       [&](const Value& v) { return SameValue(v, value); });
  };
  switch (condition.op) {
    case Condition::Op::kIn:
      return among();
    case Condition::Op::kNotIn:
      return !among();
    default:
      break;
  }
  const double x = ValueNumber(value);
  const double bound = ValueNumber(condition.values[0]);
  switch (condition.op) {
    case Condition::Op::kLess:
      return x < bound;
    case Condition::Op::kLessEqual:
      return x <= bound;
    case Condition::Op::kGreater:
      return x > bound;
    default:
      return x >= bound;
  }
}

bool Space::Active(size_t i, const Point& point) const {
  const auto& when = parameters_[i].when;
  return std::all_of(when.begin(), when.end(), [&](const Condition& c) { return Holds(c, point); });
}

Value Space::SampleParameter(size_t i, Rng* rng) const {
  const Parameter& p = parameters_[i];
  switch (p.distribution) {
    case Distribution::kConstant:
      return p.options[0];
    case Distribution::kChoice:
    case Distribution::kGrid:
    case Distribution::kRandInt:
    case Distribution::kQRandInt:
      return ValueAt(i, rng->Below(values_[i].count));  // exactly even, however many there are
    case Distribution::kNormal:
      return p.mean + p.sd * rng->Normal();
    case Distribution::kQNormal:
      return Quantise(i, p.mean + p.sd * rng->Normal());
    default:
      return ValueAtQuantile(i, rng->Uniform());
  }
}

Value Space::ValueAtQuantile(size_t i, double u) const {
  const Parameter& p = parameters_[i];
  switch (p.distribution) {
    case Distribution::kConstant:
    case Distribution::kChoice:
    case Distribution::kGrid:
    case Distribution::kRandInt:
    case Distribution::kQRandInt:
      return ValueAt(i, Share(values_[i].count, u));
    case Distribution::kUniform:
      return Between(p.lo, p.hi, u);
    case Distribution::kQUniform:
      return Quantise(i, Between(p.lo, p.hi, u));
    case Distribution::kLogUniform:
      return std::min(LogBetween(p.lo, p.hi, u), std::nextafter(p.hi, p.lo));
    case Distribution::kQLogUniform:
      return Quantise(i, LogBetween(p.lo, p.hi, u));
    case Distribution::kLogRandInt:
      return std::min(Floor(LogBetween(p.lo, p.hi, u)), static_cast<int64_t>(p.hi) - 1);
    case Distribution::kQLogRandInt: {
      const double x = LogBetween(p.lo, p.hi, u);
      if (p.q == 1) return std::min(Floor(x), static_cast<int64_t>(p.hi) - 1);
      return static_cast<int64_t>(Quantise(i, x));
    }
    case Distribution::kNormal:
    case Distribution::kQNormal: {
      // Half a step inwards: the ends are infinitely far.
      const double x = p.mean + p.sd * NormalQuantile(std::clamp(u + 0x1p-54, 0x1p-54, 1 - 0x1p-53));
      return p.distribution == Distribution::kQNormal ? Quantise(i, x) : x;
    }
  }
  return Value();
}

Space::Values Space::MakeValues(const Parameter& p) {
  Values v;
  if (HasOptions(p.distribution)) {
    v.finite = true;
    v.count = p.options.size();
    for (size_t k = 0; k < p.options.size(); ++k) {
      v.by_hash.emplace_back(HashValue(p.options[k]), static_cast<uint32_t>(k));
    }
    std::sort(v.by_hash.begin(), v.by_hash.end());
    return v;
  }
  const bool exclusive_integer = p.distribution == Distribution::kRandInt ||
                                 p.distribution == Distribution::kLogRandInt ||
                                 (IsInteger(p.distribution) && p.q == 1);
  if (exclusive_integer) {
    v.finite = true;
    v.first = static_cast<int64_t>(p.lo);
    v.count = static_cast<uint64_t>(p.hi - p.lo);
    v.numerator = 1;
    return v;
  }
  if (!(p.q > 0)) return v;  // continuous
  v.numerator = p.q;
  for (double power = 1; power <= 1e15; power *= 10) {
    const double whole = std::nearbyint(p.q * power);
    if (whole > 0 && whole < 1e6 && std::fabs(p.q * power - whole) <= 1e-12 * whole) {
      v.numerator = whole;
      v.denominator = power;
      break;
    }
  }
  if (p.distribution != Distribution::kQNormal) {
    v.finite = true;
    v.first = static_cast<int64_t>(std::nearbyint(p.lo / p.q));
    v.count = static_cast<uint64_t>(static_cast<int64_t>(std::nearbyint(p.hi / p.q)) - v.first) + 1;
  }
  return v;
}

double Space::Multiple(size_t i, double k) const {
  const double x = k * values_[i].numerator / values_[i].denominator;
  return x == 0 ? 0.0 : x;  // never -0.0
}

double Space::Quantise(size_t i, double x) const {
  const Values& v = values_[i];
  double k = std::nearbyint(x / parameters_[i].q);  // half to even
  if (v.finite) {
    const auto first = static_cast<double>(v.first);
    k = std::clamp(k, first, first + static_cast<double>(v.count - 1));
  }
  return Multiple(i, k);
}

std::optional<uint64_t> Space::ValueCount(size_t i) const {
  if (!values_[i].finite) return std::nullopt;
  return values_[i].count;
}

Value Space::ValueAt(size_t i, uint64_t index) const {
  const Parameter& p = parameters_[i];
  const Values& v = values_[i];
  TS_CHECK(index < v.count, "ValueAt: no such value");
  if (HasOptions(p.distribution)) return p.options[index];
  const int64_t k = v.first + static_cast<int64_t>(index);
  if (IsInteger(p.distribution)) return k * static_cast<int64_t>(v.numerator);
  return Multiple(i, static_cast<double>(k));
}

std::optional<uint64_t> Space::IndexOf(size_t i, const Value& value) const {
  const Parameter& p = parameters_[i];
  const Values& v = values_[i];
  if (!v.finite || !IsActive(value)) return std::nullopt;
  if (HasOptions(p.distribution)) {
    const uint64_t hash = HashValue(value);
    auto it = std::lower_bound(v.by_hash.begin(), v.by_hash.end(),
                               std::pair<uint64_t, uint32_t>(hash, 0));
    for (; it != v.by_hash.end() && it->first == hash; ++it) {
      if (SameValue(p.options[it->second], value)) return it->second;
    }
    return std::nullopt;
  }
  if (std::holds_alternative<bool>(value)) return std::nullopt;
  const double x = ValueNumber(value);
  const double step = v.numerator / v.denominator;
  const double k = std::nearbyint(x / step);
  const bool integer = IsInteger(p.distribution);
  if (!(integer ? k * step == x : NearlyWhole(x / step))) return std::nullopt;
  const double index = k - static_cast<double>(v.first);
  if (!(index >= 0 && index < static_cast<double>(v.count))) return std::nullopt;
  return static_cast<uint64_t>(index);
}

bool Space::Takes(size_t i, const Value& value, std::string* why_not) const {
  const Parameter& p = parameters_[i];
  const auto no = [&](const std::string& why) {
    if (why_not != nullptr) *why_not = why;
    return false;
  };
  if (HasOptions(p.distribution)) {
    if (IndexOf(i, value)) return true;
    std::string text =
        ValueJson(value) + " is not one of its " + std::to_string(p.options.size()) + " values";
    if (p.options.size() <= 10) {
      std::vector<std::string> names;
      for (const Value& option : p.options) names.push_back(ValueJson(option));
      text += " (" + Join(names, ", ") + ")";
    }
    return no(text);
  }
  const double x = ValueNumber(value);
  if (std::holds_alternative<bool>(value) || std::isnan(x))
    return no(ValueJson(value) + " is not a number");
  if (std::isinf(x)) return no(ValueJson(value) + " is not finite");
  if (p.distribution == Distribution::kNormal) return true;
  if (p.distribution == Distribution::kQNormal) {
    return NearlyWhole(x / p.q) ? true
                                : no(ValueJson(value) + " is not a multiple of " + DoubleText(p.q));
  }
  if (IndexOf(i, value)) return true;
  if (x < p.lo) return no(ValueJson(value) + " is below the lower bound " + DoubleText(p.lo));
  const bool inclusive = p.q > 0 && !(IsInteger(p.distribution) && p.q == 1);
  if (inclusive ? x > p.hi + 1e-6 * p.q : x >= p.hi) {
    return no(ValueJson(value) + " is not below the upper bound " + DoubleText(p.hi) +
              (inclusive ? " (inclusive)" : " (exclusive)"));
  }
  if (!values_[i].finite) return true;
  return no(ValueJson(value) + (p.q > 0 && p.q != 1 ? " is not a multiple of " + DoubleText(p.q)
                                                    : std::string(" is not an integer")));
}

std::optional<Value> Space::Typed(size_t i, const Value& value) const {
  if (!Takes(i, value, nullptr)) return std::nullopt;
  if (const auto index = IndexOf(i, value)) return ValueAt(i, *index);
  if (parameters_[i].distribution == Distribution::kQNormal) return Quantise(i, ValueNumber(value));
  return ValueNumber(value);
}

bool Space::Contains(const Point& point, std::string* why_not) const {
  if (point.size() != size()) {
    if (why_not != nullptr) {
      *why_not = "the point has " + std::to_string(point.size()) + " values, the space has " +
                 std::to_string(size()) + " parameters";
    }
    return false;
  }
  for (const size_t i : order_) {
    const bool active = Active(i, point);
    std::string why;
    if (active == IsActive(point[i]) && (!active || Takes(i, point[i], &why))) continue;
    if (why_not != nullptr) {
      if (active && !IsActive(point[i])) why = "a value is missing";
      if (!active) why = "it has a value although its `when` does not hold";
      *why_not = parameters_[i].name + ": " + why;
    }
    return false;
  }
  for (const Constraint& constraint : constraints_) {
    if (constraint.Holds(point)) continue;
    if (why_not != nullptr) *why_not = "the constraint \"" + constraint.text() + "\" is not met";
    return false;
  }
  return true;
}

uint64_t Space::GridCells() const {
  constexpr uint64_t kMax = 1ULL << 62U;
  uint64_t cells = 1;
  for (const Parameter& p : parameters_) {
    if (p.distribution != Distribution::kGrid) continue;
    if (cells > kMax / p.options.size()) return kMax;
    cells *= p.options.size();
  }
  return cells;
}

bool Space::TryComplete(const Point& given, Rng* rng, Point* out) const {
  out->assign(size(), Value());
  for (const size_t i : order_) {
    const bool active = Active(i, *out);
    if (!active && IsActive(given[i])) return false;
    if (active) (*out)[i] = IsActive(given[i]) ? given[i] : SampleParameter(i, rng);
  }
  return true;
}

std::optional<Point> Space::Complete(const std::vector<std::pair<std::string, Value>>& given,
                                     Rng* rng, Problems* problems) const {
  const size_t before = problems->size();
  Point wanted(size());
  for (const auto& [name, value] : given) {
    const auto i = Find(name);
    if (!i) {
      std::vector<std::string> names;
      for (const Parameter& p : parameters_) names.push_back(p.name);
      const std::string closest = ClosestWord(name, names);
      problems->push_back({name, "the space has no parameter \"" + name + "\"",
                           closest.empty() ? "" : "did you mean \"" + closest + "\"?"});
      continue;
    }
    std::string why;
    if (IsActive(wanted[*i])) {
      problems->push_back({name, "the value is given twice", "keep one of them"});
    } else if (!Takes(*i, value, &why)) {
      problems->push_back({name, why, "give a value that the parameter can take"});
    } else {
      wanted[*i] = *Typed(*i, value);
    }
  }
  if (problems->size() > before) return std::nullopt;
  for (const Constraint& c : constraints_) {
    const bool given_whole =
        std::all_of(c.parameters().begin(), c.parameters().end(), [&](size_t i) { return IsActive(wanted[i]); });
    if (!given_whole || c.Holds(wanted)) continue;
    problems->push_back({parameters_[c.parameters()[0]].name,
                         "the constraint \"" + c.text() + "\" is not met",
                         "change the values, or leave one of them out"});
  }
  if (problems->size() > before) return std::nullopt;
  // The values of parents that were not given are drawn until what was given is active.
  constexpr int kTries = 1000;
  Point point;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    if (!TryComplete(wanted, rng, &point)) continue;
    if (Feasible(point) || MeetGiven(wanted, rng, &point)) return point;
    problems->push_back({"", "no completion was found that meets the constraints",
                         "give fewer values, or all of them"});
    return std::nullopt;
  }
  for (const size_t i : order_) {
    if (!IsActive(wanted[i]) || Active(i, point)) continue;
    problems->push_back({parameters_[i].name, "a value is given although its `when` does not hold",
                         "leave it out, or give its parent a value with which it is active"});
  }
  if (problems->size() == before) {
    problems->push_back({"", "no completion was found in which every given value is active",
                         "give the parents of the conditional parameters too"});
  }
  return std::nullopt;
}

}  // namespace tunesmith
