#include "search/cmaes/cmaes_searcher.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/exact_math.h"
#include "search/cmaes/cma.h"
#include "search/registry.h"
#include "search/seen_points.h"
#include "search/tpe/coding.h"

namespace tunesmith {
namespace {

using cmaes::Cma;
using cmaes::Member;
using tpe::Coding;
using tpe::Dim;
using tpe::Kind;

constexpr double kConverged = 1e-5;
constexpr int kFlatGenerationsMax = 10;
constexpr int64_t kPopulationMax = 10'000;

// How good a trial was: lower is better, compared from the left.
struct Merit {
  int grade = 2;  // 0 feasible, 1 infeasible, 2 without a finite metric
  double loss = 0;
  auto operator<=>(const Merit&) const = default;
};

class CmaesSearcher final : public Searcher {
 public:
  CmaesSearcher(const SearcherOptions& options, const Space& space, uint64_t population, double sigma)
      : space_(space),
        coding_(space_),
        points_(space_, {}),
        cardinality_(space_.Cardinality()),
        seed_(options.seed),
        goal_(options.goal),
        first_sigma_(sigma),
        dims_(Searched(coding_)),
        population_(population),
        cma_(Start(options), sigma) {}

  void Add(uint32_t trial, const Point& point) override {
    seen_.Add(trial, point);
    if (trial < next_ || dims_.empty()) return;
    trials_.emplace(trial, Trial{Encode(point), false, {}});
  }
  void Observe(const Observation& observation) override {
    seen_.Finish(observation.trial);
    const auto it = trials_.find(observation.trial);
    if (it == trials_.end() || it->second.ended) return;
    it->second.ended = true;
    it->second.merit = MeritOf(observation);
  }
  void Forget(uint32_t trial) override {
    seen_.Forget(trial);
    const auto it = trials_.find(trial);
    if (it == trials_.end() || it->second.ended) return;
    it->second.ended = true;
    it->second.x.clear();
  }

  void Prepare() override {
    while (Advance()) {
    }
  }

  Suggestion Suggest(uint32_t trial) override {
    if (cardinality_ && seen_.distinct() >= *cardinality_) return {.exhausted = true, .point = {}};
    Prepare();
    Rng rng = Rng::ForLabels({seed_, trial, kStreamCmaes});
    if (auto point = Draw(&rng)) {
      Origin origin = {.kind = Origin::Kind::kStart};
      if (learnt_) origin = {.kind = Origin::Kind::kModel, .judge = Origin::Judge::kCmaes};
      return {.point = std::move(*point), .origin = origin};
    }
    auto free = DrawUnseen(points_, seen_, &rng);
    if (!free) return {.exhausted = true, .point = {}};
    return {.point = std::move(*free), .origin = {.kind = Origin::Kind::kPrior}};
  }

 private:
  // Of a generation that has not been learnt from.
  struct Trial {
    std::vector<double> x;  // empty: forgotten
    bool ended = false;
    Merit merit;
  };

  static std::vector<size_t> Searched(const Coding& coding) {
    std::vector<size_t> dims;
    for (size_t i = 0; i < coding.size(); ++i) {
      if (coding.dims()[i].kind != Kind::kFixed) dims.push_back(i);
    }
    return dims;
  }

  Merit MeritOf(const Observation& observation) const {
    if (observation.outcome == Outcome::kFailed || !std::isfinite(observation.value)) return {};
    if (std::isnan(observation.violation)) return {};
    if (observation.violation > 0) return {1, observation.violation};
    return {0, goal_ == Goal::kMin ? observation.value : -observation.value};
  }

  double CoordinateOf(size_t k, const Value& value) const {
    const Dim& dim = coding_.dims()[dims_[k]];
    const double code = coding_.Encode(dims_[k], value);
    if (dim.kind == Kind::kLattice) return dim.centres[static_cast<size_t>(code)];
    return std::isfinite(code) ? code : 0.5;  // of bounds whose logarithms are the same number
  }

