// Tasks from tables of results: every configuration of a grid was tried once for all.
#pragma once

#include <string>
#include <vector>

#include "bench/search/task.h"
#include "common/problem.h"

namespace tunesmith::bench {

// The task of a file NAME.tab: little-endian, int32 number of axes, their int32 sizes, then the results as float64
// with the last axis fastest; NaN where there is none. What the axes and the results are follows from the name's
// start: hpolib_ (loss: log of the mean squared error), hpobench_ and nasbench201_ (loss: minus the accuracy).
// Appends a problem if the file is not such a table.
void LoadTable(const std::string& path, std::vector<Task>* tasks, Problems* problems);

}  // namespace tunesmith::bench
