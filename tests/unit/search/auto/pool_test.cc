#include "search/auto/pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "common/rng.h"
#include "tests/unit/search/auto/histories.h"
#include "tests/unit/search/model/points.h"

namespace tunesmith::model {
namespace {

constexpr auto kProcess = Origin::Judge::kGp;

// A sweep of `count` trials on a bowl, which has its bottom at (0.3, 0.3, ...).
struct Sweep {
  explicit Sweep(int parameters, uint32_t count)
      : setting(Cube(parameters)), history(NewHistory()) {
    Rng rng(1);
    for (uint32_t n = 0; n < count; ++n) {
      const Point point = setting.space.Sample(&rng);
      double loss = 0;
      for (const Value& v : point) loss += (ValueNumber(v) - 0.3) * (ValueNumber(v) - 0.3);
      tried.insert(HashPoint(point));
      Add(n, setting.Codes(point));
      history->Observe(Completed(n, loss));
    }
  }
  void Add(uint32_t trial, const std::vector<double>& codes) {
    history->Add(trial, std::vector<float>(codes.begin(), codes.end()));
  }
  // Where the process sees things change on the scale of exp(-log_scale / 2).
  Pool NewPool(double log_scale = 0) const {
    GpParameters parameters(setting.features.size(), -7);
    for (double& scale : parameters.log_scale) scale = log_scale;
    return Pool({setting.space, setting.coding, setting.features, 7, 112}, *history, parameters,
                [this](uint64_t hash) { return tried.count(hash) > 0; });
  }

  const Setting setting;
  const std::unique_ptr<History> history;
  std::set<uint64_t> tried;
};

size_t BestOf(const std::vector<double>& scores) {
  return static_cast<size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}
double Distance(const Candidate& a, const Candidate& b) {
  double sum = 0;
  for (size_t i = 0; i < a.codes.size(); ++i)
    sum += (a.codes[i] - b.codes[i]) * (a.codes[i] - b.codes[i]);
  return std::sqrt(sum);
}

TEST(PoolTest, CandidatesDifferAndNoneWasTried) {
  const Sweep sweep(3, 30);
  Pool pool = sweep.NewPool();
  EXPECT_GE(pool.candidates().size(), 112u);
  std::set<uint64_t> hashes;
  for (const Candidate& c : pool.candidates()) {
    EXPECT_TRUE(hashes.insert(c.hash).second);
    EXPECT_EQ(sweep.tried.count(c.hash), 0u);
  }
  const auto judgement = pool.By(kProcess, nullptr);
  ASSERT_EQ(judgement.scores.size(), pool.candidates().size());
  EXPECT_EQ(judgement.means.size(), pool.candidates().size());
  for (const double score : judgement.scores) EXPECT_TRUE(std::isfinite(score));
}

TEST(PoolTest, TheBestCandidatesAreNearTheBottomOfABowl) {
  const Sweep sweep(2, 40);
  Pool pool = sweep.NewPool();
  const auto& codes = pool.candidates()[BestOf(pool.By(kProcess, nullptr).scores)].codes;
  EXPECT_NEAR(codes[0], 0.3, 0.15);
  EXPECT_NEAR(codes[1], 0.3, 0.15);
}

TEST(PoolTest, APendingTrialLowersTheScoresAroundItUntilItIsGone) {
  Sweep sweep(2, 20);
  Pool pool = sweep.NewPool(4);
  const auto& candidates = pool.candidates();
  const auto before = pool.By(kProcess, nullptr);
  const size_t best = BestOf(before.scores);
  sweep.Add(500, candidates[best].codes);
  const auto after = pool.By(kProcess, nullptr);
  EXPECT_EQ(after.means, before.means);
  EXPECT_LT(after.scores[best], before.scores[best] - 0.5);
  for (size_t c = 0; c < candidates.size(); ++c) {
    EXPECT_LE(after.scores[c], before.scores[c] + 1e-9);
    const double distance = Distance(candidates[c], candidates[best]);
    if (distance > 0.7) {
      EXPECT_NEAR(after.scores[c], before.scores[c], 0.1);
    }
  }
  // The next one is elsewhere, and lowers the scores there.
  const size_t second = BestOf(after.scores);
  EXPECT_GT(Distance(candidates[second], candidates[best]), 0.03);
  sweep.Add(501, candidates[second].codes);
  EXPECT_LT(pool.By(kProcess, nullptr).scores[second], after.scores[second] - 0.5);
  sweep.history->Forget(500);
  sweep.history->Forget(501);
  EXPECT_EQ(pool.By(kProcess, nullptr).scores, before.scores);
}

TEST(PoolTest, ThousandsOfPendingTrialsAndHardlyAnyResultsWork) {
  for (const uint32_t results : {1, 2, 3}) {
    Sweep sweep(2, results);
    Rng rng(3);
    for (uint32_t n = 100; n < 2100; ++n)
      sweep.Add(n, sweep.setting.Codes(sweep.setting.space.Sample(&rng)));
    Pool pool = sweep.NewPool();
    for (const double score : pool.By(kProcess, nullptr).scores) EXPECT_TRUE(std::isfinite(score));
  }
}

}  // namespace
}  // namespace tunesmith::model
