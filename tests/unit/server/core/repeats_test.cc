// Points that are run several times and judged by their mean.
#include "server/core/repeats.h"

#include <algorithm>

#include "tests/unit/server/core/core_test.h"

namespace tunesmith {
namespace {

class RepeatsTest : public CoreTest {
 protected:
  static SweepSpec Spec(int64_t points, int32_t repeats) {
    SweepSpec spec = SpecOf("noisy", points);
    spec.repeats = repeats;
    return spec;
  }
  void Run(const SweepSpec& spec, int32_t places) {
    worker_ = Connect("w", places);
    id_ = Create(spec);
  }
  void Finish(uint32_t number, double loss) { CoreTest::Finish(worker_, RefOf(id_, number), loss); }
  void Fail(uint32_t number) { Ended(worker_, RefOf(id_, number), ExitCode(1)); }
  // What the searcher learnt since the last call.
  std::vector<Observation> Observed() {
    std::vector<Observation> observed;
    for (ObserveTrial& effect : TakeEffects<ObserveTrial>()) observed.push_back(effect.observation);
    return observed;
  }

  SessionId worker_;
  SweepId id_;
};

TEST_F(RepeatsTest, APointBecomesTrialsWithSeedsOfTheirOwn) {
  Run(Spec(2, 3), 6);
  EXPECT_EQ(SweepOf(id_).target, 6);
  ASSERT_EQ(SweepOf(id_).trials.size(), 6u);
  for (uint32_t n = 0; n < 6; ++n) {
    const Trial& trial = TrialOf(id_, n);
    EXPECT_TRUE(SamePoint(trial.point, TrialOf(id_, n / 3 * 3).point));
    if (n % 3 == 0) {
      EXPECT_EQ(trial.repeat_of, std::nullopt);
      EXPECT_EQ(trial.origin.kind, Origin::Kind::kUnknown) << "as the searcher said";
    } else {
      EXPECT_EQ(trial.repeat_of, n / 3 * 3);
      EXPECT_EQ(trial.origin.kind, Origin::Kind::kRepeat);
    }
  }
  EXPECT_FALSE(SamePoint(TrialOf(id_, 0).point, TrialOf(id_, 3).point));
  std::vector<uint64_t> seeds;
  for (const SendAssign& assign : TakeEffects<SendAssign>()) seeds.push_back(assign.seed);
  std::sort(seeds.begin(), seeds.end());
  EXPECT_EQ(std::unique(seeds.begin(), seeds.end()) - seeds.begin(), 6);
  std::vector<uint32_t> asked;
  for (const RequestSuggestion& request : TakeEffects<RequestSuggestion>()) asked.push_back(request.trial);
  EXPECT_EQ(asked, (std::vector<uint32_t>{0, 3})) << "the searcher knows a point by its first trial";
  EXPECT_EQ(TakeEffects<StartSearcher>().at(0).options.trials, 2);
}

TEST_F(RepeatsTest, NoMorePointsAreAskedForThanThereIsRoom) {
  HoldSuggestions();
  Run(Spec(10, 3), 4);
  EXPECT_EQ(held_suggestions().size(), 2u) << "four places, three trials a point";
  GiveSuggestion();
  EXPECT_EQ(held_suggestions().size(), 1u);
  EXPECT_EQ(held_suggestions()[0].trial, 3u);
  GiveSuggestion();
  EXPECT_EQ(Running(id_), 4u);
  EXPECT_TRUE(held_suggestions().empty()) << "two wait for a place";
}

TEST_F(RepeatsTest, TheSearcherHearsOfTheMeanOnceAllHaveEnded) {
  Run(Spec(1, 3), 3);
  now_ = now_ + Seconds(2);
  Finish(1, 0.2);
  Finish(0, 0.4);
  EXPECT_TRUE(Observed().empty());
  Finish(2, 0.9);
  const auto observed = Observed();
  ASSERT_EQ(observed.size(), 1u);
  EXPECT_EQ(observed[0].trial, 0u);
  EXPECT_EQ(observed[0].outcome, Outcome::kCompleted);
  EXPECT_DOUBLE_EQ(observed[0].value, 0.5);
  EXPECT_EQ(observed[0].seconds, 6) << "of all";
  EXPECT_EQ(SweepOf(id_).state, SweepState::kSucceeded);
}

TEST_F(RepeatsTest, FailuresAreLeftOutOfTheMeanUnlessThereIsNothingElse) {
  Run(Spec(2, 3), 6);
  Fail(0);
  Finish(1, 0.25);
  Finish(2, 0.75);
  const auto mean = Observed();
  ASSERT_EQ(mean.size(), 1u);
  EXPECT_EQ(mean[0].outcome, Outcome::kCompleted);
  EXPECT_EQ(mean[0].value, 0.5);
  for (uint32_t n = 3; n < 6; ++n) Fail(n);
  const auto failure = Observed();
  ASSERT_EQ(failure.size(), 1u);
  EXPECT_EQ(failure[0].trial, 3u);
  EXPECT_EQ(failure[0].outcome, Outcome::kFailed);
  EXPECT_TRUE(std::isnan(failure[0].value));
}

TEST_F(RepeatsTest, NonsenseIsLeftOutOfTheMeanToo) {
  Run(Spec(2, 2), 4);
  Finish(0, kNan);
  Finish(1, 0.5);
  Finish(2, std::numeric_limits<double>::infinity());
  Finish(3, kNan);
  const auto observed = Observed();
  ASSERT_EQ(observed.size(), 2u);
  EXPECT_EQ(observed[0].value, 0.5);
  EXPECT_TRUE(std::isnan(observed[1].value));
  EXPECT_EQ(observed[1].outcome, Outcome::kCompleted);
}

TEST_F(RepeatsTest, ACancelledPointIsForgottenAndACancelledRepeatIsLeftOut) {
  Run(Spec(2, 2), 4);
  Do(StopTrial{{id_, 0}});
  Ended(worker_, RefOf(id_, 0), ExitCode(143));
  EXPECT_TRUE(TakeEffects<ForgetTrial>().empty()) << "the other one may still say something";
  Finish(1, 0.5);
  const auto observed = Observed();
  ASSERT_EQ(observed.size(), 1u);
  EXPECT_EQ(observed[0].value, 0.5);
  for (uint32_t n = 2; n < 4; ++n) {
    Do(StopTrial{{id_, n}});
    Ended(worker_, RefOf(id_, n), ExitCode(143));
  }
  const auto forgotten = TakeEffects<ForgetTrial>();
  ASSERT_EQ(forgotten.size(), 1u);
  EXPECT_EQ(forgotten[0].trial, 2u);
  EXPECT_TRUE(Observed().empty());
}

TEST_F(RepeatsTest, TheBestPointHasTheBestMeanOfEndedTrials) {
  Run(Spec(3, 2), 6);
  Report(worker_, RefOf(id_, 0), 1, 0.0);  // a lucky run alone is not the best
  EXPECT_EQ(SweepOf(id_).best_trial, std::nullopt);
  Ended(worker_, RefOf(id_, 0), ExitCode(0));
  EXPECT_EQ(SweepOf(id_).best_trial, std::nullopt);
  Finish(2, 0.4);
  Finish(3, 0.2);
  EXPECT_EQ(SweepOf(id_).best_trial, 2u);
  EXPECT_EQ(BestMeanOf(SweepOf(id_), 2)->of, 2u);
  EXPECT_DOUBLE_EQ(BestMeanOf(SweepOf(id_), 2)->value, 0.3);
  Finish(1, 0.8);
  EXPECT_EQ(SweepOf(id_).best_trial, 2u) << "0.4 is worse than 0.3";
  Fail(5);
  Finish(4, 0.1);
  EXPECT_EQ(SweepOf(id_).best_trial, 4u);
  EXPECT_EQ(BestMeanOf(SweepOf(id_), 4)->of, 1u) << "of those that did not fail";
}

TEST_F(RepeatsTest, APointWithATrialThatMissesARequirementIsNotTheBest) {
  SweepSpec spec = Spec(2, 2);
  spec.search.require = {"latency <= 20"};
  Run(spec, 4);
  const double latency[] = {10, 30, 10, 10};
  for (const uint32_t n : {0u, 1u, 2u, 3u}) {
    Post(WorkerRecords{worker_, {MeasuredOf(RefOf(id_, n), 1, {{"loss", 0.1 * (n + 1)}, {"latency", latency[n]}})}});
    Ended(worker_, RefOf(id_, n), ExitCode(0));
  }
  EXPECT_EQ(SweepOf(id_).best_trial, 2u);
  const auto observed = Observed();
  ASSERT_EQ(observed.size(), 2u);
  EXPECT_GT(observed[0].violation, 0);
  EXPECT_EQ(observed[1].violation, 0);
}

TEST_F(RepeatsTest, TheFrontOfSeveralObjectivesIsOneOfMeans) {
  SweepSpec spec = Spec(3, 2);
  spec.search.type = "tpe";
  spec.search.objectives = {{"loss", Goal::kMin}, {"latency", Goal::kMin}};
  Run(spec, 6);
  const double loss[] = {0, 10, 4, 4, 6, 6};  // means 5, 4, 6
  for (const uint32_t n : {0u, 1u, 2u, 3u, 4u, 5u}) {
    Post(WorkerRecords{worker_, {MeasuredOf(RefOf(id_, n), 1, {{"loss", loss[n]}, {"latency", n < 4 ? 2.0 : 1.0}})}});
    Ended(worker_, RefOf(id_, n), ExitCode(0));
  }
  EXPECT_EQ(SweepOf(id_).pareto, (std::vector<uint32_t>{2, 4})) << "the lucky trial 0 is not in it";
  EXPECT_EQ(SweepOf(id_).best_trial, std::nullopt);
  const auto observed = Observed();
  ASSERT_EQ(observed.size(), 3u);
  EXPECT_EQ(observed[0].values, (std::vector<double>{5, 2}));
}

TEST_F(RepeatsTest, UsersPointsAreRepeatedToo) {
  SweepSpec spec = Spec(2, 3);
  spec.points = {{{"lr", 0.1}}};
  Run(spec, 6);
  ASSERT_EQ(SweepOf(id_).trials.size(), 6u);
  for (uint32_t n = 0; n < 6; ++n) EXPECT_EQ(TrialOf(id_, n).from_user, n < 3) << n;
  EXPECT_EQ(TrialOf(id_, 0).origin.kind, Origin::Kind::kUser);
  EXPECT_EQ(TrialOf(id_, 1).origin.kind, Origin::Kind::kRepeat);
  EXPECT_EQ(TakeEffects<AnnounceTrial>().size(), 1u);
}

TEST_F(RepeatsTest, AnExhaustedSpaceEndsTheSweepWithWholePoints) {
  SweepSpec spec = Spec(5, 2);
  spec.search.type = "grid";
  spec.parameters = {GridParameter("width", 1)};
  HoldSuggestions();
  Run(spec, 4);
  GiveSuggestion();
  GiveSuggestion(/*exhausted=*/true);
  Finish(0, 0.5);
  Finish(1, 0.5);
  EXPECT_EQ(SweepOf(id_).state, SweepState::kSucceeded);
  EXPECT_EQ(SweepOf(id_).trials.size(), 2u);
}

TEST_F(RepeatsTest, NoRungsAreReported) {
  SweepSpec spec = AshaSpecOf("noisy", 1);
  spec.repeats = 2;
  Run(spec, 2);
  Report(worker_, RefOf(id_, 0), 1, 0.5);
  Report(worker_, RefOf(id_, 1), 1, 0.6);
  EXPECT_EQ(TrialOf(id_, 1).state, TrialState::kStopping) << "each trial is judged by itself";
  EXPECT_TRUE(TakeEffects<ReportRung>().empty());
}

TEST_F(RepeatsTest, TheSearcherLearnsTheSameAfterARestart) {
  SweepSpec spec = Spec(4, 2);
  spec.points = {{{"lr", 0.1}}};
  Run(spec, 8);
  Finish(5, 0.3);
  Finish(2, 0.5);
  Finish(4, 0.2);
  Finish(3, 0.7);
  Finish(0, 0.1);  // its point has not ended
  const auto before = Observed();
  ASSERT_EQ(before.size(), 2u);
  effects_.clear();
  Restart();
  EXPECT_EQ(Observed(), before);
  std::vector<uint32_t> announced;
  for (const AnnounceTrial& effect : TakeEffects<AnnounceTrial>()) announced.push_back(effect.trial);
  EXPECT_EQ(announced, (std::vector<uint32_t>{0, 2, 4, 6}));
  EXPECT_EQ(SweepOf(id_).trials.size(), 8u) << "the user's point is not run again";
}

TEST_F(RepeatsTest, ProgramsThatAskGetTheRepeatsOneByOne) {
  SweepSpec spec = Spec(2, 2);
  spec.program = {};
  spec.ask_tell = true;
  id_ = Create(spec);
  std::vector<uint32_t> numbers;
  for (int i = 0; i < 4; ++i) {
    const Reply reply = Do(AskTrials{id_, "client " + std::to_string(i), 1, 60'000});
    ASSERT_EQ(reply.asked.size(), 1u);
    numbers.push_back(reply.asked[0].attempt.trial.number);
  }
  EXPECT_EQ(numbers, (std::vector<uint32_t>{0, 1, 2, 3}));
}

}  // namespace
}  // namespace tunesmith
