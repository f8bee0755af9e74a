#include "client/table.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "client/format.h"
#include "tests/unit/client/screens.h"

namespace tunesmith {
namespace {

bool Contains(const std::vector<std::string>& lines, const std::string& text) {
  return std::any_of(lines.begin(), lines.end(),
                     [&](const std::string& line) { return line.find(text) != std::string::npos; });
}

size_t LineOf(const std::vector<std::string>& lines, const std::string& text) {
  const auto it = std::find_if(lines.begin(), lines.end(), [&](const std::string& line) {
    return line.find(text) != std::string::npos;
  });
  EXPECT_NE(it, lines.end()) << text;
  return static_cast<size_t>(it - lines.begin());
}

TEST(Table, LooksAsKeptInTheGoldenScreens) {
  for (const size_t width : {40U, 80U, 120U, 250U}) {
    const std::string suffix = "_" + std::to_string(width);
    ExpectGolden("table_cifar" + suffix, RenderTable(CifarSweep(), {.width = width, .height = 24}));
    ExpectGolden("table_digits" + suffix,
                 RenderTable(DigitsSweep(), {.width = width, .height = 24}));
    ExpectGolden("table_cifar_ascii" + suffix,
                 RenderTable(CifarSweep(), {.width = width, .height = 24, .unicode = false}));
  }
  ExpectGolden("table_cifar_color",
               RenderTable(CifarSweep(), {.width = 100, .height = 24, .color = true}));
}

TEST(Table, AnEmptySweepHasNoTableAndNoFalseNumbers) {
  SweepView v;
  v.name = "new";
  v.state = "ACTIVE";
  v.metric = "loss";
  v.total = 10;
  v.notice = "no worker is connected";
  const auto lines = RenderTable(v, {});
  EXPECT_TRUE(Contains(lines, "0/10 trials"));
  EXPECT_TRUE(Contains(lines, "ETA -"));
  EXPECT_TRUE(Contains(lines, "best -"));
  EXPECT_TRUE(Contains(lines, "! no worker is connected"));
  EXPECT_FALSE(Contains(lines, "STATE"));
}

TEST(Table, ASweepWithoutALimitHasNoBar) {
  SweepView v = CifarSweep();
  v.total.reset();
  const auto lines = RenderTable(v, {});
  EXPECT_TRUE(Contains(lines, " 103 trials"));
  EXPECT_FALSE(Contains(lines, "█▌"));
}

TEST(Table, RunningTrialsComeFirstThenTheDoneOnesBestFirst) {
  const auto lines = RenderTable(CifarSweep(), {.width = 120, .height = 0});
  const size_t r112 = LineOf(lines, "112  running");
  const size_t r115 = LineOf(lines, "115  running");
  const size_t nan = LineOf(lines, "116  running");
  const size_t d93 = LineOf(lines, "93  done");
  const size_t d88 = LineOf(lines, "88  done");
  EXPECT_LT(r112, r115);
  EXPECT_LT(r115, nan) << "NaN is never better than a number";
  EXPECT_LT(nan, d93);
  EXPECT_LT(d93, d88);
  EXPECT_NE(lines[d93].find("★"), std::string::npos);
  EXPECT_NE(lines[nan].find("nan"), std::string::npos);
}

TEST(Table, EveryStateKeepsAShareOfTheRowsAndTheBestIsAlwaysThere) {
  SweepView v = CifarSweep();
  v.rows.clear();
  v.counts.clear();
  for (uint32_t i = 0; i < 400; ++i) {
    const auto state = static_cast<RowState>(i % 8);
    v.rows.push_back({i, state, "", 1, 27, {1.0, i / 500.0}, {}, {}, "", {}, ""});
  }
  v.best = BestView{200, 0.4, {}};  // running, and not the best of them by its last value
  const auto lines = RenderTable(v, {.width = 100, .height = 24});
  EXPECT_EQ(lines.size(), 24U);
  for (int i = 0; i < 8; ++i) {
    const std::string word = RowStateWord(static_cast<RowState>(i));
    EXPECT_TRUE(Contains(lines, "  " + word)) << word;
  }
  EXPECT_TRUE(Contains(lines, "★"));
  EXPECT_TRUE(Contains(lines, " more trials ("));
}

TEST(Table, CountsTheTrialsThatWereNotSentAmongThoseNotShown) {
  const auto lines = RenderTable(CifarSweep(), {.width = 120, .height = 0});
  EXPECT_TRUE(Contains(lines, "... 99 more trials (7 done, 90 stopped, 2 failed)"));
}

TEST(Table, DropsParametersFromTheLastAndNeverTheFirstFiveColumns) {
  const SweepView v = CifarSweep();
  size_t before = 0;
  for (size_t width = 40; width <= 250; ++width) {
    const auto lines = RenderTable(v, {.width = width, .height = 0});
    const std::string heading = lines[LineOf(lines, "STATE")];
    for (const char* name : {"#", "STATE", "STEP", "val_acc", "CURVE"}) {
      ASSERT_NE(heading.find(name), std::string::npos) << width << ": " << heading;
    }
    bool gone = false;
    size_t count = 0;
    for (const char* name : {" lr", " wd", " opt", " momentum", " depth"}) {
      const bool shown = heading.find(name) != std::string::npos;
      ASSERT_FALSE(shown && gone) << heading;
      gone = !shown;
      count += shown;
    }
    before = std::max(before, count);
  }
  EXPECT_EQ(before, 5U);
}

TEST(Table, SaysWhereAPointCameFromOnceAllElseHasRoom) {
  SweepView v = DigitsSweep();
  const auto bare = RenderTable(v, {.width = 250, .height = 0});
  EXPECT_EQ(bare[LineOf(bare, "STATE")].find("FROM"), std::string::npos) << "nothing is known";
  v.rows[0].from = "gp";
  const auto wide = RenderTable(v, {.width = 250, .height = 0});
  const std::string heading = wide[LineOf(wide, "STATE")];
  ASSERT_NE(heading.find("FROM"), std::string::npos) << heading;
  EXPECT_TRUE(Contains(wide, "  gp"));
  for (size_t width = 40; width < 250; ++width) {
    const auto lines = RenderTable(v, {.width = width, .height = 0});
    const auto before = RenderTable(DigitsSweep(), {.width = width, .height = 0});
    if (lines[LineOf(lines, "STATE")].find("FROM") == std::string::npos) {
      EXPECT_EQ(lines, before) << "it takes no room from others";
    }
  }
}

TEST(Table, StaysWithinTheGivenHeight) {
  for (size_t height = 1; height < 40; ++height) {
    EXPECT_LE(RenderTable(CifarSweep(), {.width = 80, .height = height}).size(), height);
  }
}

TEST(Table, SaysEveryStateInWordsWithoutColor) {
  const auto plain = RenderTable(CifarSweep(), {.width = 120, .height = 0});
  auto colored = RenderTable(CifarSweep(), {.width = 120, .height = 0, .color = true});
  ASSERT_EQ(plain.size(), colored.size());
  for (size_t i = 0; i < plain.size(); ++i) {
    std::string& line = colored[i];
    for (size_t at = line.find('\x1b'); at != std::string::npos; at = line.find('\x1b')) {
      line.erase(at, line.find('m', at) - at + 1);
    }
    EXPECT_EQ(line, plain[i]);
  }
}

// --- property: any view, any width

std::string RandomText(Rng* rng) {
  static const char* const kPieces[] = {"lr",
                                        "accuracy",
                                        " ",
                                        "\n",
                                        "\x1b[31m",
                                        "\t",
                                        "日本語",
                                        "e\xCC\x81",
                                        "\xCC\x81",
                                        "\xFF",
                                        "\xC2\x9B",
                                        "🎉",
                                        "a\xE2\x80\xAE",
                                        "\x7F",
                                        "…",
                                        "\r",
                                        "x",
                                        "%s",
                                        "\xF0\x9F",
                                        "\xE2\x80\xA8",
                                        "-",
                                        "_",
                                        "0123456789"};
  std::string text;
  for (uint64_t n = rng->Below(rng->Below(8) == 0 ? 40 : 4); n > 0; --n)
    text += kPieces[rng->Below(std::size(kPieces))];
  return text;
}

double RandomNumber(Rng* rng) {
  static const double kSpecial[] = {NAN,    INFINITY, -INFINITY, 0.0,       -0.0, 1e308,
                                    -1e308, 5e-324,   1e7,       123456789, 0.5};
  if (rng->Below(3) == 0) return kSpecial[rng->Below(std::size(kSpecial))];
  return rng->Uniform(-2, 2) * std::pow(10.0, static_cast<double>(rng->IntInclusive(-6, 6)));
}

ViewValue RandomValue(Rng* rng) {
  switch (rng->Below(5)) {
    case 0:
      return std::monostate{};
    case 1:
      return rng->Below(2) == 0;
    case 2:
      return static_cast<int64_t>(rng->NextU64() >> rng->Below(64));
    case 3:
      return RandomNumber(rng);
    default:
      return RandomText(rng);
  }
}

TrialRow RandomRow(Rng* rng, size_t metrics, size_t params) {
  TrialRow row;
  row.number = rng->NextU32() >> rng->Below(32);
  row.state = static_cast<RowState>(rng->Below(8));
  if (rng->Below(5) == 0) row.state_text = RandomText(rng);
  row.step = static_cast<int64_t>(rng->NextU64() >> (1 + rng->Below(63))) - 1;
  if (rng->Below(2) == 0) row.max_step = rng->IntInclusive(-1, 100);
  for (size_t i = rng->Below(metrics + 1); i > 0; --i) {
    row.metrics.push_back(rng->Below(4) == 0 ? std::nullopt : std::optional(RandomNumber(rng)));
  }
  for (size_t i = rng->Below(params + 1); i > 0; --i) row.params.push_back(RandomValue(rng));
  for (size_t i = rng->Below(40); i > 0; --i) row.curve.push_back(RandomNumber(rng));
  if (rng->Below(2) == 0) row.where = RandomText(rng);
  if (rng->Below(2) == 0) row.time_ms = rng->IntInclusive(-5, 1'000'000'000'000);
  if (rng->Below(3) == 0) row.note = RandomText(rng);
  return row;
}

SweepView RandomView(Rng* rng) {
  SweepView v;
  v.name = RandomText(rng);
  v.state = RandomText(rng);
  v.elapsed_ms = rng->IntInclusive(-1, 100'000'000'000);
  v.controller = RandomText(rng);
  v.notice = RandomText(rng);
  v.done = rng->IntInclusive(-1, 100);
  if (rng->Below(2) == 0) v.total = rng->IntInclusive(-1, 10'000'000);
  if (rng->Below(2) == 0) v.eta_ms = rng->IntInclusive(-1, 10'000'000'000);
  for (int i = 0; i < 8; ++i)
    v.counts.emplace_back(static_cast<RowState>(i), rng->IntInclusive(0, 1000) / 3);
  for (size_t i = rng->Below(5); i > 0; --i) v.metric_columns.push_back(RandomText(rng));
  for (size_t i = rng->Below(12); i > 0; --i) v.param_columns.push_back(RandomText(rng));
  v.metric =
      v.metric_columns.empty() || rng->Below(4) == 0 ? RandomText(rng) : v.metric_columns.back();
  v.goal = rng->Below(2) == 0 ? ViewGoal::kMin : ViewGoal::kMax;
  if (rng->Below(4) != 0) {
    v.best = BestView{static_cast<uint32_t>(rng->Below(20)), RandomNumber(rng), {}};
    for (const std::string& name : v.param_columns)
      v.best->params.emplace_back(name, RandomValue(rng));
  }
  for (size_t i = rng->Below(60); i > 0; --i) v.best_so_far.push_back(RandomNumber(rng));
  v.searcher = RandomText(rng);
  v.scheduler = RandomText(rng);
  v.rung_metric = RandomText(rng);
  for (size_t i = rng->Below(12); i > 0; --i) {
    RungView rung{
        static_cast<int32_t>(rng->Below(3)), RandomNumber(rng), rng->IntInclusive(0, 1000), 0, {}};
    rung.stopped = rng->IntInclusive(0, rung.recorded);
    if (rng->Below(3) != 0) rung.cutoff = RandomNumber(rng);
    v.rungs.push_back(rung);
  }
  for (size_t i = rng->Below(rng->Below(5) == 0 ? 200 : 4); i > 0; --i) {
    WorkerView worker{RandomText(rng), RandomText(rng), RandomNumber(rng), RandomNumber(rng), {}};
    for (size_t k = rng->Below(9); k > 0; --k) {
      worker.devices.push_back(
          {RandomText(rng), rng->Below(2) == 0, RandomNumber(rng), RandomText(rng)});
    }
    v.workers.push_back(worker);
  }
  for (size_t i = rng->Below(30); i > 0; --i) {
    v.rows.push_back(RandomRow(rng, v.metric_columns.size(), v.param_columns.size()));
  }
  for (size_t i = rng->Below(5); i > 0; --i) v.hints.push_back(RandomText(rng));
  return v;
}

// No control byte (but SGR sequences where there is colour), valid characters only, ASCII where
// asked.
void ExpectClean(const std::string& line, const RenderOptions& options, std::string* without_sgr) {
  for (size_t i = 0; i < line.size(); ++i) {
    const auto c = static_cast<unsigned char>(line[i]);
    if (c == 0x1b && options.color) {
      const size_t end = line.find_first_not_of("[0123456789;", i + 1);
      ASSERT_TRUE(end != std::string::npos && line[end] == 'm') << line;
      i = end;
      continue;
    }
    ASSERT_TRUE(c >= 0x20 && c != 0x7F) << "control byte in: " << line;
    if (!options.unicode) {
      ASSERT_LT(c, 0x80) << line;
    }
    *without_sgr += line[i];
  }
  ASSERT_EQ(CleanText(*without_sgr, true), *without_sgr) << "not clean";
}

TEST(Table, NoLineIsWiderThanTheScreenOrHoldsControlBytesWhateverTheView) {
  Rng rng(20);
  for (int round = 0; round < 40 && !testing::Test::HasFatalFailure(); ++round) {
    const SweepView view = RandomView(&rng);
    for (const bool unicode : {true, false}) {
      for (size_t width = 40 + rng.Below(5); width <= 250; width += 1 + rng.Below(20)) {
        const RenderOptions options{.width = width,
                                    .height = rng.Below(40),
                                    .color = rng.Below(2) == 0,
                                    .unicode = unicode};
        const auto lines = RenderTable(view, options);
        ASSERT_TRUE(options.height == 0 || lines.size() <= options.height);
        for (const std::string& line : lines) {
          std::string plain;
          ExpectClean(line, options, &plain);
          ASSERT_LE(DisplayWidth(plain), width) << plain;
          ASSERT_FALSE(plain.ends_with(' ')) << "[" << plain << "]";
        }
      }
    }
  }
}

TEST(Table, EveryWidthFrom40To250HoldsTheRealScreens) {
  for (const SweepView& view : {CifarSweep(), DigitsSweep()}) {
    for (size_t width = 40; width <= 250; ++width) {
      for (const bool unicode : {true, false}) {
        for (const std::string& line :
             RenderTable(view, {.width = width, .height = 24, .unicode = unicode})) {
          ASSERT_LE(DisplayWidth(line), width);
        }
      }
    }
  }
}

}  // namespace
}  // namespace tunesmith
