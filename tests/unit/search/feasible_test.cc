// Spaces with constraints: what Create refuses, and that draws, completions and counts keep to
// them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "search/seen_points.h"
#include "search/space/enumeration.h"
#include "tests/unit/search/spaces.h"

namespace tunesmith {
namespace {

using testing_spaces::Choice;
using testing_spaces::Make;
using testing_spaces::Range;
using testing_spaces::Text;
using testing_spaces::When;

Parameter Int(const char* name, double lo, double hi) {
  return Range(name, Distribution::kRandInt, lo, hi);
}
Parameter Real(const std::string& name) { return Range(name, Distribution::kUniform, 0, 1); }

Problems Refuse(std::vector<Parameter> parameters, const std::vector<std::string>& constraints) {
  Problems problems;
  EXPECT_FALSE(Space::Create(std::move(parameters), constraints, &problems));
  return problems;
}

TEST(FeasibleTest, DrawsMeetTheConstraintsAndKeepThePriorAmongWhatDoes) {
  const Space space = Make({Int("a", 0, 10), Int("b", 0, 10), Int("free", 0, 2)}, {"a + b <= 4"});
  EXPECT_EQ(space.Cardinality(), 15u * 2);
  Rng rng(1);
  std::map<uint64_t, int> counts;
  constexpr int kDraws = 30'000;
  for (int n = 0; n < kDraws; ++n) {
    const Point point = space.Sample(&rng);
    std::string why;
    ASSERT_TRUE(space.Contains(point, &why)) << why;
    ++counts[HashPoint(point)];
  }
  ASSERT_EQ(counts.size(), 30u);
  // 30 cells of expectation 1000: chi-squared with 29 degrees of freedom passes 60 in 1 of 1,500
  // runs; the seed is fixed.
  double chi = 0;
  for (const auto& [hash, count] : counts) chi += (count - 1000.0) * (count - 1000.0) / 1000;
  EXPECT_LT(chi, 60);
}

TEST(FeasibleTest, ContainsSaysWhichConstraintIsNotMet) {
  const Space space = Make({Int("a", 0, 10), Int("b", 0, 10)}, {"a < 9", "a + b <= 4"});
  std::string why;
  const Point bad = {Value(int64_t{3}), Value(int64_t{2})},
              good = {Value(int64_t{3}), Value(int64_t{1})};
  EXPECT_FALSE(space.Contains(bad, &why));
  EXPECT_EQ(why, "the constraint \"a + b <= 4\" is not met");
  EXPECT_FALSE(space.Feasible(bad));
  EXPECT_TRUE(space.Contains(good, &why));
  EXPECT_TRUE(space.Feasible(good));
}

TEST(FeasibleTest, RareAndManyConstraintsStillGiveManyDraws) {
  std::vector<Parameter> simplex;
  std::string sum = "p0";
  for (int i = 0; i < 12; ++i) {
    simplex.push_back(Real("p" + std::to_string(i)));
    if (i > 0) sum += " + p" + std::to_string(i);
  }
  std::vector<Parameter> pairs;
  std::vector<std::string> each;
  for (int i = 0; i < 20; ++i) {
    const std::string a = "a" + std::to_string(i), b = "b" + std::to_string(i);
    pairs.push_back(Real(a));
    pairs.push_back(Real(b));
    each.push_back(a + " + 3 < 3.2 + " + b + " and " + b + " < 0.5");
  }
  const Space spaces[] = {
      Make(std::move(simplex), {sum + " <= 1"}),  // 1 in 5e8
      Make(std::move(pairs), each),               // each one in 4
      Make({Int("a", 0, 1000), Int("b", 0, 1000), Int("c", 0, 1000)}, {"a + b == c", "a * 2 == b"}),
      Make({Real("a"), Real("b")}, {"abs(a - b) < 0.00001"}),
  };
  for (const Space& space : spaces) {
    Rng rng(3);
    SeenPoints seen;
    std::set<uint64_t> hashes;
    for (int n = 0; n < 30; ++n) {
      const auto point = DrawUnseen(Enumeration(space, {}), seen, &rng);
      ASSERT_TRUE(point);
      std::string why;
      ASSERT_TRUE(space.Contains(*point, &why)) << why;
      seen.Add(static_cast<uint32_t>(n), *point);
      EXPECT_TRUE(hashes.insert(HashPoint(*point)).second);
    }
  }
}

TEST(FeasibleTest, ASimplexIsSpreadOut) {
  std::vector<Parameter> parameters;
  for (int i = 0; i < 10; ++i) parameters.push_back(Real("p" + std::to_string(i)));
  const Space space = Make(std::move(parameters), {"p0+p1+p2+p3+p4+p5+p6+p7+p8+p9 <= 1"});
  Rng rng(5);
  double mean = 0, square = 0;
  constexpr int kDraws = 500;
  for (int n = 0; n < kDraws; ++n) {
    const double x = ValueNumber(space.Sample(&rng)[0]);
    mean += x / kDraws;
    square += x * x / kDraws;
  }
  // Uniform on the simplex: mean 1/11, standard deviation 0.083.
  EXPECT_NEAR(mean, 1.0 / 11, 0.04);
  EXPECT_NEAR(std::sqrt(square - mean * mean), 0.083, 0.04);
}

TEST(FeasibleTest, WhatNoPointMeetsIsRefused) {
  auto problems = Refuse({Int("a", 0, 10), Int("b", 0, 10)}, {"a < 9", "a + b > 18"});
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].field, "constraints[1]");
  EXPECT_EQ(problems[0].message, "no point of the space meets \"a + b > 18\"");
  EXPECT_FALSE(problems[0].hint.empty());

