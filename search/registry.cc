#include "search/registry.h"

#include <algorithm>
#include <cmath>

#include "common/text.h"
#include "search/auto/auto_searcher.h"
#include "search/cmaes/cmaes_searcher.h"
#include "search/grid_searcher.h"
#include "search/random_searcher.h"
#include "search/sobol/sobol_searcher.h"
#include "search/tpe/tpe_searcher.h"

namespace tunesmith {

OptionReader::OptionReader(const SearcherOptions& options, Problems* problems)
    : options_(options), problems_(problems) {}

const Value* OptionReader::Find(std::string_view name) {
  known_.emplace_back(name);
  for (const auto& [key, value] : options_.options) {
    if (key == name) return &value;
  }
  return nullptr;
}

void OptionReader::Refuse(std::string_view name, const Value& value, const std::string& why, const std::string& hint) {
  good_ = false;
  problems_->push_back({"search." + std::string(name), ValueJson(value).substr(0, 100) + why, hint});
}

int64_t OptionReader::Integer(std::string_view name, int64_t lo, int64_t hi, int64_t fallback) {
  const Value* value = Find(name);
  if (value == nullptr) return fallback;
  const double x = std::holds_alternative<bool>(*value) ? std::nan("") : ValueNumber(*value);
  if (x == std::floor(x) && x >= static_cast<double>(lo) && x <= static_cast<double>(hi)) {
    return static_cast<int64_t>(x);
  }
  Refuse(name, *value, " is not an integer from " + std::to_string(lo) + " to " + std::to_string(hi),
         "leave it out for " + std::to_string(fallback));
  return fallback;
}

double OptionReader::Number(std::string_view name, double lo, double hi, double fallback) {
  const Value* value = Find(name);
  if (value == nullptr) return fallback;
  const double x = std::holds_alternative<bool>(*value) ? std::nan("") : ValueNumber(*value);
  if (x >= lo && x <= hi) return x;
  Refuse(name, *value, " is not a number from " + DoubleText(lo) + " to " + DoubleText(hi),
         "leave it out for " + DoubleText(fallback));
  return fallback;
}

std::string OptionReader::Word(std::string_view name, const std::vector<std::string>& words,
                               const std::string& fallback) {
  const Value* value = Find(name);
  if (value == nullptr) return fallback;
  const std::string text = ValueText(*value);
  if (std::find(words.begin(), words.end(), text) != words.end()) return text;
  const std::string closest = ClosestWord(text, words);
  Refuse(name, *value, (words.size() == 1 ? " is not " : " is not one of ") + Join(words, ", "),
         closest.empty() ? "leave it out, or give one of these" : "did you mean \"" + closest + "\"?");
  return fallback;
}

bool OptionReader::Done() {
  for (const auto& [key, value] : options_.options) {
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    good_ = false;
    const std::string closest = ClosestWord(key, known_);
    std::string hint =
        "remove it; " + options_.type +
        (known_.empty() ? " has no options" : " has the options " + Join(known_, ", "));
    if (!closest.empty()) hint = "did you mean \"" + closest + "\"?";
    problems_->push_back({"search." + key,
                          "the searcher " + options_.type + " has no option \"" + key + "\"",
                          hint});
  }
  return good_;
}

bool RefuseGrid(const std::string& type, const Space& space, Problems* problems) {
  bool good = true;
  for (const Parameter& p : space.parameters()) {
    if (p.distribution != Distribution::kGrid) continue;
    problems->push_back({"parameters." + p.name + ".grid", type + " chooses values itself and does not run a grid",
                         "use choice, or set the search type to grid or random"});
    good = false;
  }
  return good;
}

std::vector<std::string> SearcherTypes() { return {"auto", "tpe", "gp", "random", "sobol", "cmaes", "grid"}; }

std::unique_ptr<Searcher> MakeSearcher(const SearcherOptions& options, const Space& space,
                                       Problems* problems) {
  if (options.type == "tpe") return MakeTpeSearcher(options, space, problems);
  if (options.type == "random") return MakeRandomSearcher(options, space, problems);
  if (options.type == "auto" || options.type == "gp") return MakeAutoSearcher(options, space, problems);
  if (options.type == "sobol") return MakeSobolSearcher(options, space, problems);
  if (options.type == "cmaes") return MakeCmaesSearcher(options, space, problems);
  if (options.type == "grid") return MakeGridSearcher(options, space, problems);
  const std::string closest = ClosestWord(options.type, SearcherTypes());
  problems->push_back({"search.type", "there is no searcher \"" + options.type + "\"",
                       closest.empty() ? "use one of " + Join(SearcherTypes(), ", ")
                                       : "did you mean \"" + closest + "\"?"});
  return nullptr;
}

}  // namespace tunesmith
