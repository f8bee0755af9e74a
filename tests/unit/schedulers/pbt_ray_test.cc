// compat: ray of Population Based Training: the deterministic parts of tune/schedulers/pbt.py.
#include <cmath>
#include <string>

#include "schedulers/pbt.h"
#include "tests/unit/schedulers/script.h"

namespace tunesmith {
namespace {

SchedulerOptions Options(PbtOptions pbt, Goal goal = Goal::kMax) {
  return {.type = "pbt", .goal = goal, .seed = 1, .compat_ray = true, .pbt = std::move(pbt)};
}

// '.' nothing recorded, 'C' goes on, 'X' takes over, 'n' cannot, since the donor has no checkpoint, 'P' pauses.
char Letter(const Verdict& verdict) {
  if (!verdict.recorded) return '.';
  if (verdict.reason == Reason::kExploits) return 'X';
  if (verdict.reason == Reason::kNoDonor) return 'n';
  return verdict.action == Action::kPause ? 'P' : 'C';
}

// Reports of all at one step.
std::string Round(Driver* driver, int64_t step, const std::vector<std::optional<double>>& values) {
  std::string letters;
  for (uint32_t t = 0; t < values.size(); ++t) letters += Letter(driver->Report(t, step, values[t]));
  return letters;
}

Driver Population(uint32_t trials, PbtOptions pbt, Goal goal = Goal::kMax) {
  Driver driver(Options(std::move(pbt), goal));
  for (uint32_t t = 0; t < trials; ++t) driver.Add(t);
  return driver;
}

TEST(PbtRayTest, TheBurnInComesBeforeTheInterval) {
  Driver driver = Population(1, {.perturbation_interval = 5, .burn_in_period = 12});
  std::string letters;
  for (int64_t step = 1; step <= 23; ++step) letters += Letter(driver.Report(0, step, 1.0));
  EXPECT_EQ(letters, "...........C....C....C.");  // 12 - 0 >= 5, then 17 and 22
}

TEST(PbtRayTest, TheIntervalCountsFromTheLastJudgementNotFromMultiples) {
  Driver driver = Population(1, {.perturbation_interval = 5});
  std::string letters;
  for (const int64_t step : {3, 7, 10, 11, 12, 16, 17}) letters += Letter(driver.Report(0, step, 1.0));
  EXPECT_EQ(letters, ".C..C.C");  // 7, 12, 17
}

// q = ceil(n f), or floor(n / 2) where that is more than half.
TEST(PbtRayTest, HowManyAreTheWorst) {
  const auto worst = [](uint32_t trials, double fraction) {
    uint32_t count = 0;
    for (uint32_t probe = 0; probe < trials; ++probe) {
      Driver driver = Population(trials, {.perturbation_interval = 1, .quantile_fraction = fraction});
      // All have a score; the probe, which is the one of that rank, is asked again.
      for (uint32_t t = 0; t < trials; ++t) {
        driver.scheduler().Apply(t, {.milestone = 1, .recorded = true, .value = double(t), .rank = 1, .peers = trials});
      }
      const Verdict verdict = driver.scheduler().Decide({.trial = probe, .step = 2, .value = double(probe)});
      EXPECT_EQ(verdict.rank, trials > 1 ? trials - probe : 0);
      count += verdict.reason == Reason::kExploits ? 1 : 0;
    }
    return count;
  };
  EXPECT_EQ(worst(1, 0.25), 0u);
  EXPECT_EQ(worst(2, 0.25), 1u);
  EXPECT_EQ(worst(3, 0.25), 1u);
  EXPECT_EQ(worst(4, 0.25), 1u);
  EXPECT_EQ(worst(5, 0.25), 2u);
  EXPECT_EQ(worst(8, 0.25), 2u);
  EXPECT_EQ(worst(9, 0.25), 3u);
  EXPECT_EQ(worst(3, 0.5), 1u);
  EXPECT_EQ(worst(5, 0.5), 2u);
  EXPECT_EQ(worst(6, 0.5), 3u);
  EXPECT_EQ(worst(8, 0.0), 0u);
  EXPECT_EQ(worst(100, 0.07), 8u) << "0.07 * 100 is more than 7";
}

TEST(PbtRayTest, AsynchronousVectors) {
  Driver driver = Population(4, {.perturbation_interval = 2});
  // t0 alone: no quantiles, so it keeps no checkpoint. t1 is the worse of two, but its donor t0 has none. t2 is the
  // best: it keeps one. t3 is the worst of four and takes over from t2.
  EXPECT_EQ(Round(&driver, 2, {4, 3, 5, 1}), "CnCX");
  EXPECT_EQ(driver.scheduler().Donors(3), std::vector<uint32_t>{2});
  driver.scheduler().Exploit(3, 2, 2);
  // It keeps its score 1 until its next judgement, and is the worst for the others: nobody else takes over.
  EXPECT_EQ(Round(&driver, 3, {4, 3, 5, 0}), "....");
  EXPECT_EQ(Round(&driver, 4, {2, 3, 5, 6}), "CCCC");
  // t0 is the worst now; the best is t3, which has kept a checkpoint at its last judgement.
  EXPECT_EQ(Letter(driver.Report(0, 6, 1)), 'X');
  EXPECT_EQ(driver.scheduler().Donors(0), std::vector<uint32_t>{3});
}

TEST(PbtRayTest, ADonorThatWasNotAmongTheBestAtItsOwnJudgementHasNoCheckpoint) {
  Driver driver = Population(2, {.perturbation_interval = 1, .quantile_fraction = 0.5});
  EXPECT_EQ(Round(&driver, 1, {2, 1}), "Cn");  // t0 was judged alone
  EXPECT_EQ(Round(&driver, 2, {2, 1}), "CX");
}

TEST(PbtRayTest, TiesAreInTheOrderOfTheTrials) {
  Driver driver = Population(4, {.perturbation_interval = 1});
  // Stable and ascending: of equals the first one is the worst, the last one the best.
  EXPECT_EQ(Round(&driver, 1, {1, 1, 1, 1}), "CCCC");
  EXPECT_EQ(Letter(driver.Report(0, 2, 1)), 'X');
  EXPECT_EQ(driver.scheduler().Donors(0), std::vector<uint32_t>{3});
}

TEST(PbtRayTest, MinIsMaxOfTheNegative) {
  Driver driver = Population(4, {.perturbation_interval = 2}, Goal::kMin);
  EXPECT_EQ(Round(&driver, 2, {-4, -3, -5, -1}), "CnCX");
}

TEST(PbtRayTest, AReportWithoutTheMetricGoesOnAndRecordsNothing) {
  Driver driver = Population(2, {.perturbation_interval = 1});
  EXPECT_EQ(driver.Report(0, 1, std::nullopt).reason, Reason::kNoMetric);
  EXPECT_EQ(Round(&driver, 2, {1, std::nullopt}), "C.");
  EXPECT_EQ(driver.Report(0, 3, 1).peers, 0u) << "it is alone still";
}

TEST(PbtRayTest, EndedTrialsAreNotCompared) {
  Driver driver = Population(3, {.perturbation_interval = 1, .quantile_fraction = 0.5});
  Round(&driver, 1, {3, 2, 1});
  driver.Complete(0, 1, 3.0);
  EXPECT_EQ(driver.Report(1, 2, 2).peers, 2u);
}

TEST(PbtRayTest, NotANumberIsSortedAsPythonDoes) {
  // The order that CPython gives: sorted(range(n), key=scores.__getitem__), the worst first.
  const std::vector<std::pair<std::vector<double>, std::vector<uint32_t>>> vectors = {
      {{1, kNan, 0.5, 2}, {0, 1, 2, 3}},
      {{kNan, 3, 1, 2}, {0, 2, 3, 1}},
      {{3, 2, kNan, 1, 0}, {4, 3, 1, 0, 2}},
      {{0.1, 0.2, 0.3, kNan}, {0, 1, 2, 3}},
      {{5, 4, 3, kNan, 2, 1, 6}, {5, 4, 2, 1, 0, 3, 6}},
      {{kNan, kNan, 1}, {0, 1, 2}},
      {{2, kNan, 1, kNan, 0, 3, kNan, -1}, {0, 1, 2, 3, 4, 5, 6, 7}},
  };
  for (const auto& [scores, order] : vectors) {
    Driver driver = Population(static_cast<uint32_t>(scores.size()), {.perturbation_interval = 1});
    for (uint32_t t = 0; t < scores.size(); ++t) {
      driver.scheduler().Apply(t, {.milestone = 1, .recorded = true, .value = scores[t], .rank = 1, .peers = 2});
    }
    for (size_t place = 0; place < order.size(); ++place) {
      const uint32_t trial = order[place];
      const Verdict verdict = driver.scheduler().Decide({.trial = trial, .step = 2, .value = scores[trial]});
      EXPECT_EQ(verdict.rank, scores.size() - place) << "trial " << trial << " of " << scores.size();
    }
  }
}

TEST(PbtRayTest, PausesWheneverAnotherOneWaits) {
  Driver driver = Population(3, {.perturbation_interval = 2});
  TrialReport report{.trial = 0, .step = 2, .value = 1.0, .waiting = 9};
  EXPECT_EQ(Letter(driver.scheduler().Decide(report)), 'P');
  report.step = 1;
  EXPECT_EQ(Letter(driver.scheduler().Decide(report)), '.') << "only when it is judged";
}

TEST(PbtRayTest, SynchronousVectors) {
  Driver driver = Population(4, {.perturbation_interval = 2, .synch = true});
  Scheduler& scheduler = driver.scheduler();
  EXPECT_EQ(Round(&driver, 1, {9, 9, 9, 9}), "....");
  EXPECT_EQ(Round(&driver, 2, {4, 3, 5, 1}), "PPPP");
  auto next = scheduler.NextPaused(Outlook::kComplete);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->verdict.reason, Reason::kAllThere);
  EXPECT_EQ(next->verdict.action, Action::kPause);
  scheduler.Apply(next->trial, next->verdict);
  next = scheduler.NextPaused(Outlook::kComplete);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->trial, 3u);
  EXPECT_EQ(next->verdict.reason, Reason::kExploits);
  EXPECT_EQ(scheduler.Donors(3), std::vector<uint32_t>{2});
  scheduler.Exploit(3, 2, 2);
  // next_sync is 4, all have last_train_time 2: all go on.
  for (const uint32_t trial : {0U, 1U, 2U}) {
    next = scheduler.NextPaused(Outlook::kComplete);
    ASSERT_TRUE(next);
    EXPECT_EQ(next->trial, trial);
    EXPECT_EQ(next->verdict.reason, Reason::kTakesTurn);
    scheduler.Apply(trial, next->verdict);
  }
  EXPECT_FALSE(scheduler.NextPaused(Outlook::kIdle));
  EXPECT_EQ(Round(&driver, 3, {9, 9, 9, 9}), "....");
  EXPECT_EQ(Letter(driver.Report(0, 4, 1)), 'P');
  EXPECT_FALSE(scheduler.NextPaused(Outlook::kComplete)) << "three are behind";
}

// next_sync is the furthest that one has reported, and who is that far waits for the others.
TEST(PbtRayTest, SynchronousWithAnOvershoot) {
  Driver driver = Population(2, {.perturbation_interval = 5, .synch = true});
  Scheduler& scheduler = driver.scheduler();
  driver.Report(0, 12, 2.0);
  driver.Report(1, 5, 3.0);
  auto next = scheduler.NextPaused(Outlook::kComplete);
  ASSERT_TRUE(next && next->verdict.reason == Reason::kAllThere);
  scheduler.Apply(next->trial, next->verdict);  // next_sync = max(5 + 5, 12), judged at 5
  next = scheduler.NextPaused(Outlook::kComplete);
  ASSERT_TRUE(next && next->verdict.reason == Reason::kExploits && next->trial == 0);
  EXPECT_EQ(next->verdict.action, Action::kContinue) << "its donor is at 5, behind 12";
  scheduler.Exploit(0, 1, 5);
  next = scheduler.NextPaused(Outlook::kComplete);
  ASSERT_TRUE(next && next->trial == 1 && next->verdict.reason == Reason::kTakesTurn);
}

}  // namespace
}  // namespace tunesmith
