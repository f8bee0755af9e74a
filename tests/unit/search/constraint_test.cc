// The language of parameter constraints: what it means, and what it says of mistakes.
#include "search/space/constraint.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "common/limits.h"
#include "common/rng.h"
#include "tests/unit/search/spaces.h"

namespace tunesmith {
namespace {

using testing_spaces::Choice;
using testing_spaces::Constant;
using testing_spaces::Make;
using testing_spaces::Range;
using testing_spaces::Text;
using testing_spaces::When;

Value Int(int64_t x) { return Value(x); }

Space Example() {
  return Make(
      {Range("layers", Distribution::kRandInt, 1, 9),
       Range("batch", Distribution::kQRandInt, 8, 512, 8),
       Range("lr", Distribution::kLogUniform, 1e-6, 10),
       Choice("optimizer", {Text("sgd"), Text("adam"), Text("don't")}),
       Choice("skip", {Value(true), Value(false)}),
       Choice("size", {Int(1), Value(2.5), Text("auto")}),
       Choice("betas", {Value(JsonValue{"[0.9,0.99]"}), Value(JsonValue{"[0.8,0.9]"})}),
       Range("head/width", Distribution::kRandInt, 1, 99),
       Range("momentum", Distribution::kUniform, 0, 1, 0, {When("optimizer", {Text("sgd")})}),
       Range("min", Distribution::kRandInt, 0, 5), Constant("größe", Int(4))});
}

// layers 4, batch 64, lr 0.5, optimizer adam, skip true, size 2.5, betas, head/width 10, momentum
// inactive, min 3.
Point ExamplePoint() {
  return {Int(4),
          Int(64),
          Value(0.5),
          Text("adam"),
          Value(true),
          Value(2.5),
          Value(JsonValue{"[0.9,0.99]"}),
          Int(10),
          Value(),
          Int(3),
          Int(4)};
}

bool Holds(const std::string& text) {
  const Space space = Example();
  Problem problem;
  const auto constraint = Constraint::Parse(text, space, &problem);
  EXPECT_TRUE(constraint) << text << ": " << problem.message;
  if (!constraint) return false;
  const bool holds = constraint->Holds(ExamplePoint());
  EXPECT_EQ(holds, constraint->Miss(ExamplePoint()) == 0) << text;
  return holds;
}

TEST(ConstraintTest, MeansWhatPythonMeans) {
  for (const char* text : {"layers * batch <= 256",
                           "layers*batch==256",
                           "layers + 2 * 3 == 10",
                           "(layers + 2) * 3 == 18",
                           "layers - 1 - 1 == 2",
                           "batch / layers / 2 == 8",
                           "2 ** 3 ** 2 == 512 or layers < 0",
                           "-layers ** 2 == -16",
                           "2 ** -1 == 0.5 and layers == 4",
                           "layers % 3 == 1",
                           "-layers % 3 == 2",
                           "layers % -3 == -2",
                           "lr < 0.1 or optimizer == 'adam'",
                           "optimizer == \"adam\"",
                           "optimizer != 'sgd'",
                           "optimizer != 'don\\'t'",
                           "optimizer in ['sgd', 'adam']",
                           "optimizer not in ['sgd',]",
                           "layers in (2, 4)",
                           "layers not in [1, 2, 3]",
                           "not layers < 4",
                           "not not layers == 4",
                           "!(layers < 4) && batch >= 64 || lr > 1",
                           "layers >= 4 and lr = 0.5",
                           "skip",
                           "skip == true and skip != False",
                           "layers + skip == 5",
                           "size == 2.5",
                           "size != 'auto'",
                           "size > 2",
                           "`head/width` == 10",
                           "`layers` == 4",
                           "min(layers, batch, 2) == 2",
                           "max(layers, 2) == 4",
                           "min == 3",
                           "abs(layers - 10) == 6",
                           "sqrt(layers) == 2",
                           "floor(lr) == 0",
                           "ceil(lr) == 1",
                           "round(lr) == 0",
                           "round(lr + layers - 3) == 2",
                           "exp(log(batch)) > 63.9 and exp(log(batch)) < 64.1",
                           "log(exp(lr)) < 0.500001",
                           ".5e0 == lr",
                           "größe == layers",
                           "true or layers < 0",
                           "layers ** 0.5 < 2.0001",
                           "betas == betas",
                           "1 < layers and layers < 5",
                           "layers in [2 + 2]",
                           "\n layers\t== 4 ",
                           "+layers == 4",
                           "lr <= 8e9"}) {
    EXPECT_TRUE(Holds(text)) << text;
    EXPECT_FALSE(Holds("not (" + std::string(text) + ")")) << text;
  }
}

TEST(ConstraintTest, AnInactiveParameterMeetsIt) {
  EXPECT_TRUE(Holds("momentum > 0.5"));
  EXPECT_TRUE(Holds("not momentum > 0.5"));
  EXPECT_TRUE(Holds("momentum > 0.5 and layers < 0"));
}

TEST(ConstraintTest, WhatIsNoNumberComparesToNothing) {
  for (const char* text : {"0 / (layers - 4) == 0", "0 / (layers - 4) < 1", "0 / (layers - 4) >= 0",
                           "log(-layers) < 0", "sqrt(-layers) < 0", "min(1, log(-layers), 2) < 3",
                           "max(log(-layers), 1) > 0", "(-layers) ** 0.5 < 9", "layers % 0 < 9"}) {
    EXPECT_FALSE(Holds(text)) << text;
  }
  EXPECT_TRUE(Holds("1 / (layers - 4) > 1e308"));
  EXPECT_TRUE(Holds("exp(layers * 1000) > 1e308"));
  EXPECT_TRUE(Holds("log(layers - 4) < -1e308"));
  // A word of a choice that also has numbers.
  const Space space = Example();
  Problem problem;
  Point point = ExamplePoint();
  point[5] = Text("auto");
  EXPECT_FALSE(Constraint::Parse("size > 0", space, &problem)->Holds(point));
  EXPECT_FALSE(Constraint::Parse("size <= 0", space, &problem)->Holds(point));
  EXPECT_TRUE(Constraint::Parse("size == 'auto' or size > 2", space, &problem)->Holds(point));
}

TEST(ConstraintTest, NamesItsParameters) {
  Problem problem;
  const Space space = Example();
  const auto constraint = Constraint::Parse("skip or batch * layers < batch", space, &problem);
  ASSERT_TRUE(constraint);
  EXPECT_EQ(constraint->parameters(), (std::vector<size_t>{0, 1, 4}));
  EXPECT_EQ(constraint->text(), "skip or batch * layers < batch");
}

TEST(ConstraintTest, MistakesAreToldWithTheirPlaceAndAFix) {
  const struct {
    const char* text;
    const char* message;
    const char* hint;
  } kCases[] = {
      {"", "the constraint is empty", "layers * batch"},
      {"  ", "the constraint is empty", ""},
      {"layer * batch <= 9", "column 1: there is no parameter \"layer\"",
       "did you mean \"layers\"?"},
      {"layers * betch <= 9", "column 10: there is no parameter \"betch\"",
       "did you mean \"batch\"?"},
      {"größe * betch <= 9", "column 9: there is no parameter \"betch\"", ""},
      {"head/width < 3", "column 1: there is no parameter \"head\"",
       "write `head/width` with backquotes"},
      {"width < 3", "column 1: there is no parameter \"width\"",
       "write `head/width`, with its group"},
      {"optimizer == adam", "column 14: there is no parameter \"adam\"",
       "write 'adam' with quotes"},
      {"`nothing at all` < 3", "column 1: there is no parameter \"nothing at all\"",
       "name a parameter"},
      {"layers * batch", "\"layers * batch\" is a number, not a condition",
       "compare it with something"},
      {"layers and skip", "column 1: \"layers\" is a number, not a condition", ""},
      {"not layers", "column 5: \"layers\" is a number, not a condition", ""},
      {"optimizer + 1 < 2", "column 1: \"optimizer\" is a word, not a number", ""},
      {"optimizer < 'sgd'", "column 1: \"optimizer\" is a word, not a number", ""},
      {"log(optimizer) < 3", "column 5: \"optimizer\" is a word, not a number", ""},
      {"betas < 3", "column 1: \"betas\" is JSON, not a number", ""},
      {"layers == 'four'", "\"layers\" is a number and \"'four'\" is a word: they are never equal",
       ""},
      {"skip == 1", "they are never equal", ""},
      {"optimizer == 'adm'", "column 14: \"optimizer\" can never be \"adm\"",
       "did you mean 'adam'?"},
      {"optimizer in ['sgd', 'adm']", "column 22: \"optimizer\" can never be \"adm\"",
       "did you mean 'adam'?"},
      {"layers == 2.5", "column 11: \"layers\" can never be 2.5", ""},
      {"layers != -1", "column 11: \"layers\" can never be", ""},
      {"1 < 2", "it names no parameter", "name a parameter"},
      {"true", "it names no parameter", ""},
      {"layers <", "column 9: something is missing at the end", ""},
      {"layers <= 3 batch", "column 13: \"batch\" cannot follow here", "\"and\""},
      {"(layers < 3", "column 1: the parenthesis is not closed", "')'"},
      {"layers < 3)", "column 11: \")\" closes nothing", ""},
      {"1 < layers < 5", "column 12: comparisons cannot be chained", "1 < layers and layers < 5"},
      {"layers // 2 < 5", "column 8: there is no \"//\"", "floor(a / b)"},
      {"layers ^ 2 < 5", "column 8: there is no \"^\"", "a ** b"},
      {"optimizer == 'adam", "column 14: the quoted word is not closed", ""},
      {"`layers < 5", "column 1: the backquote is not closed", ""},
      {"layers < 8GB", "column 10: \"8GB\" is neither a number nor a name", ""},
      {"lr < 1e999", "column 6: the number \"1e999\" is out of range", ""},
      {"layers in 5", "no list after \"in\"", ""},
      {"layers in []", "the list is empty", ""},
      {"layers in [1, 2", "a list is not closed", ""},
      {"layers not 5", "\"not\" without \"in\"", ""},
      {"sqr(layers) < 5", "column 1: there is no function \"sqr\"", "did you mean \"sqrt\"?"},
      {"frobnicate(layers) < 5", "there is no function", "the functions are min, max"},
      {"sqrt(layers, 2) < 5", "sqrt takes one number, not 2", "sqrt(a)"},
      {"min() < layers", "min takes at least one number, not 0", ""},
      {"and < layers", "column 1: no value at \"and < layers\"", ""},
      {"layers < and", "column 10: no value at \"and\"", ""},
      {"layers < $HOME", "column 10: no value at \"$HOME\"", ""},
      {"layers \xff < 3", "the constraint has a NUL or is not UTF-8", ""},
  };
  const Space space = Example();
  for (const auto& c : kCases) {
    Problem problem;
    EXPECT_FALSE(Constraint::Parse(c.text, space, &problem)) << c.text;
    EXPECT_NE(problem.message.find(c.message), std::string::npos)
        << c.text << ": " << problem.message;
    EXPECT_NE(problem.hint.find(c.hint), std::string::npos) << c.text << ": " << problem.hint;
  }
}

std::string Repeat(const std::string& part, size_t times) {
  std::string out;
  for (size_t n = 0; n < times; ++n) out += part;
  return out;
}

TEST(ConstraintTest, DepthAndLengthAreLimited) {
  const Space space = Example();
  const std::string begins[] = {Repeat("(", 2000),          Repeat("not ", 1000), Repeat("-", 4000),
                                Repeat("2**", 1300),        Repeat("abs(", 1000), Repeat("!", 4000),
                                Repeat("layers in [(", 340)};
  for (const std::string& begin : begins) {
    Problem problem;
    EXPECT_FALSE(Constraint::Parse(begin + "layers", space, &problem));
    EXPECT_NE(problem.message.find("levels of nesting"), std::string::npos) << problem.message;
  }
  // A long flat one is fine.
  Problem problem;
  const auto flat =
      Constraint::Parse("layers" + Repeat(" + 1", 1000) + " == 1004", space, &problem);
  ASSERT_TRUE(flat) << problem.message;
  EXPECT_TRUE(flat->Holds(ExamplePoint()));
  const auto wide =
      Constraint::Parse("max(layers" + Repeat(", 1", 1000) + ") == 4", space, &problem);
  ASSERT_TRUE(wide) << problem.message;
  EXPECT_TRUE(wide->Holds(ExamplePoint()));
  EXPECT_FALSE(Constraint::Parse(std::string(10'000'000, '('), space, &problem));
  EXPECT_NE(problem.message.find("10000000 bytes, the limit is 4096"), std::string::npos)
      << problem.message;
}

TEST(ConstraintTest, GarbageIsRefusedOrEvaluates) {
  const char* parts[] = {"layers", "batch", " ",        "(",    ")",    "'adam'", "optimizer",
                         "==",     "<",     "<=",       "in",   "[",    "]",      ",",
                         "not ",   " and ", " or ",     "+",    "-",    "*",      "**",
                         "/",      "%",     "1",        "2.5",  "1e9",  "`",      "`head/width`",
                         "min(",   "log(",  "momentum", "true", "skip", "size",   "\"",
                         "'",      "\\",    "\xc3",     "$",    "!",    "=",      "."};
  const Space space = Example();
  int sound = 0;
  for (uint64_t seed = 0; seed < 100'000; ++seed) {
    Rng rng(seed);
    std::string text;
    for (uint64_t n = 1 + rng.Below(12); n > 0; --n) text += parts[rng.Below(std::size(parts))];
    Problem problem;
    const auto constraint = Constraint::Parse(text, space, &problem);
    ASSERT_EQ(constraint.has_value(), problem.message.empty()) << text;
    if (!constraint) continue;
    ++sound;
    for (int n = 0; n < 3; ++n) {
      const Point point = space.Sample(&rng);
      ASSERT_EQ(constraint->Holds(point), constraint->Miss(point) == 0) << text;
      ASSERT_GE(constraint->Miss(point), 0) << text;
    }
  }
  EXPECT_GT(sound, 100);
}

}  // namespace
}  // namespace tunesmith
