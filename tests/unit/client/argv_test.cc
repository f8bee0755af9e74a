#include "client/argv.h"

#include <gtest/gtest.h>

namespace tunesmith {
namespace {

SweepSpec Spec(std::vector<std::string> command) {
  SweepSpec spec;
  spec.program.command = std::move(command);
  Parameter lr, opt, momentum;
  lr.name = "lr";
  opt.name = "opt";
  momentum.name = "momentum";
  spec.parameters = {lr, opt, momentum};
  return spec;
}

TEST(Argv, QuotesOnlyWhatAShellWouldChange) {
  EXPECT_EQ(ShellQuote("--lr=1e-05"), "--lr=1e-05");
  EXPECT_EQ(ShellQuote("two words"), "'two words'");
  EXPECT_EQ(ShellQuote("it's"), "'it'\\''s'");
  EXPECT_EQ(ShellQuote("$HOME"), "'$HOME'");
  EXPECT_EQ(ShellQuote(""), "''");
  EXPECT_EQ(ShellCommand({"python3", "a b.py"}), "python3 'a b.py'");
}

TEST(Argv, PutsOneFlagPerActiveParameterWhereArgsStands) {
  const SweepSpec spec = Spec({"train", "${args}", "--end"});
  const Point point = PointOf(spec, {{"lr", Value(0.1)}, {"opt", Value(std::string("adam"))}});
  EXPECT_EQ(ExpandCommand(spec, point, {}),
            (std::vector<std::string>{"train", "--lr=0.1", "--opt=adam", "--end"}));
}

TEST(Argv, ReplacesNamesAndKeepsWhatOnlyTheWorkerKnows) {
  const SweepSpec spec =
      Spec({"train", "rate=${lr}", "m=${momentum}", "run-${trial}", "${checkpoint_dir}/x", "$$5"});
  const Point point = PointOf(spec, {{"lr", Value(1e-5)}});
  EXPECT_EQ(ExpandCommand(spec, point, {{"trial", "7"}}),
            (std::vector<std::string>{"train", "rate=1e-05", "m=", "run-7", "${checkpoint_dir}/x",
                                      "$5"}));
}

TEST(Argv, IsEmptyForABuiltInTrainable) {
  EXPECT_TRUE(ExpandCommand(Spec({}), Point(3), {}).empty());
  EXPECT_EQ(ShellCommand({}), "");
}

}  // namespace
}  // namespace tunesmith
