#include "bench/search/functions.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>

namespace tunesmith::bench {
namespace {

const std::vector<Task>& Tasks() {
  static const std::vector<Task> tasks = Functions();
  return tasks;
}

const Task& Named(const std::string& name) {
  for (const Task& task : Tasks()) {
    if (task.name == name) return task;
  }
  ADD_FAILURE() << name;
  return Tasks().front();
}

TEST(Functions, TakeTheirOptimumWhereTheySay) {
  std::set<std::string> names;
  for (const Task& task : Tasks()) {
    EXPECT_TRUE(names.insert(task.name).second) << task.name << " twice";
    std::string why_not;
    ASSERT_TRUE(task.space.Contains(task.best, &why_not)) << task.name << ": " << why_not;
    EXPECT_NEAR(task.loss(task.best), task.optimum, 1e-9) << task.name;
    EXPECT_NEAR(Regret(task, task.loss(task.best)), 0, 1e-6) << task.name;
    EXPECT_GT(task.median, task.optimum) << task.name;
    EXPECT_FALSE(task.data);
  }
}

TEST(Functions, AreNowhereBelowTheirOptimum) {
  for (const Task& task : Tasks()) {
    Rng rng(7);
    for (int i = 0; i < 3000; ++i) {
      const Point point = task.space.Sample(&rng);
      const double loss = task.loss(point);
      EXPECT_FALSE(loss < task.optimum) << task.name << " " << loss;
    }
    // Nor near it, where random points do not come.
    Task found = task;
    Calibrate(4000, false, &found);
    EXPECT_GE(found.optimum, task.optimum - 1e-9) << task.name;
  }
}

TEST(Functions, TakeThePublishedValuesElsewhere) {
  // Branin has three equal minima; Hartmann-6 a second one; Ackley is 20 + e far from its waves'
  // crests.
  EXPECT_NEAR(Named("branin").loss({-3.14159265, 12.275}), 0.39788736, 1e-7);
  EXPECT_NEAR(Named("branin").loss({9.42477796, 2.475}), 0.39788736, 1e-7);
  EXPECT_NEAR(Named("branin").loss({0.0, 0.0}), 55.60211, 1e-4);
  EXPECT_NEAR(Named("hartmann6")
                  .loss({0.40465313, 0.88244493, 0.84610160, 0.57398969, 0.13892673, 0.03849589}),
              -3.20316191, 1e-6);
  EXPECT_NEAR(Named("ackley10").loss(Point(10, 1.0)), 20 - 20 * std::exp(-0.2), 1e-9);
  EXPECT_NEAR(Named("levy4").loss({1.0, 1.0, 1.0, 5.0}), 1, 1e-9);
  EXPECT_NEAR(Named("rosenbrock5").loss({1.0, 1.0, 0.0, 0.0, 0.0}), std::log(5.0), 1e-9);
  EXPECT_NEAR(Named("rastrigin5").loss(Point(5, int64_t{4})), 5, 1e-9);
}

TEST(Functions, FailAndDivergeWhereTheySay) {
  Rng rng(3);
  int failed = 0, infinite = 0;
  for (int i = 0; i < 3000; ++i) {
    failed += std::isnan(Named("failing4").loss(Named("failing4").space.Sample(&rng))) ? 1 : 0;
    infinite +=
        std::isinf(Named("diverging4").loss(Named("diverging4").space.Sample(&rng))) ? 1 : 0;
  }
  EXPECT_NEAR(failed, 900, 120);   // 30 %
  EXPECT_NEAR(infinite, 300, 80);  // 10 %
}

TEST(Task, RegretIsAHundredAtTheMedian) {
  Task task;
  task.optimum = -2;
  task.median = 6;
  EXPECT_EQ(Regret(task, -2), 0);
  EXPECT_EQ(Regret(task, 6), 100);
  EXPECT_EQ(Regret(task, 2), 50);
  EXPECT_EQ(Regret(task, 14), 200);
  EXPECT_EQ(Regret(task, -3), 0) << "below what is known as the optimum";
}

TEST(Task, CalibrationFindsMedianAndOptimum) {
  Task task = Named("branin");
  task.optimum = 0;
  Calibrate(4001, false, &task);
  EXPECT_NEAR(task.optimum, 0.397887, 1e-4);
  EXPECT_NEAR(task.median, Named("branin").median, 2);
  Task again = Named("branin");
  Calibrate(4001, false, &again);
  EXPECT_EQ(again.optimum, task.optimum) << "it is the same every time";
  Calibrate(4001, true, &again);
  EXPECT_EQ(again.optimum, task.optimum) << "a known optimum stays";
}

}  // namespace
}  // namespace tunesmith::bench