  problems = Refuse({Real("a"), Real("b"), Real("c")}, {"c < 0.5", "a < b", "b < a"});
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].field, "constraints");
  EXPECT_EQ(problems[0].message,
            "none of 100,000 points meets constraints[1], constraints[2] together");

  // One of 10^6 points is found.
  Make({Int("a", 0, 1000), Int("b", 0, 1000)}, {"a * 1000 + b == 123456"});
  problems = Refuse({Int("a", 0, 1000), Int("b", 0, 1000)}, {"a * 1000 + b == 123456.5"});
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].message, "no point of the space meets \"a * 1000 + b == 123456.5\"");

  problems = Refuse({Int("a", 0, 10)}, std::vector<std::string>(101, "a < 5"));
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].field, "constraints");
  problems = Refuse({Int("a", 0, 10)}, {"a < 5", "b < 5", "a +", "a < 6"});
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_EQ(problems[0].field, "constraints[1]");
  EXPECT_EQ(problems[1].field, "constraints[2]");
}

TEST(FeasibleTest, ConditionsAndConstraintsGoTogether) {
  const Space space = Make(
      {Choice("optimizer", {Text("sgd"), Text("adam")}),
       Range("momentum", Distribution::kQUniform, 0, 1, 0.1, {When("optimizer", {Text("sgd")})}),
       Range("lr", Distribution::kQUniform, 0, 1, 0.1)},
      {"momentum + lr <= 0.5", "lr > 0 or optimizer == 'sgd'"});
  // sgd: 6 + 5 + ... + 1; adam: lr 0.1 to 1.
  EXPECT_EQ(space.Cardinality(), 21u + 10u);
  Rng rng(1);
  std::set<uint64_t> hashes;
  for (int n = 0; n < 2000; ++n) {
    const Point point = space.Sample(&rng);
    ASSERT_TRUE(space.Contains(point, nullptr));
    hashes.insert(HashPoint(point));
  }
  EXPECT_EQ(hashes.size(), 31u);
}

TEST(FeasibleTest, CompletionsMeetTheConstraints) {
  const Space space = Make(
      {Int("a", 0, 100), Int("b", 0, 100), Int("c", 0, 100), Choice("kind", {Text("x"), Text("y")}),
       Range("d", Distribution::kRandInt, 0, 100, 0, {When("kind", {Text("x")})})},
      {"a + b == c", "d == a + 1", "b < 50"});
  Rng rng(1);
  Problems problems;
  for (int64_t a = 0; a < 99; ++a) {
    const auto point = space.Complete({{"a", Value(a)}, {"kind", Text("x")}}, &rng, &problems);
    ASSERT_TRUE(point) << problems[0].message;
    std::string why;
    ASSERT_TRUE(space.Contains(*point, &why)) << why;
    ASSERT_TRUE(SameValue((*point)[0], Value(a)));
    ASSERT_TRUE(SameValue((*point)[4], Value(a + 1)));
  }
  EXPECT_FALSE(
      space.Complete({{"a", Value(int64_t{1})}, {"b", Value(int64_t{60})}}, &rng, &problems));
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].field, "b");
  EXPECT_EQ(problems[0].message, "the constraint \"b < 50\" is not met");
  problems.clear();
  EXPECT_FALSE(
      space.Complete({{"a", Value(int64_t{9})}, {"c", Value(int64_t{3})}}, &rng, &problems));
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_NE(problems[0].message.find("meets the constraints"), std::string::npos);
}

