#include "search/hyperopt/hyperopt_searcher.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "common/exact_math.h"
#include "search/hyperopt/parzen.h"
#include "search/registry.h"
#include "search/seen_points.h"

namespace tunesmith {
namespace {

using hyperopt::Categorical;
using hyperopt::Domain;
using hyperopt::Mixture;

struct Settings {
  size_t startup = 20, candidates = 24;
  double gamma = 0.25, prior_weight = 1;
};

// How a parameter is modelled.
struct Model {
  enum class Kind : uint8_t { kPrior, kCategorical, kNumeric };
  Kind kind = Kind::kPrior;  // one value, or bounds that no kernel fits between
  Domain domain;
  double prior_mu = 0, prior_sigma = 1;
};

Model ModelOf(const Space& space, size_t i) {
  const Parameter& p = space.parameters()[i];
  const auto count = space.ValueCount(i);
  Model m;
  if (count == 1u) return m;
  if (HasOptions(p.distribution) || p.distribution == Distribution::kRandInt) {
    m.kind = Model::Kind::kCategorical;
    return m;
  }
  m.kind = Model::Kind::kNumeric;
  m.domain.log = IsLog(p.distribution);
  if (p.distribution == Distribution::kNormal || p.distribution == Distribution::kQNormal) {
    m.domain.q = p.distribution == Distribution::kQNormal ? p.q : 0;
    m.prior_mu = p.mean;
    m.prior_sigma = p.sd;
    return m;
  }
  m.domain.lo = p.lo;
  m.domain.hi = p.hi;
  m.domain.q = p.q;
  if (IsInteger(p.distribution)) {
    m.domain.lo = ValueNumber(space.ValueAt(i, 0));
    m.domain.hi = ValueNumber(space.ValueAt(i, *count - 1));
    m.domain.q = ValueNumber(space.ValueAt(i, 1)) - m.domain.lo;
  }
  if (m.domain.log) {
    m.domain.lo = PortableLog(m.domain.lo);
    m.domain.hi = PortableLog(m.domain.hi);
  }
  m.prior_mu = 0.5 * m.domain.lo + 0.5 * m.domain.hi;
  m.prior_sigma = m.domain.hi - m.domain.lo;
  if (!(m.prior_sigma > 0 && std::isfinite(m.prior_sigma))) m.kind = Model::Kind::kPrior;
  return m;
}

class HyperoptSearcher final : public Searcher {
 public:
  HyperoptSearcher(const SearcherOptions& options, const Space& space, const Settings& settings)
      : space_(space),
        cardinality_(space_.Cardinality()),
        seed_(options.seed),
        goal_(options.goal),
        settings_(settings) {
    for (size_t i = 0; i < space_.size(); ++i) models_.push_back(ModelOf(space_, i));
  }

  void Add(uint32_t trial, const Point& point) override {
    seen_.Add(trial, point);
    Trial record;
    record.codes.resize(space_.size(), std::numeric_limits<double>::quiet_NaN());
    for (size_t i = 0; i < space_.size(); ++i) {
      if (IsActive(point[i])) record.codes[i] = Encode(i, point[i]);
    }
    if (trials_.emplace(trial, std::move(record)).second) best_.insert({kInfinite, trial});
  }
  void Observe(const Observation& observation) override {
    seen_.Finish(observation.trial);
    const auto it = trials_.find(observation.trial);
    if (it == trials_.end() || !it->second.running) return;
    it->second.running = false;
    best_.erase({it->second.loss, observation.trial});
    it->second.loss = LossOf(observation);
    best_.insert({it->second.loss, observation.trial});
  }
  void Forget(uint32_t trial) override {
    seen_.Forget(trial);
    const auto it = trials_.find(trial);
    if (it == trials_.end() || !it->second.running) return;
    best_.erase({it->second.loss, trial});
    trials_.erase(it);
  }

  Suggestion Suggest(uint32_t trial) override {
    if (cardinality_ && seen_.distinct() >= *cardinality_) return {.exhausted = true, .point = {}};
    Rng rng = Rng::ForLabels({seed_, trial, kStreamHyperopt});
    constexpr int kTries = 20;  // without constraints the first one succeeds
    if (trials_.size() >= settings_.startup) {
      MarkBelow();
      for (int n = 0; n < kTries; ++n) {
        Point point(space_.size());
        for (const size_t i : space_.SampleOrder()) {
          if (space_.Active(i, point)) point[i] = Choose(i, &rng);
        }
        if (!space_.Feasible(point)) continue;
        return {.point = std::move(point), .origin = {.kind = Origin::Kind::kModel, .judge = Origin::Judge::kTpe}};
      }
    }
    return {.point = space_.Sample(&rng), .origin = {.kind = Origin::Kind::kPrior}};
  }

 private:
  // Lower is better. 0 and the loss; 1 if infinite; 2 if NaN.
  using Loss = std::pair<int, double>;
  static constexpr Loss kInfinite = {1, 0};

  struct Trial {
    std::vector<double> codes;  // options: index; numbers: the value; NaN: inactive
    Loss loss = kInfinite;
    bool running = true;
    bool below = false;
  };

  Loss LossOf(const Observation& observation) const {
    const double value = observation.value;
    if (observation.outcome == Outcome::kFailed || observation.violation > 0) return kInfinite;
    if (std::isnan(value)) return {2, 0};
    if (std::isinf(value)) return kInfinite;
    return {0, goal_ == Goal::kMin ? value : -value};
  }

