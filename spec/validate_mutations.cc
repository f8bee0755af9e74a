// What Population Based Training perturbs (SchedulerSpec::pbt).
#include <algorithm>
#include <set>

#include "common/limits.h"
#include "common/text.h"
#include "spec/validate.h"

namespace tunesmith {
namespace {

class MutationsValidator {
 public:
  MutationsValidator(const SweepSpec& spec, const Space& space, Problems* problems)
      : spec_(spec), space_(space), problems_(problems) {}

  void Check() {
    const PbtOptions& pbt = spec_.scheduler.pbt;
    if (spec_.scheduler.compat_ray && pbt.mutations.empty()) {
      return Add("", "compat: ray perturbs what it is told to (hyperparam_mutations), and nothing is named",
                 "add mutations: [" + FirstName() + "]");
    }
    if (MutationsOf(space_, pbt).empty()) {
      return Add("", "no parameter can be perturbed: all are constant or have a condition",
                 "name those with a condition in mutations, or search one");
    }
    std::set<std::string> seen;
    for (const Mutation& mutation : pbt.mutations) {
      if (!seen.insert(mutation.name).second) {
        Add(mutation.name, "the parameter is named twice", "keep one of them");
        continue;
      }
      CheckOne(mutation);
    }
  }

 private:
  void Add(const std::string& name, std::string message, std::string hint) {
    const std::string suffix = name.empty() ? "" : "." + ValidUtf8(name.substr(0, kNameBytesMax));
    problems_->push_back({"scheduler.mutations" + suffix, std::move(message), std::move(hint)});
  }

  std::string FirstName() const {
    for (const Parameter& p : space_.parameters()) {
      if (p.distribution != Distribution::kConstant) return p.name;
    }
    return "lr";
  }

  void CheckOne(const Mutation& mutation) {
    const auto i = space_.Find(mutation.name);
    if (!i) {
      std::vector<std::string> names;
      for (const Parameter& p : space_.parameters()) names.push_back(p.name);
      const std::string closest = ClosestWord(mutation.name, names);
      return Add(mutation.name, "there is no parameter of this name",
                 closest.empty() ? "name a parameter of the sweep" : "did you mean " + closest + "?");
    }
    const Parameter& p = space_.parameters()[*i];
    if (p.distribution == Distribution::kConstant) {
      return Add(mutation.name, "the parameter is constant", "give it a distribution in parameters, or leave it out");
    }
    if (mutation.from != Mutation::From::kOwn && !CheckValues(mutation)) return;
    if (spec_.scheduler.compat_ray) return CheckAsRay(mutation, p);
    if (mutation.from == Mutation::From::kOwn) return;
    if (HasOptions(mutation.values.distribution)) {
      for (const Value& value : mutation.values.options) {
        std::string why;
        if (!space_.Takes(*i, value, &why)) {
          return Add(mutation.name, "its parameter does not take every value: " + why, "use values that it takes");
        }
      }
    } else if (HasOptions(p.distribution)) {
      Add(mutation.name, "its parameter is one of a list of values, and no number between them can be drawn",
          "use a list of some of its values");
    }
  }

  // Whether its values make sense on their own.
  bool CheckValues(const Mutation& mutation) {
    Parameter alone = mutation.values;
    alone.name = "values";
    if (!alone.when.empty()) {
      Add(mutation.name, "it has a condition", "leave `when` out: a parameter that is not active is not perturbed");
      return false;
    }
    Problems found;
    Space::Create({std::move(alone)}, &found);
    for (const Problem& problem : found) Add(mutation.name, problem.message, problem.hint);
    return found.empty();
  }

  // Ray Tune multiplies the value of everything that is not a list.
  void CheckAsRay(const Mutation& mutation, const Parameter& p) {
    if (mutation.from == Mutation::From::kList) return;
    const auto all_numbers = [](const std::vector<Value>& options) {
      return std::all_of(options.begin(), options.end(), [](const Value& value) {
        return std::holds_alternative<int64_t>(value) || std::holds_alternative<double>(value);
      });
    };
    if (all_numbers(p.options) && all_numbers(mutation.values.options)) return;
    Add(mutation.name,
        "with compat: ray a value that is not from a list is multiplied, and not all of these are numbers",
        "give its values as a list");
  }

  const SweepSpec& spec_;
  const Space& space_;
  Problems* problems_;
};

}  // namespace

void ValidateMutations(const SweepSpec& spec, const Space& space, Problems* problems) {
  if (spec.scheduler.type == "pbt") MutationsValidator(spec, space, problems).Check();
}

}  // namespace tunesmith
