// HyperBand (Li et al. 2018, "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization", algorithm 1):
// brackets of synchronous successive halving, each with fewer trials and a later first rung than the one before. BOHB
// (Falkner et al. 2018) is the same with points from a model, which is the searcher's matter.
#pragma once

#include <memory>

#include "common/problem.h"
#include "schedulers/scheduler.h"

namespace tunesmith {

// nullptr and problems if the options make no sense. min_samples_required and seed have no meaning here.
//
// With R = max_t, f = reduction_factor, r = grace_period and S the largest whole number with r * f^S <= R: bracket s
// has ceil((S + 1) / (s + 1) * f^s) trials and rungs at R / f^s, R / f^(s-1), ..., R / f, each rounded to the nearest
// whole step. Trials fill bracket S first, which stops most, then S - 1, ... 0, which stops none, and S again: the
// bracket of a trial is a function of its number.
//
// - The first report at or past the trial's next rung is recorded there, whatever its step, and the trial pauses
//   until all others of its bracket have been recorded at the rung or have ended. The last one does not pause.
// - Then, of n trials in a bracket, the best floor(n / f^(k+1)) of those that wait at its k-th rung go on, at least
//   one; the others stop. Among equals the earlier number is the better one. NaN and the worst infinity never go on.
// - What has failed, was cancelled or has ended by itself is not waited for, and counts in n. A bracket that no trial
//   will be added to any more is judged with the trials it has got.
// - A trial that gets to max_t has completed, however it got there.
//
// With `compat_ray` every verdict on a report is the one of Ray Tune's HyperBandScheduler; see hyperband_ray.h.
//
// Deciding the last trial of a rung costs O(trials that go on), everything else O(log n), and O(open brackets) to ask
// for the next verdict.
std::unique_ptr<Scheduler> MakeHyperBand(const SchedulerOptions& options, Problems* problems);

}  // namespace tunesmith
