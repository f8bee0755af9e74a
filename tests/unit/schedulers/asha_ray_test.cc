// Decision vectors of Ray Tune's AsyncHyperBandScheduler: T1 to T6 are its own unit tests, M1 to M4
// were worked out by hand from its rules.
#include <gtest/gtest.h>

#include "tests/unit/schedulers/script.h"

namespace tunesmith {
namespace {

SchedulerOptions Ray(Goal goal, double factor, double grace, int64_t max_t) {
  return {.type = "asha",
          .goal = goal,
          .max_t = max_t,
          .grace_period = grace,
          .reduction_factor = factor,
          .compat_ray = true};
}

std::vector<double> Milestones(Scheduler& scheduler, int32_t bracket = 0) {
  std::vector<double> milestones;
  for (const RungStatus& rung : scheduler.Rungs()) {
    if (rung.bracket == bracket) milestones.push_back(rung.milestone);
  }
  return milestones;
}

constexpr uint32_t kA = 0, kB = 1, kC = 2, kD = 3;

void AddAll(Driver* driver, uint32_t count) {
  for (uint32_t trial = 0; trial < count; ++trial) driver->Add(trial);
}

TEST(RayAsha, T1TheCutoffIsAPercentileOfWhatWasRecorded) {
  Driver d(Ray(Goal::kMax, 2, 1, 10));
  AddAll(&d, 3);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(d.Letter(0, i, 100.0 * i), 'C');
  for (int i = 0; i < 5; ++i) EXPECT_EQ(d.Letter(1, i, 450), 'C');
  d.Complete(0, 10, 1000);
  d.Complete(1, 10, 1000);
  Verdict v = d.Report(2, 1, 260);
  EXPECT_EQ(v.action, Action::kStop);
  EXPECT_DOUBLE_EQ(v.cutoff, 275);
  d.Add(2);
  v = d.Report(2, 2, 260);
  EXPECT_EQ(v.action, Action::kStop);
  EXPECT_DOUBLE_EQ(v.cutoff, 325);
}

TEST(RayAsha, T2TheGracePeriodMayBeAFraction) {
  Driver d(Ray(Goal::kMax, 3, 2.5, 100));
  EXPECT_EQ(Milestones(d.scheduler()), (std::vector<double>{67.5, 22.5, 7.5, 2.5}));
  AddAll(&d, 3);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(d.Letter(0, i, 100.0 * i), 'C');
  for (int i = 0; i < 5; ++i) EXPECT_EQ(d.Letter(1, i, 450), 'C');
  d.Complete(0, 10, 1000);
  d.Complete(1, 10, 1000);
  EXPECT_EQ(d.Letter(2, 1, 10), 'C');
  EXPECT_EQ(d.Letter(2, 2, 10), 'C');
  EXPECT_EQ(d.Letter(2, 3, 10), 'S');
}

TEST(RayAsha, T3ANanIsNeverStoppedAndIsLeftOutOfTheCutoff) {
  Driver d(Ray(Goal::kMax, 2, 1, 10));
  AddAll(&d, 4);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(d.Letter(0, i, 450), 'C');
  for (int i = 0; i < 5; ++i) EXPECT_EQ(d.Letter(1, i, kNan), 'C');
  EXPECT_EQ(d.Letter(2, 1, 260), 'S');
  EXPECT_EQ(d.Letter(3, 2, 260), 'S');
}

TEST(RayAsha, T4WithoutStopLastTrialsMaxTStopsNobody) {
  SchedulerOptions options = Ray(Goal::kMax, 2, 1, 3);
  options.stop_last_trials = false;
  Driver d(options);
  AddAll(&d, 4);
  EXPECT_EQ(d.Letter(kA, 2, 10), 'C');
  EXPECT_EQ(d.Letter(kB, 2, 8), 'S');
  EXPECT_EQ(d.Letter(kC, 2, 6), 'S');
  EXPECT_EQ(d.Letter(kD, 2, 4), 'S');
  EXPECT_EQ(d.Letter(kA, 4, 10), 'C');
  EXPECT_EQ(d.Letter(kA, 8, 10), 'C');
  EXPECT_EQ(d.Letter(kA, 14, 1), 'C');
}

TEST(RayAsha, T5EveryTrialStopsAtMaxTWhateverItsBracket) {
  SchedulerOptions options = Ray(Goal::kMax, 4, 1, 10);
  options.brackets = 10;
  Driver d(options);
  for (uint32_t trial = 0; trial < 20; ++trial) {
    d.Add(trial);
    EXPECT_EQ(d.Letter(trial, 10, -2), 'S');
  }
}

TEST(RayAsha, T6ARestoredSchedulerDecidesAsTheOldOne) {
  const SchedulerOptions options = Ray(Goal::kMax, 2, 1, 100);
  Driver d(options);
  AddAll(&d, 8);
  for (uint32_t trial = 0; trial < 5; ++trial) EXPECT_EQ(d.Letter(trial, 1, 10), 'C');
  EXPECT_EQ(d.Letter(5, 1, 5), 'S');
  auto restored = MakeOrDie(options);
  for (const auto& [trial, verdict] : d.journal()) restored->Apply(trial, verdict);
  restored->AddTrial(6, 0);
  EXPECT_EQ(restored->Decide({6, 1, 4}).action, Action::kStop);
  restored->AddTrial(7, 0);
  EXPECT_EQ(restored->Decide({7, 1, 2}).action, Action::kStop);
}

TEST(RayAsha, M1AMinimisedSweepStopsTheWorstAndKeepsCutoffsInTheMetricsSign) {
  Driver d(Ray(Goal::kMin, 2, 1, 10));
  AddAll(&d, 4);
  EXPECT_EQ(d.Letter(kA, 1, 2.0), 'C');
  EXPECT_EQ(d.Letter(kB, 1, 1.8), 'C');
  EXPECT_EQ(d.Letter(kC, 1, 1.9), 'C');
  EXPECT_EQ(d.Letter(kD, 1, 2.3), 'S');
  EXPECT_EQ(d.Letter(kB, 2, 1.6), 'C');
  EXPECT_EQ(d.Letter(kA, 2, 1.5), 'C');
  EXPECT_EQ(d.Letter(kC, 2, 1.7), 'S');
  EXPECT_EQ(d.Letter(kA, 4, 1.2), 'C');
  EXPECT_EQ(d.Letter(kB, 4, 1.25), 'S');
  EXPECT_EQ(d.Letter(kA, 8, 1.0), 'C');
  EXPECT_EQ(d.Letter(kA, 9, 0.98), 'C');
  EXPECT_EQ(d.Report(kA, 10, 0.97).reason, Reason::kReachedMax);
  EXPECT_EQ(d.stops(), 4);
  const std::vector<RungStatus> rungs = d.scheduler().Rungs();
  ASSERT_EQ(rungs.size(), 4U);
  const double cutoffs[] = {1.0, 1.225, 1.6, 1.95};
  const uint32_t recorded[] = {1, 2, 3, 4};
  const uint32_t stopped[] = {0, 1, 1, 1};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_DOUBLE_EQ(rungs[i].cutoff.value(), cutoffs[i]);
    EXPECT_EQ(rungs[i].recorded, recorded[i]);
    EXPECT_EQ(rungs[i].stopped, stopped[i]);
  }
}

TEST(RayAsha, M2ASkippedRungIsJudgedByALaterReport) {
  Driver d(Ray(Goal::kMax, 2, 1, 16));
  AddAll(&d, 2);
  EXPECT_EQ(d.Letter(kA, 1, 0.1), 'C');
  EXPECT_EQ(d.Letter(kA, 2, 0.2), 'C');
  EXPECT_EQ(d.Letter(kA, 4, 0.4), 'C');
  Verdict v = d.Report(kB, 5, 0.5);
  EXPECT_EQ(v.action, Action::kContinue);
  EXPECT_EQ(v.milestone, 4);
  v = d.Report(kB, 6, 0.1);
  EXPECT_EQ(v.action, Action::kStop);
  EXPECT_EQ(v.milestone, 2);
}

TEST(RayAsha, M2WithoutStopLastTrialsASkippedRungStaysSkipped) {
  SchedulerOptions options = Ray(Goal::kMax, 2, 1, 16);
  options.stop_last_trials = false;
  Driver d(options);
  AddAll(&d, 2);
  EXPECT_EQ(d.Letter(kA, 1, 0.1), 'C');
  EXPECT_EQ(d.Letter(kA, 2, 0.2), 'C');
  EXPECT_EQ(d.Letter(kA, 4, 0.4), 'C');
  EXPECT_EQ(d.Letter(kB, 5, 0.5), 'C');
  EXPECT_EQ(d.Letter(kB, 6, 0.1), 'C');
  EXPECT_EQ(d.Letter(kB, 16, 0.01), 'C');
  EXPECT_EQ(d.Letter(kB, 40, 0), 'C');
}

TEST(RayAsha, M3TiesGoOn) {
  Driver d(Ray(Goal::kMax, 2, 1, 10));
  AddAll(&d, 5);
  const double values[] = {.5, .5, .5, .6, .5};
  for (uint32_t trial = 0; trial < 5; ++trial) EXPECT_EQ(d.Letter(trial, 1, values[trial]), 'C');
}

TEST(RayAsha, M4TheCutoffIsInterpolated) {
  Driver d(Ray(Goal::kMax, 3, 1, 10));
  AddAll(&d, 5);
  EXPECT_EQ(d.Letter(0, 1, 1), 'C');
  EXPECT_EQ(d.Letter(1, 1, 2), 'C');
  EXPECT_EQ(d.Letter(2, 1, 3), 'C');
  Verdict v = d.Report(3, 1, 2.3);
  EXPECT_EQ(v.action, Action::kStop);
  EXPECT_NEAR(v.cutoff, 7.0 / 3, 1e-12);
  v = d.Report(4, 1, 2.4);
  EXPECT_EQ(v.action, Action::kContinue);
  EXPECT_NEAR(v.cutoff, 2.3, 1e-12);
}

TEST(RayAsha, AReportWithoutTheMetricGoesOnEvenAtMaxT) {
  Driver d(Ray(Goal::kMin, 2, 1, 10));
  d.Add(0);
  const Verdict v = d.Report(0, 10, std::nullopt);
  EXPECT_EQ(v.action, Action::kContinue);
  EXPECT_EQ(v.reason, Reason::kNoMetric);
}

TEST(RayAsha, AStopAtMaxTIsRecordedAtTheHighestRungLeft) {
  Driver d(Ray(Goal::kMin, 2, 1, 10));
  d.Add(0);
  d.Report(0, 1, 0.5);
  d.Report(0, 10, 0.25);
  const std::vector<RungStatus> rungs = d.scheduler().Rungs();
  EXPECT_EQ(rungs[0].milestone, 8);
  EXPECT_EQ(rungs[0].recorded, 1U);
  EXPECT_EQ(rungs[0].stopped, 0U);
  EXPECT_EQ(rungs[1].recorded, 0U);
}

}  // namespace
}  // namespace tunesmith
