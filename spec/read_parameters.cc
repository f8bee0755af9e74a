// The `parameters:` object: distributions, constants, nested groups and branches, conditions.
#include <algorithm>

#include "common/limits.h"
#include "common/text.h"
#include "spec/reader.h"

namespace tunesmith {
namespace {

std::vector<std::string> DistributionNames() {
  std::vector<std::string> names;
  for (auto d = static_cast<int>(Distribution::kConstant);
       d <= static_cast<int>(Distribution::kQNormal); ++d) {
    names.emplace_back(DistributionName(static_cast<Distribution>(d)));
  }
  return names;
}

// What other tuners call it, as a whole hint.
std::string ForeignDistribution(const std::string& word) {
  static constexpr std::pair<std::string_view, std::string_view> kHints[] = {
      {"values", "use choice: [...]"},
      {"value", "use constant: ..."},
      {"categorical", "use choice: [...]"},
      {"grid_search", "use grid: [...]"},
      {"randn", "use normal: [mean, sd]"},
      {"qrandn", "use qnormal: [mean, sd, q]"},
      {"min", "use uniform: [lower, upper], or loguniform, or randint for integers"},
      {"max", "use uniform: [lower, upper], or loguniform, or randint for integers"},
      {"distribution", "write the distribution as the key: {uniform: [lower, upper]}"},
      {"log_uniform_values", "use loguniform: [lower, upper]"},
      {"int", "use randint: [lower, upper], upper exclusive"},
      {"float", "use uniform: [lower, upper]"},
      {"lognormal", "use loguniform: [lower, upper]"},
  };
  for (const auto& [foreign, hint] : kHints) {
    if (foreign == word) return std::string(hint);
  }
  return "";
}

// {uniform: [0, 1]} and {choice: [...], when: ...}, but not a group of parameters.
bool IsDistribution(const Node& node) {
  return node.kind == Node::Kind::kMap &&
         std::any_of(node.keys.begin(), node.keys.end(),
                     [](const auto& key) { return DistributionFromName(key); });
}

// Whether a distribution stands somewhere inside the node.
bool HoldsDistribution(const Node& node) {
  return std::any_of(node.items.begin(), node.items.end(), [](const Node& item) {
    return IsDistribution(item) || HoldsDistribution(item);
  });
}

class ParameterReader {
 public:
  explicit ParameterReader(FieldLog* log) : log_(log) {}

  ReadParameters Read(const Node& node) {
    if (node.kind != Node::Kind::kMap) {
      log_->Add("parameters", "here stands " + Describe(node) + ", not an object",
                "write \"name: {uniform: [0, 1]}\" lines");
      return {};
    }
    for (size_t i = 0; i < node.keys.size(); ++i) {
      log_->Note("parameters." + node.keys[i], node.key_positions[i]);
      ReadOne(node.keys[i], node.items[i], {});
    }
    ResolveRelativeNames();
    return std::move(out_);
  }

 private:
  static std::string Field(const std::string& name) { return "parameters." + name; }

  void Break(const std::string& name, const std::string& field, std::string message,
             std::string hint) {
    log_->Add(field, std::move(message), std::move(hint));
    if (!out_.broken.insert(name).second) return;
    Parameter parameter;
    parameter.name = name;
    parameter.options = {JsonValue{"null"}};
    out_.parameters.push_back(std::move(parameter));
  }

  void ReadOne(const std::string& name, const Node& node, const std::vector<Condition>& inherited) {
    if (node.kind == Node::Kind::kNull) {
      return Break(name, Field(name), "the parameter has no distribution",
                   "write {uniform: [0, 1]}, or a value");
    }
    if (node.kind != Node::Kind::kMap) return ReadConstant(name, node, inherited, Field(name));
    std::vector<Condition> when = inherited;
    if (const Node* condition = node.Find("when")) {
      log_->Note(Field(name) + ".when", condition->at);
      if (!ReadWhen(name, *condition, &when)) when = inherited;
    }
    if (IsDistribution(node)) {
      ReadDistribution(name, node, when);
    } else {
      ReadGroup(name, node, when);
    }
  }

  void ReadConstant(const std::string& name, const Node& node, const std::vector<Condition>& when,
                    const std::string& field) {
    Parameter parameter;
    parameter.name = name;
    parameter.when = when;
    std::string why;
    auto value = NodeValue(node, &why);
    if (!value) return Break(name, field, why, "quote it to pass it as text");
    parameter.options = {std::move(*value)};
    out_.parameters.push_back(std::move(parameter));
  }

