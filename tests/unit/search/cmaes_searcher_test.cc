#include "search/cmaes/cmaes_searcher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/search/searchers.h"
#include "tests/unit/search/spaces.h"

namespace tunesmith {
namespace {

using testing_searchers::Create;
using testing_searchers::ExpectValidSuggestions;
using testing_searchers::Refusal;
using testing_spaces::Choice;
using testing_spaces::Constant;
using testing_spaces::Grid;
using testing_spaces::Make;
using testing_spaces::Range;
using testing_spaces::When;

const double kInf = std::numeric_limits<double>::infinity();

SearcherOptions Cmaes(uint64_t seed = 1, std::vector<std::pair<std::string, Value>> options = {}) {
  SearcherOptions result;
  result.type = "cmaes";
  result.seed = seed;
  result.options = std::move(options);
  return result;
}

Space Cube(int dims) {
  std::vector<Parameter> p;
  for (int i = 0; i < dims; ++i) p.push_back(Range("x" + std::to_string(i), Distribution::kUniform, 0, 1));
  return Make(std::move(p));
}

// Runs trials [from, to), `workers` at a time, the oldest ends first; the best value.
double RunTrials(Searcher* searcher, const std::function<double(const Point&)>& f, uint32_t from, uint32_t to,
                 size_t workers = 1) {
  double best = kInf;
  std::vector<std::pair<uint32_t, double>> running;
  for (uint32_t n = from; n < to; ++n) {
    const Suggestion s = searcher->Suggest(n);
    if (s.exhausted) break;
    searcher->Add(n, s.point);
    running.emplace_back(n, f(s.point));
    best = std::min(best, running.back().second);
    if (running.size() < workers) continue;
    searcher->Observe({.trial = running.front().first, .value = running.front().second, .step = 1});
    running.erase(running.begin());
  }
  for (const auto& [trial, value] : running) searcher->Observe({.trial = trial, .value = value, .step = 1});
  return best;
}

double Bowl(const Point& p) {
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    const double d = ValueNumber(p[i]) - 0.1 - 0.07 * static_cast<double>(i);
    sum += d * d * static_cast<double>(1 + i * i);
  }
  return sum;
}

TEST(CmaesSearcherTest, RefusesWhatHasNoNumbersOrIsNotAlwaysThere) {
  EXPECT_EQ(Refusal(Cmaes(), Make({Choice("c", {Value(true), Value(false)})})).field, "parameters.c.choice");
  EXPECT_EQ(Refusal(Cmaes(), Make({Grid("g", {Value(true), Value(false)})})).field, "parameters.g.grid");
  const Problem p =
      Refusal(Cmaes(), Make({Range("n", Distribution::kRandInt, 0, 3),
                             Range("x", Distribution::kUniform, 0, 1, 0, {When("n", {Value(int64_t{1})})})}));
  EXPECT_EQ(p.field, "parameters.x.when");
  EXPECT_NE(p.hint.find("auto"), std::string::npos);
  SearcherOptions two = Cmaes();
  two.goals = {Goal::kMin, Goal::kMin};
  EXPECT_EQ(Refusal(two, Cube(2)).field, "search.type");
  EXPECT_NE(Create(Make({Constant("a", Value(true)), Choice("b", {Value(int64_t{3})})}), Cmaes()), nullptr);
}

TEST(CmaesSearcherTest, OptionsAreCheckedAndTheDefaultIsTold) {
  const Problem p = Refusal(Cmaes(1, {{"population", Value(int64_t{3})}}), Cube(5));
  EXPECT_EQ(p.field, "search.population");
  EXPECT_EQ(p.hint, "leave it out for 8");
  for (const Value& bad : {Value(0.0), Value(1.5), Value(std::string("wide")), Value(true), Value(std::nan(""))}) {
    EXPECT_EQ(Refusal(Cmaes(1, {{"sigma", bad}}), Cube(2)).field, "search.sigma");
  }
  EXPECT_NE(Create(Cube(2), Cmaes(1, {{"population", Value(int64_t{20})}, {"sigma", Value(0.1)}})), nullptr);
}

TEST(CmaesSearcherTest, ConvergesWhateverTheNumberOfWorkers) {
  for (const size_t workers : {1u, 3u, 8u, 20u}) {
    double worst = 0;
    for (uint64_t seed = 0; seed < 5; ++seed) {
      worst = std::max(worst, RunTrials(Create(Cube(5), Cmaes(seed)).get(), Bowl, 0, 300, workers));
    }
    EXPECT_LT(worst, workers < 20 ? 0.01 : 0.06) << workers;
  }
  double random = 0;  // the best of five times 300 points
  for (uint64_t seed = 0; seed < 5; ++seed) {
    SearcherOptions options;
    options.type = "random";
    options.seed = seed;
    random = std::max(random, RunTrials(Create(Cube(5), options).get(), Bowl, 0, 300));
  }
  EXPECT_GT(random, 0.06);
}

TEST(CmaesSearcherTest, FindsTheOptimumAmongIntegersLogsAndSteps) {
  const Space space = Make({Range("a", Distribution::kRandInt, 0, 100), Range("b", Distribution::kLogRandInt, 1, 1000),
                            Range("c", Distribution::kQUniform, 0, 1, 0.1),
                            Range("d", Distribution::kLogUniform, 1e-6, 1), testing_spaces::Normal("e", 0, 1),
                            testing_spaces::Normal("f", 0, 10, 2), Range("g", Distribution::kRandInt, 0, 2)});
  const auto f = [](const Point& p) {
    return std::fabs(ValueNumber(p[0]) - 73) / 100 + std::fabs(std::log(ValueNumber(p[1]) / 20)) / 7 +
           std::fabs(ValueNumber(p[2]) - 0.3) + std::fabs(std::log10(ValueNumber(p[3])) + 4) / 6 +
           std::fabs(ValueNumber(p[4]) - 1) / 4 + std::fabs(ValueNumber(p[5]) + 8) / 40 + ValueNumber(p[6]);
  };
  for (uint64_t seed = 0; seed < 5; ++seed)
    EXPECT_LT(RunTrials(Create(space, Cmaes(seed)).get(), f, 0, 800), 0.05) << seed;
}

TEST(CmaesSearcherTest, OptimaInACornerAreReached) {
  const auto corner = [](const Point& p) { return ValueNumber(p[0]) + (1 - ValueNumber(p[1])) + ValueNumber(p[2]); };
  for (uint64_t seed = 0; seed < 5; ++seed)
    EXPECT_LT(RunTrials(Create(Cube(3), Cmaes(seed)).get(), corner, 0, 300), 0.02);
}

TEST(CmaesSearcherTest, AGenerationIsLearntFromWhenItsLastTrialHasEnded) {
  const Space space = Cube(2);
  const auto searcher = Create(space, Cmaes());  // population 6
  std::vector<Point> points;
  for (uint32_t n = 0; n < 8; ++n) {
    points.push_back(searcher->Suggest(n).point);
    searcher->Add(n, points.back());
  }
  for (const uint32_t n : {7u, 0u, 4u, 1u, 2u, 6u})
    searcher->Observe({.trial = n, .value = Bowl(points[n]), .step = 1});
  const Suggestion before = searcher->Suggest(20);
  EXPECT_EQ(before.origin.kind, Origin::Kind::kStart);
  searcher->Observe({.trial = 5, .value = Bowl(points[5]), .step = 1});
  EXPECT_EQ(searcher->Suggest(20).point, before.point);  // 3 is missing
  searcher->Forget(3);                                   // and is not awaited now
  const Suggestion after = searcher->Suggest(20);
  EXPECT_NE(after.point, before.point);
  EXPECT_EQ(after.origin.kind, Origin::Kind::kModel);
  EXPECT_EQ(after.origin.judge, Origin::Judge::kCmaes);
}

// Mean of the first coordinate of suggestions after three generations in which `observe` tells how each trial went.
double MeanAfter(const std::function<Observation(uint32_t, double)>& observe, Goal goal = Goal::kMin) {
  SearcherOptions options = Cmaes(3);
  options.goal = goal;
  const auto searcher = Create(Cube(2), options);
  for (uint32_t n = 0; n < 18; ++n) {
    const Point p = searcher->Suggest(n).point;
    searcher->Add(n, p);
    searcher->Observe(observe(n, ValueNumber(p[0])));
  }
  double sum = 0;
  for (uint32_t n = 100; n < 140; ++n) sum += ValueNumber(searcher->Suggest(n).point[0]);
  return sum / 40;
}

TEST(CmaesSearcherTest, FollowsTheGoal) {
  const auto value = [](uint32_t n, double x) { return Observation{.trial = n, .value = x, .step = 1}; };
  EXPECT_LT(MeanAfter(value), 0.3);
  EXPECT_GT(MeanAfter(value, Goal::kMax), 0.7);
}

TEST(CmaesSearcherTest, FailedNonsensicalAndInfeasibleTrialsAreTheWorst) {
  for (int kind = 0; kind < 4; ++kind) {
    // The lower half would be the best by its value.
    const auto strange = [kind](uint32_t n, double x) {
      Observation o{.trial = n, .value = x, .step = 1};
      if (x >= 0.5) return o;
      if (kind == 0) o.outcome = Outcome::kFailed;
      if (kind == 1) o.value = std::nan("");
      if (kind == 2) o.value = -kInf;
      if (kind == 3) o.violation = 1 - x;
      return o;
    };
    EXPECT_GT(MeanAfter(strange), 0.45) << kind;
  }
  // Among infeasible ones the violation leads the way.
  EXPECT_GT(MeanAfter([](uint32_t n, double x) {
              return Observation{.trial = n, .value = x, .step = 1, .violation = 2 - x};
            }),
            0.7);
}

TEST(CmaesSearcherTest, AConstantObjectiveNeitherMovesNorBreaksIt) {
  const auto searcher = Create(Cube(3), Cmaes(5));
  double low = 1, high = 0;
  for (uint32_t n = 0; n < 400; ++n) {
    const Suggestion s = searcher->Suggest(n);
    ASSERT_FALSE(s.exhausted);
    low = std::min(low, ValueNumber(s.point[0]));
    high = std::max(high, ValueNumber(s.point[0]));
    EXPECT_EQ(s.origin.kind, Origin::Kind::kStart);
    searcher->Add(n, s.point);
    searcher->Observe({.trial = n, .value = 1, .step = 1});
  }
  EXPECT_LT(low, 0.1);
  EXPECT_GT(high, 0.9);
}

TEST(CmaesSearcherTest, StartsAgainElsewhereWhenItHasConverged) {
  // Two basins; the wide one is worse. From the middle the search falls into it.
  const auto f = [](const Point& p) {
    double wide = 0, narrow = 0;
    for (const Value& v : p) {
      const double x = ValueNumber(v);
      wide += (x - 0.5) * (x - 0.5);
      narrow += (x - 0.9) * (x - 0.9) * 8;
    }
    return std::min(wide + 0.1, narrow);
  };
  int found = 0;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const auto searcher = Create(Cube(2), Cmaes(seed, {{"sigma", Value(0.1)}}));
    found += RunTrials(searcher.get(), f, 0, 3000, 4) < 0.01 ? 1 : 0;
  }
  EXPECT_GE(found, 8);
}

