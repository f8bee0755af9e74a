// Asynchronous successive halving, stopping variant (Li et al. 2020, "A System for Massively
// Parallel Hyperparameter Tuning", section 3; Ray Tune's AsyncHyperBandScheduler). Each bracket has
// rungs at growing steps; the first report at or past a rung is compared with those recorded there
// before, and the trial stops if it is strictly worse than the best 1/factor of them.
#pragma once

#include <memory>

#include "common/problem.h"
#include "schedulers/scheduler.h"

namespace tunesmith {

// nullptr and problems if the options make no sense.
//
// By default a report is judged at the highest rung that it has passed and at none below the
// highest where the trial is recorded; NaN is the worst value; rungs are whole steps; max_t stops a
// trial as completed.
//
// With `compat_ray` every decision is Ray Tune's: rungs in floating point (one at max_t may exist),
// one rung a call from the top, so that skipped rungs are judged by later reports unless
// stop_last_trials is off; NaN is never stopped and left out of cutoffs; a report without the
// metric continues even at max_t.
std::unique_ptr<Scheduler> MakeAsha(const SchedulerOptions& options, Problems* problems);

}  // namespace tunesmith
