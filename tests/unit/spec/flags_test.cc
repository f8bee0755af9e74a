#include <gtest/gtest.h>

#include "spec/quick.h"

namespace tunesmith {
namespace {

Parameter Good(std::string_view text) {
  Problems problems;
  const auto parameter = ParseParameterFlag(text, &problems);
  EXPECT_TRUE(parameter.has_value())
      << text << ": " << (problems.empty() ? "" : problems[0].message);
  return parameter.value_or(Parameter());
}

std::string Bad(std::string_view text) {
  Problems problems;
  EXPECT_FALSE(ParseParameterFlag(text, &problems).has_value()) << text;
  return problems.empty()
             ? ""
             : problems[0].field + ": " + problems[0].message + " (" + problems[0].hint + ")";
}

QuickFlags Quick() {
  QuickFlags flags;
  flags.params = {"lr=loguniform(1e-5,1e-1)", "bs=choice(32,64)"};
  flags.metric = "loss:min";
  flags.trials = "50";
  flags.command = {"python3", "train.py"};
  return flags;
}

TEST(FlagsTest, ADistributionIsWrittenAsACall) {
  const Parameter lr = Good("lr=loguniform(1e-5,1e-1)");
  EXPECT_EQ(lr.name, "lr");
  EXPECT_EQ(lr.distribution, Distribution::kLogUniform);
  EXPECT_EQ(lr.lo, 1e-5);
  EXPECT_EQ(lr.hi, 1e-1);
  EXPECT_EQ(Good("q = quniform( 0, 1, 0.25 )").q, 0.25);
  EXPECT_EQ(Good("bs=choice(32,64)").options, (std::vector<Value>{int64_t{32}, int64_t{64}}));
  EXPECT_EQ(Good("o=choice(sgd,\"a,b)\",[0.9,0.99],true)").options,
            (std::vector<Value>{"sgd", "a,b)", JsonValue{"[0.9,0.99]"}, true}));
  EXPECT_EQ(Good("g=grid(1,2)").distribution, Distribution::kGrid);
}

TEST(FlagsTest, AnythingElseIsAConstant) {
  EXPECT_EQ(Good("x=3").options, (std::vector<Value>{int64_t{3}}));
  EXPECT_EQ(Good("x=1e-5").options, (std::vector<Value>{1e-5}));
  EXPECT_EQ(Good("x=a: b # c").options, (std::vector<Value>{"a: b # c"}));
  EXPECT_EQ(Good("x='3'").options, (std::vector<Value>{"3"}));
  EXPECT_EQ(Good("x=[1, 2]").options, (std::vector<Value>{JsonValue{"[1,2]"}}));
  EXPECT_EQ(Good("x=a=b").options, (std::vector<Value>{"a=b"}));
  EXPECT_EQ(Good("x=/a/b(c)").options, (std::vector<Value>{"/a/b(c)"}));
}

TEST(FlagsTest, AConditionNamesItsParent) {
  const Parameter m = Good("m=uniform(0.5,0.99) when opt=sgd and layers>2");
  ASSERT_EQ(m.when.size(), 2U);
  EXPECT_EQ(m.when[0].on, "opt");
  EXPECT_EQ(m.when[0].values, (std::vector<Value>{"sgd"}));
  EXPECT_EQ(m.when[1].op, Condition::Op::kGreater);
  EXPECT_EQ(Good("x=choice(\"a when b\",c)").options.size(), 2U);
}

TEST(FlagsTest, MistakesAreToldWithAHint) {
  EXPECT_EQ(Bad("lr"),
            "parameters: \"lr\" is not a parameter (write lr=loguniform(1e-5,1e-1), "
            "bs=choice(32,64) or x=3)");
  EXPECT_EQ(Bad("lr=unifrom(0,1)"),
            "parameters.lr.unifrom: unknown distribution \"unifrom\" (did you mean \"uniform\"?)");
  EXPECT_EQ(
      Bad("lr=uniform(0)"),
      "parameters.lr.uniform: uniform takes 2 numbers, not 1 (write uniform: [lower, upper])");
  EXPECT_EQ(Bad("lr=uniform(0,1) when"),
            "parameters.lr.when: the condition is empty (write it as optimizer == 'sgd')");
  EXPECT_EQ(Bad("lr="),
            "parameters.lr: the parameter has no distribution (write loguniform(1e-5,1e-1), "
            "choice(a,b) or a value)");
  EXPECT_NE(Bad("lr=choice(a,[b)"), "");
  EXPECT_NE(Bad("lr=uniform(0,1) when or"), "");
}

TEST(FlagsTest, FlagsMakeASweep) {
  QuickFlags flags = Quick();
  flags.params.push_back("opt=choice(sgd,adam)");
  flags.params.push_back("m=uniform(0.5,0.99) when opt=sgd");
  flags.search = "tpe:startup_trials=5,seed=7";
  flags.scheduler = "asha:max_t=27,reduction_factor=3,metric=acc,mode=max";
  flags.resources = "gpus=1,gpus_optional=true,gpu_memory=16GiB,labels.zone=a,labels.rack=7,placement=spread";
  flags.stop = "max_steps=9,plateau=0.001,target=-1e-3";
  flags.budget = "wall=8h,gpu_hours=1.5";
  flags.max_parallel = "4";
  flags.repeats = "3";
  flags.env = {"A=b=c"};
  flags.collect = {"json", "loss=(?P<loss>\\S+)"};
  flags.name = "quick";
  flags.constraints = {"lr < 0.05 or opt == 'adam'", "m > 0.6"};
  Problems problems;
  const auto spec = SpecFromFlags(flags, &problems);
  ASSERT_TRUE(spec) << problems[0].field << " " << problems[0].message;
  EXPECT_EQ(spec->name, "quick");
  EXPECT_EQ(spec->program.command, (std::vector<std::string>{"python3", "train.py", "${args}"}));
  EXPECT_EQ(spec->parameters.size(), 4U);
  EXPECT_EQ(spec->parameters[3].when[0].parent, 2U);
  EXPECT_EQ(spec->constraints, flags.constraints);
  EXPECT_EQ(spec->search.metric, "loss");
  EXPECT_EQ(spec->search.seed, 7U);
  EXPECT_EQ(spec->scheduler.max_t, 27);
  EXPECT_EQ(spec->scheduler.goal, Goal::kMax);
  EXPECT_EQ(spec->resources, (ResourceSpec{1, true, 1, int64_t{16} << 30, {{"zone", "a"}, {"rack", "7"}},
                                           Placement::kSpread}));
  EXPECT_EQ(spec->budget.trials, 50);
  EXPECT_EQ(spec->budget.max_parallel, 4);
  EXPECT_EQ(spec->budget.gpu_hours, 1.5);
  EXPECT_EQ(spec->budget.wall_ms, 8 * 3'600'000);
  EXPECT_EQ(spec->stop.max_steps, 9);
  EXPECT_EQ(spec->stop.target, -1e-3);
  EXPECT_EQ(spec->stop.plateau, (PlateauSpec{"", 0.001, 4, 4}));
  EXPECT_EQ(spec->repeats, 3);
  EXPECT_EQ(spec->program.env[0].second, "b=c");
  EXPECT_EQ(spec->collect.size(), 2U);
}

TEST(FlagsTest, SeveralMetricsAreSeparatedByCommas) {
  Problems problems;
  QuickFlags flags = Quick();
  flags.metric = "acc,top 1:max, latency:min";
  flags.require = {"latency <= 20"};
  const auto spec = SpecFromFlags(flags, &problems);
  ASSERT_TRUE(spec) << problems[0].field << " " << problems[0].message;
  EXPECT_EQ(spec->search.objectives,
            (std::vector<Objective>{{"acc,top 1", Goal::kMax}, {"latency", Goal::kMin}}));
  EXPECT_EQ(spec->search.require, flags.require);
  EXPECT_EQ(spec->search.type, SearchSpec().type);
}

TEST(FlagsTest, ASweepCanStartFromAnEarlierOne) {
  QuickFlags flags = Quick();
  flags.search = "tpe:warm_start=2024,seed=7";
  Problems problems;
  const auto spec = SpecFromFlags(flags, &problems);
  ASSERT_TRUE(spec) << problems[0].field << " " << problems[0].message;
  EXPECT_EQ(spec->search.warm_start, std::vector<std::string>{"2024"});
}

TEST(FlagsTest, ArgsAreAppendedOnlyWhereNothingElseDeliversTheParameters) {
  Problems problems;
  QuickFlags flags = Quick();
  flags.command = {"a", "--lr=${lr}", "--bs=${bs}"};
  EXPECT_EQ(SpecFromFlags(flags, &problems)->program.command, flags.command);
  flags.command = {"a", "${trial}"};
  EXPECT_EQ(SpecFromFlags(flags, &problems)->program.command.back(), "${args}");
  flags.args = "none";
  EXPECT_EQ(SpecFromFlags(flags, &problems)->program.command, flags.command);
}

TEST(FlagsTest, EveryWrongFlagIsToldAtOnceWithTheFieldsOfTheFile) {
  QuickFlags flags = Quick();
  flags.params = {"lr=loguniform(0,1)", "x"};
  flags.metric = "loss";
  flags.trials = "0";
  flags.scheduler = "asha:maxt=3";
  flags.resources = "gpus";
  Problems problems;
  EXPECT_FALSE(SpecFromFlags(flags, &problems));
  std::vector<std::string> fields;
  for (const Problem& problem : problems) fields.push_back(problem.field);
  std::sort(fields.begin(), fields.end());
  EXPECT_EQ(fields, (std::vector<std::string>{"metric", "parameters", "resources", "scheduler.maxt",
                                              "trials"}));
}

}  // namespace
}  // namespace tunesmith
