// Trials that the scheduler pauses and lets go on.
#include "tests/unit/server/core/core_test.h"

namespace tunesmith {
namespace {

// Rungs at 1 and 2 of 4; half of each goes on.
SweepSpec PromotionSpecOf(int64_t trials) {
  SweepSpec spec = SpecOf("digits", trials);
  spec.scheduler.type = "asha";
  spec.scheduler.max_t = 4;
  spec.scheduler.reduction_factor = 2;
  spec.scheduler.promotion = true;
  return spec;
}

using PromotionTest = CoreTest;

TEST_F(PromotionTest, PausesAtARungAndGoesOnWithTheNextAttemptWhenItIsAmongTheBest) {
  const SessionId worker = Connect("w");
  const SweepId id = Create(PromotionSpecOf(4));
  TakeEffects<SendStop>();
  Report(worker, RefOf(id, 0), 1, 0.5);
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kStopping);
  ASSERT_EQ(TakeEffects<SendStop>().size(), 1u) << "the program is told to leave";
  Ended(worker, RefOf(id, 0), StoppedExit());
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kPaused);
  EXPECT_EQ(TrialOf(id, 1).state, TrialState::kRunning) << "the next one has its place";
  TakeEffects<SendAssign>();
  ReportAndLeave(worker, id, 1, 1, 0.9);
  EXPECT_EQ(TrialOf(id, 1).state, TrialState::kPaused);
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kRunning) << "the better of two, before fresh ones";
  EXPECT_EQ(TrialOf(id, 0).attempts.size(), 2u);
  const auto assigned = TakeEffects<SendAssign>();
  ASSERT_EQ(assigned.size(), 1u);
  EXPECT_TRUE(assigned[0].resume);
  EXPECT_EQ(TrialOf(id, 0).failures + TrialOf(id, 0).losses, 0);
}

TEST_F(PromotionTest, RunsToItsEndAndWhatIsLeftPausedEndsAsStopped) {
  const SessionId worker = Connect("w");
  const SweepId id = Create(PromotionSpecOf(2));
  ReportAndLeave(worker, id, 0, 1, 0.5);
  ReportAndLeave(worker, id, 1, 1, 0.9);
  ReportAndLeave(worker, id, 0, 2, 0.4);
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kRunning) << "alone at rung 2, and nothing else to do";
  ReportAndLeave(worker, id, 0, 4, 0.3);
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kCompleted);
  EXPECT_EQ(TrialOf(id, 1).state, TrialState::kStopped);
  EXPECT_EQ(TrialOf(id, 1).reason,
            "0.9 is not among the best at rung 1 (rank 2 of 2, loss min), and nothing else was left to run");
  EXPECT_EQ(SweepOf(id).state, SweepState::kSucceeded);
}

TEST_F(PromotionTest, TheSearcherHearsOfRungsAtOnceAndOfPausedTrialsAtTheirEnd) {
  const SessionId worker = Connect("w");
  const SweepId id = Create(PromotionSpecOf(2));
  TakeEffects<ReportRung>();
  ReportAndLeave(worker, id, 0, 1, 0.5);
  const auto rungs = TakeEffects<ReportRung>();
  ASSERT_EQ(rungs.size(), 1u);
  EXPECT_EQ(rungs[0].report.rung, 1);
  EXPECT_TRUE(TakeEffects<ObserveTrial>().empty());
  Control(id, Operation::kStop);
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kCancelled);
}

TEST_F(PromotionTest, ATrialThatIsLetOnWhileItLeavesGoesOnWhenItIsGone) {
  const SessionId worker = Connect("w", 3);
  const SweepId id = Create(PromotionSpecOf(20));
  ReportAndLeave(worker, id, 2, 1, 3.0);
  const AttemptRef first = RefOf(id, 0);
  Report(worker, first, 1, 2.0);
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kRunning) << "the better of two";
  Report(worker, first, 2, 2.0);
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kStopping);
  ReportAndLeave(worker, id, 1, 1, 4.0);
  const AttemptRef next = RefOf(id, 3);
  Report(worker, next, 1, 1.0);  // the best of four: goes on
  Report(worker, next, 2, 3.0);  // and makes trial 0 the better of two at the next rung, whose program still runs
  ASSERT_EQ(TrialOf(id, 0).state, TrialState::kStopping);
  Ended(worker, first, StoppedExit());
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kRunning);
  EXPECT_EQ(TrialOf(id, 0).attempts.size(), 2u);
}

