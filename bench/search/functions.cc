#include "bench/search/functions.h"

#include <cmath>
#include <utility>

namespace tunesmith::bench {
namespace {

constexpr double kPi = 3.14159265358979323846;

Parameter Uniform(const std::string& name, double lo, double hi) {
  Parameter p;
  p.name = name;
  p.distribution = Distribution::kUniform;
  p.lo = lo;
  p.hi = hi;
  return p;
}

Task MakeTask(const std::string& name, std::vector<Parameter> parameters, double optimum,
              std::function<double(const Point&)> loss) {
  Problems problems;
  Task task;
  task.name = name;
  task.family = "functions";
  task.space = *Space::Create(std::move(parameters), &problems);
  task.loss = std::move(loss);
  task.optimum = optimum;
  return task;
}

double Branin(const Point& point) {
  const double x = ValueNumber(point[0]), y = ValueNumber(point[1]);
  const double valley = y - 5.1 / (4 * kPi * kPi) * x * x + 5 / kPi * x - 6;
  return valley * valley + 10 * (1 - 1 / (8 * kPi)) * std::cos(x) + 10;
}

}  // namespace

std::vector<Task> Functions() {
  std::vector<Task> tasks;
  tasks.push_back(
      MakeTask("branin", {Uniform("x", -5, 10), Uniform("y", 0, 15)}, 0.397887357729738, Branin));
  for (Task& task : tasks) Calibrate(10'001, true, &task);
  return tasks;
}

}  // namespace tunesmith::bench
