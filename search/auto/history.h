// What the model searcher knows of a sweep.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "search/auto/earlier.h"
#include "search/auto/scored.h"
#include "search/model/standings.h"
#include "search/searcher.h"
#include "search/tpe/coding.h"

namespace tunesmith::model {

// Scores are the normal scores of the trials' quantiles (model/standings.h), so that the worse half, where outliers and
// failures are, counts by rank alone. In the better half, where all trials ran to their end, most of the score is the
// loss itself, scaled so that the middle is 0 and the best trial -2.5: a model of ranks alone is blind to the shape of
// the metric near the optimum. With several objectives trials are ranked by ParetoOrder (search/pareto/pareto.h), and
// only by rank; what they report at rungs is not looked at. Not thread-safe.
class History {
 public:
  // `earlier` may be empty and must outlive it.
  History(uint64_t seed, std::vector<Goal> goals, const EarlierTrials& earlier)
      : seed_(seed), goals_(std::move(goals)), earlier_(earlier) {}

  void Add(uint32_t trial, std::vector<float> codes);
  // Whether it is a result: the trial is known and runs, and with several objectives it has ended.
  bool Report(const RungReport& report);
  bool Observe(const Observation& observation);
  void Forget(uint32_t trial);

  // Grows with every result. The models are functions of the history at some number of results.
  uint64_t results() const { return results_; }
  const Standings& standings() const { return standings_; }
  // Trials that there is something to learn from, those of earlier sweeps that still count included.
  size_t good() const { return standings_.good() + EarlierNow(); }
  // Of a trial that Select gave, or a pending one.
  const std::vector<float>& codes(uint32_t trial) const;
  // How long the trial ran, in seconds; 0 if unknown.
  double seconds(uint32_t trial) const;
  // Trials without any result, by number.
  const std::set<uint32_t>& pending() const { return pending_; }

  // The `best` best trials, best first, and then up to `others` further ones: a fixed random sample, so that it changes
  // little from one result to the next.
  std::vector<Scored> Select(size_t best, size_t others) const;
  static constexpr size_t kSampleMax = 256;

  // Logarithm of the variance with which scores are expected to be off: losses at the end are taken nearly at their
  // word, ranks at rungs are only a hint of them.
  double LogNoisePrior() const { return standings_.plain() ? -7.0 : -4.0; }

  // The metric that a score stands for at the end of training; NaN as long as no trial ran to its end, and with several
  // objectives.
  double MetricAt(double score) const;

 private:
  struct Record {
    std::vector<float> codes;
    float seconds = 0;
  };
  struct Several {
    uint32_t trial = 0;
    std::vector<double> values;
  };
  void HasResult(uint32_t trial);
  void ObserveSeveral(const Observation& observation);
  // With several objectives: brings the ranks up to date. What is kept does not depend on when it is called.
  void Rank() const;
  // Earlier trials that count at this moment: fewer as the sweep has results of its own.
  size_t EarlierNow() const;
  // By which losses become scores at this moment.
  struct Scale {
    // Of the worse half. Where most trials are stopped at the first rung, how bad a bad one is says little.
    double bad_weight = 1;
    bool by_value = false;
    double middle = 0, unit = 1;
  };
  Scale ScaleNow() const;
  static double Score(const Scale& scale, double quantile, double loss);
  double Loss(double value) const { return goals_[0] == Goal::kMin ? value : -value; }

  const uint64_t seed_;
  const std::vector<Goal> goals_;
  const EarlierTrials& earlier_;
  uint64_t results_ = 0;
  mutable Standings standings_;         // Rank brings them up to date
  mutable std::vector<Several> several_;  // with several objectives: the completed trials, at most 2 kSeveralMax
  mutable bool ranked_ = true;
  std::unordered_map<uint32_t, Record> records_;
  std::set<uint32_t> running_, pending_;
  std::set<std::pair<double, uint32_t>> sample_;  // the smallest random keys of trials with a result
};

}  // namespace tunesmith::model
