#include "search/auto/auto_searcher.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/exact_math.h"
#include "search/auto/history.h"
#include "search/auto/pool.h"
#include "search/registry.h"
#include "search/seen_points.h"
#include "search/sobol/sobol.h"

namespace tunesmith {

namespace {

using Judge = Origin::Judge;
using model::Candidate;
using model::Scored;

class AutoSearcher : public Searcher {
 public:
  AutoSearcher(const SearcherOptions& options, const Space& space, size_t startup, size_t candidates, bool by_cost)
      : space_(space),
        coding_(space_),
        features_(coding_),
        points_(space_, {}),
        cardinality_(space_.Cardinality()),
        context_{space_, coding_, features_, options.seed, candidates},
        only_process_(options.type == "gp"),
        startup_(startup),
        by_cost_(by_cost),
        trials_(options.trials),
        earlier_(options.earlier, options.goal, space_, coding_, options.seed),
        history_(options.seed, options.goals.empty() ? std::vector<Goal>{options.goal} : options.goals, earlier_),
        several_(options.goals.size() > 1),
        parameters_(features_.size(), history_.LogNoisePrior()) {}

  void Add(uint32_t trial, const Point& point) override {
    seen_.Add(trial, point);
    if (pending_hash_.emplace(trial, HashPoint(point)).second) ++pending_points_[pending_hash_[trial]];
    std::vector<float> codes(space_.size());
    for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<float>(coding_.Encode(i, point[i]));
    history_.Add(trial, std::move(codes));
  }
  void Report(const RungReport& report) override {
    if (several_) return;  // a rung has one value, of no use here
    history_.Report(report);
    HasResult(report.trial);
  }
  void Observe(const Observation& observation) override {
    seen_.Finish(observation.trial);
    history_.Observe(observation);
    HasResult(observation.trial);
  }
  void Forget(uint32_t trial) override {
    // The point of a trial that has reached a rung stays used: it has been tried.
    if (pending_hash_.count(trial) > 0) seen_.Forget(trial);
    history_.Forget(trial);
    NotPending(trial);
  }

  Suggestion Suggest(uint32_t trial) override {
    if (cardinality_ && seen_.distinct() >= *cardinality_) return {.exhausted = true, .point = {}};
    if (UseModels()) {
      if (auto suggestion = FromPool(trial)) return std::move(*suggestion);
    } else {
      Point point = SobolSample(space_, context_.seed, trial);
      if (!seen_.Contains(point) && space_.Feasible(point)) return Made(std::move(point), Origin::Kind::kStart);
    }
    Rng rng = Rng::ForLabels({context_.seed, trial, kStreamRandom});
    auto point = DrawUnseen(points_, seen_, &rng);
    if (!point) return {.exhausted = true, .point = {}};
    return Made(std::move(*point), Origin::Kind::kPrior);
  }

  void Prepare() override {
    if (!UseModels()) return;
    PoolNow();
    if (!forest_due_.trials.empty()) ForestNow();
  }

 private:
  static constexpr uint64_t kProcessAlone = 50;  // results until when only the process judges

  static Suggestion Made(Point point, Origin::Kind kind) {
    Suggestion suggestion;
    suggestion.point = std::move(point);
    suggestion.origin.kind = kind;
    return suggestion;
  }

  bool UseModels() const {
    return history_.good() > 0 && history_.standings().count() + earlier_.size() >= startup_;
  }

  void NotPending(uint32_t trial) {
    const auto it = pending_hash_.find(trial);
    if (it == pending_hash_.end()) return;
    const auto point = pending_points_.find(it->second);
    if (--point->second == 0) pending_points_.erase(point);
    pending_hash_.erase(it);
  }