  void ReadDistribution(const std::string& name, const Node& node,
                        const std::vector<Condition>& when) {
    std::vector<std::string> found;
    for (size_t i = 0; i < node.keys.size(); ++i) {
      const std::string& key = node.keys[i];
      log_->Note(Field(name) + "." + key, node.key_positions[i]);
      if (DistributionFromName(key)) {
        found.push_back(key);
      } else if (key != "when") {
        const std::string hint = key == "q" ? "write q as the third number: quniform: [0, 1, 0.1]"
                                            : "a parameter has one distribution and perhaps `when`";
        log_->Add(Field(name) + "." + key, "unknown key \"" + key.substr(0, 60) + "\"", hint);
      }
    }
    if (found.size() > 1) {
      return Break(name, Field(name) + "." + found[1],
                   "two distributions, " + found[0] + " and " + found[1], "keep one of them");
    }
    const auto distribution = *DistributionFromName(found[0]);
    const Node& arguments = *node.Find(found[0]);
    const std::string field = Field(name) + "." + found[0];
    if (distribution == Distribution::kConstant) return ReadConstant(name, arguments, when, field);
    if (HasOptions(distribution)) return ReadOptions(name, distribution, arguments, when);
    Parameter parameter;
    parameter.name = name;
    parameter.distribution = distribution;
    parameter.when = when;
    if (ReadNumbers(field, arguments, &parameter)) out_.parameters.push_back(std::move(parameter));
  }

  // Bounds, or mean and deviation.
  bool ReadNumbers(const std::string& field, const Node& arguments, Parameter* parameter) {
    const std::string word(DistributionName(parameter->distribution));
    const bool quantised = word.front() == 'q';
    const bool normal = word.ends_with("normal");
    const std::string form =
        word + (normal ? ": [mean, sd" : ": [lower, upper") + (quantised ? ", q]" : "]");
    const auto fail = [&](std::string message, std::string hint) {
      Break(parameter->name, field, std::move(message), std::move(hint));
      return false;
    };
    if (arguments.kind != Node::Kind::kList) {
      return fail("here stands " + Describe(arguments) + ", not a list of numbers",
                  "write " + form);
    }
    std::vector<double> numbers;
    for (const Node& item : arguments.items) {
      const auto number = NodeNumber(item);
      if (!number) {
        const bool quoted =
            item.kind == Node::Kind::kText && PlainScalarKind(item.text) != Node::Kind::kText;
        return fail("here stands " + Describe(item) + ", not a number",
                    quoted ? "remove the quotes" : "write " + form);
      }
      numbers.push_back(*number);
    }
    size_t wanted = quantised ? 3 : 2;
    if (quantised && IsInteger(parameter->distribution) && numbers.size() == 2)
      numbers.push_back(1);
    if (numbers.size() != wanted) {
      const bool extra = !quantised && numbers.size() == 3 && DistributionFromName("q" + word);
      return fail(word + " takes " + std::to_string(wanted) + " numbers, not " +
                      std::to_string(arguments.items.size()),
                  extra ? "use q" + word + " for a step, or write " + form : "write " + form);
    }
    (normal ? parameter->mean : parameter->lo) = numbers[0];
    (normal ? parameter->sd : parameter->hi) = numbers[1];
    if (quantised) parameter->q = numbers[2];
    return true;
  }

  void ReadOptions(const std::string& name, Distribution distribution, const Node& arguments,
                   const std::vector<Condition>& when) {
    const std::string field = Field(name) + "." + std::string(DistributionName(distribution));
    if (arguments.kind != Node::Kind::kList) {
      return Break(name, field, "here stands " + Describe(arguments) + ", not a list of values",
                   "write " + std::string(DistributionName(distribution)) + ": [a, b, c]");
    }
    for (const Node& item : arguments.items) {
      if (IsDistribution(item)) {
        log_->Note(field, item.at);
        return Break(name, field, "a distribution among the values has no name of its own",
                     "write objects of named parameters: choice: [{type: a, w: {uniform: [0, 1]}}, "
                     "{type: b}]");
      }
    }
    if (HoldsDistribution(arguments))
      return ReadBranches(name, field, distribution, arguments, when);
    Parameter parameter;
    parameter.name = name;
    parameter.distribution = distribution;
    parameter.when = when;
    for (const Node& item : arguments.items) {
      std::string why;
      auto value = NodeValue(item, &why);
      if (!value) {
        log_->Note(field, item.at);
        return Break(name, field, why, "quote it to pass it as text");
      }
      parameter.options.push_back(std::move(*value));
    }
    out_.parameters.push_back(std::move(parameter));
  }

