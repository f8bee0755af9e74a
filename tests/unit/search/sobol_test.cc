#include "search/sobol/sobol.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "search/searcher.h"
#include "search/sobol/table.h"
#include "tests/unit/search/spaces.h"

namespace tunesmith {
namespace {

using testing_spaces::Choice;
using testing_spaces::Make;
using testing_spaces::Range;
using testing_spaces::When;

TEST(SobolTest, CoordinatesAreThoseOfTheTableOfJoeAndKuo) {
  // From scipy.stats.qmc.Sobol(1024, scramble=False, bits=32), whose point n is point n ^ (n >> 1) of the plain order.
  const size_t dims[] = {0, 1, 2, 6, 20, 99, 511, 1023};
  const std::pair<uint32_t, std::vector<uint32_t>> points[] = {
      {0, {0, 0, 0, 0, 0, 0, 0, 0}},
      {1, {2147483648u, 2147483648u, 2147483648u, 2147483648u, 2147483648u, 2147483648u, 2147483648u, 2147483648u}},
      {3, {3221225472u, 1073741824u, 1073741824u, 1073741824u, 1073741824u, 3221225472u, 3221225472u, 3221225472u}},
      {2, {1073741824u, 3221225472u, 3221225472u, 3221225472u, 3221225472u, 1073741824u, 1073741824u, 1073741824u}},
      {7, {3758096384u, 3758096384u, 536870912u, 3758096384u, 2684354560u, 1610612736u, 3758096384u, 1610612736u}},
      {86, {1778384896u, 1107296256u, 3321888768u, 100663296u, 3254779904u, 3791650816u, 2248146944u, 4060086272u}},
      {540, {943718400u, 415236096u, 2227175424u, 197132288u, 2243952640u, 801112064u, 1698693120u, 3066036224u}},
      {2048, {1048576u, 4042260480u, 1435500544u, 4077912064u, 969932800u, 4134535168u, 3929014272u, 1523580928u}}};
  for (const auto& [index, wanted] : points) {
    for (size_t k = 0; k < wanted.size(); ++k) EXPECT_EQ(SobolBits(index, dims[k]), wanted[k]) << index << " " << k;
  }
}

TEST(SobolTest, TheTableIsSound) {
  std::set<uint32_t> polynomials;
  for (size_t dim = 1; dim < sobol::kTableDims; ++dim) {
    const sobol::Polynomial p = sobol::PolynomialOf(dim);
    EXPECT_TRUE(polynomials.insert(p.coefficients).second);
    EXPECT_EQ(p.degree, static_cast<int>(std::bit_width(p.coefficients)) - 1);
    for (int j = 0; j < p.degree; ++j) {
      EXPECT_EQ(p.numbers[j] % 2, 1) << dim;
      EXPECT_LT(p.numbers[j], 2U << j) << dim;
    }
  }
}

// In how many of the parts of the unit square, parts_x by parts_y, the points [from, to) lie.
size_t PartsHit(uint64_t seed, size_t dim_x, size_t dim_y, uint32_t from, uint32_t to, int parts_x, int parts_y) {
  std::set<std::pair<int, int>> parts;
  for (uint32_t n = from; n < to; ++n) {
    parts.emplace(static_cast<int>(SobolCoordinate(seed, n, dim_x) * parts_x),
                  static_cast<int>(SobolCoordinate(seed, n, dim_y) * parts_y));
  }
  return parts.size();
}

TEST(SobolTest, EveryBlockOfAPowerOfTwoHitsEachPartOfAnAxisOnce) {
  for (uint64_t seed = 0; seed < 3; ++seed) {
    for (const size_t dim : {0u, 1u, 7u, 499u, 1023u, 1024u, 1031u, 5000u}) {
      EXPECT_EQ(PartsHit(seed, dim, dim, 0, 256, 256, 1), 256u) << dim;
      EXPECT_EQ(PartsHit(seed, dim, dim, 4096, 4160, 64, 1), 64u) << dim;
    }
  }
}

TEST(SobolTest, TheFirstTwoDimensionsFillEveryElementaryRectangle) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    for (int x = 1; x <= 64; x *= 2) EXPECT_EQ(PartsHit(seed, 0, 1, 0, 64, x, 64 / x), 64u);
    for (int x = 1; x <= 64; x *= 2) EXPECT_EQ(PartsHit(seed, 1024, 1025, 0, 64, x, 64 / x), 64u);
  }
}

TEST(SobolTest, DimensionsBeyondTheTableAreNotThoseWithinIt) {
  // 16 points in 4 by 4 squares: a dimension beside itself hits 4 on the diagonal.
  int all = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const auto hit = PartsHit(seed, 3, 1024 + 3, 0, 16, 4, 4);
    all += static_cast<int>(hit);
  }
  EXPECT_GT(all / 100, 8);  // independent permutations: 10.3 in the mean
}

TEST(SobolTest, EachPointAloneIsUniformOverTheSeeds) {
  // Mean of 4,000 uniform numbers: standard deviation 0.0046. 6 sigma over 12 checks: false alarm 2e-8.
  for (const uint32_t index : {0u, 1u, 2u, 77u}) {
    for (const size_t dim : {0u, 5u, 2000u}) {
      double sum = 0;
      for (uint64_t seed = 0; seed < 4000; ++seed) sum += SobolCoordinate(seed, index, dim);
      EXPECT_NEAR(sum / 4000, 0.5, 0.028);
    }
  }
}

