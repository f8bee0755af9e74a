#include "schedulers/rungs.h"

#include <gtest/gtest.h>

namespace tunesmith {
namespace {

using Steps = std::vector<double>;

TEST(ExactMilestones, HaveNoFloatingPointHolesAndNoRungAtMaxT) {
  EXPECT_EQ(ExactMilestones(1, 4, 100), (Steps{1, 4, 16, 64}));
  EXPECT_EQ(ExactMilestones(1, 3, 243), (Steps{1, 3, 9, 27, 81}));
  EXPECT_EQ(ExactMilestones(1, 3, 244), (Steps{1, 3, 9, 27, 81, 243}));
  EXPECT_EQ(ExactMilestones(1, 10, 1001), (Steps{1, 10, 100, 1000}));
  EXPECT_EQ(ExactMilestones(1, 2, 9), (Steps{1, 2, 4, 8}));
  EXPECT_EQ(ExactMilestones(5, 3, 5), (Steps{}));
}

TEST(ExactMilestones, OfAFractionalFactorAreWholeStepsAndNoneTwice) {
  EXPECT_EQ(ExactMilestones(1, 1.5, 10), (Steps{1, 2, 3, 4, 6, 8}));
  EXPECT_EQ(ExactMilestones(10, 1.1, 13), (Steps{10, 11}))
      << "10 * 1.1 is a little above 11 in binary";
  EXPECT_EQ(ExactMilestones(1, 2.5, 100), (Steps{1, 3, 7, 16, 40, 98}));
}

TEST(ExactMilestones, AreExactUpToTheLargestSteps) {
  const Steps steps = ExactMilestones(1, 2, int64_t{1} << 53);
  ASSERT_EQ(steps.size(), 53U);
  EXPECT_EQ(steps.back(), 0x1.0p52);
}

TEST(RayMilestones, LoseOrKeepTheTopRungAsRoundingFalls) {
  EXPECT_EQ(RayMilestones(1, 4, 100, 0), (Steps{1, 4, 16, 64}));
  EXPECT_EQ(RayMilestones(1, 2, 10, 0), (Steps{1, 2, 4, 8}));
  EXPECT_EQ(RayMilestones(1, 3, 10, 0), (Steps{1, 3, 9}));
  EXPECT_EQ(RayMilestones(10, 3, 100, 0), (Steps{10, 30, 90}));
  EXPECT_EQ(RayMilestones(1, 3, 100, 1), (Steps{3, 9, 27, 81}));
  EXPECT_EQ(RayMilestones(1, 3, 243, 0), (Steps{1, 3, 9, 27, 81}));
  EXPECT_EQ(RayMilestones(1, 10, 1000, 0), (Steps{1, 10, 100}));
  EXPECT_EQ(RayMilestones(1, 4, 64, 0), (Steps{1, 4, 16, 64}));
  EXPECT_EQ(RayMilestones(1, 5, 125, 0), (Steps{1, 5, 25, 125}));
  EXPECT_EQ(RayMilestones(1, 3, 27, 0), (Steps{1, 3, 9, 27}));
  EXPECT_EQ(RayMilestones(1, 4, 10, 9), (Steps{})) << "a bracket past the last rung is empty";
}

TEST(Rung, RecordsATrialOnce) {
  Rung rung(3);
  rung.Record(7, 1.0, false);
  rung.Record(7, 2.0, true);
  EXPECT_EQ(rung.recorded(), 1U);
  EXPECT_EQ(rung.stopped(), 0U);
  EXPECT_EQ(rung.CountBetter(1.5), 0U);
}

}  // namespace
}  // namespace tunesmith
