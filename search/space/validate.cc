// Space::Create: everything that can be wrong with a declared space, each mistake named once.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <queue>
#include <unordered_set>

#include "common/limits.h"
#include "common/text.h"
#include "search/space/space.h"

namespace tunesmith {
namespace {

constexpr double kExactIntegerMax = 0x1p53;
constexpr double kMultiplesMax =
    0x1p48;  // of a real step: beyond it neighbours are hard to tell apart
constexpr double kSmallestLogBound = std::numeric_limits<double>::min();

bool IsQuantised(Distribution d) {
  return d == Distribution::kQUniform || d == Distribution::kQLogUniform ||
         d == Distribution::kQRandInt || d == Distribution::kQLogRandInt ||
         d == Distribution::kQNormal;
}

bool IsNormal(Distribution d) { return d == Distribution::kNormal || d == Distribution::kQNormal; }

// "8", not "8.0": bounds in messages.
std::string Number(double x) {
  if (std::isfinite(x) && x == std::floor(x) && std::fabs(x) < kExactIntegerMax) {
    return std::to_string(static_cast<int64_t>(x));
  }
  return DoubleText(x);
}

// math.isclose(round(x / q) * q, x), as Ray checks it.
bool Divides(double q, double x) {
  const double multiple = std::nearbyint(x / q) * q;
  return std::fabs(multiple - x) <= 1e-9 * std::max(std::fabs(multiple), std::fabs(x));
}

}  // namespace

class SpaceBuilder {
 public:
  SpaceBuilder(std::vector<Parameter> parameters, Problems* problems) : problems_(problems) {
    space_.parameters_ = std::move(parameters);
  }

  std::optional<Space> Build(const std::vector<std::string>& constraints) {
    const size_t before = problems_->size();
    if (space_.size() > kParametersPerSweepMax) {
      Add("parameters",
          std::to_string(space_.size()) + " parameters are more than the limit of " +
              std::to_string(kParametersPerSweepMax),
          "leave out those that do not matter");
      return std::nullopt;
    }
    CheckNames();
    for (Parameter& p : parameters()) {
      if (!IsQuantised(p.distribution)) p.q = 0;  // so that q > 0 means quantised everywhere
      CheckDomain(p);
    }
    const bool sound = problems_->size() == before;
    if (sound) {
      for (const Parameter& p : parameters()) space_.values_.push_back(Space::MakeValues(p));
    }
    ResolveParents();
    // The values of a condition mean something only against a sound parent.
    if (sound) {
      for (size_t i = 0; i < parameters().size(); ++i) CheckConditions(i);
    }
    if (problems_->size() == before) Order();
    if (problems_->size() == before) space_.AddConstraints(constraints, problems_);
    if (problems_->size() != before) return std::nullopt;
    return std::move(space_);
  }

 private:
  std::vector<Parameter>& parameters() { return space_.parameters_; }

  void Add(std::string field, std::string message, std::string hint) {
    problems_->push_back({std::move(field), std::move(message), std::move(hint)});
  }
  void AddDomain(const Parameter& p, std::string message, std::string hint) {
    Add("parameters." + p.name + "." + std::string(DistributionName(p.distribution)),
        std::move(message), std::move(hint));
  }
  void AddWhen(const Parameter& p, std::string message, std::string hint) {
    Add("parameters." + p.name + ".when", std::move(message), std::move(hint));
  }

  void CheckNames() {
    for (size_t i = 0; i < parameters().size(); ++i) {
      CheckName(parameters()[i].name);
      space_.by_name_.emplace_back(parameters()[i].name, i);
    }
    std::sort(space_.by_name_.begin(), space_.by_name_.end());
    const auto& names = space_.by_name_;
    for (size_t i = 0; i < names.size(); ++i) {
      const std::string& name = names[i].first;
      if (i > 0 && name == names[i - 1].first && (i == 1 || name != names[i - 2].first)) {
        Add("parameters." + name, "the name is declared twice", "rename or remove one of them");
      }
      if (name.empty()) continue;
      // Every parent path of the name must not itself be a parameter.
      for (size_t slash = name.find('/'); slash != std::string::npos;
           slash = name.find('/', slash + 1)) {
        const std::string parent = name.substr(0, slash);
        if (!space_.Find(parent)) continue;
        Add("parameters." + name,
            "\"" + parent + "\" is a parameter with a value, so it cannot also hold \"" +
                name.substr(slash + 1) + "\"",
            "rename one of them, such as \"" + parent + "/value\"");
        break;
      }
    }
  }

