#include "search/space/space.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "tests/unit/search/spaces.h"

namespace tunesmith {
namespace {

using testing_spaces::Choice;
using testing_spaces::Make;
using testing_spaces::Range;
using testing_spaces::When;

// A space that holds one parameter of every distribution, some with odd bounds.
std::vector<Parameter> EveryDistribution() {
  return {Range("uniform", Distribution::kUniform, -1.5, 2.25),
          Range("quniform", Distribution::kQUniform, -0.3, 0.6, 0.1),
          Range("loguniform", Distribution::kLogUniform, 1e-7, 1e2),
          Range("qloguniform", Distribution::kQLogUniform, 0.05, 1.5, 0.05),
          Range("randint", Distribution::kRandInt, -3, 4),
          Range("qrandint", Distribution::kQRandInt, 0, 10, 2),
          Range("qrandint1", Distribution::kQRandInt, 0, 10, 1),
          Range("lograndint", Distribution::kLogRandInt, 1, 20),
          Range("qlograndint", Distribution::kQLogRandInt, 3, 30, 3),
          Range("qlograndint1", Distribution::kQLogRandInt, 1, 8, 1),
          Range("huge", Distribution::kRandInt, 0, 0x1p53),
          testing_spaces::Normal("normal", 1, 0.5),
          testing_spaces::Normal("qnormal", 0, 2, 0.5),
          Choice("choice", {Value(std::string("a")), Value(int64_t{2}), Value(true)}),
          testing_spaces::Grid("grid", {Value(0.1), Value(0.2)}),
          testing_spaces::Constant("constant", Value(JsonValue{"[1]"}))};
}

TEST(SpaceTest, DistributionNamesReadBack) {
  for (int i = 0; i <= static_cast<int>(Distribution::kQNormal); ++i) {
    const auto d = static_cast<Distribution>(i);
    EXPECT_EQ(DistributionFromName(DistributionName(d)), d);
  }
  EXPECT_FALSE(DistributionFromName("gaussian"));
}

TEST(SpaceTest, EveryDrawLiesInTheSpaceAndReadsBackByIndex) {
  const Space space = Make(EveryDistribution());
  Rng rng(7);
  for (int n = 0; n < 20'000; ++n) {
    const Point point = space.Sample(&rng);
    std::string why;
    ASSERT_TRUE(space.Contains(point, &why)) << why;
    for (size_t i = 0; i < space.size(); ++i) {
      if (!space.ValueCount(i)) continue;
      const auto index = space.IndexOf(i, point[i]);
      ASSERT_TRUE(index) << space.parameters()[i].name;
      ASSERT_EQ(space.ValueAt(i, *index), point[i]) << space.parameters()[i].name;
    }
  }
}

TEST(SpaceTest, EveryFiniteValueIsReached) {
  const Space space = Make(EveryDistribution());
  Rng rng(11);
  std::vector<std::set<uint64_t>> seen(space.size());
  for (int n = 0; n < 20'000; ++n) {
    const Point point = space.Sample(&rng);
    for (size_t i = 0; i < space.size(); ++i) {
      if (const auto index = space.IndexOf(i, point[i])) seen[i].insert(*index);
    }
  }
  for (size_t i = 0; i < space.size(); ++i) {
    const auto count = space.ValueCount(i);
    if (!count || *count > 100) continue;
    EXPECT_EQ(seen[i].size(), *count) << space.parameters()[i].name;
  }
}

TEST(SpaceTest, ValueCountsFollowRaysInclusiveness) {
  const Space space = Make(EveryDistribution());
  const auto count = [&](const char* name) { return space.ValueCount(*space.Find(name)); };
  EXPECT_FALSE(count("uniform"));
  EXPECT_EQ(count("quniform"), 10u);     // -0.3 .. 0.6, both inclusive
  EXPECT_EQ(count("qloguniform"), 30u);  // 0.05 .. 1.5
  EXPECT_EQ(count("randint"), 7u);       // -3 .. 3
  EXPECT_EQ(count("qrandint"), 6u);      // 0, 2, .. 10
  EXPECT_EQ(count("qrandint1"), 10u);    // 0 .. 9: q = 1 is exclusive
  EXPECT_EQ(count("lograndint"), 19u);
  EXPECT_EQ(count("qlograndint"), 10u);
  EXPECT_EQ(count("qlograndint1"), 7u);
  EXPECT_EQ(count("huge"), uint64_t{1} << 53);
  EXPECT_FALSE(count("normal"));
  EXPECT_FALSE(count("qnormal"));
}

TEST(SpaceTest, QuantisedValuesAreTheNumbersAPersonWrites) {
  const Space space = Make({Range("x", Distribution::kQUniform, 0, 1, 0.1),
                            Range("y", Distribution::kQUniform, 0, 1.5, 0.15),
                            Range("z", Distribution::kQUniform, 0, 3e-5, 1e-5)});
  EXPECT_EQ(ValueText(space.ValueAt(0, 3)), "0.3");
  EXPECT_EQ(ValueText(space.ValueAt(0, 7)), "0.7");
  EXPECT_EQ(ValueText(space.ValueAt(1, 3)), "0.45");
  EXPECT_EQ(ValueText(space.ValueAt(2, 3)), "3e-05");
  EXPECT_TRUE(space.Takes(0, Value(0.1 * 3), nullptr));
  EXPECT_FALSE(space.Takes(0, Value(0.35), nullptr));
}

// Pearson's chi-squared of 20,000 draws against the stated masses. The threshold is the
// Wilson-Hilferty 1 - 1e-6 quantile: with fixed seeds and 7 tests the chance that a right sampler
// fails was below 1e-5 when the seed was picked.
TEST(SpaceTest, DrawsHaveTheStatedMasses) {
  const Space space = Make(EveryDistribution());
  constexpr int kDraws = 20'000;
  const auto log_mass = [](double lo, double hi, double a, double b) {
    return (std::log(std::min(hi, b)) - std::log(std::max(lo, a))) / (std::log(hi) - std::log(lo));
  };
  const auto mass = [&](const std::string& name, double x) -> double {
    if (name == "quniform") return (x < -0.25 || x > 0.55 ? 0.5 : 1) / 9;  // end points get half
    if (name == "qloguniform") return log_mass(0.05, 1.5, x - 0.025, x + 0.025);
    if (name == "randint") return 1.0 / 7;
    if (name == "qrandint") return 1.0 / 6;
    if (name == "lograndint") return log_mass(1, 20, x, x + 1);
    if (name == "qlograndint") return log_mass(3, 30, x - 1.5, x + 1.5);
    return NormalCdf((x + 0.25) / 2) - NormalCdf((x - 0.25) / 2);  // qnormal
  };
  Rng rng(13);
  std::map<std::string, std::map<double, int>> counts;
  for (int n = 0; n < kDraws; ++n) {
    const Point point = space.Sample(&rng);
    for (size_t i = 0; i < space.size(); ++i)
      ++counts[space.parameters()[i].name][ValueNumber(point[i])];
  }
  for (const char* name :
       {"quniform", "qloguniform", "randint", "qrandint", "lograndint", "qlograndint", "qnormal"}) {
    double chi = 0, rest_expected = kDraws, rest_seen = kDraws;
    int cells = 0;
    for (const auto& [x, seen] : counts[name]) {
      const double expected = kDraws * mass(name, x);
      ASSERT_GT(expected, 0) << name << " " << x;
      if (expected < 10) continue;  // goes to the rest
      chi += (seen - expected) * (seen - expected) / expected;
      rest_expected -= expected;
      rest_seen -= seen;
      ++cells;
    }
    if (rest_expected > 10)
      chi += (rest_seen - rest_expected) * (rest_seen - rest_expected) / rest_expected;
    EXPECT_LT(std::fabs(rest_expected), kDraws * 0.05) << name << ": the masses do not sum to one";
    const double df = cells;
    const double limit = df * std::pow(1 - 2 / (9 * df) + 4.7534 * std::sqrt(2 / (9 * df)), 3);
    EXPECT_LT(chi, limit) << name;
  }
}

// One-sample Kolmogorov-Smirnov with 20,000 draws; false alarm 2 exp(-2 * 2.69^2) = 1e-6 per
// distribution.
TEST(SpaceTest, ContinuousDrawsFollowTheirDistribution) {
  const Space space = Make(EveryDistribution());
  constexpr int kDraws = 20'000;
  Rng rng(17);
  std::map<std::string, std::vector<double>> draws;
  for (int n = 0; n < kDraws; ++n) {
    const Point point = space.Sample(&rng);
    for (const char* name : {"uniform", "loguniform", "normal"}) {
      draws[name].push_back(ValueNumber(point[*space.Find(name)]));
    }
  }
  const auto cdf = [](const std::string& name, double x) {
    if (name == "uniform") return (x + 1.5) / 3.75;
    if (name == "loguniform")
      return (std::log(x) - std::log(1e-7)) / (std::log(1e2) - std::log(1e-7));
    return NormalCdf((x - 1) / 0.5);
  };
  for (auto& [name, values] : draws) {
    std::sort(values.begin(), values.end());
    double distance = 0;
    for (int k = 0; k < kDraws; ++k) {
      const double p = cdf(name, values[k]);
      distance = std::max(
          {distance, std::fabs(p - double(k) / kDraws), std::fabs(p - double(k + 1) / kDraws)});
    }
    EXPECT_LT(distance * std::sqrt(kDraws), 2.69) << name;
  }
}

TEST(SpaceTest, BoundsAreInclusiveAndExclusiveAsDocumented) {
  const Space space = Make(EveryDistribution());
  const auto takes = [&](const char* name, double x) {
    return space.Takes(*space.Find(name), Value(x), nullptr);
  };
  EXPECT_TRUE(takes("uniform", -1.5));
  EXPECT_FALSE(takes("uniform", 2.25));
  EXPECT_TRUE(takes("quniform", 0.6));
  EXPECT_TRUE(takes("loguniform", 1e-7));
  EXPECT_FALSE(takes("loguniform", 1e2));
  EXPECT_FALSE(takes("randint", 4));
  EXPECT_FALSE(takes("randint", 1.5));
  EXPECT_TRUE(takes("qrandint", 10));
  EXPECT_FALSE(takes("qrandint", 5));
  EXPECT_FALSE(takes("qrandint1", 10));
  EXPECT_TRUE(takes("qlograndint", 30));
  EXPECT_FALSE(takes("qlograndint1", 8));
  EXPECT_FALSE(takes("normal", std::nan("")));
  EXPECT_FALSE(takes("normal", HUGE_VAL));
  EXPECT_TRUE(takes("qnormal", -7.5));
  EXPECT_FALSE(takes("qnormal", -7.4));
}

Space Optimizers() {
  return Make(
      {Choice("momentum_kind", {Value(std::string("plain")), Value(std::string("nesterov"))},
              {When("optimizer", {Value(std::string("sgd"))})}),
       Choice("optimizer", {Value(std::string("sgd")), Value(std::string("adam"))}),
       Range("momentum", Distribution::kQUniform, 0, 0.9, 0.3,
             {When("momentum_kind", {Value(std::string("nesterov"))})})});
}

TEST(SpaceTest, ChildrenComeAfterParentsInTheSampleOrder) {
  const Space space = Optimizers();
  EXPECT_EQ(space.SampleOrder(), (std::vector<size_t>{1, 0, 2}));
}

TEST(SpaceTest, AParameterIsActiveOnlyUnderItsCondition) {
  const Space space = Optimizers();
  Rng rng(3);
  std::set<std::string> shapes;
  for (int n = 0; n < 500; ++n) {
    const Point p = space.Sample(&rng);
    EXPECT_EQ(IsActive(p[0]), ValueText(p[1]) == "sgd");
    EXPECT_EQ(IsActive(p[2]), ValueText(p[0]) == "nesterov");
    shapes.insert(ValueText(p[1]) + ValueText(p[0]));
  }
  EXPECT_EQ(shapes.size(), 3u);
}

TEST(SpaceTest, CardinalityCountsBranchesOnce) {
  EXPECT_EQ(Optimizers().Cardinality(), 1u + 1u + 4u);  // adam; sgd plain; sgd nesterov x 4
  EXPECT_EQ(Space().Cardinality(), 1u);
  EXPECT_FALSE(Make(EveryDistribution()).Cardinality());
  std::vector<Parameter> bits;
  for (int i = 0; i < 53; ++i)
    bits.push_back(Range("b" + std::to_string(i), Distribution::kRandInt, 0, 2));
  EXPECT_EQ(Make(bits).Cardinality(), uint64_t{1} << 53);
  bits.push_back(Range("more", Distribution::kRandInt, 0, 2));
  EXPECT_FALSE(Make(bits).Cardinality());
}

TEST(SpaceTest, CardinalityOfAWebOfConditions) {
  // c needs a < 2 and b > 0: 2 * 2 of the 9 pairs have 5 values of c, the other 5 pairs have none.
  const Space space =
      Make({Range("a", Distribution::kRandInt, 0, 3), Range("b", Distribution::kRandInt, 0, 3),
            Range("c", Distribution::kRandInt, 0, 5, 0,
                  {When("a", {Value(int64_t{2})}, Condition::Op::kLess),
                   When("b", {Value(int64_t{0})}, Condition::Op::kGreater)})});
  EXPECT_EQ(space.Cardinality(), 4u * 5u + 5u);
}

TEST(SpaceTest, GridCellsMultiplyGridsOnly) {
  const Space space =
      Make({testing_spaces::Grid("a", {Value(int64_t{1}), Value(int64_t{2})}),
            testing_spaces::Grid("b", {Value(int64_t{1}), Value(int64_t{2}), Value(int64_t{3})}),
            Choice("c", {Value(true), Value(false)})});
  EXPECT_EQ(space.GridCells(), 6u);
  EXPECT_EQ(Optimizers().GridCells(), 1u);
}

TEST(SpaceTest, ContainsSaysWhatIsWrong) {
  const Space space = Optimizers();
  std::string why;
  EXPECT_TRUE(space.Contains({Value(), Value(std::string("adam")), Value()}, &why));
  EXPECT_FALSE(space.Contains({Value()}, &why));
  EXPECT_NE(why.find("1 values"), std::string::npos) << why;
  EXPECT_FALSE(
      space.Contains({Value(std::string("plain")), Value(std::string("adam")), Value()}, &why));
  EXPECT_NE(why.find("momentum_kind: it has a value although"), std::string::npos) << why;
  EXPECT_FALSE(space.Contains({Value(), Value(std::string("sgd")), Value()}, &why));
  EXPECT_EQ(why, "momentum_kind: a value is missing");
  EXPECT_FALSE(space.Contains({Value(), Value(std::string("rmsprop")), Value()}, &why));
  EXPECT_NE(why.find("\"rmsprop\" is not one of its 2 values (\"sgd\", \"adam\")"),
            std::string::npos)
      << why;
}

TEST(SpaceTest, CompleteDrawsWhatIsMissingSoThatGivenValuesAreActive) {
  const Space space = Optimizers();
  Problems problems;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Rng rng(seed);
    const auto point = space.Complete({{"momentum", Value(0.1 * 3)}}, &rng, &problems);
    ASSERT_TRUE(point);
    EXPECT_EQ((*point)[2], Value(0.3));  // the multiple itself
    EXPECT_TRUE(space.Contains(*point, nullptr));
  }
  EXPECT_TRUE(problems.empty());
}

TEST(SpaceTest, CompleteBringsNumbersToTheParametersType) {
  const Space space =
      Make({Range("n", Distribution::kRandInt, 0, 10), Range("x", Distribution::kUniform, 0, 10)});
  Problems problems;
  Rng rng(1);
  const auto point = space.Complete({{"n", Value(3.0)}, {"x", Value(int64_t{3})}}, &rng, &problems);
  ASSERT_TRUE(point);
  EXPECT_EQ((*point)[0], Value(int64_t{3}));
  EXPECT_EQ((*point)[1], Value(3.0));
}

TEST(SpaceTest, CompleteNamesEveryMistake) {
  const Space space = Optimizers();
  Problems problems;
  Rng rng(1);
  EXPECT_FALSE(space.Complete({{"optimiser", Value(std::string("sgd"))},
                               {"momentum", Value(5.0)},
                               {"optimizer", Value(std::string("sgd"))},
                               {"optimizer", Value(std::string("sgd"))}},
                              &rng, &problems));
  ASSERT_EQ(problems.size(), 3u);
  EXPECT_EQ(problems[0].hint, "did you mean \"optimizer\"?");
  EXPECT_EQ(problems[1].field, "momentum");
  EXPECT_EQ(problems[2].message, "the value is given twice");
  problems.clear();
  EXPECT_FALSE(space.Complete({{"optimizer", Value(std::string("adam"))}, {"momentum", Value(0.3)}},
                              &rng, &problems));
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].field, "momentum");
}

TEST(SpaceTest, DrawsAreTheSameOnEveryMachine) {
  const Space space = Make(EveryDistribution());
  Rng rng(2024);
  uint64_t hash = 0;
  for (int n = 0; n < 1000; ++n) hash = Mix64(hash ^ HashPoint(space.Sample(&rng)));
  EXPECT_EQ(hash, 9679750280342631249ULL);
}

}  // namespace
}  // namespace tunesmith