TEST(FeasibleTest, EnumerationSkipsWhatViolates) {
  // 20^8 points without the constraints; those that meet them all have a prefix that can be told
  // early.
  std::vector<Parameter> parameters;
  std::vector<std::string> constraints;
  for (int i = 0; i < 8; ++i) {
    parameters.push_back(Int(("p" + std::to_string(i)).c_str(), 0, 20));
    constraints.push_back("p" + std::to_string(i) +
                          (i == 0 ? " > 17" : " == p" + std::to_string(i - 1)));
  }
  const Space space = Make(std::move(parameters), constraints);
  const Enumeration points(space, {});
  Rng rng(1);
  auto point = points.First(&rng);
  ASSERT_TRUE(point);
  EXPECT_EQ(ValueText((*point)[7]), "18");
  EXPECT_TRUE(points.Next(&rng, &*point));
  EXPECT_EQ(ValueText((*point)[7]), "19");
  EXPECT_FALSE(points.Next(&rng, &*point));
  EXPECT_EQ(ValueText((*point)[7]), "18");
  // Pinned values that nothing meets, in sight and behind a chain.
  Point pinned(8);
  pinned[0] = Value(int64_t{3});
  EXPECT_FALSE(Enumeration(space, pinned).Sample(&rng));
  pinned[0] = Value(int64_t{18});
  pinned[7] = Value(int64_t{19});
  EXPECT_FALSE(Enumeration(space, pinned).Sample(&rng));
  EXPECT_FALSE(Enumeration(space, pinned).First(&rng));
}

TEST(FeasibleTest, AnEnumerationThatFindsNothingGivesUp) {
  std::vector<Parameter> parameters;
  std::string sum = "0";
  for (int i = 0; i < 12; ++i) {
    parameters.push_back(Int(("p" + std::to_string(i)).c_str(), 0, 20));
    sum += " + p" + std::to_string(i);
  }
  const Space space = Make(std::move(parameters), {sum + " == 0"});
  Rng rng(1);
  const Enumeration points(space, {});
  auto point = points.First(&rng);
  ASSERT_TRUE(point);
  int64_t steps = 1000;
  EXPECT_FALSE(points.Next(&rng, &*point, &steps));
  EXPECT_EQ(steps, 0);
  EXPECT_TRUE(space.Feasible(*point));
}

TEST(FeasibleTest, CardinalityCountsWhatMeetsTheConstraints) {
  int sound = 0, refused = 0;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    Rng rng(seed);
    std::vector<Parameter> parameters;
    for (int i = 0; i < 4; ++i) {
      std::vector<Condition> when;
      if (i > 0 && rng.Below(2) == 0) {
        when.push_back(
            When("p" + std::to_string(rng.Below(i)), {Value(static_cast<int64_t>(rng.Below(2)))}));
      }
      parameters.push_back(
          Range("p" + std::to_string(i), Distribution::kRandInt, 0, 2 + rng.Below(4), 0, when));
    }
    const std::string operators[] = {" < ", " <= ", " == ", " != ", " * 2 > "};
    std::vector<std::string> constraints;
    for (uint64_t c = 1 + rng.Below(2); c > 0; --c) {
      constraints.push_back("p" + std::to_string(rng.Below(4)) + operators[rng.Below(5)] + "p" +
                            std::to_string(rng.Below(4)));
    }
    Problems problems;
    const auto free = Space::Create(parameters, &problems);
    ASSERT_TRUE(free);
    const auto space = Space::Create(parameters, constraints, &problems);
    // The points of the free space, one by one, are the truth.
    Point point = *Enumeration(*free, {}).First(&rng);
    uint64_t count = 0;
    const auto met = [&] {
      for (const std::string& text : constraints) {
        Problem problem;
        if (!Constraint::Parse(text, *free, &problem)->Holds(point)) return false;
      }
      return true;
    };
    do {
      count += met() ? 1 : 0;
      if (space) {
        ASSERT_EQ(space->Contains(point, nullptr), met()) << seed;
      }
    } while (Enumeration(*free, {}).Next(&rng, &point));
    if (!space) {
      ++refused;
      ASSERT_EQ(count, 0u) << seed << " " << constraints[0];
      continue;
    }
    ++sound;
    ASSERT_EQ(space->Cardinality(), count) << seed;
    for (int n = 0; n < 5; ++n) ASSERT_TRUE(space->Contains(space->Sample(&rng), nullptr));
  }
  EXPECT_GT(sound, 200);
  EXPECT_GT(refused, 10);
}

TEST(FeasibleTest, DrawsWithoutConstraintsAreAsBefore) {
  const Space free = Make({Int("a", 0, 1000), Real("b")}),
              bound = Make({Int("a", 0, 1000), Real("b")}, {"a >= 0"});
  Rng rng_a(9), rng_b(9);
  for (int n = 0; n < 100; ++n) ASSERT_EQ(free.Sample(&rng_a), bound.Sample(&rng_b));
}

}  // namespace
}  // namespace tunesmith
