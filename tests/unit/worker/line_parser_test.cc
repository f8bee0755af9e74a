#include "worker/process/line_parser.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "common/limits.h"
#include "common/rng.h"
#include "worker/process/output_splitter.h"

namespace tunesmith::worker {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

std::unique_ptr<LineParser> Auto(std::vector<std::string> declared = {"loss"}) {
  return *LineParser::Create({}, std::move(declared));
}

// "3 loss=0.42 acc=0.9", "- ..." without a step, "" if the line is no report.
std::string Show(const std::optional<Report>& report) {
  if (!report.has_value()) return "";
  std::string text = report->step.has_value() ? std::to_string(*report->step) : "-";
  for (const NamedValue& metric : report->metrics) {
    char value[40];
    std::snprintf(value, sizeof value, "=%g", metric.value);
    text += " " + metric.name + value;
  }
  return text;
}

struct Case {
  const char* line;
  const char* report;
};

TEST(LineParserTest, AutoFindsWhatProgramsPrint) {
  const Case cases[] = {
      // name=value
      {"epoch=3 loss=0.42 accuracy=0.91", "3 loss=0.42 accuracy=0.91"},
      {"loss=0.42", "- loss=0.42"},
      {"loss = 0.42", "- loss=0.42"},
      {"loss: 0.42", "- loss=0.42"},
      {"loss:0.42", "- loss=0.42"},
      {"  loss=.5", "- loss=0.5"},
      {"loss=5.", "- loss=5"},
      {"loss=+5", "- loss=5"},
      {"loss=-1e-3", "- loss=-0.001"},
      {"loss=1E3", "- loss=1000"},
      {"loss=1e", ""},
      {"loss=nan", "- loss=nan"},
      {"loss=NaN", "- loss=nan"},
      {"loss=inf", "- loss=inf"},
      {"loss=-Infinity", "- loss=-inf"},
      {"loss=nano", ""},
      {"loss=1e999", "- loss=inf"},
      {"loss=1e-999", "- loss=0"},
      {"loss=0.42, accuracy=0.9", "- loss=0.42 accuracy=0.9"},
      {"(loss=0.42)", "- loss=0.42"},
      {"the loss=0.42.", "- loss=0.42"},
      {"loss=0.4 loss=0.3", "- loss=0.3"},
      // no numbers
      {"loss=3.2s", ""},
      {"loss=91%", ""},
      {"loss=abc", ""},
      {"loss=", ""},
      {"loss", ""},
      {"loss 0.42", ""},
      {"loss=0x10", ""},
      {"loss=1.2.3", ""},
      {"loss=1,000", "- loss=1"},
      // undeclared metrics need a step
      {"accuracy=0.9", ""},
      {"epoch=2 accuracy=0.9", "2 accuracy=0.9"},
      {"step: 20, reward: 1.5", "20 reward=1.5"},
      {"lr=0.1 batch=64", ""},
      {"val_loss=0.3", ""},
      {"epoch=3", ""},
      // steps
      {"Epoch 3/10 - loss: 0.42 - accuracy: 0.9", "3 loss=0.42 accuracy=0.9"},
      {"Epoch [3/10], loss: 0.42", "3 loss=0.42"},
      {"Epoch: 3/10 loss=0.42", "3 loss=0.42"},
      {"epoch 3: loss 0.42 loss=0.4", "3 loss=0.4"},
      {"ITER=12 loss=1", "12 loss=1"},
      {"iteration=5 loss=1", "5 loss=1"},
      {"training_iteration=5 epoch=2 loss=1", "5 loss=1"},
      {"epoch=2 step=100 loss=1", "2 loss=1"},
      {"epoch=0 loss=1", "0 loss=1"},
      {"epoch=-1 loss=1", "- loss=1 epoch=-1"},
      {"epoch=2.0 loss=1", "2 loss=1"},
      {"epoch=2.5 loss=1", "- loss=1 epoch=2.5"},
      {"epochs=5 loss=1", "- loss=1 epochs=5"},
      {"Epoch 3/10", ""},
      {"step 7", ""},
      // JSON
      {R"({"epoch": 3, "loss": 0.42})", "3 loss=0.42"},
      {R"(  {"loss": 0.42}  )", "- loss=0.42"},
      {R"({"loss": NaN, "acc": -Infinity, "best": Infinity})", "- loss=nan acc=-inf best=inf"},
      {R"({"loss": "nan", "note": "NaN"})", "- loss=nan note=nan"},
      {R"({"loss": "0.5"})", ""},
      {R"({"loss": null})", ""},
      {R"({"loss": [1, 2]})", ""},
      {R"({"loss": true})", ""},
      {R"({"accuracy": 0.9})", ""},
      {R"({"step": 4, "eval": {"loss": 0.5}})", "4 eval/loss=0.5"},
      {R"({"loss": 0.42)", "- loss=0.42"},
      {R"([tune-metric]: {"loss": 0.42, "epoch": 1})", "1 loss=0.42"},
      {"{'loss': 0.42, 'learning_rate': 5e-05, 'epoch': 3.0}", "3 loss=0.42 learning_rate=5e-05"},
      {R"({"loss": 1} {"loss": 2})", "- loss=2"},
      {"[1, 2, 3]", ""},
      {"{}", ""},
      // logs and progress bars around it
      {"2024-05-01 12:30:45,123 INFO epoch=3 loss=0.42", "3 loss=0.42"},
      {"[INFO] train.py:88: loss: 0.42", "- loss=0.42"},
      {"http://host:8080 epoch=1", ""},
      {"loss=0.42 at http://host:8080/x=1", "- loss=0.42"},
      {" 50%|#####     | 50/100 [00:01<00:01, 48.2it/s, loss=0.42]", "- loss=0.42"},
      {"Epoch 2: 100%|##########| 10/10 [00:00<00:00, 99it/s, v_num=3, loss=0.42]",
       "2 loss=0.42 v_num=3"},
      {"| loss: 0.42 | acc: 0.9 |", "- loss=0.42 acc=0.9"},
      {"\x1b[32mloss=0.42\x1b[0m", ""},
      {"\x1b[32m loss=0.42 \x1b[0m", "- loss=0.42"},
      {"train/loss=0.3 epoch=2", "2 train/loss=0.3"},
      {"", ""},
      {"=", ""},
      {":::", ""},
      {"loss==0.3", ""},
      {"a=1 loss:= 2", ""},
  };
  for (const Case& c : cases) EXPECT_EQ(Show(Auto()->Parse(c.line)), c.report) << c.line;
}

TEST(LineParserTest, MetricCalledLikeAStepIsKeptIfItIsDeclared) {
  EXPECT_EQ(Show(Auto({"iter"})->Parse("iter=5 loss=2")), "5 iter=5 loss=2");
}

TEST(LineParserTest, JsonRuleTakesOnlyJson) {
  auto parser = *LineParser::Create({{CollectRule::Kind::kJson, ""}}, {"loss"});
  EXPECT_EQ(Show(parser->Parse("loss=0.42")), "");
  EXPECT_EQ(Show(parser->Parse(R"({"loss": 0.42})")), "- loss=0.42");
}

TEST(LineParserTest, RegexTakesItsNamedGroups) {
  auto parser = *LineParser::Create(
      {{CollectRule::Kind::kRegex,
        R"(ep (?P<epoch>\d+).*val_acc[=:] *(?P<val_acc>\S+)( l=(?P<loss>\S+))?)"}},
      {"loss"});
  EXPECT_EQ(Show(parser->Parse("ep 3 then val_acc: 0.5")), "3 val_acc=0.5");
  EXPECT_EQ(Show(parser->Parse("ep 3 then val_acc: 0.5 l=nan")), "3 loss=nan val_acc=0.5");
  EXPECT_EQ(Show(parser->Parse("loss=0.5")), "");
}

TEST(LineParserTest, RulesAreTriedInOrder) {
  auto parser = *LineParser::Create(
      {{CollectRule::Kind::kRegex, R"(score (?P<loss>\S+))"}, {CollectRule::Kind::kAuto, ""}},
      {"loss"});
  EXPECT_EQ(Show(parser->Parse("score 0.5 loss=3")), "- loss=0.5");
  EXPECT_EQ(Show(parser->Parse("loss=3")), "- loss=3");
}

TEST(LineParserTest, WrongRegexIsExplained) {
  const auto broken = LineParser::Create({{CollectRule::Kind::kRegex, "(?P<loss>["}}, {});
  ASSERT_FALSE(broken.ok());
  EXPECT_NE(Message(broken.status()).find("(?P<loss>["), std::string::npos);
  const auto unnamed = LineParser::Create({{CollectRule::Kind::kRegex, "loss (.*)"}}, {});
  ASSERT_FALSE(unnamed.ok());
  EXPECT_NE(Message(unnamed.status()).find("no named group"), std::string::npos);
}

TEST(LineParserTest, TextWhereANumberShouldBeIsRememberedAsAHint) {
  auto parser = Auto();
  parser->Parse("loss=diverged at once");
  EXPECT_NE(parser->hint().find("loss=diverged"), std::string::npos);
  auto percent = Auto({"accuracy"});
  percent->Parse("accuracy: 91%");
  EXPECT_NE(percent->hint().find("91%"), std::string::npos);
}

TEST(LineParserTest, TooManyMetricsKeepTheDeclaredOnes) {
  std::string line = "epoch=1";
  for (int i = 0; i < 600; ++i) line += " m" + std::to_string(i) + "=1";
  const auto report = Auto()->Parse(line + " loss=0.5");
  ASSERT_TRUE(report.has_value());
  EXPECT_EQ(report->metrics.size(), kMetricsPerMeasurementMax);
  EXPECT_EQ(report->metrics[0].name, "loss");
}

TEST(LineParserTest, DeepJsonAndGarbageDoNoHarm) {
  auto parser = Auto();
  EXPECT_EQ(Show(parser->Parse(std::string(60'000, '{'))), "");
  EXPECT_EQ(
      Show(parser->Parse("{\"loss\":" + std::string(50'000, '[') + std::string(50'000, ']') + "}")),
      "");
  Rng rng(7);
  constexpr char kBytes[] = "{}[]\":,=eE+-.0123456789nainfloss \t\r\x1b\xff\xc3\x00";
  const std::string alphabet(kBytes, sizeof kBytes - 1);
  for (int i = 0; i < 20'000; ++i) {
    std::string line;
    for (uint64_t n = rng.Below(60); n > 0; --n) line += alphabet[rng.Below(alphabet.size())];
    const auto report = parser->Parse(line);
    EXPECT_TRUE(!report.has_value() || !report->metrics.empty()) << line;
    EXPECT_FALSE(ParseChannelLine(line).ok()) << line;
  }
}

TEST(ParseNumberTest, TakesWholeNumbersOnly) {
  EXPECT_EQ(ParseNumber("0.5"), 0.5);
  EXPECT_EQ(ParseNumber("-inf"), -kInf);
  EXPECT_TRUE(std::isnan(*ParseNumber("nan")));
  EXPECT_EQ(ParseNumber("1e400"), kInf);
  for (const char* text : {"", "-", ".", "e5", "1x", " 1", "1 ", "0x1", "infin", "--1", "1e+"}) {
    EXPECT_EQ(ParseNumber(text), std::nullopt) << text;
  }
}

TEST(ChannelTest, ReportsNotesAndFailuresAreRead) {
  const auto report = ParseChannelLine(
      R"({"type":"report","step":3,"metrics":{"loss":0.42,"acc":"nan","x":"-inf"},"checkpoint":"epoch-3"})");
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->report.step, 3);
  EXPECT_EQ(report->report.checkpoint, "epoch-3");
  EXPECT_TRUE(report->report.from_channel);
  EXPECT_EQ(report->report.metrics.size(), 3u);
  EXPECT_FALSE(ParseChannelLine(R"({"type":"report","metrics":{"a":1}})")->report.step.has_value());
  EXPECT_EQ(ParseChannelLine(R"({"type":"note","text":"hi"})")->text, "hi");
  EXPECT_EQ(ParseChannelLine(R"({"type":"failed","reason":"no data"})")->kind,
            ChannelLine::Kind::kFailed);
}

TEST(ChannelTest, WrongLinesAreExplained) {
  const Case cases[] = {
      {"hello", "not a JSON object"},
      {"[]", "not a JSON object"},
      {"{}", "no \"type\""},
      {R"({"type":"metric"})", "report, note and failed"},
      {R"({"type":"report"})", "needs \"metrics\""},
      {R"({"type":"report","metrics":{}})", "needs \"metrics\""},
      {R"({"type":"report","metrics":{"loss":"abc"}})", "metric loss is not a number"},
      {R"({"type":"report","metrics":{"loss":null}})", "metric loss is not a number"},
      {R"({"type":"report","step":-1,"metrics":{"loss":1}})", "step is not a whole number"},
      {R"({"type":"report","step":"3","metrics":{"loss":1}})", "step is not a whole number"},
      {"\xff\xfe\x00", "not a JSON object"},
  };
  for (const Case& c : cases) {
    const auto parsed = ParseChannelLine(c.line);
    ASSERT_FALSE(parsed.ok()) << c.line;
    EXPECT_NE(Message(parsed.status()).find(c.report), std::string::npos)
        << Message(parsed.status());
  }
}

TEST(ChannelTest, VerdictIsOneLine) {
  EXPECT_EQ(VerdictLine(3, true, "rank 7\nof \"9\""),
            "{\"type\":\"verdict\",\"step\":3,\"action\":\"stop\",\"reason\":\"rank 7\\nof "
            "\\\"9\\\"\"}\n");
}

std::vector<std::string> SplitAll(const std::vector<std::string>& pieces,
                                  size_t line_bytes_max = 100) {
  OutputSplitter splitter(line_bytes_max);
  std::vector<std::string> lines;
  const auto on_line = [&](std::string_view line, bool progress) {
    lines.push_back(std::string(line) + (progress ? "~" : "$"));
  };
  for (std::string_view bytes : pieces) {
    while (!bytes.empty()) bytes.remove_prefix(splitter.TakeLine(bytes, on_line));
  }
  splitter.Finish(on_line);
  return lines;
}

TEST(OutputSplitterTest, LinesEndAtEveryKindOfEnd) {
  using Lines = std::vector<std::string>;
  EXPECT_EQ(SplitAll({"a\nb\r\nc\rd\re\n"}), (Lines{"a$", "b$", "c~", "d~", "e$"}));
  EXPECT_EQ(SplitAll({"a\r", "\nb"}), (Lines{"a$", "b$"}));
  EXPECT_EQ(SplitAll({"a\r", "b\r"}), (Lines{"a~", "b$"}));
  EXPECT_EQ(SplitAll({"\n\n"}), (Lines{"$", "$"}));
  EXPECT_EQ(SplitAll({"half", " a line"}), (Lines{"half a line$"}));
}

TEST(OutputSplitterTest, LongLinesAreCutAndCounted) {
  OutputSplitter splitter(10);
  std::string seen;
  const std::string bytes = std::string(1000, 'x') + "\nok\n";
  std::string_view rest = bytes;
  while (!rest.empty()) {
    rest.remove_prefix(splitter.TakeLine(
        rest, [&](std::string_view line, bool) { seen += std::string(line) + ";"; }));
  }
  EXPECT_EQ(seen, "xxxxxxxxxx;ok;");
  EXPECT_EQ(splitter.cut_bytes(), 990);
}

TEST(OutputSplitterTest, HowTheBytesArriveDoesNotMatter) {
  Rng rng(3);
  for (int round = 0; round < 500; ++round) {
    std::string text;
    for (int i = 0; i < 60; ++i) text += "ab\r\n\r\n"[rng.Below(6)];
    std::vector<std::string> pieces;
    for (size_t at = 0; at < text.size();) {
      const size_t n = 1 + rng.Below(5);
      pieces.push_back(text.substr(at, n));
      at += n;
    }
    EXPECT_EQ(SplitAll(pieces), SplitAll({text}));
  }
}

}  // namespace
}  // namespace tunesmith::worker
