#include "search/tpe/tpe_searcher.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>

#include "search/hyperopt/hyperopt_searcher.h"
#include "search/registry.h"
#include "search/seen_points.h"
#include "search/tpe/history.h"

namespace tunesmith {
namespace {

using tpe::Codes;
using tpe::Coding;
using tpe::Groups;
using tpe::History;
using tpe::Parzen;

class TpeSearcher final : public Searcher {
 public:
  TpeSearcher(const SearcherOptions& options, const Space& space, size_t startup, size_t candidates)
      : space_(space),
        coding_(space_),
        points_(space_, {}),
        cardinality_(space_.Cardinality()),
        seed_(options.seed),
        startup_(startup),
        candidates_(candidates),
        history_(options.seed, options.goals.empty() ? std::vector<Goal>{options.goal} : options.goals) {
    for (const EarlierTrial& trial : options.earlier) history_.AddEarlier(Encode(trial.point), trial.value);
  }

  void Add(uint32_t trial, const Point& point) override {
    seen_.Add(trial, point);
    history_.Add(trial, Encode(point));
  }
  void Observe(const Observation& observation) override {
    seen_.Finish(observation.trial);
    history_.Observe(observation);
  }
  void Forget(uint32_t trial) override {
    seen_.Forget(trial);
    history_.Forget(trial);
  }

  Suggestion Suggest(uint32_t trial) override {
    if (cardinality_ && seen_.distinct() >= *cardinality_) return {.exhausted = true, .point = {}};
    Rng rng = Rng::ForLabels({seed_, trial, kStreamTpe});
    if (history_.ranked() + history_.earlier() >= startup_) {
      if (auto suggestion = FromModel(&rng)) return std::move(*suggestion);
    }
    auto point = DrawUnseen(points_, seen_, &rng);
    if (!point) return {.exhausted = true, .point = {}};
    return {.exhausted = false,
            .point = std::move(*point),
            .origin = {.kind = Origin::Kind::kPrior}};
  }

 private:
  Codes Encode(const Point& point) const {
    Codes codes(space_.size());
    for (size_t i = 0; i < codes.size(); ++i) codes[i] = coding_.Encode(i, point[i]);
    return codes;
  }

  Point Decode(const Codes& codes) const {
    Point point(space_.size());
    for (size_t i = 0; i < codes.size(); ++i) {
      if (codes[i] == codes[i]) point[i] = coding_.Decode(i, codes[i]);  // not NaN: active
    }
    return point;
  }

  // The best unseen candidate of a few rounds; nullopt if all were seen.
  std::optional<Suggestion> FromModel(Rng* rng) const {
    constexpr int kRounds = 4;
    const Groups groups = history_.Split();
    const Parzen below(coding_, groups.below, groups.below_prior_weight);
    const Parzen above(coding_, groups.above, 1);
    for (int round = 0; round <= kRounds; ++round) {
      std::vector<Codes> candidates(candidates_);
      if (round == kRounds) {
        for (Codes& codes : candidates) codes = Encode(space_.Sample(rng));
      } else {
        DrawCandidates(below, rng, &candidates);
      }
      if (candidates.empty()) continue;
      if (auto suggestion = BestUnseen(candidates, below, above)) return suggestion;
    }
    return std::nullopt;
  }

  // Fills the candidates by draws from the model that meet the constraints; there may be fewer in
  // the end.
  void DrawCandidates(const Parzen& below, Rng* rng, std::vector<Codes>* candidates) const {
    constexpr size_t kDrawsPerCandidate = 20;
    Point parents;
    size_t kept = 0;
    for (size_t n = 0; kept < candidates->size() && n < kDrawsPerCandidate * candidates->size();
         ++n) {
      Codes& codes = (*candidates)[kept];
      below.Sample(space_, rng, &codes, &parents);
      if (space_.constraints().empty() || space_.Feasible(Decode(codes))) ++kept;
    }
    candidates->resize(kept);
  }

  std::optional<Suggestion> BestUnseen(const std::vector<Codes>& candidates, const Parzen& below,
                                       const Parzen& above) const {
    std::vector<double> good, bad;
    below.LogDensity(candidates, &good);
    above.LogDensity(candidates, &bad);
    std::vector<size_t> order(candidates.size());
    for (size_t c = 0; c < order.size(); ++c) order[c] = c;
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return good[a] - bad[a] > good[b] - bad[b]; });
    for (size_t rank = 0; rank < order.size(); ++rank) {
      Point point = Decode(candidates[order[rank]]);
      if (seen_.Contains(point) || !space_.Feasible(point)) continue;
      Origin origin{.kind = Origin::Kind::kModel, .judge = Origin::Judge::kTpe};
      origin.rank = static_cast<uint32_t>(rank) + 1;
      origin.of = static_cast<uint32_t>(order.size());
      return Suggestion{.exhausted = false, .point = std::move(point), .origin = origin};
    }
    return std::nullopt;
  }

  const Space space_;
  const Coding coding_;
  const Enumeration points_;
  const std::optional<uint64_t> cardinality_;
  const uint64_t seed_;
  const size_t startup_, candidates_;
  SeenPoints seen_;
  History history_;
};

}  // namespace

std::unique_ptr<Searcher> MakeTpeSearcher(const SearcherOptions& options, const Space& space,
                                          Problems* problems) {
  OptionReader reader(options, problems);
  if (reader.Word("compat", {"hyperopt"}, "") == "hyperopt") return MakeHyperoptSearcher(options, space, problems);
  const int64_t startup = reader.Integer("startup_trials", 1, 100'000, 10);
  const int64_t candidates = reader.Integer("candidates", 1, 10'000, 24);
  const bool known = reader.Done();
  if (!RefuseGrid(options.type, space, problems) || !known) return nullptr;
  return std::make_unique<TpeSearcher>(options, space, static_cast<size_t>(startup),
                                       static_cast<size_t>(candidates));
}

}  // namespace tunesmith
