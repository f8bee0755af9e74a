#include "bench/search/statistics.h"

#include <gtest/gtest.h>

namespace tunesmith::bench {
namespace {

// Three searchers, two tasks, two seeds.
const Regrets kRegrets = {{{1, 2}, {10, 30}}, {{2, 2}, {20, 10}}, {{0, 5}, {30, 20}}};

TEST(Statistics, CountsPairs) {
  const Wins wins = CompareRuns(kRegrets, 0, 1, {0, 1});
  EXPECT_EQ(wins.wins, 2U);
  EXPECT_EQ(wins.ties, 1U);
  EXPECT_EQ(wins.losses, 1U);
  EXPECT_DOUBLE_EQ(wins.Share(), 62.5);
  const Wins reverse = CompareRuns(kRegrets, 1, 0, {0, 1});
  EXPECT_EQ(reverse.wins, wins.losses);
  EXPECT_EQ(reverse.losses, wins.wins);
  EXPECT_EQ(CompareRuns(kRegrets, 0, 1, {1}).ties, 0U);
  EXPECT_EQ(CompareRuns(kRegrets, 0, 1, {}).Share(), 0);
}

TEST(Statistics, RanksShareTies) {
  // Ranks of the first: 2 (after 0), 1.5 (a tie at 2), 1, 3.
  EXPECT_DOUBLE_EQ(MeanRank(kRegrets, 0, {0, 1}), (2 + 1.5 + 1 + 3) / 4);
  double sum = 0;
  for (size_t s = 0; s < 3; ++s) sum += MeanRank(kRegrets, s, {0, 1});
  EXPECT_DOUBLE_EQ(sum, 6);
}

TEST(Statistics, AveragesTasksAlike) {
  EXPECT_DOUBLE_EQ(MeanRegret(kRegrets, 0, {0, 1}), (1.5 + 20) / 2);
  EXPECT_DOUBLE_EQ(MeanRegret(kRegrets, 1, {1}), 15);
  EXPECT_EQ(MeanRegret(kRegrets, 1, {}), 0);
}

}  // namespace
}  // namespace tunesmith::bench
