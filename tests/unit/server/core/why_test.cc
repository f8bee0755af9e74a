// The reasons that people are given.
#include <algorithm>

#include "tests/unit/server/core/core_test.h"

namespace tunesmith {
namespace {

class WhyTest : public CoreTest {
 protected:
  std::vector<std::string> Why(SweepId id, uint32_t number) const {
    return controller_->WhyTrial(SweepOf(id), number);
  }
  static AttemptExit StopExit() {
    AttemptExit exit = ExitCode(0);
    exit.stop_requested = true;
    return exit;
  }
};

using Lines = std::vector<std::string>;

TEST_F(WhyTest, AWaitingTrialNamesEveryWorkerTheClosestMissFirst) {
  SweepSpec spec = SpecOf("digits", 4);
  spec.resources.cpus = 2;
  spec.points = {{{"lr", 0.1}}, {{"lr", 0.2}}, {{"lr", 0.3}}};
  Connect("a", 1);
  Connect("b", 3);
  Connect("c", 8);
  Do(DrainWorker{"c", true, false});
  const SweepId id = Create(spec);
  ASSERT_EQ(TrialOf(id, 0).state, TrialState::kRunning);
  EXPECT_EQ(Why(id, 1), (Lines{"it has not run yet", "worker a: 2 CPUs are asked for, 1 of its 1 is free",
                               "worker b: 2 CPUs are asked for, 1 of its 3 is free",
                               "worker c: it is drained: drained by a user"}));
  EXPECT_EQ(Why(id, 2)[1], "1 trial of its sweep goes first");
  EXPECT_EQ(Why(id, 0), (Lines{"attempt 1 on b is being started, at step 0"}));
}

TEST_F(WhyTest, GpusAreCountedWholeOrByTheirShare) {
  SweepSpec whole = SpecOf("whole", 4);
  whole.resources.gpus = 2;
  whole.points = {{{"lr", 0.1}}, {{"lr", 0.2}}};
  Connect("a", 8, 3);
  const SweepId id = Create(whole);
  EXPECT_EQ(Why(id, 1)[1], "worker a: 2 GPUs are asked for, 1 of its 3 is free");
  SweepSpec share = SpecOf("share", 4);
  share.resources.gpus = 0.6;
  share.points = {{{"lr", 0.1}}, {{"lr", 0.2}}};
  const SweepId other = Create(share);
  EXPECT_EQ(Why(other, 1)[1], "worker a: 0.6 of a GPU is asked for, the most that one has free is 0.4");
}

TEST_F(WhyTest, APausedSweepAFullSweepAndNoWorkerAreSaid) {
  SweepSpec spec = SpecOf("digits", 4);
  spec.points = {{{"lr", 0.1}}, {{"lr", 0.2}}};
  const SweepId id = Create(spec);
  EXPECT_EQ(Why(id, 0), (Lines{"it has not run yet", "no worker is connected"}));
  Control(id, Operation::kPause);
  EXPECT_EQ(Why(id, 0)[1], "its sweep is paused: nothing starts until it is resumed");
  spec.name = "narrow";
  spec.budget.max_parallel = 1;
  Connect("w", 4);
  const SweepId narrow = Create(spec);
  EXPECT_EQ(Why(narrow, 1), (Lines{"it has not run yet",
                                   "budget.max_parallel is 1, and as many trials of the sweep run",
                                   "worker w has room"}));
}

TEST_F(WhyTest, ARetriedALostAndAFailedTrialTellCauseAndWhatHappensNext) {
  SweepSpec spec = SpecOf("digits", 1);
  spec.retry.failed = 1;
  spec.retry.lost = 3;
  const SessionId worker = Connect("w");
  const SweepId id = Create(spec);
  Control(id, Operation::kPause);
  Ended(worker, RefOf(id, 0), ExitCode(1, "exit code 1: boom"));
  EXPECT_EQ(Why(id, 0)[0],
            "attempt 1 on w failed: exit code 1: boom; it is tried again (1 of 1 that retry.failed allows)");
  Control(id, Operation::kResume);
  AttemptExit lost = LostExit();
  lost.reason = "the machine is gone";
  Control(id, Operation::kPause);
  Ended(worker, RefOf(id, 0), lost);
  EXPECT_EQ(Why(id, 0)[0], "attempt 2 on w was lost: the machine is gone; it runs again from its last checkpoint (1 of "
                           "3 that retry.lost allows)");
  Control(id, Operation::kResume);
  EXPECT_EQ(Why(id, 0), (Lines{"attempt 3 on w is being started, at step 0", "attempt 1 on w failed: exit code 1: boom",
                               "attempt 2 on w was lost: the machine is gone"}));
  Ended(worker, RefOf(id, 0), ExitCode(1, "exit code 1: again"));
  EXPECT_EQ(Why(id, 0)[0], "exit code 1: again");
  EXPECT_EQ(Why(id, 0)[1],
            "it is not tried again: it failed 2 times (retry.failed: 1) and was lost 1 time (retry.lost: 3)");
  EXPECT_EQ(Why(id, 0).size(), 5u);
}

TEST_F(WhyTest, AStoppedTrialTellsItsRungAndARunningOneItsNext) {
  const SessionId worker = Connect("w", 2);
  const SweepId id = Create(AshaSpecOf("digits", 4));
  Report(worker, RefOf(id, 0), 1, 0.5);
  EXPECT_EQ(Why(id, 1), (Lines{"attempt 1 on w is being started, at step 0",
                               "it is judged next at step 1, which 1 trial has reached; the cutoff is 0.5 now"}));
  Report(worker, RefOf(id, 1), 1, 0.9);
  EXPECT_EQ(Why(id, 1), (Lines{"0.9 is worse than the cutoff 0.5 at rung 1 (rank 2 of 2, loss min)",
                               "its processes have 10 s to leave, then they are killed"}));
  Ended(worker, RefOf(id, 1), StopExit());
  EXPECT_EQ(Why(id, 1), (Lines{"0.9 is worse than the cutoff 0.5 at rung 1 (rank 2 of 2, loss min)"}));
  Ended(worker, RefOf(id, 0), ExitCode(0));
  EXPECT_EQ(Why(id, 0), (Lines{"its program ended by itself, at step 1"}));
}

TEST_F(WhyTest, APausedAndAPromotedTrialSayWhatTheyWaitFor) {
  SweepSpec spec = AshaSpecOf("digits", 20);
  spec.scheduler.promotion = true;
  const SessionId a = Connect("a");
  const SweepId id = Create(spec);
  const SessionId b = Connect("b");
  Report(a, RefOf(id, 0), 1, 0.5);
  Ended(a, RefOf(id, 0), StopExit());
  EXPECT_EQ(Why(id, 0), (Lines{"0.5 is not among the best at rung 1 (rank 1 of 1, loss min)",
                               "it goes on when it is among the best at rung 1, which 1 trial has reached; 0 of them "
                               "went on"}));
  Report(b, RefOf(id, 1), 1, 0.9);
  Ended(b, RefOf(id, 1), StopExit());
  EXPECT_EQ(Why(id, 0), (Lines{"it is among the best at its rung, and goes on from step 1",
                               "its checkpoints are on worker a, and it waits for room there: 1 CPU is asked for, 0 of "
                               "its 1 are free"}));
}

}  // namespace
}  // namespace tunesmith
