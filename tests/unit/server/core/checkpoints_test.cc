// Which copies of checkpoints are taken and kept, and where trials may go on because of them.
#include "tests/unit/server/core/core_test.h"

namespace tunesmith {
namespace {

class CheckpointsTest : public CoreTest {
 protected:
  // Reports, and names a checkpoint.
  void ReportNaming(SessionId worker, const AttemptRef& ref, int64_t step, double loss) {
    WorkerRecord record = MeasuredOf(ref, step, {{"loss", loss}});
    record.checkpoint = "step-" + std::to_string(step);
    Post(WorkerRecords{worker, {record}});
  }
  Reply Arrive(const AttemptRef& ref, int64_t step, int64_t bytes = 100) {
    return Do(CheckpointArrived{
        ref, {ref.attempt.number, step, "step-" + std::to_string(step), bytes, std::string(64, 'a')}});
  }
  std::vector<int64_t> Steps(SweepId id, uint32_t number) const {
    std::vector<int64_t> steps;
    for (const StoredCheckpoint& one : TrialOf(id, number).StoredCheckpoints()) steps.push_back(one.step);
    return steps;
  }
  void ReportAndArrive(SessionId worker, const AttemptRef& ref, int64_t step, double loss) {
    ReportNaming(worker, ref, step, loss);
    EXPECT_TRUE(Arrive(ref, step).status.ok());
  }
};

TEST_F(CheckpointsTest, TheLastAndTheBestAreKept) {
  const SessionId worker = Connect("w");
  const SweepId id = Create(SpecOf("digits", 1));
  const AttemptRef ref = RefOf(id, 0);
  ReportAndArrive(worker, ref, 1, 0.5);
  ReportAndArrive(worker, ref, 2, 0.3);
  EXPECT_EQ(Steps(id, 0), (std::vector<int64_t>{2}));
  ReportAndArrive(worker, ref, 3, 0.4);
  ReportAndArrive(worker, ref, 4, 0.6);
  EXPECT_EQ(Steps(id, 0), (std::vector<int64_t>{2, 4}));
  const auto dropped = TakeEffects<DropCheckpoint>();
  ASSERT_EQ(dropped.size(), 2u);
  EXPECT_EQ(dropped[0].step, 1);
  EXPECT_EQ(dropped[1].step, 3);
  EXPECT_EQ(SweepOf(id).checkpoint_bytes, 200);
}

TEST_F(CheckpointsTest, ACopyMayArriveBeforeItsReport) {
  const SessionId worker = Connect("w");
  const SweepId id = Create(SpecOf("digits", 1));
  const AttemptRef ref = RefOf(id, 0);
  Started(worker, ref);
  EXPECT_TRUE(Arrive(ref, 1).status.ok());
  EXPECT_TRUE(std::isnan(TrialOf(id, 0).StoredCheckpoints()[0].value));
  ReportNaming(worker, ref, 1, 0.2);
  EXPECT_EQ(TrialOf(id, 0).StoredCheckpoints()[0].value, 0.2);
  ReportAndArrive(worker, ref, 2, 0.4);
  EXPECT_EQ(Steps(id, 0), (std::vector<int64_t>{1, 2})) << "the first is the best";
}

TEST_F(CheckpointsTest, TheLastAloneIfTheSweepWantsNoMore) {
  const SessionId worker = Connect("w");
  SweepSpec spec = SpecOf("digits", 1);
  spec.checkpoints.keep_best = false;
  const SweepId id = Create(spec);
  ReportAndArrive(worker, RefOf(id, 0), 1, 0.1);
  ReportAndArrive(worker, RefOf(id, 0), 2, 0.5);
  EXPECT_EQ(Steps(id, 0), (std::vector<int64_t>{2}));
}

TEST_F(CheckpointsTest, NothingIsTakenThatNobodyWouldUse) {
  const SessionId worker = Connect("w", 2);
  SweepSpec none = SpecOf("none", 1);
  none.checkpoints.store = false;
  const SweepId kept = Create(SpecOf("kept", 1)), not_kept = Create(none);
  EXPECT_EQ(Arrive(RefOf(not_kept, 0), 1).status.code(), StatusCode::kFailedPrecondition);
  AttemptRef stale = RefOf(kept, 0);
  stale.epoch.value += 1;
  EXPECT_EQ(Arrive(stale, 1).status.code(), StatusCode::kFailedPrecondition);
  AttemptRef later = RefOf(kept, 0);
  later.attempt.number = 7;
  EXPECT_EQ(Arrive(later, 1).status.code(), StatusCode::kNotFound);
  EXPECT_EQ(Arrive({{{SweepId(99), 0}, 1}, LeaseEpoch(1)}, 1).status.code(), StatusCode::kNotFound);
  const AttemptRef ref = RefOf(kept, 0);
  Report(worker, ref, 1, 0.5);
  Post(WorkerDisconnected{worker});
  Advance(Seconds(21));
  EXPECT_EQ(Arrive(ref, 1).status.code(), StatusCode::kFailedPrecondition) << "fenced off";
  EXPECT_EQ(SweepOf(kept).checkpoint_bytes, 0);
}

TEST_F(CheckpointsTest, WhatADrainedWorkerStoppedIsTakenAfterItHasSaidSo) {
  const SessionId worker = Connect("w");
  const SweepId id = Create(SpecOf("digits", 1));
  const AttemptRef ref = RefOf(id, 0);
  Report(worker, ref, 3, 0.5);
  Do(DrainWorker{"w", true, true});
  Ended(worker, ref, LostExit());
  ASSERT_EQ(TrialOf(id, 0).state, TrialState::kPending);
  EXPECT_TRUE(Arrive(ref, 3).status.ok());
  Connect("w2");
  EXPECT_EQ(TakeEffects<SendAssign>().back().checkpoints.at(0).step, 3);
}

TEST_F(CheckpointsTest, TheLastOneOfACompletedTrialMayComeAfterItsEnd) {
  const SessionId worker = Connect("w");
  const SweepId id = Create(SpecOf("digits", 1));
  const AttemptRef ref = RefOf(id, 0);
  ReportNaming(worker, ref, 1, 0.5);
  Ended(worker, ref, ExitCode(0));
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kCompleted);
  EXPECT_TRUE(Arrive(ref, 1).status.ok());
  EXPECT_EQ(Steps(id, 0), (std::vector<int64_t>{1}));
  EXPECT_EQ(TrialOf(id, 0).StoredCheckpoints()[0].value, 0.5) << "or it would never be the best one";
}

TEST_F(CheckpointsTest, AnEarlyStopDropsThemUnlessTheSweepKeepsThem) {
  for (const bool keep : {false, true}) {
    const SessionId worker = Connect(keep ? "w2" : "w", 2);
    SweepSpec spec = AshaSpecOf(keep ? "kept" : "dropped", 2);
    spec.checkpoints.keep_stopped = keep;
    const SweepId id = Create(spec);
    ReportNaming(worker, RefOf(id, 0), 1, 0.1);
    ReportAndArrive(worker, RefOf(id, 1), 1, 0.9);
    Ended(worker, RefOf(id, 1), ExitCode(0));
    ASSERT_EQ(TrialOf(id, 1).state, TrialState::kStopped);
    EXPECT_EQ(Steps(id, 1).size(), keep ? 1u : 0u);
    EXPECT_EQ(TakeEffects<DropCheckpoint>().size(), keep ? 0u : 1u);
    Finish(worker, RefOf(id, 0), 0.1);
    EXPECT_EQ(controller_->UseOfLeftovers({id, 0}), LeftoverUse::kAll);
    EXPECT_EQ(controller_->UseOfLeftovers({id, 1}), keep ? LeftoverUse::kAll : LeftoverUse::kNoCheckpoints);
    EXPECT_EQ(controller_->UseOfLeftovers({id, 77}), LeftoverUse::kAll) << "a journal that lost its tail";
    Control(id, Operation::kDelete);
    EXPECT_EQ(TakeEffects<DropCheckpoints>().size(), 1u);
    EXPECT_EQ(controller_->UseOfLeftovers({id, 0}), LeftoverUse::kNone);
    EXPECT_EQ(controller_->UseOfLeftovers({SweepId(id.value + 1), 0}), LeftoverUse::kAll) << "not ours to say";
    Post(WorkerDisconnected{worker});
  }
}

TEST_F(CheckpointsTest, TheBestTrialsFilesStayOnItsWorkerHoweverItEnded) {
  const SessionId worker = Connect("w", 2);
  const SweepId id = Create(AshaSpecOf("digits", 3));
  const AttemptRef first = RefOf(id, 0), second = RefOf(id, 1);
  ReportNaming(worker, first, 1, 0.1);
  ReportNaming(worker, second, 1, 0.09);
  ReportNaming(worker, first, 2, 0.01);
  ReportNaming(worker, second, 2, 0.02);
  Ended(worker, second, ExitCode(0));
  ASSERT_EQ(TrialOf(id, 1).state, TrialState::kStopped);
  Ended(worker, first, ExitCode(1));
  ASSERT_EQ(TrialOf(id, 0).state, TrialState::kFailed);
  ASSERT_EQ(controller_->state().FindSweep(id)->best_trial, 1u);
  EXPECT_EQ(controller_->UseOfLeftovers({id, 1}), LeftoverUse::kAll);
  Finish(worker, RefOf(id, 2), 0.001);
  EXPECT_EQ(controller_->UseOfLeftovers({id, 1}), LeftoverUse::kNoCheckpoints) << "another one is better";
}

TEST_F(CheckpointsTest, ALostTrialGoesOnElsewhereWithTheNewestThatWasRecorded) {
  const SessionId first = Connect("w1");
  const SweepId id = Create(SpecOf("digits", 1));
  const AttemptRef ref = RefOf(id, 0);
  ReportAndArrive(first, ref, 1, 0.5);
  ReportAndArrive(first, ref, 2, 0.7);
  EXPECT_TRUE(Arrive(ref, 3).status.ok()) << "whose report never comes";
  const SessionId second = Connect("w2");
  TakeEffects<SendAssign>();
  Post(WorkerDisconnected{first});
  now_ = now_ + Seconds(21);
  Post(WorkerHeartbeat{second});
  Post(Tick{});
  const auto assigned = TakeEffects<SendAssign>();
  ASSERT_EQ(assigned.size(), 1u);
  EXPECT_EQ(assigned[0].session, second);
  EXPECT_EQ(assigned[0].last_step, 2);
  ASSERT_EQ(assigned[0].checkpoints.size(), 2u) << "3 was never reported";
  EXPECT_EQ(assigned[0].checkpoints[0].step, 2);
  EXPECT_EQ(assigned[0].checkpoints[1].step, 1) << "the best one";
}

TEST_F(CheckpointsTest, WhatAStartingAttemptMayBeFetchingStays) {
  const SessionId first = Connect("w1");
  SweepSpec spec = SpecOf("digits", 1);
  spec.retry.failed = 3;
  const SweepId id = Create(spec);
  const AttemptRef ref = RefOf(id, 0);
  ReportAndArrive(first, ref, 1, 0.5);
  ReportNaming(first, ref, 2, 0.4);
  Ended(first, ref, ExitCode(1));
  ASSERT_EQ(TrialOf(id, 0).attempts.size(), 2u);
  EXPECT_TRUE(Arrive(ref, 2).status.ok());
  EXPECT_EQ(Steps(id, 0), (std::vector<int64_t>{1, 2}));
  Started(first, RefOf(id, 0));
  ReportAndArrive(first, RefOf(id, 0), 3, 0.6);
  EXPECT_EQ(Steps(id, 0), (std::vector<int64_t>{2, 3})) << "tidied with the next one";
}

TEST_F(CheckpointsTest, ATrialWaitsForRoomAtHomeOnlyWhileItsNewestIsNowhereElse) {
  const SessionId first = Connect("w1");
  SweepSpec spec = SpecOf("digits", 2);
  spec.retry.failed = 3;
  const SweepId id = Create(spec);
  const AttemptRef ref = RefOf(id, 0);
  ReportAndArrive(first, ref, 1, 0.5);
  ReportNaming(first, ref, 2, 0.5);
  Control(id, Operation::kPause);
  Ended(first, ref, ExitCode(1));
  const SweepId other = Create(SpecOf("other", 1));  // takes the place at home
  ASSERT_EQ(Running(other), 1u);
  Control(id, Operation::kResume);
  TakeEffects<SendAssign>();
  const SessionId second = Connect("w2", 1);
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kPending) << "its newest checkpoint is on w1";
  Ended(second, RefOf(id, 1), ExitCode(1));
  TakeEffects<SendAssign>();
  Post(WorkerDisconnected{second});
  Advance(Seconds(21));
  EXPECT_TRUE(Arrive(ref, 2).status.ok());
  Connect("w3", 1);
  const auto assigned = TakeEffects<SendAssign>();
  ASSERT_FALSE(assigned.empty());
  EXPECT_EQ(assigned[0].ref.attempt.trial.number, 0u) << "now it may go on anywhere, before fresh ones";
  EXPECT_EQ(assigned[0].checkpoints.at(0).step, 2);
}

