// Whom failures are put down to: the worker, the sweep, or chance.
#include "server/core/failures.h"

#include "tests/unit/server/core/core_test.h"

namespace tunesmith {
namespace {

class FailuresTest : public CoreTest {
 protected:
  bool Quarantined(const std::string& name) const { return state().workers().at(state().FindWorker(name)).quarantined; }
  std::string ReasonOf(const std::string& name) const { return state().workers().at(state().FindWorker(name)).reason; }
  // A live trial of the sweep on the worker; 999 if there is none.
  uint32_t LiveOn(SweepId id, const std::string& worker) const {
    for (const uint32_t number : SweepOf(id).live) {
      if (TrialOf(id, number).attempts.back().worker == state().FindWorker(worker)) return number;
    }
    return 999;
  }
  // One attempt of the sweep on that worker fails; false if none runs there.
  bool Fail(SweepId id, SessionId session, const std::string& worker) {
    const uint32_t number = LiveOn(id, worker);
    if (number == 999) return false;
    Started(session, RefOf(id, number));
    Ended(session, RefOf(id, number), ExitCode(1, "exit code 1: CUDA error"));
    return true;
  }
  // Time passes and all of them are heard of.
  void Wait(Duration duration, const std::vector<SessionId>& sessions) {
    constexpr int64_t kStepMs = 9'000;
    for (int64_t left = duration.ms; left > 0; left -= kStepMs) {
      Advance(Milliseconds(std::min(left, kStepMs)));
      for (const SessionId session : sessions) Post(WorkerHeartbeat{session, false});
    }
  }
  bool Succeed(SweepId id, SessionId session, const std::string& worker, double loss = 0.5) {
    const uint32_t number = LiveOn(id, worker);
    if (number == 999) return false;
    Finish(session, RefOf(id, number), loss);
    return true;
  }
};

TEST_F(FailuresTest, AWorkerWhereAllFailsIsQuarantinedIfTheSweepDoesWellElsewhere) {
  const SessionId bad = Connect("bad");
  const SessionId good = Connect("good");
  const SweepId id = Create(SpecOf("digits", 100));
  int failures = 0;
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Succeed(id, good, "good"));
  while (!Quarantined("bad") && Fail(id, bad, "bad")) ++failures;
  EXPECT_EQ(failures, 5) << "with twenty that did well: (1/22)^5 is below a millionth, and five are the least";
  EXPECT_EQ(ReasonOf("bad"),
            "5 attempts in a row failed on it, while 20 of the same sweeps did well on other workers; the last one: "
            "exit code 1: CUDA error");
  EXPECT_EQ(LiveOn(id, "bad"), 999u) << "it gets nothing more";
  EXPECT_EQ(controller_->WhyTrial(SweepOf(id), *SweepOf(id).live.begin()).size(), 1u);
  Do(DrainWorker{"bad", false, false});
  EXPECT_FALSE(Quarantined("bad"));
  EXPECT_TRUE(Fail(id, bad, "bad"));
  EXPECT_FALSE(Quarantined("bad")) << "counted from the beginning";
}

// A black hole must not swallow a sweep whose trials take hours elsewhere.
TEST_F(FailuresTest, WhatRunsElsewhereAndHasComeFurtherIsEnough) {
  const SessionId bad = Connect("bad");
  const SessionId good = Connect("good");
  const SweepId id = Create(SpecOf("digits", 100));
  Started(good, RefOf(id, LiveOn(id, "good")));
  for (int i = 0; i < 13; ++i) ASSERT_TRUE(Fail(id, bad, "bad"));
  EXPECT_FALSE(Quarantined("bad")) << "the other has not reported either";
  Report(good, RefOf(id, LiveOn(id, "good")), 1, 0.5);
  ASSERT_TRUE(Fail(id, bad, "bad"));
  EXPECT_TRUE(Quarantined("bad"));
}

TEST_F(FailuresTest, ASweepThatFailsEverywhereTakesNoWorkerAway) {
  const SessionId a = Connect("a");
  const SessionId b = Connect("b");
  const SessionId c = Connect("c");
  SweepSpec healthy = SpecOf("healthy", 1000);
  healthy.budget.max_parallel = 1;
  const SweepId well = Create(healthy);
  const std::string home = LiveOn(well, "a") != 999 ? "a" : LiveOn(well, "b") != 999 ? "b" : "c";
  const SweepId broken = Create(SpecOf("broken", 300));
  for (int i = 0; i < 60; ++i) {
    for (const auto& [session, name] : std::vector<std::pair<SessionId, std::string>>{{a, "a"}, {b, "b"}, {c, "c"}}) {
      Fail(broken, session, name);
      if (name == home) Succeed(well, session, name);
    }
    Wait(Seconds(61), {a, b, c});
  }
  EXPECT_GT(SweepOf(broken).counts[static_cast<size_t>(TrialState::kFailed)], 50);
  EXPECT_FALSE(Quarantined("a") || Quarantined("b") || Quarantined("c"));
}

TEST_F(FailuresTest, WhatCannotBeStartedAnywhereIsNotPutDownToAWorkerThatRunsOtherThings) {
  const SessionId a = Connect("a");
  Connect("b");
  SweepSpec healthy = SpecOf("healthy", 10);
  healthy.budget.max_parallel = 1;
  const SweepId well = Create(healthy);
  ASSERT_NE(LiveOn(well, "a"), 999u);
  Started(a, RefOf(well, 0));
  const SessionId b = controller_->live_workers().at(state().FindWorker("b")).session;
  SweepSpec missing = SpecOf("missing", 10);
  const SweepId broken = Create(missing);
  for (int i = 0; i < 5; ++i) {
    if (const uint32_t number = LiveOn(broken, "b"); number != 999) {
      Ended(b, RefOf(broken, number), StartFailure("no such program: trane.py"));
    }
    Wait(Seconds(9), {a, b});
  }
  EXPECT_FALSE(Quarantined("b"));
}

TEST_F(FailuresTest, FlakyTrialsAreNotPutDownToTheWorkerThatIsUnlucky) {
  const SessionId a = Connect("a");
  const SessionId b = Connect("b");
  const SweepId id = Create(SpecOf("flaky", 10'000));
  // Half of them fail anyway: five in a row are nothing special.
  for (int i = 0; i < 20; ++i) {
    i % 2 == 0 ? Succeed(id, a, "a") : Fail(id, a, "a");
    i % 2 == 0 ? Succeed(id, b, "b") : Fail(id, b, "b");
  }
  Succeed(id, b, "b");
  int failures = 0;
  while (!Quarantined("b") && Fail(id, b, "b")) ++failures;
  EXPECT_GE(failures, 18);
  EXPECT_LE(failures, 21) << "a million times half and half";
}

TEST_F(FailuresTest, OneTrialThatFailsAgainAndAgainIsItsOwnFault) {
  SweepSpec spec = SpecOf("digits", 100);
  spec.retry.failed = 50;
  const SessionId bad = Connect("bad");
  const SessionId good = Connect("good");
  const SweepId id = Create(spec);
  const uint32_t number = LiveOn(id, "bad");
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Succeed(id, good, "good"));
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(LiveOn(id, "bad"), number);
    Fail(id, bad, "bad");
  }
  EXPECT_FALSE(Quarantined("bad"));
}

TEST_F(FailuresTest, AGoodEndOrAnEarlyStopForgivesWhatCameBefore) {
  SweepSpec spec = AshaSpecOf("digits", 1000);
  const SessionId bad = Connect("bad");
  const SessionId good = Connect("good");
  const SweepId id = Create(spec);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(Succeed(id, good, "good", 0.1));
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(Fail(id, bad, "bad"));
  const uint32_t stopped = LiveOn(id, "bad");
  ReportAndLeave(bad, id, stopped, 1, 0.9);
  ASSERT_EQ(TrialOf(id, stopped).state, TrialState::kStopped);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(Fail(id, bad, "bad"));
  EXPECT_FALSE(Quarantined("bad"));
  ASSERT_TRUE(Fail(id, bad, "bad"));
  EXPECT_TRUE(Quarantined("bad"));
}

TEST_F(FailuresTest, ALostConnectionForgivesNothingANewDaemonDoes) {
  const SessionId bad = Connect("bad");
  const SessionId good = Connect("good");
  const SweepId id = Create(SpecOf("digits", 1000));
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(Succeed(id, good, "good"));
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(Fail(id, bad, "bad"));
  Post(WorkerDisconnected{bad});
  const SessionId again = Connect("bad", 1, 0, "boot-1", {RefOf(id, LiveOn(id, "bad"))});
  Post(WorkerDisconnected{again});
  const SessionId anew = Connect("bad", 1, 0, "boot-2");
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(Fail(id, anew, "bad"));
  EXPECT_FALSE(Quarantined("bad"));
  Post(WorkerDisconnected{anew});
  const SessionId same = Connect("bad", 1, 0, "boot-2", {RefOf(id, LiveOn(id, "bad"))});
  ASSERT_TRUE(Fail(id, same, "bad"));
  EXPECT_TRUE(Quarantined("bad"));
}

// --- crash loops

TEST_F(FailuresTest, ACrashLoopDoesNotStarveAnotherSweep) {
  SweepSpec looping = SpecOf("looping", 1000);
  looping.retry.failed = 200;
  const SessionId worker = Connect("w");
  const SweepId loop = Create(looping);
  const SweepId other = Create(SpecOf("other", 4));
  int crashes = 0;
  for (; LiveOn(other, "w") == 999 && crashes < 100; ++crashes) ASSERT_TRUE(Fail(loop, worker, "w"));
  EXPECT_EQ(crashes, 3) << "the third failure in a row lets the other go first";
  EXPECT_EQ(controller_->WaitingReason(SweepOf(loop)),
            "its last 3 attempts failed one after the other: other sweeps go first for 1 s");
  ASSERT_TRUE(Succeed(other, worker, "w"));
  EXPECT_NE(LiveOn(other, "w"), 999u);
  // After its time it has its turn again, and with each further failure it waits twice as long.
  Advance(Milliseconds(1'001));
  ASSERT_TRUE(Succeed(other, worker, "w"));
  ASSERT_NE(LiveOn(loop, "w"), 999u);
  ASSERT_TRUE(Fail(loop, worker, "w"));
  EXPECT_NE(LiveOn(other, "w"), 999u);
  EXPECT_EQ(controller_->WaitingReason(SweepOf(loop)),
            "its last 4 attempts failed one after the other: other sweeps go first for 2 s");
  // With nobody to wait for it goes on at once.
  ASSERT_TRUE(Succeed(other, worker, "w"));
  ASSERT_TRUE(Succeed(other, worker, "w"));
  EXPECT_EQ(SweepOf(other).state, SweepState::kSucceeded);
  EXPECT_NE(LiveOn(loop, "w"), 999u);
  EXPECT_EQ(controller_->WaitingReason(SweepOf(loop)), "");
}

TEST_F(FailuresTest, AFreePlaceComesToItByItselfWhenItsTimeIsOver) {
  SweepSpec looping = SpecOf("looping", 1000);
  looping.retry.failed = 200;
  const SessionId worker = Connect("w", 2);
  const SweepId loop = Create(looping);
  HoldSuggestions();
  Create(SpecOf("other", 3));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Fail(loop, worker, "w"));
  EXPECT_EQ(Running(loop), 0u) << "both places are kept for the points that the other sweep has asked for";
  Advance(Milliseconds(999));
  EXPECT_EQ(Running(loop), 0u);
  Advance(Milliseconds(2));
  EXPECT_EQ(Running(loop), 1u) << "its share";
}

TEST_F(FailuresTest, AGoodEndEndsTheHoldBack) {
  const SessionId worker = Connect("w", 3);
  const SweepId loop = Create(SpecOf("looping", 1000));
  SweepSpec narrow = SpecOf("other", 30);
  const SweepId other = Create(narrow);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Fail(loop, worker, "w"));
  ASSERT_NE(LiveOn(loop, "w"), 999u);
  ASSERT_NE(LiveOn(other, "w"), 999u);
  ASSERT_TRUE(Succeed(loop, worker, "w"));
  EXPECT_NE(LiveOn(loop, "w"), 999u) << "its share is its own again";
}

TEST_F(FailuresTest, ASweepThatNobodyCouldRunIsNotWaitedFor) {
  SweepSpec looping = SpecOf("looping", 1000);
  const SessionId worker = Connect("w");
  const SweepId loop = Create(looping);
  SweepSpec impossible = SpecOf("impossible", 3);
  impossible.resources.gpus = 4;
  Create(impossible);
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(Fail(loop, worker, "w"));
}

}  // namespace
}  // namespace tunesmith