  // The key that tells the branches apart: a different scalar in each of them. "" if there is none.
  static std::string Discriminator(const Node& branches) {
    for (const std::string& key : branches.items[0].keys) {
      std::vector<Value> values;
      for (const Node& branch : branches.items) {
        const Node* item = branch.Find(key);
        std::string why;
        const auto value =
            item != nullptr && item->IsScalar() ? NodeValue(*item, &why) : std::nullopt;
        if (!value || std::any_of(values.begin(), values.end(),
                                  [&](const Value& v) { return SameValue(v, *value); })) {
          break;
        }
        values.push_back(*value);
      }
      if (values.size() == branches.items.size()) return key;
    }
    return "";
  }

  // head: {choice: [{type: a, w: {uniform: [0, 1]}}, {type: b}]} is head/type: {choice: [a, b]} and
  // head/w: {uniform: [0, 1], when: {head/type: a}}.
  void ReadBranches(const std::string& name, const std::string& field, Distribution distribution,
                    const Node& branches, const std::vector<Condition>& when) {
    for (const Node& branch : branches.items) {
      if (branch.kind == Node::Kind::kMap) continue;
      log_->Note(field, branch.at);
      return Break(name, field,
                   "here stands " + Describe(branch) + " among objects that hold distributions",
                   "make every value an object, such as {type: a}");
    }
    const std::string key = Discriminator(branches);
    if (key.empty()) {
      return Break(name, field, "nothing tells these objects apart",
                   "give each a key with a different constant, such as `type`, or use `when`");
    }
    Parameter selector;
    selector.name = name + "/" + key;
    selector.distribution = distribution;
    selector.when = when;
    for (const Node& branch : branches.items) {
      std::string why;
      selector.options.push_back(*NodeValue(*branch.Find(key), &why));
    }
    const std::vector<Value> labels = selector.options;
    log_->Note(Field(selector.name), branches.at);
    out_.parameters.push_back(std::move(selector));
    const size_t first = out_.parameters.size();
    for (size_t b = 0; b < branches.items.size(); ++b) {
      const Node& branch = branches.items[b];
      std::vector<Condition> inside = when;
      inside.push_back({.op = Condition::Op::kIn, .values = {labels[b]}, .on = name + "/" + key});
      const size_t start = out_.parameters.size();
      for (size_t i = 0; i < branch.keys.size(); ++i) {
        if (branch.keys[i] == key) continue;
        const std::string child = name + "/" + branch.keys[i];
        log_->Note(Field(child), branch.key_positions[i]);
        ReadOne(child, branch.items[i], inside);
      }
      MergeBranch(first, start, when.size());
    }
  }

