// What ends trials and sweeps whatever the scheduler says: max_steps, plateau, target, GPU hours.
#include "tests/unit/server/core/core_test.h"

namespace tunesmith {
namespace {

class StopTest : public CoreTest {
 protected:
  Verdict VerdictOf(SweepId id, uint32_t number) const { return TrialOf(id, number).stop_verdict; }
};

TEST_F(StopTest, ATrialThatReportsTheLastStepHasCompleted) {
  const SessionId worker = Connect("w");
  SweepSpec spec = SpecOf("s", 1);
  spec.stop.max_steps = 3;
  const SweepId id = Create(spec);
  Report(worker, RefOf(id, 0), 2, 0.5);
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kRunning);
  TakeEffects<SendStop>();
  Report(worker, RefOf(id, 0), 4, 0.5);
  EXPECT_EQ(TakeEffects<SendStop>().size(), 1u);
  Ended(worker, RefOf(id, 0), StoppedExit());
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kCompleted);
  EXPECT_EQ(TrialOf(id, 0).reason, "step 3 was reached (stop.max_steps)");
  EXPECT_EQ(TrialOf(id, 0).attempts.back().state, AttemptState::kSucceeded);
  EXPECT_NE(controller_->WhyTrial(SweepOf(id), 0).front().find("stop.max_steps"), std::string::npos);
}

TEST_F(StopTest, TheRulesComeBeforeTheScheduler) {
  const SessionId worker = Connect("w", 2);
  SweepSpec spec = AshaSpecOf("s", 2);  // of two at a rung the worse one stops
  spec.stop.max_steps = 1;
  const SweepId id = Create(spec);
  Report(worker, RefOf(id, 0), 1, 0.1);
  Report(worker, RefOf(id, 1), 1, 0.9);
  EXPECT_EQ(VerdictOf(id, 1).reason, Reason::kMaxSteps);
  EXPECT_EQ(SweepOf(id).scheduler->Rungs().back().recorded, 0u);
  Ended(worker, RefOf(id, 0), StoppedExit());
  Ended(worker, RefOf(id, 1), StoppedExit());
  EXPECT_EQ(TrialOf(id, 1).state, TrialState::kCompleted);
  EXPECT_EQ(SweepOf(id).scheduler->Rungs().back().recorded, 2u) << "the last report is recorded at the end";
}

TEST_F(StopTest, ATrialWhoseMetricStandsStillHasCompleted) {
  const SessionId worker = Connect("w");
  SweepSpec spec = SpecOf("s", 1);
  spec.stop.plateau = PlateauSpec{.metric = "accuracy", .std = 0.01, .num_results = 3, .grace_period = 5};
  const SweepId id = Create(spec);
  const auto report = [&](double accuracy) {
    Post(WorkerRecords{worker, {MeasuredOf(RefOf(id, 0), 0, {{"loss", 1}, {"accuracy", accuracy}})}});
    return TrialOf(id, 0).state == TrialState::kStopping;
  };
  EXPECT_FALSE(report(0.5));
  EXPECT_FALSE(report(0.5));
  EXPECT_FALSE(report(0.5));
  EXPECT_FALSE(report(0.5)) << "4 values are less than the grace period";
  EXPECT_FALSE(report(0.6)) << "a deviation of 0.047";
  Report(worker, RefOf(id, 0), 0, 1);  // without the metric
  EXPECT_FALSE(report(0.601));
  EXPECT_TRUE(report(0.602));
  Ended(worker, RefOf(id, 0), StoppedExit());
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kCompleted);
  EXPECT_EQ(TrialOf(id, 0).reason,
            "the last 3 values of accuracy have a standard deviation of 0.000816497, less than 0.01 (stop.plateau)");
}

TEST_F(StopTest, ThePlateauSurvivesARestart) {
  SessionId worker = Connect("w");
  SweepSpec spec = SpecOf("s", 1);
  spec.stop.plateau = PlateauSpec{};
  const SweepId id = Create(spec);
  const AttemptRef ref = RefOf(id, 0);
  for (int i = 0; i < 3; ++i) Report(worker, ref, 0, 0.5);
  Restart();
  worker = Connect("w", 1, 0, "boot-1", {ref});
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kRunning);
  Report(worker, ref, 0, 0.5);
  EXPECT_EQ(VerdictOf(id, 0).reason, Reason::kPlateau);
}