TEST_F(CheckpointsTest, WhereThereIsNoRoomTheFirstToEndGivesItButNeverTheBest) {
  const SessionId worker = Connect("w");
  SweepSpec spec = SpecOf("digits", 4);
  spec.checkpoints.max_bytes = 250;
  const SweepId id = Create(spec);
  for (uint32_t number = 0; number < 2; ++number) {
    ReportAndArrive(worker, RefOf(id, number), 1, 0.1 * (number + 1));
    Ended(worker, RefOf(id, number), ExitCode(0));
  }
  ReportNaming(worker, RefOf(id, 2), 1, 0.9);
  EXPECT_EQ(Arrive(RefOf(id, 2), 1, 300).status.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(SweepOf(id).checkpoint_bytes, 200) << "nothing was given up for what has no room at all";
  EXPECT_TRUE(Arrive(RefOf(id, 2), 1, 100).status.ok());
  EXPECT_EQ(Steps(id, 0).size(), 1u) << "the best trial";
  EXPECT_EQ(Steps(id, 1).size(), 0u);
  EXPECT_EQ(Steps(id, 2).size(), 1u);
  EXPECT_EQ(SweepOf(id).checkpoint_bytes, 200);
}

TEST_F(CheckpointsTest, ARestartForgetsNone) {
  const SessionId worker = Connect("w");
  const SweepId id = Create(SpecOf("digits", 1));
  ReportAndArrive(worker, RefOf(id, 0), 1, 0.2);
  ReportAndArrive(worker, RefOf(id, 0), 2, 0.5);
  Restart();
  EXPECT_EQ(Steps(id, 0), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(TrialOf(id, 0).StoredCheckpoints()[0].value, 0.2);
}

}  // namespace
}  // namespace tunesmith
