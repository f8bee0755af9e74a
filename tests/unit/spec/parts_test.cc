#include <gtest/gtest.h>

#include "common/rng.h"
#include "spec/json_value.h"
#include "spec/reader.h"
#include "spec/shell_words.h"
#include "spec/template.h"

namespace tunesmith {
namespace {

std::vector<std::string> Words(std::string_view text) {
  std::string why, hint;
  const auto words = SplitWords(text, &why, &hint);
  return words ? *words : std::vector<std::string>{"REFUSED", why};
}

std::string Template(std::string_view text) {
  std::string why, out;
  const auto pieces = ParseTemplate(text, &why);
  if (!pieces) return "REFUSED: " + why;
  for (const TemplatePiece& piece : *pieces)
    out += (piece.is_name ? "<" : "'") + piece.text + (piece.is_name ? ">" : "'");
  return out;
}

TEST(DurationTest, TextAndMillisecondsAgree) {
  EXPECT_EQ(DurationFromText("60"), 60'000);
  EXPECT_EQ(DurationFromText("1.5h"), 5'400'000);
  EXPECT_EQ(DurationFromText("1h30m"), 5'400'000);
  EXPECT_EQ(DurationFromText("250ms"), 250);
  EXPECT_EQ(DurationFromText("2d"), 172'800'000);
  for (const char* wrong :
       {"", "h", "-1s", "1x", "1h5", "1e3s", "1 h", "nan", "99999999999999d", "."}) {
    EXPECT_FALSE(DurationFromText(wrong)) << wrong;
  }
  Rng rng(1);
  for (int i = 0; i < 1000; ++i) {
    const auto ms = static_cast<int64_t>(rng.Below(1'000'000'000)) * (i % 2 == 0 ? 1 : 60'000);
    EXPECT_EQ(DurationFromText(DurationText(ms)), ms);
  }
  EXPECT_EQ(DurationText(28'800'000), "8h");
}

TEST(WordsTest, ALineIsSplitAsAShellSplitsItWithoutExpansion) {
  using V = std::vector<std::string>;
  EXPECT_EQ(Words("a  b\tc"), (V{"a", "b", "c"}));
  EXPECT_EQ(Words("a 'b \"c' \"d 'e\" f\\ g"), (V{"a", "b \"c", "d 'e", "f g"}));
  EXPECT_EQ(Words("\"a \\\" \\n\" ''"), (V{"a \" \\n", ""}));
  EXPECT_EQ(Words("echo $HOME *.txt ${lr} ~"), (V{"echo", "$HOME", "*.txt", "${lr}", "~"}));
  EXPECT_EQ(Words("a '|' b"), (V{"a", "|", "b"}));
  EXPECT_EQ(Words(""), V{});
  EXPECT_EQ(Words("a 'b")[0], "REFUSED");
  EXPECT_EQ(Words("a && b")[0], "REFUSED");
}

TEST(TemplateTest, NamesAreCutOutOfText) {
  EXPECT_EQ(Template("lr=${lr}!"), "'lr='<lr>'!'");
  EXPECT_EQ(Template("${a}${b/c}"), "<a><b/c>");
  EXPECT_EQ(Template("$HOME $$ $${x} $"), "'$HOME $ ${x} $'");
  EXPECT_EQ(Template(""), "");
  EXPECT_EQ(Template("a ${b"), "REFUSED: \"${\" has no \"}\"");
  EXPECT_EQ(Template("${}"), "REFUSED: \"${}\" names nothing");
}

TEST(TemplateTest, ArgumentsFollowTheStyleAndLeaveOutInactiveParameters) {
  const std::vector<Parameter> parameters = {{.name = "lr", .options = {}, .when = {}},
                                             {.name = "momentum", .options = {}, .when = {}},
                                             {.name = "layer/betas", .options = {}, .when = {}}};
  const Point point = {0.1, Value(), JsonValue{"[1,2]"}};
  using V = std::vector<std::string>;
  EXPECT_EQ(ExpandArgs(ArgStyle::kGnu, parameters, point), (V{"--lr=0.1", "--layer.betas=[1,2]"}));
  EXPECT_EQ(ExpandArgs(ArgStyle::kSpaced, parameters, point),
            (V{"--lr", "0.1", "--layer.betas", "[1,2]"}));
  EXPECT_EQ(ExpandArgs(ArgStyle::kHydra, parameters, point), (V{"lr=0.1", "layer.betas=[1,2]"}));
  EXPECT_EQ(ExpandArgs(ArgStyle::kSingleDash, parameters, point),
            (V{"-lr", "0.1", "-layer.betas", "[1,2]"}));
  EXPECT_EQ(ExpandArgs(ArgStyle::kNone, parameters, point), V{});
}

TEST(JsonValueTest, EqualValuesHaveOneText) {
  EXPECT_EQ(CanonicalJson(" { \"b\" : [ 1 , 2.50, 1e5 ], \"a\": null } "),
            R"({"b":[1,2.5,1e+05],"a":null})");
  EXPECT_EQ(CanonicalJson("[0.1, -0.0, true, \"\\u00e9\\n\"]"), "[0.1,-0.0,true,\"\xC3\xA9\\n\"]");
  EXPECT_EQ(CanonicalJson("9223372036854775807"), "9223372036854775807");
  for (const char* wrong : {"", "{", "[1,]", "nan", "'a'", "18446744073709551615", "1 2"}) {
    EXPECT_FALSE(CanonicalJson(wrong)) << wrong;
  }
  EXPECT_FALSE(CanonicalJson(std::string(100'000, '[')));
  EXPECT_FALSE(CanonicalJson(std::string(1000, '[') + std::string(1000, ']')));
}

TEST(WhenTest, MistakesSayWhatIsExpected) {
  const auto why = [](std::string_view text) {
    std::vector<Condition> out;
    std::string reason, hint;
    return ParseWhen(text, &out, &reason, &hint) ? "" : reason;
  };
  EXPECT_EQ(why("a == 'x'"), "");
  EXPECT_EQ(why("'a b' in [x, 'y z', 3,]"), "");
  EXPECT_EQ(why(""), "the condition is empty");
  EXPECT_EQ(why("a"), "no comparison after \"a\"");
  EXPECT_EQ(why("a =="), "a value is missing at the end");
  EXPECT_EQ(why("a == b c"), "\"c\" cannot follow a condition");
  EXPECT_EQ(why("a == b and"), "no parameter is named at \"\"");
  EXPECT_EQ(why("not a"), "a condition begins with the name of a parameter");
  EXPECT_EQ(why("a in x"), "no list after \"in\"");
  EXPECT_EQ(why("a in [x"), "a list is not closed, or a ',' is missing at \"\"");
  EXPECT_EQ(why("a == 'x"), "a value is missing at the end");
}

}  // namespace
}  // namespace tunesmith
