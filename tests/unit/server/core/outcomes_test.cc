// Several objectives and outcome constraints: what counts as best, and what the searcher hears.
#include "tests/unit/server/core/core_test.h"

namespace tunesmith {
namespace {

class OutcomesTest : public CoreTest {
 protected:
  void Say(SessionId worker, const AttemptRef& ref, std::vector<NamedMetric> metrics) {
    Post(WorkerRecords{worker, {MeasuredOf(ref, ++step_, std::move(metrics))}});
  }
  std::vector<Observation> Observed() {
    std::vector<Observation> all;
    for (const ObserveTrial& effect : TakeEffects<ObserveTrial>()) all.push_back(effect.observation);
    return all;
  }

  int64_t step_ = 0;
};

SweepSpec Required(int64_t trials) {
  SweepSpec spec = SpecOf("digits", trials);
  spec.search.require = {"latency <= 20", "memory < 8e9"};
  return spec;
}

SweepSpec TwoMetrics(int64_t trials) {
  SweepSpec spec = SpecOf("digits", trials);
  spec.search.objectives = {{"loss", Goal::kMin}, {"accuracy", Goal::kMax}};
  return spec;
}

TEST_F(OutcomesTest, ATrialIsBestOnlyWhileItMeetsTheRequirements) {
  const SessionId worker = Connect("w", 3);
  const SweepId id = Create(Required(3));
  Say(worker, RefOf(id, 0), {{"loss", 0.1}});
  EXPECT_FALSE(SweepOf(id).best_trial) << "latency and memory were not reported";
  EXPECT_EQ(ViolationOf(SweepOf(id), TrialOf(id, 0)), 2);
  Say(worker, RefOf(id, 0), {{"latency", 10}, {"memory", 1}});
  EXPECT_EQ(SweepOf(id).best_trial, 0u) << "values of earlier reports count";
  Say(worker, RefOf(id, 1), {{"loss", 0.3}, {"latency", 20}, {"memory", 7e9}});
  Say(worker, RefOf(id, 2), {{"loss", 0.2}, {"latency", 30}, {"memory", 8e9}});
  EXPECT_EQ(SweepOf(id).best_trial, 0u);
  EXPECT_NEAR(ViolationOf(SweepOf(id), TrialOf(id, 2)), 0.5, 1e-9);
  EXPECT_GT(ViolationOf(SweepOf(id), TrialOf(id, 2)), 0.5) << "memory < 8e9 does not hold at 8e9";
  Say(worker, RefOf(id, 0), {{"latency", 21}});
  EXPECT_EQ(SweepOf(id).best_trial, 1u) << "the best of those that meet them takes its place";
  Say(worker, RefOf(id, 2), {{"latency", 1}, {"memory", 1}});
  EXPECT_EQ(SweepOf(id).best_trial, 2u) << "without a new loss";
  Ended(worker, RefOf(id, 0), ExitCode(0));
  const auto observed = Observed();
  ASSERT_EQ(observed.size(), 1u);
  EXPECT_NEAR(observed[0].violation, 0.05, 1e-12);
  EXPECT_EQ(observed[0].value, 0.1);
  EXPECT_EQ(observed[0].outcome, Outcome::kCompleted);
  EXPECT_EQ(TrialOf(id, 0).state, TrialState::kCompleted) << "it did not fail";
}

TEST_F(OutcomesTest, WhatTheSearcherHearsSurvivesARestart) {
  const SessionId worker = Connect("w", 2);
  SweepSpec spec = TwoMetrics(2);
  spec.search.require = {"latency >= 4"};
  const SweepId id = Create(spec);
  Say(worker, RefOf(id, 0), {{"accuracy", 0.5}, {"latency", 1}});
  Say(worker, RefOf(id, 0), {{"loss", 2}});
  Ended(worker, RefOf(id, 0), ExitCode(0));
  const auto before = Observed();
  ASSERT_EQ(before.size(), 1u);
  EXPECT_EQ(before[0].values, (std::vector<double>{2, 0.5}));
  EXPECT_EQ(before[0].violation, 0.75);
  Restart();
  EXPECT_EQ(Observed(), before);
}

TEST_F(OutcomesTest, TheFrontHoldsWhatNoEndedTrialDominates) {
  const SessionId worker = Connect("w", 6);
  const SweepId id = Create(TwoMetrics(6));
  const auto end = [&](uint32_t n, double loss, double accuracy, int code = 0) {
    Say(worker, RefOf(id, n), {{"loss", loss}, {"accuracy", accuracy}});
    Ended(worker, RefOf(id, n), ExitCode(code));
  };
  Say(worker, RefOf(id, 5), {{"loss", 0}, {"accuracy", 9}});
  EXPECT_TRUE(SweepOf(id).pareto.empty()) << "it still runs";
  end(2, 2, 0.5);
  end(0, 3, 0.4);  // dominated
  end(1, 1, 0.3);
  EXPECT_EQ(SweepOf(id).pareto, (std::vector<uint32_t>{1, 2}));
  EXPECT_FALSE(SweepOf(id).best_trial);
  end(3, 0, 1, 1);  // failed
  EXPECT_EQ(SweepOf(id).pareto, (std::vector<uint32_t>{1, 2}));
  end(4, 2, 0.6);  // dominates 2
  EXPECT_EQ(SweepOf(id).pareto, (std::vector<uint32_t>{1, 4}));
  Ended(worker, RefOf(id, 5), ExitCode(0));
  EXPECT_EQ(SweepOf(id).pareto, (std::vector<uint32_t>{5}));
}

TEST_F(OutcomesTest, InfeasibleAndIncompleteTrialsStayOffTheFront) {
  const SessionId worker = Connect("w", 3);
  SweepSpec spec = TwoMetrics(3);
  spec.search.require = {"latency < 5"};
  const SweepId id = Create(spec);
  Say(worker, RefOf(id, 0), {{"loss", 1}, {"accuracy", 1}, {"latency", 5}});
  Ended(worker, RefOf(id, 0), ExitCode(0));
  Say(worker, RefOf(id, 1), {{"loss", 1}, {"accuracy", kNan}, {"latency", 1}});
  Ended(worker, RefOf(id, 1), ExitCode(0));
  EXPECT_EQ(TrialOf(id, 1).state, TrialState::kCompleted);
  Say(worker, RefOf(id, 2), {{"loss", 1}, {"latency", 1}});
  Ended(worker, RefOf(id, 2), ExitCode(0));
  EXPECT_EQ(TrialOf(id, 2).state, TrialState::kFailed);
  EXPECT_EQ(TrialOf(id, 2).reason, "ended well but never reported accuracy (it reported loss, accuracy, latency)");
  EXPECT_TRUE(SweepOf(id).pareto.empty());
}

}  // namespace
}  // namespace tunesmith