  void CheckName(const std::string& name) {
    if (name.empty()) {
      Add("parameters", "a parameter has an empty name", "give it the name that the program knows");
      return;
    }
    const std::string field = "parameters." + ValidUtf8(name.substr(0, kNameBytesMax));
    if (name.size() > kNameBytesMax) {
      Add(field,
          "the name has " + std::to_string(name.size()) + " bytes, the limit is " +
              std::to_string(kNameBytesMax),
          "shorten it");
      return;
    }
    if (ValidUtf8(name) != name || std::any_of(name.begin(), name.end(), [](char c) {
          return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
        })) {
      Add(field, "the name has control characters or is not UTF-8",
          "use letters, digits, '_', '-', '.' and '/'");
    }
    if (name.front() == '/' || name.back() == '/' || name.find("//") != std::string::npos) {
      Add(field, "a level of the nested name is empty", "write it as \"outer/inner\"");
    }
  }

  void CheckDomain(const Parameter& p) {
    if (HasOptions(p.distribution)) {
      CheckOptions(p);
    } else if (IsNormal(p.distribution)) {
      CheckNormal(p);
    } else if (CheckBounds(p)) {
      if (IsInteger(p.distribution)) CheckIntegers(p);
      if (IsQuantised(p.distribution)) CheckStep(p);
    }
  }

  void CheckOptions(const Parameter& p) {
    if (p.options.empty()) {
      AddDomain(p, "the list of values is empty", "give at least one value");
      return;
    }
    if (p.distribution == Distribution::kConstant && p.options.size() != 1) {
      AddDomain(p, "a constant has one value, not " + std::to_string(p.options.size()),
                "use choice");
    }
    if (p.options.size() > kChoicesPerParameterMax) {
      AddDomain(p,
                std::to_string(p.options.size()) + " values are more than the limit of " +
                    std::to_string(kChoicesPerParameterMax),
                "use a range such as randint");
      return;
    }
    std::vector<std::pair<uint64_t, size_t>> hashes;
    for (size_t k = 0; k < p.options.size(); ++k) {
      const Value& option = p.options[k];
      if (!IsActive(option)) {
        AddDomain(p, "value " + std::to_string(k + 1) + " is missing",
                  "write null for JSON's null");
        return;
      }
      if (const auto* d = std::get_if<double>(&option); d != nullptr && !std::isfinite(*d)) {
        AddDomain(p, "the value " + DoubleText(*d) + " is not finite",
                  "write it as text: \"" + DoubleText(*d) + "\"");
        return;
      }
      hashes.emplace_back(HashValue(option), k);
    }
    std::sort(hashes.begin(), hashes.end());
    for (size_t k = 1; k < hashes.size(); ++k) {
      const Value& option = p.options[hashes[k].second];
      if (hashes[k].first != hashes[k - 1].first ||
          !SameValue(option, p.options[hashes[k - 1].second]))
        continue;
      AddDomain(p, "the value " + ValueJson(option).substr(0, 100) + " is listed twice",
                "list it once; to run points again, add a parameter for the random seed");
      return;
    }
  }

  void CheckNormal(const Parameter& p) {
    if (!std::isfinite(p.mean) || !std::isfinite(p.sd) || !std::isfinite(p.mean + 10 * p.sd) ||
        !std::isfinite(p.mean - 10 * p.sd)) {
      AddDomain(p,
                "mean " + Number(p.mean) + " and standard deviation " + Number(p.sd) +
                    " are out of range",
                "use finite numbers");
      return;
    }
    if (p.sd <= 0) {
      AddDomain(p, "standard deviation " + Number(p.sd) + " must be greater than 0",
                "use constant for a fixed value");
      return;
    }
    if (p.distribution != Distribution::kQNormal) return;
    if (!(p.q > 0) || !std::isfinite(p.q)) {
      AddDomain(p, "step q = " + Number(p.q) + " must be greater than 0",
                "use normal for no rounding");
    } else if ((std::fabs(p.mean) + 10 * p.sd) / p.q > kMultiplesMax) {
      AddDomain(p, "step q = " + Number(p.q) + " is too small for the range",
                "use normal for no rounding");
    }
  }

