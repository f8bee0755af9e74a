#include "search/sobol/sobol_searcher.h"

#include <optional>
#include <utility>

#include "search/registry.h"
#include "search/seen_points.h"
#include "search/sobol/sobol.h"

namespace tunesmith {
namespace {

class SobolSearcher final : public Searcher {
 public:
  SobolSearcher(const SearcherOptions& options, const Space& space)
      : space_(space),
        points_(space_, {}),
        sequence_(space_, options.seed),
        seed_(options.seed),
        cardinality_(space_.Cardinality()) {}

  void Add(uint32_t trial, const Point& point) override { seen_.Add(trial, point); }
  void Observe(const Observation& observation) override { seen_.Finish(observation.trial); }
  void Forget(uint32_t trial) override { seen_.Forget(trial); }

  Suggestion Suggest(uint32_t trial) override {
    if (cardinality_ && seen_.distinct() >= *cardinality_) return {.exhausted = true, .point = {}};
    auto point = sequence_.At(trial);
    if (point && !seen_.Contains(*point)) {
      return {.point = std::move(*point), .origin = {.kind = Origin::Kind::kStart}};
    }
    Rng rng = Rng::ForLabels({seed_, trial, kStreamSobol});
    auto free = DrawUnseen(points_, seen_, &rng);
    if (!free) return {.exhausted = true, .point = {}};
    return {.point = std::move(*free), .origin = {.kind = Origin::Kind::kPrior}};
  }

 private:
  const Space space_;
  const Enumeration points_;
  FeasibleSobol sequence_;
  const uint64_t seed_;
  const std::optional<uint64_t> cardinality_;
  SeenPoints seen_;
};

}  // namespace

std::unique_ptr<Searcher> MakeSobolSearcher(const SearcherOptions& options, const Space& space, Problems* problems) {
  OptionReader reader(options, problems);
  const bool known = reader.Done();
  if (!RefuseGrid(options.type, space, problems) || !known) return nullptr;
  return std::make_unique<SobolSearcher>(options, space);
}

}  // namespace tunesmith
