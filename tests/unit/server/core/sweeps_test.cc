// Sweeps: creation, control, budgets, the end.
#include "tests/unit/server/core/core_test.h"

namespace tunesmith {
namespace {

using SweepsTest = CoreTest;

TEST_F(SweepsTest, ACreatedSweepIsActiveAndItsPointsWaitForAPlace) {
  const SweepId id = Create(SpecOf("digits", 3));
  EXPECT_EQ(SweepOf(id).id, "digits");
  EXPECT_EQ(SweepOf(id).state, SweepState::kActive);
  EXPECT_EQ(SweepOf(id).target, 3);
  // No worker: not one point is asked for before it can be used.
  EXPECT_TRUE(SweepOf(id).trials.empty());
  EXPECT_EQ(controller_->WaitingReason(SweepOf(id)), "no worker is connected");
}

TEST_F(SweepsTest, AnInvalidSweepIsRefusedWithItsProblemsAndNothingIsRecorded) {
  SweepSpec spec = SpecOf("digits", 0);
  const Reply reply = Do(CreateSweep{spec, "", 1, false});
  EXPECT_EQ(reply.status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(reply.reason, "SWEEP_INVALID");
  EXPECT_FALSE(reply.problems.empty());
  EXPECT_TRUE(journal_.empty());
}

TEST_F(SweepsTest, ValidationAloneStartsNothing) {
  const Reply reply = Do(CreateSweep{SpecOf("digits", 3), "request", 1, true});
  EXPECT_TRUE(reply.status.ok());
  EXPECT_FALSE(reply.sweep);
  EXPECT_TRUE(journal_.empty());
  EXPECT_TRUE(effects_.empty());
}

TEST_F(SweepsTest, ARepeatedRequestGivesTheFirstAnswer) {
  const Reply first = Do(CreateSweep{SpecOf("digits", 3), "request-1", 1, false});
  const Reply again = Do(CreateSweep{SpecOf("digits", 3), "request-1", 2, false});
  const Reply other = Do(CreateSweep{SpecOf("digits", 3), "request-2", 3, false});
  EXPECT_EQ(first.sweep, again.sweep);
  EXPECT_NE(first.sweep, other.sweep);
  EXPECT_EQ(state().sweeps().size(), 2u);
}

TEST_F(SweepsTest, ATakenNameGetsANumberAndADeletedOneIsFreeAgain) {
  const SweepId first = Create(SpecOf("digits", 3));
  const SweepId second = Create(SpecOf("digits", 3));
  const SweepId third = Create(SpecOf("digits", 3));
  EXPECT_EQ(SweepOf(second).id, "digits-2");
  EXPECT_EQ(SweepOf(third).id, "digits-3");
  Control(first, Operation::kForceDelete);
  const SweepId fourth = Create(SpecOf("digits", 3));
  EXPECT_EQ(SweepOf(fourth).id, "digits");
  EXPECT_GT(fourth, third) << "numbers are never used again";
}

TEST_F(SweepsTest, TheSeedIsTheSpecsOrElseTheDrawnOne) {
  SweepSpec spec = SpecOf("digits", 3);
  EXPECT_EQ(SweepOf(Create(spec)).seed, 7u);
  spec.search.seed.reset();
  const Reply reply = Do(CreateSweep{spec, "", UINT64_MAX, false});
  EXPECT_EQ(SweepOf(reply.sweep).seed, UINT64_MAX);
}

TEST_F(SweepsTest, TheUsersPointsRunFirstAndTheRestIsDrawn) {
  SweepSpec spec = SpecOf("digits", 3);
  spec.parameters.push_back(UniformParameter("dropout"));
  spec.points = {{{"lr", 0.25}}, {{"lr", 0.5}, {"dropout", 0.125}}};
  Connect("w", 3);
  const SweepId id = Create(spec);
  ASSERT_EQ(SweepOf(id).trials.size(), 3u);
  EXPECT_TRUE(TrialOf(id, 0).from_user);
  EXPECT_TRUE(TrialOf(id, 1).from_user);
  EXPECT_FALSE(TrialOf(id, 2).from_user);
  EXPECT_EQ(TrialOf(id, 0).origin, Origin{.kind = Origin::Kind::kUser});
  EXPECT_EQ(ValueNumber(TrialOf(id, 0).point[0]), 0.25);
  EXPECT_TRUE(IsActive(TrialOf(id, 0).point[1])) << "what is not given is drawn";
  EXPECT_EQ(ValueNumber(TrialOf(id, 1).point[1]), 0.125);
  // The searcher is told of them, in order.
  const auto announced = TakeEffects<AnnounceTrial>();
  ASSERT_EQ(announced.size(), 2u);
  EXPECT_EQ(announced[1].trial, 1u);
}

TEST_F(SweepsTest, MoreUserPointsThanTheBudgetRunOnlyTheBudget) {
  SweepSpec spec = SpecOf("digits", 2);
  spec.points = {{{"lr", 0.1}}, {{"lr", 0.2}}, {{"lr", 0.3}}};
  const SessionId worker = Connect("w", 4);
  const SweepId id = Create(spec);
  EXPECT_EQ(SweepOf(id).trials.size(), 2u);
  for (uint32_t i = 0; i < 2; ++i) Finish(worker, RefOf(id, i), 1.0);
  EXPECT_EQ(SweepOf(id).state, SweepState::kSucceeded);
}

TEST_F(SweepsTest, ARandomSweepWithGridsRunsTheBudgetInEveryCell) {
  SweepSpec spec = SpecOf("digits", 2);
  spec.parameters = {GridParameter("width", 3), GridParameter("depth", 2), UniformParameter("lr")};
  EXPECT_EQ(SweepOf(Create(spec)).target, 12);
}

TEST_F(SweepsTest, PausedNothingNewStartsAndResumedItGoesOn) {
  const SessionId worker = Connect("w", 1);
  const SweepId id = Create(SpecOf("digits", 3));
  ASSERT_EQ(Running(id), 1u);
  EXPECT_TRUE(Control(id, Operation::kPause).status.ok());
  EXPECT_EQ(SweepOf(id).state, SweepState::kPaused);
  Report(worker, RefOf(id, 0), 1, 0.5);
  EXPECT_EQ(TrialOf(id, 0).measurements, 1u) << "what runs goes on";
  Ended(worker, RefOf(id, 0), ExitCode(0));
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kCompleted);
  EXPECT_EQ(Running(id), 0u);
  EXPECT_EQ(controller_->WaitingReason(SweepOf(id)), "the sweep is paused");
  EXPECT_TRUE(Control(id, Operation::kPause).status.ok()) << "pausing twice does nothing";
  EXPECT_TRUE(Control(id, Operation::kResume).status.ok());
  EXPECT_EQ(SweepOf(id).state, SweepState::kActive);
  EXPECT_EQ(Running(id), 1u);
}

TEST_F(SweepsTest, AnEndedOrStoppingSweepCanNeitherBePausedNorResumed) {
  Connect("w", 1);
  const SweepId id = Create(SpecOf("digits", 3));
  Control(id, Operation::kStop);
  ASSERT_EQ(SweepOf(id).state, SweepState::kStopping);
  EXPECT_EQ(Control(id, Operation::kPause).reason, "SWEEP_NOT_ACTIVE");
  EXPECT_EQ(Control(id, Operation::kResume).reason, "SWEEP_NOT_ACTIVE");
}

TEST_F(SweepsTest, AStoppedSweepEndsWhenItsProcessesAreGone) {
  const SessionId worker = Connect("w", 2);
  const SweepId id = Create(SpecOf("digits", 5));
  ASSERT_EQ(Running(id), 2u);
  EXPECT_TRUE(Control(id, Operation::kStop).status.ok());
  EXPECT_EQ(SweepOf(id).state, SweepState::kStopping);
  EXPECT_EQ(States(id), (std::vector{TrialState::kStopping, TrialState::kStopping}));
  EXPECT_EQ(TakeEffects<SendStop>().size(), 2u);
  Ended(worker, RefOf(id, 0), ExitCode(143));
  EXPECT_EQ(SweepOf(id).state, SweepState::kStopping);
  Ended(worker, RefOf(id, 1), ExitCode(0));
  EXPECT_EQ(SweepOf(id).state, SweepState::kCancelled);
  EXPECT_EQ(SweepOf(id).reason, "stopped by a user");
  EXPECT_EQ(States(id), (std::vector{TrialState::kCancelled, TrialState::kCancelled}));
  EXPECT_EQ(SweepOf(id).trials.size(), 2u) << "nothing new was created";
  EXPECT_TRUE(Control(id, Operation::kStop).status.ok()) << "stopping an ended sweep does nothing";
}

TEST_F(SweepsTest, AStoppedSweepWithoutProcessesEndsAtOnce) {
  const SweepId id = Create(SpecOf("digits", 5));
  Control(id, Operation::kStop);
  EXPECT_EQ(SweepOf(id).state, SweepState::kCancelled);
}

TEST_F(SweepsTest, APausedSweepCanBeStopped) {
  const SweepId id = Create(SpecOf("digits", 5));
  Control(id, Operation::kPause);
  Control(id, Operation::kStop);
  EXPECT_EQ(SweepOf(id).state, SweepState::kCancelled);
}

TEST_F(SweepsTest, ASuggestionThatComesAfterTheStopIsDropped) {
  HoldSuggestions();
  Connect("w", 1);
  const SweepId id = Create(SpecOf("digits", 5));
  ASSERT_EQ(held_suggestions().size(), 1u);
  Control(id, Operation::kStop);
  EXPECT_EQ(SweepOf(id).state, SweepState::kCancelled);
  GiveSuggestion();
  EXPECT_TRUE(SweepOf(id).trials.empty());
}

TEST_F(SweepsTest, ASuggestionForASweepThatIsGoneIsDropped) {
  const SweepId id = Create(SpecOf("digits", 5));
  Control(id, Operation::kForceDelete);
  Post(SuggestionReady{id, 0, {}});
  EXPECT_TRUE(state().sweeps().empty());
}

TEST_F(SweepsTest, OnlyAnEndedSweepIsDeletedUnlessForced) {
  const SessionId worker = Connect("w", 1);
  const SweepId id = Create(SpecOf("digits", 1));
  EXPECT_EQ(Control(id, Operation::kDelete).reason, "SWEEP_ACTIVE");
  Finish(worker, RefOf(id, 0), 1.0);
  ASSERT_EQ(SweepOf(id).state, SweepState::kSucceeded);
  EXPECT_TRUE(Control(id, Operation::kDelete).status.ok());
  EXPECT_EQ(state().FindSweep(id), nullptr);
  EXPECT_EQ(TakeEffects<DeleteLogs>().size(), 1u);
  EXPECT_EQ(Control(id, Operation::kDelete).reason, "SWEEP_NOT_FOUND");
}

TEST_F(SweepsTest, AForcedDeletionWaitsForTheProcesses) {
  const SessionId worker = Connect("w", 1);
  const SweepId id = Create(SpecOf("digits", 2));
  const AttemptRef ref = RefOf(id, 0);
  EXPECT_TRUE(Control(id, Operation::kForceDelete).status.ok());
  ASSERT_NE(state().FindSweep(id), nullptr);
  EXPECT_EQ(SweepOf(id).state, SweepState::kStopping);
  Ended(worker, ref, ExitCode(143));
  EXPECT_EQ(state().FindSweep(id), nullptr);
}

TEST_F(SweepsTest, AForcedDeletionOfAStoppingSweepIsCarriedOut) {
  const SessionId worker = Connect("w", 1);
  const SweepId id = Create(SpecOf("digits", 2));
  const AttemptRef ref = RefOf(id, 0);
  Control(id, Operation::kStop);
  EXPECT_TRUE(Control(id, Operation::kForceDelete).status.ok());
  Ended(worker, ref, ExitCode(143));
  EXPECT_EQ(state().FindSweep(id), nullptr);
}

TEST_F(SweepsTest, ARequestIdIsFreeAgainAfterTheDeletion) {
  const SweepId first = Do(CreateSweep{SpecOf("digits", 3), "request", 1, false}).sweep;
  Control(first, Operation::kForceDelete);
  const SweepId second = Do(CreateSweep{SpecOf("digits", 3), "request", 1, false}).sweep;
  EXPECT_NE(first, second);
}

TEST_F(SweepsTest, AnExhaustedSpaceEndsTheSweepEarlyAndSaysSo) {
  HoldSuggestions();
  const SessionId worker = Connect("w", 4);
  const SweepId id = Create(SpecOf("digits", 10));
  ASSERT_EQ(held_suggestions().size(), 4u);
  GiveSuggestion();
  GiveSuggestion(/*exhausted=*/true);
  Finish(worker, RefOf(id, 0), 1.0);
  EXPECT_EQ(SweepOf(id).state, SweepState::kActive) << "two answers are still awaited";
  GiveSuggestion(/*exhausted=*/true);
  GiveSuggestion(/*exhausted=*/true);
  EXPECT_EQ(SweepOf(id).state, SweepState::kSucceeded);
  EXPECT_EQ(SweepOf(id).reason, "the search space is exhausted: every point has been tried");
}

TEST_F(SweepsTest, TheTimeBudgetStopsWhatRunsAndCountsAsSuccess) {
  SweepSpec spec = SpecOf("digits", 10);
  spec.budget.wall_ms = 5'000;
  const SessionId worker = Connect("w", 1);
  const SweepId id = Create(spec);
  Advance(Milliseconds(4'999));
  EXPECT_EQ(SweepOf(id).state, SweepState::kActive);
  Advance(Milliseconds(1));
  EXPECT_EQ(SweepOf(id).state, SweepState::kStopping);
  Ended(worker, RefOf(id, 0), ExitCode(143));
  EXPECT_EQ(SweepOf(id).state, SweepState::kSucceeded);
  EXPECT_EQ(SweepOf(id).reason, "the time budget (budget.wall) is used up");
}

TEST_F(SweepsTest, AsManyFailuresAsTheBudgetAllowsEndTheSweepAsFailed) {
  SweepSpec spec = SpecOf("digits", 10);
  spec.budget.failures = 2;
  const SessionId worker = Connect("w", 2);
  const SweepId id = Create(spec);
  Ended(worker, RefOf(id, 0), ExitCode(1, "ModuleNotFoundError: numpy"));
  EXPECT_EQ(SweepOf(id).state, SweepState::kActive);
  Ended(worker, RefOf(id, 1), ExitCode(1, "ModuleNotFoundError: numpy"));
  EXPECT_EQ(SweepOf(id).state, SweepState::kStopping);
  Ended(worker, RefOf(id, 2), ExitCode(143));
  EXPECT_EQ(SweepOf(id).state, SweepState::kFailed);
  EXPECT_NE(SweepOf(id).reason.find("2 trials failed"), std::string::npos) << SweepOf(id).reason;
  EXPECT_NE(SweepOf(id).reason.find("ModuleNotFoundError: numpy"), std::string::npos) << SweepOf(id).reason;
}

TEST_F(SweepsTest, FiveStartFailuresInARowEndTheSweepAsFailedWithTheReason) {
  const SessionId worker = Connect("w", 1);
  const SweepId id = Create(SpecOf("digits", 100));
  for (uint32_t i = 0; i < 5; ++i) {
    ASSERT_EQ(SweepOf(id).state, SweepState::kActive) << i;
    Ended(worker, RefOf(id, i), StartFailure("no such program: trian.py"));
  }
  // The next one may be on its way already; it is stopped.
  for (const uint32_t number : std::set<uint32_t>(SweepOf(id).live)) Ended(worker, RefOf(id, number), ExitCode(143));
  EXPECT_EQ(SweepOf(id).state, SweepState::kFailed);
  EXPECT_NE(SweepOf(id).reason.find("no such program: trian.py"), std::string::npos) << SweepOf(id).reason;
}

TEST_F(SweepsTest, ASweepOfFiveThatCannotStartAtAllHasFailed) {
  const SessionId worker = Connect("w", 1);
  const SweepId id = Create(SpecOf("digits", 5));
  for (uint32_t i = 0; i < 5; ++i) Ended(worker, RefOf(id, i), StartFailure("no such program: trian.py"));
  EXPECT_EQ(SweepOf(id).state, SweepState::kFailed) << SweepOf(id).reason;
}

TEST_F(SweepsTest, AStartThatWorksBreaksTheRowOfStartFailures) {
  const SessionId worker = Connect("w", 1);
  const SweepId id = Create(SpecOf("digits", 100));
  for (uint32_t i = 0; i < 4; ++i) Ended(worker, RefOf(id, i), StartFailure("busy"));
  Started(worker, RefOf(id, 4));
  Ended(worker, RefOf(id, 4), ExitCode(1));
  for (uint32_t i = 5; i < 9; ++i) Ended(worker, RefOf(id, i), StartFailure("busy"));
  EXPECT_EQ(SweepOf(id).state, SweepState::kActive);
}

TEST_F(SweepsTest, TheSweepHasSucceededWhenAllTrialsHaveEndedAndItsSearcherIsDropped) {
  const SessionId worker = Connect("w", 1);
  const SweepId id = Create(SpecOf("digits", 2));
  Finish(worker, RefOf(id, 0), 1.0);
  EXPECT_EQ(SweepOf(id).state, SweepState::kActive);
  Finish(worker, RefOf(id, 1), 1.0);
  EXPECT_EQ(SweepOf(id).state, SweepState::kSucceeded);
  EXPECT_EQ(SweepOf(id).reason, "all 2 trials have ended");
  EXPECT_EQ(TakeEffects<DropSearcher>().size(), 1u);
  EXPECT_EQ(SweepOf(id).ended, now_);
}

TEST_F(SweepsTest, CommandsToUnknownSweepsAreRefused) {
  const SweepId none{99};
  EXPECT_EQ(Control(none, Operation::kStop).reason, "SWEEP_NOT_FOUND");
  EXPECT_EQ(Do(StopTrial{{none, 0}}).reason, "SWEEP_NOT_FOUND");
  EXPECT_EQ(Do(AskTrials{none, "c"}).reason, "SWEEP_NOT_FOUND");
  EXPECT_EQ(Do(ReportTrial{{none, 0}, LeaseEpoch(1), 1, 1, {}}).reason, "SWEEP_NOT_FOUND");
  EXPECT_EQ(Do(RenewTrial{{none, 0}, LeaseEpoch(1)}).reason, "SWEEP_NOT_FOUND");
  EXPECT_EQ(Do(CompleteTrial{{none, 0}, LeaseEpoch(1), ""}).reason, "SWEEP_NOT_FOUND");
}

TEST_F(SweepsTest, ASweepEndsThoughTheLastAnswerIsAPointThatWasFreedAfterTheSpaceWasExhausted) {
  HoldSuggestions();
  SweepSpec spec = SpecOf("digits", 3);
  const SessionId worker = Connect("w", 3);
  const SweepId id = Create(spec);
  ASSERT_EQ(held_suggestions().size(), 3u);
  GiveSuggestion();
  Finish(worker, RefOf(id, 0), 0.5);
  GiveSuggestion(true);
  EXPECT_EQ(SweepOf(id).state, SweepState::kActive) << "one more answer is to come";
  GiveSuggestion();
  EXPECT_EQ(SweepOf(id).state, SweepState::kSucceeded);
}

}  // namespace
}  // namespace tunesmith
