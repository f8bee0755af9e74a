// The median stopping rule (Golovin et al. 2017, "Google Vizier: A Service for Black-Box
// Optimization", section 3.2.1; Ray Tune's MedianStoppingRule, of which trials are stopped and
// never paused). At a report at step t the peers are the other trials, running or ended, whose last
// report was at step t or later; the trial stops if its best value so far is strictly worse than
// the median over the peers of the mean of their reports up to t.
#pragma once

#include <memory>

#include "common/problem.h"
#include "schedulers/scheduler.h"

namespace tunesmith {

// nullptr and problems if the options make no sense. The rung options have no meaning here and are
// ignored. Nothing is judged before step grace_period, nor with fewer than min_samples_required
// peers. Every report with the metric is recorded, and each call of Apply counts as one report.
//
// By default a peer's mean is over all its numbers up to t, a peer without one is no peer, and NaN
// is never a best: a trial with nothing else is the worst. A peer whose numbers are all equal has
// just that mean, so that equal trials never stop each other by rounding.
//
// With `compat_ray` every decision is Ray Tune's: means leave out steps before grace_period, a NaN
// or a peer with no report in that range makes the median NaN, which stops every trial; a first
// report of NaN stays the best; the last report of a trial that ended counts twice; numpy's
// rounding.
//
// A report is recorded in O(1) (compat_ray: O(reports of its trial)) and decided in O(trials), for
// each peer the logarithm of its reports, or all of them if its steps ever went back: 0.3 ms for
// 10,000 peers. Three numbers are kept per report, two once the trial has ended.
std::unique_ptr<Scheduler> MakeMedian(const SchedulerOptions& options, Problems* problems);

}  // namespace tunesmith
