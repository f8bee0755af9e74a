#include "client/replay.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "client/replay_text.h"
#include "client/simulation.h"
#include "common/rng.h"

namespace tunesmith {
namespace {

using End = ReplayTrial::End;

SchedulerOptions Asha(int64_t max_t, double factor) {
  SchedulerOptions options;
  options.type = "asha";
  options.max_t = max_t;
  options.reduction_factor = factor;
  return options;
}

std::unique_ptr<Scheduler> Make(const SchedulerOptions& options) {
  Problems problems;
  auto scheduler = MakeScheduler(options, &problems);
  EXPECT_TRUE(problems.empty());
  return scheduler;
}

// A run with one clock: each call is a second later than the one before.
class PastRun {
 public:
  PastRun& Trials(int count) {
    for (int i = 0; i < count; ++i) input_.trials.push_back({.create_ms = now_ += 1000});
    return *this;
  }
  PastRun& Report(uint32_t trial, int64_t step, double value, uint32_t attempt = 1) {
    now_ += 1000;
    input_.trials[trial].used_ms += 1000;
    input_.reports.push_back({trial, attempt, step, now_, input_.trials[trial].used_ms, value, value});
    return *this;
  }
  PastRun& Ends(uint32_t trial, End end) {
    input_.trials[trial].end = end;
    input_.trials[trial].end_ms = now_ += 1000;
    input_.trials[trial].may_be_best = end != End::kFailed;
    return *this;
  }
  ReplayInput& input() { return input_; }
  ReplayResult Under(const SchedulerOptions& options) {
    const auto scheduler = Make(options);
    return RunReplay(scheduler.get(), input_);
  }

