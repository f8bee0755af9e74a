#include "client/format.h"

#include <gtest/gtest.h>

#include <cmath>

#include "common/text.h"

namespace tunesmith {
namespace {

TEST(DisplayWidth, CountsColumnsNotBytes) {
  EXPECT_EQ(DisplayWidth("abc"), 3U);
  EXPECT_EQ(DisplayWidth("é"), 1U);
  EXPECT_EQ(DisplayWidth("e\xCC\x81"), 1U) << "a combining accent";
  EXPECT_EQ(DisplayWidth("日本"), 4U);
  EXPECT_EQ(DisplayWidth("🎉"), 2U);
  EXPECT_EQ(DisplayWidth("▁█★≥→"), 5U);
  EXPECT_EQ(DisplayWidth("\xFF\xFF"), 2U);
}

TEST(CleanText, MakesOneHarmlessLineOfAnything) {
  EXPECT_EQ(CleanText("a\nb\tc", true), "a b c");
  EXPECT_EQ(CleanText("\x1b[31mred", true), "␛[31mred");
  EXPECT_EQ(CleanText("\x1b[31mred", false), "?[31mred");
  EXPECT_EQ(CleanText("\x7F\xC2\x9B", true), "␡\xEF\xBF\xBD");
  EXPECT_EQ(CleanText("a\xE2\x80\xAE"
                      "b",
                      true),
            "ab")
      << "a direction override";
  EXPECT_EQ(CleanText("\xFFx", true), "\xEF\xBF\xBDx");
  EXPECT_EQ(CleanText("日本", false), "??");
  EXPECT_EQ(CleanText("\xCC\x81x", true), "x") << "a mark with nothing to stand on";
  std::string tower = "e";
  for (int i = 0; i < 50; ++i) tower += "\xCC\x81";
  EXPECT_EQ(CleanText(tower, true).size(), 1U + 3 * 2);
}

TEST(CutText, EndsInAnEllipsisAndNeverSplitsAWideCharacter) {
  EXPECT_EQ(CutText("abcdef", 6, true), "abcdef");
  EXPECT_EQ(CutText("abcdef", 4, true), "abc…");
  EXPECT_EQ(CutText("abcdef", 4, false), "abc~");
  EXPECT_EQ(CutText("日本語", 4, true), "日…");
  EXPECT_EQ(PadRight("日本語", 4, true), "日… ");
  EXPECT_EQ(PadLeft("7", 3, true), "  7");
  EXPECT_EQ(CutText("abc", 0, true), "");
}

TEST(NumberText, IsWrittenAlikeInAColumn) {
  const double accuracies[] = {0.94321, 0.9, 0.1};
  const NumberStyle plain = StyleFor(accuracies, 4);
  EXPECT_EQ(NumberText(0.94321, plain), "0.9432");
  EXPECT_EQ(NumberText(0.9, plain), "0.9000");
  EXPECT_EQ(NumberText(NAN, plain), "nan");
  EXPECT_EQ(NumberText(-INFINITY, plain), "-inf");
  const double rates[] = {3.12e-3, 5e-5, 1e-4};
  const NumberStyle scientific = StyleFor(rates, 3);
  EXPECT_EQ(NumberText(3.12e-3, scientific), "3.12e-3");
  EXPECT_EQ(NumberText(5e-5, scientific), "5.00e-5");
  const double sizes[] = {64, 128, 512};
  EXPECT_EQ(NumberText(128, StyleFor(sizes, 3)), "128");
  const double large[] = {12345.678, 100.5};
  EXPECT_EQ(NumberText(12345.678, StyleFor(large, 4)), "12345.7");
}

TEST(NumberText, OneWildValueDoesNotChangeTheOthers) {
  const double losses[] = {0.4312, 0.51, 1e30, 2e-5, NAN, 0};
  const NumberStyle style = StyleFor(losses, 4);
  EXPECT_EQ(NumberText(0.4312, style), "0.4312");
  EXPECT_EQ(NumberText(1e30, style), "1.00e30");
  EXPECT_EQ(NumberText(2e-5, style), "2.00e-5");
  EXPECT_EQ(NumberText(0, style), "0.0000");
}

TEST(ShortNumber, HasNoTrailingZeros) {
  EXPECT_EQ(ShortNumber(0.01, 3), "0.01");
  EXPECT_EQ(ShortNumber(3.124e-4, 3), "3.12e-4");
  EXPECT_EQ(ShortNumber(5e-4, 3), "5e-4");
  EXPECT_EQ(ShortNumber(1500, 3), "1500");
  EXPECT_EQ(ShortNumber(1234.56, 3), "1235");
  EXPECT_EQ(ShortNumber(22.5, 6), "22.5");
  EXPECT_EQ(ShortNumber(0, 3), "0");
  EXPECT_EQ(ShortNumber(-0.25, 3), "-0.25");
  EXPECT_EQ(ShortNumber(1e300, 3), "1e300");
  EXPECT_EQ(ShortNumber(NAN, 3), "nan");
}

TEST(BriefDuration, NamesTheTwoLargestUnits) {
  EXPECT_EQ(BriefDuration(-5), "0.0s");
  EXPECT_EQ(BriefDuration(2'440), "2.4s");
  EXPECT_EQ(BriefDuration(41'000), "41s");
  EXPECT_EQ(BriefDuration(252'000), "4m12s");
  EXPECT_EQ(BriefDuration(11'100'000), "3h05m");
  EXPECT_EQ(BriefDuration(187'200'000), "2d04h");
}

TEST(CountText, StaysNarrow) {
  EXPECT_EQ(CountText(9'999), "9999");
  EXPECT_EQ(CountText(12'345), "12.3k");
  EXPECT_EQ(CountText(999'700), "1M");
  EXPECT_EQ(CountText(4'500'000), "4.5M");
  for (int64_t x = 1; x > 0 && x < INT64_MAX / 7; x *= 7) EXPECT_LE(CountText(x).size(), 5U) << x;
  EXPECT_LE(CountText(INT64_MAX).size(), 5U);
}

TEST(Sparkline, ShowsOneCharacterAColumn) {
  const double points[] = {0, 1, 2, 3, 4, 5, 6, 7};
  EXPECT_EQ(Sparkline(points, 8, 0, 7, true), "▁▂▃▄▅▆▇█");
  EXPECT_EQ(Sparkline(points, 4, 0, 7, true), "▁▃▆█");
  EXPECT_EQ(Sparkline(points, 8, 0, 7, false), "_.:-=+*#");
  EXPECT_EQ(Sparkline(points, 20, 0, 7, true), "▁▂▃▄▅▆▇█");
  const double broken[] = {1, NAN, INFINITY, -INFINITY};
  EXPECT_EQ(Sparkline(broken, 4, 0, 7, true), "▂×█▁");
  const double flat[] = {3, 3};
  EXPECT_EQ(Sparkline(flat, 4, 3, 3, true), "▅▅");
  const double huge[] = {-1.7e308, 0, 1.7e308};
  EXPECT_EQ(Sparkline(huge, 3, -1.7e308, 1.7e308, true), "▁▅█");
  EXPECT_EQ(Sparkline({}, 4, 0, 1, true), "");
}

TEST(ProgressBar, HasExactlyTheGivenWidth) {
  EXPECT_EQ(ProgressBar(0.5, 10, true), "▕████    ▏");
  EXPECT_EQ(ProgressBar(0.5, 10, false), "[####....]");
  for (const double fraction : {-1.0, 0.0, 0.33, 0.999, 1.0, 7.0, static_cast<double>(NAN)}) {
    for (size_t width = 3; width < 30; ++width) {
      EXPECT_EQ(DisplayWidth(ProgressBar(fraction, width, true)), width);
      EXPECT_EQ(DisplayWidth(ProgressBar(fraction, width, false)), width);
    }
  }
}

}  // namespace
}  // namespace tunesmith
