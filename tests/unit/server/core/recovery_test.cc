// A controller that was killed goes on as if it had not been.
#include "tests/unit/server/core/core_test.h"

namespace tunesmith {
namespace {

using RecoveryTest = CoreTest;

TEST_F(RecoveryTest, RunningTrialsAreTakenOverNotRestarted) {
  const SessionId first = Connect("w", 2);
  const SweepId id = Create(SpecOf("digits", 2));
  const AttemptRef a = RefOf(id, 0);
  const AttemptRef b = RefOf(id, 1);
  Report(first, a, 1, 0.5);
  const uint64_t hash = state().Hash();
  Restart();
  EXPECT_EQ(state().Hash(), hash);
  TakeEffects<SendWelcome>();
  const SessionId second = Connect("w", 2, 0, "boot-1", {a, b});
  const auto welcomes = TakeEffects<SendWelcome>();
  ASSERT_EQ(welcomes.size(), 1u);
  EXPECT_EQ(welcomes[0].attempts[0].kind, AttemptAnswer::Kind::kAdopt);
  EXPECT_EQ(welcomes[0].attempts[0].acked, 1u);
  Finish(second, a, 0.4);
  Finish(second, b, 0.4);
  EXPECT_EQ(SweepOf(id).state, SweepState::kSucceeded);
  EXPECT_EQ(TrialOf(id, 0).attempts.size(), 1u);
}

TEST_F(RecoveryTest, WorkersHaveAWholeLeaseToComeBack) {
  Connect("w", 1);
  const SweepId id = Create(SpecOf("digits", 1));
  now_ = now_ + Seconds(3600);  // the controller was away
  Restart();
  Advance(Milliseconds(19'999));
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kRunning);
  Advance(Milliseconds(1));
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kPending);
}

TEST_F(RecoveryTest, SearchersAreToldTheHistoryInItsOrder) {
  const SessionId worker = Connect("w", 3);
  const SweepId id = Create(SpecOf("digits", 4));
  Finish(worker, RefOf(id, 1), 0.1);
  Finish(worker, RefOf(id, 0), 0.2);
  Do(StopTrial{{id, 2}});
  Ended(worker, RefOf(id, 2), ExitCode(0));
  effects_.clear();
  Restart();
  EXPECT_EQ(TakeEffects<StartSearcher>().size(), 1u);
  EXPECT_EQ(TakeEffects<AnnounceTrial>().size(), 4u);
  const auto observed = TakeEffects<ObserveTrial>();
  ASSERT_EQ(observed.size(), 2u);
  EXPECT_EQ(observed[0].observation.trial, 1u);
  EXPECT_EQ(observed[0].observation.value, 0.1);
  EXPECT_EQ(observed[1].observation.trial, 0u);
  const auto forgotten = TakeEffects<ForgetTrial>();
  ASSERT_EQ(forgotten.size(), 1u);
  EXPECT_EQ(forgotten[0].trial, 2u);
}

TEST_F(RecoveryTest, SearchersAreToldOfRungsAndEndsInTheirOrder) {
  const SessionId worker = Connect("w", 2);
  SweepSpec spec = AshaSpecOf("digits", 2);
  const SweepId id = Create(spec);
  const auto told = [&] {
    std::vector<std::string> texts;
    for (const Effect& effect : effects_) {
      if (const auto* report = std::get_if<ReportRung>(&effect)) {
        const RungReport& r = report->report;
        texts.push_back(std::to_string(r.trial) + " at " + std::to_string(r.rung) + ": " + std::to_string(r.value));
      } else if (const auto* observe = std::get_if<ObserveTrial>(&effect)) {
        const Observation& o = observe->observation;
        texts.push_back(std::to_string(o.trial) + " ended: " + std::to_string(o.value));
      }
    }
    return texts;
  };
  Report(worker, RefOf(id, 1), 1, -0.5);
  Report(worker, RefOf(id, 0), 1, 0.5);
  Report(worker, RefOf(id, 0), 2, 0.25);
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kStopping);
  Ended(worker, RefOf(id, 0), ExitCode(143));
  Report(worker, RefOf(id, 1), 2, -0.75);
  const auto before = told();
  ASSERT_EQ(before.size(), 5u);
  EXPECT_EQ(before[3], "0 ended: 0.250000");
  effects_.clear();
  Restart();
  EXPECT_EQ(told(), before);
  EXPECT_EQ(TakeEffects<AnnounceTrial>().size(), 2u);
  EXPECT_EQ(TakeEffects<StartSearcher>().at(0).options.trials, 2);
}

TEST_F(RecoveryTest, EndedSweepsNeedNoSearcher) {
  const SessionId worker = Connect("w", 1);
  const SweepId id = Create(SpecOf("digits", 1));
  Finish(worker, RefOf(id, 0), 0.1);
  effects_.clear();
  Restart();
  EXPECT_TRUE(TakeEffects<StartSearcher>().empty());
}

TEST_F(RecoveryTest, SuggestionsThatWereAwaitedAreAskedForAgain) {
  HoldSuggestions();
  const SessionId first = Connect("w", 2);
  const SweepId id = Create(SpecOf("digits", 5));
  ASSERT_EQ(held_suggestions().size(), 2u);
  Restart();
  EXPECT_TRUE(held_suggestions().empty()) << "no place is known yet";
  Connect("w", 2);
  EXPECT_EQ(held_suggestions().size(), 2u);
  GiveSuggestion();
  EXPECT_EQ(Running(id), 1u);
  (void)first;
}

TEST_F(RecoveryTest, ASweepThatOnlyWaitedForSuggestionsOfAnExhaustedSpaceEnds) {
  HoldSuggestions();
  const SessionId worker = Connect("w", 2);
  const SweepId id = Create(SpecOf("digits", 5));
  ASSERT_EQ(held_suggestions().size(), 2u);
  GiveSuggestion(/*exhausted=*/true);
  (void)worker;
  ASSERT_EQ(SweepOf(id).state, SweepState::kActive) << "the other answer is awaited";
  Restart();
  EXPECT_EQ(SweepOf(id).state, SweepState::kSucceeded);
}

TEST_F(RecoveryTest, AForcedDeletionOutlivesTheRestart) {
  const SessionId first = Connect("w", 1);
  const SweepId id = Create(SpecOf("digits", 2));
  const AttemptRef ref = RefOf(id, 0);
  EXPECT_TRUE(Control(id, Operation::kForceDelete).status.ok());
  Restart();
  const SessionId second = Connect("w", 1, 0, "boot-1", {ref});
  Ended(second, ref, ExitCode(143));
  EXPECT_EQ(state().FindSweep(id), nullptr) << "the user was told that it is deleted";
  (void)first;
}

TEST_F(RecoveryTest, AForcedDeletionOfAStoppingSweepOutlivesTheRestart) {
  Connect("w", 1);
  const SweepId id = Create(SpecOf("digits", 2));
  const AttemptRef ref = RefOf(id, 0);
  Control(id, Operation::kStop);
  Control(id, Operation::kForceDelete);
  Restart();
  Ended(Connect("w", 1, 0, "boot-1", {ref}), ref, ExitCode(143));
  EXPECT_EQ(state().FindSweep(id), nullptr);
}

TEST_F(RecoveryTest, UserPointsAreNotRunTwice) {
  SweepSpec spec = SpecOf("digits", 4);
  spec.points = {{{"lr", 0.1}}, {{"lr", 0.2}}};
  const SweepId id = Create(spec);
  ASSERT_EQ(SweepOf(id).trials.size(), 2u);
  Restart();
  Connect("w", 4);
  ASSERT_EQ(SweepOf(id).trials.size(), 4u);
  EXPECT_FALSE(TrialOf(id, 2).from_user);
  EXPECT_FALSE(TrialOf(id, 3).from_user);
}

TEST_F(RecoveryTest, WhyAPointWasChosenIsKept) {
  HoldSuggestions();
  Connect("w", 1);
  const SweepId id = Create(SpecOf("digits", 1));
  Suggestion suggestion{.point = {0.5}};
  suggestion.origin = {
      .kind = Origin::Kind::kModel, .judge = Origin::Judge::kGp, .predicted = 0.25, .rank = 2, .of = 112};
  Post(SuggestionReady{id, 0, suggestion});
  EXPECT_EQ(TrialOf(id, 0).origin, suggestion.origin);
  const uint64_t hash = state().Hash();
  Restart();
  EXPECT_EQ(TrialOf(id, 0).origin, suggestion.origin);
  EXPECT_EQ(state().Hash(), hash);
}

TEST_F(RecoveryTest, TheSchedulerJudgesAfterTheRestartAsBefore) {
  const SessionId first = Connect("w", 4);
  const SweepId id = Create(AshaSpecOf("digits", 4));
  std::vector<AttemptRef> refs;
  for (uint32_t i = 0; i < 4; ++i) refs.push_back(RefOf(id, i));
  Report(first, refs[0], 1, 0.4);
  Report(first, refs[1], 1, 0.3);
  std::vector<Verdict> before;
  std::vector<TrialReport> probes;
  for (uint32_t trial = 0; trial < 4; ++trial) {
    for (int64_t step = 1; step <= 8; ++step) probes.push_back({trial, step, 0.35});
  }
  for (const TrialReport& probe : probes) before.push_back(SweepOf(id).scheduler->Decide(probe));
  Restart();
  for (size_t i = 0; i < probes.size(); ++i) EXPECT_EQ(SweepOf(id).scheduler->Decide(probes[i]), before[i]);
}

TEST_F(RecoveryTest, TheMedianRuleDecidesAsIfNothingHadHappened) {
  const SessionId first = Connect("first", 4);
  const SweepId id = Create(MedianSpecOf("digits", 5));
  for (int64_t step = 1; step <= 3; ++step) {
    for (uint32_t trial = 0; trial < 3; ++trial) Report(first, RefOf(id, trial), step, 0.25 + 0.01 * trial);
  }
  Report(first, RefOf(id, 3), 1, kNan);
  EXPECT_EQ(TrialOf(id, 3).state, TrialState::kStopping);
  Ended(first, RefOf(id, 3), ExitCode(143));
  Ended(first, RefOf(id, 0), ExitCode(0));
  std::vector<Verdict> before;
  std::vector<TrialReport> probes;
  for (const uint32_t trial : {1, 2, 4}) {
    for (int64_t step = 1; step <= 4; ++step) probes.push_back({trial, step, 0.26});
  }
  for (const TrialReport& probe : probes) before.push_back(SweepOf(id).scheduler->Decide(probe));
  EXPECT_EQ(before[0].peers, 2u);
  EXPECT_EQ(before.at(11).reason, Reason::kNone) << "nobody has come to step 4";
  Restart();
  for (size_t i = 0; i < probes.size(); ++i) EXPECT_EQ(SweepOf(id).scheduler->Decide(probes[i]), before[i]);
}

TEST_F(RecoveryTest, EpochsAndNumbersGoOn) {
  Connect("w", 1);
  const SweepId id = Create(SpecOf("digits", 1));
  const LeaseEpoch epoch = RefOf(id, 0).epoch;
  Restart();
  EXPECT_GT(state().next_epoch(), epoch);
  EXPECT_GT(state().next_sweep(), id);
}

TEST_F(RecoveryTest, TimeNeverGoesBack) {
  const SweepId id = Create(SpecOf("digits", 1));
  const Time created = now_;
  now_ = Time{1};
  Control(id, Operation::kStop);
  EXPECT_EQ(SweepOf(id).ended, created);
}

}  // namespace
}  // namespace tunesmith