  // A parameter that several branches declare alike is one parameter, active in all of them.
  void MergeBranch(size_t first, size_t start, size_t condition) {
    auto& all = out_.parameters;
    for (size_t i = start; i < all.size();) {
      const auto end = all.begin() + static_cast<std::ptrdiff_t>(start);
      const auto earlier = std::find_if(all.begin() + static_cast<std::ptrdiff_t>(first), end,
                                        [&](const Parameter& p) { return p.name == all[i].name; });
      if (earlier == end) {
        ++i;
        continue;
      }
      Parameter alike = all[i];
      if (alike.when.size() == earlier->when.size() && condition < alike.when.size()) {
        alike.when[condition] = earlier->when[condition];
      }
      if (alike == *earlier) {
        const Value label = all[i].when[condition].values[0];
        earlier->when[condition].values.push_back(label);
      } else if (!out_.broken.contains(alike.name)) {
        log_->Add(Field(alike.name), "two branches declare \"" + alike.name + "\" differently",
                  "give them different names, or use `when`");
        out_.broken.insert(alike.name);
      }
      all.erase(all.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }

  void ReadGroup(const std::string& name, const Node& node, const std::vector<Condition>& when) {
    const bool nested = std::any_of(node.items.begin(), node.items.end(), [&](const Node& item) {
      return item.kind == Node::Kind::kMap && &item != node.Find("when");
    });
    if (!nested) return NoDistribution(name, node);
    for (size_t i = 0; i < node.keys.size(); ++i) {
      if (node.keys[i] == "when") continue;
      const std::string child = name + "/" + node.keys[i];
      log_->Note(Field(child), node.key_positions[i]);
      ReadOne(child, node.items[i], when);
    }
  }

  void NoDistribution(const std::string& name, const Node& node) {
    for (size_t i = 0; i < node.keys.size(); ++i) {
      const std::string& key = node.keys[i];
      if (key == "when") continue;
      std::string hint = ForeignDistribution(key);
      const std::string closest = ClosestWord(key, DistributionNames());
      if (hint.empty()) {
        hint = closest.empty() ? "use one of " + Join(DistributionNames(), ", ") +
                                     "; an object as a value is {constant: {...}}"
                               : "did you mean \"" + closest + "\"?";
      }
      log_->Note(Field(name) + "." + key, node.key_positions[i]);
      return Break(name, Field(name) + "." + key,
                   "unknown distribution \"" + key.substr(0, 60) + "\"", hint);
    }
    Break(name, Field(name), "the parameter has no distribution",
          "use one of " + Join(DistributionNames(), ", "));
  }

  bool ReadWhen(const std::string& name, const Node& node, std::vector<Condition>* out) {
    const std::string field = Field(name) + ".when";
    const size_t before = out->size();
    if (node.kind == Node::Kind::kList) {
      for (const Node& item : node.items) {
        if (item.kind != Node::Kind::kMap && item.kind != Node::Kind::kText) {
          log_->Add(field, "here stands " + Describe(item) + ", not a condition",
                    "write {optimizer: sgd}");
          return false;
        }
        if (!ReadWhen(name, item, out)) return false;
      }
    } else if (node.kind == Node::Kind::kMap) {
      for (size_t i = 0; i < node.keys.size(); ++i) {
        if (!ReadCondition(field, node.keys[i], node.items[i], out)) return false;
      }
    } else if (node.kind == Node::Kind::kText) {
      std::string why, hint;
      if (!ParseWhen(node.text, out, &why, &hint)) {
        log_->Add(field, why, hint);
        return false;
      }
    }
    if (out->size() == before)
      log_->Add(field, "no condition is given", "write {optimizer: sgd}, or remove `when`");
    return out->size() > before;
  }

  // One parent: a value, a list of values, or {"<": 3}.
  bool ReadCondition(const std::string& field, const std::string& parent, const Node& node,
                     std::vector<Condition>* out) {
    if (node.kind != Node::Kind::kMap) {
      Condition condition;
      condition.on = parent;
      return ReadConditionValues(field, node, node.kind == Node::Kind::kList, &condition) &&
             (out->push_back(std::move(condition)), true);
    }
    for (size_t i = 0; i < node.keys.size(); ++i) {
      Condition condition;
      condition.on = parent;
      const std::string& key = node.keys[i];
      bool list = false;
      if (!OperatorOf(key, &condition.op, &list)) {
        log_->Add(field, "unknown comparison \"" + key.substr(0, 60) + "\"",
                  "use ==, !=, in, not in, <, <=, > or >=");
        return false;
      }
      if (list && node.items[i].kind != Node::Kind::kList) {
        log_->Add(field, "\"" + key + "\" needs a list of values",
                  "write {" + parent + ": {" + key + ": [a, b]}}");
        return false;
      }
      if (!ReadConditionValues(field, node.items[i], list, &condition)) return false;
      out->push_back(std::move(condition));
    }
    return true;
  }

  static bool OperatorOf(const std::string& key, Condition::Op* op, bool* list) {
    *list = key == "in" || key == "not in";
    if (key == "==" || key == "!=") {
      *op = key == "==" ? Condition::Op::kIn : Condition::Op::kNotIn;
      return true;
    }
    for (int o = 0; o <= static_cast<int>(Condition::Op::kGreaterEqual); ++o) {
      *op = static_cast<Condition::Op>(o);
      if (OperatorText(*op) == key) return true;
    }
    return false;
  }

  bool ReadConditionValues(const std::string& field, const Node& node, bool list, Condition* out) {
    if (!list) return ReadValue(node, field, &out->values.emplace_back(), log_);
    return std::all_of(node.items.begin(), node.items.end(), [&](const Node& item) {
      return ReadValue(item, field, &out->values.emplace_back(), log_);
    });
  }

  // A condition inside a group may name its neighbours without the group's name.
  void ResolveRelativeNames() {
    std::set<std::string> names;
    for (const Parameter& p : out_.parameters) names.insert(p.name);
    for (Parameter& p : out_.parameters) {
      for (Condition& c : p.when) {
        std::string prefix = p.name;
        while (!names.contains(c.on)) {
          const size_t slash = prefix.find_last_of('/');
          if (slash == std::string::npos) break;
          prefix.resize(slash);
          const std::string longer = prefix + "/" + c.on;
          if (names.contains(longer)) c.on = longer;
        }
      }
    }
  }

  FieldLog* log_;
  ReadParameters out_;
};

}  // namespace

ReadParameters ReadParameterMap(const Node& node, FieldLog* log) {
  return ParameterReader(log).Read(node);
}

}  // namespace tunesmith
