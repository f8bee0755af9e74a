// Daemons: sessions, leases, reconnection, drain and quarantine.
#include "tests/unit/server/core/core_test.h"

namespace tunesmith {
namespace {

using WorkersTest = CoreTest;
using Kind = AttemptAnswer::Kind;

TEST_F(WorkersTest, ANameGetsOneNumberForEver) {
  const SessionId first = Connect("gpu-box");
  const WorkerId id = state().FindWorker("gpu-box");
  ASSERT_TRUE(id);
  Post(WorkerDisconnected{first});
  Connect("gpu-box", 1, 0, "boot-2");
  EXPECT_EQ(state().FindWorker("gpu-box"), id);
  Connect("other");
  EXPECT_NE(state().FindWorker("other"), id);
}

TEST_F(WorkersTest, AWorkerWithoutANameOrWithAVeryLongOneIsTurnedAway) {
  Connect("");
  Connect(std::string(257, 'w'));
  EXPECT_EQ(TakeEffects<CloseSession>().size(), 2u);
  EXPECT_TRUE(controller_->live_workers().empty());
}

TEST_F(WorkersTest, ASecondDaemonWithAConnectedNameIsRefusedAndTheFirstGoesOn) {
  const SessionId first = Connect("w", 1, 0, "boot-1");
  const SweepId id = Create(SpecOf("digits", 1));
  const SessionId second = Connect("w", 1, 0, "boot-2");
  const auto closed = TakeEffects<CloseSession>();
  ASSERT_EQ(closed.size(), 1u);
  EXPECT_EQ(closed[0].session, second);
  EXPECT_EQ(closed[0].status.code(), StatusCode::kAlreadyExists);
  Report(second, RefOf(id, 0), 1, 0.5);
  EXPECT_EQ(TrialOf(id, 0).measurements, 0u);
  Report(first, RefOf(id, 0), 1, 0.5);
  EXPECT_EQ(TrialOf(id, 0).measurements, 1u);
}

TEST_F(WorkersTest, ANewerStreamOfTheSameDaemonReplacesTheOlder) {
  const SessionId first = Connect("w");
  const SweepId id = Create(SpecOf("digits", 1));
  const AttemptRef ref = RefOf(id, 0);
  const SessionId second = Connect("w", 1, 0, "boot-1", {ref});
  const auto closed = TakeEffects<CloseSession>();
  ASSERT_EQ(closed.size(), 1u);
  EXPECT_EQ(closed[0].session, first);
  Post(WorkerDisconnected{first});  // the old stream's end must not harm the new one
  Report(second, ref, 1, 0.5);
  EXPECT_EQ(TrialOf(id, 0).measurements, 1u);
}

TEST_F(WorkersTest, AWorkerThatIsGoneHasNoPlacesTakenByWhatWasLost) {
  const SessionId session = Connect("w", 3, 1);
  SweepSpec spec = SpecOf("digits", 2);
  spec.resources.gpus = 0.5;
  spec.retry.lost = 0;
  const SweepId id = Create(spec);
  Post(WorkerDisconnected{session});
  const LiveWorker& worker = controller_->live_workers().begin()->second;
  EXPECT_EQ(worker.cpus_used, 2) << "what runs there still";
  EXPECT_EQ(worker.device_used, (std::vector<double>{1.0}));
  Advance(Seconds(60));
  ASSERT_EQ(TrialOf(id, 1).state, TrialState::kFailed);
  EXPECT_EQ(worker.cpus_used, 0);
  EXPECT_EQ(worker.device_used, (std::vector<double>{0.0}));
  EXPECT_TRUE(worker.attempts.empty());
}

// A daemon that starts again under a clock that was set back tells of an end before the reports of its attempt.
TEST_F(WorkersTest, AnAttemptEndsNoEarlierThanItReported) {
  const SessionId session = Connect("w");
  const SweepId id = Create(SpecOf("digits", 1));
  const AttemptRef ref = RefOf(id, 0);
  Started(session, ref);
  Advance(Seconds(10));
  Report(session, ref, 1, 0.5);
  const Time reported = now_;
  Advance(Seconds(5));
  WorkerRecord end = EndedOf(ref, ExitCode(0));
  end.time = Time{1};
  Post(WorkerRecords{session, {end}});
  EXPECT_EQ(TrialOf(id, 0).attempts.back().end, reported);
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kCompleted);
}

TEST_F(WorkersTest, ReconnectingAdoptsWhatRunsAndSaysUpToWhereItIsRecorded) {
  const SessionId first = Connect("w", 2);
  const SweepId id = Create(SpecOf("digits", 2));
  const AttemptRef a = RefOf(id, 0);
  const AttemptRef b = RefOf(id, 1);
  Started(first, a);
  Report(first, a, 1, 0.5);
  Post(WorkerDisconnected{first});
  TakeEffects<SendWelcome>();
  Connect("w", 2, 0, "boot-1", {a, b});
  const auto welcomes = TakeEffects<SendWelcome>();
  ASSERT_EQ(welcomes.size(), 1u);
  ASSERT_EQ(welcomes[0].attempts.size(), 2u);
  EXPECT_EQ(welcomes[0].attempts[0].kind, Kind::kAdopt);
  EXPECT_EQ(welcomes[0].attempts[0].acked, 2u);
  EXPECT_EQ(welcomes[0].attempts[1].kind, Kind::kAdopt);
  EXPECT_EQ(welcomes[0].attempts[1].acked, 0u);
  EXPECT_EQ(Running(id), 2u);
}

TEST_F(WorkersTest, ReconnectingKillsWhatWasStoppedMeanwhile) {
  const SessionId first = Connect("w", 2);
  const SweepId id = Create(SpecOf("digits", 2));
  Post(WorkerDisconnected{first});
  Do(StopTrial{{id, 0}});
  EXPECT_TRUE(TakeEffects<SendStop>().empty()) << "nobody is there to be told";
  TakeEffects<SendWelcome>();
  const SessionId second = Connect("w", 2, 0, "boot-1", {RefOf(id, 0), RefOf(id, 1)});
  const auto welcomes = TakeEffects<SendWelcome>();
  ASSERT_EQ(welcomes.size(), 1u);
  EXPECT_EQ(welcomes[0].attempts[0].kind, Kind::kKill);
  EXPECT_EQ(welcomes[0].attempts[0].reason, "stopped by a user");
  Ended(second, RefOf(id, 0), ExitCode(143));
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kCancelled);
}

