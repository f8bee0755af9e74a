// How much each parameter matters, and where its good values lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "common/status.h"
#include "search/searcher.h"
#include "search/space/space.h"

namespace tunesmith::insight {

// A trial with a finite value. Failed trials and those without a value have no part in this.
struct FinishedTrial {
  uint32_t trial = 0;
  bool completed = true;  // false: stopped early by the scheduler
  double value = 0;       // the metric, last reported, as the program gave it
  std::vector<std::pair<int64_t, double>> rungs;  // that the trial reached: steps and the metric there, ascending
  Point point;
};

// What is asked.
struct Question {
  std::string metric;  // for messages
  Goal goal = Goal::kMin;
  uint64_t seed = 0;
};

// One point of a parameter's effect: the metric to be expected with its value there and all others as the space draws
// them.
struct Effect {
  Value value;            // a category, or one of few ordered values; inactive: the range is meant
  double lo = 0, hi = 0;  // of a range; infinite at the open ends of a normal one
  double metric = 0;      // predicted last value, in the metric's own units
  uint32_t trials = 0;    // of those used, with a value there
};

struct ParameterImportance {
  size_t parameter = 0;  // index in the space
  double share = 0;      // of the model's variance that this parameter alone explains, in [0, 1]
  double spread = 0;     // standard deviation of the share over forests fitted to different trials
  double active = 1;     // share of the space in which it is active
  // Ordered values ascending; categories that were tried best first, at most 12 of them, the most tried ones.
  std::vector<Effect> effect;
};

struct Importance {
  std::vector<ParameterImportance> parameters;  // all of the space, most important first
  double interactions = 0;  // the share that only several parameters together explain: 1 minus the sum of the shares
  double r2 = 0;            // of the variance of trials that were held out, what the model predicts; may be below 0
};

constexpr size_t kTrialsMin = 10;

// A forest of extremely randomised trees (model/forest.h) is fitted to the trials' normal scores, and its variance over
// the space is split into the parts that single parameters explain: functional ANOVA (Hutter, Hoos and Leyton-Brown
// 2014). The main effects are estimated from a sample of points of the space ("given data", Plischke, Borgonovo and
// Smith 2013): the variance between the means of the bins of one parameter, less what chance puts there. All points of
// the sample are points of the space, so that conditions and constraints hold in each of them. A conditional parameter
// is compared where it is active; what its being active is worth belongs to its parent.
//
// Normal scores: of a trial's place among all, by nested percentile where some were stopped early
// (model/standings.h). So outliers and monotone changes of the metric change no share. Predictions go back to the units
// of the metric by what trials of such a score ended with, the last report of those that were stopped early included.
//
// Pure; same input, same output on every machine. FAILED_PRECONDITION says what is missing: fewer than kTrialsMin
// trials, a metric or points that are the same everywhere, a space of one point.
StatusOr<Importance> ComputeImportance(const Space& space, const Question& question,
                                       const std::vector<FinishedTrial>& trials);

}  // namespace tunesmith::insight