  bool CheckBounds(const Parameter& p) {
    const std::string lo = Number(p.lo), hi = Number(p.hi);
    if (!std::isfinite(p.lo) || !std::isfinite(p.hi) || !std::isfinite(p.hi - p.lo)) {
      AddDomain(p, "bounds " + lo + " and " + hi + " are out of range", "use finite numbers");
      return false;
    }
    if (p.lo > p.hi) {
      AddDomain(p, "lower bound " + lo + " is above the upper bound " + hi,
                "swap them: [" + hi + ", " + lo + "]");
      return false;
    }
    if (p.lo == p.hi) {
      AddDomain(p, "both bounds are " + lo + ", so there is nothing to search",
                "use a constant: " + lo);
      return false;
    }
    if (IsLog(p.distribution) && p.lo < (IsInteger(p.distribution) ? 1 : kSmallestLogBound)) {
      const bool integer = IsInteger(p.distribution);
      AddDomain(p,
                "lower bound " + lo + (integer ? " must be at least 1" : " must be greater than 0"),
                std::string("use ") +
                    (integer ? "randint, or 1" : "uniform, or a small bound such as 1e-6"));
      return false;
    }
    return true;
  }

  void CheckIntegers(const Parameter& p) {
    for (const double bound : {p.lo, p.hi}) {
      if (bound != std::floor(bound)) {
        AddDomain(p, "bound " + Number(bound) + " is not an integer",
                  IsLog(p.distribution) ? "use loguniform for real numbers"
                                        : "use uniform for real numbers");
        return;
      }
      if (std::fabs(bound) > kExactIntegerMax) {
        AddDomain(p, "bound " + Number(bound) + " is beyond 2^53 = 9007199254740992",
                  "use smaller integers");
        return;
      }
    }
    if (p.hi - p.lo > kExactIntegerMax) {
      AddDomain(p, "the range holds more than 2^53 integers", "use a smaller range");
    }
  }

  void CheckStep(const Parameter& p) {
    if (!(p.q > 0) || !std::isfinite(p.q)) {
      AddDomain(p, "step q = " + Number(p.q) + " must be greater than 0",
                "leave q out with " + std::string(DistributionName(p.distribution).substr(1)));
      return;
    }
    if (IsInteger(p.distribution) && p.q != std::floor(p.q)) {
      AddDomain(p, "step q = " + Number(p.q) + " is not an integer", "use quniform for real steps");
      return;
    }
    if (std::max(std::fabs(p.lo), std::fabs(p.hi)) / p.q >
        (IsInteger(p.distribution) ? kExactIntegerMax : kMultiplesMax)) {
      AddDomain(p, "step q = " + Number(p.q) + " is too small for the bounds", "leave q out");
      return;
    }
    for (const double bound : {p.lo, p.hi}) {
      if (Divides(p.q, bound)) continue;
      double below = std::floor(bound / p.q) * p.q;
      if (IsLog(p.distribution) && below <= 0) below = p.q;
      AddDomain(p, "bound " + Number(bound) + " is not a multiple of the step q = " + Number(p.q),
                "use " + Number(below) + " or " + Number(std::floor(bound / p.q) * p.q + p.q));
      return;
    }
  }

  void ResolveParents() {
    std::vector<std::string> names;
    for (const Parameter& p : parameters()) names.push_back(p.name);
    for (size_t i = 0; i < parameters().size(); ++i) {
      for (Condition& c : parameters()[i].when) {
        if (!c.on.empty()) {
          const auto found = space_.Find(c.on);
          if (!found) {
            const std::string closest = ClosestWord(c.on, names);
            AddWhen(parameters()[i], "there is no parameter \"" + c.on + "\"",
                    closest.empty() ? "name a parameter of this space"
                                    : "did you mean \"" + closest + "\"?");
            continue;
          }
          c.parent = *found;
        } else if (c.parent < names.size()) {
          c.on = names[c.parent];
        } else {
          AddWhen(parameters()[i], "there is no parameter number " + std::to_string(c.parent),
                  "name a parameter of this space");
          continue;
        }
        if (c.parent == i) {
          AddWhen(parameters()[i], "the parameter depends on itself", "name another parameter");
        }
      }
    }
  }

