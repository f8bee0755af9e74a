#include "bench/search/options.h"

#include <gtest/gtest.h>

namespace tunesmith::bench {
namespace {

std::optional<Options> Read(std::vector<std::string> words) {
  words.insert(words.begin(), "search_bench");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  testing::internal::CaptureStderr();
  auto options = ReadOptions(static_cast<int>(argv.size()), argv.data());
  EXPECT_EQ(testing::internal::GetCapturedStderr().empty(), options.has_value());
  return options;
}

TEST(Options, AreRead) {
  EXPECT_EQ(Read({})->trials, 200U);
  EXPECT_FALSE(Read({})->asha);
  const auto o = Read({"--searchers", "a,b:x=1,c", "--against", "c", "--trials", "30", "--seeds",
                       "2", "--workers", "4", "--tasks", "lcbench,branin", "--per-task"});
  ASSERT_TRUE(o);
  EXPECT_EQ(o->searchers, (std::vector<std::string>{"a", "b:x=1", "c"}));
  EXPECT_EQ(o->against, 2U);
  EXPECT_EQ(o->trials, 30U);
  EXPECT_EQ(o->workers, 4U);
  EXPECT_TRUE(o->per_task);
}

TEST(Options, OfAshaMayStandInAnyOrder) {
  const auto o = Read({"--by-seconds", "--budget", "100", "--asha", "stopping"});
  ASSERT_TRUE(o && o->asha);
  EXPECT_EQ(o->asha->type, AshaOptions::Type::kStopping);
  EXPECT_EQ(o->asha->budget, 100);
  EXPECT_TRUE(o->asha->by_seconds);
  EXPECT_EQ(o->workers, 8U);
  EXPECT_EQ(Read({"--asha", "promotion", "--workers", "3"})->asha->workers, 3U);
}

TEST(Options, ThatMakeNoSenseAreRefused) {
  EXPECT_FALSE(Read({"--nonsense", "1"}));
  EXPECT_FALSE(Read({"--trials"}));
  EXPECT_FALSE(Read({"--trials", "0"}));
  EXPECT_FALSE(Read({"--trials", "12x"}));
  EXPECT_FALSE(Read({"--trials", "-3"}));
  EXPECT_FALSE(Read({"--asha", "both"}));
  EXPECT_FALSE(Read({"--budget", "100"}));
  EXPECT_FALSE(Read({"--searchers", ","}));
  EXPECT_FALSE(Read({"--searchers", "a,b", "--against", "c"}));
}

}  // namespace
}  // namespace tunesmith::bench