TEST_F(WorkersTest, ReconnectingForgetsWhatRunsElsewhereByNow) {
  const SessionId first = Connect("w");
  const SweepId id = Create(SpecOf("digits", 1));
  const AttemptRef old = RefOf(id, 0);
  Post(WorkerDisconnected{first});
  const SessionId other = Connect("other");
  now_ = now_ + Seconds(21);
  Post(WorkerHeartbeat{other, false});
  Post(Tick{});
  ASSERT_EQ(TrialOf(id, 0).attempts.size(), 2u);
  TakeEffects<SendWelcome>();
  Connect("w", 1, 0, "boot-1", {old});
  const auto welcomes = TakeEffects<SendWelcome>();
  ASSERT_EQ(welcomes[0].attempts.size(), 1u);
  EXPECT_EQ(welcomes[0].attempts[0].kind, Kind::kForget);
  EXPECT_EQ(TrialOf(id, 0).attempts.size(), 2u) << "the new attempt is untouched";
}

TEST_F(WorkersTest, AnAttemptNamedTwiceInAHelloTakesOnePlace) {
  const SessionId first = Connect("w", 1);
  const SweepId id = Create(SpecOf("digits", 1));
  const AttemptRef ref = RefOf(id, 0);
  Post(WorkerDisconnected{first});
  Connect("w", 1, 0, "boot-1", {ref, ref});
  EXPECT_EQ(controller_->live_workers().begin()->second.cpus_used, 1);
}

