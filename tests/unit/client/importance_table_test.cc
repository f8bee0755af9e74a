#include "client/importance_table.h"

#include <gtest/gtest.h>

#include "client/format.h"
#include "tests/unit/client/screens.h"

namespace tunesmith {
namespace {

ImportanceView Digits() {
  ImportanceView view;
  view.sweep = "digits";
  view.metric = "loss";
  view.rows = {
      {"lr", 0.62, 0.04, "best 3.16e-4 to 0.002; loss falls from 0.9 to 0.2 there"},
      {"optimizer", 0.18, 0.02, "adam 0.12, sgd 0.31"},
      {"optimizer/momentum", 0.07, 0.03,
       "best 0.9 to 0.99, the higher the better; loss falls from 0.4 to 0.29 there; active in 50% of the space"},
      {"width", 0.003, 0.001, "no visible effect"},
      {"seed", 0, 0, "always 3"},
  };
  view.interactions = 0.127;
  view.r2 = 0.84;
  view.used = 2'000;
  view.with_value = 98'000;
  view.left_out = 12;
  return view;
}

TEST(ImportanceTable, LooksAsKeptInTheGoldenScreens) {
  for (const size_t width : {40, 80, 120, 250}) {
    ExpectGolden("importance_" + std::to_string(width), RenderImportance(Digits(), {.width = width}, true));
  }
  ExpectGolden("importance_ascii_80", RenderImportance(Digits(), {.width = 80, .unicode = false}, true));
  ExpectGolden("importance_color", RenderImportance(Digits(), {.width = 120, .color = true}, true));
}

TEST(ImportanceTable, StaysInItsWidthAndWithoutColourHasNoControlCharacters) {
  ImportanceView view = Digits();
  view.rows.push_back({std::string(300, 'n') + "\n", 2, 9, std::string(400, 'e') + "\x1b[31m"});
  for (size_t width = 20; width <= 260; width += 3) {
    for (const std::string& line : RenderImportance(view, {.width = width}, true)) {
      EXPECT_LE(DisplayWidth(line), width) << line;
      EXPECT_EQ(line.find('\x1b'), std::string::npos);
      EXPECT_FALSE(line.ends_with(' '));
    }
  }
}

TEST(ImportanceTable, WarnsOfAModelThatForetellsNothing) {
  ImportanceView view = Digits();
  const auto has = [&](const std::string& text) {
    for (const std::string& line : RenderImportance(view, {.width = 100}, true)) {
      if (line.find(text) != std::string::npos) return true;
    }
    return false;
  };
  EXPECT_FALSE(has("foretells"));
  view.r2 = 0.3;
  EXPECT_TRUE(has("take this as a hint"));
  view.r2 = -0.2;
  EXPECT_TRUE(has("do not rely on this"));
  EXPECT_TRUE(has("-0.2"));
}

TEST(ImportanceTable, WithoutHeadersHasRowsAlone) {
  EXPECT_EQ(RenderImportance(Digits(), {.width = 200}, false).size(), 6U);
}

}  // namespace
}  // namespace tunesmith
