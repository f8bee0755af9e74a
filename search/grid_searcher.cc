#include "search/grid_searcher.h"

#include <string>
#include <unordered_map>
#include <utility>

#include "search/registry.h"
#include "search/seen_points.h"

namespace tunesmith {
namespace {

class GridSearcher final : public Searcher {
 public:
  explicit GridSearcher(const Space& space) : space_(space), points_(space_, {}), no_draws_(0) {
    auto first = points_.First(&no_draws_);
    at_end_ = !first;
    if (first) next_ = std::move(*first);
  }

  void Add(uint32_t trial, const Point& point) override {
    seen_.Add(trial, point);
    unfinished_.emplace(trial, point);
  }
  void Observe(const Observation& observation) override {
    seen_.Finish(observation.trial);
    unfinished_.erase(observation.trial);
  }
  void Forget(uint32_t trial) override {
    const auto it = unfinished_.find(trial);
    if (it == unfinished_.end()) return;
    seen_.Forget(trial);
    if (at_end_ || Before(it->second, next_)) {
      next_ = it->second;
      at_end_ = false;
    }
    unfinished_.erase(it);
  }

  // `next_` only saves walking again over points that are all used.
  Suggestion Suggest(uint32_t) override {
    while (!at_end_ && seen_.Contains(next_)) at_end_ = !points_.Next(&no_draws_, &next_);
    return at_end_ ? Suggestion{.exhausted = true, .point = {}}
                   : Suggestion{.exhausted = false,
                                .point = next_,
                                .origin = {.kind = Origin::Kind::kGrid}};
  }

 private:
  // Order of enumeration. Up to the first difference both points have the same active parameters.
  bool Before(const Point& a, const Point& b) const {
    for (const size_t i : space_.SampleOrder()) {
      const auto ia = space_.IndexOf(i, a[i]), ib = space_.IndexOf(i, b[i]);
      if (ia != ib) return ia < ib;
    }
    return false;
  }

  const Space space_;
  const Enumeration points_;
  Rng no_draws_;  // a finite space draws nothing
  Point next_;    // every point before it is used
  bool at_end_ = false;
  SeenPoints seen_;
  std::unordered_map<uint32_t, Point> unfinished_;
};

}  // namespace

std::unique_ptr<Searcher> MakeGridSearcher(const SearcherOptions& options, const Space& space,
                                           Problems* problems) {
  OptionReader reader(options, problems);
  bool finite = true;
  for (size_t i = 0; i < space.size(); ++i) {
    if (space.ValueCount(i)) continue;
    const Parameter& p = space.parameters()[i];
    const std::string name(DistributionName(p.distribution));
    std::string hint = "list the values to try with grid or choice";
    if (p.distribution == Distribution::kUniform || p.distribution == Distribution::kLogUniform) {
      hint += ", give a step with q" + name;
    }
    problems->push_back({"parameters." + p.name + "." + name,
                         name + " has infinitely many values, so a grid of it never ends",
                         hint + ", or set the search type to random or tpe"});
    finite = false;
  }
  if (!reader.Done() || !finite) return nullptr;
  return std::make_unique<GridSearcher>(space);
}

}  // namespace tunesmith
