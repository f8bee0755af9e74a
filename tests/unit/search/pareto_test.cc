// Ranks, volumes and fronts against the definitions, computed the slow way.
#include "search/pareto/pareto.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "common/rng.h"
#include "search/pareto/fronts.h"
#include "search/tpe/history.h"

namespace tunesmith {
namespace {

using Rows = std::vector<double>;

LossRows Of(const Rows& rows, size_t width) { return {rows.data(), rows.size() / width, width}; }

// Numbers on a coarse grid, so that there are ties and repeated points.
Rows Random(Rng* rng, size_t count, size_t width, uint64_t steps) {
  Rows rows;
  for (size_t i = 0; i < count * width; ++i) {
    rows.push_back(static_cast<double>(rng->Below(steps)) / static_cast<double>(steps));
  }
  return rows;
}

// One more than the largest rank of those that dominate it.
std::vector<uint32_t> SlowRanks(LossRows rows) {
  std::vector<uint32_t> ranks(rows.count, 0);
  for (size_t round = 0; round < rows.count; ++round) {
    for (size_t i = 0; i < rows.count; ++i) {
      for (size_t k = 0; k < rows.count; ++k) {
        if (Dominates(rows[k], rows[i], rows.width)) ranks[i] = std::max(ranks[i], ranks[k] + 1);
      }
    }
  }
  return ranks;
}

// Counts the cells of the grid below the reference (1, ..., 1) that some point dominates.
double SlowVolume(LossRows rows, size_t steps) {
  size_t covered = 0, cells = 1;
  for (size_t j = 0; j < rows.width; ++j) cells *= steps;
  for (size_t cell = 0; cell < cells; ++cell) {
    bool any = false;
    for (size_t i = 0; i < rows.count && !any; ++i) {
      bool all = true;
      size_t rest = cell;
      for (size_t j = 0; j < rows.width; ++j, rest /= steps) {
        all = all && rows[i][j] <= static_cast<double>(rest % steps) / static_cast<double>(steps);
      }
      any = all;
    }
    covered += any ? 1 : 0;
  }
  return static_cast<double>(covered) / static_cast<double>(cells);
}

TEST(ParetoTest, DominationNeedsOneBetterAndNoneWorse) {
  const double a[] = {1, 2}, b[] = {1, 3}, c[] = {0, 4}, nan[] = {1, std::nan("")};
  const double inf[] = {1, std::numeric_limits<double>::infinity()};
  EXPECT_TRUE(Dominates(a, b, 2));
  EXPECT_FALSE(Dominates(b, a, 2));
  EXPECT_FALSE(Dominates(a, a, 2));
  EXPECT_FALSE(Dominates(a, c, 2));
  EXPECT_FALSE(Dominates(c, a, 2));
  EXPECT_TRUE(Dominates(a, nan, 2));
  EXPECT_TRUE(Dominates(inf, nan, 2));
  EXPECT_FALSE(Dominates(nan, nan, 2));
}

TEST(ParetoTest, RanksAreThoseOfTheDefinition) {
  for (uint64_t seed = 0; seed < 400; ++seed) {
    Rng rng(seed);
    const size_t width = 2 + rng.Below(4);
    Rows rows = Random(&rng, rng.Below(40), width, 2 + rng.Below(12));
    if (seed % 5 == 0) {
      for (double& x : rows) x = rng.Below(10) == 0 ? std::nan("") : x;
    }
    EXPECT_EQ(NonDominationRanks(Of(rows, width)), SlowRanks(Of(rows, width))) << seed;
  }
}

TEST(ParetoTest, VolumesAreThoseOfTheDefinition) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Rng rng(seed);
    const size_t width = 2 + rng.Below(3);
    const size_t steps = 2 + rng.Below(6);
    const Rows rows = Random(&rng, rng.Below(12), width, steps);
    const Rows reference(width, 1.0);
    const double volume = Hypervolume(Of(rows, width), reference.data());
    ASSERT_NEAR(volume, SlowVolume(Of(rows, width), steps), 1e-12) << seed;
    // What a point adds is what is missing without it.
    const auto added = HypervolumeContributions(Of(rows, width), reference.data());
    for (size_t i = 0; i < added.size(); ++i) {
      Rows others = rows;
      const auto begin = others.begin() + static_cast<std::ptrdiff_t>(i * width);
      others.erase(begin, begin + static_cast<std::ptrdiff_t>(width));
      ASSERT_NEAR(added[i], volume - SlowVolume(Of(others, width), steps), 1e-12) << seed << " " << i;
    }
  }
}

