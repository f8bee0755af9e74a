#include "worker/gpus/hand_over.h"

#include <gtest/gtest.h>

#include <map>

namespace tunesmith::worker {
namespace {

constexpr int64_t kGiB = 1 << 30;

class FakeDriver : public GpuDriver {
 public:
  std::vector<Gpu> All() const override { return {}; }
  std::optional<int64_t> UsedBytes(const std::string& uuid) const override {
    ++looks;
    const auto it = used.find(uuid);
    return it == used.end() ? std::nullopt : std::optional(it->second);
  }
  std::optional<std::vector<GpuProcess>> Processes(const std::string& uuid) const override {
    const auto it = processes.find(uuid);
    return it == processes.end() ? std::nullopt : std::optional(it->second);
  }
  std::map<std::string, int64_t> used;
  std::map<std::string, std::vector<GpuProcess>> processes;
  mutable int looks = 0;
};

class HandOverTest : public testing::Test {
 protected:
  HandOverTest()
      : hand_over_({.driver = &driver_,
                    .limit = Seconds(30),
                    .alive = [this](int64_t pid) { return alive_.count(pid) != 0; }}) {}

  void Gone(std::vector<DeviceUse> uses, std::set<int64_t> pids = {}) {
    hand_over_.OnGone({"1.0.1.1", "digits/0#1", std::move(uses), std::move(pids)}, now_);
  }
  void Advance(Duration duration) {
    const Time end = now_ + duration;
    while (hand_over_.NextDeadline() <= end) {
      now_ = std::max(now_, hand_over_.NextDeadline());
      hand_over_.Run(now_);
    }
    now_ = end;
  }
  // "a" is waited for, "A" quarantined.
  std::string Held() const {
    std::string text;
    for (const HeldDevice& held : hand_over_.held()) {
      text += held.quarantined ? static_cast<char>(held.uuid[0] - 'a' + 'A') : held.uuid[0];
    }
    return text;
  }

