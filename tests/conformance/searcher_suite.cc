// What every searcher type must do. A new type is added to SearcherTypes() and passes this suite
// unchanged.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <ostream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/rng.h"
#include "search/searcher.h"
#include "tests/unit/search/spaces.h"

namespace tunesmith {
namespace {

using testing_spaces::Choice;
using testing_spaces::Constant;
using testing_spaces::Make;
using testing_spaces::Range;
using testing_spaces::Text;
using testing_spaces::When;

// A searcher type, with the options that change what it promises.
struct Subject {
  std::string name;
  std::string type;
  std::vector<std::pair<std::string, Value>> options = {};
};

void PrintTo(const Subject& subject, std::ostream* out) { *out << subject.name; }

std::vector<Subject> Subjects() {
  std::vector<Subject> subjects;
  for (const std::string& type : SearcherTypes()) subjects.push_back({type, type});
  subjects.push_back({"hyperopt", "tpe", {{"compat", Text("hyperopt")}}});
  return subjects;
}

class SearcherSuite : public ::testing::TestWithParam<Subject> {
 protected:
  SearcherOptions Options(uint64_t seed = 1, Goal goal = Goal::kMin) const {
    SearcherOptions options;
    options.type = GetParam().type;
    options.options = GetParam().options;
    options.seed = seed;
    options.goal = goal;
    return options;
  }

  std::unique_ptr<Searcher> Create(const Space& space, uint64_t seed = 1, Goal goal = Goal::kMin) const {
    Problems problems;
    auto searcher = MakeSearcher(Options(seed, goal), space, &problems);
    for (const Problem& p : problems) ADD_FAILURE() << p.field << ": " << p.message;
    return searcher;
  }

  // What the types promise and take.
  bool fits_models() const { return GetParam().type == "auto" || GetParam().type == "gp"; }
  bool finite_only() const { return GetParam().type == "grid"; }
  bool numeric_only() const { return GetParam().type == "cmaes"; }
  bool ignores_results() const {
    return GetParam().type == "grid" || GetParam().type == "random" || GetParam().type == "sobol";
  }
  bool ignores_reports() const { return ignores_results() || GetParam().type == "cmaes" || may_repeat(); }
  bool may_repeat() const { return GetParam().name == "hyperopt"; }

  // Numbers of every kind, always active.
  Space Numeric() const {
    return Make({Range("layers", Distribution::kRandInt, 1, 5), Range("width", Distribution::kQLogRandInt, 8, 256, 8),
                 Range("momentum", Distribution::kQUniform, 0, 0.9, 0.1), Constant("data", Text("digits")),
                 Range("batch", Distribution::kLogRandInt, 16, 512), Range("rate", Distribution::kLogUniform, 1e-5, 1),
                 Range("dropout", Distribution::kUniform, 0, 0.5), testing_spaces::Normal("shift", 0, 1),
                 testing_spaces::Normal("steps", 5, 2, 1), Range("units", Distribution::kQRandInt, 0, 9000, 3),
                 Range("decay", Distribution::kQLogUniform, 0.01, 1, 0.01)});
  }

