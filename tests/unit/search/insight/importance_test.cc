#include "search/insight/importance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <set>

#include "search/insight/sample.h"
#include "tests/unit/search/spaces.h"

namespace tunesmith::insight {
namespace {

using namespace testing_spaces;

using Function = std::function<double(const Point&, Rng*)>;

std::vector<FinishedTrial> Draw(const Space& space, size_t count, const Function& f, uint64_t seed = 1) {
  Rng rng(seed);
  std::vector<FinishedTrial> trials;
  for (size_t i = 0; i < count; ++i) {
    FinishedTrial& trial = trials.emplace_back();
    trial.trial = static_cast<uint32_t>(i);
    trial.point = space.Sample(&rng);
    trial.value = f(trial.point, &rng);
  }
  return trials;
}

double At(const Point& point, size_t i) { return ValueNumber(point[i]); }

const ParameterImportance& Of(const Importance& importance, size_t parameter) {
  for (const ParameterImportance& one : importance.parameters) {
    if (one.parameter == parameter) return one;
  }
  ADD_FAILURE() << parameter << " is missing";
  return importance.parameters.front();
}

double SumOf(const Importance& importance) {
  double sum = importance.interactions;
  for (const ParameterImportance& one : importance.parameters) sum += one.share;
  return sum;
}

Importance Compute(const Space& space, const std::vector<FinishedTrial>& trials, Goal goal = Goal::kMin) {
  auto importance = ComputeImportance(space, {"loss", goal, 7}, trials);
  EXPECT_TRUE(importance.ok()) << importance.status();
  return importance.ok() ? *std::move(importance) : Importance();
}

Space Plain() {
  return Make({Range("inert", Distribution::kUniform, 0, 1), Range("x1", Distribution::kUniform, 0, 1),
               Range("x2", Distribution::kUniform, 0, 1)});
}

double Linear(const Point& p, Rng* rng) { return 4 * At(p, 1) + At(p, 2) + 0.05 * rng->Normal(); }

TEST(Importance, SharesFollowTheVarianceThatParametersExplain) {
  const Space space = Plain();
  const Importance importance = Compute(space, Draw(space, 300, Linear));
  ASSERT_EQ(importance.parameters.size(), 3U);
  EXPECT_EQ(importance.parameters[0].parameter, 1U);
  EXPECT_EQ(importance.parameters[1].parameter, 2U);
  // 16 to 1 of a linear function.
  EXPECT_NEAR(Of(importance, 1).share, 0.92, 0.06);
  EXPECT_NEAR(Of(importance, 2).share, 0.05, 0.04);
  EXPECT_LT(Of(importance, 0).share, 0.01);
  EXPECT_LT(Of(importance, 1).spread, 0.1);
  EXPECT_GT(importance.r2, 0.85);
  EXPECT_NEAR(SumOf(importance), 1, 1e-12);
}

TEST(Importance, PredictsTheMetricInItsOwnUnits) {
  const Space space = Plain();
  for (const Goal goal : {Goal::kMin, Goal::kMax}) {
    const Importance importance = Compute(space, Draw(space, 400, Linear), goal);
    const std::vector<Effect>& effect = Of(importance, 1).effect;
    ASSERT_EQ(effect.size(), 8U);
    uint32_t tried = 0;
    for (size_t b = 0; b < effect.size(); ++b) {
      EXPECT_DOUBLE_EQ(effect[b].lo, static_cast<double>(b) / 8);
      EXPECT_DOUBLE_EQ(effect[b].hi, static_cast<double>(b + 1) / 8);
      EXPECT_NEAR(effect[b].metric, 4 * (static_cast<double>(b) + 0.5) / 8 + 0.5, 0.35) << b;
      tried += effect[b].trials;
    }
    EXPECT_EQ(tried, 400U);
  }
}

TEST(Importance, IsTheSameEveryTimeAndForEveryMonotoneChangeOfTheMetric) {
  const Space space = Plain();
  std::vector<FinishedTrial> trials = Draw(space, 100, Linear);
  const Importance first = Compute(space, trials), second = Compute(space, trials);
  for (FinishedTrial& trial : trials) trial.value = trial.value * trial.value * trial.value * 1e30;
  const Importance cubed = Compute(space, trials);
  for (size_t k = 0; k < 3; ++k) {
    EXPECT_EQ(first.parameters[k].parameter, second.parameters[k].parameter);
    EXPECT_EQ(first.parameters[k].share, second.parameters[k].share);
    EXPECT_EQ(first.parameters[k].spread, second.parameters[k].spread);
    EXPECT_EQ(first.parameters[k].effect.front().metric, second.parameters[k].effect.front().metric);
    EXPECT_EQ(first.parameters[k].share, cubed.parameters[k].share);
  }
  EXPECT_EQ(first.r2, second.r2);
}

TEST(Importance, WhatOnlyTwoParametersTogetherExplainIsInteraction) {
  const Space space = Plain();
  const Importance importance = Compute(
      space, Draw(space, 600, [](const Point& p, Rng*) { return (At(p, 1) < 0.5) == (At(p, 2) < 0.5) ? 1.0 : 0.0; }));
  EXPECT_GT(importance.interactions, 0.8);
  EXPECT_GT(importance.r2, 0.6);
  EXPECT_NEAR(SumOf(importance), 1, 1e-12);
}

TEST(Importance, AConditionalParameterIsComparedWhereItIsActive) {
  const Space space = Make({Choice("opt", {std::string("sgd"), std::string("adam")}),
                            Range("momentum", Distribution::kUniform, 0, 1, 0, {When("opt", {std::string("sgd")})}),
                            Range("beta", Distribution::kUniform, 0, 1, 0, {When("opt", {std::string("adam")})})});
  // adam is as good as the mean of sgd: all variance is the momentum's, though it acts in half of the space.
  const Importance inner = Compute(space, Draw(space, 400, [](const Point& p, Rng* rng) {
                                     return (IsActive(p[1]) ? At(p, 1) : 0.5) + 0.02 * rng->Normal();
                                   }));
  EXPECT_GT(Of(inner, 1).share, 0.8);
  EXPECT_LT(Of(inner, 0).share, 0.05);
  EXPECT_LT(Of(inner, 2).share, 0.05);
  EXPECT_NEAR(Of(inner, 1).active, 0.5, 0.05);
  // What its being active is worth belongs to the parent, whichever of the two the trees split on.
  const Importance outer = Compute(space, Draw(space, 400, [](const Point& p, Rng* rng) {
                                     return (IsActive(p[1]) ? 1.0 : 0.0) + 0.02 * rng->Normal();
                                   }));
  EXPECT_GT(Of(outer, 0).share, 0.8);
  EXPECT_LT(Of(outer, 1).share, 0.05);
  ASSERT_EQ(Of(outer, 0).effect.size(), 2U);
  EXPECT_EQ(ValueText(Of(outer, 0).effect[0].value), "adam") << "the best one first";
}

TEST(Importance, ConstraintsHoldInEveryPointThatIsLookedAt) {
  const Space space = Make({Range("a", Distribution::kRandInt, 1, 9), Range("b", Distribution::kRandInt, 1, 9)},
                           {"a * b <= 8"});
  const Importance importance =
      Compute(space, Draw(space, 200, [](const Point& p, Rng*) { return At(p, 0) - 0.2 * At(p, 1); }));
  EXPECT_EQ(importance.parameters[0].parameter, 0U);
  EXPECT_NEAR(SumOf(importance), 1, 1e-9);
  const std::vector<Effect>& effect = Of(importance, 0).effect;
  ASSERT_EQ(effect.size(), 8U);
  for (size_t k = 0; k < effect.size(); ++k) EXPECT_EQ(ValueNumber(effect[k].value), static_cast<double>(k + 1));
}

TEST(Importance, TrialsThatWereStoppedEarlyCountByTheRungsTheyReached) {
  const Space space = Plain();
  std::vector<FinishedTrial> trials = Draw(space, 200, Linear);
  // The loss falls by 10 a step, and the worse half is stopped after one: last values alone would rank them behind all
  // others for that reason only.
  std::vector<double> values;
  for (const FinishedTrial& trial : trials) values.push_back(trial.value);
  std::nth_element(values.begin(), values.begin() + 100, values.end());
  for (FinishedTrial& trial : trials) {
    const double end = trial.value;
    trial.completed = end < values[100];
    trial.value = trial.completed ? end : end + 80;
    trial.rungs = {{1, end + 80}};
  }
  const Importance importance = Compute(space, trials);
  EXPECT_EQ(importance.parameters[0].parameter, 1U);
  EXPECT_GT(importance.r2, 0.7);
  // What a trial there ends with: soon, where it is weak.
  const std::vector<Effect>& effect = importance.parameters[0].effect;
  EXPECT_LT(effect.front().metric, 4);
  EXPECT_NEAR(effect.back().metric, 84, 2);
  for (size_t b = 0; b + 1 < effect.size(); ++b) EXPECT_LT(effect[b].metric, effect[b + 1].metric + 0.5);
  // Also while none has been completed.
  for (FinishedTrial& trial : trials) {
    trial.value = trial.rungs[0].second;
    trial.completed = false;
  }
  const Importance early = Compute(space, trials);
  EXPECT_EQ(early.parameters[0].parameter, 1U);
  EXPECT_NEAR(early.parameters[0].effect.front().metric, 81, 1.5);
}

TEST(Importance, ANoisyMetricIsSeenByItsHeldOutTrials) {
  const Space space = Plain();
  const Importance importance =
      Compute(space, Draw(space, 200, [](const Point&, Rng* rng) { return rng->Normal(); }));
  EXPECT_LT(importance.r2, 0.1);
}

TEST(Importance, SaysWhatIsMissing) {
  const Space space = Plain();
  const auto refused = [](const Space& s, const std::vector<FinishedTrial>& trials) {
    const auto importance = ComputeImportance(s, {"loss", Goal::kMin, 7}, trials);
    EXPECT_EQ(importance.status().code(), StatusCode::kFailedPrecondition);
    return importance.ok() ? "" : Message(importance.status());
  };
  EXPECT_EQ(refused(space, {}),
            "importance needs at least 10 finished trials with a value of loss; there are 0");
  EXPECT_EQ(refused(space, Draw(space, 1, Linear)),
            "importance needs at least 10 finished trials with a value of loss; there is 1");
  EXPECT_EQ(refused(space, Draw(space, 12, [](const Point&, Rng*) { return 0.5; })),
            "loss is the same in all 12 trials, so that no parameter can explain it");
  const Space constants = Make({Constant("c", int64_t{3})});
  EXPECT_EQ(refused(constants, Draw(constants, 20, [](const Point&, Rng* rng) { return rng->Normal(); })),
            "every parameter has one value, so that none can matter");
  std::vector<FinishedTrial> same = Draw(space, 20, Linear);
  for (FinishedTrial& trial : same) trial.point = same[0].point;
  EXPECT_EQ(refused(space, same), "all trials have the same parameters, so that nothing can be compared");
}

TEST(Importance, HoldsForSpacesOfEveryKind) {
  std::vector<Value> many;
  for (int64_t k = 0; k < 10'000; ++k) many.emplace_back(k);
  std::vector<Parameter> parameters = {
      Choice("many", many),
      Constant("c", true),
      Range("log", Distribution::kLogUniform, 1e-5, 1e-1),
      Range("step", Distribution::kQUniform, 0, 1, 0.1),
      Range("wide", Distribution::kLogRandInt, 1, 1'000'000),
      Range("layers", Distribution::kRandInt, 1, 5),
      Range("mid", Distribution::kRandInt, 0, 20),
      Normal("n", 0, 1),
      Normal("qn", 0, 1, 0.5),
      Range("ulp", Distribution::kUniform, 1, std::nextafter(1.0, 2.0)),
      Grid("g", {int64_t{1}, int64_t{2}}),
  };
  for (int k = 0; k < 150; ++k) parameters.push_back(Range("u" + std::to_string(k), Distribution::kUniform, 0, 1));
  const Space space = Make(parameters);
  for (const size_t count : {10UL, 60UL}) {
    const Importance importance =
        Compute(space, Draw(space, count, [](const Point& p, Rng*) { return std::log(At(p, 2)) + At(p, 5); }));
    ASSERT_EQ(importance.parameters.size(), space.size());
    for (const ParameterImportance& one : importance.parameters) {
      EXPECT_GE(one.share, 0);
      EXPECT_LE(one.share, 1);
      EXPECT_TRUE(std::isfinite(one.spread));
      EXPECT_LE(one.effect.size(), 12U);
      for (const Effect& effect : one.effect) EXPECT_TRUE(std::isfinite(effect.metric));
      for (const Effect& effect : one.effect) EXPECT_LE(effect.lo, effect.hi);
    }
    EXPECT_LE(SumOf(importance), 1 + 1e-9);
    EXPECT_TRUE(Of(importance, 1).effect.empty());
    EXPECT_TRUE(std::isinf(Of(importance, 7).effect.front().lo));
    EXPECT_EQ(Of(importance, 5).effect.size(), 4U);
  }
}

TEST(ChooseTrials, TakesTheBestAndADrawOfTheRest) {
  std::vector<Candidate> candidates;
  for (uint32_t k = 0; k < 10'000; ++k) candidates.push_back({k, k % 3 != 0, static_cast<double>((k * 7919) % 10'000)});
  const std::vector<uint32_t> chosen = ChooseTrials(candidates, Goal::kMin, 400, 7);
  EXPECT_EQ(chosen.size(), 400U);
  EXPECT_EQ(std::set<uint32_t>(chosen.begin(), chosen.end()).size(), 400U);
  EXPECT_TRUE(std::is_sorted(chosen.begin(), chosen.end()));
  EXPECT_EQ(ChooseTrials(candidates, Goal::kMin, 400, 7), chosen);
  EXPECT_NE(ChooseTrials(candidates, Goal::kMin, 400, 8), chosen);
  std::vector<std::pair<double, uint32_t>> completed;
  for (const Candidate& c : candidates) {
    if (c.completed) completed.emplace_back(c.value, c.trial);
  }
  std::sort(completed.begin(), completed.end());
  for (size_t k = 0; k < 100; ++k) {
    EXPECT_TRUE(std::binary_search(chosen.begin(), chosen.end(), completed[k].second)) << k;
  }
  size_t upper_half = 0;
  for (const uint32_t k : chosen) upper_half += candidates[k].value >= 5'000 ? 1 : 0;
  EXPECT_NEAR(static_cast<double>(upper_half), 150, 40);
  std::reverse(candidates.begin(), candidates.end());
  EXPECT_EQ(ChooseTrials(candidates, Goal::kMin, 400, 7), chosen) << "whatever their order";
  EXPECT_EQ(ChooseTrials({{5, true, 1}, {2, false, 2}}, Goal::kMax, 10, 7), (std::vector<uint32_t>{2, 5}));
  EXPECT_EQ(TrialsMax(20), 2'000U);
  EXPECT_EQ(TrialsMax(500), 500U);
}

}  // namespace
}  // namespace tunesmith::insight
