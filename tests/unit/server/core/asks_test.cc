// Ask and tell: trials that clients run themselves.
#include "tests/unit/server/core/core_test.h"

namespace tunesmith {
namespace {

class AsksTest : public CoreTest {
 protected:
  static SweepSpec AskSpec(int64_t trials) {
    SweepSpec spec = SpecOf("asked", trials);
    spec.ask_tell = true;
    spec.program = {};
    return spec;
  }
  Reply Ask(SweepId id, const std::string& client, int32_t count = 1, int64_t lease_ms = 60'000) {
    return Do(AskTrials{id, client, count, lease_ms});
  }
  Reply Tell(const AttemptRef& ref, uint64_t sequence, double loss) {
    return Do(ReportTrial{ref.attempt.trial, ref.epoch, sequence, 0, {{"loss", loss}}});
  }
  Reply Complete(const AttemptRef& ref, const std::string& failure = "") {
    return Do(CompleteTrial{ref.attempt.trial, ref.epoch, failure});
  }
};

TEST_F(AsksTest, AClientGetsATrialReportsAndCompletesIt) {
  const SweepId id = Create(AskSpec(1));
  const Reply asked = Ask(id, "notebook");
  ASSERT_EQ(asked.asked.size(), 1u);
  const AttemptRef ref = asked.asked[0];
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kRunning);
  EXPECT_EQ(TrialOf(id, 0).attempts[0].client, "notebook");
  EXPECT_EQ(Tell(ref, 1, 0.5).verdict.action, Action::kContinue);
  EXPECT_TRUE(Complete(ref).status.ok());
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kCompleted);
  EXPECT_TRUE(Complete(ref).status.ok()) << "a repeated Complete is answered as the first";
  EXPECT_EQ(SweepOf(id).state, SweepState::kSucceeded);
}

TEST_F(AsksTest, AnAskWaitsForItsPoint) {
  HoldSuggestions();
  const SweepId id = Create(AskSpec(5));
  const uint64_t token = Send(AskTrials{id, "c", 2});
  EXPECT_FALSE(AnswerTo(token).has_value());
  ASSERT_EQ(held_suggestions().size(), 2u);
  GiveSuggestion();
  EXPECT_FALSE(AnswerTo(token).has_value());
  GiveSuggestion();
  ASSERT_TRUE(AnswerTo(token).has_value());
  EXPECT_EQ(AnswerTo(token)->asked.size(), 2u);
}

TEST_F(AsksTest, WaitingAsksAreServedInTheirOrder) {
  HoldSuggestions();
  const SweepId id = Create(AskSpec(5));
  const uint64_t first = Send(AskTrials{id, "a"});
  const uint64_t second = Send(AskTrials{id, "b"});
  while (!held_suggestions().empty()) GiveSuggestion();
  ASSERT_TRUE(AnswerTo(first).has_value());
  ASSERT_TRUE(AnswerTo(second).has_value());
  EXPECT_EQ(AnswerTo(first)->asked[0].attempt.trial.number, 0u);
  EXPECT_EQ(AnswerTo(second)->asked[0].attempt.trial.number, 1u);
}

TEST_F(AsksTest, AWaitingAskIsAnsweredWhenTheSweepIsStopped) {
  HoldSuggestions();
  const SweepId id = Create(AskSpec(5));
  const uint64_t token = Send(AskTrials{id, "c"});
  Control(id, Operation::kStop);
  ASSERT_TRUE(AnswerTo(token).has_value());
  EXPECT_TRUE(AnswerTo(token)->finished);
  EXPECT_TRUE(AnswerTo(token)->asked.empty());
}

TEST_F(AsksTest, AWaitingAskIsAnsweredWhenTheSweepIsPaused) {
  HoldSuggestions();
  const SweepId id = Create(AskSpec(5));
  const uint64_t token = Send(AskTrials{id, "c"});
  Control(id, Operation::kPause);
  ASSERT_TRUE(AnswerTo(token).has_value());
  EXPECT_FALSE(AnswerTo(token)->finished);
  EXPECT_EQ(AnswerTo(token)->text, "the sweep is paused");
}

TEST_F(AsksTest, AWaitingAskIsAnsweredWhenOthersHoldTrialsOfAStoppingSweep) {
  HoldSuggestions();
  const SweepId id = Create(AskSpec(5));
  const uint64_t first = Send(AskTrials{id, "a"});
  GiveSuggestion();
  ASSERT_TRUE(AnswerTo(first).has_value());
  const uint64_t second = Send(AskTrials{id, "b"});
  Control(id, Operation::kStop);
  ASSERT_EQ(SweepOf(id).state, SweepState::kStopping);
  ASSERT_TRUE(AnswerTo(second).has_value());
  EXPECT_TRUE(AnswerTo(second)->finished);
}

