// What every searcher type must do. A new type is added to SearcherTypes() and passes this suite
// unchanged.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "search/searcher.h"
#include "tests/unit/search/spaces.h"

namespace tunesmith {
namespace {

using testing_spaces::Choice;
using testing_spaces::Constant;
using testing_spaces::Make;
using testing_spaces::Range;
using testing_spaces::When;

Value Text(const char* text) { return Value(std::string(text)); }

class SearcherSuite : public ::testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Searcher> Create(const Space& space, uint64_t seed = 1, Goal goal = Goal::kMin) {
    SearcherOptions options;
    options.type = GetParam();
    options.seed = seed;
    options.goal = goal;
    Problems problems;
    auto searcher = MakeSearcher(options, space, &problems);
    for (const Problem& p : problems) ADD_FAILURE() << p.field << ": " << p.message;
    return searcher;
  }

  bool finite_only() const { return GetParam() == "grid"; }

  // Every kind of parameter that the type takes, nested conditions included.
  Space Mixed() const {
    std::vector<Parameter> p = {
        Choice("optimizer", {Text("sgd"), Text("adam"), Text("none")}),
        Choice("nesterov", {Value(true), Value(false)}, {When("optimizer", {Text("sgd")})}),
        Range("momentum", Distribution::kQUniform, 0, 0.9, 0.1, {When("nesterov", {Value(true)})}),
        Range("layers", Distribution::kRandInt, 1, 5),
        Range("width", Distribution::kQLogRandInt, 8, 256, 8,
              {When("layers", {Value(int64_t{2})}, Condition::Op::kGreater)}),
        Constant("data", Text("digits")),
        Range("batch", Distribution::kLogRandInt, 16, 512)};
    if (!finite_only()) {
      p.push_back(Range("rate", Distribution::kLogUniform, 1e-5, 1, 0,
                        {When("optimizer", {Text("none")}, Condition::Op::kNotIn)}));
      p.push_back(Range("dropout", Distribution::kUniform, 0, 0.5));
      p.push_back(testing_spaces::Normal("shift", 0, 1));
      p.push_back(testing_spaces::Normal("steps", 5, 2, 1));
    }
    return Make(std::move(p));
  }
};

double Loss(const Point& point) {
  double loss = 0;
  for (size_t i = 0; i < point.size(); ++i) {
    const double x = ValueNumber(point[i]);
    loss += std::isnan(x) ? static_cast<double>(HashValue(point[i]) % 7)
                          : std::fabs(x - 0.3) / (1 + std::fabs(x));
  }
  return loss;
}

Observation Ended(uint32_t trial, double value, Outcome outcome = Outcome::kCompleted) {
  return {.trial = trial, .outcome = outcome, .value = value, .step = 1};
}

// Runs trials [from, to) one after the other; the points.
std::vector<Point> RunTrials(Searcher* searcher, const Space& space, uint32_t from, uint32_t to) {
  std::vector<Point> points;
  for (uint32_t n = from; n < to; ++n) {
    const Suggestion s = searcher->Suggest(n);
    if (s.exhausted) break;
    std::string why;
    EXPECT_TRUE(space.Contains(s.point, &why)) << why;
    searcher->Add(n, s.point);
    searcher->Observe(Ended(n, Loss(s.point)));
    points.push_back(s.point);
  }
  return points;
}

TEST_P(SearcherSuite, EveryPointLiesInTheSpaceAndNoneRepeats) {
  const Space space = Mixed();
  const auto searcher = Create(space);
  const auto points = RunTrials(searcher.get(), space, 0, 150);
  EXPECT_EQ(points.size(), 150u);
  std::set<uint64_t> hashes;
  for (const Point& p : points) hashes.insert(HashPoint(p));
  EXPECT_EQ(hashes.size(), points.size());
}

TEST_P(SearcherSuite, EverySuggestionSaysWhereItCameFrom) {
  const Space space = Mixed();
  const auto searcher = Create(space);
  for (uint32_t n = 0; n < 60; ++n) {
    const Suggestion s = searcher->Suggest(n);
    const Origin& origin = s.origin;
    EXPECT_NE(origin.kind, Origin::Kind::kUnknown);
    EXPECT_NE(origin.kind, Origin::Kind::kUser) << "only the controller knows";
    EXPECT_EQ(origin.kind == Origin::Kind::kModel, origin.judge != Origin::Judge::kNone);
    EXPECT_LE(origin.rank, origin.of);
    EXPECT_EQ(origin.rank == 0, origin.of == 0);
    searcher->Add(n, s.point);
    searcher->Observe(Ended(n, Loss(s.point)));
  }
}

TEST_P(SearcherSuite, TheSameSeedAndHistoryGiveTheSamePoints) {
  const Space space = Mixed();
  const auto a = Create(space, 7), b = Create(space, 7), c = Create(space, 8);
  const auto pa = RunTrials(a.get(), space, 0, 60);
  EXPECT_EQ(pa, RunTrials(b.get(), space, 0, 60));
  if (!finite_only()) {
    EXPECT_NE(pa, RunTrials(c.get(), space, 0, 60));
  }
}

TEST_P(SearcherSuite, AskingTwiceWithoutAChangeGivesTheSamePoint) {
  const Space space = Mixed();
  const auto searcher = Create(space);
  RunTrials(searcher.get(), space, 0, 40);
  const Suggestion first = searcher->Suggest(40);
  searcher->Suggest(41);
  EXPECT_EQ(searcher->Suggest(40).point, first.point);
}

TEST_P(SearcherSuite, TheOrderOfArrivalDoesNotMatter) {
  const Space space = Mixed();
  Rng rng(5);
  std::vector<Point> points;
  for (int n = 0; n < 400; ++n) points.push_back(space.Sample(&rng));
  const auto forward = Create(space), shuffled = Create(space);
  for (uint32_t n = 0; n < 400; ++n) forward->Add(n, points[n]);
  for (uint32_t n = 0; n < 390; ++n) {
    if (n % 13 == 0) {
      forward->Forget(n);
    } else {
      forward->Observe(Ended(n, n % 17 == 0 ? std::nan("") : std::floor(Loss(points[n]) * 4)));
    }
  }
  std::vector<uint32_t> order(400);
  for (uint32_t n = 0; n < 400; ++n) order[n] = n;
  for (size_t n = 399; n > 0; --n) std::swap(order[n], order[rng.Below(n + 1)]);
  for (const uint32_t n : order) {
    shuffled->Add(n, points[n]);
    if (n >= 390) continue;
    if (n % 13 == 0) {
      shuffled->Forget(n);
    } else {
      shuffled->Observe(Ended(n, n % 17 == 0 ? std::nan("") : std::floor(Loss(points[n]) * 4)));
    }
  }
  for (uint32_t n = 400; n < 420; ++n)
    EXPECT_EQ(forward->Suggest(n).point, shuffled->Suggest(n).point) << n;
}

TEST_P(SearcherSuite, StrangeValuesAreHarmless) {
  const Space space = Mixed();
  const double kInf = std::numeric_limits<double>::infinity();
  const double values[] = {std::nan(""), kInf, -kInf, 1e308, -1e308, 0, 5e-324, 1};
  for (const Goal goal : {Goal::kMin, Goal::kMax}) {
    const auto searcher = Create(space, 3, goal);
    for (uint32_t n = 0; n < 120; ++n) {
      const Suggestion s = searcher->Suggest(n);
      ASSERT_FALSE(s.exhausted);
      ASSERT_TRUE(space.Contains(s.point, nullptr));
      searcher->Add(n, s.point);
      searcher->Observe(Ended(n, values[n % 8], static_cast<Outcome>(n % 3)));
    }
  }
}

TEST_P(SearcherSuite, NothingButFailuresStillSearches) {
  const Space space = Mixed();
  const auto searcher = Create(space);
  for (uint32_t n = 0; n < 60; ++n) {
    const Suggestion s = searcher->Suggest(n);
    ASSERT_FALSE(s.exhausted);
    searcher->Add(n, s.point);
    searcher->Observe(Ended(n, std::nan(""), Outcome::kFailed));
  }
}

TEST_P(SearcherSuite, EqualValuesAreHarmless) {
  const Space space = Mixed();
  const auto searcher = Create(space);
  for (uint32_t n = 0; n < 60; ++n) {
    const Suggestion s = searcher->Suggest(n);
    searcher->Add(n, s.point);
    searcher->Observe(Ended(n, 0.5));
  }
}

TEST_P(SearcherSuite, ParallelTrialsGetDifferentPoints) {
  const Space space = Mixed();
  const auto searcher = Create(space);
  RunTrials(searcher.get(), space, 0, 30);
  std::set<uint64_t> hashes;
  for (uint32_t n = 30; n < 330; ++n) {
    const Suggestion s = searcher->Suggest(n);
    ASSERT_FALSE(s.exhausted);
    ASSERT_TRUE(space.Contains(s.point, nullptr));
    searcher->Add(n, s.point);
    hashes.insert(HashPoint(s.point));
  }
  EXPECT_EQ(hashes.size(), 300u);
}

TEST_P(SearcherSuite, AFiniteSpaceIsProposedWhollyOnceThenExhausted) {
  const Space space =
      Make({Choice("kind", {Text("a"), Text("b"), Text("c")}),
            Range("n", Distribution::kRandInt, 0, 6, 0, {When("kind", {Text("a")})}),
            Range("q", Distribution::kQUniform, 0, 1, 0.25, {When("n", {Value(int64_t{3})})}),
            Range("m", Distribution::kLogRandInt, 1, 5, 0,
                  {When("kind", {Text("c")}, Condition::Op::kNotIn)})});
  ASSERT_EQ(space.Cardinality(), 4u * (5 + 5) + 4 + 1);
  const auto searcher = Create(space);
  const auto points = RunTrials(searcher.get(), space, 0, 1000);
  EXPECT_EQ(points.size(), 45u);
  std::set<uint64_t> hashes;
  for (const Point& p : points) hashes.insert(HashPoint(p));
  EXPECT_EQ(hashes.size(), 45u);
  EXPECT_TRUE(searcher->Suggest(45).exhausted);
  EXPECT_TRUE(searcher->Suggest(46).exhausted);
}

TEST_P(SearcherSuite, ForgettingATrialFreesItsPoint) {
  const Space space = Make({Range("n", Distribution::kRandInt, 0, 20)});
  const auto searcher = Create(space);
  std::map<uint32_t, Point> points;
  for (uint32_t n = 0; n < 20; ++n) {
    points[n] = searcher->Suggest(n).point;
    searcher->Add(n, points[n]);
    if (n != 7 && n != 11) searcher->Observe(Ended(n, Loss(points[n])));
  }
  EXPECT_TRUE(searcher->Suggest(20).exhausted);
  searcher->Forget(11);
  searcher->Forget(7);
  std::set<uint64_t> freed = {HashPoint(points[7]), HashPoint(points[11])};
  for (uint32_t n = 20; n < 22; ++n) {
    const Suggestion s = searcher->Suggest(n);
    ASSERT_FALSE(s.exhausted);
    EXPECT_EQ(freed.erase(HashPoint(s.point)), 1u);
    searcher->Add(n, s.point);
  }
  EXPECT_TRUE(searcher->Suggest(22).exhausted);
}

TEST_P(SearcherSuite, PointsOfTheUserAreNotProposedAgain) {
  const Space space =
      Make({Range("n", Distribution::kRandInt, 0, 8), Choice("c", {Text("x"), Text("y")})});
  const auto searcher = Create(space);
  Rng rng(1);
  Problems problems;
  std::set<uint64_t> hashes;
  for (uint32_t n = 0; n < 5; ++n) {
    const auto point =
        space.Complete({{"n", Value(int64_t{n})}, {"c", Text("y")}}, &rng, &problems);
    searcher->Add(n, *point);
    hashes.insert(HashPoint(*point));
  }
  for (const Point& p : RunTrials(searcher.get(), space, 5, 100))
    EXPECT_TRUE(hashes.insert(HashPoint(p)).second);
  EXPECT_EQ(hashes.size(), 16u);
}

TEST_P(SearcherSuite, ASpaceOfOnePointGivesItOnce) {
  for (const Space& space : {Make({Constant("c", Text("x"))}), Space()}) {
    const auto searcher = Create(space);
    EXPECT_EQ(RunTrials(searcher.get(), space, 0, 10).size(), 1u);
    EXPECT_TRUE(searcher->Suggest(10).exhausted);
  }
}

TEST_P(SearcherSuite, FiveHundredParametersWork) {
  std::vector<Parameter> p;
  for (int i = 0; i < 500; ++i) {
    const std::string name = "p" + std::to_string(i);
    if (finite_only() || i % 3 == 0) {
      p.push_back(Range(name, Distribution::kRandInt, 0, 10));
    } else {
      p.push_back(Range(name, Distribution::kUniform, 0, 1));
    }
  }
  const Space space = Make(std::move(p));
  const auto searcher = Create(space);
  EXPECT_EQ(RunTrials(searcher.get(), space, 0, 30).size(), 30u);
}

TEST_P(SearcherSuite, TenThousandOptionsWork) {
  std::vector<Value> options;
  for (int i = 0; i < 10'000; ++i) options.push_back(Text(("option" + std::to_string(i)).c_str()));
  const Space space = Make({Choice("big", options), Range("n", Distribution::kRandInt, 0, 3)});
  const auto searcher = Create(space);
  const auto points = RunTrials(searcher.get(), space, 0, 200);
  std::set<uint64_t> hashes;
  for (const Point& point : points) hashes.insert(HashPoint(point));
  EXPECT_EQ(hashes.size(), 200u);
}

TEST_P(SearcherSuite, ALongChainOfConditionsWorks) {
  std::vector<Parameter> p = {Choice("p0", {Value(true), Value(false)})};
  for (int i = 1; i < 100; ++i) {
    p.push_back(Choice("p" + std::to_string(i), {Value(true), Value(false)},
                       {When("p" + std::to_string(i - 1), {Value(true)})}));
  }
  const Space space = Make(std::move(p));
  EXPECT_EQ(space.Cardinality(), 101u);
  const auto searcher = Create(space);
  EXPECT_EQ(RunTrials(searcher.get(), space, 0, 200).size(), 101u);
}

TEST_P(SearcherSuite, ConstraintsAreRespected) {
  Problems problems;
  const auto space = Space::Create(Mixed().parameters(),
                                   {"layers * batch <= 300", "momentum < 0.5 or batch > 32",
                                    "optimizer != 'none' or layers in [1, 2]"},
                                   &problems);
  ASSERT_TRUE(space) << problems[0].message;
  const auto searcher = Create(*space);
  const auto points = RunTrials(searcher.get(), *space, 0, 150);  // which checks each point
  EXPECT_EQ(points.size(), 150u);
  std::set<uint64_t> hashes;
  for (const Point& p : points) hashes.insert(HashPoint(p));
  EXPECT_EQ(hashes.size(), points.size());
}

TEST_P(SearcherSuite, AFiniteSpaceUnderConstraintsIsProposedWhollyOnce) {
  const std::vector<Parameter> parameters = {Range("a", Distribution::kRandInt, 0, 40),
                                             Range("b", Distribution::kRandInt, 0, 40),
                                             Choice("c", {Text("x"), Text("y")})};
  std::vector<Parameter> more = parameters;  // too many points to be counted
  more.push_back(Range("d", Distribution::kRandInt, 0, 100));
  for (const bool counted : {true, false}) {
    Problems problems;
    const auto space =
        counted ? Space::Create(parameters, {"a + b == 7", "c == 'x' or a < b"}, &problems)
                : Space::Create(more, {"a + b == 7", "c == 'x' or a < b", "d == a"}, &problems);
    ASSERT_TRUE(space) << problems[0].message;
    EXPECT_EQ(space->Cardinality().has_value(), counted);
    const auto searcher = Create(*space);
    const auto points = RunTrials(searcher.get(), *space, 0, 1000);
    std::set<uint64_t> hashes;
    for (const Point& p : points) hashes.insert(HashPoint(p));
    EXPECT_EQ(hashes.size(), 8u + 4u);
    EXPECT_EQ(points.size(), 12u);
    EXPECT_TRUE(searcher->Suggest(12).exhausted);
  }
}

TEST_P(SearcherSuite, UnknownOptionsAreRefusedWithASuggestion) {
  SearcherOptions options;
  options.type = GetParam();
  options.options = {{"candidats", Value(int64_t{5})}};
  Problems problems;
  EXPECT_EQ(MakeSearcher(options, Mixed(), &problems), nullptr);
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].field, "search.candidats");
  EXPECT_FALSE(problems[0].hint.empty());
}

TEST_P(SearcherSuite, UnknownTrialsAreIgnored) {
  const Space space = Mixed();
  const auto searcher = Create(space);
  searcher->Forget(5);
  searcher->Observe(Ended(6, 1));
  EXPECT_FALSE(searcher->Suggest(0).exhausted);
}

INSTANTIATE_TEST_SUITE_P(All, SearcherSuite, ::testing::ValuesIn(SearcherTypes()),
                         [](const auto& suite) { return suite.param; });

}  // namespace
}  // namespace tunesmith
