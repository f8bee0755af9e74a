// The candidates for the next trial, and what the judges say of them.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <unordered_set>
#include <utility>
#include <vector>

#include "search/auto/candidates.h"
#include "search/auto/history.h"
#include "search/auto/lesson.h"
#include "search/model/forest.h"
#include "search/model/gp.h"

namespace tunesmith::model {

// What a pool is made from; all of it outlives the pool.
struct PoolContext {
  const Space& space;
  const tpe::Coding& coding;
  const FeatureMap& features;
  uint64_t seed = 0;
  size_t candidates = 0;  // to start with; refinement adds to them
};

// Drawn once for a state of the results: from the density of the best trials, from the prior, by mutation of the best
// trials, and then around those of them that the Gaussian process likes best, in six rounds. Which trials are pending
// does not change it, only its judgement. Not thread-safe.
class Pool {
 public:
  // Without points of which `skip` says true of the hash. The history must not change while the pool is used, but for
  // trials becoming pending.
  Pool(const PoolContext& context, const History& history, const GpParameters& parameters,
       const std::function<bool(uint64_t hash)>& skip);

  const std::vector<Candidate>& candidates() const { return candidates_; }

  struct Judgement {
    std::vector<double> scores;  // by candidate; higher is better
    std::vector<double> means;   // predicted history scores; empty if the judge does not predict
  };
  // With the trials that are pending now counted in. `forest` is what the judge kForest asks; others take null.
  Judgement By(Origin::Judge judge, const Forest* forest);
  // What a forest predicts for each candidate.
  std::vector<double> Predict(const Forest& forest) const;

 private:
  struct Batch {
    Batch(FeatureTable features, const Gp& gp)
        : table(std::move(features)), view(std::in_place, gp, table) {}
    FeatureTable table;
    std::optional<GpView> view;
  };
  void Draw(const CandidateMix& mix, const std::vector<std::vector<float>>& parents,
            const std::function<bool(uint64_t hash)>& skip, Rng* rng);
  std::vector<std::vector<float>> Favourites();
  void TakeInPending();
  // Logarithms of what the process expects each candidate to improve by.
  const std::vector<double>& Improvements();
  Judgement ByProcess();
  Judgement ByForest(const Forest& forest) const;

  const PoolContext context_;
  const History& history_;
  const CandidateSource source_;
  const Lesson learnt_;     // by the process
  const double best_score_;  // there
  Gp gp_;
  std::optional<tpe::Parzen> good_;   // density of the best trials
  std::unordered_set<uint64_t> taken_;
  std::vector<Candidate> candidates_;
  std::deque<Batch> batches_;         // never moved: views refer to tables
  std::vector<double> improvements_;  // as far as asked for
  std::vector<uint32_t> pending_;     // what the process has been told of
};

// Trials that the models learn from: the best, and a sample of the rest.
constexpr size_t kProcessBest = 48, kProcessOthers = 16;
constexpr size_t kForestBest = 100, kForestOthers = 100;

}  // namespace tunesmith::model
