#include "search/registry.h"

#include <algorithm>
#include <cmath>

#include "common/text.h"
#include "search/grid_searcher.h"
#include "search/random_searcher.h"
#include "search/sobol/sobol_searcher.h"
#include "search/tpe/tpe_searcher.h"

namespace tunesmith {

OptionReader::OptionReader(const SearcherOptions& options, Problems* problems)
    : options_(options), problems_(problems) {}

int64_t OptionReader::Integer(std::string_view name, int64_t lo, int64_t hi, int64_t fallback) {
  known_.emplace_back(name);
  int64_t result = fallback;
  for (const auto& [key, value] : options_.options) {
    if (key != name) continue;
    const double x = std::holds_alternative<bool>(value) ? std::nan("") : ValueNumber(value);
    if (x == std::floor(x) && x >= static_cast<double>(lo) && x <= static_cast<double>(hi)) {
      result = static_cast<int64_t>(x);
      continue;
    }
    good_ = false;
    problems_->push_back({"search." + key,
                          ValueJson(value).substr(0, 100) + " is not an integer from " +
                              std::to_string(lo) + " to " + std::to_string(hi),
                          "leave it out for " + std::to_string(fallback)});
  }
  return result;
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

std::vector<std::string> SearcherTypes() { return {"tpe", "random", "sobol", "grid"}; }

std::unique_ptr<Searcher> MakeSearcher(const SearcherOptions& options, const Space& space,
                                       Problems* problems) {
  if (options.type == "tpe") return MakeTpeSearcher(options, space, problems);
  if (options.type == "random") return MakeRandomSearcher(options, space, problems);
  if (options.type == "sobol") return MakeSobolSearcher(options, space, problems);
  if (options.type == "grid") return MakeGridSearcher(options, space, problems);
  const std::string closest = ClosestWord(options.type, SearcherTypes());
  problems->push_back({"search.type", "there is no searcher \"" + options.type + "\"",
                       closest.empty() ? "use one of " + Join(SearcherTypes(), ", ")
                                       : "did you mean \"" + closest + "\"?"});
  return nullptr;
}

}  // namespace tunesmith
