// A task to measure searchers on: a space, what a trial at a point yields, and the two losses that make regrets of
// different tasks comparable.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "search/space/space.h"

namespace tunesmith::bench {

struct Task {
  std::string name;    // "hpobench_car"
  std::string family;  // "hpobench": regrets are averaged by family
  bool data = false;   // measured on real data; else a function written for this purpose
  Space space;

  // Lower is better; NaN: the trial fails. Any number of threads may call it.
  std::function<double(const Point&)> loss;
  // Standard deviation of the normal noise that is added to the loss before the searcher sees it. A run is judged by
  // the loss without noise of the point that looks best.
  double noise = 0;

  // Learning curves, where there are any: the loss after so many epochs (loss is that after max_epochs), and the
  // seconds that they take. Epochs start at first_epoch.
  std::function<double(const Point&, int)> loss_at;
  std::function<double(const Point&, int)> seconds_at;
  int first_epoch = 1;
  int max_epochs = 1;

  double optimum = 0;  // the lowest loss, or the lowest known
  Point best = {};     // where it is; empty if that is not known
  double median = 1;   // of the points of the prior whose trials do not fail
};

// A parameter over a range, whose ends are the distribution's.
Parameter RangeParameter(const std::string& name, Distribution distribution, double lo, double hi);

// 100 * (loss - optimum) / (median - optimum): 0 is the optimum and 100 a middling random point. Below the optimum
// (where that is only the lowest known) is 0.
double Regret(const Task& task, double loss);

// Sets the median, and the optimum unless `optimum_known`, from `samples` points of the prior; the best of them are
// then improved by small steps. Takes `samples` * 1.5 evaluations. The same every time.
void Calibrate(size_t samples, bool optimum_known, Task* task);

}  // namespace tunesmith::bench
