#include "search/auto/history.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <vector>

#include "common/rng.h"
#include "tests/unit/search/auto/histories.h"

namespace tunesmith::model {
namespace {

std::map<uint32_t, double> Scores(const History& history) {
  std::map<uint32_t, double> scores;
  for (const Scored& s : history.Select(10'000, 0)) scores[s.trial] = s.score;
  return scores;
}

std::vector<double> Normals(size_t count, uint64_t seed) {
  Rng rng(seed);
  std::vector<double> values;
  for (size_t n = 0; n < count; ++n) values.push_back(rng.Normal());
  return values;
}

TEST(AutoHistoryTest, TheWorseHalfCountsByRankAndTheBetterOneMostlyByLoss) {
  const auto values = Normals(60, 1);
  const auto history = HistoryOf(values);
  std::vector<double> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  const double best = sorted[0], middle = (sorted[29] + sorted[30]) / 2;
  double share = -1;
  for (const auto& [trial, score] : Scores(*history)) {
    const double quantile = history->standings().Quantile(trial),
                 by_rank = NormalQuantile(quantile);
    if (quantile >= 0.5) {
      EXPECT_DOUBLE_EQ(score, by_rank);
      continue;
    }
    const double by_value = -2.5 * (middle - values[trial]) / (middle - best);
    if (std::fabs(by_value - by_rank) < 0.05) continue;
    const double own = (score - by_rank) / (by_value - by_rank);
    if (share < 0) share = own;
    EXPECT_NEAR(own, share, 1e-9);
  }
  EXPECT_GT(share, 0.5);
  EXPECT_LT(share, 1);
}

TEST(AutoHistoryTest, ScoresGrowWithTheQuantileWhateverTheLosses) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Rng rng(seed);
    std::vector<double> values;
    for (size_t n = 0; n < 4 + 7 * seed; ++n) {
      const double x = rng.Normal();
      values.push_back(seed % 4 == 0   ? x
                       : seed % 4 == 1 ? std::floor(2 * x)
                       : seed % 4 == 2 ? x * 1e150 * x
                                       : 1e-9 * x);
    }
    const auto history = HistoryOf(values);
    for (uint32_t n = 0; n < 5; ++n) {
      const uint32_t failed = 1000 + n;
      history->Add(failed, {0});
      history->Observe({.trial = failed, .outcome = Outcome::kFailed, .value = 0});
    }
    std::vector<std::pair<double, double>> pairs;
    for (const auto& [trial, score] : Scores(*history)) {
      EXPECT_TRUE(std::isfinite(score));
      pairs.emplace_back(history->standings().Quantile(trial), score);
    }
    std::sort(pairs.begin(), pairs.end());
    for (size_t k = 1; k < pairs.size(); ++k) {
      EXPECT_LE(pairs[k - 1].second, pairs[k].second);
      if (pairs[k - 1].first < pairs[k].first) {
        EXPECT_LT(pairs[k - 1].second, pairs[k].second);
      }
    }
  }
}

TEST(AutoHistoryTest, OutliersAmongTheWorseChangeNothing) {
  auto values = Normals(40, 2);
  const auto scores = Scores(*HistoryOf(values));
  const auto worst = std::max_element(values.begin(), values.end());
  *worst = 1e300;
  EXPECT_EQ(Scores(*HistoryOf(values)), scores);
}

TEST(AutoHistoryTest, WithRungsOrHardlyAnyResultsOnlyRanksCount) {
  const auto few = HistoryOf({1, 1000, 3});
  for (const auto& [trial, score] : Scores(*few)) {
    EXPECT_DOUBLE_EQ(score, NormalQuantile(few->standings().Quantile(trial)));
  }
  const auto history = HistoryOf(Normals(30, 3));
  const double before = history->LogNoisePrior();
  history->Add(50, {0});
  history->Report({.trial = 50, .rung = 3, .value = 0});
  for (const auto& [trial, score] : Scores(*history)) {
    // The worse half counts for less.
    const double quantile = history->standings().Quantile(trial);
    EXPECT_DOUBLE_EQ(score, NormalQuantile(quantile) * (quantile < 0.5 ? 1 : 0.6));
  }
  EXPECT_GT(history->LogNoisePrior(), before);
}

TEST(AutoHistoryTest, LossesOfEverySizeGiveFiniteScores) {
  constexpr double kMax = std::numeric_limits<double>::max(),
                   kTiny = std::numeric_limits<double>::denorm_min();
  for (const auto& kinds : std::vector<std::vector<double>>{{0, kTiny},
                                                            {0, kTiny, 2 * kTiny, 7 * kTiny},
                                                            {-kMax, kMax},
                                                            {-kMax, 0, kMax},
                                                            {0, 1, kMax},
                                                            {5}}) {
    std::vector<double> values;
    for (size_t n = 0; n < 40; ++n) values.push_back(kinds[n % kinds.size()]);
    for (const Goal goal : {Goal::kMin, Goal::kMax}) {
      const auto history = HistoryOf(values, goal);
      for (const auto& [trial, score] : Scores(*history)) {
        EXPECT_TRUE(std::isfinite(score))
            << kinds.size() << " kinds, trial " << trial << ": " << score;
        const double metric = history->MetricAt(score);
        EXPECT_GE(metric, *std::min_element(kinds.begin(), kinds.end()));
        EXPECT_LE(metric, *std::max_element(kinds.begin(), kinds.end()));
      }
    }
  }
}

TEST(AutoHistoryTest, MetricAtInvertsTheScoreForBothGoals) {
  for (const Goal goal : {Goal::kMin, Goal::kMax}) {
    for (const size_t count : {3, 10, 61}) {
      const auto values = Normals(count, count);
      const auto history = HistoryOf(values, goal);
      const auto scores = Scores(*history);
      const auto by_score = [](const auto& a, const auto& b) { return a.second < b.second; };
      const auto best = std::min_element(scores.begin(), scores.end(), by_score);
      EXPECT_EQ(values[best->first], goal == Goal::kMin
                                         ? *std::min_element(values.begin(), values.end())
                                         : *std::max_element(values.begin(), values.end()));
      for (const auto& [trial, score] : scores)
        EXPECT_NEAR(history->MetricAt(score), values[trial], 1e-5);
      // Beyond what was seen: the best and the worst.
      EXPECT_EQ(history->MetricAt(-100), values[best->first]);
      EXPECT_TRUE(std::isfinite(history->MetricAt(100)));
    }
  }
}

TEST(AutoHistoryTest, MetricAtIsUnknownUntilATrialRanToItsEnd) {
  const auto history = NewHistory();
  EXPECT_TRUE(std::isnan(history->MetricAt(0)));
  history->Add(0, {0});
  history->Report({.trial = 0, .rung = 1, .value = 4});
  EXPECT_TRUE(std::isnan(history->MetricAt(0)));
  history->Observe(Completed(0, 3));
  EXPECT_EQ(history->MetricAt(0), 3);
}

TEST(AutoHistoryTest, PendingTrialsAreThoseWithoutAnyResult) {
  const auto history = NewHistory();
  for (uint32_t n = 0; n < 5; ++n) history->Add(n, {static_cast<float>(n)});
  history->Add(3, {99});  // again: nothing new
  EXPECT_EQ(history->codes(3), std::vector<float>{3});
  EXPECT_EQ(history->pending(), (std::set<uint32_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(history->results(), 0u);
  history->Report({.trial = 0, .rung = 1, .value = 4});
  history->Observe(Completed(1, 3));
  history->Forget(2);
  history->Observe({.trial = 3, .outcome = Outcome::kFailed, .value = 0});
  EXPECT_EQ(history->pending(), std::set<uint32_t>{4});
  EXPECT_EQ(history->results(), 3u);
  EXPECT_EQ(history->standings().count(), 3u);
  history->Forget(0);  // what it reported stays
  EXPECT_TRUE(history->standings().Has(0));
  EXPECT_EQ(history->codes(0), std::vector<float>{0});
  // Ends of trials that have ended, were forgotten, or were never announced.
  history->Observe(Completed(0, -1));
  history->Observe(Completed(1, -1));
  history->Observe(Completed(2, -1));
  history->Report({.trial = 77, .rung = 1, .value = -1});
  history->Forget(78);
  EXPECT_EQ(history->results(), 3u);
  history->Add(2, {7});
  EXPECT_EQ(history->pending(), (std::set<uint32_t>{2, 4}));
  EXPECT_EQ(history->codes(2), std::vector<float>{7});
}

TEST(AutoHistoryTest, SelectGivesTheBestInOrderAndThenASampleThatIsBoundedAndSteady) {
  const auto history = NewHistory();
  Rng rng(4);
  std::vector<double> values;
  std::set<uint32_t> last;
  for (uint32_t n = 0; n < 4000; ++n) {
    values.push_back(rng.Normal());
    history->Add(n, {0});
    history->Observe(Completed(n, values.back()));
    if (n % 7 == 0 || n > 3900) {
      std::set<uint32_t> others;
      const auto selected = history->Select(0, 10'000);
      for (const Scored& s : selected) others.insert(s.trial);
      EXPECT_EQ(others.size(), selected.size());
      EXPECT_EQ(others.size(), std::min<size_t>(n + 1, History::kSampleMax));
      if (n > 3900) {
        std::vector<uint32_t> gone;
        std::set_difference(last.begin(), last.end(), others.begin(), others.end(),
                            std::back_inserter(gone));
        EXPECT_LE(gone.size(), 1u);
      }
      last = std::move(others);
    }
  }
  size_t recent = 0;
  for (const uint32_t n : last) recent += n >= 2000 ? 1 : 0;
  EXPECT_GT(recent, 0.6 * History::kSampleMax) << "recent trials are likelier";
  EXPECT_LT(recent, 0.9 * History::kSampleMax);

  const auto selected = history->Select(30, 20);
  ASSERT_EQ(selected.size(), 50u);
  std::set<uint32_t> distinct;
  std::vector<double> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  for (size_t k = 0; k < selected.size(); ++k) {
    distinct.insert(selected[k].trial);
    if (k < 30) {
      EXPECT_EQ(values[selected[k].trial], sorted[k]);
    }
  }
  EXPECT_EQ(distinct.size(), 50u);
  EXPECT_EQ(history->Select(30, 0).size(), 30u);
}

}  // namespace
}  // namespace tunesmith::model
