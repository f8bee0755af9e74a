// Population Based Training (Jaderberg et al. 2017, "Population Based Training of Neural Networks", section 4,
// truncation selection; Ray Tune's PopulationBasedTraining). Every perturbation_interval steps a trial is compared with
// the rest of the population by what each of them last reported so: one of the worst takes over the checkpoint and the
// perturbed point of one of the best (schedulers/explore.h), and goes on from there.
#pragma once

#include <memory>

#include "common/problem.h"
#include "schedulers/scheduler.h"

namespace tunesmith {

// nullptr and problems if the options make no sense.
//
// By default NaN is the worst there is and never a donor's; a donor is strictly better than the trial; one that has no
// checkpoint is replaced by the best that has one; a trial that has taken over is compared again from its next
// judgement on. Where there are fewer places than trials, a trial that another one is behind pauses at its judgement,
// and the one that is furthest behind goes on first, once all trials of the sweep are there.
//
// With `compat_ray` every decision is Ray Tune's (tune/schedulers/pbt.py): NaN is sorted as Python sorts it; a donor
// must have been among the best at its own last judgement; a trial keeps its score when it takes over; a trial pauses
// at its judgement whenever another one waits. What Ray Tune ends the whole run for, a report without the metric, goes
// on. Which donor of several, and the draws of explore, come from our own generator.
//
// With `synch` all trials wait for each other at each judgement.
//
// A judgement costs O(n log n) for n trials that run or wait.
std::unique_ptr<Scheduler> MakePbt(const SchedulerOptions& options, Problems* problems);

}  // namespace tunesmith