TEST(ParetoTest, EightDimensionsHaveTheVolumeOfTheirBoxes) {
  // Points that are better in one objective each: boxes of 0.5^7 x 1, which overlap in 0.5^8.
  Rows rows;
  for (size_t i = 0; i < 8; ++i) {
    for (size_t j = 0; j < 8; ++j) rows.push_back(i == j ? 0 : 0.5);
  }
  const Rows reference(8, 1.0);
  const double box = std::pow(0.5, 8);
  EXPECT_DOUBLE_EQ(Hypervolume(Of(rows, 8), reference.data()), 9 * box);
  EXPECT_DOUBLE_EQ(HypervolumeContributions(Of(rows, 8), reference.data())[3], box);
  // Outside of the reference nothing counts.
  rows[0] = 1.0;
  EXPECT_DOUBLE_EQ(Hypervolume(Of(rows, 8), reference.data()), 8 * box);
}

TEST(ParetoTest, TheSelectionIsGreedy) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Rng rng(seed);
    const size_t width = 2 + rng.Below(3);
    const Rows rows = Random(&rng, 1 + rng.Below(14), width, 8);
    const Rows reference(width, 1.1);
    const size_t wanted = rng.Below(16);
    const auto chosen = SelectByHypervolume(Of(rows, width), reference.data(), wanted);
    ASSERT_EQ(chosen.size(), std::min(wanted, rows.size() / width));
    EXPECT_EQ(std::set<uint32_t>(chosen.begin(), chosen.end()).size(), chosen.size());
    Rows taken;
    for (const uint32_t next : chosen) {
      const auto volume_with = [&](size_t i) {
        Rows with = taken;
        with.insert(with.end(), &rows[i * width], &rows[i * width] + width);
        return Hypervolume(Of(with, width), reference.data());
      };
      for (size_t i = 0; i < rows.size() / width; ++i) ASSERT_GE(volume_with(next) + 1e-12, volume_with(i)) << seed;
      taken.insert(taken.end(), &rows[next * width], &rows[next * width] + width);
    }
  }
}

TEST(ParetoTest, TheOrderGoesByRankThenByWhatAPointAdds) {
  const std::vector<Goal> goals = {Goal::kMax, Goal::kMin};
  // Accuracy and latency: the middle of three on the front adds most; then come those that are dominated.
  const std::vector<std::vector<double>> values = {
      {0.9, 30}, {0.5, 5}, {0.85, 8}, {0.8, 9}, {0.7, std::nan("")}, {}, {0.9, 31}};
  EXPECT_EQ(ParetoOrder(values, goals).front(), 2u);
  const auto order = ParetoOrder(values, goals);
  ASSERT_EQ(order.size(), values.size());
  EXPECT_EQ(order.back(), 5u);
  EXPECT_EQ((std::set<uint32_t>(order.begin(), order.begin() + 3)), (std::set<uint32_t>{0, 1, 2}));
  EXPECT_EQ((std::set<uint32_t>(order.begin() + 3, order.begin() + 5)), (std::set<uint32_t>{3, 6}));
  EXPECT_TRUE(ParetoOrder({}, goals).empty());
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Rng rng(seed);
    const size_t width = 2 + rng.Below(7);
    const std::vector<Goal> any(width, Goal::kMin);
    std::vector<std::vector<double>> points(rng.Below(60));
    Rows rows;
    for (auto& point : points) {
      point = Random(&rng, 1, width, 6);
      if (rng.Below(9) == 0) point[0] = std::numeric_limits<double>::infinity();
      rows.insert(rows.end(), point.begin(), point.end());
    }
    const auto ranks = NonDominationRanks(Of(rows, width));
    const auto sorted = ParetoOrder(points, any);
    EXPECT_EQ(std::set<uint32_t>(sorted.begin(), sorted.end()).size(), points.size());
    for (size_t k = 1; k < sorted.size(); ++k) EXPECT_LE(ranks[sorted[k - 1]], ranks[sorted[k]]) << seed;
  }
}

TEST(ParetoTest, LargeListsAreQuick) {
  Rng rng(1);
  std::vector<std::vector<double>> two, five;
  for (int i = 0; i < 50'000; ++i) two.push_back(Random(&rng, 1, 2, 1'000'000));
  for (int i = 0; i < 2'000; ++i) five.push_back(Random(&rng, 1, 5, 1'000'000));
  EXPECT_EQ(ParetoOrder(two, std::vector<Goal>(2, Goal::kMin)).size(), two.size());
  EXPECT_EQ(ParetoOrder(five, std::vector<Goal>(5, Goal::kMin)).size(), five.size());
  // A front of 20,000, many of them twice.
  std::vector<std::vector<double>> front;
  for (int i = 0; i < 20'000; ++i) {
    const double x = i % 15'000;
    front.push_back({x, -x});
  }
  EXPECT_EQ(ParetoOrder(front, std::vector<Goal>(2, Goal::kMin)).size(), front.size());
}

TEST(FrontsTest, AreTheRanksOfAllPointsInAnyOrder) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Rng rng(seed);
    const size_t width = 2 + rng.Below(3), count = rng.Below(80), ranks_max = 1 + rng.Below(6);
    const Rows rows = Random(&rng, count, width, 3 + rng.Below(9));
    const auto ranks = SlowRanks(Of(rows, width));
    std::vector<uint32_t> order(count);
    for (uint32_t i = 0; i < count; ++i) order[i] = i;
    for (size_t i = count; i > 1; --i) std::swap(order[i - 1], order[rng.Below(i)]);
    Fronts fronts(width, ranks_max);
    std::set<uint32_t> dropped;
    for (const uint32_t i : order) {
      for (const uint32_t id : fronts.Add(i, Rows(&rows[i * width], &rows[i * width] + width)))
        EXPECT_TRUE(dropped.insert(id).second);
    }
    for (uint32_t i = 0; i < count; ++i) EXPECT_EQ(dropped.count(i), ranks[i] >= ranks_max ? 1u : 0u) << seed;
    for (uint32_t r = 0; r < fronts.ranks().size(); ++r) {
      std::vector<uint32_t> expected, ids;
      for (uint32_t i = 0; i < count; ++i) {
        if (ranks[i] == r) expected.push_back(i);
      }
      for (const Fronts::Member& member : fronts.ranks()[r]) ids.push_back(member.id);
      EXPECT_EQ(ids, expected) << seed;
    }
  }
}

