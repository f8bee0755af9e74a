// The default rules, where they are safer than Ray Tune's.
#include <gtest/gtest.h>

#include "tests/unit/schedulers/script.h"

namespace tunesmith {
namespace {

SchedulerOptions Safe(Goal goal, double factor, double grace, int64_t max_t) {
  return {.type = "asha",
          .goal = goal,
          .max_t = max_t,
          .grace_period = grace,
          .reduction_factor = factor};
}

TEST(SafeAsha, NanStopsWhereThereIsACutoffAndIsTheWorstOfItsPeers) {
  Driver d(Safe(Goal::kMin, 2, 1, 9));
  for (uint32_t t = 0; t < 4; ++t) d.Add(t);
  Verdict first = d.Report(0, 1, kNan);
  EXPECT_EQ(first.action, Action::kContinue) << "nobody to compare with yet";
  EXPECT_TRUE(first.recorded);
  EXPECT_EQ(d.Report(1, 1, 0.5).action, Action::kContinue);
  const Verdict v = d.Report(2, 1, kNan);
  EXPECT_EQ(v.action, Action::kStop);
  EXPECT_EQ(v.reason, Reason::kNotANumber);
  EXPECT_EQ(v.rank, 2U) << "as bad as the other NaN";
  EXPECT_EQ(v.peers, 3U);
  EXPECT_EQ(d.Report(3, 1, 1e300).action, Action::kContinue) << "better than the NaN majority";
}

TEST(SafeAsha, InfinityIsOrderedAndNeverMakesTheCutoffUndefined) {
  Driver d(Safe(Goal::kMin, 4, 1, 9));
  for (uint32_t t = 0; t < 6; ++t) d.Add(t);
  EXPECT_EQ(d.Letter(0, 1, kInf), 'C');
  EXPECT_EQ(d.Letter(1, 1, kInf), 'C') << "ties go on";
  EXPECT_EQ(d.Letter(2, 1, 0.5), 'C');
  EXPECT_EQ(d.Letter(3, 1, 0.25), 'C');
  // Ascending scores -inf -inf -.5 -.25: position 2.25 lies between the two finite ones.
  const Verdict v = d.Report(4, 1, 0.6);
  EXPECT_EQ(v.action, Action::kStop);
  EXPECT_DOUBLE_EQ(v.cutoff, 0.4375);
  EXPECT_EQ(d.Letter(5, 1, kInf), 'S');
}

TEST(SafeAsha, OneBogusInfiniteBestDoesNotStopTheOthers) {
  Driver d(Safe(Goal::kMax, 2, 1, 9));
  for (uint32_t t = 0; t < 3; ++t) d.Add(t);
  EXPECT_EQ(d.Letter(0, 1, 0.9), 'C');
  EXPECT_EQ(d.Letter(1, 1, kInf), 'C');
  EXPECT_EQ(d.Letter(2, 1, 0.95), 'C');
}

TEST(SafeAsha, AJumpIsJudgedOnceAndSkippedRungsStaySkipped) {
  Driver d(Safe(Goal::kMax, 2, 1, 16));
  d.Add(0);
  d.Add(1);
  for (const int step : {1, 2, 4}) EXPECT_EQ(d.Letter(0, step, step / 10.0), 'C');
  const Verdict jump = d.Report(1, 5, 0.5);
  EXPECT_EQ(jump.milestone, 4);
  const Verdict after = d.Report(1, 6, 0.1);
  EXPECT_EQ(after.action, Action::kContinue);
  EXPECT_FALSE(after.recorded);
  EXPECT_FALSE(d.Report(1, 2, 0.0).recorded) << "a step back does not open a lower rung";
}

TEST(SafeAsha, MaxTStopsAsCompletedAlsoWithoutTheMetric) {
  Driver d(Safe(Goal::kMax, 3, 1, 9));
  d.Add(0);
  d.Add(1);
  EXPECT_EQ(d.Report(0, 9, 0.1).reason, Reason::kReachedMax);
  const Verdict v = d.Report(1, 12, std::nullopt);
  EXPECT_EQ(v.action, Action::kStop);
  EXPECT_EQ(v.reason, Reason::kReachedMax);
}

TEST(SafeAsha, AReportWithoutTheMetricGoesOnAndRecordsNothing) {
  Driver d(Safe(Goal::kMax, 3, 1, 9));
  d.Add(0);
  const Verdict v = d.Report(0, 3, std::nullopt);
  EXPECT_EQ(v.action, Action::kContinue);
  EXPECT_EQ(v.reason, Reason::kNoMetric);
  EXPECT_FALSE(v.recorded);
  EXPECT_TRUE(d.Report(0, 4, 1).recorded) << "the next report with it is judged at that rung";
}

TEST(SafeAsha, AGracePeriodOfMaxTMeansNoEarlyStop) {
  Driver d(Safe(Goal::kMin, 4, 10, 10));
  EXPECT_TRUE(d.scheduler().Rungs().empty());
  d.Add(0);
  EXPECT_EQ(d.Letter(0, 9, 1), 'C');
  EXPECT_EQ(d.Report(0, 10, 1).reason, Reason::kReachedMax);
}

TEST(SafeAsha, BracketsAreChosenBySeedAloneWithRaysProbabilities) {
  SchedulerOptions options = Safe(Goal::kMin, 4, 1, 100);
  options.brackets = 3;
  options.seed = 7;
  const auto a = MakeOrDie(options);
  const auto b = MakeOrDie(options);
  options.seed = 8;
  const auto other = MakeOrDie(options);
  constexpr int kDraws = 20'000;
  int counts[3] = {0, 0, 0};
  int differences = 0;
  for (uint32_t trial = 0; trial < kDraws; ++trial) {
    const int32_t bracket = a->BracketFor(trial);
    ASSERT_EQ(bracket, b->BracketFor(trial));
    ASSERT_TRUE(bracket >= 0 && bracket < 3);
    ++counts[bracket];
    differences += bracket != other->BracketFor(trial);
  }
  // Rung counts 4, 3, 2 give 0.665, 0.245, 0.090; the standard error at 20,000 draws is 0.0034 at
  // most. One fixed seed.
  EXPECT_NEAR(counts[0] / static_cast<double>(kDraws), 0.6652, 0.012);
  EXPECT_NEAR(counts[1] / static_cast<double>(kDraws), 0.2447, 0.012);
  EXPECT_NEAR(counts[2] / static_cast<double>(kDraws), 0.0900, 0.012);
  EXPECT_GT(differences, kDraws / 5);
}

TEST(SafeAsha, EachBracketHasItsOwnRungs) {
  SchedulerOptions options = Safe(Goal::kMax, 3, 1, 100);
  options.brackets = 2;
  const auto s = MakeOrDie(options);
  std::vector<std::pair<int32_t, double>> rungs;
  for (const RungStatus& r : s->Rungs()) rungs.emplace_back(r.bracket, r.milestone);
  EXPECT_EQ(rungs,
            (std::vector<std::pair<int32_t, double>>{
                {0, 81}, {0, 27}, {0, 9}, {0, 3}, {0, 1}, {1, 81}, {1, 27}, {1, 9}, {1, 3}}));
  s->AddTrial(0, 0);
  s->AddTrial(1, 1);
  s->Apply(0, s->Decide({0, 3, 10}));
  EXPECT_EQ(s->Decide({1, 3, 1}).reason, Reason::kFirstAtRung);
}

}  // namespace
}  // namespace tunesmith
