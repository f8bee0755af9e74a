#include "search/auto/auto_searcher.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/exact_math.h"
#include "search/auto/due_forest.h"
#include "search/auto/history.h"
#include "search/auto/lesson.h"
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
        start_(space_, options.seed),
        cardinality_(space_.Cardinality()),
        context_{space_, coding_, features_, options.seed, candidates},
        only_process_(options.type == "gp"),
        startup_(startup),
        by_cost_(by_cost),
        trials_(options.trials),
        earlier_(options.earlier, options.goal, space_, coding_, options.seed),
        history_(options.seed, options.goals.empty() ? std::vector<Goal>{options.goal} : options.goals, earlier_),
        parameters_(features_.size(), history_.LogNoisePrior()),
        forest_(options.seed, kStreamForest),
        cost_(options.seed, kStreamCost) {}

  void Add(uint32_t trial, const Point& point) override {
    seen_.Add(trial, point);
    if (pending_hash_.emplace(trial, HashPoint(point)).second) ++pending_points_[pending_hash_[trial]];
    std::vector<float> codes(space_.size());
    for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<float>(coding_.Encode(i, point[i]));
    history_.Add(trial, std::move(codes));
  }
  void Report(const RungReport& report) override {
    if (history_.Report(report)) HasResult(report.trial);
  }
  void Observe(const Observation& observation) override {
    seen_.Finish(observation.trial);
    if (history_.Observe(observation)) HasResult(observation.trial);
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
      auto point = start_.At(trial);
      if (point && !seen_.Contains(*point)) return Made(std::move(*point), Origin::Kind::kStart);
    }
    Rng rng = Rng::ForLabels({context_.seed, trial, kStreamRandom});
    auto point = DrawUnseen(points_, seen_, &rng);
    if (!point) return {.exhausted = true, .point = {}};
    return Made(std::move(*point), Origin::Kind::kPrior);
  }

  void Prepare() override {
    if (!UseModels()) return;
    PoolNow();
    forest_.Now(features_, history_);
    cost_.Now(features_, history_);
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
    if (forest_.IsDueAt(n) && !only_process_ && n + 1 >= kProcessAlone && history_.standings().plain()) {
      forest_.Note(n, history_.Select(model::kForestBest, model::kForestOthers));
    }
    if (by_cost_ && cost_.IsDueAt(n)) cost_.Note(n, LogSeconds());
    if (n < next_fit_) return;
    next_fit_ = n + std::max<uint64_t>(1, n / 12);
    fits_due_.push_back({history_.Select(model::kProcessBest, model::kProcessOthers), history_.LogNoisePrior()});
  }
  void RunFits() {
    constexpr int kFirstSteps = 30, kSteps = 8;
    for (; !fits_due_.empty(); fits_due_.pop_front()) {
      const Fit& fit = fits_due_.front();
      const model::Lesson lesson = model::LessonOf(features_, history_, fit.trials);
      const int steps = std::exchange(fitted_, true) ? kSteps : kFirstSteps;
      model::FitGp(lesson.points, lesson.scores, fit.log_noise_prior, steps, &parameters_);
    }
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
    const model::Forest* cost = cost_.Now(features_, history_);
    if (cost == nullptr) return;
    const double done = static_cast<double>(history_.results()) / static_cast<double>(std::max<int64_t>(trials_, 1));
    const double weight = trials_ > 0 ? std::max(0.0, 1 - done) : 1;
    const std::vector<double> log_seconds = pool.Predict(*cost);
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
    // With few results the forest does not do as well, and where trials are stopped at rungs it proposes points that
    // pass the first rungs and no more.
    if (only_process_ || history_.results() < kProcessAlone || !history_.standings().plain()) return Judge::kGp;
    return trial % 2 == 0 ? Judge::kGp : Judge::kForest;
  }

  std::optional<Suggestion> FromPool(uint32_t trial) {
    model::Pool& pool = PoolNow();
    Judge judge = JudgeOf(trial);
    const model::Forest* forest = judge == Judge::kForest ? forest_.Now(features_, history_) : nullptr;
    if (judge == Judge::kForest && forest == nullptr) judge = Judge::kGp;
    model::Pool::Judgement judgement = pool.By(judge, forest);
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
  FeasibleSobol start_;
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
  model::GpParameters parameters_;
  bool fitted_ = false;
  uint64_t next_fit_ = 0;
  struct Fit {
    std::vector<Scored> trials;
    double log_noise_prior = 0;
  };
  std::deque<Fit> fits_due_;
  model::DueForest forest_, cost_;  // of scores; of the logarithm of run times
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