// The codes of the group below, which name the trials here.
std::set<uint32_t> Below(const tpe::History& history) {
  std::set<uint32_t> trials;
  for (const tpe::Kernel& kernel : history.Split().below) trials.insert(static_cast<uint32_t>(kernel.codes[0]));
  return trials;
}

void End(tpe::History* history, uint32_t trial, std::vector<double> values, double violation = 0) {
  history->Add(trial, {static_cast<double>(trial)});
  Observation observation{.trial = trial, .value = values[0], .violation = violation};
  if (values.size() > 1) observation.values = std::move(values);
  history->Observe(observation);
}

TEST(TpeHistoryTest, InfeasibleTrialsStandBehindFeasibleOnes) {
  tpe::History history(1, {Goal::kMin});
  for (uint32_t n = 0; n < 20; ++n) End(&history, n, {static_cast<double>(n)}, n < 15 ? 20.0 - n : 0);
  EXPECT_EQ(Below(history), (std::set<uint32_t>{15, 16, 17}));  // ceil(0.15 * 20), all feasible
  tpe::History none(1, {Goal::kMin});
  for (uint32_t n = 0; n < 20; ++n) End(&none, n, {static_cast<double>(n)}, n == 19 ? 0 : 1 + (n * 7) % 20);
  EXPECT_EQ(Below(none), (std::set<uint32_t>{19, 0, 3}));  // then violations 1 and 2
}

TEST(TpeHistoryTest, SeveralGoalsSplitByRankThenVolume) {
  tpe::History history(1, {Goal::kMin, Goal::kMax});
  // A front of three, and a line behind it. ceil(0.15 * 40) = 6: three more from the second rank.
  End(&history, 0, {0, -10});
  End(&history, 1, {1, -1});
  End(&history, 2, {10, 0});
  for (uint32_t n = 3; n < 40; ++n) {
    const double x = 2 + static_cast<double>(n) / 10;
    End(&history, n, {x, -(9 - x)});
  }
  const auto below = Below(history);
  EXPECT_EQ(below.size(), 6u);
  for (const uint32_t n : {0, 1, 2}) EXPECT_TRUE(below.count(n)) << n;
  // Spread over the line and not at one end.
  EXPECT_GT(*below.rbegin(), 25u);
  EXPECT_LT(*std::next(below.begin(), 3), 18u);
}

TEST(TpeHistoryTest, TheSplitOfSeveralGoalsDoesNotDependOnTheOrder) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Rng rng(seed);
    const size_t width = 2 + rng.Below(3);
    const std::vector<Goal> goals(width, Goal::kMax);
    std::vector<Rows> values;
    std::vector<double> violations;
    for (int n = 0; n < 700; ++n) {
      values.push_back(Random(&rng, 1, width, 40));
      if (rng.Below(20) == 0) values.back()[1] = std::nan("");
      violations.push_back(rng.Below(2) == 0 ? 0 : static_cast<double>(rng.Below(9)));
    }
    std::vector<uint32_t> order(values.size());
    for (uint32_t n = 0; n < order.size(); ++n) order[n] = n;
    tpe::History forward(seed, goals), shuffled(seed, goals);
    for (const uint32_t n : order) End(&forward, n, values[n], violations[n]);
    for (size_t n = order.size(); n > 1; --n) std::swap(order[n - 1], order[rng.Below(n)]);
    for (const uint32_t n : order) {
      End(&shuffled, n, values[n], violations[n]);
      if (n % 100 == 0) shuffled.Split();
    }
    ASSERT_EQ(Below(forward), Below(shuffled)) << seed;
    EXPECT_EQ(Below(forward).size(), tpe::kBelowMax);
  }
}

}  // namespace
}  // namespace tunesmith
