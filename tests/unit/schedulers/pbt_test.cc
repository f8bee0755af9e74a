// Population Based Training by our own rules.
#include "schedulers/pbt.h"

#include "tests/unit/schedulers/script.h"

namespace tunesmith {
namespace {

SchedulerOptions Options(PbtOptions pbt) {
  return {.type = "pbt", .goal = Goal::kMin, .seed = 1, .pbt = std::move(pbt)};
}

TEST(PbtTest, JudgesEveryIntervalAfterTheBurnIn) {
  Driver driver(Options({.perturbation_interval = 3, .burn_in_period = 7}));
  driver.Add(0);
  driver.Add(1);
  std::vector<int64_t> judged;
  for (int64_t step = 1; step <= 20; ++step) {
    driver.Report(0, step, 1.0);
    if (driver.Report(1, step, 0.5).recorded) judged.push_back(step);
  }
  EXPECT_EQ(judged, (std::vector<int64_t>{7, 10, 13, 16, 19}));
}

TEST(PbtTest, TheWorstQuarterTakesOverFromABetterOne) {
  Driver driver(Options({.perturbation_interval = 1}));
  for (uint32_t t = 0; t < 8; ++t) driver.Add(t);
  for (uint32_t t = 0; t < 7; ++t) {
    const Verdict verdict = driver.Report(t, 1, 0.1 * (t + 1));
    // Each is worse than those before, so it is the worst: from the second one on, and takes over at once.
    EXPECT_EQ(verdict.reason, t == 0 ? Reason::kNone : Reason::kExploits) << t;
    if (t == 0) continue;
    const std::vector<uint32_t> donors = driver.scheduler().Donors(t);
    ASSERT_FALSE(donors.empty());
    EXPECT_EQ(donors[0], 0u);
    EXPECT_EQ(driver.scheduler().NextPaused(Outlook::kOpen)->trial, t);
    driver.scheduler().Exploit(t, 0, 1);
    EXPECT_FALSE(driver.scheduler().NextPaused(Outlook::kOpen));
  }
}

TEST(PbtTest, NotANumberIsTheWorstAndNeverADonors) {
  Driver driver(Options({.perturbation_interval = 1, .quantile_fraction = 0.5}));
  for (uint32_t t = 0; t < 4; ++t) driver.Add(t);
  EXPECT_EQ(driver.Report(0, 1, kNan).reason, Reason::kNone);
  EXPECT_EQ(driver.Report(1, 1, kNan).reason, Reason::kKeepsOn) << "no worse than the other, which came first";
  EXPECT_EQ(driver.Report(0, 2, kNan).reason, Reason::kNoDonor) << "nobody is better";
  EXPECT_EQ(driver.Report(2, 1, 5.0).reason, Reason::kKeepsOn);
  const Verdict verdict = driver.Report(0, 3, kNan);
  EXPECT_EQ(verdict.reason, Reason::kExploits);
  EXPECT_EQ(verdict.action, Action::kPause);
  EXPECT_EQ(driver.scheduler().Donors(0), std::vector<uint32_t>{2});
}

TEST(PbtTest, AReportWithoutTheMetricChangesNothing) {
  Driver driver(Options({.perturbation_interval = 2}));
  driver.Add(0);
  driver.Add(1);
  driver.Report(0, 2, 1.0);
  EXPECT_EQ(driver.Report(1, 2, std::nullopt).reason, Reason::kNoMetric);
  EXPECT_EQ(driver.Report(1, 3, 2.0).reason, Reason::kExploits) << "judged by the first report that has it";
}

TEST(PbtTest, ADonorWithoutACheckpointIsReplacedByTheBestThatHasOne) {
  const auto scheduler = MakeOrDie(Options({.perturbation_interval = 1}));
  for (uint32_t t = 0; t < 8; ++t) scheduler->AddTrial(t, 0);
  for (uint32_t t = 0; t < 7; ++t) {
    Verdict verdict{.milestone = 1, .recorded = true, .value = 0.1 * (t + 1), .rank = 1, .peers = 1};
    scheduler->Apply(t, verdict);
  }
  TrialReport report{.trial = 7, .step = 1, .value = 0.9};
  report.gives = [](uint32_t trial) { return trial == 4 || trial == 5; };
  const Verdict verdict = scheduler->Decide(report);
  ASSERT_EQ(verdict.reason, Reason::kExploits);
  EXPECT_EQ(verdict.rank, 8u);
  EXPECT_EQ(verdict.peers, 8u);
  scheduler->Apply(7, verdict);
  const std::vector<uint32_t> donors = scheduler->Donors(7);
  ASSERT_EQ(donors.size(), 6u) << "all but itself and the other one of the worst two";
  EXPECT_TRUE(donors[0] == 0 || donors[0] == 1) << "one of the best two";
  EXPECT_EQ(std::vector<uint32_t>(donors.begin() + 2, donors.end()), (std::vector<uint32_t>{2, 3, 4, 5}));
  report.trial = 6;
  report.step = 2;
  report.gives = [](uint32_t) { return false; };
  EXPECT_EQ(scheduler->Decide(report).reason, Reason::kNoDonor);
  EXPECT_EQ(scheduler->Decide(report).action, Action::kContinue);
}

TEST(PbtTest, EqualTrialsTakeNothingOver) {
  Driver driver(Options({.perturbation_interval = 1}));
  for (uint32_t t = 0; t < 4; ++t) driver.Add(t);
  for (int64_t step = 1; step < 5; ++step) {
    for (uint32_t t = 0; t < 4; ++t) EXPECT_EQ(driver.Report(t, step, 0.5).action, Action::kContinue);
  }
}

TEST(PbtTest, ATrialThatHasTakenOverIsComparedAgainFromItsNextJudgementOn) {
  Driver driver(Options({.perturbation_interval = 2, .quantile_fraction = 0.5}));
  driver.Add(0);
  driver.Add(1);
  driver.Report(0, 2, 0.1);
  ASSERT_EQ(driver.Report(1, 4, 0.9).reason, Reason::kExploits);
  driver.scheduler().Exploit(1, 0, 2);
  EXPECT_EQ(driver.Report(0, 4, 0.1).reason, Reason::kNone) << "there is nobody to compare it with";
  EXPECT_FALSE(driver.Report(1, 3, 0.9).recorded) << "one step from the donor's";
  EXPECT_EQ(driver.Report(1, 4, 0.05).reason, Reason::kKeepsOn);
}

TEST(PbtTest, GivesWayOnlyToThoseThatAreBehind) {
  const auto scheduler = MakeOrDie(Options({.perturbation_interval = 2}));
  scheduler->AddTrial(0, 0);
  TrialReport report{.trial = 0, .step = 2, .value = 1.0, .waiting = 2};
  EXPECT_EQ(scheduler->Decide(report).action, Action::kContinue);
  report.waiting = 1;
  const Verdict verdict = scheduler->Decide(report);
  EXPECT_EQ(verdict.action, Action::kPause);
  EXPECT_EQ(verdict.reason, Reason::kTakesTurn);
  scheduler->Apply(0, verdict);
  EXPECT_FALSE(scheduler->NextPaused(Outlook::kOpen)) << "those that are to come go first";
  EXPECT_EQ(scheduler->NextPaused(Outlook::kComplete)->verdict.reason, Reason::kTakesTurn);
}

TEST(PbtTest, StopsAtMaxT) {
  SchedulerOptions options = Options({.perturbation_interval = 5});
  options.max_t = 10;
  Driver driver(options);
  driver.Add(0);
  EXPECT_EQ(driver.Report(0, 9, 1.0).action, Action::kContinue);
  const Verdict verdict = driver.Report(0, 10, 1.0);
  EXPECT_EQ(verdict.action, Action::kStop);
  EXPECT_EQ(verdict.reason, Reason::kReachedMax);
}

TEST(PbtTest, BadOptionsAreTold) {
  const auto fields = [](const PbtOptions& pbt) {
    Problems problems;
    EXPECT_EQ(MakeScheduler(Options(pbt), &problems), nullptr);
    std::string all;
    for (const Problem& problem : problems) all += problem.field + " ";
    return all;
  };
  EXPECT_EQ(fields({}), "scheduler.perturbation_interval ");
  EXPECT_EQ(fields({.perturbation_interval = -1}), "scheduler.perturbation_interval ");
  EXPECT_EQ(fields({.perturbation_interval = 1, .burn_in_period = -1}), "scheduler.burn_in_period ");
  EXPECT_EQ(fields({.perturbation_interval = 1, .quantile_fraction = 0.6}), "scheduler.quantile_fraction ");
  EXPECT_EQ(fields({.perturbation_interval = 1, .quantile_fraction = kNan}), "scheduler.quantile_fraction ");
  EXPECT_EQ(fields({.perturbation_interval = 1, .resample_probability = 1.1}), "scheduler.resample_probability ");
  EXPECT_EQ(fields({.perturbation_interval = 1, .perturbation_factors = {}}), "scheduler.perturbation_factors ");
  EXPECT_EQ(fields({.perturbation_interval = 1, .perturbation_factors = {1.2, -0.8}}),
            "scheduler.perturbation_factors ");
}

}  // namespace
}  // namespace tunesmith