TEST_F(StopTest, WhatIsNoFiniteNumberIsNoPlateau) {
  const SessionId worker = Connect("w");
  SweepSpec spec = SpecOf("s", 1);
  spec.stop.plateau = PlateauSpec{.metric = "", .std = 0.01, .num_results = 2, .grace_period = 0};
  const SweepId id = Create(spec);
  for (const double value : {kNan, kNan, 0.5, std::numeric_limits<double>::infinity(),
                             std::numeric_limits<double>::infinity(), 1e300, -1e300, 1.0}) {
    Report(worker, RefOf(id, 0), 0, value);
    EXPECT_EQ(TrialOf(id, 0).state, TrialState::kRunning) << value;
  }
  Report(worker, RefOf(id, 0), 0, 1.0);
  EXPECT_EQ(VerdictOf(id, 0).reason, Reason::kPlateau);
}

TEST_F(StopTest, TheTargetEndsTheSweepWellAndNamesTheTrial) {
  for (const Goal goal : {Goal::kMin, Goal::kMax}) {
    const SessionId worker = Connect("w" + std::to_string(static_cast<int>(goal)), 2);
    SweepSpec spec = SpecOf("s", 10);
    spec.search.goal = goal;
    spec.stop.target = 0.25;
    const SweepId id = Create(spec);
    const double sign = goal == Goal::kMin ? 1 : -1;
    Report(worker, RefOf(id, 0), 1, kNan);
    Report(worker, RefOf(id, 0), 2, 0.25 + 0.01 * sign);
    EXPECT_EQ(SweepOf(id).state, SweepState::kActive);
    Report(worker, RefOf(id, 1), 1, 0.25);
    EXPECT_EQ(SweepOf(id).state, SweepState::kStopping);
    EXPECT_EQ(TakeEffects<SendStop>().size(), 2u);
    Ended(worker, RefOf(id, 0), StoppedExit());
    Ended(worker, RefOf(id, 1), StoppedExit());
    EXPECT_EQ(SweepOf(id).state, SweepState::kSucceeded);
    EXPECT_EQ(SweepOf(id).reason,
              "trial 1 has reached the target: loss 0.25 is as good as the target 0.25 or better (stop.target)");
    EXPECT_EQ(TrialOf(id, 0).state, TrialState::kCancelled);
    EXPECT_EQ(TrialOf(id, 0).reason, SweepOf(id).reason);
    EXPECT_EQ(TrialOf(id, 1).state, TrialState::kCompleted);
    EXPECT_EQ(SweepOf(id).trials.size(), 2u);
    Post(WorkerDisconnected{worker});
    Advance(Seconds(30));
  }
}

TEST_F(StopTest, ATargetIsReachedByATrialThatMeetsTheRequirements) {
  const SessionId worker = Connect("w");
  SweepSpec spec = SpecOf("s", 10);
  spec.stop.target = 0.25;
  spec.search.require = {"latency <= 5"};
  const SweepId id = Create(spec);
  const auto report = [&](double loss, double latency) {
    Post(WorkerRecords{worker, {MeasuredOf(RefOf(id, 0), 0, {{"loss", loss}, {"latency", latency}})}});
    return SweepOf(id).state;
  };
  EXPECT_EQ(report(0.1, 9), SweepState::kActive);
  EXPECT_EQ(report(0.5, 4), SweepState::kActive);
  EXPECT_EQ(report(0.1, 4), SweepState::kStopping);
}

TEST_F(StopTest, WithRepeatsTheMeanHasToReachTheTarget) {
  const SessionId worker = Connect("w");
  SweepSpec spec = SpecOf("s", 5);
  spec.repeats = 2;
  spec.stop.target = 0.25;
  const SweepId id = Create(spec);
  Finish(worker, RefOf(id, 0), 0.1);
  Finish(worker, RefOf(id, 1), 0.6);
  EXPECT_EQ(SweepOf(id).state, SweepState::kActive);
  Finish(worker, RefOf(id, 2), 0.1);
  Finish(worker, RefOf(id, 3), 0.3);
  EXPECT_EQ(SweepOf(id).state, SweepState::kSucceeded);
  EXPECT_EQ(SweepOf(id).reason,
            "the point of trial 2 has reached the target: its mean 0.2 is as good as 0.25 or better (stop.target)");
}

