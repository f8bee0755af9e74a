#include "spec/wire.h"

#include <gtest/gtest.h>

#include "tests/unit/spec/random_spec.h"
#include "tunesmith/v1/sweep.pb.h"

namespace tunesmith {
namespace {

namespace pb = tunesmith::v1;

SweepSpec Read(const pb::SweepSpec& message, Problems* problems) {
  auto spec = SweepSpecFromWire(message.SerializeAsString(), problems);
  EXPECT_TRUE(spec.ok());
  return *spec;
}

TEST(WireTest, ASpecSurvivesTheMessage) {
  int valid = 0;
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    const SweepSpec spec = RandomSpec(seed).Make();
    if (!Validate(spec).empty()) continue;
    ++valid;
    Problems problems;
    const auto back = SweepSpecFromWire(SweepSpecToWire(spec), &problems);
    ASSERT_TRUE(back.ok());
    ASSERT_TRUE(problems.empty()) << problems[0].field << problems[0].message;
    ASSERT_TRUE(*back == spec) << "seed " << seed << "\n" << SweepSpecToJson(spec);
  }
  EXPECT_GT(valid, 1000);
}

TEST(WireTest, WhatAMessageLeavesOutHasTheDefaultsOfTheSweepFile) {
  pb::SweepSpec message;
  message.mutable_search()->set_metric("loss");
  message.mutable_search()->set_goal(pb::GOAL_MAX);
  Problems problems;
  SweepSpec expected;
  expected.search.metric = "loss";
  expected.search.goal = Goal::kMax;
  EXPECT_TRUE(Read(message, &problems) == expected);
  EXPECT_TRUE(problems.empty());
}

TEST(WireTest, AnExplicitZeroIsNotADefault) {
  pb::SweepSpec message;
  message.mutable_retry()->set_lost(0);
  message.mutable_resources()->set_cpus(0);
  message.mutable_scheduler()->set_brackets(0);
  message.mutable_scheduler()->set_min_samples_required(0);
  message.mutable_scheduler()->set_stop_last_trials(false);
  message.mutable_stop_grace();
  Problems problems;
  const SweepSpec spec = Read(message, &problems);
  EXPECT_EQ(spec.retry.lost, 0);
  EXPECT_EQ(spec.resources.cpus, 0);
  EXPECT_EQ(spec.scheduler.brackets, 0);
  EXPECT_EQ(spec.scheduler.min_samples_required, 0);
  EXPECT_FALSE(spec.scheduler.stop_last_trials);
  EXPECT_EQ(spec.stop_grace_ms, 0);
}

TEST(WireTest, TheSchedulersGoalFollowsTheSearchersOnTheSameMetric) {
  pb::SweepSpec message;
  message.mutable_search()->set_metric("loss");
  message.mutable_search()->set_goal(pb::GOAL_MAX);
  message.mutable_scheduler()->set_metric("loss");
  Problems problems;
  EXPECT_EQ(Read(message, &problems).scheduler.goal, Goal::kMax);
  EXPECT_TRUE(problems.empty());
}

TEST(WireTest, BytesThatAreNoMessageAreRefused) {
  Problems problems;
  EXPECT_EQ(SweepSpecFromWire("\xff\xff\xff", &problems).status().code(),
            StatusCode::kInvalidArgument);
}

TEST(WireTest, WhatOnlyAMessageCanGetWrongIsToldWithItsField) {
  pb::SweepSpec message;
  message.mutable_search()->set_metric("loss");
  message.mutable_scheduler()->set_metric("accuracy");
  message.add_parameters()->set_name("lr");
  auto* momentum = message.add_parameters();
  momentum->set_name("momentum");
  momentum->mutable_uniform()->set_hi(1);
  auto* condition = momentum->add_when();
  condition->set_parameter("Lr");
  condition->set_op(pb::ParameterSpec::Condition::IN);
  momentum->add_when()->set_parameter("lr");
  message.add_collect();
  message.mutable_program()->set_args(static_cast<pb::ProgramSpec::ArgStyle>(17));
  message.mutable_budget()->mutable_wall()->set_seconds(INT64_MAX);
  Problems problems;
  Read(message, &problems);
  std::vector<std::string> fields;
  for (const Problem& problem : problems) fields.push_back(problem.field);
  EXPECT_EQ(fields, (std::vector<std::string>{"args", "parameters.lr", "parameters.momentum.when",
                                              "parameters.momentum.when", "search.mode",
                                              "scheduler.mode", "budget.wall", "collect[0]"}));
  EXPECT_EQ(problems[3].hint, "did you mean \"lr\"?");
}

TEST(WireTest, JsonValuesAreBroughtToOneForm) {
  pb::SweepSpec message;
  auto* p = message.add_parameters();
  p->set_name("betas");
  p->mutable_choice()->add_values()->set_json_value("[0.9, 0.99 ]");
  p->mutable_choice()->add_values()->set_json_value("not json");
  Problems problems;
  const SweepSpec spec = Read(message, &problems);
  EXPECT_EQ(spec.parameters[0].options[0], Value(JsonValue{"[0.9,0.99]"}));
  bool refused = false;
  for (const Problem& problem : Validate(spec))
    refused = refused || problem.field == "parameters.betas.choice";
  EXPECT_TRUE(refused);
}

}  // namespace
}  // namespace tunesmith