TEST_F(AsksTest, AClientThatAsksAgainGetsWhatItHoldsFirst) {
  const SweepId id = Create(AskSpec(5));
  const Reply first = Ask(id, "c", 2);
  const Reply again = Ask(id, "c", 3);
  ASSERT_EQ(again.asked.size(), 3u);
  EXPECT_EQ(again.asked[0], first.asked[0]);
  EXPECT_EQ(again.asked[1], first.asked[1]);
  EXPECT_EQ(Ask(id, "other").asked[0].attempt.trial.number, 3u);
}

TEST_F(AsksTest, WhenTheBudgetIsHandedOutAnAskSaysSo) {
  const SweepId id = Create(AskSpec(2));
  Ask(id, "a", 2);
  const Reply reply = Ask(id, "b");
  EXPECT_TRUE(reply.asked.empty());
  EXPECT_EQ(reply.text, "all trials of the budget are handed out");
  EXPECT_FALSE(reply.finished) << "one of those may come back lost";
  const Reply own = Ask(id, "a", 3);
  EXPECT_EQ(own.asked.size(), 2u);
  EXPECT_TRUE(own.finished);
}

TEST_F(AsksTest, AnAskAtTheParallelLimitSaysSo) {
  SweepSpec spec = AskSpec(5);
  spec.budget.max_parallel = 1;
  const SweepId id = Create(spec);
  Ask(id, "a");
  const Reply reply = Ask(id, "b");
  EXPECT_TRUE(reply.asked.empty());
  EXPECT_FALSE(reply.finished);
  EXPECT_EQ(reply.text, "max_parallel trials are running");
}

TEST_F(AsksTest, AnAskOfAnExhaustedSpaceIsFinished) {
  HoldSuggestions();
  const SweepId id = Create(AskSpec(5));
  const uint64_t token = Send(AskTrials{id, "c"});
  GiveSuggestion(/*exhausted=*/true);
  ASSERT_TRUE(AnswerTo(token).has_value());
  EXPECT_TRUE(AnswerTo(token)->finished);
}

TEST_F(AsksTest, AnAskOfAnEndedSweepIsFinished) {
  const SweepId id = Create(AskSpec(5));
  Control(id, Operation::kStop);
  const Reply reply = Ask(id, "c");
  EXPECT_TRUE(reply.status.ok());
  EXPECT_TRUE(reply.finished);
  EXPECT_EQ(reply.text, "the sweep has ended");
}

TEST_F(AsksTest, BadAsksAreRefusedWithTheField) {
  const SweepId id = Create(AskSpec(5));
  EXPECT_EQ(Ask(id, "").problems.at(0).field, "client_id");
  EXPECT_EQ(Ask(id, std::string(65, 'c')).problems.at(0).field, "client_id");
  EXPECT_EQ(Ask(id, "c", 0).problems.at(0).field, "count");
  EXPECT_EQ(Ask(id, "c", 101).problems.at(0).field, "count");
  EXPECT_EQ(Ask(id, "c", 1, 999).problems.at(0).field, "lease");
  EXPECT_EQ(Ask(id, "c", 1, 86'400'001).problems.at(0).field, "lease");
  EXPECT_EQ(Ask(Create(SpecOf("digits", 5)), "c").reason, "SWEEP_NOT_ASK_TELL");
}

