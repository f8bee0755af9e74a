// Which sweep gets the next place, who makes room for whom, and that nobody waits for ever.
#include "common/limits.h"
#include "tests/unit/server/core/core_test.h"

namespace tunesmith {
namespace {

class FairShareTest : public CoreTest {
 protected:
  static SweepSpec SpecWith(const std::string& name, int32_t priority, double weight = 1) {
    SweepSpec spec = SpecOf(name, 100);
    spec.share.priority = priority;
    spec.share.weight = weight;
    return spec;
  }
  // The trial names a checkpoint of its step.
  void Saves(SessionId session, SweepId id, uint32_t number, int64_t step) {
    WorkerRecord record = MeasuredOf(RefOf(id, number), step, {{"loss", 0.5}});
    record.checkpoint = "step-" + std::to_string(step);
    Post(WorkerRecords{session, {record}});
  }
  void Stored(SweepId id, uint32_t number, int64_t step) {
    const AttemptRef ref = RefOf(id, number);
    Do(CheckpointArrived{ref, {ref.attempt.number, step, "step-" + std::to_string(step), 100, std::string(64, 'a')}});
  }
  std::vector<uint32_t> Preempting(SweepId id) const {
    std::vector<uint32_t> found;
    for (const uint32_t number : SweepOf(id).live) {
      if (TrialOf(id, number).Preempting()) found.push_back(number);
    }
    return found;
  }
  // All that is to make room leaves.
  void LeavePreempted(SessionId session, SweepId id) {
    for (const uint32_t number : Preempting(id)) Ended(session, RefOf(id, number), StoppedExit());
  }
  // Time passes, and the daemon is heard of.
  void Wait(SessionId session, int64_t ms) {
    for (; ms > 0; ms -= 5'000) {
      Advance(Milliseconds(std::min<int64_t>(ms, 5'000)));
      Post(WorkerHeartbeat{session, false});
    }
  }
  void FinishOne(SessionId session, SweepId id) { Finish(session, RefOf(id, *SweepOf(id).live.begin()), 0.5); }
};

TEST_F(FairShareTest, WeightsDivideThePlaces) {
  const SessionId worker = Connect("w", 9);
  const SweepId one = Create(SpecWith("one", 0, 1));
  const SweepId two = Create(SpecWith("two", 0, 2));
  for (int i = 0; i < 30; ++i) FinishOne(worker, Running(one) * 2 > Running(two) ? one : two);
  EXPECT_EQ(Running(one), 3u);
  EXPECT_EQ(Running(two), 6u);
}

TEST_F(FairShareTest, WhatTrialsUseCountsNotHowManyTheyAre) {
  SweepSpec wide = SpecOf("wide", 100);
  wide.resources.cpus = 3;
  const SweepId big = Create(wide);
  const SweepId small = Create(SpecOf("small", 100));
  Connect("w", 12);
  EXPECT_EQ(Running(big), 2u);
  EXPECT_EQ(Running(small), 6u);
}

TEST_F(FairShareTest, TheHigherPriorityGoesFirst) {
  const SessionId worker = Connect("w", 2);
  const SweepId low = Create(SpecWith("low", 0));
  const SweepId high = Create(SpecWith("high", 5));
  EXPECT_EQ(Running(high), 0u) << "trials without a checkpoint are not preempted";
  EXPECT_TRUE(Preempting(low).empty());
  FinishOne(worker, low);
  FinishOne(worker, low);
  EXPECT_EQ(Running(high), 2u);
  EXPECT_EQ(Running(low), 0u);
  FinishOne(worker, high);
  EXPECT_EQ(Running(high), 2u) << "as long as it has work, the other one waits";
}

TEST_F(FairShareTest, TrialsWithACheckpointMakeRoomAndGoOnFromIt) {
  const SessionId worker = Connect("w", 2);
  const SweepId low = Create(SpecWith("low", 0));
  Saves(worker, low, 0, 3);
  Report(worker, RefOf(low, 1), 1, 0.5);
  SweepSpec spec = SpecWith("high", 5);
  spec.budget.trials = 1;
  const SweepId high = Create(spec);
  EXPECT_EQ(Preempting(low), std::vector<uint32_t>{0}) << "trial 1 has saved nothing";
  const std::vector<SendStop> stops = TakeEffects<SendStop>();
  ASSERT_EQ(stops.size(), 1u);
  EXPECT_EQ(stops[0].reason, "makes room for sweep high (priority 5 over 0)");
  EXPECT_FALSE(stops[0].now) << "it may save once more";
  Saves(worker, low, 0, 4);
  Stored(low, 0, 4);
  LeavePreempted(worker, low);
  EXPECT_EQ(Running(high), 1u);
  const Trial& trial = TrialOf(low, 0);
  EXPECT_EQ(trial.state, TrialState::kPending);
  EXPECT_EQ(trial.attempts[0].state, AttemptState::kPreempted);
  EXPECT_EQ(trial.losses + trial.failures, 0) << "it costs no retry";
  EXPECT_EQ(controller_->WhyTrial(SweepOf(low), 0)[0],
            "attempt 1 on w was preempted: makes room for sweep high (priority 5 over 0); it goes on from its last "
            "checkpoint");
  TakeEffects<SendAssign>();
  Finish(worker, RefOf(high, 0), 0.5);
  const std::vector<SendAssign> assigned = TakeEffects<SendAssign>();
  ASSERT_EQ(assigned.size(), 1u);
  EXPECT_EQ(assigned[0].ref.attempt.trial, (TrialId{low, 0})) << "before fresh trials";
  EXPECT_EQ(assigned[0].last_step, 4);
  ASSERT_EQ(assigned[0].checkpoints.size(), 1u);
  EXPECT_EQ(assigned[0].checkpoints[0].step, 4);
}

TEST_F(FairShareTest, AsFewAsWillDoMakeRoomAndTheLeastUrgentFirst) {
  const SessionId worker = Connect("w", 4);
  SweepSpec lowest = SpecWith("lowest", -1);
  lowest.budget.max_parallel = 2;
  const SweepId a = Create(lowest);
  SweepSpec middle = SpecWith("middle", 0);
  middle.budget.max_parallel = 2;
  const SweepId b = Create(middle);
  ASSERT_EQ(Running(a) + Running(b), 4u);
  for (const SweepId id : {a, b}) {
    for (const uint32_t number : std::set<uint32_t>(SweepOf(id).live)) Saves(worker, id, number, 1);
  }
  SweepSpec urgent = SpecWith("urgent", 7);
  urgent.budget.max_parallel = 1;
  Create(urgent);
  EXPECT_EQ(Preempting(a).size(), 1u);
  EXPECT_TRUE(Preempting(b).empty());
  Advance(Seconds(1));
  EXPECT_EQ(Preempting(a).size(), 1u) << "the place that falls free is counted";
}

TEST_F(FairShareTest, TrialsOnTheNeededDevicesAloneMakeRoom) {
  const SessionId worker = Connect("w", 16, 4);
  SweepSpec spec = SpecWith("low", 0);
  spec.resources.gpus = 1;
  const SweepId low = Create(spec);
  ASSERT_EQ(Running(low), 4u);
  for (uint32_t i = 0; i < 4; ++i) Saves(worker, low, i, 1);
  SweepSpec pair = SpecWith("pair", 1);
  pair.resources.gpus = 2;
  pair.budget.max_parallel = 1;
  const SweepId high = Create(pair);
  EXPECT_EQ(Preempting(low).size(), 2u);
  LeavePreempted(worker, low);
  EXPECT_EQ(Running(high), 1u);
  EXPECT_EQ(Running(low), 2u);
}

TEST_F(FairShareTest, NeverAndAlwaysAreMeant) {
  const SessionId worker = Connect("w", 2);
  SweepSpec never = SpecWith("never", 0);
  never.share.preemptible = Preemptible::kNever;
  never.budget.max_parallel = 1;
  SweepSpec always = SpecWith("always", 0);
  always.share.preemptible = Preemptible::kAlways;
  const SweepId a = Create(never);
  const SweepId b = Create(always);
  Saves(worker, a, 0, 1);
  const SweepId high = Create(SpecWith("high", 5));
  EXPECT_TRUE(Preempting(a).empty());
  EXPECT_EQ(Preempting(b), std::vector<uint32_t>{0}) << "though it has saved nothing";
  LeavePreempted(worker, b);
  EXPECT_EQ(Running(high), 1u);
}

TEST_F(FairShareTest, AVerdictWhileMakingRoomIsForGood) {
  const SessionId worker = Connect("w", 2);
  const SweepId low = Create(AshaSpecOf("low", 100));
  Report(worker, RefOf(low, 0), 1, 0.1);
  Report(worker, RefOf(low, 0), 2, 0.1);
  Saves(worker, low, 1, 1);  // 0.5 is worse than 0.1: stopped
  ASSERT_EQ(TrialOf(low, 1).state, TrialState::kStopping);
  Ended(worker, RefOf(low, 1), StoppedExit());
  const uint32_t other = *SweepOf(low).live.rbegin();
  ASSERT_EQ(other, 2u);
  WorkerRecord good = MeasuredOf(RefOf(low, other), 1, {{"loss", 0.05}});
  good.checkpoint = "one";
  Post(WorkerRecords{worker, {good}});
  SweepSpec urgent = SpecWith("high", 5);
  urgent.budget.max_parallel = 1;
  const SweepId high = Create(urgent);
  ASSERT_EQ(Preempting(low), std::vector<uint32_t>{other});
  Report(worker, RefOf(low, other), 2, 0.9);  // at rung 2, worse than 0.1
  EXPECT_FALSE(TrialOf(low, other).Preempting());
  EXPECT_EQ(TrialOf(low, other).reason, "");
  Ended(worker, RefOf(low, other), StoppedExit());
  EXPECT_EQ(TrialOf(low, other).state, TrialState::kStopped);
  EXPECT_EQ(Running(high), 1u);
}

TEST_F(FairShareTest, WhatEndsByItselfWhileMakingRoomHasEnded) {
  const SessionId worker = Connect("w", 1);
  const SweepId low = Create(SpecWith("low", 0));
  Saves(worker, low, 0, 1);
  const SweepId high = Create(SpecWith("high", 5));
  ASSERT_EQ(Preempting(low).size(), 1u);
  Ended(worker, RefOf(low, 0), ExitCode(0));  // before it was told
  EXPECT_EQ(TrialOf(low, 0).state, TrialState::kCompleted);
  EXPECT_EQ(Running(high), 1u);
}

TEST_F(FairShareTest, AUserMayStopWhatMakesRoom) {
  const SessionId worker = Connect("w", 1);
  const SweepId low = Create(SpecWith("low", 0));
  Saves(worker, low, 0, 1);
  Create(SpecWith("high", 5));
  ASSERT_EQ(Preempting(low).size(), 1u);
  Control(low, Operation::kStop);
  Ended(worker, RefOf(low, 0), StoppedExit());
  EXPECT_EQ(TrialOf(low, 0).state, TrialState::kCancelled);
  EXPECT_EQ(SweepOf(low).state, SweepState::kCancelled);
}

TEST_F(FairShareTest, AWorkerLostWhileATrialMakesRoomLosesIt) {
  const SessionId worker = Connect("w", 1);
  const SweepId low = Create(SpecWith("low", 0));
  Saves(worker, low, 0, 1);
  Create(SpecWith("high", 5));
  ASSERT_EQ(Preempting(low).size(), 1u);
  Post(WorkerDisconnected{worker});
  Advance(Seconds(30));
  EXPECT_EQ(TrialOf(low, 0).state, TrialState::kPending);
  EXPECT_EQ(TrialOf(low, 0).attempts[0].state, AttemptState::kLost);
}

TEST_F(FairShareTest, RoomIsMadeWhereATrialHasItsCheckpoints) {
  const SessionId a = Connect("a", 1);
  const SessionId b = Connect("b", 1);
  SweepSpec spec = SpecWith("high", 5);
  spec.budget.trials = 1;
  const SweepId high = Create(spec);
  ASSERT_EQ(TrialOf(high, 0).attempts[0].worker, state().FindWorker("a"));
  Saves(a, high, 0, 1);  // nowhere but there
  Control(high, Operation::kPause);
  Ended(a, RefOf(high, 0), LostExit());
  const SweepId low = Create(SpecWith("low", 0));
  ASSERT_EQ(Running(low), 2u);
  for (const uint32_t number : {0u, 1u}) {
    Saves(TrialOf(low, number).attempts[0].worker == state().FindWorker("a") ? a : b, low, number, 1);
  }
  Control(high, Operation::kResume);
  ASSERT_EQ(Preempting(low).size(), 1u);
  EXPECT_EQ(TrialOf(low, Preempting(low)[0]).attempts[0].worker, state().FindWorker("a"));
}

TEST_F(FairShareTest, NobodyStarves) {
  const SessionId worker = Connect("w", 1);
  const SweepId high = Create(SpecWith("high", 5));
  const SweepId low = Create(SpecWith("low", 0));
  Wait(worker, kStarvedMs / 2);
  FinishOne(worker, high);
  ASSERT_EQ(Running(high), 1u);
  Wait(worker, kStarvedMs / 2);
  EXPECT_EQ(Running(low), 0u) << "what runs is not taken away for it";
  FinishOne(worker, high);
  ASSERT_EQ(Running(low), 1u);
  Saves(worker, low, 0, 1);
  Wait(worker, kStarvedMs - 5'000);
  EXPECT_TRUE(Preempting(low).empty()) << "it keeps its place for as long";
  Wait(worker, 5'000);
  Saves(worker, low, 0, 2);
  Connect("w2", 0);
  EXPECT_EQ(Preempting(low).size(), 1u);
}

TEST_F(FairShareTest, ALargeTrialGetsAWorkerThoughSmallOnesWaitToo) {
  const SessionId worker = Connect("w", 4);
  const SweepId small = Create(SpecOf("small", 1000));
  SweepSpec wide = SpecOf("wide", 1);
  wide.resources.cpus = 4;
  const SweepId large = Create(wide);
  Wait(worker, kStarvedMs - 5'000);
  FinishOne(worker, small);
  ASSERT_EQ(Running(small), 4u) << "one place at a time is of no use to the large one";
  Wait(worker, 5'000);
  for (size_t left = 3; left > 0; --left) {
    FinishOne(worker, small);
    EXPECT_EQ(Running(small), left) << "the worker is kept free";
  }
  Restart();
  Connect("w", 4, 0, "boot-1", {RefOf(small, *SweepOf(small).live.begin())});
  EXPECT_EQ(Running(small), 1u) << "and is so after a restart";
  FinishOne(SessionId(2), small);
  EXPECT_EQ(Running(large), 1u);
  Finish(SessionId(2), RefOf(large, 0), 0.5);
  EXPECT_EQ(Running(small), 4u);
}

TEST_F(FairShareTest, SharesChangeWhileASweepRuns) {
  const SessionId worker = Connect("w", 4);
  const SweepId a = Create(SpecOf("a", 100));
  const SweepId b = Create(SpecOf("b", 100));
  for (uint32_t i = 0; i < 4; ++i) Saves(worker, a, i, 1);
  UpdateSweep update{.sweep = b};
  update.priority = 3;
  update.max_parallel = 3;
  EXPECT_TRUE(Do(update).status.ok());
  EXPECT_EQ(SweepOf(b).spec->share.priority, 3);
  EXPECT_EQ(SweepOf(b).spec->budget.max_parallel, 3);
  EXPECT_EQ(SweepOf(b).spec->share.weight, 1.0) << "what is not given stays";
  EXPECT_EQ(Preempting(a).size(), 3u);
  LeavePreempted(worker, a);
  EXPECT_EQ(Running(b), 3u);
  Restart();
  EXPECT_EQ(SweepOf(b).spec->share.priority, 3);
}

TEST_F(FairShareTest, BadChangesAreRefusedWithTheField) {
  Connect("w", 1);
  const SweepId id = Create(SpecOf("a", 1));
  UpdateSweep update{.sweep = id};
  update.weight = 0;
  Reply reply = Do(update);
  EXPECT_EQ(reply.status.code(), StatusCode::kInvalidArgument);
  ASSERT_EQ(reply.problems.size(), 1u);
  EXPECT_EQ(reply.problems[0].field, "weight");
  EXPECT_EQ(Do(UpdateSweep{.sweep = SweepId(99)}).status.code(), StatusCode::kNotFound);
  Finish(SessionId(1), RefOf(id, 0), 0.5);
  update.weight = 2;
  EXPECT_EQ(Do(update).status.code(), StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace tunesmith