  void CheckConditions(size_t i) {
    const Parameter& p = parameters()[i];
    const size_t before = problems_->size();
    for (const Condition& c : p.when) {
      if (c.parent >= parameters().size() || c.parent == i) continue;
      if (!c.on.empty() && parameters()[c.parent].name != c.on) continue;  // unknown: told already
      if (c.op == Condition::Op::kIn || c.op == Condition::Op::kNotIn) {
        CheckMembership(p, c);
      } else {
        CheckComparison(p, c);
      }
    }
    if (problems_->size() == before) CheckTogether(p);
  }

  void CheckMembership(const Parameter& p, const Condition& c) {
    const Parameter& parent = parameters()[c.parent];
    if (c.values.empty()) {
      AddWhen(p, "the list of values of \"" + parent.name + "\" is empty",
              "give at least one value");
      return;
    }
    if (!space_.ValueCount(c.parent)) {
      AddWhen(p, "\"" + parent.name + "\" is a real number and hardly ever equals a given one",
              "compare with <, <=, > or >=");
      return;
    }
    for (const Value& value : c.values) {
      std::string why;
      if (space_.Takes(c.parent, value, &why)) continue;
      AddWhen(
          p, "\"" + parent.name + "\" can never be " + ValueJson(value).substr(0, 100) + ": " + why,
          Suggestion(parent, value));
    }
    if (c.op == Condition::Op::kNotIn && c.values.size() >= *space_.ValueCount(c.parent) &&
        !AnyValue({&c})) {
      AddWhen(
          p, "every value of \"" + parent.name + "\" is excluded, so the parameter is never active",
          "exclude fewer values");
    }
  }

  // For a value that is not among the options: the closest word, or the same text in another type.
  static std::string Suggestion(const Parameter& parent, const Value& value) {
    if (!HasOptions(parent.distribution)) return "use a value of its range";
    std::vector<std::string> words;
    for (const Value& option : parent.options) {
      if (ValueText(option) == ValueText(value))
        return "write " + ValueJson(option) + " as in its declaration";
      if (std::holds_alternative<std::string>(option))
        words.push_back(std::get<std::string>(option));
    }
    const std::string closest = ClosestWord(ValueText(value), words);
    return closest.empty() ? "use one of its values" : "did you mean \"" + closest + "\"?";
  }

  void CheckComparison(const Parameter& p, const Condition& c) {
    const Parameter& parent = parameters()[c.parent];
    if (c.values.size() != 1 || !std::isfinite(ValueNumber(c.values[0]))) {
      AddWhen(p, "a comparison with \"" + parent.name + "\" needs one finite number",
              "for words use ==, != or a list");
      return;
    }
    double lo = 0, hi = 0;
    if (!Range(c.parent, &lo, &hi)) {
      AddWhen(p,
              "\"" + parent.name + "\" has values that are not numbers, so it cannot be compared",
              "use ==, != or a list");
      return;
    }
    const double bound = ValueNumber(c.values[0]);
    const bool open_top = !HasOptions(parent.distribution) && !space_.ValueCount(c.parent);
    bool possible = true;
    switch (c.op) {
      case Condition::Op::kLess:
        possible = lo < bound;
        break;
      case Condition::Op::kLessEqual:
        possible = lo <= bound;
        break;
      case Condition::Op::kGreater:
        possible = hi > bound;
        break;
      default:
        possible = open_top ? hi > bound : hi >= bound;
        break;
    }
    if (possible) return;
    AddWhen(p,
            "the comparison with " + Number(bound) + " never holds: \"" + parent.name +
                "\" lies in [" + Number(lo) + ", " + Number(hi) + (open_top ? ")" : "]"),
            "compare with a number inside that range");
  }

