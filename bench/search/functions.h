// Tasks that need no data: functions with known optima, each for one difficulty.
#pragma once

#include <vector>

#include "bench/search/task.h"

namespace tunesmith::bench {

std::vector<Task> Functions();

}  // namespace tunesmith::bench
