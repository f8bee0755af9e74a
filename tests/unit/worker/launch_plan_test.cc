#include "worker/process/launch_plan.h"

#include <gtest/gtest.h>

namespace tunesmith::worker {
namespace {

Assignment Sample() {
  Assignment assignment;
  assignment.key = {{{SweepId(3), 12}, 2}, LeaseEpoch(40)};
  assignment.sweep_id = "digits";
  assignment.seed = 77;
  assignment.parameters = {{"lr", "0.1", "0.1"},
                           {"nesterov", "true", "true"},
                           {"optimizer/momentum", "0.9", "0.9"},
                           {"betas", "[0.9,0.99]", "[0.9,0.99]"},
                           {"name", "a b$c", "\"a b$c\""}};
  return assignment;
}

TEST(PathsTest, FoldersAreNamedByNumbersAndTheSweep) {
  const AttemptPaths paths = PathsOf("/s/trials", Sample());
  EXPECT_EQ(paths.folder, "/s/trials/3-digits/12/attempt-2");
  EXPECT_EQ(paths.checkpoint_dir, "/s/trials/3-digits/12/checkpoints");
  Assignment hostile = Sample();
  for (const char* id : {"../../etc", "", ".", "a/b", "-\n"}) {
    hostile.sweep_id = id;
    EXPECT_EQ(PathsOf("/s", hostile).folder.find(".."), std::string::npos);
  }
  hostile.sweep_id = "../../etc";
  EXPECT_EQ(PathsOf("/s", hostile).folder, "/s/3/12/attempt-2");
}

TEST(ExpansionTest, NamesAreReplaced) {
  const Assignment assignment = Sample();
  const AttemptPaths paths = PathsOf("/s", assignment);
  const std::pair<const char*, const char*> cases[] = {
      {"plain", "plain"},
      {"--lr=${lr}", "--lr=0.1"},
      {"${lr}${nesterov}", "0.1true"},
      {"${optimizer/momentum}", "0.9"},
      {"${betas}", "[0.9,0.99]"},
      {"${name}", "a b$c"},
      {"${inactive}", ""},
      {"${trial}/${attempt}/${seed}/${sweep}", "12/2/77/digits"},
      {"${config}", "/s/3-digits/12/attempt-2/config.json"},
      {"${checkpoint_dir}", "/s/3-digits/12/checkpoints"},
      {"$$", "$"},
      {"$${lr}", "${lr}"},
      {"$$$${lr}", "$${lr}"},
      {"$HOME", "$HOME"},
      {"cost: 5$", "cost: 5$"},
      {"", ""},
  };
  for (const auto& [text, expanded] : cases) {
    const auto got = ExpandText(text, assignment, paths);
    ASSERT_TRUE(got.ok()) << text;
    EXPECT_EQ(*got, expanded) << text;
  }
  EXPECT_FALSE(ExpandText("${lr", assignment, paths).ok());
  EXPECT_FALSE(ExpandText("--x=${args}", assignment, paths).ok());
}

TEST(ExpansionTest, EveryArgStyle) {
  Assignment assignment = Sample();
  assignment.parameters.resize(3);
  using Args = std::vector<std::string>;
  const std::pair<ArgStyle, Args> cases[] = {
      {ArgStyle::kGnu, {"--lr=0.1", "--nesterov=true", "--optimizer.momentum=0.9"}},
      {ArgStyle::kSpaced, {"--lr", "0.1", "--nesterov", "true", "--optimizer.momentum", "0.9"}},
      {ArgStyle::kHydra, {"lr=0.1", "nesterov=true", "optimizer.momentum=0.9"}},
      {ArgStyle::kSingleDash, {"-lr", "0.1", "-nesterov", "true", "-optimizer.momentum", "0.9"}},
      {ArgStyle::kNone, {}},
  };
  for (const auto& [style, args] : cases) {
    assignment.args = style;
    EXPECT_EQ(ExpandArgs(assignment), args);
  }
}

std::string Compact(std::string json) {
  std::erase_if(json, [](char c) { return c == ' ' || c == '\n'; });
  return json;
}

TEST(ConfigJsonTest, NestedNamesBecomeObjects) {
  Assignment assignment;
  assignment.parameters = {{"a/b/c", "1", "1"}, {"a/d", "x", "\"x\""}, {"e", "nan", "\"nan\""}};
  EXPECT_EQ(Compact(ConfigJson(assignment)), R"({"a":{"b":{"c":1},"d":"x"},"e":"nan"})");
}

TEST(ConfigJsonTest, LevelThatIsAValueKeepsTheFullName) {
  Assignment assignment;
  assignment.parameters = {{"optimizer/momentum", "0.9", "0.9"}, {"optimizer", "sgd", "\"sgd\""}};
  EXPECT_EQ(Compact(ConfigJson(assignment)), R"({"optimizer/momentum":0.9,"optimizer":"sgd"})");
}

TEST(ConfigJsonTest, BuiltinMergesItsOptionsAndParametersWin) {
  Assignment assignment;
  assignment.builtin = "lenet";
  assignment.options = {{"dataset", "digits", "\"digits\""}, {"lr", "0.5", "0.5"}};
  assignment.parameters = {{"lr", "0.1", "0.1"}};
  EXPECT_EQ(Compact(ConfigJson(assignment)), R"({"dataset":"digits","lr":0.1,"model":"lenet"})");
}

TEST(ConfigJsonTest, BytesThatAreNoTextDoNoHarm) {
  Assignment assignment;
  assignment.parameters = {{"\xff", "\xfe", "\xfe"}};
  EXPECT_NE(ConfigJson(assignment).find("\xEF\xBF\xBD"), std::string::npos);
  EXPECT_EQ(ConfigJson(Assignment()), "{}\n");
}

TEST(LaunchPlanTest, EnvironmentOfTheSweepWinsOverTheDaemons) {
  Assignment assignment = Sample();
  assignment.command = {"/bin/sh"};
  assignment.workdir = "/tmp";
  assignment.env = {{"LR", "${lr}"}, {"OMP_NUM_THREADS", "2"}, {"A", "sweep"}};
  assignment.cpus = 8;
  const auto plan = PlanLaunch(
      assignment, PathsOf("/s", assignment),
      {{{"A", "daemon"}, {"B", "daemon"}, {"TUNESMITH_CHANNEL", "9"}, {"TUNESMITH_MAX_STEP", "1"}},
       "",
       false});
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->env.at("A"), "sweep");
  EXPECT_EQ(plan->env.at("B"), "daemon");
  EXPECT_EQ(plan->env.at("LR"), "0.1");
  EXPECT_EQ(plan->env.at("OMP_NUM_THREADS"), "2");
  EXPECT_EQ(plan->env.at("TUNESMITH_CPUS"), "8");
  EXPECT_EQ(plan->env.at("CUDA_VISIBLE_DEVICES"), "");
  EXPECT_EQ(plan->env.count("TUNESMITH_CHANNEL"), 0u) << "of another daemon";
  EXPECT_EQ(plan->env.count("TUNESMITH_MAX_STEP"), 0u);
  EXPECT_EQ(plan->env.count("TUNESMITH_RESUME_FROM"), 0u);
}

TEST(LaunchPlanTest, SeveralRanksAreStartedByTheirStarter) {
  Assignment assignment = Sample();
  assignment.command = {"sh", "-c", "true"};
  assignment.workdir = "/tmp";
  assignment.ranks = 4;
  assignment.cpus = 8;
  assignment.stop_grace = Seconds(3);
  LaunchContext context{{{"PATH", "/nowhere:/bin"}}, "", false, "/bin/true"};
  const auto plan = PlanLaunch(assignment, PathsOf("/s", assignment), context);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->executable, "/bin/true");
  EXPECT_EQ(plan->argv, (std::vector<std::string>{"/bin/true", "4", "3000", "/bin/sh", "-c", "true"}));
  EXPECT_EQ(plan->env.at("OMP_NUM_THREADS"), "2") << "of each";
  EXPECT_EQ(plan->env.at("TUNESMITH_CPUS"), "2");

  context.ranks_starter = "/nowhere/tunesmith-ranks";
  const Status missing = PlanLaunch(assignment, PathsOf("/s", assignment), context).status();
  EXPECT_EQ(missing.code(), StatusCode::kNotFound);
  EXPECT_NE(Message(missing).find("install tunesmith-ranks beside tunesmith-worker"), std::string::npos);
  // What is wrong with the program itself is said as for one rank.
  assignment.command = {"no-such-program"};
  context.ranks_starter = "/bin/true";
  EXPECT_NE(Message(PlanLaunch(assignment, PathsOf("/s", assignment), context).status()).find("no-such-program"),
            std::string::npos);
}

}  // namespace
}  // namespace tunesmith::worker