  // A fit is due at fixed numbers of results and uses what was known then, whenever it is computed.
  void HasResult(uint32_t trial) {
    NotPending(trial);
    const uint64_t n = history_.results();
    if (!UseModels()) return;
    if (n >= next_forest_ && !only_process_ && n + 1 >= kProcessAlone && history_.standings().plain()) {
      next_forest_ = n + std::max<uint64_t>(4, n / 25);
      forest_due_ = {history_.Select(model::kForestBest, model::kForestOthers), 0};
      forest_seed_ = n;
    }
    if (by_cost_ && n >= next_cost_) {
      next_cost_ = n + std::max<uint64_t>(4, n / 25);
      cost_due_ = LogSeconds();
      cost_seed_ = n;
    }
    if (n < next_fit_) return;
    next_fit_ = n + std::max<uint64_t>(1, n / 12);
    fits_due_.push_back({history_.Select(model::kProcessBest, model::kProcessOthers), history_.LogNoisePrior()});
  }
  void RunFits() {
    constexpr int kFirstSteps = 30, kSteps = 8;
    for (; !fits_due_.empty(); fits_due_.pop_front()) {
      std::vector<double> y;
      const model::FeatureTable table = Learnt(fits_due_.front().trials, &y);
      const int steps = std::exchange(fitted_, true) ? kSteps : kFirstSteps;
      model::FitGp(table, y, fits_due_.front().log_noise_prior, steps, &parameters_);
    }
  }

  model::FeatureTable Learnt(const std::vector<Scored>& trials, std::vector<double>* y) const {
    model::FeatureTable table(features_, trials.size());
    for (size_t j = 0; j < trials.size(); ++j) {
      table.Set(j, history_.codes(trials[j].trial));
      y->push_back(trials[j].score);
    }
    return table;
  }
  // The forest of the last fit that was due.
  const model::Forest& ForestNow() {
    if (!forest_due_.trials.empty()) {
      std::vector<double> y;
      const model::FeatureTable table = Learnt(forest_due_.trials, &y);
      forest_.emplace(table, y, model::Forest::Options(), Rng::ForLabels({context_.seed, forest_seed_, kStreamForest}));
      forest_due_ = {};
    }
    return *forest_;
  }

  // Trials with the logarithm of their run time for a score.
  std::vector<Scored> LogSeconds() const {
    std::vector<Scored> out;
    for (const Scored& s : history_.Select(model::kForestBest, model::kForestOthers)) {
      const double seconds = history_.seconds(s.trial);
      if (seconds > 0) out.push_back({s.trial, PortableLog(std::max(seconds, 1e-3))});
    }
    return out;
  }
  void SubtractCost(const model::Pool& pool, std::vector<double>* scores) {
    if (!cost_due_.empty()) {
      std::vector<double> y;
      const model::FeatureTable table = Learnt(cost_due_, &y);
      cost_.emplace(table, y, model::Forest::Options(), Rng::ForLabels({context_.seed, cost_seed_, kStreamCost}));
      cost_due_.clear();
    }
    if (!cost_) return;
    const double done = static_cast<double>(history_.results()) / static_cast<double>(std::max<int64_t>(trials_, 1));
    const double weight = trials_ > 0 ? std::max(0.0, 1 - done) : 1;
    const std::vector<double> log_seconds = pool.Predict(*cost_);
    for (size_t c = 0; c < scores->size(); ++c) (*scores)[c] -= weight * log_seconds[c];
  }

  // A trial with this point has a result.
  bool Tried(uint64_t hash) const {
    const auto pending = pending_points_.find(hash);
    return seen_.Count(hash) > (pending == pending_points_.end() ? 0 : pending->second);
  }

  // The pool for the results so far. Points of trials without a result may be in it, so that it does not matter
  // whether it is made before or after they are announced.
  model::Pool& PoolNow() {
    RunFits();
    if (!pool_ || pool_results_ != history_.results()) {
      pool_results_ = history_.results();
      pool_.emplace(context_, history_, parameters_,
                    [this](uint64_t hash) { return Tried(hash); });
    }
    return *pool_;
  }