TEST_F(WorkersTest, WhatARestartedDaemonNoLongerRunsIsLostAndRunsAgain) {
  const SessionId first = Connect("w");
  const SweepId id = Create(SpecOf("digits", 1));
  Post(WorkerDisconnected{first});
  Connect("w", 1, 0, "boot-2");
  const Trial& trial = TrialOf(id, 0);
  ASSERT_EQ(trial.attempts.size(), 2u);
  EXPECT_EQ(trial.attempts[0].state, AttemptState::kLost);
  EXPECT_EQ(trial.state, TrialState::kRunning);
  EXPECT_EQ(trial.losses, 1);
  EXPECT_EQ(trial.failures, 0) << "machine trouble is not the trial's fault";
}

// The controller may be killed after a lease is durable and before its Assign is sent.
TEST_F(WorkersTest, AnAssignmentThatNeverArrivedIsSentAgainAndCostsNoRetry) {
  Connect("w", 2);
  const SweepId id = Create(SpecOf("digits", 2));
  const AttemptRef started = RefOf(id, 0);
  TakeEffects<SendAssign>();
  Restart();
  const SessionId worker = Connect("w", 2, 0, "boot-1", {started});
  const auto assigned = TakeEffects<SendAssign>();
  ASSERT_EQ(assigned.size(), 1u);
  EXPECT_EQ(assigned[0].ref, RefOf(id, 1));
  EXPECT_EQ(assigned[0].session, worker);
  EXPECT_TRUE(SamePoint(assigned[0].point, TrialOf(id, 1).point));
  EXPECT_EQ(TrialOf(id, 1).attempts.size(), 1u);
  EXPECT_EQ(TrialOf(id, 1).losses, 0);
  Finish(worker, started, 0.5);
  Finish(worker, RefOf(id, 1), 0.5);
  EXPECT_EQ(SweepOf(id).state, SweepState::kSucceeded);
}

// Else two runs would share one name: the one before may have started, and its machine lost what it had written down.
TEST_F(WorkersTest, ADaemonThatStartedAnewIsNotSentTheSameAttemptAgain) {
  Connect("w");
  const SweepId id = Create(SpecOf("digits", 1));
  Restart();
  Connect("w", 1, 0, "boot-2");
  ASSERT_EQ(TrialOf(id, 0).attempts.size(), 2u);
  EXPECT_EQ(TrialOf(id, 0).attempts[0].state, AttemptState::kLost);
}

TEST_F(WorkersTest, AStreamThatBreaksUnderAnAssignmentIsNoLoss) {
  const SessionId first = Connect("w");
  const SweepId id = Create(SpecOf("digits", 1));
  Post(WorkerDisconnected{first});
  TakeEffects<SendAssign>();
  Connect("w");
  EXPECT_EQ(TakeEffects<SendAssign>().size(), 1u);
  EXPECT_EQ(TrialOf(id, 0).attempts.size(), 1u);
}

TEST_F(WorkersTest, WhatNeverArrivedIsLostWhereItCannotRunAnyMore) {
  Connect("w", 2, 1);
  SweepSpec spec = SpecOf("digits", 1);
  spec.resources.gpus = 1;
  spec.resources.gpus_optional = true;
  const SweepId id = Create(spec);
  ASSERT_EQ(TrialOf(id, 0).attempts[0].devices.size(), 1u);
  Restart();
  Connect("w", 2, 0);  // without its GPU
  ASSERT_EQ(TrialOf(id, 0).attempts.size(), 2u);
  EXPECT_EQ(TrialOf(id, 0).attempts[0].state, AttemptState::kLost);
  EXPECT_TRUE(TrialOf(id, 0).attempts[1].devices.empty());
}

