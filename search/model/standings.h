// How good a trial is among all trials, whether it ran to its end or was stopped at a rung.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <unordered_map>
#include <vector>

#include "search/model/ranked_list.h"

namespace tunesmith::model {

// Nested percentile: reaching a rung that N_k of N trials have reached says "among the best N_k / N", and the rank
// among those N_k, by the values at that rung, orders inside. So a trial whose highest rung is k has the quantile
// (rank in rung k) / N. It has no unit, compares trials of all rungs, improves with progress and with value, and is the
// plain rank where all trials run to their end, which counts as the highest rung. It depends on ranks alone: monotone
// changes of the metric, outliers and infinities change nothing. Infeasible trials come after all feasible ones, by
// violation, and failed ones last.
//
// Losses: lower is better; one that is not finite makes a failed trial. A function of the set of calls. Not
// thread-safe.
class Standings {
 public:
  // The trial got as far as `rung`, above every rung that it was told of before.
  void Reach(uint32_t trial, int64_t rung, double loss);
  // It ended at the rung that it had reached last; one that had reached none counts as completed.
  void Stop(uint32_t trial, double loss);
  void Complete(uint32_t trial, double loss);
  void Violate(uint32_t trial, double violation);  // > 0
  void Fail(uint32_t trial);
  // Gives new losses to all trials that ran to their end: there are no others than these after it. A trial of before
  // that is not among them must be told of as infeasible or failed.
  void ReplaceCompleted(const std::vector<RankedList::Entry>& losses);

  // Trials with a result.
  size_t count() const { return placed_.size(); }
  // Those of them that are neither infeasible nor failed.
  size_t good() const { return placed_.size() - bad_.size(); }
  bool Has(uint32_t trial) const { return placed_.count(trial) > 0; }
  // In (0, 1), lower is better. Of a trial with a result.
  double Quantile(uint32_t trial) const;

  struct Placed {
    uint32_t trial = 0;
    double quantile = 0;
  };
  // The best trials, best first; ties by progress, then by number.
  std::vector<Placed> Best(size_t limit) const;

  // Whether all trials that are good ran to their end, so that their losses compare.
  bool plain() const { return rungs_.empty() || (rungs_.size() == 1 && rungs_.begin()->first == kCompleted); }
  // The loss of a trial with a result, where it got; infinite for a failed one.
  double LossOf(uint32_t trial) const { return placed_.at(trial).value; }
  // The loss at the end of training that a trial of this quantile would have; NaN if no trial has been completed.
  double LossAt(double quantile) const;

 private:
  static constexpr int64_t kCompleted = INT64_MAX, kBad = -1;
  struct Rung {
    RankedList reached;  // every trial that got here
    RankedList here;     // those that got no further
  };
  struct Place {
    int64_t rung = 0;
    double value = 0;
  };
  double GoodQuantile(double rank) const;
  void Leave(uint32_t trial);  // the list of those that got no further
  void Put(uint32_t trial, int64_t rung, double value);

  std::map<int64_t, Rung> rungs_;
  RankedList bad_;  // by violation; failed ones have infinity
  std::unordered_map<uint32_t, Place> placed_;
};

}  // namespace tunesmith::model
