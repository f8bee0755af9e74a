// HyperBand as Ray Tune decides it (tune/schedulers/hyperband.py).
#pragma once

#include <memory>

#include "schedulers/scheduler.h"

namespace tunesmith {

// The options are checked and filled (MakeHyperBand).
//
// What differs from the paper: bracket 0, which stops nobody until its end, is filled first; of n trials ceil(n / f)
// go on, where n is what is left of the bracket's size, not of those that came; a rung is rounded down; a bracket is
// judged as soon as all its live trials have got to the rung, whether it is full or not, and a trial that joins it
// later has to get to the present rung; a trial that went past the next rung as well stays paused there; at the last
// rung all wait for each other, and then stop as completed.
//
// What Ray Tune leaves undefined or waits for for ever: NaN is the worst value; a report without the metric continues
// (there it ends the run); when the trial that the others wait for has ended, they are judged, also at the last rung
// and where all have gone past the next one.
//
// Every operation costs O(trials of the bracket).
std::unique_ptr<Scheduler> MakeRayHyperBand(const SchedulerOptions& options);

}  // namespace tunesmith