TEST_F(WorkersTest, WhatWasHeardOfAndIsNotListedIsLost) {
  const SessionId first = Connect("w");
  const SweepId id = Create(SpecOf("digits", 1));
  Started(first, RefOf(id, 0));
  Restart();
  Connect("w");
  EXPECT_EQ(TrialOf(id, 0).attempts[0].state, AttemptState::kLost);
}

TEST_F(WorkersTest, AnAttemptIsLostWhenItsLeaseRunsOutAndNotBefore) {
  const SessionId worker = Connect("w");
  const SweepId id = Create(SpecOf("digits", 1));
  Post(WorkerDisconnected{worker});
  Advance(Milliseconds(19'999));
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kRunning);
  Advance(Milliseconds(1));
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kPending);
  EXPECT_EQ(TrialOf(id, 0).attempts[0].state, AttemptState::kLost);
  EXPECT_TRUE(TakeEffects<ObserveTrial>().empty()) << "the searcher never hears of it";
}

TEST_F(WorkersTest, HeartbeatsRenewTheLeaseAndSilenceClosesTheStream) {
  const SessionId worker = Connect("w");
  const SweepId id = Create(SpecOf("digits", 1));
  for (int i = 0; i < 10; ++i) {
    Advance(Seconds(15));
    Post(WorkerHeartbeat{worker, false});
  }
  EXPECT_EQ(TrialOf(id, 0).attempts.size(), 1u);
  EXPECT_TRUE(TakeEffects<CloseSession>().empty());
  Advance(Seconds(20));
  const auto closed = TakeEffects<CloseSession>();
  ASSERT_EQ(closed.size(), 1u);
  EXPECT_EQ(closed[0].session, worker);
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kPending);
  // What that stream still says is too late.
  Report(worker, RefOf(id, 0), 1, 0.5);
  EXPECT_EQ(TrialOf(id, 0).measurements, 0u);
}

TEST_F(WorkersTest, RecordsRenewTheLeaseToo) {
  const SessionId worker = Connect("w");
  const SweepId id = Create(SpecOf("digits", 1));
  Advance(Seconds(15));
  Report(worker, RefOf(id, 0), 1, 0.5);
  Advance(Seconds(15));
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kRunning);
}

TEST_F(WorkersTest, ATrialThatIsLostTooOftenFailsInWords) {
  SweepSpec spec = SpecOf("digits", 1);
  spec.retry.lost = 2;
  SessionId worker = Connect("w", 1, 0, "boot-0");
  const SweepId id = Create(spec);
  for (int i = 1; i <= 3; ++i) {
    ASSERT_EQ(TrialOf(id, 0).state, TrialState::kRunning);
    Post(WorkerDisconnected{worker});
    worker = Connect("w", 1, 0, "boot-" + std::to_string(i));
  }
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kFailed);
  EXPECT_EQ(TrialOf(id, 0).reason, "lost 3 times by machine trouble: worker w no longer runs it");
}

TEST_F(WorkersTest, AnAttemptThatItsDaemonGaveUpIsLostNotFailed) {
  const SessionId worker = Connect("w");
  const SweepId id = Create(SpecOf("digits", 1));
  AttemptExit exit;
  exit.lost = true;
  exit.reason = "the daemon is shutting down";
  Ended(worker, RefOf(id, 0), exit);
  EXPECT_EQ(TrialOf(id, 0).attempts[0].state, AttemptState::kLost);
  EXPECT_EQ(TrialOf(id, 0).failures, 0);
  EXPECT_EQ(SweepOf(id).attempts_lost, 1);
}