TEST_F(StopTest, ATargetEndsAnAskTellSweep) {
  SweepSpec spec = SpecOf("s", 10);
  spec.program.command.clear();
  spec.ask_tell = true;
  spec.stop.target = 0.25;
  const SweepId id = Create(spec);
  const Reply asked = Do(AskTrials{id, "me", 1, 60'000});
  ASSERT_EQ(asked.asked.size(), 1u);
  const Reply told = Do(ReportTrial{{id, 0}, asked.asked[0].epoch, 1, 1, {{"loss", 0.2}}});
  EXPECT_EQ(told.verdict.action, Action::kStop);
  EXPECT_NE(told.text.find("as good as the target"), std::string::npos);
  EXPECT_TRUE(Do(CompleteTrial{{id, 0}, asked.asked[0].epoch, ""}).status.ok());
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kCompleted);
  EXPECT_EQ(SweepOf(id).state, SweepState::kSucceeded);
}

TEST_F(StopTest, UsedUpGpuHoursEndTheSweepWell) {
  SessionId worker = Connect("w", 4, 2);
  SweepSpec spec = SpecOf("s", 10);
  spec.resources.gpus = 1;
  spec.budget.gpu_hours = 0.01;  // 36 s
  const SweepId id = Create(spec);
  EXPECT_EQ(Running(id), 2u);
  Advance(Seconds(10));
  Finish(worker, RefOf(id, 0), 0.5);  // 10 s
  EXPECT_EQ(SweepOf(id).gpu_ms, 10'000);
  std::vector<AttemptRef> still = {RefOf(id, 1), RefOf(id, 2)};
  Restart();
  worker = Connect("w", 4, 2, "boot-1", still);
  Advance(Seconds(7));
  EXPECT_EQ(SweepOf(id).state, SweepState::kActive) << "10 + 17 + 7 s";
  Advance(Seconds(1));
  EXPECT_EQ(SweepOf(id).state, SweepState::kStopping);
  Ended(worker, RefOf(id, 1), StoppedExit());
  Ended(worker, RefOf(id, 2), StoppedExit());
  EXPECT_EQ(SweepOf(id).state, SweepState::kSucceeded);
  EXPECT_EQ(SweepOf(id).reason, "its 0.01 GPU hours (budget.gpu_hours) are used up: 0.01");
}

TEST_F(StopTest, AShareOfAGpuCountsAsAShare) {
  const SessionId worker = Connect("w", 4, 1);
  SweepSpec spec = SpecOf("s", 2);
  spec.resources.gpus = 0.25;
  spec.budget.gpu_hours = 1;
  const SweepId id = Create(spec);
  Advance(Seconds(8));
  Finish(worker, RefOf(id, 0), 0.5);
  EXPECT_EQ(SweepOf(id).gpu_ms, 2'000);
}

TEST_F(StopTest, WrongRulesAreToldWithAFix) {
  const auto problem = [&](const SweepSpec& spec) {
    const Reply reply = Do(CreateSweep{spec, "", 11, false});
    EXPECT_EQ(reply.problems.size(), 1u);
    if (reply.problems.empty()) return std::string();
    EXPECT_FALSE(reply.problems[0].hint.empty());
    return reply.problems[0].field;
  };
  SweepSpec spec = SpecOf("s", 1);
  spec.stop.max_steps = -1;
  EXPECT_EQ(problem(spec), "stop.max_steps");
  spec = SpecOf("s", 1);
  spec.stop.target = kNan;
  EXPECT_EQ(problem(spec), "stop.target");
  spec = SpecOf("s", 1);
  spec.search.objectives = {{"loss", Goal::kMin}, {"latency", Goal::kMin}};
  spec.stop.target = 1;
  EXPECT_EQ(problem(spec), "stop.target");
  spec = SpecOf("s", 1);
  spec.stop.plateau = PlateauSpec{.metric = "", .std = 0, .num_results = 4, .grace_period = 4};
  EXPECT_EQ(problem(spec), "stop.plateau.std");
  spec.stop.plateau = PlateauSpec{.metric = "", .std = 1, .num_results = 1, .grace_period = 4};
  EXPECT_EQ(problem(spec), "stop.plateau.num_results");
  spec.stop.plateau = PlateauSpec{.metric = "", .std = 1, .num_results = 2, .grace_period = -1};
  EXPECT_EQ(problem(spec), "stop.plateau.grace_period");
  spec = SpecOf("s", 1);
  spec.budget.gpu_hours = 1;
  EXPECT_EQ(problem(spec), "budget.gpu_hours") << "no GPU is used";
  spec.resources.gpus = 1;
  spec.budget.gpu_hours = -1;
  EXPECT_EQ(problem(spec), "budget.gpu_hours");
}

}  // namespace
}  // namespace tunesmith
