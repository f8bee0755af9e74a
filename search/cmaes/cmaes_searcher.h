// CMA-ES over the numeric parameters of a space.
#pragma once

#include <memory>

#include "search/searcher.h"

namespace tunesmith {

// Rules (the state and its update: cma.h):
// - Every parameter lies on [0, 1] (tpe/coding.h: logarithm, cells of steps and integers, quantile of normal ones). The
//   search starts in the middle, or at the mean of the best tenth of the earlier trials, with a standard deviation of
//   `sigma` (default 0.3). A draw outside goes to the edge if the mean is within a deviation of it, so that optima in
//   corners are reached, and is reflected otherwise.
// - Trials form generations of `population` (default 4 + 3 ln n, rounded down) by their numbers, the user's own points
//   included. A generation is learnt from when all its trials have ended, generations one after the other; until then
//   suggestions are drawn from the last one learnt. With fewer workers than `population` little is lost by that.
// - Order in a generation: feasible trials by metric, stopped ones with their last value; infeasible ones by violation;
//   then failed trials and those whose metric is NaN or infinite, equal among themselves. Forgotten trials are left
//   out. A generation of equal ones teaches nothing.
// - Integers and steps keep a deviation with which one coordinate of a generation leaves its cell (Hamano et al.
//   in GECCO 2022, "CMA-ES with margin"; here by stretching the covariance, as pycma's minstd).
// - When every coordinate is narrower than 1e-5, or than that minimum, or ten generations in a row taught nothing, the
//   search starts again from a random place with twice the population (IPOP: Auger and Hansen, CEC 2005). The next
//   trials, as many as the old population, belong to no generation: some of them were running already.
// - Draws that violate a constraint between parameters are drawn again, up to 200 times.
// - No point is proposed twice: draws widen until one is free, then one is drawn from the prior; when a finite space is
//   used up the suggestion is `exhausted`.
// Parameters with options (other than constants) or conditions are refused, and so are several objectives.
std::unique_ptr<Searcher> MakeCmaesSearcher(const SearcherOptions& options, const Space& space, Problems* problems);

}  // namespace tunesmith
