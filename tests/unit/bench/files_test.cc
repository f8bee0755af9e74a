// Files that the bench reads and writes: tables, the surrogate, kept runs.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "bench/search/kept_runs.h"
#include "bench/search/lcbench.h"
#include "bench/search/peer.h"
#include "bench/search/tables.h"

namespace tunesmith::bench {
namespace {

std::string Path(const std::string& name) {
  const std::string folder =
      testing::TempDir() + "/" + testing::UnitTest::GetInstance()->current_test_info()->name();
  std::filesystem::create_directories(folder);
  return folder + "/" + name;
}

std::string Write(const std::string& name, const std::vector<int32_t>& head,
                  const std::vector<double>& cells) {
  const std::string path = Path(name);
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(head.data()),
            static_cast<std::streamsize>(4 * head.size()));
  out.write(reinterpret_cast<const char*>(cells.data()),
            static_cast<std::streamsize>(8 * cells.size()));
  return path;
}

TEST(Tables, BecomeTasks) {
  std::vector<Task> tasks;
  Problems problems;
  LoadTable(Write("hpobench_x.tab", {2, 2, 3}, {0.1, 0.2, 0.3, 0.4, std::nan(""), 0.9}), &tasks,
            &problems);
  ASSERT_TRUE(problems.empty());
  ASSERT_EQ(tasks.size(), 1U);
  const Task& task = tasks[0];
  EXPECT_EQ(task.name, "hpobench_x");
  EXPECT_EQ(task.family, "hpobench");
  EXPECT_TRUE(task.data);
  EXPECT_EQ(task.optimum, -0.9);
  EXPECT_EQ(task.median, -0.3);
  EXPECT_EQ(task.loss({int64_t{0}, int64_t{2}}), -0.3) << "the last axis is the fastest";
  EXPECT_EQ(task.loss({int64_t{1}, int64_t{0}}), -0.4);
  EXPECT_TRUE(std::isnan(task.loss({int64_t{1}, int64_t{1}})));
}

TEST(Tables, OfHpolibHaveCategoriesAndALogarithm) {
  std::vector<Task> tasks;
  Problems problems;
  LoadTable(Write("hpolib_x.tab", {3, 2, 1, 2}, {1, 2, 3, 4}), &tasks, &problems);
  ASSERT_EQ(tasks.size(), 1U);
  EXPECT_EQ(tasks[0].space.parameters()[0].distribution, Distribution::kChoice);
  EXPECT_EQ(tasks[0].space.parameters()[2].distribution, Distribution::kRandInt);
  EXPECT_EQ(tasks[0].loss({std::string("v1"), std::string("v0"), int64_t{0}}), std::log(3.0));
}

TEST(Tables, ThatAreNoneAreProblems) {
  std::vector<Task> tasks;
  Problems problems;
  LoadTable(Path("hpobench_absent.tab"), &tasks, &problems);
  LoadTable(Write("hpobench_short.tab", {2, 2, 3}, {1, 2}), &tasks, &problems);
  LoadTable(Write("hpobench_long.tab", {1, 2}, {1, 2, 3}), &tasks, &problems);
  LoadTable(Write("hpobench_axes.tab", {-1}, {}), &tasks, &problems);
  LoadTable(Write("hpobench_huge.tab", {3, 1000000, 1000000, 1000000}, {}), &tasks, &problems);
  LoadTable(Write("hpobench_empty.tab", {1, 2}, {std::nan(""), std::nan("")}), &tasks, &problems);
  LoadTable(Write("other.tab", {1, 1}, {1}), &tasks, &problems);
  EXPECT_EQ(problems.size(), 7U);
  EXPECT_TRUE(tasks.empty());
}

TEST(Lcbench, RefusesOtherFiles) {
  std::vector<Task> tasks;
  Problems problems;
  LoadLcbench(Path("absent.net"), &tasks, &problems);
  LoadLcbench(Write("short.net", {260, 114, 144, 259, 2, 2}, {}), &tasks, &problems);
  LoadLcbench(Write("wrong.net", {260, 114, 144, 259, 2, 9, 5}, {1, 2, 3}), &tasks, &problems);
  EXPECT_EQ(problems.size(), 3U);
  EXPECT_TRUE(tasks.empty());
}

TEST(KeptRuns, AreTheSameAgain) {
  auto run = bench::Run();
  run.regret = {100, 100, 31.25, 1.0 / 3, 1.0 / 3};
  run.cpu_seconds = 0.5;
  run.trials = 5;
  run.full_length = 4;
  run.epochs = 99;
  const std::string path = Path("kept.json");
  std::filesystem::remove(path);
  Problems problems;
  KeptRuns kept;
  kept.Load(path, &problems);
  EXPECT_FALSE(kept.Find("a"));
  kept.Keep("a \"quoted\"", run);
  kept.Keep("b", {});
  KeptRuns again;
  again.Load(path, &problems);
  EXPECT_TRUE(problems.empty());
  const auto found = again.Find("a \"quoted\"");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->regret, run.regret);
  EXPECT_EQ(found->cpu_seconds, run.cpu_seconds);
  EXPECT_EQ(found->trials, run.trials);
  EXPECT_EQ(found->full_length, run.full_length);
  EXPECT_EQ(found->epochs, run.epochs);
  ASSERT_TRUE(again.Find("b"));
  EXPECT_TRUE(again.Find("b")->regret.empty());
}

TEST(KeptRuns, AnotherFileIsAProblem) {
  for (const char* text : {"no json", "[1]", R"({"a": 1})", R"({"a": {"length": 2}})"}) {
    const std::string path = Path("kept.json");
    std::ofstream(path) << text;
    Problems problems;
    KeptRuns kept;
    kept.Load(path, &problems);
    EXPECT_EQ(problems.size(), 1U) << text;
  }
}

TEST(OptunaPeer, SaysWhatIsMissing) {
  // One is no program; one ends; one talks nonsense.
  for (const char* python : {"/nonexistent/python", "true", "cat"}) {
    Problems problems;
    EXPECT_EQ(OptunaPeer::Start(python, &problems), nullptr) << python;
    ASSERT_EQ(problems.size(), 1U) << python;
    EXPECT_NE(problems[0].hint.find("python3-optuna"), std::string::npos);
  }
}

}  // namespace
}  // namespace tunesmith::bench
