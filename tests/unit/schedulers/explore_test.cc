#include "schedulers/explore.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

namespace tunesmith {
namespace {

Parameter Range(const std::string& name, Distribution distribution, double lo, double hi, double q = 0) {
  Parameter p;
  p.name = name;
  p.distribution = distribution;
  p.lo = lo;
  p.hi = hi;
  p.q = q;
  return p;
}

Parameter Options(const std::string& name, std::vector<Value> options) {
  Parameter p;
  p.name = name;
  p.distribution = Distribution::kChoice;
  p.options = std::move(options);
  return p;
}

Space SpaceOf(std::vector<Parameter> parameters, const std::vector<std::string>& constraints = {}) {
  Problems problems;
  auto space = Space::Create(std::move(parameters), constraints, &problems);
  for (const Problem& p : problems) ADD_FAILURE() << p.field << ": " << p.message;
  return *space;
}

// Values of the only parameter, as text, with how often they came in 1,000 tries.
std::map<std::string, int> Count(const Space& space, const PbtOptions& options, bool as_ray, const Value& from) {
  std::map<std::string, int> counts;
  Rng rng(3);
  for (int i = 0; i < 1'000; ++i) ++counts[ValueText(Explore(space, options, as_ray, {from}, &rng)[0])];
  return counts;
}

TEST(ExploreTest, StaysInAnySpaceAndIsAFunctionOfItsDraws) {
  std::vector<Parameter> parameters = {Range("a", Distribution::kUniform, -1, 1),
                                       Range("b", Distribution::kLogUniform, 1e-5, 1e-1),
                                       Range("c", Distribution::kQUniform, 0, 1, 0.1),
                                       Range("d", Distribution::kRandInt, 1, 5),
                                       Range("e", Distribution::kQRandInt, 8, 64, 8),
                                       Range("f", Distribution::kLogRandInt, 1, 1000),
                                       Options("g", {std::string("sgd"), std::string("adam"), std::string("lamb")}),
                                       Options("h", {int64_t{16}, int64_t{32}, int64_t{64}}),
                                       Range("m", Distribution::kUniform, 0.5, 1)};
  parameters.back().when = {{.op = Condition::Op::kIn, .values = {std::string("sgd")}, .on = "g"}};
  Parameter normal;
  normal.name = "n";
  normal.distribution = Distribution::kQNormal;
  normal.q = 0.5;
  parameters.push_back(normal);
  const Space space = SpaceOf(parameters, {"d < e"});
  const PbtOptions options;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Rng rng(seed);
    Point point = space.Sample(&rng);
    for (int i = 0; i < 20; ++i) {
      Rng again = rng;
      const Point next = Explore(space, options, false, point, &rng);
      std::string why;
      ASSERT_TRUE(space.Contains(next, &why)) << why;
      EXPECT_TRUE(SamePoint(next, Explore(space, options, false, point, &again)));
      point = next;
    }
  }
}

TEST(ExploreTest, MultipliesNumbersAndKeepsTheirBounds) {
  const Space space = SpaceOf({Range("lr", Distribution::kLogUniform, 0.001, 0.1)});
  const PbtOptions options{.resample_probability = 0};
  const auto inside = Count(space, options, false, 0.01);
  ASSERT_EQ(inside.size(), 2u);
  EXPECT_EQ(inside.begin()->first, ValueText(0.01 * 0.8));
  EXPECT_EQ(inside.rbegin()->first, ValueText(0.01 * 1.2));
  EXPECT_NEAR(inside.begin()->second, 500, 60);
  const auto high = Count(space, options, false, 0.095);
  EXPECT_TRUE(high.contains(ValueText(std::nextafter(0.1, 0)))) << "the upper bound is exclusive";
  const auto as_ray = Count(space, options, true, 0.095);
  EXPECT_TRUE(as_ray.contains(ValueText(0.095 * 1.2))) << "Ray Tune leaves the bounds";
}

TEST(ExploreTest, MovesIntegersByOneAtLeast) {
  const Space space = SpaceOf({Range("layers", Distribution::kRandInt, 1, 9)});
  const PbtOptions options{.resample_probability = 0};
  const auto near = Count(space, options, false, int64_t{2});
  EXPECT_EQ(near.size(), 2u);
  EXPECT_TRUE(near.contains("1") && near.contains("3"));
  const auto end = Count(space, options, false, int64_t{1});
  EXPECT_TRUE(end.contains("1") && end.contains("2")) << "the end is its own neighbour";
  const auto as_ray = Count(space, options, true, int64_t{2});
  EXPECT_TRUE(as_ray.contains("1") && as_ray.contains("2")) << "Ray Tune cuts 2.4 to 2";
}

TEST(ExploreTest, TakesNeighboursOfAListWhateverItsValuesAre) {
  const Space space = SpaceOf({Options("size", {int64_t{16}, int64_t{32}, int64_t{64}, int64_t{128}})});
  const PbtOptions options{.resample_probability = 0};
  const auto near = Count(space, options, false, int64_t{64});
  EXPECT_EQ(near.size(), 2u);
  EXPECT_TRUE(near.contains("32") && near.contains("128")) << "not 76";
  Mutation own{.name = "size", .from = Mutation::From::kDistribution, .values = space.parameters()[0]};
  const auto as_ray = Count(space, {.resample_probability = 0, .mutations = {own}}, true, int64_t{64});
  EXPECT_TRUE(as_ray.contains("51") && as_ray.contains("76")) << "Ray Tune multiplies a choice";
  Mutation list{.name = "size", .from = Mutation::From::kList, .values = space.parameters()[0]};
  const auto listed = Count(space, {.resample_probability = 0, .mutations = {list}}, true, int64_t{16});
  EXPECT_EQ(listed.size(), 2u);
  EXPECT_TRUE(listed.contains("16") && listed.contains("32"));
}

TEST(ExploreTest, DrawsAnewAsOftenAsAsked) {
  const Space space = SpaceOf({Options("size", {int64_t{1}, int64_t{2}, int64_t{3}, int64_t{4}, int64_t{5}})});
  const auto counts = Count(space, {.resample_probability = 0.5}, false, int64_t{1});
  // A tenth each by drawing anew, and half of the rest to itself or its one neighbour.
  EXPECT_NEAR(counts.at("5"), 100, 35);
  EXPECT_NEAR(counts.at("1"), 350, 60);
  EXPECT_NEAR(counts.at("2"), 350, 60);
}

TEST(ExploreTest, LeavesAloneWhatIsNotMutated) {
  const Space space = SpaceOf({Range("a", Distribution::kUniform, 0, 1), Range("b", Distribution::kUniform, 0, 1)});
  Rng rng(1);
  for (int i = 0; i < 100; ++i) {
    const Point next = Explore(space, {.mutations = {{.name = "b"}}}, false, {0.25, 0.5}, &rng);
    EXPECT_EQ(next[0], Value(0.25));
    EXPECT_NE(next[1], Value(0.5));
  }
}

TEST(ExploreTest, KeepsThePointWhereConstraintsLeaveNothingElse) {
  const Space space = SpaceOf({Range("a", Distribution::kRandInt, 0, 100), Range("b", Distribution::kRandInt, 0, 100)},
                              {"a == 7 and b == 7"});
  Rng rng(1);
  const Point point = {int64_t{7}, int64_t{7}};
  EXPECT_TRUE(SamePoint(Explore(space, {}, false, point, &rng), point));
  EXPECT_TRUE(SamePoint(Explore(space, {.mutations = {{.name = "a"}}}, true, point, &rng), point));
}

TEST(ExploreTest, ZeroIsDrawnAnewSinceNoFactorChangesIt) {
  const Space space = SpaceOf({Range("decay", Distribution::kUniform, 0, 1)});
  Rng rng(1);
  std::set<double> seen;
  for (int i = 0; i < 50; ++i) seen.insert(std::get<double>(Explore(space, {}, false, {0.0}, &rng)[0]));
  EXPECT_GT(seen.size(), 40u);
}

}  // namespace
}  // namespace tunesmith
