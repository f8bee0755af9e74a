#include "search/random_searcher.h"

#include <optional>

#include "search/registry.h"
#include "search/seen_points.h"

namespace tunesmith {
namespace {

class RandomSearcher final : public Searcher {
 public:
  RandomSearcher(const SearcherOptions& options, const Space& space)
      : space_(space),
        seed_(options.seed),
        cells_(space.GridCells()),
        cardinality_(space.Cardinality()) {}

  void Add(uint32_t trial, const Point& point) override { seen_.Add(trial, point); }
  void Observe(const Observation& observation) override { seen_.Finish(observation.trial); }
  void Forget(uint32_t trial) override { seen_.Forget(trial); }

  Suggestion Suggest(uint32_t trial) override {
    if (cardinality_ && seen_.distinct() >= *cardinality_) return {.exhausted = true, .point = {}};
    Rng rng = Rng::ForLabels({seed_, trial, kStreamRandom});
    auto point = DrawUnseen(Enumeration(space_, Cell(trial % cells_)), seen_, &rng);
    if (!point && cells_ > 1) point = DrawUnseen(Enumeration(space_, {}), seen_, &rng);
    if (!point) return {.exhausted = true, .point = {}};
    return {.exhausted = false,
            .point = std::move(*point),
            .origin = {.kind = Origin::Kind::kPrior}};
  }

 private:
  // The values of the grid parameters in a cell; the others have none.
  Point Cell(uint64_t cell) const {
    Point pinned(space_.size());
    for (size_t i = space_.size(); i-- > 0;) {
      const Parameter& p = space_.parameters()[i];
      if (p.distribution != Distribution::kGrid) continue;
      pinned[i] = p.options[cell % p.options.size()];
      cell /= p.options.size();
    }
    return pinned;
  }

  const Space space_;
  const uint64_t seed_;
  const uint64_t cells_;
  const std::optional<uint64_t> cardinality_;
  SeenPoints seen_;
};

}  // namespace

std::unique_ptr<Searcher> MakeRandomSearcher(const SearcherOptions& options, const Space& space,
                                             Problems* problems) {
  OptionReader reader(options, problems);
  if (!reader.Done()) return nullptr;
  return std::make_unique<RandomSearcher>(options, space);
}

}  // namespace tunesmith