  // Every kind of parameter that the type takes, nested conditions included.
  Space Mixed() const {
    if (numeric_only()) return Numeric();
    return Make(testing_spaces::MixedParameters(finite_only()));
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

// Runs trials [from, to) one after the other, until the space is exhausted; the points.
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

TEST_P(SearcherSuite, EveryKindOfNumberIsTaken) {
  if (finite_only()) GTEST_SKIP() << "takes no continuous parameters";
  const Space space = Numeric();
  const auto searcher = Create(space);
  std::set<uint64_t> hashes;
  for (const Point& p : RunTrials(searcher.get(), space, 0, 150)) hashes.insert(HashPoint(p));
  EXPECT_EQ(hashes.size(), 150u);
}

TEST_P(SearcherSuite, EverySuggestionSaysWhereItCameFrom) {
  const Space space = Mixed();
  const auto searcher = Create(space);
  for (uint32_t n = 0; n < 80; ++n) {
    const Suggestion s = searcher->Suggest(n);
    const Origin& origin = s.origin;
    EXPECT_NE(origin.kind, Origin::Kind::kUnknown);
    EXPECT_NE(origin.kind, Origin::Kind::kUser) << "only the controller knows";
    EXPECT_EQ(origin.kind == Origin::Kind::kModel, origin.judge != Origin::Judge::kNone);
    EXPECT_LE(origin.rank, origin.of);
    EXPECT_EQ(origin.rank == 0, origin.of == 0);
    if (ignores_results() || n == 0) {
      EXPECT_NE(origin.kind, Origin::Kind::kModel);
    } else if (n == 79) {
      EXPECT_EQ(origin.kind, Origin::Kind::kModel);
    }
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
  if (fits_models()) GTEST_SKIP() << "models are fitted as results arrive: their order counts";
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

TEST_P(SearcherSuite, StrangeObjectivesAreHarmless) {
  const Space space = Mixed();
  const double kInf = std::numeric_limits<double>::infinity();
  const double kNaN = std::nan("");
  const double strange[] = {kNaN, kInf, -kInf, 1e308, -1e308, 0, 5e-324, 1};
  // How trial n ends.
  const std::map<std::string, std::function<Observation(uint32_t)>> objectives = {
      {"constant", [](uint32_t n) { return Ended(n, 0.5); }},
      {"infinite", [&](uint32_t n) { return Ended(n, kInf); }},
      {"minus infinite", [&](uint32_t n) { return Ended(n, -kInf); }},
      {"nan half the time", [&](uint32_t n) { return Ended(n, n % 2 == 0 ? kNaN : n * 0.1); }},
      {"all nan", [&](uint32_t n) { return Ended(n, kNaN); }},
      {"all failed", [&](uint32_t n) { return Ended(n, kNaN, Outcome::kFailed); }},
      {"all stopped at once", [](uint32_t n) { return Ended(n, 1.0 / (n + 1), Outcome::kStopped); }},
      {"all infeasible", [](uint32_t n) {
         Observation o = Ended(n, 1);
         o.violation = 1 + n % 7;
         return o;
       }},
      {"everything", [&](uint32_t n) { return Ended(n, strange[n % 8], static_cast<Outcome>(n % 3)); }}};
  for (const auto& [name, objective] : objectives) {
    for (const Goal goal : {Goal::kMin, Goal::kMax}) {
      const auto searcher = Create(space, 3, goal);
      std::set<uint64_t> hashes;
      for (uint32_t n = 0; n < 120; ++n) {
        const Suggestion s = searcher->Suggest(n);
        ASSERT_FALSE(s.exhausted) << name;
        std::string why;
        ASSERT_TRUE(space.Contains(s.point, &why)) << name << ": " << why;
        EXPECT_TRUE(hashes.insert(HashPoint(s.point)).second) << name;
        searcher->Add(n, s.point);
        searcher->Observe(objective(n));
      }
    }
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
  if (may_repeat()) GTEST_SKIP() << "repeats points";
  const Space space =
      numeric_only() ? Make({Range("n", Distribution::kRandInt, 0, 3), Range("q", Distribution::kQUniform, 0, 1, 0.25),
                             Range("m", Distribution::kLogRandInt, 1, 4)})
                     : Make({Choice("kind", {Text("a"), Text("b"), Text("c")}),
                             Range("n", Distribution::kRandInt, 0, 6, 0, {When("kind", {Text("a")})}),
                             Range("q", Distribution::kQUniform, 0, 1, 0.25, {When("n", {Value(int64_t{3})})}),
                             Range("m", Distribution::kLogRandInt, 1, 5, 0,
                                   {When("kind", {Text("c")}, Condition::Op::kNotIn)})});
  ASSERT_EQ(space.Cardinality(), 45u);  // 4 * (5 + 5) + 4 + 1
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
  if (may_repeat()) GTEST_SKIP() << "repeats points";
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
  if (may_repeat()) GTEST_SKIP() << "repeats points";
  const Space space = Make({Range("n", Distribution::kRandInt, 0, 8), Range("c", Distribution::kRandInt, 0, 2)});
  const auto searcher = Create(space);
  Rng rng(1);
  Problems problems;
  std::set<uint64_t> hashes;
  for (uint32_t n = 0; n < 5; ++n) {
    const auto point =
        space.Complete({{"n", Value(int64_t{n})}, {"c", Value(int64_t{1})}}, &rng, &problems);
    searcher->Add(n, *point);
    hashes.insert(HashPoint(*point));
  }
  for (const Point& p : RunTrials(searcher.get(), space, 5, 100))
    EXPECT_TRUE(hashes.insert(HashPoint(p)).second);
  EXPECT_EQ(hashes.size(), 16u);
}

TEST_P(SearcherSuite, ASpaceOfOnePointGivesItOnce) {
  for (const Space& space :
       {Make({Constant("c", Text("x"))}), Space(), Make({Range("n", Distribution::kRandInt, 7, 8)}),
        Make({Constant("a", Value(1.5)), Constant("b", Value(true)), Constant("c", Value(int64_t{3}))})}) {
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
  if (may_repeat()) GTEST_SKIP() << "repeats points";
  if (numeric_only()) GTEST_SKIP() << "takes no options";
  std::vector<Value> options;
  for (int i = 0; i < 10'000; ++i) options.push_back(Text(("option" + std::to_string(i)).c_str()));
  const Space space = Make({Choice("big", options), Range("n", Distribution::kRandInt, 0, 3)});
  const auto searcher = Create(space);
  const auto points = RunTrials(searcher.get(), space, 0, 200);
  std::set<uint64_t> hashes;
  for (const Point& point : points) hashes.insert(HashPoint(point));
  EXPECT_EQ(hashes.size(), 200u);
}

TEST_P(SearcherSuite, BoundsThatAreOneStepOfADoubleApartWork) {
  if (finite_only()) GTEST_SKIP() << "takes no continuous parameters";
  const double next = std::nextafter(1.0, 2.0);
  const std::vector<Parameter> narrow = {
      Range("a", Distribution::kUniform, 1, next), Range("b", Distribution::kLogUniform, 1e-3, std::nextafter(1e-3, 1)),
      Range("c", Distribution::kUniform, -5e-324, 5e-324), Range("d", Distribution::kRandInt, 0x1p53 - 1, 0x1p53)};
  // Alone they have one value, or two.
  for (const Parameter& p : narrow) {
    const Space space = Make({p});
    const auto searcher = Create(space);
    EXPECT_GE(RunTrials(searcher.get(), space, 0, 60).size(), 1u);
  }
  auto wide = narrow;
  wide.push_back(Range("x", Distribution::kUniform, 0, 1));
  const Space space = Make(std::move(wide));
  const auto searcher = Create(space);
  std::set<uint64_t> hashes;
  for (const Point& point : RunTrials(searcher.get(), space, 0, 60)) hashes.insert(HashPoint(point));
  EXPECT_EQ(hashes.size(), 60u);
}

TEST_P(SearcherSuite, ALongChainOfConditionsWorks) {
  if (may_repeat()) GTEST_SKIP() << "repeats points";
  if (numeric_only()) GTEST_SKIP() << "takes no conditions";
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
  std::vector<std::string> constraints = {"layers * batch <= 300", "momentum < 0.5 or batch > 32"};
  if (!numeric_only()) constraints.push_back("optimizer != 'none' or layers in [1, 2]");
  const auto space = Space::Create(Mixed().parameters(), constraints, &problems);
  ASSERT_TRUE(space) << problems[0].message;
  const auto searcher = Create(*space);
  const auto points = RunTrials(searcher.get(), *space, 0, 150);  // which checks each point
  EXPECT_EQ(points.size(), 150u);
  std::set<uint64_t> hashes;
  for (const Point& p : points) hashes.insert(HashPoint(p));
  EXPECT_EQ(hashes.size(), points.size());
}

TEST_P(SearcherSuite, AFiniteSpaceUnderConstraintsIsProposedWhollyOnce) {
  if (may_repeat()) GTEST_SKIP() << "repeats points";
  const std::vector<Parameter> parameters = {Range("a", Distribution::kRandInt, 0, 40),
                                             Range("b", Distribution::kRandInt, 0, 40),
                                             Range("c", Distribution::kRandInt, 0, 2)};
  std::vector<Parameter> more = parameters;  // too many points to be counted
  more.push_back(Range("d", Distribution::kRandInt, 0, 100));
  for (const bool counted : {true, false}) {
    Problems problems;
    const auto space =
        counted ? Space::Create(parameters, {"a + b == 7", "c == 0 or a < b"}, &problems)
                : Space::Create(more, {"a + b == 7", "c == 0 or a < b", "d == a"}, &problems);
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

TEST_P(SearcherSuite, SeveralObjectivesAndInfeasibleTrialsAreTakenOrRefused) {
  const Space space = Mixed();
  SearcherOptions options;
  options.type = GetParam().type;
  options.options = GetParam().options;
  options.goals = {Goal::kMin, Goal::kMax, Goal::kMin};
  Problems problems;
  const auto searcher = MakeSearcher(options, space, &problems);
  if (searcher == nullptr) {
    ASSERT_FALSE(problems.empty());
    EXPECT_EQ(problems[0].field, may_repeat() ? "search.compat" : "search.type");
    GTEST_SKIP() << problems[0].message;
  }
  std::set<uint64_t> hashes;
  for (uint32_t n = 0; n < 80; ++n) {
    const Suggestion s = searcher->Suggest(n);
    ASSERT_FALSE(s.exhausted);
    ASSERT_TRUE(space.Contains(s.point, nullptr));
    hashes.insert(HashPoint(s.point));
    searcher->Add(n, s.point);
    Observation observation = Ended(n, std::nan(""));
    const double third = n % 7 == 0 ? std::nan("") : ValueNumber(s.point[3]);
    observation.values = {Loss(s.point), std::floor(Loss(s.point)), third};
    if (n % 3 == 0) observation.violation = static_cast<double>(n);
    searcher->Observe(observation);
  }
  EXPECT_EQ(hashes.size(), 80u);
}

TEST_P(SearcherSuite, UnknownOptionsAreRefusedWithASuggestion) {
  SearcherOptions options = Options();
  options.options.push_back({"candidats", Value(int64_t{5})});
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

// --- recorded histories

// One call of a history. Every trial runs Add, some Reports, then Observe or Forget.
struct Call {
  enum class Kind : uint8_t { kSuggest, kAdd, kReport, kObserve, kForget };
  Kind kind = Kind::kSuggest;
  uint32_t trial = 0;
  Point point = {};
  RungReport report = {};
  Observation observation = {};
};

void Apply(const Call& call, Searcher* searcher) {
  switch (call.kind) {
    case Call::Kind::kSuggest:
      return;
    case Call::Kind::kAdd:
      return searcher->Add(call.trial, call.point);
    case Call::Kind::kReport:
      return searcher->Report(call.report);
    case Call::Kind::kObserve:
      return searcher->Observe(call.observation);
    case Call::Kind::kForget:
      return searcher->Forget(call.trial);
  }
}

struct History {
  std::vector<Call> calls;
  std::vector<Suggestion> suggestions;  // one per kSuggest
};

// A sweep of `trials` on up to `workers` workers: suggestions, now and then a point of the user, reports at rungs, ends
// of all kinds in any order.
History Record(Searcher* searcher, const Space& space, uint32_t trials, size_t workers, Rng* rng) {
  History history;
  const auto call = [&](Call c) {
    Apply(c, searcher);
    history.calls.push_back(std::move(c));
  };
  struct Running {
    uint32_t trial = 0;
    double loss = 0;
    int64_t rung = 0;
  };
  std::vector<Running> running;
  std::vector<std::pair<uint32_t, Point>> held;  // suggested, and announced a little later
  for (uint32_t next = 0; next < trials;) {
    if (running.size() + held.size() < workers && rng->Below(2) == 0) {
      Point point;
      if (rng->Below(10) == 0) {
        point = space.Sample(rng);
      } else {
        history.suggestions.push_back(searcher->Suggest(next));
        history.calls.push_back({.kind = Call::Kind::kSuggest, .trial = next});
        if (history.suggestions.back().exhausted) break;
        point = history.suggestions.back().point;
      }
      held.emplace_back(next++, std::move(point));
      continue;
    }
    if (!held.empty() && rng->Below(2) == 0) {
      auto [trial, point] = std::move(held.front());
      held.erase(held.begin());
      running.push_back({trial, Loss(point), 0});
      call({.kind = Call::Kind::kAdd, .trial = trial, .point = std::move(point)});
      continue;
    }
    if (running.empty()) continue;
    const size_t k = rng->Below(running.size());
    Running& r = running[k];
    const uint64_t dice = rng->Below(12);
    const double value = dice == 0 ? std::nan("") : std::floor(r.loss * 8);
    if (dice < 6 && r.rung < 9) {
      r.rung = r.rung == 0 ? 1 : 3 * r.rung;
      call({.kind = Call::Kind::kReport, .trial = r.trial, .report = {r.trial, r.rung, value + 1.0 / r.rung}});
      continue;
    }
    if (dice == 11) {
      call({.kind = Call::Kind::kForget, .trial = r.trial});
    } else {
      const auto outcome = dice == 10 ? Outcome::kFailed : (r.rung < 9 ? Outcome::kStopped : Outcome::kCompleted);
      Observation o = {.trial = r.trial, .outcome = outcome, .value = value, .step = r.rung};
      if (dice == 9) o.violation = 0.5;
      o.seconds = 10;
      call({.kind = Call::Kind::kObserve, .trial = r.trial, .observation = o});
    }
    running.erase(running.begin() + static_cast<ptrdiff_t>(k));
  }
  return history;
}

bool IsResult(const Call& call) { return call.kind == Call::Kind::kReport || call.kind == Call::Kind::kObserve; }

// Between two suggestions, another order in which each trial's own calls stay in theirs, and if asked all results.
std::vector<Call> Shuffled(std::vector<Call> calls, bool keep_results, Rng* rng) {
  for (size_t from = 0, to = 0; from < calls.size(); from = to + 1) {
    for (to = from; to < calls.size() && calls[to].kind != Call::Kind::kSuggest;) ++to;
    for (size_t swaps = 4 * (to - from); swaps > 0 && to - from > 1; --swaps) {
      const size_t k = from + rng->Below(to - from - 1);
      if (keep_results && IsResult(calls[k]) && IsResult(calls[k + 1])) continue;
      if (calls[k].trial != calls[k + 1].trial) std::swap(calls[k], calls[k + 1]);
    }
  }
  return calls;
}

// Replays the calls; `before` runs before each.
void ExpectSameSuggestions(const History& history, const std::vector<Call>& calls, Searcher* searcher,
                           const std::function<void()>& before = [] {}) {
  size_t next = 0;
  for (const Call& call : calls) {
    before();
    Apply(call, searcher);
    if (call.kind != Call::Kind::kSuggest) continue;
    const Suggestion& wanted = history.suggestions[next++];
    const Suggestion got = searcher->Suggest(call.trial);
    ASSERT_EQ(got.exhausted, wanted.exhausted) << call.trial;
    ASSERT_EQ(got.point, wanted.point) << call.trial;
    ASSERT_EQ(got.origin, wanted.origin) << call.trial;
  }
}

TEST_P(SearcherSuite, RecordedHistoriesReplayWhateverIsPreparedOrAskedInBetween) {
  const Space small = Make({Range("n", Distribution::kRandInt, 0, 12), Range("q", Distribution::kQUniform, 0, 1, 0.1)});
  for (uint64_t seed = 0; seed < 6; ++seed) {
    const Space space = seed % 3 == 2 ? small : Mixed();
    Rng rng(seed);
    // One is long enough for searchers that keep a sample.
    const History history =
        Record(Create(space, seed).get(), space, seed == 1 ? 450 : 120, 1 + 5 * static_cast<size_t>(seed), &rng);
    ASSERT_GT(history.suggestions.size(), 50u);
    ExpectSameSuggestions(history, history.calls, Create(space, seed).get());
    const auto prepared = Create(space, seed);
    ExpectSameSuggestions(history, history.calls, prepared.get(), [&] {
      if (rng.Below(3) == 0) prepared->Prepare();
    });
    const auto asked = Create(space, seed);
    ExpectSameSuggestions(history, history.calls, asked.get(), [&] {
      if (rng.Below(3) == 0) asked->Suggest(static_cast<uint32_t>(rng.Below(300)));
    });
    ExpectSameSuggestions(history, Shuffled(history.calls, fits_models(), &rng), Create(space, seed).get());
  }
}

TEST_P(SearcherSuite, ReportsChangeNothingForThoseThatIgnoreThem) {
  if (!ignores_reports()) GTEST_SKIP() << "learns from reports";
  const Space space = Mixed();
  Rng rng(3);
  const History history = Record(Create(space).get(), space, 120, 8, &rng);
  std::vector<Call> calls;
  for (const Call& call : history.calls) {
    if (call.kind != Call::Kind::kReport) calls.push_back(call);
  }
  ASSERT_LT(calls.size(), history.calls.size());
  ExpectSameSuggestions(history, calls, Create(space).get());
}

INSTANTIATE_TEST_SUITE_P(All, SearcherSuite, ::testing::ValuesIn(Subjects()),
                         [](const auto& suite) { return suite.param.name; });

}  // namespace
}  // namespace tunesmith