  double Encode(size_t i, const Value& value) const {
    if (models_[i].kind != Model::Kind::kCategorical) return ValueNumber(value);
    return static_cast<double>(space_.IndexOf(i, value).value_or(0));
  }

  // The value of a numeric parameter that a draw stands for.
  Value Decode(size_t i, double x) const {
    const Parameter& p = space_.parameters()[i];
    if (IsInteger(p.distribution)) {
      const Domain& domain = models_[i].domain;
      const double first = ValueNumber(space_.ValueAt(i, 0));
      const auto last = static_cast<double>(*space_.ValueCount(i) - 1);
      const double k = std::nearbyint(x / domain.q) - std::nearbyint(first / domain.q);
      return space_.ValueAt(i, static_cast<uint64_t>(std::clamp(k, 0.0, last)));
    }
    if (models_[i].domain.q > 0) return space_.Quantise(i, x);
    if (!models_[i].domain.bounded()) return x;
    return std::clamp(x, p.lo, std::nextafter(p.hi, p.lo));
  }

  void MarkBelow() {
    for (const uint32_t trial : below_) {
      if (const auto it = trials_.find(trial); it != trials_.end()) it->second.below = false;
    }
    below_.clear();
    const size_t count = hyperopt::BelowCount(settings_.gamma, trials_.size());
    for (auto it = best_.begin(); it != best_.end() && below_.size() < count; ++it) {
      below_.push_back(it->second);
      trials_.at(it->second).below = true;
    }
  }

  // The draw of parameter i for which good trials stand out most.
  Value Choose(size_t i, Rng* rng) const {
    const Model& model = models_[i];
    if (model.kind == Model::Kind::kPrior) return space_.SampleParameter(i, rng);
    std::vector<double> good, bad;  // oldest first
    for (const auto& [number, trial] : trials_) {
      const double code = trial.codes[i];
      if (!std::isnan(code)) (trial.below ? good : bad).push_back(ModelUnits(model, code));
    }
    return model.kind == Model::Kind::kCategorical ? ChooseOption(i, good, bad, rng) : ChooseNumber(i, good, bad, rng);
  }

  static double ModelUnits(const Model& model, double code) {
    if (!model.domain.log) return code;
    // What was rounded to below the lower bound counts as the bound.
    return model.domain.q > 0 ? std::max(PortableLog(std::max(code, 1e-12)), model.domain.lo) : PortableLog(code);
  }

  Value ChooseOption(size_t i, const std::vector<double>& good, const std::vector<double>& bad, Rng* rng) const {
    const uint64_t values = *space_.ValueCount(i);
    const Categorical below(good, values, settings_.prior_weight), above(bad, values, settings_.prior_weight);
    uint64_t best = 0;
    double best_score = -std::numeric_limits<double>::infinity();
    for (size_t n = 0; n < settings_.candidates; ++n) {
      const uint64_t option = below.Draw(rng);
      const double score = below.LogMass(option) - above.LogMass(option);
      if (score > best_score) {
        best = option;
        best_score = score;
      }
    }
    return space_.ValueAt(i, best);
  }

  Value ChooseNumber(size_t i, const std::vector<double>& good, const std::vector<double>& bad, Rng* rng) const {
    const Model& model = models_[i];
    const auto fit = [&](const std::vector<double>& observations) {
      return hyperopt::AdaptiveParzen(observations, settings_.prior_weight, model.prior_mu, model.prior_sigma);
    };
    const Mixture below = fit(good), above = fit(bad);
    Value best;
    double best_score = -std::numeric_limits<double>::infinity();
    for (size_t n = 0; n < settings_.candidates; ++n) {
      Value value = Decode(i, hyperopt::Draw(below, model.domain, rng));
      const double x = ValueNumber(value);
      const double score = hyperopt::LogDensity(below, model.domain, x) - hyperopt::LogDensity(above, model.domain, x);
      if (score > best_score || n == 0) {
        best = std::move(value);
        best_score = score;
      }
    }
    return best;
  }

  const Space space_;
  const std::optional<uint64_t> cardinality_;
  const uint64_t seed_;
  const Goal goal_;
  const Settings settings_;
  std::vector<Model> models_;
  SeenPoints seen_;
  std::map<uint32_t, Trial> trials_;
  std::set<std::pair<Loss, uint32_t>> best_;  // of all trials
  std::vector<uint32_t> below_;               // marked so
};

}  // namespace

std::unique_ptr<Searcher> MakeHyperoptSearcher(const SearcherOptions& options, const Space& space, Problems* problems) {
  OptionReader reader(options, problems);
  Settings settings;
  reader.Word("compat", {"hyperopt"}, "");
  settings.startup = static_cast<size_t>(reader.Integer("startup_trials", 1, 100'000, 20));
  settings.candidates = static_cast<size_t>(reader.Integer("candidates", 1, 10'000, 24));
  settings.gamma = reader.Number("gamma", 1e-3, 10, 0.25);
  settings.prior_weight = reader.Number("prior_weight", 1e-3, 1000, 1);
  bool good = reader.Done();
  good = RefuseGrid("tpe", space, problems) && good;
  if (!options.goals.empty()) {
    problems->push_back({"search.compat", "hyperopt's TPE follows one objective", "leave compat out"});
    good = false;
  }
  if (!good) return nullptr;
  return std::make_unique<HyperoptSearcher>(options, space, settings);
}

}  // namespace tunesmith
