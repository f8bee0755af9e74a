#include "client/report_line.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "spec/sweep_spec.h"

namespace tunesmith {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

ReportLine Good(const std::string& line) {
  Problem problem;
  const auto report = ParseReportLine(line, "loss", &problem);
  EXPECT_TRUE(report.has_value()) << line << ": " << problem.field << ": " << problem.message;
  return report.value_or(ReportLine());
}

std::string Bad(const std::string& line) {
  Problem problem;
  EXPECT_FALSE(ParseReportLine(line, "loss", &problem).has_value()) << line.substr(0, 200);
  EXPECT_FALSE(problem.hint.empty());
  return problem.field.empty() ? problem.message : problem.field + ": " + problem.message;
}

double Value(const std::string& json) {
  return Good("{\"trial\": 1, \"loss\": " + json + "}").value.value_or(-12345);
}

TEST(ReportLine, HasATrialAStepAndTheMetricAndPassesOverTheRest) {
  const ReportLine report = Good(
      R"({"x": [{"trial": 9, "loss": 9}, NaN], "trial": "a", "step": 3, "loss": 0.25, "y": {"loss": 9}, "z": null})");
  EXPECT_EQ(report.trial, (TrialName{"a", false}));
  EXPECT_EQ(report.event, ReportLine::Event::kReport);
  EXPECT_EQ(report.step, 3);
  EXPECT_EQ(report.value, 0.25);
  const ReportLine bare = Good(R"({"trial": 7, "step": null, "event": null})");
  EXPECT_EQ(bare.trial, (TrialName{"7", true}));
  EXPECT_FALSE(bare.step.has_value());
  EXPECT_FALSE(bare.value.has_value());
  EXPECT_NE(bare.trial, Good(R"({"trial": "7"})").trial);
}

TEST(ReportLine, TakesTheMetricFromMetricsTooButFromNothingDeeper) {
  EXPECT_EQ(Good(R"({"trial": 1, "metrics": {"acc": 1, "loss": 0.5}})").value, 0.5);
  EXPECT_EQ(Good(R"({"trial": 1, "loss": 2, "metrics": {"loss": 0.5}})").value, 2);
  EXPECT_FALSE(Good(R"({"trial": 1, "metrics": {"inner": {"loss": 0.5}}})").value.has_value());
  EXPECT_FALSE(Good(R"({"trial": 1, "metrics": [{"loss": 0.5}]})").value.has_value());
  EXPECT_FALSE(Good(R"({"trial": 1, "other": {"loss": 0.5}})").value.has_value());
  Problem problem;
  EXPECT_FALSE(ParseReportLine(R"({"trial": 1, "": 3})", "", &problem)->value.has_value());
}

TEST(ReportLine, ReadsWhatPythonWritesForNoFiniteNumber) {
  EXPECT_TRUE(std::isnan(Value("NaN")));
  EXPECT_EQ(Value("Infinity"), kInf);
  EXPECT_EQ(Value("-Infinity"), -kInf);
  EXPECT_TRUE(std::isnan(Value("\"NaN\"")));
  EXPECT_EQ(Value("\"Infinity\""), kInf);
  EXPECT_EQ(Value("\"-inf\""), -kInf);
  EXPECT_TRUE(std::isnan(Value("\"nan\"")));
  const char* const everywhere =
      R"({"trial":"NaN","note":"a, NaN: [-Infinity] \" NaN","list":[NaN,-Infinity,{"a":NaN}],"loss":1})";
  EXPECT_EQ(Good(everywhere).value, 1);
  EXPECT_EQ(Good(R"({"trial":"x\\","loss":Infinity})").value, kInf);
  EXPECT_EQ(Good(R"({"trial":"NaN"})").trial.text, "NaN");
}

TEST(ReportLine, RefusesBareWordsThatPythonDoesNotWrite) {
  for (const char* value : {"nan", "-NaN", "NaNs", "NaN.5", "+Infinity", "Infinity1", "- Infinity", "None", "inf"}) {
    EXPECT_EQ(Bad(std::string("{\"trial\": 1, \"loss\": ") + value + "}"), "the line is not JSON") << value;
  }
  EXPECT_EQ(Bad(R"({NaN: 1, "trial": 1})"), "the line is not JSON");
  EXPECT_EQ(Bad(R"({"trial": 1 NaN})"), "the line is not JSON");
  EXPECT_EQ(Bad("NaN"), "the line is not JSON");
}

