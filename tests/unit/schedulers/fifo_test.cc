#include <gtest/gtest.h>

#include "tests/unit/schedulers/script.h"

namespace tunesmith {
namespace {

TEST(Fifo, NeverStopsWithoutMaxT) {
  Driver d({.type = "fifo"});
  d.Add(0);
  EXPECT_EQ(d.Letter(0, 1'000'000'000, kNan), 'C');
}

TEST(Fifo, StopsAsCompletedAtMaxT) {
  Driver d({.type = "fifo", .max_t = 3});
  d.Add(0);
  EXPECT_EQ(d.Letter(0, 2, 1), 'C');
  EXPECT_EQ(d.Report(0, 3, std::nullopt).reason, Reason::kReachedMax);
}

TEST(Fifo, RefusesANegativeMaxT) {
  Problems problems;
  EXPECT_EQ(MakeScheduler({.type = "fifo", .max_t = -1}, &problems), nullptr);
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].field, "scheduler.max_t");
}

}  // namespace
}  // namespace tunesmith
