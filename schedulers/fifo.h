// Every trial runs to its own end, or to max_t where one is given.
#pragma once

#include <memory>

#include "common/problem.h"
#include "schedulers/scheduler.h"

namespace tunesmith {

// nullptr and problems if max_t is negative. The rung options have no meaning here and are ignored.
std::unique_ptr<Scheduler> MakeFifo(const SchedulerOptions& options, Problems* problems);

}  // namespace tunesmith
