// Files that hold a scheduler, with or without the sweep around it.
#include "tests/unit/spec/read.h"

namespace tunesmith {
namespace {

SweepSpec Good(std::string_view text) {
  std::vector<FileProblem> problems;
  auto spec = ParseSchedulerFile(text, &problems);
  EXPECT_TRUE(spec.has_value()) << Lines(problems);
  return spec.value_or(SweepSpec());
}

std::string Bad(std::string_view text) {
  std::vector<FileProblem> problems;
  EXPECT_FALSE(ParseSchedulerFile(text, &problems).has_value()) << text;
  return Lines(problems);
}

constexpr char kSweep[] =
    "trainable: mlp\nmetric: {name: loss, mode: max}\ntrials: 3\nsearch: {type: random, seed: 7}\n";

TEST(SchedulerFile, ASectionMayStandAloneOrUnderItsKey) {
  for (const char* text : {"{type: asha, metric: loss, mode: max, max_t: 9}",
                           "scheduler:\n  type: asha\n  metric: loss\n  goal: max\n  max_t: 9\n",
                           R"({"scheduler": {"type": "asha", "metric": "loss", "mode": "max", "max_t": 9}})"}) {
    const SweepSpec spec = Good(text);
    EXPECT_EQ(spec.scheduler.type, "asha");
    EXPECT_EQ(SchedulerMetric(spec), "loss");
    EXPECT_EQ(SchedulerGoal(spec), Goal::kMax);
    EXPECT_EQ(spec.scheduler.max_t, 9);
    EXPECT_FALSE(spec.search.seed.has_value());
  }
  EXPECT_EQ(Good("scheduler: fifo").scheduler.type, "fifo");
  EXPECT_EQ(Good("type: fifo\nmax_t: 3\n").scheduler.max_t, 3);
}

TEST(SchedulerFile, AWholeSweepLendsItsMetricAndSeed) {
  const SweepSpec spec = Good(std::string(kSweep) + "scheduler: {type: asha, max_t: 9}\n");
  EXPECT_EQ(SchedulerMetric(spec), "loss");
  EXPECT_EQ(SchedulerGoal(spec), Goal::kMax);
  EXPECT_EQ(spec.search.seed, 7U);
  const SweepSpec own = Good(std::string(kSweep) + "scheduler: {type: asha, metric: acc, mode: min}\n");
  EXPECT_EQ(SchedulerMetric(own), "acc");
  EXPECT_EQ(SchedulerGoal(own), Goal::kMin);
  EXPECT_EQ(Good(kSweep).scheduler.type, "fifo");
}

TEST(SchedulerFile, AWrongSweepIsRefusedAsCheckRefusesIt) {
  for (const std::string& text :
       {std::string(kSweep) + "scheduler: {type: asha, max_t: 0}\n", std::string(kSweep) + "sheduler: asha\n",
        std::string("scheduler: {type: asha}\nsearch: {metric: loss, mode: min}\n"), std::string(), std::string("{}"),
        std::string("3"), std::string("[1]"), std::string("{"), std::string("\xff")}) {
    std::vector<FileProblem> problems;
    EXPECT_FALSE(ParseSweepFile(text, &problems).has_value());
    EXPECT_EQ(Bad(text), Lines(problems)) << text;
  }
}

TEST(SchedulerFile, AWrongSectionIsRefusedWithTheLineOfTheMistake) {
  EXPECT_EQ(Bad("type: ahsa\nmetric: loss\nmode: min\n"),
            "f:1: scheduler.type: unknown scheduler \"ahsa\" (did you mean asha?)\n");
  EXPECT_EQ(Bad("type: asha\nmetric: loss\nmode: min\nmax_t: 3\ngrace_period: 5\n"),
            "f:5: scheduler.grace_period: 5 is greater than max_t 3 (make grace_period smaller or max_t larger)\n");
  EXPECT_EQ(Bad("scheduler:\n  type: asha\n  metric: loss\n  mode: min\n  max_tt: 3\n"),
            "f:5: scheduler.max_tt: unknown key \"max_tt\" (did you mean \"max_t\"?)\n");
  EXPECT_EQ(Bad("tpye: asha\n"), "f:1: scheduler.tpye: unknown key \"tpye\" (did you mean \"type\"?)\n");
  EXPECT_EQ(Bad("type: asha\nmetric: loss\n"),
            "f:1: scheduler.mode: is a small or a large loss good? (add mode: min, or mode: max)\n");
  EXPECT_EQ(Bad("\ntype: asha\n"),
            "f:2: scheduler.metric: no metric is named, so no trial is better than another "
            "(add metric: loss and mode: min)\n");
  EXPECT_EQ(Bad("scheduler: asha\n"),
            "f:1: scheduler.metric: no metric is named, so no trial is better than another "
            "(add metric: loss and mode: min)\n");
  EXPECT_EQ(Bad("type: asha\ntype: fifo\nmetric: loss\nmode: min\n").substr(0, 4), "f:2:");
}

}  // namespace
}  // namespace tunesmith
