#include "search/insight/effect_line.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/unit/search/spaces.h"

namespace tunesmith::insight {
namespace {

using namespace testing_spaces;

const double kInfinity = std::numeric_limits<double>::infinity();

Effect OfRange(double lo, double hi, double metric) { return {{}, lo, hi, metric, 3}; }
Effect OfValue(Value value, double metric) { return {std::move(value), 0, 0, metric, 3}; }

std::string LineOf(const Parameter& parameter, std::vector<Effect> effect, Goal goal = Goal::kMin, double share = 0.5,
                   double active = 1) {
  const Space space = Make({parameter});
  return EffectLine(space, {goal == Goal::kMin ? "loss" : "accuracy", goal, 0},
                    {.parameter = 0, .share = share, .active = active, .effect = std::move(effect)});
}

const Parameter kRate = Range("lr", Distribution::kLogUniform, 1e-5, 1e-1);

TEST(EffectLine, NamesTheBestRegionAndWhatItIsWorth) {
  EXPECT_EQ(LineOf(kRate, {OfRange(1e-5, 1e-4, 0.9), OfRange(1e-4, 3.1623e-4, 0.6), OfRange(3.1623e-4, 1e-3, 0.2),
                           OfRange(1e-3, 2e-3, 0.25), OfRange(2e-3, 1e-1, 0.7)}),
            "best 3.16e-4 to 0.002; loss falls from 0.9 to 0.2 there");
}

TEST(EffectLine, SaysTheDirectionOfAMonotoneEffect) {
  const std::vector<Effect> rising = {OfRange(0, 0.25, 0.31), OfRange(0.25, 0.5, 0.5), OfRange(0.5, 0.75, 0.7),
                                      OfRange(0.75, 1, 0.92)};
  EXPECT_EQ(LineOf(Range("x", Distribution::kUniform, 0, 1), rising, Goal::kMax),
            "best 0.75 to 1, the higher the better; accuracy rises from 0.31 to 0.92 there");
  EXPECT_EQ(LineOf(Range("x", Distribution::kUniform, 0, 1), rising, Goal::kMin),
            "best 0 to 0.25, the lower the better; loss falls from 0.92 to 0.31 there");
  EXPECT_EQ(LineOf(Normal("x", 0, 1),
                   {OfRange(-kInfinity, -0.5, 3), OfRange(-0.5, 0.5, 2), OfRange(0.5, kInfinity, 1)}),
            "best above 0.5, the higher the better; loss falls from 3 to 1 there");
  EXPECT_EQ(LineOf(Normal("x", 0, 1),
                   {OfRange(-kInfinity, -0.5, 1), OfRange(-0.5, 0.5, 3), OfRange(0.5, kInfinity, 2)}),
            "best below -0.5; loss falls from 3 to 1 there");
}

TEST(EffectLine, ListsCategoriesBestFirst) {
  const Parameter optimizer = Choice("opt", {std::string("sgd"), std::string("adam")});
  EXPECT_EQ(LineOf(optimizer, {OfValue(std::string("adam"), 0.1234), OfValue(std::string("sgd"), 0.31)}),
            "adam 0.123, sgd 0.31");
  EXPECT_EQ(LineOf(optimizer, {OfValue(std::string("adam"), 0.98112), OfValue(std::string("sgd"), 0.98138)}),
            "adam 0.9811, sgd 0.9814");
  std::vector<Effect> seven;
  for (int k = 1; k <= 7; ++k) seven.push_back(OfValue(int64_t{k} * 16, k));
  EXPECT_EQ(LineOf(optimizer, seven), "16 1, 32 2, 48 3, 64 4, 3 others to 7");
}

TEST(EffectLine, NamesFewOrderedValuesByThemselves) {
  EXPECT_EQ(LineOf(Range("layers", Distribution::kRandInt, 1, 5),
                   {OfValue(int64_t{1}, 0.9), OfValue(int64_t{2}, 0.2), OfValue(int64_t{3}, 0.21),
                    OfValue(int64_t{4}, 0.5)}),
            "best 2 to 3; loss falls from 0.9 to 0.2 there");
  EXPECT_EQ(LineOf(Range("drop", Distribution::kQUniform, 0, 0.3, 0.1),
                   {OfValue(0.0, 0.9), OfValue(0.1, 0.2), OfValue(0.2, 0.5), OfValue(0.3, 0.6)}),
            "best 0.1; loss falls from 0.9 to 0.2 there");
}

TEST(EffectLine, SaysWhereThereIsNothingToSee) {
  const std::vector<Effect> effect = {OfRange(1e-5, 1e-3, 0.9), OfRange(1e-3, 1e-1, 0.2)};
  EXPECT_EQ(LineOf(kRate, effect, Goal::kMin, 0.004), "no visible effect");
  EXPECT_EQ(LineOf(kRate, {}), "in no trial active");
  EXPECT_EQ(LineOf(Constant("c", int64_t{3}), {}, Goal::kMin, 0), "always 3");
  EXPECT_EQ(LineOf(kRate, {OfRange(1e-5, 1e-3, 0.4), OfRange(1e-3, 1e-1, 0.4)}), "no visible effect");
  EXPECT_EQ(LineOf(kRate, effect, Goal::kMin, 0.5, 0.4961),
            "best 0.001 to 0.1, the higher the better; loss falls from 0.9 to 0.2 there; active in 50% of the space");
}

TEST(BriefNumber, IsShortAndReadable) {
  const std::pair<double, const char*> cases[] = {
      {0, "0"},          {-0.0, "0"},          {1, "1"},           {64, "64"},         {0.123456, "0.123"},
      {-2.5, "-2.5"},    {1234.5678, "1235"},  {123456, "123456"}, {1e6, "1e6"},       {3.1623e-4, "3.16e-4"},
      {1e-5, "1e-5"},    {0.001, "0.001"},     {0.01234, "0.0123"}, {1.5e300, "1.5e300"}, {9.999, "10"},
      {kInfinity, "inf"}, {-kInfinity, "-inf"}, {0.0099999, "0.01"}, {5e-324, "4.94e-324"}};
  for (const auto& [value, text] : cases) EXPECT_EQ(BriefNumber(value, 3), text) << value;
}

}  // namespace
}  // namespace tunesmith::insight
