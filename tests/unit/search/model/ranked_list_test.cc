// The list in blocks against a sorted vector.
#include "search/model/ranked_list.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "common/rng.h"

namespace tunesmith::model {
namespace {

using Entry = RankedList::Entry;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr uint32_t kLastTrial = std::numeric_limits<uint32_t>::max();

// The same by sorting everything and counting.
struct SlowList {
  std::vector<Entry> entries;

  void Insert(Entry e) { entries.insert(std::upper_bound(entries.begin(), entries.end(), e), e); }
  void Erase(Entry e) { entries.erase(std::find(entries.begin(), entries.end(), e)); }
  double MidRank(double value) const {
    double rank = 0;
    for (const Entry& e : entries) rank += e.value < value ? 1 : (e.value == value ? 0.5 : 0);
    return rank;
  }
};

void ExpectSame(const RankedList& list, const SlowList& slow) {
  ASSERT_EQ(list.size(), slow.entries.size());
  EXPECT_EQ(list.empty(), slow.entries.empty());
  ASSERT_EQ(list.First(slow.entries.size() + 1), slow.entries);
  std::vector<Entry> half = slow.entries;
  half.resize(half.size() / 2);
  EXPECT_EQ(list.First(half.size()), half);
  EXPECT_TRUE(list.First(0).empty());
}

void ExpectSameRanks(const RankedList& list, const SlowList& slow, Rng* rng) {
  for (const double value : {-kInfinity, -1.0, 0.0, -0.0, 0.5, 7.0, 1e300, kInfinity}) {
    EXPECT_EQ(list.MidRank(value), slow.MidRank(value)) << value;
  }
  if (slow.entries.empty()) return;
  for (int n = 0; n < 20; ++n) {
    const double value = slow.entries[rng->Below(slow.entries.size())].value;
    const double rank = list.MidRank(value);
    EXPECT_EQ(rank, slow.MidRank(value));
    EXPECT_GT(rank, 0);
    EXPECT_LT(rank, static_cast<double>(list.size()));
    const size_t place = rng->Below(slow.entries.size());
    EXPECT_EQ(list.Quantile(static_cast<double>(place)), slow.entries[place].value);
  }
  EXPECT_EQ(list.Quantile(-3), slow.entries.front().value);
  EXPECT_EQ(list.Quantile(1e9), slow.entries.back().value);
}

TEST(RankedListTest, AgreesWithASortedVectorAtEverySizeThroughBlockSplits) {
  // 0 steps: all different; else values on a grid, so that ties run over block ends.
  for (const uint64_t steps : {0, 1, 3, 40}) {
    Rng rng(steps);
    RankedList list;
    SlowList slow;
    for (uint32_t n = 0; n < 3000; ++n) {
      double value = steps == 0 ? rng.Normal() : static_cast<double>(rng.Below(steps));
      if (rng.Below(50) == 0) value = (rng.NextU32() & 1U) != 0 ? kInfinity : -kInfinity;
      const Entry entry{value, n};
      list.Insert(entry);
      slow.Insert(entry);
      if (n % 97 == 0 || (n > 500 && n < 530) || (n > 1020 && n < 1040)) {
        ExpectSame(list, slow);
        ExpectSameRanks(list, slow, &rng);
      }
    }
  }
}

TEST(RankedListTest, AgreesWithASortedVectorWhileEntriesComeAndGo) {
  Rng rng(4);
  RankedList list;
  SlowList slow;
  uint32_t next = 0;
  // Grows, shrinks to nothing, and grows again.
  for (const auto& [target, moves] :
       {std::pair{2500, 4000}, {0, 6000}, {700, 2000}, {0, 2000}, {5, 10}}) {
    for (int n = 0; n < moves; ++n) {
      const bool grow =
          slow.entries.size() < static_cast<size_t>(target) ? rng.Below(6) != 0 : rng.Below(6) == 0;
      if (grow || slow.entries.empty()) {
        const Entry entry{std::floor(rng.Normal() * 20), next++};
        list.Insert(entry);
        slow.Insert(entry);
      } else {
        const Entry entry = slow.entries[rng.Below(slow.entries.size())];
        list.Erase(entry);
        slow.Erase(entry);
      }
      if (n % 101 == 0) {
        ExpectSame(list, slow);
        ExpectSameRanks(list, slow, &rng);
      }
    }
    while (target == 0 && !slow.entries.empty()) {
      const Entry entry = slow.entries[rng.Below(slow.entries.size())];
      list.Erase(entry);
      slow.Erase(entry);
    }
    ExpectSame(list, slow);
  }
}

TEST(RankedListTest, AscendingAndDescendingInsertionsSplitBlocksToo) {
  for (const bool ascending : {true, false}) {
    RankedList list;
    SlowList slow;
    Rng rng(1);
    for (uint32_t n = 0; n < 2000; ++n) {
      const Entry entry{ascending ? static_cast<double>(n) : -static_cast<double>(n), n};
      list.Insert(entry);
      slow.Insert(entry);
    }
    ExpectSame(list, slow);
    ExpectSameRanks(list, slow, &rng);
  }
}

TEST(RankedListTest, TheGreatestTrialNumberCounts) {
  RankedList list;
  list.Insert({1, kLastTrial});
  EXPECT_EQ(list.MidRank(1), 0.5);
  list.Insert({1, 0});
  EXPECT_EQ(list.MidRank(1), 1);
  list.Insert({2, kLastTrial});
  EXPECT_EQ(list.MidRank(1), 1);
  EXPECT_EQ(list.MidRank(1.5), 2);
  EXPECT_EQ(list.MidRank(2), 2.5);
  list.Erase({1, kLastTrial});
  EXPECT_EQ(list.MidRank(1), 0.5);
  // At the end of a block that is full, with the next value in the block after it.
  RankedList long_list;
  for (uint32_t n = 0; n < 600; ++n) long_list.Insert({0, n});
  long_list.Insert({0, kLastTrial});
  for (uint32_t n = 0; n < 600; ++n) long_list.Insert({1, n});
  EXPECT_EQ(long_list.MidRank(0), 300.5);
  EXPECT_EQ(long_list.MidRank(1), 901);
}

TEST(RankedListTest, QuantilesLieBetweenTheirNeighbours) {
  RankedList list;
  const std::vector<double> values = {-kInfinity, -kInfinity, -1.7e308, 1.7e308,
                                      1.7e308,    kInfinity,  kInfinity};
  for (uint32_t n = 0; n < values.size(); ++n) list.Insert({values[n], n});
  for (double rank = 0; rank <= 6; rank += 0.125) {
    const double q = list.Quantile(rank);
    EXPECT_GE(q, values[static_cast<size_t>(std::floor(rank))]) << rank;
    EXPECT_LE(q, values[static_cast<size_t>(std::ceil(rank))]) << rank;
  }
  RankedList plain;
  for (uint32_t n = 0; n < 5; ++n) plain.Insert({10.0 * n * n, n});
  EXPECT_EQ(plain.Quantile(2.25), 40 + 0.25 * 50);
}

}  // namespace
}  // namespace tunesmith::model