  std::vector<double> Encode(const Point& point) const {
    std::vector<double> x(dims_.size());
    for (size_t k = 0; k < x.size(); ++k) x[k] = CoordinateOf(k, point[dims_[k]]);
    return x;
  }

  // The place in [0, 1) that stands for x of coordinate k.
  double Inside(size_t k, double x) const {
    if (!(x >= 0 && x < 1)) {
      const double edge = x < 0.5 ? 0 : 1;
      const bool near = std::fabs(cma_.mean()[k] - edge) <= cma_.Deviation(k);
      const double period = x - 2 * std::floor(x / 2);
      x = near ? edge : (period > 1 ? 2 - period : period);
    }
    return std::clamp(x, 0.0, 0x1.fffffffffffffp-1);
  }

  // The point whose cells hold x.
  Point Decode(const std::vector<double>& x) const {
    Point point(space_.size());
    for (size_t i = 0; i < point.size(); ++i) {
      if (coding_.dims()[i].kind == Kind::kFixed) point[i] = coding_.Decode(i, 0);
    }
    for (size_t k = 0; k < x.size(); ++k) {
      point[dims_[k]] = coding_.Decode(dims_[k], coding_.Snap(dims_[k], Inside(k, x[k])));
    }
    return point;
  }

  std::vector<double> Start(const SearcherOptions& options) const {
    std::vector<double> mean(dims_.size(), 0.5);
    std::vector<std::pair<double, size_t>> best;
    for (size_t t = 0; t < options.earlier.size(); ++t) {
      const double value = options.earlier[t].value;
      if (std::isfinite(value)) best.emplace_back(goal_ == Goal::kMin ? value : -value, t);
    }
    std::sort(best.begin(), best.end());
    best.resize((best.size() + 9) / 10);
    for (size_t k = 0; k < mean.size(); ++k) {
      double sum = 0, count = 0;
      for (const auto& [loss, t] : best) {
        const Value& value = options.earlier[t].point[dims_[k]];
        if (!space_.Takes(dims_[k], value, nullptr)) continue;
        sum += CoordinateOf(k, value);
        ++count;
      }
      if (count > 0) mean[k] = sum / count;
    }
    return mean;
  }

  // A free point near what is good; nullopt after a few tries.
  std::optional<Point> Draw(Rng* rng) const {
    constexpr int kSeenMax = 20, kInfeasibleMax = 200;
    if (dims_.empty()) return std::nullopt;
    double spread = 1;
    std::vector<double> x;
    for (int seen = 0, infeasible = 0; seen < kSeenMax && infeasible < kInfeasibleMax;) {
      cma_.Sample(spread, rng, &x);
      Point point = Decode(x);
      if (!space_.Feasible(point)) {
        ++infeasible;
      } else if (seen_.Contains(point)) {
        ++seen;
        spread *= 1.2;
      } else {
        return point;
      }
    }
    return std::nullopt;
  }

  // Learns from the next generation; false if it has not ended.
  bool Advance() {
    const uint64_t end = next_ + population_;
    if (skipped_ == 0 && !Ended(end)) return false;
    if (skipped_ > 0) {
      // Not awaited: they are only not listened to.
      next_ += skipped_;
      skipped_ = 0;
      trials_.erase(trials_.begin(), trials_.lower_bound(next_));
      return true;
    }
    std::vector<std::pair<Merit, uint64_t>> order;
    for (const auto& [number, trial] : trials_) {
      if (number >= end) break;
      if (!trial.x.empty()) order.emplace_back(trial.merit, number);
    }
    std::sort(order.begin(), order.end());
    bool good = true;
    if (order.size() < 2 || order.front().first == order.back().first) {
      ++flat_;
    } else {
      flat_ = 0;
      learnt_ = true;
      std::vector<Member> members;
      for (size_t k = 0; k < order.size(); ++k) {
        members.push_back({trials_.at(order[k].second).x.data(), k > 0 && order[k].first == order[k - 1].first});
      }
      good = cma_.Update(members);
    }
    next_ = end;
    trials_.erase(trials_.begin(), trials_.lower_bound(end));
    if (!good || flat_ >= kFlatGenerationsMax || Narrow()) Restart();
    return true;
  }