TEST(ReportLine, SaysWhatIsWrong) {
  EXPECT_EQ(Bad("{"), "the line is not JSON");
  EXPECT_EQ(Bad(R"({"trial": 1} {"trial": 2})"), "the line is not JSON");
  EXPECT_EQ(Bad("[1]"), "the line is not a JSON object");
  EXPECT_EQ(Bad("3"), "the line is not a JSON object");
  EXPECT_EQ(Bad("{}"), "trial: no trial is named");
  EXPECT_EQ(Bad(R"({"trial": null})"), "trial: no trial is named");
  EXPECT_EQ(Bad(R"({"trial": 1.5})"), "trial: 1.5 is neither text nor a whole number");
  EXPECT_EQ(Bad(R"({"trial": ["a"]})"), "trial: an object or list is neither text nor a whole number");
  EXPECT_EQ(Bad(R"({"trial": 1e300})"), "trial: 1e+300 is neither text nor a whole number");
  for (const char* step : {"0", "-1", "1.5", "9007199254740993", "18446744073709551615", "1e300", "true", "NaN"}) {
    const std::string told = Bad(std::string(R"({"trial": 1, "step": )") + step + "}");
    EXPECT_NE(told.find("is not a whole number from 1 to 2^53"), std::string::npos) << told;
  }
  EXPECT_EQ(Bad(R"({"trial": 1, "step": "3"})"), "step: the text \"3\" is not a whole number from 1 to 2^53");
  EXPECT_EQ(Bad(R"({"trial": 1, "event": "done"})"), "event: the text \"done\" is no event");
  EXPECT_EQ(Bad(R"({"trial": 1, "loss": "low"})"), "loss: the text \"low\" is not a number");
  EXPECT_EQ(Bad(R"({"trial": 1, "loss": null})"), "loss: null is not a number");
  EXPECT_EQ(Bad(R"({"trial": 1, "loss": true})"), "loss: true is not a number");
  EXPECT_EQ(Bad(R"({"trial": 1, "loss": {"mean": 1}})"), "loss: an object or list is not a number");
  EXPECT_EQ(Bad(R"({"trial": 1, "metrics": {"loss": [1]}})"), "loss: an object or list is not a number");
  EXPECT_EQ(Bad(R"({"trial": 1, "loss": 1e999})"), "a number is beyond what a double holds");
}

TEST(ReportLine, WholeNumbersMayHaveAPoint) {
  const ReportLine report = Good(R"({"trial": 7.0, "step": 3.0, "loss": -4})");
  EXPECT_EQ(report.trial, (TrialName{"7", true}));
  EXPECT_EQ(report.step, 3);
  EXPECT_EQ(report.value, -4);
  EXPECT_EQ(Good(R"({"trial": 1, "step": 9007199254740992})").step, int64_t{1} << 53);
  EXPECT_EQ(Good(R"({"trial": 18446744073709551615})").trial.text, "18446744073709551615");
}

TEST(ReportLine, SurvivesWhateverTheBytesAre) {
  EXPECT_EQ(Bad(std::string(1 << 20, '[')), "the line is not JSON");
  EXPECT_EQ(Bad(std::string(1 << 20, '{')), "the line is not JSON");
  EXPECT_EQ(Bad("{\"trial\": \"" + std::string(1 << 20, '\\')), "the line is not JSON");
  EXPECT_EQ(Bad(std::string("{\"trial\": 1}\0 and more", 22)), "the line is not JSON");
  EXPECT_EQ(Bad("{\"trial\": \"\xff\xfe\"}"), "the line is not JSON");
  EXPECT_EQ(Bad("\x80\x81\x82"), "the line is not JSON");
  const std::string deep = std::string(300'000, '[') + std::string(300'000, ']');
  EXPECT_EQ(Good("{\"deep\": " + deep + ", \"trial\": 1, \"loss\": 2}").value, 2);
  EXPECT_EQ(Good("{\"trial\": \"" + std::string(1 << 20, 'n') + "\"}").trial.text.size(), size_t{1} << 20);
  EXPECT_EQ(Good("  {\"trial\": 1}\r").trial.text, "1");
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  Bad(bytes);
  for (size_t length = 0; length < 30; ++length)
    Bad(std::string(R"({"trial": "a", "step": 3, "loss": NaN})").substr(0, length));
}

TEST(ReportLine, BlankLinesAreNone) {
  EXPECT_TRUE(IsBlankLine(""));
  EXPECT_TRUE(IsBlankLine(" \t\r"));
  EXPECT_FALSE(IsBlankLine(" {"));
}

SimulatedAnswer Stopped() {
  SimulatedAnswer answer;
  answer.trial = {"a\"b", false};
  answer.step = 3;
  answer.verdict = {.action = Action::kStop,
                    .reason = Reason::kNotANumber,
                    .bracket = 2,
                    .milestone = 3,
                    .recorded = true,
                    .value = std::nan(""),
                    .cutoff = 0.1 + 0.2,
                    .has_cutoff = true,
                    .rank = 7,
                    .peers = 9};
  answer.value = std::nan("");
  answer.has_bracket = true;
  answer.text = "why";
  return answer;
}

TEST(AnswerJson, KeepsEveryBitOfANumberAndHasTextForThoseThatJsonLacks) {
  EXPECT_EQ(AnswerJson(Stopped()),
            R"({"trial":"a\"b","step":3,"action":"stop","reason":"not_a_number","value":"nan","bracket":2,"rung":3,)"
            R"("cutoff":0.30000000000000004,"rank":7,"peers":9,"text":"why"})");
}

TEST(AnswerText, IsOneLineWhateverTheNameIs) {
  SimulatedAnswer answer = Stopped();
  EXPECT_EQ(AnswerText(answer, true), "a\"b                       3  stop     why");
  answer.trial.text = "\x1b[31m\n" + std::string(10'000, 'x');
  const std::string text = AnswerText(answer, false);
  EXPECT_EQ(text.find_first_of("\x1b\n"), std::string::npos);
  EXPECT_LT(text.size(), 60U);
  answer.kind = SimulatedAnswer::Kind::kEnded;
  EXPECT_NE(AnswerText(answer, true).find("ended"), std::string::npos);
}

}  // namespace
}  // namespace tunesmith
