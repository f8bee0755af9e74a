#include "worker/process/log_forwarder.h"

#include <gtest/gtest.h>

#include "worker/process/end_words.h"
#include "worker/process/rate.h"

namespace tunesmith::worker {
namespace {

LogForwarder Make(int64_t bytes_max = 100'000) {
  return LogForwarder({bytes_max, 1'000, 100, Milliseconds(200)});
}

TEST(LogForwarderTest, SlowOutputIsForwardedSoonAndWhole) {
  LogForwarder log = Make();
  log.Append("hello ", Time{1'000});
  log.Append("world", Time{1'100});
  EXPECT_FALSE(log.Take(Time{1'199}).has_value()) << "gathers";
  EXPECT_EQ(log.NextDue(), Time{1'200});
  const auto chunk = log.Take(Time{1'200});
  ASSERT_TRUE(chunk.has_value());
  EXPECT_EQ(chunk->data, "hello world");
  EXPECT_EQ(chunk->dropped_bytes, 0);
  EXPECT_EQ(log.NextDue(), kTimeNever);
}

TEST(LogForwarderTest, FastOutputKeepsTheNewestAndCountsTheRest) {
  LogForwarder log = Make();
  int64_t forwarded = 0, dropped = 0, written = 0;
  Time now{1'000'000};
  std::string last;
  for (int i = 0; i < 10'000; ++i) {
    const std::string line = "line " + std::to_string(i) + "\n";
    log.Append(line, now);
    written += static_cast<int64_t>(line.size());
    if (auto chunk = log.Take(now)) {
      forwarded += static_cast<int64_t>(chunk->data.size());
      dropped += chunk->dropped_bytes;
    }
    now = now + Milliseconds(1);
  }
  const auto end = log.Finish();
  ASSERT_TRUE(end.has_value());
  EXPECT_NE(end->data.find("line 9999\n"), std::string::npos);
  EXPECT_EQ(forwarded + dropped + static_cast<int64_t>(end->data.size()) + end->dropped_bytes,
            written);
  EXPECT_LE(forwarded, 8'000 + 10 * 1'000 + 100) << "a burst of 8 s, then the rate";
}

TEST(LogForwarderTest, BudgetHoldsAndLeavesRoomForTheEnd) {
  LogForwarder log = Make(1'000);
  int64_t forwarded = 0;
  Time now{0};
  for (int i = 0; i < 200; ++i) {
    log.Append("0123456789", now);
    now = now + Seconds(1);
    if (auto chunk = log.Take(now)) forwarded += static_cast<int64_t>(chunk->data.size());
  }
  EXPECT_EQ(forwarded, 900);
  EXPECT_EQ(log.Finish()->data.size(), 100u);
}

TEST(TokenBucketTest, DebtIsPaidBeforeMoreIsSpent) {
  TokenBucket bucket(1'000, 500, Time{0});
  EXPECT_TRUE(bucket.Positive(Time{0}));
  bucket.Spend(1'500);
  EXPECT_FALSE(bucket.Positive(Time{1'000}));
  EXPECT_TRUE(bucket.Positive(bucket.NextPositive()));
}

TEST(OutputTailTest, LastLineComesFirst) {
  OutputTail tail;
  tail.Append("Traceback (most recent call last):\n  File \"x\"\nValueError: bad\n\n");
  EXPECT_EQ(tail.Text(), "ValueError: bad\nTraceback (most recent call last):\n  File \"x\"");
  EXPECT_EQ(OutputTail().Text(), "");
  OutputTail huge;
  for (int i = 0; i < 1'000; ++i) huge.Append(std::string(100, '\xff') + "\n");
  EXPECT_LE(huge.Text().size(), 2'000u);
}

}  // namespace
}  // namespace tunesmith::worker