// Else a controller that is killed and recovers at this instant lets it on earlier than one that is not.
TEST_F(PromotionTest, ATrialIsLetOnByTheReportThatMakesItOneOfTheBest) {
  const SessionId worker = Connect("w");
  const SweepId id = Create(PromotionSpecOf(4));
  ReportAndLeave(worker, id, 0, 1, 0.5);
  Report(worker, RefOf(id, 1), 1, 0.9);
  EXPECT_EQ(TrialOf(id, 1).state, TrialState::kStopping) << "its program still runs";
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kPending) << "it waits for a place, no longer for others";
  const size_t facts = journal_.size();
  Restart();
  EXPECT_EQ(journal_.size(), facts);
}

TEST_F(PromotionTest, ARestartForgetsNoPausedTrial) {
  SessionId worker = Connect("w");
  const SweepId id = Create(PromotionSpecOf(4));
  ReportAndLeave(worker, id, 0, 1, 0.5);
  const AttemptRef second = RefOf(id, 1);
  Restart();
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kPaused);
  worker = Connect("w", 1, 0, "boot-1", {second});
  ReportAndLeave(worker, id, 1, 1, 0.9);
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kRunning);
}

TEST_F(PromotionTest, ADaemonThatComesBackIsToldToEndWhatIsBeingPaused) {
  SessionId worker = Connect("w");
  const SweepId id = Create(PromotionSpecOf(2));
  const AttemptRef ref = RefOf(id, 0);
  Report(worker, ref, 1, 0.5);
  Restart();
  worker = Connect("w", 1, 0, "boot-1", {ref});
  const auto welcome = TakeEffects<SendWelcome>();
  ASSERT_EQ(welcome.back().attempts.size(), 1u);
  EXPECT_EQ(welcome.back().attempts[0].kind, AttemptAnswer::Kind::kKill);
  EXPECT_EQ(welcome.back().attempts[0].reason, "paused");
  Ended(worker, ref, StoppedExit());
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kPaused);
}

TEST_F(PromotionTest, HoweverAPausingProgramDiesItIsPaused) {
  const SessionId worker = Connect("w");
  for (const AttemptExit& exit : {ExitCode(1, "no handler"), LostExit(), StoppedExit()}) {
    const SweepId id = Create(PromotionSpecOf(1));
    AttemptExit told = exit;
    told.stop_requested = !exit.lost;
    const AttemptRef ref = RefOf(id, 0);
    Report(worker, ref, 1, 0.5);
    Ended(worker, ref, told);
    // Alone in its sweep, it goes on at once.
    EXPECT_EQ(TrialOf(id, 0).attempts.size(), 2u);
    EXPECT_EQ(TrialOf(id, 0).failures, 0);
    Control(id, Operation::kStop);
    Ended(worker, RefOf(id, 0), StoppedExit());
  }
}

TEST_F(PromotionTest, AProgramThatEndedBeforeItWasToldIsComplete) {
  const SessionId worker = Connect("w");
  const SweepId id = Create(PromotionSpecOf(1));
  const AttemptRef ref = RefOf(id, 0);
  Post(WorkerRecords{worker, {MeasuredOf(ref, 1, {{"loss", 0.5}}), MeasuredOf(ref, 2, {{"loss", 0.4}}),
                              EndedOf(ref, ExitCode(0))}});
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kCompleted);
  EXPECT_EQ(SweepOf(id).state, SweepState::kSucceeded);
}

TEST_F(PromotionTest, AUserMayStopATrialThatIsPausedOrAboutToBe) {
  const SessionId worker = Connect("w");
  const SweepId id = Create(PromotionSpecOf(8));
  ReportAndLeave(worker, id, 0, 1, 0.5);
  EXPECT_TRUE(Do(StopTrial{{id, 0}}).status.ok());
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kCancelled);
  Report(worker, RefOf(id, 1), 1, 0.9);
  EXPECT_EQ(TrialOf(id, 1).state, TrialState::kStopping);
  EXPECT_TRUE(Do(StopTrial{{id, 1}}).status.ok());
  Ended(worker, RefOf(id, 1), StoppedExit());
  EXPECT_EQ(TrialOf(id, 1).state, TrialState::kCancelled);
}

TEST_F(PromotionTest, ATrialThatAUserStopsWhileItLeavesIsNotLetOn) {
  const SessionId worker = Connect("w", 2);
  const SweepId id = Create(PromotionSpecOf(8));
  const AttemptRef leaving = RefOf(id, 0);
  Report(worker, leaving, 1, 0.1);
  EXPECT_TRUE(Do(StopTrial{{id, 0}}).status.ok());
  ReportAndLeave(worker, id, 1, 1, 0.9);  // which would let trial 0 on
  Ended(worker, leaving, StoppedExit());
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kCancelled);
}

