#include "schedulers/median.h"

#include <gtest/gtest.h>

#include "tests/unit/schedulers/script.h"

namespace tunesmith {
namespace {

SchedulerOptions Max(int32_t samples, double grace = 1) {
  return {
      .type = "median", .goal = Goal::kMax, .grace_period = grace, .min_samples_required = samples};
}

SchedulerOptions RayMax(int32_t samples, double grace) {
  SchedulerOptions options = Max(samples, grace);
  options.compat_ray = true;
  return options;
}

// Ray Tune's own tests: trial 1 gets 100 i at steps 0 to 9, trial 2 gets 450 at steps 0 to 4.
void BasicSetup(Driver* d) {
  d->Add(1);
  d->Add(2);
  for (int i = 0; i < 10; ++i) ASSERT_EQ(d->Letter(1, i, 100.0 * i), 'C') << i;
  for (int i = 0; i < 5; ++i) ASSERT_EQ(d->Letter(2, i, 450), 'C') << i;
}

// Three peers with constant values over steps 1 to `steps`.
void AddThreePeers(Driver* d, double a, double b, double c, int64_t steps) {
  for (uint32_t trial = 1; trial <= 3; ++trial) d->Add(trial);
  for (int64_t step = 1; step <= steps; ++step) {
    for (uint32_t trial = 1; trial <= 3; ++trial) {
      const double values[] = {a, b, c};
      ASSERT_EQ(d->Letter(trial, step, values[trial - 1]), 'C') << step;
    }
  }
}

TEST(MedianAsRay, ComparesTheBestWithTheMeanOfAPeer) {
  Driver d(RayMax(1, 0));
  BasicSetup(&d);
  d.Complete(1, 10, 1000);
  EXPECT_EQ(d.Letter(2, 5, 450), 'C');
  EXPECT_EQ(d.Letter(2, 6, 0), 'C');
  EXPECT_EQ(d.Letter(2, 10, 450), 'S');
}

TEST(MedianAsRay, ComparesWithTheMedianOfThoseThatHaveEnded) {
  Driver d(RayMax(1, 0));
  BasicSetup(&d);
  d.Complete(1, 10, 1000);
  d.Complete(2, 10, 1000);
  d.Add(3);
  EXPECT_EQ(d.Report(3, 1, 260).cutoff, 250);
  const Verdict verdict = d.Report(3, 2, 260);
  EXPECT_EQ(verdict.action, Action::kStop);
  EXPECT_EQ(verdict.cutoff, 275);
  EXPECT_EQ(verdict.peers, 2U);
}

TEST(MedianAsRay, JudgesNothingBeforeTheGracePeriod) {
  Driver d(RayMax(1, 2.5));
  BasicSetup(&d);
  d.Complete(1, 10, 1000);
  d.Complete(2, 10, 1000);
  d.Add(3);
  EXPECT_EQ(d.Letter(3, 1, 10), 'C');
  EXPECT_EQ(d.Letter(3, 2, 10), 'C');
  const Verdict verdict = d.Report(3, 3, 10);
  EXPECT_EQ(verdict.action, Action::kStop);
  EXPECT_EQ(verdict.cutoff, 375) << "steps 0 to 2 are no part of the means";
}

TEST(MedianAsRay, WaitsForEnoughPeersThatHaveComeThisFar) {
  Driver d(RayMax(2, 0));
  BasicSetup(&d);
  d.Complete(1, 10, 1000);
  d.Add(3);
  EXPECT_EQ(d.Letter(3, 5, 10), 'C') << "trial 2 is at step 4";
  d.Complete(2, 10, 1000);
  EXPECT_EQ(d.Letter(3, 5, 10), 'S');
}

TEST(MedianAsRay, FollowsAMetricToItsMinimum) {
  SchedulerOptions options = RayMax(1, 0);
  options.goal = Goal::kMin;
  Driver d(options);
  d.Add(1);
  d.Add(2);
  for (int i = 0; i < 10; ++i) ASSERT_EQ(d.Letter(1, i, -100.0 * i), 'C');
  for (int i = 0; i < 5; ++i) ASSERT_EQ(d.Letter(2, i, -450), 'C');
  d.Complete(1, 10, -1000);
  d.Complete(2, 10, -1000);
  d.Add(3);
  EXPECT_EQ(d.Letter(3, 1, -260), 'C');
  const Verdict verdict = d.Report(3, 2, -260);
  EXPECT_EQ(verdict.action, Action::kStop);
  EXPECT_EQ(verdict.cutoff, -275) << "in the metric's own sign";
}

TEST(MedianAsRay, CountsTheLastReportOfAnEndedTrialTwice) {
  Driver d(RayMax(1, 0));
  d.Add(1);
  d.Report(1, 1, 0);
  d.Report(1, 2, 3);
  d.Complete(1, 2, 3);
  d.Add(2);
  EXPECT_EQ(d.Report(2, 2, 9).cutoff, 2) << "0, 3 and 3";
}

TEST(MedianAsRay, OneNaNStopsEveryOtherTrial) {
  Driver d(RayMax(3, 0));
  AddThreePeers(&d, 1, 2, kNan, 1);
  d.Add(4);
  const Verdict verdict = d.Report(4, 1, 1e9);
  EXPECT_EQ(verdict.action, Action::kStop);
  EXPECT_FALSE(verdict.has_cutoff);
  EXPECT_EQ(d.Letter(1, 1, 1e9), 'S');
}

TEST(MedianAsRay, AFirstNaNStaysTheBestAndLaterOnesArePassedOver) {
  Driver d(RayMax(1, 2));
  d.Add(1);
  for (int step = 1; step <= 3; ++step) ASSERT_EQ(d.Letter(1, step, 1), 'C');
  d.Add(2);
  EXPECT_EQ(d.Letter(2, 1, kNan), 'C') << "not judged yet";
  EXPECT_EQ(d.Letter(2, 2, 5), 'S');
  Driver e(RayMax(1, 2));
  e.Add(1);
  for (int step = 1; step <= 3; ++step) ASSERT_EQ(e.Letter(1, step, 1), 'C');
  e.Add(2);
  EXPECT_EQ(e.Letter(2, 1, 5), 'C');
  EXPECT_EQ(e.Letter(2, 2, kNan), 'C');
}

TEST(MedianAsRay, APeerThatSkippedTheStepsSoFarStopsTheTrial) {
  Driver d(RayMax(1, 1));
  d.Add(1);
  d.Report(1, 5, 1);
  d.Add(2);
  EXPECT_EQ(d.Letter(2, 3, 100), 'S') << "the mean of nothing is NaN";
}

// The means that numpy 1.24 gives; adding one by one gives others in the last digit.
TEST(MedianAsRay, MeansAreRoundedAsNumpyRoundsThem) {
  Driver d(RayMax(1, 1));
  d.Add(1);
  for (int i = 1; i <= 1000; ++i) d.Report(1, i, 1.0 / i);
  d.Add(2);
  // numpy.mean([1 / i for i in range(1, n + 1)])
  EXPECT_EQ(d.Report(2, 7, 1e9).cutoff, 0.37040816326530607);
  EXPECT_EQ(d.Report(2, 12, 1e9).cutoff, 0.25860088985088986);
  EXPECT_EQ(d.Report(2, 60, 1e9).cutoff, 0.07799784021586229);
  EXPECT_EQ(d.Report(2, 130, 1e9).cutoff, 0.04191224106358443);
  EXPECT_EQ(d.Report(2, 300, 1e9).cutoff, 0.02094221293433168);
  EXPECT_EQ(d.Report(2, 999, 1e9).cutoff, 0.0074919628233737195);
}

TEST(MedianAsRay, MaxTIsAStopperBeforeTheScheduler) {
  SchedulerOptions options = RayMax(1, 0);
  options.max_t = 2;
  Driver d(options);
  d.Add(1);
  EXPECT_EQ(d.Letter(1, 1, 0), 'C');
  EXPECT_EQ(d.Report(1, 2, 3).reason, Reason::kReachedMax);
  d.Add(2);
  d.Report(2, 1, 9);
  options.stop_last_trials = false;
  Driver e(options);
  e.Add(1);
  EXPECT_EQ(e.Letter(1, 2, 3), 'C');
  d.Complete(2, 2, 9);
  // The report at max_t is counted once: 0 and 3, beside 9 and 9.
  d.Add(3);
  EXPECT_EQ(d.Report(3, 1, 9).cutoff, 4.5);
}

TEST(Median, DecidesAsRayWhereNothingIsStrange) {
  Driver d(Max(1));
  d.Add(1);
  d.Add(2);
  for (int i = 1; i < 10; ++i) ASSERT_EQ(d.Letter(1, i, 100.0 * i), 'C') << i;
  for (int i = 1; i < 5; ++i) ASSERT_EQ(d.Letter(2, i, 450), 'C') << i;
  EXPECT_EQ(d.Letter(1, 10, 1000), 'C');
  d.Complete(1, 10, 1000);
  EXPECT_EQ(d.Letter(2, 5, 450), 'C');
  EXPECT_EQ(d.Letter(2, 6, 0), 'C') << "its best counts";
  const Verdict verdict = d.Report(2, 10, 450);
  EXPECT_EQ(verdict.action, Action::kStop);
  EXPECT_EQ(verdict.reason, Reason::kBelowMedian);
  EXPECT_EQ(verdict.cutoff, 550);
  EXPECT_EQ(verdict.milestone, 10);
  EXPECT_EQ(verdict.peers, 1U);
}

TEST(Median, ATieContinuesAndAnythingWorseStops) {
  Driver d(Max(3));
  AddThreePeers(&d, 1, 2, 3, 1);
  d.Add(4);
  const Verdict verdict = d.Report(4, 1, 2);
  EXPECT_EQ(verdict.action, Action::kContinue);
  EXPECT_EQ(verdict.reason, Reason::kAboveMedian);
  EXPECT_EQ(verdict.cutoff, 2);
  d.Add(5);
  EXPECT_EQ(d.Letter(5, 1, 1.99), 'S') << "the median of 1, 2, 2 and 3 is 2";
}

TEST(Median, EqualTrialsNeverStopEachOtherByRounding) {
  for (const Goal goal : {Goal::kMin, Goal::kMax}) {
    SchedulerOptions options = Max(3);
    options.goal = goal;
    for (const double value : {0.1, 0.3, 1.0 / 3, 1e308, -1e308, 5e-324}) {
      Driver d(options);
      for (uint32_t trial = 0; trial < 8; ++trial) d.Add(trial);
      for (int64_t step = 1; step <= 60; ++step) {
        for (uint32_t trial = 0; trial < 8; ++trial) {
          ASSERT_EQ(d.Letter(trial, step, value), 'C') << value << " step " << step;
        }
      }
    }
  }
}

TEST(Median, MeansTakeInTheReportsBeforeTheGracePeriod) {
  Driver d(Max(1, 3));
  d.Add(1);
  for (const int step : {1, 2, 3}) d.Report(1, step, 3.0 * step);
  d.Add(2);
  EXPECT_EQ(d.Report(2, 1, 0).reason, Reason::kNone);
  EXPECT_EQ(d.Report(2, 2, 9).reason, Reason::kNone);
  const Verdict verdict = d.Report(2, 3, 0);
  EXPECT_EQ(verdict.cutoff, 6);
  EXPECT_EQ(verdict.reason, Reason::kAboveMedian) << "and so does the best";
}

TEST(Median, AnEndedTrialsLastReportCountsOnce) {
  Driver d(Max(1));
  d.Add(1);
  d.Report(1, 1, 0);
  d.Report(1, 2, 3);
  d.Complete(1, 2, 3);
  d.Add(2);
  EXPECT_EQ(d.Report(2, 2, 9).cutoff, 1.5);
}

TEST(Median, NaNIsLeftOutOfMeansAndATrialOfNaNAloneIsNoPeer) {
  Driver d(Max(1));
  d.Add(1);
  d.Report(1, 1, kNan);
  d.Add(2);
  EXPECT_EQ(d.Report(2, 1, 5).reason, Reason::kNone) << "no peer with a number";
  d.Report(1, 2, 4);
  d.Report(1, 3, kNan);
  const Verdict verdict = d.Report(2, 3, 5);
  EXPECT_EQ(verdict.cutoff, 4);
  EXPECT_EQ(verdict.peers, 1U);
}

TEST(Median, ATrialOfNaNAloneStopsOnceThereIsAMedian) {
  Driver d(Max(3, 2));
  AddThreePeers(&d, 1, 2, 3, 2);
  d.Add(4);
  EXPECT_EQ(d.Letter(4, 1, kNan), 'C');
  const Verdict verdict = d.Report(4, 2, kNan);
  EXPECT_EQ(verdict.action, Action::kStop);
  EXPECT_EQ(verdict.reason, Reason::kBelowMedian);
  EXPECT_EQ(verdict.cutoff, 2);
}

TEST(Median, ANaNIsNeverABest) {
  Driver d(Max(3, 2));
  AddThreePeers(&d, 1, 2, 3, 4);
  d.Add(4);
  EXPECT_EQ(d.Letter(4, 1, kNan), 'C');
  EXPECT_EQ(d.Letter(4, 2, 2.5), 'C');
  EXPECT_EQ(d.Letter(4, 3, kNan), 'C');
}

TEST(Median, InfinitiesMakeTheMilderMedian) {
  Driver d(Max(2));
  d.Add(1);
  d.Add(2);
  d.Report(1, 1, -kInf);
  d.Report(2, 1, kInf);
  d.Add(3);
  const Verdict verdict = d.Report(3, 1, -5);
  EXPECT_EQ(verdict.cutoff, -kInf);
  EXPECT_EQ(verdict.action, Action::kContinue);
}

TEST(Median, AReportWithoutTheMetricIsNeitherRecordedNorJudged) {
  Driver d(Max(1));
  d.Add(1);
  d.Report(1, 1, 1);
  const Verdict verdict = d.Report(1, 9, std::nullopt);
  EXPECT_EQ(verdict.reason, Reason::kNoMetric);
  EXPECT_FALSE(verdict.recorded);
  d.Add(2);
  EXPECT_EQ(d.Letter(2, 9, 0), 'C') << "trial 1 has no number at step 9";
}

TEST(Median, MaxTStopsATrialAsCompletedAndItsReportCounts) {
  SchedulerOptions options = Max(1);
  options.max_t = 2;
  Driver d(options);
  d.Add(1);
  EXPECT_EQ(d.Letter(1, 1, 0), 'C');
  EXPECT_EQ(d.Report(1, 2, 3).reason, Reason::kReachedMax);
  d.Add(2);
  EXPECT_EQ(d.Report(2, 2, std::nullopt).reason, Reason::kReachedMax);
  options.max_t = 0;
  Driver e(options);
  e.Add(1);
  EXPECT_EQ(e.Letter(1, 1'000'000'000, 1), 'C');
}

TEST(Median, ATrialThatStartedAnewKeepsWhatItReportedBefore) {
  Driver d(Max(1));
  d.Add(1);
  for (const int step : {1, 2, 3}) d.Report(1, step, 6);
  d.Report(1, 1, 0);  // again, from the start
  d.Add(2);
  EXPECT_EQ(d.Report(2, 2, 0).reason, Reason::kNone) << "trial 1 is at step 1 now";
  d.Report(1, 2, 0);
  EXPECT_EQ(d.Report(2, 2, 9).cutoff, 3) << "6, 6, 0 and 0";
}

TEST(Median, HasNoRungsAndNoMilestones) {
  Driver d(Max(3));
  AddThreePeers(&d, 1, 2, 3, 4);
  EXPECT_TRUE(d.scheduler().Rungs().empty());
  EXPECT_TRUE(d.scheduler().Milestones(0).empty());
}

TEST(Median, IsOverAsManyPeersAsThereAre) {
  Driver d(Max(3));
  constexpr uint32_t kTrials = 10'000;
  for (uint32_t trial = 0; trial < kTrials; ++trial) {
    d.Add(trial);
    for (int64_t step = 1; step <= 50; ++step) {
      d.scheduler().Apply(trial, {.milestone = static_cast<double>(step),
                                  .recorded = true,
                                  .value = static_cast<double>(trial)});
    }
  }
  d.Add(kTrials);
  for (int64_t step = 1; step <= 50; ++step) {
    const Verdict verdict = d.Report(kTrials, step, 1e9);
    ASSERT_EQ(verdict.peers, kTrials);
    ASSERT_EQ(verdict.cutoff, 4999.5);
  }
}

}  // namespace
}  // namespace tunesmith