  // Whether every trial before `end` has.
  bool Ended(uint64_t end) const {
    uint64_t ended = 0;
    for (const auto& [number, trial] : trials_) {
      if (number >= end) break;
      if (!trial.ended) return false;
      ++ended;
    }
    return !dims_.empty() && ended == end - next_;
  }

  // Whether all coordinates are as narrow as they may get; those that are narrower are widened.
  bool Narrow() {
    // One coordinate of one member of a generation leaves the middle of its cell.
    const double share = 0.5 / static_cast<double>(dims_.size() * population_);
    const double cells = -0.5 / NormalQuantile(std::min(share, 0.1));
    std::vector<double> minima(dims_.size());
    bool narrow = true;
    for (size_t k = 0; k < dims_.size(); ++k) {
      const size_t i = dims_[k];
      if (coding_.dims()[i].kind != Kind::kContinuous) {
        const double u = std::clamp(cma_.mean()[k], 0.0, 0x1.fffffffffffffp-1);
        minima[k] = cells * coding_.CellWidth(i, coding_.Snap(i, u));
      }
      narrow = narrow && cma_.Deviation(k) <= std::max(kConverged, minima[k]);
    }
    return narrow || !cma_.Widen(minima);
  }

  void Restart() {
    ++restarts_;
    flat_ = 0;
    learnt_ = false;
    skipped_ = population_;
    population_ = std::min(2 * population_, static_cast<uint64_t>(kPopulationMax));
    Rng rng = Rng::ForLabels({seed_, restarts_, kStreamCmaesRestart});
    std::vector<double> mean(dims_.size());
    for (double& coordinate : mean) coordinate = rng.Uniform();
    cma_ = Cma(std::move(mean), first_sigma_);
  }

  const Space space_;
  const Coding coding_;
  const Enumeration points_;
  const std::optional<uint64_t> cardinality_;
  const uint64_t seed_;
  const Goal goal_;
  const double first_sigma_;
  const std::vector<size_t> dims_;  // coordinate -> parameter

  SeenPoints seen_;
  std::map<uint64_t, Trial> trials_;  // from next_ on
  uint64_t next_ = 0;                 // first number of the generation
  uint64_t population_;
  uint64_t skipped_ = 0;  // trials that belong to no generation, before the next one
  uint64_t restarts_ = 0;
  int flat_ = 0;         // generations in a row that taught nothing
  bool learnt_ = false;  // since the last start
  Cma cma_;
};

}  // namespace

std::unique_ptr<Searcher> MakeCmaesSearcher(const SearcherOptions& options, const Space& space, Problems* problems) {
  constexpr char kHint[] = "set the search type to auto";
  bool good = true;
  size_t searched = 0;
  for (size_t i = 0; i < space.size(); ++i) {
    const Parameter& p = space.parameters()[i];
    const std::string name(DistributionName(p.distribution));
    const bool fixed = space.ValueCount(i) == 1u;
    searched += fixed ? 0 : 1;
    if (!p.when.empty()) {
      problems->push_back({"parameters." + p.name + ".when", "cmaes needs every parameter in every trial", kHint});
      good = false;
    } else if (HasOptions(p.distribution) && !fixed) {
      problems->push_back({"parameters." + p.name + "." + name, "cmaes searches numbers, and " + name + " has none",
                           std::string(kHint) + ", or give a range"});
      good = false;
    }
  }
  OptionReader reader(options, problems);
  const auto usual = static_cast<int64_t>(4 + 3 * PortableLog(static_cast<double>(std::max<size_t>(searched, 1))));
  const int64_t population = reader.Integer("population", 4, kPopulationMax, usual);
  const double sigma = reader.Number("sigma", 1e-3, 1, 0.3);
  good = reader.Done() && good;
  if (!options.goals.empty()) {
    problems->push_back({"search.type", "cmaes follows one objective", kHint});
    good = false;
  }
  if (!good) return nullptr;
  return std::make_unique<CmaesSearcher>(options, space, static_cast<uint64_t>(population), sigma);
}

}  // namespace tunesmith