  FakeDriver driver_;
  std::set<int64_t> alive_;
  HandOver hand_over_;
  Time now_{1'000'000};
};

TEST_F(HandOverTest, WhatIsBackAtOnceIsNeverHeld) {
  driver_.used["a"] = 2 * kGiB;
  Gone({{"a", true, 2 * kGiB}});
  EXPECT_EQ(Held(), "");
  EXPECT_EQ(hand_over_.TakeSettled(), std::vector<std::string>{"1.0.1.1"});
  EXPECT_EQ(hand_over_.NextDeadline(), kTimeNever) << "nothing to look at";
}

TEST_F(HandOverTest, ALittleMoreThanBeforeIsTheDriversOwn) {
  driver_.used["a"] = kGiB + (100 << 20);
  Gone({{"a", true, kGiB}});
  EXPECT_EQ(Held(), "");
  driver_.used["a"] = kGiB + (200 << 20);
  Gone({{"a", true, kGiB}});
  EXPECT_EQ(Held(), "a");
}

TEST_F(HandOverTest, ADeviceIsHeldThenQuarantinedAndReturnsByItself) {
  driver_.used = {{"a", 3 * kGiB}, {"b", 0}};
  Gone({{"a", true, 0}, {"b", true, 0}});
  EXPECT_EQ(Held(), "a") << "of two devices only the one that is not back";
  EXPECT_TRUE(hand_over_.TakeSettled().empty());
  Advance(Milliseconds(29'900));
  EXPECT_EQ(Held(), "a");
  Advance(Milliseconds(200));
  EXPECT_EQ(Held(), "A");
  EXPECT_EQ(hand_over_.TakeSettled().size(), 1u);
  const int looks = driver_.looks;
  Advance(Seconds(60));
  EXPECT_LE(driver_.looks - looks, 61) << "what is quarantined is looked at once a second";
  driver_.used["a"] = 0;
  Advance(Seconds(1));
  EXPECT_EQ(Held(), "");
  EXPECT_TRUE(hand_over_.TakeSettled().empty()) << "said once";
}

TEST_F(HandOverTest, TheReasonNamesBytesAttemptAndHolders) {
  driver_.used["a"] = 3 * kGiB;
  driver_.processes["a"] = {{11, 2 * kGiB}, {12, std::nullopt}};
  Gone({{"a", true, kGiB / 2}});
  EXPECT_EQ(hand_over_.held()[0].reason,
            "2.5 GiB of its memory are not back after all processes of digits/0#1 have ended; held by pid 11 "
            "(2 GiB), pid 12");
  // With every byte that moves nothing is told anew.
  driver_.used["a"] = 4 * kGiB;
  Advance(Seconds(1));
  EXPECT_EQ(hand_over_.held()[0].reason.substr(0, 3), "2.5");
  Advance(Seconds(30));
  EXPECT_EQ(hand_over_.held()[0].reason.substr(0, 3), "3.5") << "with the quarantine";
}

// A browser on a desktop, a colleague's notebook: they may use more than before, as they may when a trial starts.
TEST_F(HandOverTest, StrangersThatLiveAreNotInTheWay) {
  driver_.used["a"] = 2 * kGiB;
  driver_.processes["a"] = {{50, kGiB}};
  alive_ = {50, 51};
  const auto before = hand_over_.Unclaimed("a");
  EXPECT_EQ(before, kGiB);
  driver_.used["a"] = 9 * kGiB;
  driver_.processes["a"] = {{50, 3 * kGiB}, {51, 5 * kGiB}};
  Gone({{"a", true, before}});
  EXPECT_EQ(Held(), "");
  driver_.processes["a"] = {{50, 3 * kGiB}, {52, 5 * kGiB}};
  Gone({{"a", true, before}});
  EXPECT_EQ(hand_over_.held()[0].reason,
            "5 GiB of its memory are not back after all processes of digits/0#1 have ended; held by pid 52 "
            "(5 GiB)");
}

TEST_F(HandOverTest, OnAShareOnlyItsOwnDeadProcessesCount) {
  driver_.used["a"] = 8 * kGiB;
  driver_.processes["a"] = {{99, kGiB}};
  Gone({{"a", false, 0}}, {1, 2});
  EXPECT_EQ(Held(), "") << "others hold it";
  driver_.processes["a"] = {{99, kGiB}, {2, kGiB}};
  Gone({{"a", false, 0}}, {1, 2});
  EXPECT_EQ(Held(), "a");
  EXPECT_EQ(hand_over_.held()[0].reason,
            "memory is still held by pid 2 (1 GiB) after all processes of digits/0#1 have ended");
  alive_ = {2};
  Advance(Seconds(1));
  EXPECT_EQ(Held(), "") << "the number was given to another process";
}

TEST_F(HandOverTest, ADriverThatKeepsSilentHoldsNothing) {
  Gone({{"a", true, kGiB}, {"b", false, 0}}, {1});
  EXPECT_EQ(Held(), "");
  driver_.used["a"] = 3 * kGiB;
  Gone({{"a", true, std::nullopt}});
  EXPECT_EQ(Held(), "") << "nobody knows what was before";
  HandOver none({});
  none.OnGone({"k", "n", {{"a", true, 0}}, {}}, now_);
  EXPECT_TRUE(none.held().empty());
  EXPECT_EQ(none.TakeSettled(), std::vector<std::string>{"k"});
}

TEST_F(HandOverTest, SeveralAttemptsOnADeviceHoldItTogether) {
  driver_.processes["a"] = {{1, kGiB}, {2, kGiB}};
  hand_over_.OnGone({"k1", "s/0#1", {{"a", false, 0}}, {1}}, now_);
  Advance(Seconds(20));
  hand_over_.OnGone({"k2", "s/1#1", {{"a", false, 0}}, {2}}, now_);
  ASSERT_EQ(hand_over_.held().size(), 1u);
  Advance(Seconds(11));
  EXPECT_EQ(Held(), "A");
  driver_.processes["a"] = {{2, kGiB}};
  Advance(Seconds(1));
  EXPECT_EQ(Held(), "a") << "the other has time left";
  driver_.processes["a"] = {};
  Advance(Seconds(1));
  EXPECT_EQ(Held(), "");
}

}  // namespace
}  // namespace tunesmith::worker
