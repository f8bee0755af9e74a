// What the default searcher makes of several objectives, run times and earlier sweeps.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "search/pareto/pareto.h"
#include "search/searcher.h"
#include "tests/unit/search/searchers.h"
#include "tests/unit/search/spaces.h"

namespace tunesmith {
namespace {

using testing_searchers::Create;
using testing_spaces::Choice;
using testing_spaces::Make;
using testing_spaces::Range;

Space Cube(int dims) {
  std::vector<Parameter> p;
  for (int i = 0; i < dims; ++i) p.push_back(Range("x" + std::to_string(i), Distribution::kUniform, 0, 1));
  return Make(std::move(p));
}

// ZDT1 (Zitzler, Deb and Thiele 2000): the front is f2 = 1 - sqrt(f1), where all x but the first are 0.
std::vector<double> Zdt1(const Point& x) {
  double sum = 0;
  for (size_t i = 1; i < x.size(); ++i) sum += ValueNumber(x[i]);
  const double g = 1 + 9 * sum / static_cast<double>(x.size() - 1);
  const double f1 = ValueNumber(x[0]);
  return {f1, g * (1 - std::sqrt(f1 / g))};
}

double VolumeAfter(const std::string& type, uint64_t seed, uint32_t trials, bool negated) {
  const Space space = Cube(5);
  SearcherOptions options{.type = type, .goals = {Goal::kMin, negated ? Goal::kMax : Goal::kMin}, .seed = seed};
  const auto searcher = Create(space, options);
  std::vector<double> losses;
  for (uint32_t n = 0; n < trials; ++n) {
    const Point point = searcher->Suggest(n).point;
    searcher->Add(n, point);
    Observation o{.trial = n, .outcome = Outcome::kCompleted, .value = std::nan(""), .step = 1, .values = Zdt1(point)};
    losses.insert(losses.end(), o.values.begin(), o.values.end());
    if (negated) o.values[1] = -o.values[1];
    searcher->Observe(o);
  }
  const double reference[] = {1.1, 11};
  return Hypervolume({losses.data(), trials, 2}, reference);
}

TEST(SeveralObjectives, TheFrontIsFoundSoonerThanByChance) {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    const double chance = VolumeAfter("random", seed, 80, false);
    const double found = VolumeAfter("auto", seed, 80, false);
    EXPECT_GT(found, chance + 0.5) << seed;  // the whole front has 11.8
    EXPECT_GT(found, 11.0) << seed;
    EXPECT_EQ(VolumeAfter("auto", seed, 80, true), found) << "goals are signs: " << seed;
  }
}

TEST(SeveralObjectives, ThousandsOfTrialsAreRankedOnABoundedNumber) {
  const Space space = Cube(3);
  SearcherOptions options{.type = "auto", .goals = {Goal::kMin, Goal::kMin}, .seed = 3};
  const auto searcher = Create(space, options);
  Rng rng(1);
  for (uint32_t n = 0; n < 2000; ++n) {
    const Point point = space.Sample(&rng);
    searcher->Add(n, point);
    searcher->Observe({.trial = n, .outcome = Outcome::kCompleted, .value = 0, .step = 1, .values = Zdt1(point)});
  }
  const Suggestion s = searcher->Suggest(2000);
  EXPECT_EQ(s.origin.kind, Origin::Kind::kModel);
  EXPECT_TRUE(std::isnan(s.origin.predicted)) << "there is no one metric to predict";
  EXPECT_LT(Zdt1(s.point)[1], 3) << "the middle of the space has 4.6";
}

// The optimum is at 0.8 in every dimension, of no matter what scale.
double Bowl(const Point& point, double scale) {
  double sum = 0;
  for (const Value& v : point) {
    if (IsActive(v) && ValueNumber(v) == ValueNumber(v)) sum += (ValueNumber(v) - 0.8) * (ValueNumber(v) - 0.8);
  }
  return scale * sum;
}

double BestOf(Searcher* searcher, uint32_t trials) {
  double best = std::numeric_limits<double>::infinity();
  for (uint32_t n = 0; n < trials; ++n) {
    const Point point = searcher->Suggest(n).point;
    searcher->Add(n, point);
    const double value = Bowl(point, 1);
    searcher->Observe({.trial = n, .outcome = Outcome::kCompleted, .value = value, .step = 1});
    best = std::min(best, value);
  }
  return best;
}

TEST(EarlierTrials, GiveAGoodStartWhateverTheirScale) {
  const Space space = Cube(4);
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SearcherOptions options{.type = "auto", .seed = seed};
    const double cold = BestOf(Create(space, options).get(), 5);
    Rng rng(seed);
    for (int n = 0; n < 60; ++n) {
      const Point point = space.Sample(&rng);
      options.earlier.push_back({point, Bowl(point, 1e6) + 5});
    }
    const double warm = BestOf(Create(space, options).get(), 5);
    EXPECT_LT(warm, cold) << seed;
    EXPECT_LT(warm, 0.1) << seed << ": cold ones have 0.1 to 0.7";
  }
}

TEST(EarlierTrials, MayLackParametersOrBeUseless) {
  const Space space = Make({Range("x", Distribution::kUniform, 0, 1), Range("new", Distribution::kLogUniform, 1e-4, 1),
                            Choice("kind", {Value(std::string("a")), Value(std::string("b"))}),
                            Range("deep", Distribution::kRandInt, 1, 9, 0,
                                  {testing_spaces::When("kind", {Value(std::string("b"))})})});
  SearcherOptions options{.type = "auto", .seed = 1};
  Rng rng(4);
  for (int n = 0; n < 40; ++n) {
    Point point = space.Sample(&rng);
    point[1] = Value();
    if (n % 2 == 0) point[3] = Value();
    options.earlier.push_back({point, n % 5 == 0 ? std::nan("") : ValueNumber(point[0])});
  }
  options.earlier.push_back({{}, 1});  // of another space
  const auto searcher = Create(space, options);
  for (uint32_t n = 0; n < 60; ++n) {
    const Suggestion s = searcher->Suggest(n);
    std::string why;
    ASSERT_TRUE(space.Contains(s.point, &why)) << why;
    searcher->Add(n, s.point);
    searcher->Observe({.trial = n, .outcome = Outcome::kCompleted, .value = ValueNumber(s.point[0]), .step = 1});
  }
}

TEST(Cost, PointsThatTakeLongAreAskedForLessWhenTheyAreNotBetter) {
  // Both kinds reach the same loss; one takes a hundred times as long.
  std::vector<Parameter> parameters = {Choice("kind", {Value(std::string("fast")), Value(std::string("slow"))})};
  for (int i = 0; i < 6; ++i) parameters.push_back(Range("x" + std::to_string(i), Distribution::kUniform, 0, 1));
  const Space space = Make(std::move(parameters));
  const auto seconds = [&](const std::string& cost, uint64_t seed) {
    SearcherOptions options{.type = "auto", .seed = seed, .options = {{"cost", Value(cost)}}};
    const auto searcher = Create(space, options);
    double total = 0;
    for (uint32_t n = 0; n < 60; ++n) {
      const Point point = searcher->Suggest(n).point;
      searcher->Add(n, point);
      const double time = ValueText(point[0]) == "slow" ? 100 : 1;
      total += time;
      searcher->Observe(
          {.trial = n, .outcome = Outcome::kCompleted, .value = Bowl(point, 1), .step = 1, .seconds = time});
    }
    return total;
  };
  double with = 0, without = 0;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    with += seconds("seconds", seed);
    without += seconds("none", seed);
  }
  EXPECT_LT(with, 0.7 * without);
}

}  // namespace
}  // namespace tunesmith
