// What the halving schedulers share: where the rungs are, and who was recorded at one.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <ext/pb_ds/assoc_container.hpp>
#include <ext/pb_ds/tree_policy.hpp>
#include <functional>
#include <limits>
#include <unordered_set>
#include <utility>
#include <vector>

#include "search/searcher.h"

namespace tunesmith {

// Back and forth between a metric and its score, of which the larger is better; 0 stays 0, never -0.
inline double Oriented(Goal goal, double x) { return goal == Goal::kMax ? x : 0.0 - x; }
// The score where NaN is the worst there is.
inline double ScoreOf(Goal goal, double value) {
  return std::isnan(value) ? -std::numeric_limits<double>::infinity() : Oriented(goal, value);
}

// Milestones grace * factor^k below max_t, ascending, each rounded up to a whole step and none
// twice. Exact for whole factors. There is none at max_t: a trial that gets there has completed.
std::vector<double> ExactMilestones(int64_t grace, double factor, int64_t max_t);

// Ray Tune's milestones of bracket s, ascending: int(ln(max_t / grace) / ln(factor) - s + 1) of
// them, in floating point, so that a rung at max_t exists or not as the rounding falls
// (tune/schedulers/async_hyperband.py).
std::vector<double> RayMilestones(double grace, double factor, int64_t max_t, int s);

// The bracket of a trial, drawn with the softmax of the brackets' rung counts, as Ray Tune does it. A function of seed
// and number alone.
int32_t DrawBracket(uint64_t seed, uint32_t trial, const std::vector<size_t>& rungs);

// The trials recorded at one milestone, ordered by score. A larger score is better. Every operation
// costs O(log n). Not thread-safe.
class Rung {
 public:
  explicit Rung(double milestone) : milestone_(milestone) {}

  double milestone() const { return milestone_; }
  size_t recorded() const { return trials_.size(); }
  size_t stopped() const { return stopped_; }
  bool Has(uint32_t trial) const { return trials_.contains(trial); }

  // Once per trial: a second record of the same trial is ignored. A NaN score is counted as
  // recorded and otherwise left out.
  void Record(uint32_t trial, double score, bool stopped);

  // Recorded scores that are numbers.
  size_t numbers() const { return scores_.size(); }
  // Of these, how many are greater than `score`; all of them if it is NaN.
  size_t CountBetter(double score) const;

  // The two scores around the given fraction of the ascending order and the weight of the upper
  // one: linear interpolation between closest ranks, at position (n - 1) * fraction.
  struct Neighbours {
    double lower = 0;
    double upper = 0;
    double weight = 0;
  };
  // The score of the `rank`th best, 1 <= rank <= numbers().
  double ScoreOfRank(size_t rank) const { return scores_.find_by_order(scores_.size() - rank)->first; }

  // numbers() > 0, 0 <= fraction < 1.
  Neighbours Around(double fraction) const;

 private:
  using Key = std::pair<double, uint64_t>;  // score, trial
  using Tree = __gnu_pbds::tree<Key, __gnu_pbds::null_type, std::less<Key>, __gnu_pbds::rb_tree_tag,
                                __gnu_pbds::tree_order_statistics_node_update>;

  double milestone_;
  size_t stopped_ = 0;
  Tree scores_;
  std::unordered_set<uint32_t> trials_;  // asked for membership only: its order never matters
};

// As numpy does it: an infinite neighbour may give NaN.
double InterpolateAsNumpy(const Rung::Neighbours& n);
// The lower neighbour where one of them is infinite: in doubt the cutoff is the milder one.
double InterpolateMildly(const Rung::Neighbours& n);

}  // namespace tunesmith
