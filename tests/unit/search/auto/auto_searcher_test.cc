// What auto proposes, and why, seen from outside.
#include "search/auto/auto_searcher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "search/sobol/sobol.h"
#include "tests/unit/search/model/points.h"

namespace tunesmith {
namespace {

using Judge = Origin::Judge;
using model::Cube;
using testing_spaces::Choice;
using testing_spaces::Make;
using testing_spaces::Range;
using testing_spaces::When;

SearcherOptions Options(uint64_t seed = 1) {
  SearcherOptions options;
  options.type = "auto";
  options.seed = seed;
  return options;
}

std::unique_ptr<Searcher> Create(const Space& space, const SearcherOptions& options = Options()) {
  Problems problems;
  auto searcher = MakeSearcher(options, space, &problems);
  for (const Problem& p : problems) ADD_FAILURE() << p.field << ": " << p.message;
  return searcher;
}

Observation Ended(uint32_t trial, double value) {
  return {.trial = trial, .value = value, .step = 1};
}

double Bowl(const Point& point) {
  double loss = 0;
  for (const Value& v : point) loss += (ValueNumber(v) - 0.3) * (ValueNumber(v) - 0.3);
  return loss;
}

struct Trial {
  Suggestion suggestion;
  double value = 0;
};

// Trials [0, count), one after the other.
std::vector<Trial> RunTrials(Searcher* searcher, uint32_t count,
                             const std::function<double(const Point&)>& f) {
  std::vector<Trial> trials;
  for (uint32_t n = 0; n < count; ++n) {
    Suggestion s = searcher->Suggest(n);
    if (s.exhausted) break;
    searcher->Add(n, s.point);
    const double value = f(s.point);
    searcher->Observe(Ended(n, value));
    trials.push_back({std::move(s), value});
  }
  return trials;
}

TEST(AutoSearcherTest, StartsWithPointsOfTheSobolSequence) {
  for (const auto& [trials, startup] :
       std::map<int64_t, uint32_t>{{0, 10}, {200, 10}, {20, 5}, {3, 1}}) {
    const Space space = Cube(3);
    SearcherOptions options = Options(4);
    options.trials = trials;
    const auto run = RunTrials(Create(space, options).get(), 14, Bowl);
    for (uint32_t n = 0; n < run.size(); ++n) {
      const Suggestion& s = run[n].suggestion;
      if (n < startup) {
        EXPECT_EQ(s.point, SobolSample(space, 4, n)) << n;
        EXPECT_EQ(s.origin.kind, Origin::Kind::kStart) << n;
      } else {
        EXPECT_EQ(s.origin.kind, Origin::Kind::kModel) << n;
      }
    }
  }
}

TEST(AutoSearcherTest, TheForestTakesTurnsWithTheProcessAfterAWhileAndInGpNever) {
  for (const std::string& type : {std::string("auto"), std::string("gp")}) {
    std::map<Judge, int> early, late;
    SearcherOptions options = Options();
    options.type = type;
    const auto run = RunTrials(Create(Cube(2), options).get(), 90, Bowl);
    for (size_t n = 10; n < run.size(); ++n)
      ++(n < 50 ? early : late)[run[n].suggestion.origin.judge];
    EXPECT_EQ(early, (std::map<Judge, int>{{Judge::kGp, 40}}));
    if (type == "gp") {
      EXPECT_EQ(late, (std::map<Judge, int>{{Judge::kGp, 40}}));
    } else {
      EXPECT_EQ(late, (std::map<Judge, int>{{Judge::kGp, 20}, {Judge::kForest, 20}}));
    }
  }
}

TEST(AutoSearcherTest, WithRungsOnlyTheProcessJudges) {
  const auto searcher = Create(Cube(2));
  for (uint32_t n = 0; n < 120; ++n) {
    const Suggestion s = searcher->Suggest(n);
    if (n >= 10) {
      EXPECT_EQ(s.origin.judge, Judge::kGp) << n;
    }
    searcher->Add(n, s.point);
    searcher->Report({.trial = n, .rung = 1, .value = Bowl(s.point) + 0.2});
    Observation end = Ended(n, Bowl(s.point) + 0.2);
    if (n % 3 != 0) end.outcome = Outcome::kStopped;
    searcher->Observe(end);
  }
}

TEST(AutoSearcherTest, OriginsSayTheRankAndAPredictionInUnitsOfTheMetric) {
  for (const Goal goal : {Goal::kMin, Goal::kMax}) {
    const auto metric = [&](const Point& p) {
      return goal == Goal::kMin ? 50 + Bowl(p) : 50 - Bowl(p);
    };
    SearcherOptions options = Options();
    options.goal = goal;
    const auto run = RunTrials(Create(Cube(2), options).get(), 120, metric);
    std::map<Judge, std::vector<double>> errors;
    for (size_t n = 10; n < run.size(); ++n) {
      const Origin& origin = run[n].suggestion.origin;
      EXPECT_EQ(origin.rank, 1u);
      EXPECT_GE(origin.of, 112u);
      if (n >= 30) errors[origin.judge].push_back(std::fabs(origin.predicted - run[n].value));
    }
    // The bowl is 0.98 deep. With its bottom found the process looks where it knows little, the forest at the bottom.
    const auto quantile = [&](Judge judge, size_t tenths) {
      std::vector<double>& of = errors[judge];
      std::sort(of.begin(), of.end());
      return of[of.size() * tenths / 10];
    };
    EXPECT_LT(quantile(Judge::kGp, 5), 0.1);
    EXPECT_LT(quantile(Judge::kForest, 5), 0.02);
    EXPECT_LT(quantile(Judge::kForest, 9), 0.05);
  }
}

TEST(AutoSearcherTest, TheNextBestIsTakenWhereTheBestIsRunning) {
  const auto searcher = Create(Cube(2));
  RunTrials(searcher.get(), 30, Bowl);
  std::vector<Point> running;
  for (uint32_t n = 30; n < 38; ++n) {
    const Suggestion s = searcher->Suggest(n);
    EXPECT_EQ(s.origin.kind, Origin::Kind::kModel);
    EXPECT_GE(s.origin.rank, 1u);
    for (const Point& other : running) {
      const double dx = ValueNumber(s.point[0]) - ValueNumber(other[0]);
      const double dy = ValueNumber(s.point[1]) - ValueNumber(other[1]);
      EXPECT_GT(std::sqrt(dx * dx + dy * dy), 1e-3) << "neighbours, " << n;
    }
    searcher->Add(n, s.point);
    running.push_back(s.point);
  }
}

TEST(AutoSearcherTest, GetsToTheBottomOfABowl) {
  for (uint64_t seed = 0; seed < 3; ++seed) {
    double best = 1;
    for (const Trial& t : RunTrials(Create(Cube(3), Options(seed)).get(), 60, Bowl))
      best = std::min(best, t.value);
    EXPECT_LT(best, 5e-4) << seed;  // one in 100,000 random points
  }
}

// Where everything is alike the process has the least noise and the slowest changes.
TEST(AutoSearcherTest, PredictionsOfAConstantObjectiveAreThatConstantAlsoUnderConditions) {
  const Space space =
      Make({Choice("kind", {Value(true), Value(false)}), Range("x", Distribution::kUniform, 0, 1),
            Range("y", Distribution::kUniform, 0, 1, 0, {When("kind", {Value(true)})}),
            Range("z", Distribution::kUniform, 0, 1, 0, {When("kind", {Value(false)})})});
  for (const Trial& t : RunTrials(Create(space).get(), 80, [](const Point&) { return 3.5; })) {
    if (!std::isnan(t.suggestion.origin.predicted)) {
      EXPECT_EQ(t.suggestion.origin.predicted, 3.5);
    }
    if (t.suggestion.origin.judge == Judge::kGp) {
      EXPECT_FALSE(std::isnan(t.suggestion.origin.predicted));
    }
  }
}

// --- edges

// Every parameter is best at its lowest or at its highest value.
struct Edges {
  std::vector<Parameter> parameters;
  uint64_t high = 0;  // bits: parameter i is best at its highest value
};

// How far the value is from the better edge, as a share of the range.
double EdgeDistance(const Space& space, const tpe::Coding& coding, size_t i, const Value& value,
                    bool high) {
  const Parameter& p = space.parameters()[i];
  const auto count = space.ValueCount(i);
  const Value edge = count ? space.ValueAt(i, high ? *count - 1 : 0)
                           : Value(high ? std::nextafter(p.hi, p.lo) : p.lo);
  if (SameValue(value, edge)) return 0;
  const double scale = count && *count <= tpe::kLatticeValuesMax ? static_cast<double>(*count) : 1;
  return std::fabs(coding.Encode(i, value) - coding.Encode(i, edge)) / scale;
}

// For each parameter, after how many trials its best edge was proposed first (of reals: the last
// hundredth of the range); `limit` if never.
std::vector<uint32_t> FirstAtEdge(const Edges& edges, uint64_t seed, uint32_t limit) {
  const Space space = Make(edges.parameters);
  const tpe::Coding coding(space);
  const auto distance = [&](const Point& p, size_t i) {
    return EdgeDistance(space, coding, i, p[i], ((edges.high >> i) & 1U) != 0);
  };
  const auto loss = [&](const Point& p) {
    double sum = 0;
    for (size_t i = 0; i < p.size(); ++i) sum += distance(p, i);
    return sum;
  };
  std::vector<uint32_t> first(space.size(), limit);
  uint32_t n = 0;
  for (const Trial& t : RunTrials(Create(space, Options(seed)).get(), limit, loss)) {
    for (size_t i = 0; i < space.size(); ++i) {
      const double reach = space.ValueCount(i) ? 0 : 0.01;
      if (distance(t.suggestion.point, i) <= reach) first[i] = std::min(first[i], n);
    }
    ++n;
  }
  return first;
}

TEST(AutoSearcherTest, EdgesOfEveryDistributionAreReached) {
  const std::vector<Parameter> few = {Range("randint", Distribution::kRandInt, 0, 20),
                                      Range("lograndint", Distribution::kLogRandInt, 1, 65),
                                      Range("quniform", Distribution::kQUniform, -1, 1, 0.1),
                                      Range("qloguniform", Distribution::kQLogUniform, 1, 32, 1)};
  const std::vector<Parameter> many = {Range("randint", Distribution::kRandInt, 0, 100),
                                       Range("uniform", Distribution::kUniform, -3, 5),
                                       Range("loguniform", Distribution::kLogUniform, 1e-5, 1),
                                       Range("qrandint", Distribution::kQRandInt, 8, 256, 8)};
  for (const auto& parameters : {few, many}) {
    for (const uint64_t high : {0x0U, 0xfU, 0x5U}) {
      for (uint64_t seed = 0; seed < 4; ++seed) {
        const auto first = FirstAtEdge({parameters, high}, seed, 60);
        for (size_t i = 0; i < parameters.size(); ++i) {
          EXPECT_LT(first[i], 60u)
              << parameters[i].name << ((high >> i) & 1U ? " high" : " low") << ", seed " << seed;
        }
      }
    }
  }
}

}  // namespace
}  // namespace tunesmith
