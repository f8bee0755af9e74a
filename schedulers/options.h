// What the schedulers share in reading their options.
#pragma once

#include <string>

#include "common/problem.h"
#include "schedulers/scheduler.h"

namespace tunesmith {

// "3.5", "4": a number of an option as a person writes it.
std::string OptionText(double x);

// Appends what is wrong with grace_period: a finite number above 0 (or 0, if `may_be_zero`), whole but under
// compat: ray, and not above max_t where there is one.
void CheckGracePeriod(const SchedulerOptions& options, bool may_be_zero, Problems* problems);

// Appends what is wrong with max_t and reduction_factor of a scheduler with rungs, both filled in.
void CheckMaxT(const SchedulerOptions& options, Problems* problems);
void CheckReductionFactor(const SchedulerOptions& options, Problems* problems);
// The same of how many rungs there would be; the options have passed the checks above.
void CheckRungCount(const SchedulerOptions& options, Problems* problems);

}  // namespace tunesmith
