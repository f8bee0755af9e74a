// Brackets whose trials wait for each other, and end while they wait.
#include "tests/unit/server/core/core_test.h"

namespace tunesmith {
namespace {

// A bracket of 4 trials with rungs at 1 and 2 of 4, then one of 3 with a rung at 2, then one of 3.
SweepSpec HyperBandSpecOf(int64_t trials) {
  SweepSpec spec = SpecOf("digits", trials);
  spec.scheduler.type = "hyperband";
  spec.scheduler.max_t = 4;
  spec.scheduler.reduction_factor = 2;
  return spec;
}

class HyperBandTest : public CoreTest {
 protected:
  using S = TrialState;
};

TEST_F(HyperBandTest, HalvesABracketWhenItsLastTrialHasReported) {
  const SessionId worker = Connect("w");
  const SweepId id = Create(HyperBandSpecOf(4));
  for (uint32_t t = 0; t < 3; ++t) {
    ReportAndLeave(worker, id, t, 1, t);
    EXPECT_EQ(TrialOf(id, t).state, S::kPaused);
  }
  Report(worker, RefOf(id, 3), 1, 0.5);  // the second best: goes on without a pause
  EXPECT_EQ(States(id), (std::vector<S>{S::kPending, S::kStopped, S::kStopped, S::kRunning}));
  EXPECT_EQ(TrialOf(id, 2).reason,
            "2 is not among those that go on at rung 1, the last of which has 0.5 (rank 4 of 4, loss min)");
  EXPECT_EQ(TrialOf(id, 2).stop_verdict.reason, Reason::kHalved);
  EXPECT_EQ(controller_->WhyTrial(SweepOf(id), 2).front(), TrialOf(id, 2).reason);
  ReportAndLeave(worker, id, 3, 2, 0.6);
  EXPECT_EQ(TrialOf(id, 0).state, S::kRunning);
  ReportAndLeave(worker, id, 0, 2, 0.7);
  EXPECT_EQ(TrialOf(id, 0).state, S::kStopped);
  EXPECT_EQ(TrialOf(id, 3).state, S::kRunning);
  ReportAndLeave(worker, id, 3, 4, 0.1);
  EXPECT_EQ(TrialOf(id, 3).state, S::kCompleted);
  EXPECT_EQ(SweepOf(id).state, SweepState::kSucceeded);
}

TEST_F(HyperBandTest, OtherBracketsAreFilledMeanwhile) {
  const SessionId worker = Connect("w", 2);
  const SweepId id = Create(HyperBandSpecOf(10));
  for (const uint32_t t : {0U, 2U, 3U}) ReportAndLeave(worker, id, t, 1, t);
  EXPECT_EQ(TrialOf(id, 4).state, S::kRunning) << "trial 1 holds its bracket up, not the sweep";
  EXPECT_EQ(TrialOf(id, 4).bracket, 1);
  EXPECT_NE(controller_->WhyTrial(SweepOf(id), 0).back().find("bracket 0 is judged when its other trials have got to "
                                                              "rung 1 or have ended, which 3 trials have reached"),
            std::string::npos)
      << controller_->WhyTrial(SweepOf(id), 0).back();
}

TEST_F(HyperBandTest, ABadTrialWhoseProcessesAreStillLeavingEndsWhenTheyAreGone) {
  const SessionId worker = Connect("w", 4);
  const SweepId id = Create(HyperBandSpecOf(4));
  const AttemptRef slow = RefOf(id, 2), slow_and_good = RefOf(id, 1);
  Report(worker, slow, 1, 9);
  Report(worker, slow_and_good, 1, 0);
  ReportAndLeave(worker, id, 0, 1, 5);
  Report(worker, RefOf(id, 3), 1, 1);
  EXPECT_EQ(States(id), (std::vector<S>{S::kStopped, S::kStopping, S::kStopping, S::kRunning}));
  EXPECT_EQ(TrialOf(id, 2).stop_verdict.action, Action::kStop);
  Restart();
  const SessionId again = Connect("w", 4, 0, "boot-1", {slow, slow_and_good, RefOf(id, 3)});
  Ended(again, slow, StoppedExit());
  EXPECT_EQ(TrialOf(id, 2).state, S::kStopped);
  EXPECT_NE(TrialOf(id, 2).reason.find("not among those that go on at rung 1"), std::string::npos);
  Ended(again, slow_and_good, StoppedExit());
  EXPECT_EQ(TrialOf(id, 1).state, S::kRunning);
  EXPECT_EQ(TrialOf(id, 1).attempts.size(), 2u);
}

TEST_F(HyperBandTest, ABracketThatTheBudgetDoesNotFillIsJudged) {
  const SessionId worker = Connect("w");
  const SweepId id = Create(HyperBandSpecOf(3));
  for (uint32_t t = 0; t < 3; ++t) ReportAndLeave(worker, id, t, 1, t);
  EXPECT_EQ(States(id), (std::vector<S>{S::kRunning, S::kStopped, S::kStopped}));
}

TEST_F(HyperBandTest, ABracketIsJudgedWhenTheSpaceIsExhausted) {
  const SessionId worker = Connect("w");
  HoldSuggestions();
  const SweepId id = Create(HyperBandSpecOf(10));
  GiveSuggestion();
  ReportAndLeave(worker, id, 0, 1, 0.5);
  EXPECT_EQ(TrialOf(id, 0).state, S::kPaused);
  GiveSuggestion(true);
  EXPECT_EQ(TrialOf(id, 0).state, S::kRunning);
}

TEST_F(HyperBandTest, FailedLostAndCancelledTrialsHoldNobodyUp) {
  SessionId worker = Connect("w", 4);
  SweepSpec spec = HyperBandSpecOf(4);
  spec.retry.lost = 0;
  const SweepId id = Create(spec);
  ReportAndLeave(worker, id, 0, 1, 0.5);
  Ended(worker, RefOf(id, 1), ExitCode(1, "boom"));
  EXPECT_TRUE(Do(StopTrial{{id, 2}}).status.ok());
  Ended(worker, RefOf(id, 2), StoppedExit());
  EXPECT_EQ(TrialOf(id, 0).state, S::kPaused);
  Ended(worker, RefOf(id, 3), LostExit());
  EXPECT_EQ(States(id), (std::vector<S>{S::kRunning, S::kFailed, S::kCancelled, S::kFailed}));
}

TEST_F(HyperBandTest, ATrialThatIsTriedAgainIsWaitedFor) {
  SessionId worker = Connect("w", 4);
  const SweepId id = Create(HyperBandSpecOf(4));
  for (uint32_t t = 0; t < 3; ++t) ReportAndLeave(worker, id, t, 1, t + 1);
  Ended(worker, RefOf(id, 3), LostExit());
  EXPECT_EQ(TrialOf(id, 3).attempts.size(), 2u);
  EXPECT_EQ(TrialOf(id, 0).state, S::kPaused);
  Report(worker, RefOf(id, 3), 1, 0.5);
  EXPECT_EQ(TrialOf(id, 0).state, S::kRunning);
}

TEST_F(HyperBandTest, ARestartAtAnyMomentDecidesTheSame) {
  // The same reports, with a restart after each of them.
  std::vector<std::vector<S>> ends;
  for (const bool restarts : {false, true}) {
    SessionId worker = Connect("w", 2);
    const SweepId id = Create(HyperBandSpecOf(10));
    Rng rng(5);
    for (int step = 0; step < 200 && !IsTerminal(SweepOf(id).state); ++step) {
      const std::vector<uint32_t> running(SweepOf(id).live.begin(), SweepOf(id).live.end());
      ASSERT_FALSE(running.empty());
      const uint32_t trial = running[static_cast<size_t>(step) % running.size()];
      ReportAndLeave(worker, id, trial, TrialOf(id, trial).last_step + 1, rng.Uniform());
      if (!restarts || IsTerminal(SweepOf(id).state)) continue;
      std::vector<AttemptRef> still;
      for (const uint32_t number : SweepOf(id).live) still.push_back(RefOf(id, number));
      Restart();
      worker = Connect("w", 2, 0, "boot-1", still);
    }
    EXPECT_EQ(SweepOf(id).state, SweepState::kSucceeded);
    ends.push_back(States(id));
  }
  EXPECT_EQ(ends[0], ends[1]);
}

TEST_F(HyperBandTest, AStoppedSweepCancelsWhatWaits) {
  const SessionId worker = Connect("w");
  const SweepId id = Create(HyperBandSpecOf(10));
  ReportAndLeave(worker, id, 0, 1, 0.5);
  Control(id, Operation::kStop);
  EXPECT_EQ(TrialOf(id, 0).state, S::kCancelled);
  Ended(worker, RefOf(id, 1), StoppedExit());
  EXPECT_EQ(SweepOf(id).state, SweepState::kCancelled);
}

TEST_F(HyperBandTest, AsRayTrialsThatWaitedAtTheLastStepHaveCompleted) {
  const SessionId worker = Connect("w", 3);
  SweepSpec spec = HyperBandSpecOf(3);
  spec.scheduler.compat_ray = true;
  const SweepId id = Create(spec);
  ReportAndLeave(worker, id, 0, 4, 0.5);
  ReportAndLeave(worker, id, 1, 4, 0.6);
  EXPECT_EQ(TrialOf(id, 1).state, S::kPaused);
  ReportAndLeave(worker, id, 2, 4, 0.7);
  EXPECT_EQ(States(id), (std::vector<S>{S::kCompleted, S::kCompleted, S::kCompleted}));
  EXPECT_EQ(SweepOf(id).state, SweepState::kSucceeded);
}

TEST_F(HyperBandTest, DoesNotGoWithAskTell) {
  SweepSpec spec = HyperBandSpecOf(3);
  spec.program.command.clear();
  spec.ask_tell = true;
  const Reply reply = Do(CreateSweep{spec, "", 11, false});
  ASSERT_FALSE(reply.status.ok());
  EXPECT_EQ(reply.problems[0].field, "scheduler.type");
}

TEST_F(HyperBandTest, BohbTakesItsPointsFromAModelThatLearnsFromRungs) {
  SweepSpec spec = HyperBandSpecOf(3);
  spec.scheduler.type = "bohb";
  for (const char* type : {"random", "sobol", "cmaes"}) {
    spec.search.type = type;
    const Reply reply = Do(CreateSweep{spec, "", 11, false});
    ASSERT_FALSE(reply.status.ok()) << type;
    EXPECT_EQ(reply.problems[0].field, "scheduler.type");
    EXPECT_EQ(reply.problems[0].hint, "use search: auto, gp or tpe, or scheduler: hyperband");
  }
  for (const char* type : {"auto", "gp", "tpe"}) {
    spec.search.type = type;
    EXPECT_TRUE(Do(CreateSweep{spec, "", 11, false}).status.ok()) << type;
  }
  spec.search.options = {{"compat", Value(std::string("hyperopt"))}};
  EXPECT_FALSE(Do(CreateSweep{spec, "", 11, false}).status.ok());
  spec.search.options.clear();
  spec.repeats = 2;
  EXPECT_FALSE(Do(CreateSweep{spec, "", 11, false}).status.ok());
}

}  // namespace
}  // namespace tunesmith
