// What the model searcher knows of a sweep.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "search/model/standings.h"
#include "search/searcher.h"
#include "search/tpe/coding.h"

namespace tunesmith::model {

// A trial that a model learns from, and its score: lower is better, and 0 is the middle of all trials.
struct Scored {
  uint32_t trial = 0;
  double score = 0;
};

// Scores are the normal scores of the trials' quantiles (model/standings.h), so that the worse half, where outliers and
// failures are, counts by rank alone. In the better half, where all trials ran to their end, most of the score is the
// loss itself, scaled so that the middle is 0 and the best trial -2.5: a model of ranks alone is blind to the shape of
// the metric near the optimum. Not thread-safe.
class History {
 public:
  History(uint64_t seed, Goal goal) : seed_(seed), goal_(goal) {}

  void Add(uint32_t trial, std::vector<float> codes);
  void Report(const RungReport& report);
  void Observe(const Observation& observation);
  void Forget(uint32_t trial);

  // Grows with every result. The models are functions of the history at some number of results.
  uint64_t results() const { return results_; }
  const Standings& standings() const { return standings_; }
  const std::vector<float>& codes(uint32_t trial) const { return records_.at(trial); }
  // Trials without any result, by number.
  const std::set<uint32_t>& pending() const { return pending_; }

  // The `best` best trials, best first, and then up to `others` further ones: a fixed random sample, so that it changes
  // little from one result to the next.
  std::vector<Scored> Select(size_t best, size_t others) const;
  static constexpr size_t kSampleMax = 256;

  // Logarithm of the variance with which scores are expected to be off: losses at the end are taken nearly at their
  // word, ranks at rungs are only a hint of them.
  double LogNoisePrior() const { return standings_.plain() ? -7.0 : -4.6; }

  // The metric that a score stands for at the end of training; NaN as long as no trial ran to its end.
  double MetricAt(double score) const;

 private:
  void HasResult(uint32_t trial);
  // By which losses become scores at this moment.
  struct Scale {
    bool by_value = false;
    double middle = 0, unit = 1;
  };
  Scale ScaleNow() const;
  static double Score(const Scale& scale, double quantile, double loss);
  double Loss(double value) const { return goal_ == Goal::kMin ? value : -value; }

  const uint64_t seed_;
  const Goal goal_;
  uint64_t results_ = 0;
  Standings standings_;
  std::unordered_map<uint32_t, std::vector<float>> records_;
  std::set<uint32_t> running_, pending_;
  std::set<std::pair<double, uint32_t>> sample_;  // the smallest random keys of trials with a result
};

}  // namespace tunesmith::model