TEST(CmaesSearcherTest, TrialsThatWereRunningAtARestartDoNotPullItBack) {
  // Everything is learnt from generations of 4; the first point of the user is the whole first generation's best.
  const Space space = Cube(1);
  const auto searcher = Create(space, Cmaes(2, {{"population", Value(int64_t{4})}}));
  uint32_t n = 0;
  const auto distance = [](const Point& p) { return std::fabs(ValueNumber(p[0]) - 0.37); };
  // Until suggestions are spread again.
  for (; n < 1000; ++n) {
    const Suggestion s = searcher->Suggest(n);
    if (n > 8 && s.origin.kind == Origin::Kind::kStart) break;
    searcher->Add(n, s.point);
    searcher->Observe({.trial = n, .value = distance(s.point), .step = 1});
  }
  ASSERT_LT(n, 1000u) << "it never restarted";
  const Suggestion fresh = searcher->Suggest(n + 50);
  // Four that ran already are told now: they were drawn from the old run.
  for (uint32_t k = 0; k < 4; ++k) {
    searcher->Add(n + k, {Value(0.37 + 1e-6 * k)});
    searcher->Observe({.trial = n + k, .value = 0, .step = 1});
  }
  EXPECT_EQ(searcher->Suggest(n + 50).point, fresh.point);
}