TEST_F(WorkersTest, ADrainedWorkerFinishesWhatRunsAndGetsNothingNew) {
  const SessionId worker = Connect("w", 1);
  const SweepId id = Create(SpecOf("digits", 3));
  const Reply reply = Do(DrainWorker{"w", true, false});
  EXPECT_TRUE(reply.status.ok());
  EXPECT_EQ(reply.worker, state().FindWorker("w"));
  const auto drains = TakeEffects<SendDrain>();
  ASSERT_EQ(drains.size(), 1u);
  EXPECT_FALSE(drains[0].stop_running);
  Finish(worker, RefOf(id, 0), 0.5);
  EXPECT_EQ(Running(id), 0u);
  EXPECT_EQ(controller_->WaitingReason(SweepOf(id)), "every connected worker is draining or quarantined");
  Do(DrainWorker{"w", false, false});
  EXPECT_EQ(Running(id), 1u);
}

TEST_F(WorkersTest, ADrainOutlivesReconnectionAndRestart) {
  const SessionId worker = Connect("w", 1);
  Do(DrainWorker{"w", true, false});
  const SweepId id = Create(SpecOf("digits", 3));
  Post(WorkerDisconnected{worker});
  Connect("w", 1);
  EXPECT_EQ(Running(id), 0u);
  Restart();
  Connect("w", 1);
  EXPECT_EQ(Running(id), 0u);
}

TEST_F(WorkersTest, ADaemonThatIsLeavingGetsNothingNew) {
  const SessionId worker = Connect("w", 1);
  Post(WorkerHeartbeat{worker, true});
  const SweepId id = Create(SpecOf("digits", 3));
  EXPECT_EQ(Running(id), 0u);
  Post(WorkerHeartbeat{worker, false});
  EXPECT_EQ(Running(id), 1u);
}

TEST_F(WorkersTest, AnUnknownWorkerCannotBeDrained) {
  EXPECT_EQ(Do(DrainWorker{"nobody", true, false}).reason, "WORKER_NOT_FOUND");
}

TEST_F(WorkersTest, AWorkerWhereNothingStartsIsQuarantinedIfItStartsElsewhere) {
  const SessionId bad = Connect("bad", 1);
  const SessionId good = Connect("good", 1);
  const SweepId id = Create(SpecOf("digits", 100));
  const WorkerId bad_id = state().FindWorker("bad");
  for (int i = 0; i < 5; ++i) {
    for (const uint32_t number : std::set<uint32_t>(SweepOf(id).live)) {
      const AttemptRef ref = RefOf(id, number);
      if (TrialOf(id, number).attempts.back().worker == bad_id) {
        Ended(bad, ref, StartFailure("no space left on device"));
      } else {
        Started(good, ref);
      }
    }
  }
  EXPECT_TRUE(state().workers().at(bad_id).quarantined);
  EXPECT_NE(state().workers().at(bad_id).reason.find("no space left on device"), std::string::npos);
  EXPECT_EQ(SweepOf(id).state, SweepState::kActive);
  EXPECT_EQ(Running(id), 1u) << "only the good one is fed";
  Do(DrainWorker{"bad", false, false});
  EXPECT_FALSE(state().workers().at(bad_id).quarantined);
  EXPECT_EQ(Running(id), 2u);
}

TEST_F(WorkersTest, WhereNothingStartsAnywhereTheProgramIsToBlameAndNobodyIsQuarantined) {
  const SessionId worker = Connect("w", 1);
  const SweepId id = Create(SpecOf("digits", 100));
  for (uint32_t i = 0; i < 5; ++i) Ended(worker, RefOf(id, i), StartFailure("no such program"));
  EXPECT_FALSE(state().workers().at(state().FindWorker("w")).quarantined);
}

TEST_F(WorkersTest, MessagesOfUnknownSessionsAreIgnored) {
  Post(WorkerHeartbeat{SessionId(77), false});
  Post(WorkerDisconnected{SessionId(77)});
  Post(WorkerRecords{SessionId(77), {}});
  EXPECT_TRUE(journal_.empty());
  EXPECT_TRUE(effects_.empty());
}

}  // namespace
}  // namespace tunesmith