TEST_F(AsksTest, ATrialWhoseClientFallsSilentIsGivenToTheNextAndTheFirstIsFencedOff) {
  const SweepId id = Create(AskSpec(1));
  const AttemptRef old = Ask(id, "a", 1, 5'000).asked[0];
  Advance(Milliseconds(4'999));
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kRunning);
  Advance(Milliseconds(1));
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kPending);
  const AttemptRef fresh = Ask(id, "b").asked.at(0);
  EXPECT_GT(fresh.epoch, old.epoch);
  EXPECT_EQ(Tell(old, 1, 0.5).reason, "LEASE_LOST");
  EXPECT_EQ(Do(RenewTrial{{id, 0}, old.epoch}).reason, "LEASE_LOST");
  EXPECT_EQ(Complete(old).reason, "LEASE_LOST");
  EXPECT_TRUE(Tell(fresh, 1, 0.5).status.ok());
}

TEST_F(AsksTest, RenewalReportsAndAsksKeepTheLease) {
  const SweepId id = Create(AskSpec(1));
  const AttemptRef ref = Ask(id, "a", 1, 5'000).asked[0];
  Advance(Seconds(4));
  EXPECT_TRUE(Do(RenewTrial{{id, 0}, ref.epoch}).status.ok());
  Advance(Seconds(4));
  Tell(ref, 1, 0.5);
  Advance(Seconds(4));
  EXPECT_EQ(Ask(id, "a", 1, 5'000).asked.at(0), ref);
  Advance(Seconds(4));
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kRunning);
}

TEST_F(AsksTest, ARepeatedReportGivesTheSameVerdictAndCountsOnce) {
  SweepSpec spec = AskSpec(2);
  spec.scheduler = AshaSpecOf("x", 1).scheduler;
  const SweepId id = Create(spec);
  const Reply asked = Ask(id, "c", 2);
  Tell(asked.asked[0], 1, 0.1);
  const Reply first = Tell(asked.asked[1], 1, 0.9);
  EXPECT_EQ(first.verdict.action, Action::kStop);
  EXPECT_FALSE(first.text.empty());
  const Reply again = Tell(asked.asked[1], 1, 0.9);
  EXPECT_EQ(again.verdict, first.verdict);
  EXPECT_EQ(again.text, first.text);
  EXPECT_EQ(TrialOf(id, 1).measurements, 1u);
  Complete(asked.asked[1]);
  EXPECT_EQ(TrialOf(id, 1).state, TrialState::kStopped);
}

TEST_F(AsksTest, AReportWithoutASequenceIsRefused) {
  const SweepId id = Create(AskSpec(1));
  EXPECT_EQ(Tell(Ask(id, "c").asked[0], 0, 0.5).reason, "REPORT_INVALID");
}

TEST_F(AsksTest, AStoppedTrialTellsItsClientAtTheNextCall) {
  const SweepId id = Create(AskSpec(2));
  const AttemptRef ref = Ask(id, "c").asked[0];
  Do(StopTrial{{id, 0}});
  const Reply renewed = Do(RenewTrial{{id, 0}, ref.epoch});
  EXPECT_TRUE(renewed.stop);
  EXPECT_EQ(renewed.text, "stopped by a user");
  const Reply told = Tell(ref, 1, 0.5);
  EXPECT_EQ(told.verdict.action, Action::kStop);
  EXPECT_EQ(told.text, "stopped by a user");
  Complete(ref);
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kCancelled);
}

TEST_F(AsksTest, AFailureIsToldInWords) {
  const SweepId id = Create(AskSpec(1));
  Complete(Ask(id, "c").asked[0], "CUDA out of memory");
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kFailed);
  EXPECT_NE(TrialOf(id, 0).reason.find("CUDA out of memory"), std::string::npos) << TrialOf(id, 0).reason;
}

TEST_F(AsksTest, UnknownTrialsAreRefused) {
  const SweepId id = Create(AskSpec(1));
  EXPECT_EQ(Do(ReportTrial{{id, 9}, LeaseEpoch(1), 1, 1, {}}).reason, "TRIAL_NOT_FOUND");
  EXPECT_EQ(Do(RenewTrial{{id, 9}, LeaseEpoch(1)}).reason, "TRIAL_NOT_FOUND");
  EXPECT_EQ(Do(CompleteTrial{{id, 9}, LeaseEpoch(1), ""}).reason, "TRIAL_NOT_FOUND");
}

TEST_F(AsksTest, AClientCannotTouchATrialOfAWorker) {
  Connect("w");
  const SweepId id = Create(SpecOf("digits", 1));
  const AttemptRef ref = RefOf(id, 0);
  EXPECT_EQ(Tell(ref, 1, 0.5).reason, "LEASE_LOST");
  EXPECT_EQ(Complete(ref).reason, "LEASE_LOST");
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kRunning);
}

TEST_F(AsksTest, LeasesGetANewTermAfterARestart) {
  const SweepId id = Create(AskSpec(1));
  const AttemptRef ref = Ask(id, "c", 1, 5'000).asked[0];
  now_ = now_ + Seconds(60);  // the controller was away
  Restart();
  Advance(Milliseconds(4'999));
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kRunning);
  EXPECT_EQ(RefOf(id, 0), ref);
  Advance(Milliseconds(1));
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kPending) << "the client is not waited for for ever";
}

}  // namespace
}  // namespace tunesmith