TEST(CmaesSearcherTest, EarlierTrialsSayWhereToStart) {
  SearcherOptions options = Cmaes(1, {{"sigma", Value(0.05)}});
  for (int k = 0; k < 40; ++k) {
    options.earlier.push_back({{Value(0.9 - 0.001 * k), Value()}, static_cast<double>(k)});
  }
  const auto searcher = Create(Cube(2), options);
  for (uint32_t n = 0; n < 6; ++n) {
    const Point p = searcher->Suggest(n).point;
    EXPECT_NEAR(ValueNumber(p[0]), 0.8985, 0.25);
    EXPECT_NEAR(ValueNumber(p[1]), 0.5, 0.25);
  }
}

TEST(CmaesSearcherTest, SmallFiniteSpacesAreSearchedWhollyWithoutRepeats) {
  const Space space = Make({Range("a", Distribution::kRandInt, 0, 7), Range("b", Distribution::kQUniform, 0, 1, 0.1)});
  const auto searcher = Create(space, Cmaes());
  std::set<uint64_t> hashes;
  uint32_t n = 0;
  for (; n < 200; ++n) {
    const Suggestion s = searcher->Suggest(n);
    if (s.exhausted) break;
    EXPECT_TRUE(hashes.insert(HashPoint(s.point)).second);
    searcher->Add(n, s.point);
    searcher->Observe({.trial = n, .value = ValueNumber(s.point[0]), .step = 1});
  }
  EXPECT_EQ(n, 77u);
}