  // Least and greatest value (or exclusive bound); false if some value is no number.
  bool Range(size_t i, double* lo, double* hi) {
    const Parameter& p = parameters()[i];
    if (IsNormal(p.distribution)) {
      *lo = -std::numeric_limits<double>::infinity();
      *hi = std::numeric_limits<double>::infinity();
      return true;
    }
    if (!HasOptions(p.distribution)) {
      *lo = p.lo;
      const auto count = space_.ValueCount(i);
      *hi = count ? ValueNumber(space_.ValueAt(i, *count - 1)) : p.hi;
      return true;
    }
    *lo = std::numeric_limits<double>::infinity();
    *hi = -*lo;
    for (const Value& option : p.options) {
      const double x = ValueNumber(option);
      if (std::isnan(x)) return false;
      *lo = std::min(*lo, x);
      *hi = std::max(*hi, x);
    }
    return true;
  }

  // Whether some value of the conditions' common parent fulfils all of them. Only options and small
  // ranges are tried.
  bool AnyValue(const std::vector<const Condition*>& conditions) {
    const size_t parent = conditions[0]->parent;
    const auto count = space_.ValueCount(parent);
    if (!count || *count > kChoicesPerParameterMax) return true;
    Point point(space_.size());
    for (uint64_t k = 0; k < *count; ++k) {
      point[parent] = space_.ValueAt(parent, k);
      if (std::all_of(conditions.begin(), conditions.end(),
                      [&](const Condition* c) { return space_.Holds(*c, point); })) {
        return true;
      }
    }
    return false;
  }

  void CheckTogether(const Parameter& p) {
    std::vector<size_t> told;
    for (const Condition& first : p.when) {
      if (std::find(told.begin(), told.end(), first.parent) != told.end()) continue;
      told.push_back(first.parent);
      std::vector<const Condition*> same;
      for (const Condition& c : p.when) {
        if (c.parent == first.parent) same.push_back(&c);
      }
      if (same.size() < 2 || AnyValue(same)) continue;
      AddWhen(p,
              "no value of \"" + first.on +
                  "\" fulfils all conditions together, so the parameter is never active",
              "all conditions must hold at once; for \"or\" list the values in one condition");
    }
  }

  // Parents before children, else the declared order. What is left over lies on a cycle or below
  // one.
  void Order() {
    const size_t n = parameters().size();
    std::vector<size_t> missing(n, 0);
    std::vector<std::vector<size_t>> children(n);
    for (size_t i = 0; i < n; ++i) {
      for (const Condition& c : parameters()[i].when) {
        children[c.parent].push_back(i);
        ++missing[i];
      }
    }
    std::priority_queue<size_t, std::vector<size_t>, std::greater<>> ready;
    for (size_t i = 0; i < n; ++i) {
      if (missing[i] == 0) ready.push(i);
    }
    while (!ready.empty()) {
      const size_t i = ready.top();
      ready.pop();
      space_.order_.push_back(i);
      for (const size_t child : children[i]) {
        if (--missing[child] == 0) ready.push(child);
      }
    }
    if (space_.order_.size() < n) TellCycle(missing);
  }

  void TellCycle(const std::vector<size_t>& missing) {
    size_t i = 0;
    while (missing[i] == 0) ++i;
    std::vector<size_t> path;
    // Walking from a blocked parameter to a blocked parent must come back to one seen before.
    while (std::find(path.begin(), path.end(), i) == path.end()) {
      path.push_back(i);
      for (const Condition& c : parameters()[i].when) {
        if (missing[c.parent] > 0) {
          i = c.parent;
          break;
        }
      }
    }
    std::vector<std::string> names;
    for (auto it = std::find(path.begin(), path.end(), i); it != path.end(); ++it)
      names.push_back(parameters()[*it].name);
    names.push_back(parameters()[i].name);
    AddWhen(parameters()[i], "the conditions form a cycle: " + Join(names, " needs "),
            "drop one of these conditions");
  }

  Space space_;
  Problems* problems_;
};

std::optional<Space> Space::Create(std::vector<Parameter> parameters,
                                   const std::vector<std::string>& constraints, Problems* problems) {
  return SpaceBuilder(std::move(parameters), problems).Build(constraints);
}

}  // namespace tunesmith