 private:
  int64_t now_ = 1'700'000'000'000;
  ReplayInput input_;
};

std::string Outcomes(const ReplayResult& result) {
  std::string text;
  for (const ReplayedTrial& trial : result.trials) {
    text += (text.empty() ? "" : " ") + std::string(OutcomeWord(trial.outcome)) + "@" +
            std::to_string(trial.replay.steps);
  }
  return text;
}

// Four trials side by side under fifo, four steps each; #1 is the best.
PastRun SideBySide() {
  PastRun run;
  run.Trials(4);
  const double values[] = {0.5, 0.1, 0.9, 0.3};
  for (int64_t step = 1; step <= 4; ++step) {
    for (uint32_t trial = 0; trial < 4; ++trial) run.Report(trial, step, values[trial] + 1.0 / double(step));
  }
  for (uint32_t trial = 0; trial < 4; ++trial) run.Ends(trial, End::kCompleted);
  return run;
}

TEST(Replay, WhatIsStoppedIsNotLookedAtAnyFurther) {
  PastRun run = SideBySide();
  const ReplayResult result = run.Under(Asha(4, 2));
  // 1.9 is worse than the median of 1.5, 1.1 and itself at rung 1; the others are first or among the better half.
  EXPECT_EQ(Outcomes(result), "max_t@4 max_t@4 stopped@1 max_t@4");
  EXPECT_EQ(result.trials[2].verdict->milestone, 1);
  EXPECT_EQ(result.trials[2].verdict->reason, Reason::kBelowCutoff);
  EXPECT_EQ(result.run.steps, 16);
  EXPECT_EQ(result.replay.steps, 13);
  EXPECT_EQ(result.run.ms, 16'000);
  EXPECT_EQ(result.replay.ms, 13'000);
  EXPECT_EQ(result.replay.stopped, 1);
  EXPECT_EQ(result.run.stopped, 0);
  EXPECT_EQ(result.run.best_trial, 1u);
  EXPECT_EQ(result.replay.best_trial, 1u);
  EXPECT_EQ(result.replay.best_value, 0.1 + 0.25);
  EXPECT_FALSE(result.trials[1].shortened());
  EXPECT_EQ(result.trials[3].run_rank, 2u);
}

TEST(Replay, TheBestTrialMayBeLostAndTheNextOneIsRanked) {
  PastRun run;
  run.Trials(3);
  // #2 begins badly and gets best.
  for (int64_t step = 1; step <= 3; ++step) {
    run.Report(0, step, 0.5).Report(1, step, 0.4).Report(2, step, step == 3 ? 0.1 : 0.9);
  }
  for (uint32_t trial = 0; trial < 3; ++trial) run.Ends(trial, End::kCompleted);
  const ReplayResult result = run.Under(Asha(9, 2));
  EXPECT_EQ(result.trials[2].outcome, ReplayOutcome::kStopped);
  EXPECT_EQ(result.trials[2].replay.steps, 1);
  EXPECT_EQ(result.run.best_trial, 2u);
  EXPECT_EQ(result.replay.best_trial, 1u);
  EXPECT_EQ(result.trials[1].run_rank, 2u);
  EXPECT_EQ(MostTelling(result).front(), 2u);

  ReplayNames names{.sweep = "s", .run_scheduler = "fifo", .scheduler = "asha", .metric = "loss",
                    .objective = "loss", .gpus = 2, .reports = 9, .states = {"completed", "completed", "completed"}};
  std::string text;
  for (const std::string& line : ReplaySummary(result, names)) text += line + "\n";
  EXPECT_EQ(text,
            "s: 9 reports of 3 trials, judged by asha on loss (min)\n"
            "\n"
            "                   run (fifo)   replay (asha)   saved\n"
            "  stopped early    0            1\n"
            "  steps            9            7               22 %\n"
            "  time of trials   9.0s         7.0s            22 %\n"
            "  GPU time         18s          14s             22 %\n"
            "  best loss        0.1 (#2)     0.4 (#1)\n"
            "\n"
            "The best trial of the run, #2, would have been stopped at step 1 of 3; the best that is left is 0.3 "
            "worse: #1, which is number 2 of the run.\n");
  const auto json = nlohmann::json::parse(ReplaySummaryJson(result, names));
  EXPECT_EQ(json.at("best_kept"), false);
  EXPECT_EQ(json.at("rank"), 2);
  EXPECT_NEAR(json.at("regret").get<double>(), 0.3, 1e-12);
  EXPECT_EQ(json.at("run").at("gpu_seconds"), 18.0);
  const auto decision = nlohmann::json::parse(ReplayTrialJson(result, names, 2));
  EXPECT_EQ(decision.at("rung"), 1.0);
  EXPECT_EQ(decision.at("reason"), "below_cutoff");
  EXPECT_EQ(decision.at("text"), "0.9 is worse than the cutoff 0.45 at rung 1 (rank 3 of 3, loss min)");
}

// Report for report as `simulate`, which plays the same role for reports from elsewhere.
TEST(Replay, AgreesWithTheSimulationOfTheSameReports) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Rng rng = Rng::ForLabels({seed, 0x7265706c});
    PastRun run;
    const uint32_t trials = static_cast<uint32_t>(rng.IntInclusive(1, 12));
    run.Trials(static_cast<int>(trials));
    std::vector<int64_t> steps(trials, 0);
    // Everybody has reported before anybody ends, since `simulate` numbers trials as they appear.
    for (uint32_t trial = 0; trial < trials; ++trial) run.Report(trial, ++steps[trial], rng.Uniform());
    for (int i = 0; i < 80; ++i) {
      const uint32_t trial = static_cast<uint32_t>(rng.Below(trials));
      const bool nan = rng.Below(20) == 0;
      run.Report(trial, ++steps[trial], nan ? std::numeric_limits<double>::quiet_NaN() : rng.Uniform());
    }
    for (uint32_t trial = 0; trial < trials; ++trial) run.Ends(trial, End::kCompleted);
    SchedulerOptions options = Asha(9, 2);
    if (seed % 3 == 0) options.type = "median";
    if (seed % 3 == 1) options.compat_ray = true;
    const ReplayResult result = run.Under(options);

    Simulation simulation(Make(options), "v", Goal::kMin);
    std::vector<int64_t> stopped(trials, 0);
    for (const ReplayReport& report : run.input().reports) {
      ReportLine line{{std::to_string(report.trial), true}, ReportLine::Event::kReport, report.step, report.value};
      Problem problem;
      const auto answer = simulation.Take(line, &problem);
      ASSERT_TRUE(answer) << problem.message;
      if (answer->kind == SimulatedAnswer::Kind::kVerdict && answer->verdict.action == Action::kStop) {
        stopped[report.trial] = report.step;
        // In words, since NaN equals nothing.
        EXPECT_EQ(answer->text, Explain(*result.trials[report.trial].verdict, "v", Goal::kMin)) << seed;
      }
    }
    for (uint32_t trial = 0; trial < trials; ++trial) {
      const ReplayOutcome outcome = result.trials[trial].outcome;
      const bool stops = outcome == ReplayOutcome::kStopped || outcome == ReplayOutcome::kMaxT;
      EXPECT_EQ(stops ? result.trials[trial].replay.steps : 0, stopped[trial]) << "seed " << seed << " trial " << trial;
    }
  }
}

TEST(Replay, WhereTheRunEndedATrialNobodyKnowsHowItWouldHaveGoneOn) {
  PastRun run;
  run.Trials(3);
  run.Report(0, 1, 0.5).Report(1, 1, 0.4).Report(2, 1, 0.3);
  run.Ends(0, End::kCut).Ends(1, End::kCompleted).Ends(2, End::kFailed);
  run.input().trials[0].stopped_early = true;
  const ReplayResult result = run.Under({});
  EXPECT_EQ(Outcomes(result), "beyond@1 completed@1 failed@1");
  EXPECT_EQ(result.beyond, 1);
  EXPECT_EQ(result.run.stopped, 1);
  EXPECT_EQ(result.replay.stopped, 0);
  // The failed one is not the best of either.
  EXPECT_EQ(result.run.best_trial, 1u);
  EXPECT_EQ(MostTelling(result), (std::vector<uint32_t>{0, 1, 2}));

  // Of those that are judged later it is a peer all the same.
  PastRun later;
  later.Trials(3);
  later.Report(0, 1, 0.1).Ends(0, End::kCut).Report(1, 1, 0.2).Report(2, 1, 0.3).Report(2, 2, 0.3);
  EXPECT_EQ(Outcomes(later.Under(Asha(9, 2))), "beyond@1 stopped@1 stopped@1");
}

TEST(Replay, ReportsOfAPausedTrialWaitUntilItIsLetOn) {
  PastRun run;
  run.Trials(4);
  SchedulerOptions options = Asha(4, 2);
  options.promotion = true;
  // #0 runs to its end before anybody else begins.
  for (int64_t step = 1; step <= 4; ++step) run.Report(0, step, 0.1);
  run.Ends(0, End::kCompleted);
  run.Report(1, 1, 0.9);
  ReplayInput so_far = run.input();
  so_far.all_created = false;
  {
    const auto scheduler = Make(options);
    // The second report at rung 1 lets the better half on: #0 with all that it has.
    const ReplayResult result = RunReplay(scheduler.get(), so_far);
    EXPECT_EQ(Outcomes(result), "paused@2 paused@1 no_report@0 no_report@0");
  }
  run.Report(2, 1, 0.2).Report(2, 2, 0.2).Report(3, 1, 0.3);
  run.Ends(1, End::kCut).Ends(2, End::kCompleted).Ends(3, End::kCompleted);
  const ReplayResult result = run.Under(options);
  // Of four at rung 1 two go on, of these two one; what is left when nothing else runs stays paused.
  EXPECT_EQ(result.trials[0].outcome, ReplayOutcome::kMaxT);
  EXPECT_EQ(result.trials[0].replay.steps, 4);
  EXPECT_EQ(result.trials[1].outcome, ReplayOutcome::kPaused);
  EXPECT_EQ(result.trials[3].outcome, ReplayOutcome::kPaused);
  EXPECT_EQ(result.trials[2].replay.steps, 2);
  EXPECT_EQ(result.replay.stopped, result.paused);
}

TEST(Replay, ABracketWaitsForNoTrialThatWillNotCome) {
  SchedulerOptions options;
  options.type = "hyperband";
  options.max_t = 9;
  PastRun run;
  run.Trials(3);
  for (uint32_t trial = 0; trial < 3; ++trial) run.Report(trial, 1, 0.1 * (trial + 1)).Report(trial, 2, 0.1);
  for (uint32_t trial = 0; trial < 3; ++trial) run.Ends(trial, End::kCompleted);
  EXPECT_EQ(Outcomes(run.Under(options)), "completed@2 stopped@1 stopped@1");
  run.input().all_created = false;
  const ReplayResult open = run.Under(options);
  EXPECT_EQ(Outcomes(open), "paused@1 paused@1 paused@1");
  EXPECT_EQ(open.replay.stopped, 0);
  // Who failed is not waited for either.
  run.input().all_created = true;
  run.input().trials[1].end = End::kFailed;
  EXPECT_EQ(run.Under(options).trials[0].outcome, ReplayOutcome::kCompleted);
}

TEST(Replay, AStepThatAnEarlierAttemptReportedIsNotJudgedAgain) {
  PastRun run;
  run.Trials(2);
  run.Report(0, 1, 0.5).Report(0, 2, 0.5).Report(0, 1, 9, 2).Report(0, 2, 9, 2).Report(0, 3, 0.5, 2);
  run.Report(1, 1, 0.4);
  run.Ends(0, End::kCompleted).Ends(1, End::kCompleted);
  const ReplayResult result = run.Under(Asha(9, 2));
  EXPECT_EQ(result.trials[0].outcome, ReplayOutcome::kCompleted);
  EXPECT_EQ(result.trials[0].replay.ms, 5'000);
  // Were 9 recorded at rung 1, 0.4 would be ranked before it alone.
  EXPECT_EQ(result.trials[1].outcome, ReplayOutcome::kCompleted);
}

TEST(Replay, AnUnfinishedSweepIsReplayedAsFarAsItIs) {
  PastRun run = SideBySide();
  run.Trials(1);
  run.input().trials[1].end = End::kNone;
  run.input().all_created = false;
  const ReplayResult result = run.Under({});
  EXPECT_EQ(Outcomes(result), "completed@4 running@4 completed@4 completed@4 no_report@0");
  ReplayNames names{.sweep = "s", .run_scheduler = "fifo", .scheduler = "fifo", .metric = "", .objective = "loss",
                    .finished = false, .reports = 16,
                    .states = {"completed", "running", "completed", "completed", "pending"}};
  EXPECT_EQ(ReplaySummary(result, names).back(), "The sweep has not ended: these are the reports that are there.");
  EXPECT_EQ(ReplaySummary(result, names)[7], "");
}

TEST(Replay, NumbersThatAreNoneAreNeverTheBest) {
  PastRun run;
  run.Trials(2);
  run.Report(0, 1, std::numeric_limits<double>::quiet_NaN()).Report(1, 1, -std::numeric_limits<double>::infinity());
  run.Ends(0, End::kCompleted).Ends(1, End::kCompleted);
  const ReplayResult result = run.Under(Asha(9, 2));
  EXPECT_FALSE(result.run.best_trial);
  ReplayNames names{.sweep = "s", .run_scheduler = "fifo", .scheduler = "asha", .metric = "loss",
                    .objective = "loss", .reports = 2, .states = {"completed", "completed"}};
  const auto json = nlohmann::json::parse(ReplaySummaryJson(result, names));
  EXPECT_TRUE(json.at("best_kept").is_null());
  EXPECT_EQ(ReplaySummary(result, names).back(), "No trial of the run has a loss.");
  EXPECT_EQ(ReplayCells(result, names, 0, false).size(), ReplayColumns(names, false).size());
  EXPECT_EQ(ReplayCells(result, names, 0, true).size(), ReplayColumns(names, true).size());
  // And nothing at all is fine.
  const auto scheduler = Make(Asha(9, 2));
  EXPECT_EQ(RunReplay(scheduler.get(), ReplayInput()).trials.size(), 0u);
}

TEST(Replay, ClocksThatDisagreeDoNotChangeTheOrderInWhichReportsWereRecorded) {
  PastRun run = SideBySide();
  const std::string before = Outcomes(run.Under(Asha(4, 2)));
  for (ReplayReport& report : run.input().reports) report.time_ms += report.trial == 2 ? -3'600'000 : 0;
  EXPECT_EQ(Outcomes(run.Under(Asha(4, 2))), before);
}

}  // namespace
}  // namespace tunesmith