TEST_F(PromotionTest, APausedSweepLetsNobodyOn) {
  const SessionId worker = Connect("w");
  const SweepId id = Create(PromotionSpecOf(2));
  ReportAndLeave(worker, id, 0, 1, 0.5);
  Control(id, Operation::kPause);
  ReportAndLeave(worker, id, 1, 1, 0.9);
  EXPECT_EQ(States(id), (std::vector<TrialState>{TrialState::kPaused, TrialState::kPaused}));
  EXPECT_EQ(SweepOf(id).state, SweepState::kPaused);
  Control(id, Operation::kResume);
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kRunning);
}

TEST_F(PromotionTest, ATrialGoesOnWhereItsCheckpointsAreOrElsewhereIfThatWorkerIsGone) {
  const SessionId a = Connect("a");
  const SweepId id = Create(PromotionSpecOf(20));
  const SessionId b = Connect("b");
  const WorkerId of_a = state().FindWorker("a"), of_b = state().FindWorker("b");
  ASSERT_EQ(TrialOf(id, 0).attempts[0].worker, of_a);
  ASSERT_EQ(TrialOf(id, 1).attempts[0].worker, of_b);
  ReportAndLeave(a, id, 0, 1, 0.5);  // a runs trial 2 now
  ReportAndLeave(b, id, 1, 1, 0.9);
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kPending) << "it waits for a, though b is free";
  EXPECT_EQ(TrialOf(id, 3).state, TrialState::kRunning) << "which takes a fresh one";
  ReportAndLeave(a, id, 2, 1, 1.0);
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kRunning);
  EXPECT_EQ(TrialOf(id, 0).attempts.back().worker, of_a);
  Post(WorkerDisconnected{a});
  Advance(Seconds(15));
  Post(WorkerHeartbeat{b});
  Advance(Seconds(10));
  EXPECT_EQ(TrialOf(id, 0).attempts[1].state, AttemptState::kLost);
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kPending);
  ReportAndLeave(b, id, 3, 1, 2.0);
  EXPECT_EQ(TrialOf(id, 0).attempts.back().worker, of_b);
}

TEST_F(PromotionTest, AfterARestartATrialWaitsForItsWorkerToComeBackAsLongAsALease) {
  const SessionId a = Connect("a");
  const SweepId id = Create(PromotionSpecOf(20));
  Connect("b");
  ReportAndLeave(a, id, 0, 1, 0.5);
  const AttemptRef on_b = RefOf(id, 1);
  Restart();
  const SessionId again = Connect("b", 1, 0, "boot-1", {on_b});
  ReportAndLeave(again, id, 1, 1, 0.9);
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kPending) << "a may be about to connect";
  EXPECT_EQ(TrialOf(id, 3).attempts.back().worker, state().FindWorker("b"));
  Advance(Seconds(15));
  Post(WorkerHeartbeat{again});
  Advance(Seconds(10));
  EXPECT_EQ(TrialOf(id, 2).attempts.back().state, AttemptState::kLost);
  ReportAndLeave(again, id, 3, 1, 2.0);
  EXPECT_EQ(TrialOf(id, 2).attempts.back().worker, state().FindWorker("b")) << "what was lost goes first";
  Finish(again, RefOf(id, 2), 3.0);
  EXPECT_EQ(TrialOf(id, 0).attempts.back().worker, state().FindWorker("b")) << "a is given up";
}

TEST_F(PromotionTest, AnIdleWorkerTakesOverWhenTheOneWithTheCheckpointsStaysAway) {
  const SessionId a = Connect("a");
  const SweepId id = Create(PromotionSpecOf(2));
  ReportAndLeave(a, id, 0, 1, 0.5);
  ReportAndLeave(a, id, 1, 1, 0.9);
  ReportAndLeave(a, id, 0, 2, 0.4);
  const AttemptRef last = RefOf(id, 0);
  Control(id, Operation::kPause);
  Ended(a, last, ExitCode(1, "boom"));  // nothing runs; no retry is left
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kFailed);
  EXPECT_EQ(TrialOf(id, 1).state, TrialState::kPaused);
  Restart();
  const SessionId b = Connect("b");
  Control(id, Operation::kResume);
  EXPECT_EQ(TrialOf(id, 1).state, TrialState::kPending) << "a has its checkpoints";
  Advance(Seconds(15));
  Post(WorkerHeartbeat{b});
  Advance(Seconds(10));
  EXPECT_EQ(TrialOf(id, 1).attempts.back().worker, state().FindWorker("b"));
}

}  // namespace
}  // namespace tunesmith
