// The default searcher: candidates from several sources, judged by two models in turn.
#pragma once

#include <memory>

#include "search/searcher.h"

namespace tunesmith {

// Types `auto` and `gp`. Rules:
// - The first `startup_trials` (default 10, at most a quarter of the sweep) are points of a scrambled Sobol sequence.
// - Every trial with a result has a score: the normal score of its nested percentile (model/standings.h), so a trial
//   that was stopped early counts through the rungs that it reached, and neither outliers nor the scale of the metric
//   matter. Failed trials rank last and are learnt from.
// - With every result a pool of candidates (default 112) is drawn: from the density of the best trials (the Parzen
//   estimator of tpe), from the prior, and by mutation of the best trials. Points that the sweep has used are left out.
// - A judge orders the pool and its best point is proposed; what is then running is counted in at once, and the next
//   best is taken. `gp`: expected improvement under a Gaussian process on at most 64 trials (the best 48 and a sample
//   of the others), pending trials believed to turn out as predicted. `auto` begins with it and then takes turns with
//   expected improvement under a forest of extra-trees, which finds what a smooth model overlooks.
// - With `cost: seconds` a point's score is improvement for the time that it takes: the logarithm of the run time, as a
//   second forest predicts it, is subtracted, with a weight that falls from 1 to 0 over the sweep ("cost cooling", Lee
//   et al. 2020, arXiv 2003.10870). Default: `none`.
// - Trials of earlier sweeps, ranked among themselves, are learnt from as if they were the sweep's own; they fade out
//   over its first 200 results.
// - No point is proposed twice; when a finite space is used up the suggestion is `exhausted`.
// Models are fitted at fixed numbers of results, so that the same results in the same order give the same suggestions.
// `grid` parameters are refused.
std::unique_ptr<Searcher> MakeAutoSearcher(const SearcherOptions& options, const Space& space, Problems* problems);

}  // namespace tunesmith
