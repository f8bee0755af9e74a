// A sweep that starts from the trials of earlier ones.
#include "server/core/warm_start.h"

#include <algorithm>

#include "common/limits.h"
#include "tests/unit/server/core/core_test.h"

namespace tunesmith {
namespace {

Parameter ChoiceOf(const std::string& name, std::vector<Value> options) {
  Parameter parameter;
  parameter.name = name;
  parameter.distribution = Distribution::kChoice;
  parameter.options = std::move(options);
  return parameter;
}

Parameter Whole(const std::string& name, double lo, double hi) {
  Parameter parameter;
  parameter.name = name;
  parameter.distribution = Distribution::kRandInt;
  parameter.lo = lo;
  parameter.hi = hi;
  return parameter;
}

Parameter When(Parameter parameter, const std::string& parent, Value value) {
  Condition condition;
  condition.on = parent;
  condition.values = {std::move(value)};
  parameter.when = {condition};
  return parameter;
}

Space SpaceOf(std::vector<Parameter> parameters) {
  Problems problems;
  auto space = Space::Create(std::move(parameters), &problems);
  EXPECT_TRUE(space.has_value()) << (problems.empty() ? "" : problems[0].message);
  return std::move(*space);
}

const Value kSgd(std::string("sgd")), kAdam(std::string("adam"));

TEST(MapPointTest, ValuesGoByNameAndTakeTheNewType) {
  const Space from = SpaceOf({UniformParameter("lr"), Whole("layers", 1, 9)});
  const Space to = SpaceOf({UniformParameter("layers_real"), Whole("layers", 1, 20), UniformParameter("lr")});
  const auto point = MapPoint(from, {0.5, int64_t{3}}, to);
  ASSERT_TRUE(point.has_value());
  EXPECT_FALSE(IsActive((*point)[0])) << "the earlier sweep had no such parameter";
  EXPECT_EQ((*point)[1], Value(int64_t{3}));
  EXPECT_EQ((*point)[2], Value(0.5));
  Parameter real = UniformParameter("layers");
  real.hi = 10;
  EXPECT_EQ((*MapPoint(from, {0.5, int64_t{3}}, SpaceOf({real})))[0], Value(3.0));
}

TEST(MapPointTest, AValueThatTheNewParameterDoesNotTakeDropsThePoint) {
  const Space from = SpaceOf({UniformParameter("lr"), Whole("layers", 1, 9)});
  const Space to = SpaceOf({UniformParameter("lr"), Whole("layers", 1, 5)});
  EXPECT_TRUE(MapPoint(from, {0.5, int64_t{4}}, to).has_value());
  EXPECT_FALSE(MapPoint(from, {0.5, int64_t{5}}, to).has_value());
  EXPECT_FALSE(MapPoint(from, {0.5, int64_t{4}}, SpaceOf({ChoiceOf("layers", {int64_t{1}, int64_t{2}})})).has_value());
}

TEST(MapPointTest, NothingInCommonIsNoPoint) {
  EXPECT_FALSE(MapPoint(SpaceOf({UniformParameter("a")}), {0.5}, SpaceOf({UniformParameter("b")})).has_value());
}

TEST(MapPointTest, ConstantsDoNotCount) {
  Parameter old_data = ChoiceOf("data", {Value(std::string("/data/a"))});
  old_data.distribution = Distribution::kConstant;
  Parameter new_data = old_data;
  new_data.options = {Value(std::string("/data/b"))};
  const auto point =
      MapPoint(SpaceOf({old_data, UniformParameter("lr")}), {old_data.options[0], 0.5},
               SpaceOf({new_data, UniformParameter("lr")}));
  ASSERT_TRUE(point.has_value());
  EXPECT_EQ(*point, (Point{new_data.options[0], 0.5}));
}

TEST(MapPointTest, ConditionsOfTheNewSpaceHold) {
  const Space from = SpaceOf({ChoiceOf("opt", {kSgd, kAdam}), UniformParameter("momentum")});
  const Space to = SpaceOf({ChoiceOf("opt", {kSgd, kAdam}), When(UniformParameter("momentum"), "opt", kSgd)});
  EXPECT_EQ(*MapPoint(from, {kSgd, 0.9}, to), (Point{kSgd, 0.9}));
  EXPECT_EQ(*MapPoint(from, {kAdam, 0.9}, to), (Point{kAdam, Value()})) << "inactive now";
}

TEST(MapPointTest, AChildOfAnUnknownParentKeepsItsValue) {
  const Space from = SpaceOf({UniformParameter("momentum")});
  const Space to = SpaceOf({ChoiceOf("opt", {kSgd, kAdam}), When(UniformParameter("momentum"), "opt", kSgd)});
  EXPECT_EQ(*MapPoint(from, {0.9}, to), (Point{Value(), 0.9}));
}

TEST(MapPointTest, ConstraintsOfTheNewSpaceHold) {
  const Space from = SpaceOf({UniformParameter("a"), UniformParameter("b")});
  Problems problems;
  const auto to = Space::Create({UniformParameter("a"), UniformParameter("b")}, {"a + b < 1"}, &problems);
  ASSERT_TRUE(to.has_value());
  EXPECT_TRUE(MapPoint(from, {0.25, 0.5}, *to).has_value());
  EXPECT_FALSE(MapPoint(from, {0.75, 0.5}, *to).has_value());
}

class WarmStartTest : public CoreTest {
 protected:
  // A sweep whose trials ended with these losses, one after the other.
  SweepId Ran(const std::string& name, const std::vector<double>& losses) {
    const SessionId worker = Connect("w", 1);
    const SweepId id = Create(SpecOf(name, static_cast<int64_t>(losses.size())));
    for (uint32_t n = 0; n < losses.size(); ++n) Finish(worker, RefOf(id, n), losses[n]);
    EXPECT_EQ(SweepOf(id).state, SweepState::kSucceeded);
    Post(WorkerDisconnected{worker});
    effects_.clear();
    return id;
  }
  static SweepSpec Warm(std::vector<std::string> from) {
    SweepSpec spec = SpecOf("warm", 5);
    spec.search.warm_start = std::move(from);
    return spec;
  }
  std::string Refusal(const SweepSpec& spec) {
    const Reply reply = Do(CreateSweep{spec, "", 11, false});
    EXPECT_EQ(reply.status.code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(reply.reason, "SWEEP_INVALID");
    if (reply.problems.size() != 1) return "not one problem";
    EXPECT_EQ(reply.problems[0].field, "search.warm_start");
    return reply.problems[0].message + " (" + reply.problems[0].hint + ")";
  }
  std::vector<EarlierTrial> Started() { return TakeEffects<StartSearcher>().at(0).options.earlier; }
};

TEST_F(WarmStartTest, TheSearcherGetsTheEndedTrialsOfTheEarlierSweep) {
  const SweepId old_sweep = Ran("old", {0.5, 0.25, 0.75});
  const SweepId id = Create(Warm({"old"}));
  const auto earlier = Started();
  ASSERT_EQ(earlier.size(), 3u);
  for (uint32_t n = 0; n < 3; ++n) {
    EXPECT_TRUE(SamePoint(earlier[n].point, TrialOf(old_sweep, n).point));
    EXPECT_EQ(earlier[n].value, TrialOf(old_sweep, n).last_value);
  }
  EXPECT_EQ(SweepOf(id).warm_started, (std::vector<std::pair<std::string, uint32_t>>{{"old", 3}}));
}

TEST_F(WarmStartTest, ItOutlivesTheEarlierSweepAndARestart) {
  const SweepId old_sweep = Ran("old", {0.5, 0.25, 0.75});
  const SweepId id = Create(Warm({"old"}));
  const auto earlier = Started();
  EXPECT_TRUE(Control(old_sweep, Operation::kDelete).status.ok());
  const uint64_t hash = state().Hash();
  effects_.clear();
  Restart();
  EXPECT_EQ(Started(), earlier);
  EXPECT_EQ(state().Hash(), hash);
  EXPECT_EQ(SweepOf(id).warm_started.at(0).first, "old");
}

TEST_F(WarmStartTest, SeveralSweepsInTheirOrder) {
  Ran("a", {0.1});
  Ran("b", {0.2, 0.3});
  const SweepId id = Create(Warm({"b", "a"}));
  const auto earlier = Started();
  ASSERT_EQ(earlier.size(), 3u);
  EXPECT_EQ(earlier[0].value, 0.2);
  EXPECT_EQ(earlier[2].value, 0.1);
  EXPECT_EQ(SweepOf(id).warm_started, (std::vector<std::pair<std::string, uint32_t>>{{"b", 2}, {"a", 1}}));
}

TEST_F(WarmStartTest, OnlyEndedTrialsWithAFiniteValueCount) {
  const SessionId worker = Connect("w", 5);
  SweepSpec spec = SpecOf("old", 5);
  const SweepId old_sweep = Create(spec);
  Finish(worker, RefOf(old_sweep, 0), kNan);
  Finish(worker, RefOf(old_sweep, 1), std::numeric_limits<double>::infinity());
  Report(worker, RefOf(old_sweep, 2), 1, 0.5);
  Ended(worker, RefOf(old_sweep, 2), ExitCode(1));
  Finish(worker, RefOf(old_sweep, 3), 0.5);
  Report(worker, RefOf(old_sweep, 4), 1, 0.1);  // still runs
  effects_.clear();
  Create(Warm({"old"}));
  const auto earlier = Started();
  ASSERT_EQ(earlier.size(), 1u);
  EXPECT_EQ(earlier[0].value, 0.5);
}

TEST_F(WarmStartTest, OfRepeatedPointsTheMeanCounts) {
  const SessionId worker = Connect("w", 4);
  SweepSpec spec = SpecOf("old", 2);
  spec.repeats = 2;
  const SweepId old_sweep = Create(spec);
  Finish(worker, RefOf(old_sweep, 0), 0.25);
  Finish(worker, RefOf(old_sweep, 1), 0.75);
  Finish(worker, RefOf(old_sweep, 2), 0.25);  // its point has not ended
  effects_.clear();
  Create(Warm({"old"}));
  const auto earlier = Started();
  ASSERT_EQ(earlier.size(), 1u);
  EXPECT_EQ(earlier[0].value, 0.5);
}

TEST_F(WarmStartTest, AnUnknownSweepIsToldWithTheClosestOne) {
  Ran("digits", {0.5});
  EXPECT_EQ(Refusal(Warm({"dgits"})), "there is no sweep \"dgits\" (did you mean \"digits\"?)");
  EXPECT_EQ(Refusal(Warm({"xxxxxxxxxxxxxx"})),
            "there is no sweep \"xxxxxxxxxxxxxx\" (name a sweep of this controller; tunesmith ls lists them)");
  EXPECT_FALSE(Do(CreateSweep{Warm({"dgits"}), "", 11, /*validate_only=*/true}).status.ok()) << "checked ahead, too";
}

TEST_F(WarmStartTest, TheOtherGoalIsRefused) {
  Ran("old", {0.5});
  SweepSpec spec = Warm({"old"});
  spec.search.metric = "accuracy";
  spec.search.goal = Goal::kMax;
  EXPECT_EQ(Refusal(spec),
            "sweep old follows the other goal: it minimises loss (leave it out, or let both follow a metric with the "
            "same goal)");
}

TEST_F(WarmStartTest, SeveralObjectivesAreRefused) {
  SweepSpec spec = SpecOf("front", 1);
  spec.search.type = "tpe";
  spec.search.objectives = {{"loss", Goal::kMin}, {"latency", Goal::kMin}};
  const SweepId front = Create(spec);
  EXPECT_EQ(Refusal(Warm({"front"})), "sweep front has several objectives, so its trials have no order (leave it out)");
  Control(front, Operation::kStop);
  Ran("old", {0.5});
  spec.search.warm_start = {"old"};
  EXPECT_EQ(Refusal(spec),
            "a search with several metrics starts from nothing (leave it out, or follow one metric)");
}

TEST_F(WarmStartTest, TrialsThatMissARequirementAreLeftOut) {
  const SessionId worker = Connect("w", 2);
  SweepSpec spec = SpecOf("old", 2);
  spec.search.require = {"latency <= 20"};
  const SweepId old_sweep = Create(spec);
  for (const uint32_t n : {0u, 1u}) {
    Post(WorkerRecords{
        worker, {MeasuredOf(RefOf(old_sweep, n), 1, {{"loss", 0.5 + n}, {"latency", n == 0 ? 50.0 : 10.0}})}});
    Ended(worker, RefOf(old_sweep, n), ExitCode(0));
  }
  effects_.clear();
  Create(Warm({"old"}));
  const auto earlier = Started();
  ASSERT_EQ(earlier.size(), 1u);
  EXPECT_EQ(earlier[0].value, 1.5);
}

TEST_F(WarmStartTest, AnEarlierSweepThatGivesNothingIsRefused) {
  const SweepId empty = Create(SpecOf("empty", 1));
  EXPECT_EQ(Refusal(Warm({"empty"})), "sweep empty has no trial that ended with a value (leave it out)");
  Control(empty, Operation::kStop);
  Ran("old", {0.5});
  SweepSpec spec = Warm({"old"});
  spec.parameters = {UniformParameter("other")};
  EXPECT_EQ(Refusal(spec), "no trial of sweep old fits these parameters (leave it out)");
}

TEST_F(WarmStartTest, OfManyTrialsTheBestAndTheLatestAreTaken) {
  std::vector<double> losses;
  for (size_t n = 0; n < kWarmStartTrialsMax + 200; ++n) losses.push_back(static_cast<double>(n));  // best first
  Ran("old", losses);
  const SweepId id = Create(Warm({"old"}));
  const auto earlier = Started();
  ASSERT_EQ(earlier.size(), kWarmStartTrialsMax);
  const size_t half = kWarmStartTrialsMax / 2;
  for (size_t n = 0; n < half; ++n) EXPECT_EQ(earlier[n].value, static_cast<double>(n));
  for (size_t n = half; n < 2 * half; ++n) EXPECT_EQ(earlier[n].value, static_cast<double>(n + 200));
  EXPECT_EQ(SweepOf(id).warm_started.at(0).second, kWarmStartTrialsMax);
}

TEST_F(WarmStartTest, AnEndedSweepKeepsTheCountAlone) {
  Ran("old", {0.5, 0.25});
  const SweepId id = Create(Warm({"old"}));
  ASSERT_EQ(SweepOf(id).earlier.size(), 2u);
  Control(id, Operation::kStop);
  EXPECT_TRUE(SweepOf(id).earlier.empty());
  EXPECT_EQ(SweepOf(id).warm_started.at(0).second, 2u);
}

}  // namespace
}  // namespace tunesmith
