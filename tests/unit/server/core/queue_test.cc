// Which pending trial gets the next place.
#include "server/core/queue.h"

#include <algorithm>

#include "common/rng.h"
#include "tests/unit/server/core/core_test.h"

namespace tunesmith {
namespace {

Trial Fresh() { return {}; }

Trial FromUser() {
  Trial trial;
  trial.from_user = true;
  return trial;
}

Trial Resumed(int64_t last_step) {
  Trial trial;
  trial.last_step = last_step;
  trial.attempts.emplace_back();
  return trial;
}

TEST(PendingQueueTest, UsersPointsThenResumedTrialsByProgressThenFreshOnes) {
  PendingQueue queue;
  queue.Insert(Fresh(), 1);
  queue.Insert(Resumed(3), 2);
  queue.Insert(Fresh(), 0);
  queue.Insert(FromUser(), 9);
  queue.Insert(Resumed(0), 3);
  queue.Insert(Resumed(7), 6);
  queue.Insert(FromUser(), 8);
  queue.Insert(Resumed(7), 5);
  Trial resumed_point = Resumed(100);
  resumed_point.from_user = true;
  queue.Insert(resumed_point, 10);
  EXPECT_EQ(queue.Numbers(), (std::vector<uint32_t>{8, 9, 10, 5, 6, 2, 3, 0, 1}));
  EXPECT_EQ(queue.front(), 8u);
  queue.Erase(8);
  queue.Erase(8);
  queue.Erase(77);
  EXPECT_EQ(queue.front(), 9u);
  EXPECT_EQ(queue.size(), 8u);
  EXPECT_FALSE(queue.Contains(8));
  EXPECT_TRUE(queue.Contains(5));
}

TEST(PendingQueueTest, StrangeStepsHaveAPlaceToo) {
  PendingQueue queue;
  queue.Insert(Resumed(std::numeric_limits<int64_t>::min()), 0);
  queue.Insert(Resumed(std::numeric_limits<int64_t>::max()), 1);
  queue.Insert(Resumed(-1), 2);
  EXPECT_EQ(queue.Numbers(), (std::vector<uint32_t>{1, 2, 0}));
}

TEST(PendingQueueTest, TheOrderIsTheSameHoweverItIsFilled) {
  Rng rng(5);
  std::vector<std::pair<Trial, uint32_t>> trials;
  for (uint32_t n = 0; n < 60; ++n) {
    trials.emplace_back(n % 7 == 0 ? FromUser() : n % 3 == 0 ? Resumed(n % 5) : Fresh(), n);
  }
  PendingQueue first;
  for (const auto& [trial, number] : trials) first.Insert(trial, number);
  for (size_t i = trials.size(); i > 1; --i) std::swap(trials[i - 1], trials[rng.Below(i)]);
  PendingQueue second;
  for (const auto& [trial, number] : trials) second.Insert(trial, number);
  EXPECT_EQ(first.Numbers(), second.Numbers());
}

using QueueOrderTest = CoreTest;

TEST_F(QueueOrderTest, WhatWasNearlyDoneGoesOnFirstAfterAMachineDies) {
  const SessionId worker = Connect("w", 3);
  const SweepId id = Create(SpecOf("digits", 6));
  const uint32_t trials[] = {0, 1, 2};
  const int64_t steps[] = {2, 5, 3};
  for (const uint32_t n : trials) Report(worker, RefOf(id, n), steps[n], 0.5);
  Post(WorkerDisconnected{worker});
  Advance(Seconds(21));
  ASSERT_EQ(Running(id), 0u);
  EXPECT_EQ(SweepOf(id).pending.Numbers(), (std::vector<uint32_t>{1, 2, 0}));
  const uint64_t hash = state().Hash();
  Restart();
  EXPECT_EQ(state().Hash(), hash);
  EXPECT_EQ(SweepOf(id).pending.Numbers(), (std::vector<uint32_t>{1, 2, 0}));
  TakeEffects<SendAssign>();
  Connect("other", 4);
  std::vector<uint32_t> order;
  for (const SendAssign& assign : TakeEffects<SendAssign>()) order.push_back(assign.ref.attempt.trial.number);
  EXPECT_EQ(order, (std::vector<uint32_t>{1, 2, 0, 3})) << "a fresh trial comes last";
}

TEST_F(QueueOrderTest, UsersPointsGoBeforeTrialsThatWereLost) {
  SweepSpec spec = SpecOf("digits", 4);
  spec.points = {{{"lr", 0.1}}, {{"lr", 0.2}}};
  spec.budget.max_parallel = 3;
  const SessionId worker = Connect("w", 3);
  const SweepId id = Create(spec);
  ASSERT_EQ(Running(id), 3u);
  Report(worker, RefOf(id, 2), 5, 0.5);
  Post(WorkerDisconnected{worker});
  Advance(Seconds(21));
  EXPECT_EQ(SweepOf(id).pending.Numbers(), (std::vector<uint32_t>{0, 1, 2}));
}

TEST_F(QueueOrderTest, ProgramsThatAskGetTheirTrialsInTheSameOrder) {
  SweepSpec spec = SpecOf("digits", 5);
  spec.program = {};
  spec.ask_tell = true;
  const SweepId id = Create(spec);
  ASSERT_EQ(Do(AskTrials{id, "a", 2, 60'000}).asked.size(), 2u);
  Do(ReportTrial{{id, 1}, RefOf(id, 1).epoch, 1, 4, {{"loss", 0.5}}});
  Advance(Seconds(61));
  ASSERT_EQ(Running(id), 0u);
  const Reply reply = Do(AskTrials{id, "b", 3, 60'000});
  ASSERT_EQ(reply.asked.size(), 3u);
  EXPECT_EQ(reply.asked[0].attempt.trial.number, 1u);
  EXPECT_EQ(reply.asked[1].attempt.trial.number, 0u);
  EXPECT_EQ(reply.asked[2].attempt.trial.number, 2u);
}

}  // namespace
}  // namespace tunesmith