TEST(CmaesSearcherTest, ExtremeButSoundSpacesStayInBounds) {
  int sound = 0;
  for (uint64_t seed = 0; seed < 20'000; ++seed) {
    Rng rng(seed);
    Problems problems;
    const auto space =
        Space::Create({testing_spaces::Garbage("a", &rng), testing_spaces::Garbage("b", &rng)}, &problems);
    if (!space) continue;
    const auto searcher = MakeSearcher(Cmaes(seed), *space, &problems);
    if (searcher == nullptr) continue;
    ++sound;
    ExpectValidSuggestions(searcher.get(), *space, 30, seed);
  }
  EXPECT_GT(sound, 100);
}

TEST(CmaesSearcherTest, SuggestionsAreTheSameOnEveryMachine) {
  const Space space =
      Make({Range("lr", Distribution::kLogUniform, 1e-5, 1), Range("n", Distribution::kLogRandInt, 1, 30),
            testing_spaces::Normal("z", 0, 1), Range("m", Distribution::kUniform, 0, 1)});
  const auto searcher = Create(space, Cmaes(42));
  uint64_t hash = 0;
  for (uint32_t n = 0; n < 600; ++n) {
    const Point p = searcher->Suggest(n).point;
    hash = Mix64(hash ^ HashPoint(p));
    searcher->Add(n, p);
    const double lr = ValueNumber(p[0]) - 0.01, z = ValueNumber(p[2]) - 0.5;
    searcher->Observe({.trial = n, .value = lr * lr + z * z + ValueNumber(p[1]), .step = 1});
  }
  EXPECT_EQ(hash, 14717467206074225094ULL);
}

}  // namespace
}  // namespace tunesmith
