#include <gtest/gtest.h>

#include <cmath>

#include "common/limits.h"
#include "tests/unit/search/spaces.h"

namespace tunesmith {
namespace {

using testing_spaces::Choice;
using testing_spaces::Constant;
using testing_spaces::Normal;
using testing_spaces::Range;
using testing_spaces::When;

Problems Wrong(std::vector<Parameter> parameters) {
  Problems problems;
  EXPECT_FALSE(Space::Create(std::move(parameters), &problems));
  EXPECT_FALSE(problems.empty());
  for (const Problem& p : problems) {
    EXPECT_FALSE(p.field.empty());
    EXPECT_FALSE(p.message.empty());
    EXPECT_FALSE(p.hint.empty()) << p.message;
  }
  return problems;
}

// The one problem of a space.
Problem Only(std::vector<Parameter> parameters) {
  const Problems problems = Wrong(std::move(parameters));
  EXPECT_EQ(problems.size(), 1u);
  return problems.empty() ? Problem() : problems[0];
}

const Value kSgd(std::string("sgd")), kAdam(std::string("adam"));

TEST(SpaceValidationTest, DuplicateNamesAreToldOnce) {
  const Problem p = Only({Constant("a", kSgd), Constant("a", kSgd), Constant("a", kSgd)});
  EXPECT_EQ(p.field, "parameters.a");
  EXPECT_EQ(p.message, "the name is declared twice");
}

TEST(SpaceValidationTest, NamesMustBeUsable) {
  EXPECT_EQ(Only({Constant("", kSgd)}).message, "a parameter has an empty name");
  EXPECT_EQ(Only({Constant(std::string(kNameBytesMax + 1, 'x'), kSgd)}).message,
            "the name has 257 bytes, the limit is 256");
  EXPECT_EQ(Only({Constant("a//b", kSgd)}).message, "a level of the nested name is empty");
  EXPECT_EQ(Only({Constant("/a", kSgd)}).message, "a level of the nested name is empty");
  Only({Constant("a\nb", kSgd)});
  Only({Constant("a\xff", kSgd)});
}

TEST(SpaceValidationTest, ANameCannotBeAValueAndAParent) {
  const Problem p = Only({Constant("a/b/c", kSgd), Constant("a-x", kSgd), Constant("a", kSgd)});
  EXPECT_EQ(p.field, "parameters.a/b/c");
  EXPECT_EQ(p.message, "\"a\" is a parameter with a value, so it cannot also hold \"b/c\"");
}

TEST(SpaceValidationTest, OptionsMustBeDistinctValues) {
  EXPECT_EQ(Only({Choice("c", {})}).message, "the list of values is empty");
  EXPECT_EQ(Only({Choice("c", {})}).field, "parameters.c.choice");
  EXPECT_EQ(Only({Choice("c", {Value(int64_t{1}), Value(1.0)})}).message,
            "the value 1.0 is listed twice");
  EXPECT_EQ(Only({Choice("c", {Value(std::nan(""))})}).message, "the value nan is not finite");
  EXPECT_EQ(Only({Choice("c", {Value()})}).message, "value 1 is missing");
  std::vector<Value> many;
  for (size_t i = 0; i <= kChoicesPerParameterMax; ++i) many.emplace_back(static_cast<int64_t>(i));
  EXPECT_EQ(Only({Choice("c", many)}).message, "100001 values are more than the limit of 100000");
}

struct BadRange {
  Parameter parameter;
  std::string message, hint;
};

TEST(SpaceValidationTest, BoundsAndSteps) {
  using D = Distribution;
  const double kInf = HUGE_VAL;
  const std::vector<BadRange> cases = {
      {Range("x", D::kUniform, 2, 1), "lower bound 2 is above the upper bound 1",
       "swap them: [1, 2]"},
      {Range("x", D::kUniform, 1, 1), "both bounds are 1, so there is nothing to search",
       "use a constant: 1"},
      {Range("x", D::kRandInt, 5, 5), "both bounds are 5, so there is nothing to search",
       "use a constant: 5"},
      {Range("x", D::kUniform, std::nan(""), 1), "bounds nan and 1 are out of range",
       "use finite numbers"},
      {Range("x", D::kUniform, 0, kInf), "bounds 0 and inf are out of range", "use finite numbers"},
      {Range("x", D::kUniform, -1.7e308, 1.7e308), "bounds -1.7e+308 and 1.7e+308 are out of range",
       "use finite numbers"},
      {Range("x", D::kLogUniform, 0, 1), "lower bound 0 must be greater than 0",
       "use uniform, or a small bound such as 1e-6"},
      {Range("x", D::kLogUniform, -1, 1), "lower bound -1 must be greater than 0",
       "use uniform, or a small bound such as 1e-6"},
      {Range("x", D::kLogRandInt, 0, 8), "lower bound 0 must be at least 1", "use randint, or 1"},
      {Range("x", D::kRandInt, 0.5, 8), "bound 0.5 is not an integer",
       "use uniform for real numbers"},
      {Range("x", D::kRandInt, 0, 0x1p54),
       "bound 18014398509481984.0 is beyond 2^53 = 9007199254740992", "use smaller integers"},
      {Range("x", D::kRandInt, -0x1p53, 0x1p53), "the range holds more than 2^53 integers",
       "use a smaller range"},
      {Range("x", D::kQUniform, 0, 1, 0), "step q = 0 must be greater than 0",
       "leave q out with uniform"},
      {Range("x", D::kQUniform, 0, 1, -0.1), "step q = -0.1 must be greater than 0",
       "leave q out with uniform"},
      {Range("x", D::kQUniform, 0, 1, std::nan("")), "step q = nan must be greater than 0",
       "leave q out with uniform"},
      {Range("x", D::kQUniform, 0, 1, 0.3), "bound 1 is not a multiple of the step q = 0.3", ""},
      {Range("x", D::kQRandInt, 1, 9, 2), "bound 1 is not a multiple of the step q = 2",
       "use 0 or 2"},
      {Range("x", D::kQRandInt, 0, 9, 1.5), "step q = 1.5 is not an integer",
       "use quniform for real steps"},
      {Range("x", D::kQLogUniform, 0.05, 1, 0.1),
       "bound 0.05 is not a multiple of the step q = 0.1", ""},
      {Range("x", D::kQUniform, 0, 1, 1e-20), "step q = 1e-20 is too small for the bounds",
       "leave q out"},
      {Normal("x", 0, 0), "standard deviation 0 must be greater than 0",
       "use constant for a fixed value"},
      {Normal("x", 0, -1), "standard deviation -1 must be greater than 0",
       "use constant for a fixed value"},
      {Normal("x", std::nan(""), 1), "mean nan and standard deviation 1 are out of range",
       "use finite numbers"},
      {Normal("x", 1e300, 1, 1e-9), "step q = 1e-09 is too small for the range",
       "use normal for no rounding"},
  };
  for (const BadRange& c : cases) {
    const Problem p = Only({c.parameter});
    EXPECT_EQ(p.field, "parameters.x." + std::string(DistributionName(c.parameter.distribution)));
    EXPECT_EQ(p.message, c.message);
    if (!c.hint.empty()) {
      EXPECT_EQ(p.hint, c.hint);
    }
  }
}

TEST(SpaceValidationTest, StepsThatDivideUpToRoundingAreFine) {
  Problems problems;
  EXPECT_TRUE(Space::Create({Range("x", Distribution::kQUniform, 0.1, 0.7, 0.1),
                             Range("y", Distribution::kQLogUniform, 1e-4, 0.1, 1e-4),
                             Range("z", Distribution::kQUniform, -1.2, 1.2, 0.4)},
                            &problems));
  EXPECT_TRUE(problems.empty());
}

TEST(SpaceValidationTest, ConditionsOnNothing) {
  const Parameter optimizer = Choice("optimizer", {kSgd, kAdam});
  const auto child = [](Condition c) {
    return Range("m", Distribution::kUniform, 0, 1, 0, {std::move(c)});
  };
  Problem p = Only({optimizer, child(When("optimiser", {kSgd}))});
  EXPECT_EQ(p.field, "parameters.m.when");
  EXPECT_EQ(p.message, "there is no parameter \"optimiser\"");
  EXPECT_EQ(p.hint, "did you mean \"optimizer\"?");
  p = Only({optimizer, child(When("m", {kSgd}, Condition::Op::kLess))});
  EXPECT_EQ(p.message, "the parameter depends on itself");
  Condition by_index;
  by_index.parent = 7;
  by_index.values = {kSgd};
  EXPECT_EQ(Only({optimizer, child(by_index)}).message, "there is no parameter number 7");
}

TEST(SpaceValidationTest, ConditionsThatNeverHold) {
  using Op = Condition::Op;
  const std::vector<Parameter> parents = {
      Choice("optimizer", {kSgd, kAdam}), Choice("size", {Value(int64_t{1}), Value(int64_t{2})}),
      Range("n", Distribution::kRandInt, 1, 4), Range("x", Distribution::kUniform, 0, 1),
      Normal("z", 0, 1)};
  const auto only = [&](std::vector<Condition> when) {
    auto all = parents;
    all.push_back(Range("m", Distribution::kUniform, 0, 1, 0, std::move(when)));
    return Only(all);
  };
  EXPECT_EQ(only({When("optimizer", {Value(std::string("adamm"))})}).hint,
            "did you mean \"adam\"?");
  EXPECT_EQ(only({When("optimizer", {Value(std::string("adamm"))}, Op::kNotIn)}).hint,
            "did you mean \"adam\"?");
  EXPECT_EQ(only({When("size", {Value(std::string("1"))})}).hint, "write 1 as in its declaration");
  EXPECT_EQ(only({When("optimizer", {})}).message, "the list of values of \"optimizer\" is empty");
  EXPECT_EQ(only({When("optimizer", {kSgd, kAdam}, Op::kNotIn)}).message,
            "every value of \"optimizer\" is excluded, so the parameter is never active");
  EXPECT_EQ(only({When("n", {Value(int64_t{4})})}).field, "parameters.m.when");
  EXPECT_EQ(only({When("x", {Value(0.5)})}).hint, "compare with <, <=, > or >=");
  EXPECT_EQ(only({When("n", {Value(int64_t{3})}, Op::kGreater)}).message,
            "the comparison with 3 never holds: \"n\" lies in [1, 3]");
  EXPECT_EQ(only({When("x", {Value(1.0)}, Op::kGreaterEqual)}).message,
            "the comparison with 1 never holds: \"x\" lies in [0, 1)");
  only({When("n", {Value(int64_t{1})}, Op::kLess)});
  EXPECT_EQ(only({When("optimizer", {Value(int64_t{1})}, Op::kLess)}).hint, "use ==, != or a list");
  only({When("n", {kSgd}, Op::kLess)});
  only({When("n", {Value(int64_t{1}), Value(int64_t{2})}, Op::kLess)});
  EXPECT_EQ(only({When("optimizer", {kSgd}), When("optimizer", {kAdam})}).message,
            "no value of \"optimizer\" fulfils all conditions together, so the parameter is never "
            "active");
}

TEST(SpaceValidationTest, ConditionsThatHoldSomewhereAreFine) {
  using Op = Condition::Op;
  Problems problems;
  EXPECT_TRUE(Space::Create(
      {Range("n", Distribution::kRandInt, 1, 4), Normal("z", 0, 1),
       Choice("optimizer", {kSgd, kAdam}),
       Range("a", Distribution::kUniform, 0, 1, 0,
             {When("n", {Value(int64_t{3})}, Op::kGreaterEqual)}),
       Range("b", Distribution::kUniform, 0, 1, 0, {When("z", {Value(1e9)}, Op::kGreater)}),
       Range("c", Distribution::kUniform, 0, 1, 0,
             {When("optimizer", {kSgd}, Op::kNotIn), When("n", {Value(2.0)})})},
      &problems));
  EXPECT_TRUE(problems.empty()) << problems[0].message;
}

TEST(SpaceValidationTest, CyclesAreNamed) {
  const Problem p =
      Only({Choice("root", {kSgd}), Choice("below", {kSgd, kAdam}, {When("a", {kSgd})}),
            Choice("a", {kSgd, kAdam}, {When("root", {kSgd}), When("b", {kSgd})}),
            Choice("b", {kSgd, kAdam}, {When("a", {kSgd})})});
  EXPECT_NE(p.message.find("a needs b needs a"), std::string::npos) << p.message;
}

TEST(SpaceValidationTest, EveryMistakeIsTold) {
  const Problems problems =
      Wrong({Range("x", Distribution::kLogUniform, 0, 1), Choice("c", {}),
             Range("y", Distribution::kUniform, 0, 1, 0, {When("nothing", {kSgd})})});
  EXPECT_EQ(problems.size(), 3u);
}

TEST(SpaceValidationTest, TooManyParameters) {
  std::vector<Parameter> many;
  for (size_t i = 0; i <= kParametersPerSweepMax; ++i)
    many.push_back(Constant("p" + std::to_string(i), kSgd));
  EXPECT_EQ(Only(many).field, "parameters");
}

}  // namespace
}  // namespace tunesmith