  Judge JudgeOf(uint32_t trial) const {
    // With few results no other does as well, and where trials are stopped at rungs the others propose points that
    // pass the first rungs and no more.
    if (only_process_ || history_.results() < kProcessAlone || !history_.standings().plain()) return Judge::kGp;
    constexpr Judge kTurns[] = {Judge::kGp, Judge::kForest, Judge::kGp, Judge::kTpe};
    return kTurns[trial % std::size(kTurns)];
  }

  std::optional<Suggestion> FromPool(uint32_t trial) {
    model::Pool& pool = PoolNow();
    const Judge judge = JudgeOf(trial);
    model::Pool::Judgement judgement = pool.By(judge, judge == Judge::kForest ? &ForestNow() : nullptr);
    if (by_cost_) SubtractCost(pool, &judgement.scores);
    const std::vector<Candidate>& candidates = pool.candidates();
    std::optional<size_t> best;
    for (size_t c = 0; c < candidates.size(); ++c) {
      if (best && judgement.scores[c] <= judgement.scores[*best]) continue;
      if (!seen_.Contains(candidates[c].hash)) best = c;
    }
    if (!best) return std::nullopt;
    Suggestion suggestion = Made(candidates[*best].point, Origin::Kind::kModel);
    suggestion.origin.judge = judge;
    suggestion.origin.of = static_cast<uint32_t>(candidates.size());
    suggestion.origin.rank = 1;
    for (const double score : judgement.scores) suggestion.origin.rank += score > judgement.scores[*best] ? 1 : 0;
    if (!judgement.means.empty()) suggestion.origin.predicted = history_.MetricAt(judgement.means[*best]);
    return suggestion;
  }

  const Space space_;
  const tpe::Coding coding_;
  const model::FeatureMap features_;
  const Enumeration points_;
  const std::optional<uint64_t> cardinality_;
  const model::PoolContext context_;
  const bool only_process_;
  const size_t startup_;
  const bool by_cost_;
  const int64_t trials_;  // of the sweep, 0 if unknown
  SeenPoints seen_;
  std::unordered_map<uint32_t, uint64_t> pending_hash_;    // of trials without a result
  std::unordered_map<uint64_t, uint32_t> pending_points_;  // hash -> how many of them
  const model::EarlierTrials earlier_;
  model::History history_;
  const bool several_;
  model::GpParameters parameters_;
  bool fitted_ = false;
  uint64_t next_fit_ = 0;
  struct Fit {
    std::vector<Scored> trials;
    double log_noise_prior = 0;
  };
  std::deque<Fit> fits_due_;
  Fit forest_due_;  // no trials: none is due
  uint64_t next_forest_ = 0, forest_seed_ = 0;
  std::optional<model::Forest> forest_;
  std::vector<Scored> cost_due_;  // with log seconds for scores; empty: none is due
  uint64_t next_cost_ = 0, cost_seed_ = 0;
  std::optional<model::Forest> cost_;
  std::optional<model::Pool> pool_;
  uint64_t pool_results_ = 0;
};

}  // namespace

std::unique_ptr<Searcher> MakeAutoSearcher(const SearcherOptions& options, const Space& space, Problems* problems) {
  OptionReader reader(options, problems);
  const int64_t quarter = options.trials > 0 ? std::max<int64_t>(1, options.trials / 4) : 10;
  const int64_t startup = reader.Integer("startup_trials", 1, 100'000, std::min<int64_t>(10, quarter));
  const int64_t candidates = reader.Integer("candidates", 8, 10'000, 112);
  const std::string cost = reader.Word("cost", {"none", "seconds"}, "none");
  const bool good = reader.Done();
  if (!RefuseGrid(options.type, space, problems) || !good) return nullptr;
  return std::make_unique<AutoSearcher>(options, space, static_cast<size_t>(startup),
                                        static_cast<size_t>(candidates), cost == "seconds");
}

}  // namespace tunesmith
