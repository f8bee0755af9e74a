// Asynchronous successive halving, promotion variant (Li et al. 2020, "A System for Massively Parallel Hyperparameter
// Tuning", algorithm 2). A trial pauses at each rung; the best 1/factor of those recorded at a rung go on to the next.
#pragma once

#include <memory>
#include <vector>

#include "schedulers/scheduler.h"

namespace tunesmith {

// `milestones`: ascending, of each bracket; all below options.max_t. The options are checked (MakeAsha).
//
// - The first report at or past the trial's next rung is recorded there, whatever its step: a fast program may have
//   gone further before it was told to pause, and is not judged at the rungs in between.
// - Of the n trials recorded at a rung, the best floor(n / factor) may go on, as soon as they are among them; who was
//   let on stays. A trial that is among them at its own report goes on without a pause.
// - Where no trial runs, waits or is still to come, and none has got to max_t or ended by itself, the best paused trial
//   of the highest rung goes on all the same, so that a small sweep ends with one fully trained trial.
// - NaN and the worst infinity are never let on. A trial that ends by itself stays recorded where it was.
//
// Every operation costs O(log n).
std::unique_ptr<Scheduler> MakeAshaPromotion(const SchedulerOptions& options,
                                             const std::vector<std::vector<double>>& milestones);

}  // namespace tunesmith
