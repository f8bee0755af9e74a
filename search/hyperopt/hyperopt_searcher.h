// The TPE of hyperopt, for those who compare or come from it.
#pragma once

#include <memory>

#include "search/searcher.h"

namespace tunesmith {

// `search: {type: tpe, compat: hyperopt}`. hyperopt's tpe.suggest (hyperopt/tpe.py, release 0.2.7), rule for rule;
// random numbers are our own.
// - Until `startup_trials` (default 20) trials exist, running ones included, points are drawn from the prior.
// - The best ceil(gamma sqrt(n)) of all n trials, at most 25, are good (`gamma`, default 0.25). Running, failed and
//   infeasible trials and those whose metric is infinite have an infinite loss; NaN is worse still. Among equals the
//   older one is better.
// - Every parameter is chosen by itself: a density of the values that good trials had, one of the others' (only trials
//   in which it was active; parzen.h), `candidates` (default 24) draws from the first, and the draw with the greatest
//   ratio wins. `prior_weight` (default 1) is that of the prior in both. Children of conditions that do not hold are
//   dropped.
// - uniform, quniform, loguniform, qloguniform, normal, qnormal and choice are hyperopt's; randint is its randint, a
//   choice without an order; qrandint is quniform, lograndint and qlograndint are qloguniform, as Ray Tune maps them.
// - Points repeat, as hyperopt's do, and nothing keeps parallel trials apart but that running ones count as bad. Only
//   when every point of a finite space has been tried the suggestion is `exhausted`, where hyperopt goes on.
// - Where the space has constraints between parameters, which hyperopt does not know, points that violate them are
// drawn
//   again.
// - Work and memory grow with the number of trials. Trials of an earlier sweep are not used. `grid` parameters and
//   several objectives are refused.
std::unique_ptr<Searcher> MakeHyperoptSearcher(const SearcherOptions& options, const Space& space, Problems* problems);

}  // namespace tunesmith
