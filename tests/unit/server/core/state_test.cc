// What the state remembers: the best trial, learning curves, the digest.
#include "tests/unit/server/core/core_test.h"

#include "common/limits.h"

namespace tunesmith {
namespace {

using StateTest = CoreTest;

TEST_F(StateTest, TheBestTrialHasTheBestValueOfAllItsReports) {
  const SessionId worker = Connect("w", 2);
  const SweepId id = Create(SpecOf("digits", 2));
  Report(worker, RefOf(id, 0), 1, 0.3);
  Report(worker, RefOf(id, 0), 2, 0.8);
  Report(worker, RefOf(id, 1), 1, 0.5);
  EXPECT_EQ(SweepOf(id).best_trial, 0u);
  EXPECT_EQ(TrialOf(id, 0).best_value, 0.3);
  EXPECT_EQ(TrialOf(id, 0).best_step, 1);
  EXPECT_EQ(TrialOf(id, 0).last_value, 0.8);
  Report(worker, RefOf(id, 1), 2, 0.2);
  EXPECT_EQ(SweepOf(id).best_trial, 1u);
}

TEST_F(StateTest, NotANumberIsNeverBest) {
  const SessionId worker = Connect("w", 2);
  const SweepId id = Create(SpecOf("digits", 2));
  Report(worker, RefOf(id, 0), 1, kNan);
  EXPECT_FALSE(SweepOf(id).best_trial.has_value());
  Report(worker, RefOf(id, 1), 1, 1e300);
  Report(worker, RefOf(id, 1), 2, kNan);
  EXPECT_EQ(SweepOf(id).best_trial, 1u);
  EXPECT_EQ(TrialOf(id, 1).best_value, 1e300);
}

TEST_F(StateTest, AFailedTrialIsNeverBestAndTheNextBestTakesItsPlace) {
  const SessionId worker = Connect("w", 3);
  const SweepId id = Create(SpecOf("digits", 3));
  Report(worker, RefOf(id, 0), 1, 0.1);
  Report(worker, RefOf(id, 1), 1, 0.4);
  Report(worker, RefOf(id, 2), 1, 0.2);
  EXPECT_EQ(SweepOf(id).best_trial, 0u);
  Ended(worker, RefOf(id, 0), ExitCode(1));
  EXPECT_EQ(SweepOf(id).best_trial, 2u);
}

TEST_F(StateTest, LargerIsBetterUnderMax) {
  SweepSpec spec = SpecOf("digits", 2);
  spec.search.goal = Goal::kMax;
  const SessionId worker = Connect("w", 2);
  const SweepId id = Create(spec);
  Report(worker, RefOf(id, 0), 1, 0.3);
  Report(worker, RefOf(id, 1), 1, 0.5);
  EXPECT_EQ(SweepOf(id).best_trial, 1u);
}

// Property: whatever the number of reports, the curve has at most the limit of points, begins with the first value,
// ends with the last, and those between are evenly spaced.
TEST_F(StateTest, ACurveIsThinnedEvenlyAndKeepsItsEnds) {
  const SessionId worker = Connect("w", 1);
  const SweepId id = Create(SpecOf("digits", 1));
  for (int step = 1; step <= 700; ++step) {
    Report(worker, RefOf(id, 0), step, step);
    const std::vector<double>& curve = TrialOf(id, 0).curve;
    ASSERT_LE(curve.size(), kCurvePointsMax);
    ASSERT_EQ(curve.front(), 1.0);
    ASSERT_EQ(curve.back(), step);
    const double stride = TrialOf(id, 0).curve_stride;
    for (size_t i = 0; i + 1 < curve.size(); ++i) ASSERT_EQ(curve[i], 1 + stride * static_cast<double>(i)) << step;
    if (step > static_cast<int>(kCurvePointsMax)) {
      ASSERT_GE(curve.size(), kCurvePointsMax / 2) << "no more is thinned than must be";
    }
  }
}

TEST_F(StateTest, TheDigestTellsStatesApart) {
  const SessionId worker = Connect("w", 2);
  const SweepId id = Create(SpecOf("digits", 2));
  std::set<uint64_t> seen = {state().Hash()};
  const auto expect_new = [&](const char* what) { EXPECT_TRUE(seen.insert(state().Hash()).second) << what; };
  Started(worker, RefOf(id, 0));
  expect_new("a started attempt");
  Report(worker, RefOf(id, 0), 1, 0.5);
  expect_new("a measurement");
  Report(worker, RefOf(id, 0), 2, 0.5);
  expect_new("the same value at another step");
  Do(StopTrial{{id, 0}});
  expect_new("a stopping trial");
  Ended(worker, RefOf(id, 0), ExitCode(0));
  expect_new("an ended trial");
  Do(DrainWorker{"w", true, false});
  expect_new("a drained worker");
  Control(id, Operation::kPause);
  expect_new("a paused sweep");
}

TEST_F(StateTest, RevisionsGrowWithEveryChangeAndWatchersFindTheChangedTrials) {
  const SessionId worker = Connect("w", 2);
  const SweepId id = Create(SpecOf("digits", 2));
  const uint64_t before = SweepOf(id).revision;
  Report(worker, RefOf(id, 1), 1, 0.5);
  EXPECT_GT(SweepOf(id).revision, before);
  EXPECT_EQ(SweepOf(id).changes.back().second, 1u);
  EXPECT_EQ(SweepOf(id).changes.back().first, TrialOf(id, 1).revision);
}

}  // namespace
}  // namespace tunesmith
