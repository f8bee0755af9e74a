// Multivariate tree-structured Parzen estimator over the declared tree of parameters.
#pragma once

#include <memory>

#include "search/searcher.h"

namespace tunesmith {

// Rules (Bergstra et al. 2011; Watanabe 2023, arXiv 2304.11127):
// - Until `startup_trials` (default 10) trials have ended with a finite metric, points are drawn
// from the prior.
// - Trials that ended with a finite metric, stopped ones with their last value included, are
// ordered by it, equal ones by
//   number. The best ceil(0.15 n), at most 25, form the group "below"; weights are their
//   improvement over the best trial outside, and the prior component has their mean. Everything
//   else is "above" with even weights: the rest, failed trials, trials whose metric is NaN or
//   infinite, and trials still running, so that parallel suggestions spread.
// - `candidates` (default 24) points are drawn from "below" and the one with the greatest density
// ratio is proposed.
// - No point is proposed twice. When candidates repeat, more are drawn, then from the prior, then
// by enumeration;
//   when a finite space is used up the suggestion is `exhausted`.
// - "above" holds at most 256 trials: a sample without replacement in which a trial's chance grows
// with its number
//   (Efraimidis and Spirakis 2006), so the work per suggestion does not grow with the sweep.
// - Trials of an earlier sweep count as ended ones (SearcherOptions::earlier; with several goals they are ignored).
//   Their values cannot be compared with those of this sweep, so the same share of both forms "below", each weighted
//   among its own. With the trials of its own that have ended a sweep counts a smaller part of the earlier ones: half
//   of them after 20, a third after 40. A parameter that an earlier trial did not have is the prior's there.
// `grid` parameters are refused. `compat: hyperopt` gives another searcher, see hyperopt/hyperopt_searcher.h.
std::unique_ptr<Searcher> MakeTpeSearcher(const SearcherOptions& options, const Space& space,
                                          Problems* problems);

}  // namespace tunesmith
