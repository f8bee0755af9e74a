#include "search/model/forest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "common/rng.h"
#include "tests/unit/search/model/points.h"

namespace tunesmith::model {
namespace {

using testing_spaces::Choice;
using testing_spaces::Make;
using testing_spaces::Range;
using testing_spaces::When;

// Categories 0 to 5, and y only with category 0.
Space Mixed() {
  std::vector<Value> options;
  for (int64_t k = 0; k < 6; ++k) options.emplace_back("option" + std::to_string(k));
  return Make({Range("x", Distribution::kUniform, 0, 1), Choice("kind", options),
               Range("n", Distribution::kRandInt, 0, 8),
               Range("y", Distribution::kUniform, 0, 1, 0, {When("kind", {options[0]})})});
}
bool IsKind(const Point& p, int k) { return SameValue(p[1], Value("option" + std::to_string(k))); }

std::vector<Forest::Prediction> PredictAll(const Forest& forest, const FeatureTable& table) {
  std::vector<Forest::Prediction> out;
  for (size_t j = 0; j < table.points(); ++j) out.push_back(forest.Predict(table, j));
  return out;
}

template <typename F>
std::vector<double> Values(const std::vector<Point>& points, F f) {
  std::vector<double> y;
  for (const Point& p : points) y.push_back(f(p));
  return y;
}

// Mean absolute error on fresh points, of a forest that learnt `f` from `count` points.
template <typename F>
double ErrorOf(const Setting& s, size_t count, F f) {
  Rng rng(1);
  const std::vector<Point> points = s.Sample(count, &rng), fresh = s.Sample(300, &rng);
  const Forest forest(s.Table(points), Values(points, f), {}, Rng(2));
  const auto predictions = PredictAll(forest, s.Table(fresh));
  double sum = 0;
  for (size_t j = 0; j < fresh.size(); ++j) sum += std::fabs(predictions[j].mean - f(fresh[j]));
  return sum / static_cast<double>(fresh.size());
}

TEST(ForestTest, LearnsAStep) {
  const Setting s(Cube(4));
  // Saying 0 everywhere errs by 1.
  EXPECT_LT(ErrorOf(s, 200, [](const Point& p) { return ValueNumber(p[2]) < 0.37 ? -1.0 : 1.0; }),
            0.15);
}

TEST(ForestTest, LearnsASetOfCategories) {
  const Setting s(Mixed());
  EXPECT_LT(
      ErrorOf(s, 200, [](const Point& p) { return IsKind(p, 1) || IsKind(p, 4) ? -1.0 : 1.0; }),
      0.1);
}

TEST(ForestTest, LearnsWhatHoldsOnlyWhereAParameterIsActive) {
  const Setting s(Mixed());
  EXPECT_LT(ErrorOf(s, 300,
                    [](const Point& p) {
                      return !IsActive(p[3]) ? 0.0 : ValueNumber(p[3]) < 0.5 ? -2.0 : 2.0;
                    }),
            0.12);
}

// The only feature that tells is whether y is active; which value it has was always the same.
TEST(ForestTest, AValueUnlikeTheOneSeenIsStillActive) {
  const Setting s(
      Make({Choice("kind", {Value(true), Value(false)}),
            Range("y", Distribution::kUniform, 0, 1, 0, {When("kind", {Value(true)})})}));
  // All of one kind to the forest: rows are set by hand, so that y alone differs.
  const double nan = std::nan("");
  FeatureTable table(s.features, 20);
  std::vector<double> y;
  for (size_t j = 0; j < 20; ++j) {
    table.Set(j, std::vector<double>{0, j % 2 == 0 ? 0.5 : nan});
    y.push_back(j % 2 == 0 ? 1 : -1);
  }
  FeatureTable asked(s.features, 4);
  const double places[] = {0.0, 0.5, 0.9, nan};
  for (size_t j = 0; j < 4; ++j) asked.Set(j, std::vector<double>{0, places[j]});
  const Forest forest(table, y, {}, Rng(3));
  for (size_t j = 0; j < 3; ++j) EXPECT_NEAR(forest.Predict(asked, j).mean, 1, 1e-12) << places[j];
  EXPECT_NEAR(forest.Predict(asked, 3).mean, -1, 1e-12);
}

TEST(ForestTest, ConstantValuesArePredictedWithoutDoubt) {
  const Setting s(Mixed());
  Rng rng(1);
  const std::vector<Point> points = s.Sample(50, &rng);
  for (const double value : {0.0, -2.5, 1e6}) {
    const Forest forest(s.Table(points), std::vector<double>(50, value), {}, Rng(2));
    for (const auto& p : PredictAll(forest, s.Table(s.Sample(20, &rng)))) {
      EXPECT_DOUBLE_EQ(p.mean, value);
      EXPECT_NEAR(p.variance, 0, 1e-9 * (1 + value * value));
    }
  }
}

TEST(ForestTest, PredictionsLieWithinWhatWasSeenAndVariancesAreNotNegative) {
  const Setting s(Mixed());
  for (uint64_t seed = 0; seed < 10; ++seed) {
    Rng rng(seed);
    const std::vector<Point> points = s.Sample(1 + 12 * seed, &rng);
    std::vector<double> y =
        Values(points, [&](const Point&) { return std::floor(3 * rng.Normal()); });
    const auto [lo, hi] = std::minmax_element(y.begin(), y.end());
    const Forest forest(s.Table(points), y, {}, Rng(seed));
    for (const auto& p : PredictAll(forest, s.Table(s.Sample(100, &rng)))) {
      EXPECT_GE(p.mean, *lo - 1e-9);
      EXPECT_LE(p.mean, *hi + 1e-9);
      EXPECT_GE(p.variance, 0);
      EXPECT_LE(p.variance, (*hi - *lo) * (*hi - *lo) + 1e-9);
    }
  }
}

TEST(ForestTest, VarianceIsLargerWhereValuesScatter) {
  const Setting s(Cube(1));
  Rng rng(1);
  const std::vector<Point> points = s.Sample(200, &rng);
  const Forest forest(
      s.Table(points),
      Values(points, [&](const Point& p) { return ValueNumber(p[0]) < 0.5 ? 0.0 : rng.Normal(); }),
      {}, Rng(2));
  const std::vector<Point> low(1, {Value(0.25)}), high(1, {Value(0.75)});
  EXPECT_LT(forest.Predict(s.Table(low), 0).variance, 0.01);
  EXPECT_GT(forest.Predict(s.Table(high), 0).variance, 0.1);
}

TEST(ForestTest, TheSameInputGivesTheSameForestAndAnotherSeedAnother) {
  const Setting s(Mixed());
  Rng rng(1);
  const std::vector<Point> points = s.Sample(80, &rng), fresh = s.Sample(50, &rng);
  const auto y = Values(points, [&](const Point&) { return rng.Normal(); });
  const FeatureTable table = s.Table(points), asked = s.Table(fresh);
  const auto a = PredictAll(Forest(table, y, {}, Rng(7)), asked),
             b = PredictAll(Forest(table, y, {}, Rng(7)), asked),
             c = PredictAll(Forest(table, y, {}, Rng(8)), asked);
  int different = 0;
  for (size_t j = 0; j < fresh.size(); ++j) {
    EXPECT_EQ(a[j].mean, b[j].mean);
    EXPECT_EQ(a[j].variance, b[j].variance);
    different += a[j].mean != c[j].mean ? 1 : 0;
  }
  EXPECT_GT(different, 40);
}

TEST(ForestTest, OnePointAndEqualPointsWork) {
  const Setting s(Mixed());
  Rng rng(1);
  const Point a = s.space.Sample(&rng);
  const FeatureTable fresh = s.Table(s.Sample(5, &rng));
  const Forest one(s.Table({a}), {2}, {}, Rng(1));
  const Forest equal(s.Table({a, a, a, a, a, a}), {0, 1, 2, 3, 4, 5}, {}, Rng(1));
  for (size_t j = 0; j < 5; ++j) {
    EXPECT_EQ(one.Predict(fresh, j).mean, 2);
    EXPECT_DOUBLE_EQ(equal.Predict(fresh, j).mean, 2.5);
    EXPECT_NEAR(equal.Predict(fresh, j).variance, 35.0 / 12, 1e-9);
  }
}

}  // namespace
}  // namespace tunesmith::model