TEST(SobolTest, ScramblingOfDimensionsIsIndependent) {
  // Correlation of point 0 in two dimensions over 4,000 seeds: standard deviation 0.016; 6 sigma.
  double sum = 0;
  for (uint64_t seed = 0; seed < 4000; ++seed) {
    sum += (SobolCoordinate(seed, 0, 2) - 0.5) * (SobolCoordinate(seed, 0, 3) - 0.5) * 12;
  }
  EXPECT_NEAR(sum / 4000, 0, 0.1);
}

TEST(SobolTest, CoordinatesAreTheSameOnEveryMachine) {
  EXPECT_EQ(SobolCoordinate(1, 0, 0), 0x1.3a3c383fb08a4p-1);
  EXPECT_EQ(SobolCoordinate(42, 1000, 17), 0x1.11e17a4e13034p-1);
  EXPECT_EQ(SobolCoordinate(42, 4294967295, 3000), 0x1.9ffbc3a127b28p-4);
}

TEST(SobolTest, ConditionalBranchesAreFilledEvenly) {
  const Space space = Make({Choice("kind", {Value(true), Value(false)}),
                            Range("x", Distribution::kUniform, 0, 1, 0, {When("kind", {Value(true)})}),
                            Range("n", Distribution::kRandInt, 0, 8)});
  int active = 0;
  std::set<std::pair<int, int>> cells;
  for (uint32_t n = 0; n < 16; ++n) {
    const Point p = SobolSample(space, 3, n);
    ASSERT_TRUE(space.Contains(p, nullptr));
    active += IsActive(p[1]) ? 1 : 0;
    cells.emplace(ValueNumber(p[0]), ValueNumber(p[2]));
  }
  EXPECT_EQ(active, 8);
  EXPECT_GE(cells.size(), 14u);  // of 16
}

TEST(SobolTest, OneBlockReproducesTheDeclaredDistribution) {
  // 1,024 evenly placed quantiles of a quantised range: the ends have half a step each.
  const Space space = Make({Range("q", Distribution::kQUniform, 0, 1, 0.25), testing_spaces::Normal("z", 10, 2)});
  std::map<double, int> counts;
  double sum = 0, squares = 0;
  for (uint32_t n = 0; n < 1024; ++n) {
    const Point p = SobolSample(space, 9, n);
    ++counts[ValueNumber(p[0])];
    const double z = (ValueNumber(p[1]) - 10) / 2;
    sum += z;
    squares += z * z;
  }
  const std::map<double, int> wanted = {{0, 128}, {0.25, 256}, {0.5, 256}, {0.75, 256}, {1, 128}};
  EXPECT_EQ(counts, wanted);
  EXPECT_NEAR(sum / 1024, 0, 0.01);
  EXPECT_NEAR(squares / 1024, 1, 0.02);
}

TEST(SobolSearcherTest, TrialNTakesPointNUnlessItIsUsed) {
  const Space space = Make({Range("n", Distribution::kRandInt, 0, 16), Range("m", Distribution::kRandInt, 0, 2)});
  SearcherOptions options;
  options.type = "sobol";
  options.seed = 5;
  Problems problems;
  const auto searcher = MakeSearcher(options, space, &problems);
  ASSERT_NE(searcher, nullptr);
  EXPECT_EQ(searcher->Suggest(9).point, SobolSample(space, 5, 9));  // whatever came before
  EXPECT_EQ(searcher->Suggest(9).origin.kind, Origin::Kind::kStart);
  searcher->Add(0, SobolSample(space, 5, 9));
  EXPECT_NE(searcher->Suggest(9).point, SobolSample(space, 5, 9));
  EXPECT_EQ(searcher->Suggest(9).origin.kind, Origin::Kind::kPrior);
}

TEST(SobolSearcherTest, RefusesGridParameters) {
  SearcherOptions options;
  options.type = "sobol";
  Problems problems;
  EXPECT_EQ(MakeSearcher(options, Make({testing_spaces::Grid("g", {Value(true), Value(false)})}), &problems), nullptr);
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].field, "parameters.g.grid");
}

TEST(SobolTest, UnderConstraintsTheSequenceIsTakenInOrder) {
  const Space space = Make({Range("a", Distribution::kUniform, 0, 1), Range("b", Distribution::kUniform, 0, 1)},
                           {"a + b < 0.5"});
  std::vector<Point> expected;
  for (uint32_t n = 0; expected.size() < 50; ++n) {
    const Point point = SobolSample(space, 3, n);
    if (ValueNumber(point[0]) + ValueNumber(point[1]) < 0.5) expected.push_back(point);
  }
  FeasibleSobol forward(space, 3), backward(space, 3);
  for (uint32_t n = 0; n < 50; ++n) {
    EXPECT_EQ(forward.At(n), expected[n]) << n;
    EXPECT_EQ(backward.At(49 - n), expected[49 - n]) << n;
  }
  EXPECT_FALSE(forward.At(1'000'000));
  // One in 50,000: told at once rather than found late, whatever was asked before.
  const Space rare = Make({Range("a", Distribution::kUniform, 0, 1)}, {"a < 0.00002"});
  FeasibleSobol late(rare, 3), direct(rare, 3);
  late.At(4000);
  for (uint32_t n = 0; n < 4; ++n) EXPECT_EQ(late.At(n), direct.At(n)) << n;
  EXPECT_FALSE(direct.At(0));
}

}  // namespace
}  // namespace tunesmith
