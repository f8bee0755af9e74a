// Decisions of Ray Tune's HyperBandScheduler: the table of brackets, and what its own unit tests expect
// (HyperbandSuite in tune/tests/test_trial_scheduler.py).
#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "tests/unit/schedulers/script.h"

namespace tunesmith {
namespace {

SchedulerOptions Ray(int64_t max_t = 81, double factor = 3) {
  return {.type = "hyperband", .goal = Goal::kMax, .max_t = max_t, .reduction_factor = factor, .compat_ray = true};
}

// Trials 0, 1, ... in the brackets that the scheduler puts them in.
class Sweep {
 public:
  explicit Sweep(const SchedulerOptions& options) : scheduler_(MakeOrDie(options)) {}

  int32_t Add() {
    const uint32_t trial = next_++;
    const int32_t bracket = scheduler_->BracketFor(trial);
    scheduler_->AddTrial(trial, bracket);
    live_[bracket].push_back(trial);
    return bracket;
  }
  void Add(int count) {
    for (int i = 0; i < count; ++i) Add();
  }
  // Live ones of a bracket, in the order of their coming.
  const std::vector<uint32_t>& live(int32_t bracket) { return live_[bracket]; }

  Verdict Report(uint32_t trial, int64_t step, double value) {
    const Verdict verdict = scheduler_->Decide({.trial = trial, .step = step, .value = value});
    scheduler_->Apply(trial, verdict);
    if (verdict.action == Action::kStop) Remove(trial);
    Settle();
    return verdict;
  }
  void Remove(uint32_t trial) {
    scheduler_->RemoveTrial(trial);
    for (auto& [bracket, trials] : live_) std::erase(trials, trial);
  }
  // It has failed or ended by itself.
  void End(uint32_t trial) {
    Remove(trial);
    Settle();
  }
  const std::vector<uint32_t>& resumed() const { return resumed_; }
  const std::vector<uint32_t>& stopped() const { return stopped_; }
  Scheduler& scheduler() { return *scheduler_; }

 private:
  void Settle() {
    while (const auto next = scheduler_->NextPaused(Outlook::kOpen)) {
      scheduler_->Apply(next->trial, next->verdict);
      const bool goes_on = next->verdict.action == Action::kContinue;
      (goes_on ? resumed_ : stopped_).push_back(next->trial);
      if (!goes_on) Remove(next->trial);
    }
  }

  std::unique_ptr<Scheduler> scheduler_;
  uint32_t next_ = 0;
  std::map<int32_t, std::vector<uint32_t>> live_;
  std::vector<uint32_t> resumed_, stopped_;  // by verdicts on paused trials
};

// (n, r) of the brackets that the first `trials` trials fill.
std::vector<std::pair<int, int64_t>> Layout(const SchedulerOptions& options, int trials) {
  Sweep sweep(options);
  std::vector<std::pair<int, int64_t>> brackets;
  int32_t last = -1;
  for (int i = 0; i < trials; ++i) {
    const int32_t bracket = sweep.Add();
    if (bracket != last) {
      const auto milestones = sweep.scheduler().Milestones(bracket);
      brackets.emplace_back(0, milestones.empty() ? options.max_t : milestones.front());
    }
    ++brackets.back().first;
    last = bracket;
  }
  return brackets;
}

TEST(RayHyperBand, TheSmallestBracketIsFilledFirst) {
  using Brackets = std::vector<std::pair<int, int64_t>>;
  EXPECT_EQ(Layout(Ray(), 143), (Brackets{{5, 81}, {8, 27}, {15, 9}, {34, 3}, {81, 1}}));
  EXPECT_EQ(Layout(Ray(100), 143), (Brackets{{5, 100}, {8, 33}, {15, 11}, {34, 3}, {81, 1}}));
  EXPECT_EQ(Layout(Ray(10), 17), (Brackets{{3, 10}, {5, 3}, {9, 1}}));
  EXPECT_EQ(Layout(Ray(1000, 10), 4 + 20 + 134 + 1000),
            (Brackets{{4, 1000}, {20, 100}, {134, 10}, {1000, 1}}));
  EXPECT_EQ(Layout(Ray(), 143 + 6).back(), (std::pair<int, int64_t>{1, 27})) << "a full band starts a new one";
  EXPECT_EQ(Layout(Ray(50), 5 + 8 + 15 + 34 + 1).back(), (std::pair<int, int64_t>{1, 50}))
      << "a bracket whose first rung is 0 is left out";
}

TEST(RayHyperBand, DefaultsAre81And3) {
  Sweep sweep({.type = "hyperband", .compat_ray = true});
  sweep.Add(143);
  EXPECT_EQ(sweep.scheduler().Milestones(4), (std::vector<int64_t>{1, 3, 9, 27}));
}

TEST(RayHyperBand, AThirdOfABracketGoesOnWhenItsLastTrialHasCome) {
  Sweep sweep(Ray());
  sweep.Add(143);
  const std::vector<uint32_t> trials = sweep.live(4);
  ASSERT_EQ(trials.size(), 81U);
  for (size_t i = 0; i + 1 < trials.size(); ++i) {
    EXPECT_EQ(sweep.Report(trials[i], 1, static_cast<double>(i)).action, Action::kPause);
  }
  const Verdict last = sweep.Report(trials.back(), 1, 80);
  EXPECT_EQ(last.action, Action::kContinue);
  EXPECT_EQ(last.reason, Reason::kPromoted);
  EXPECT_EQ(sweep.live(4).size(), 27U);
  EXPECT_EQ(sweep.resumed().size(), 26U);
  EXPECT_EQ(sweep.stopped().size(), 54U);
  for (const uint32_t trial : sweep.live(4)) EXPECT_GE(trial, trials[54]);
}

TEST(RayHyperBand, TheLastStepOfABracketStopsAllOfThem) {
  Sweep sweep(Ray());
  sweep.Add(5);
  for (uint32_t t = 0; t < 4; ++t) EXPECT_EQ(sweep.Report(t, 81, t).action, Action::kPause);
  const Verdict last = sweep.Report(4, 81, 4);
  EXPECT_EQ(last.action, Action::kStop);
  EXPECT_EQ(last.reason, Reason::kReachedMax);
  EXPECT_EQ(sweep.stopped().size(), 4U);
  EXPECT_TRUE(sweep.live(0).empty());
}

TEST(RayHyperBand, JumpingTime) {
  Sweep sweep(Ray());
  sweep.Add(81);  // 19 of them in bracket 4
  std::vector<uint32_t> main = sweep.live(4);
  ASSERT_EQ(main.size(), 19U);
  const uint32_t jump = main.back();
  main.pop_back();
  for (size_t i = 0; i < main.size(); ++i) sweep.Report(main[i], 1, static_cast<double>(i));
  const Verdict verdict = sweep.Report(jump, 4, 17);
  EXPECT_EQ(verdict.action, Action::kPause) << "it is past the next rung, 3";
  EXPECT_EQ(verdict.milestone, 3);
  EXPECT_LT(sweep.live(4).size(), 27U);
  EXPECT_EQ(sweep.resumed(), main) << "the others go on";
  // It waits at rung 3 for them.
  for (size_t i = 0; i + 1 < main.size(); ++i) EXPECT_EQ(sweep.Report(main[i], 3, 1).action, Action::kPause);
  EXPECT_EQ(sweep.Report(main.back(), 3, 0).action, Action::kStop) << "9 of 19 go on";
  EXPECT_EQ(sweep.live(4).size(), 9U);
  EXPECT_EQ(sweep.resumed().back(), jump);
}

TEST(RayHyperBand, AddAfterHalving) {
  Sweep sweep(Ray());
  sweep.Add(6);  // one of them in bracket 1
  EXPECT_EQ(sweep.Report(5, 27, 0).action, Action::kContinue);
  EXPECT_EQ(sweep.Add(), 1);
  EXPECT_EQ(sweep.live(1).size(), 2U);
  EXPECT_EQ(sweep.Report(6, 27, 12).action, Action::kContinue) << "it has to get as far as the other one";
  EXPECT_EQ(sweep.Report(6, 27 + 81, 12).action, Action::kPause);
}

TEST(RayHyperBand, TrialErroredAndEndedEarly) {
  Sweep sweep(Ray());
  sweep.Add(5 + 3);
  sweep.End(7);
  EXPECT_EQ(sweep.Report(5, 27, 10).action, Action::kPause);
  EXPECT_EQ(sweep.Report(6, 27, 10).action, Action::kContinue);
}

TEST(RayHyperBand, TheEndOfTheLastOneHalvesToo) {
  Sweep sweep(Ray());
  sweep.Add(5 + 8);
  for (uint32_t t = 5; t < 12; ++t) EXPECT_EQ(sweep.Report(t, 27, 10).action, Action::kPause);
  sweep.End(12);
  EXPECT_EQ(sweep.live(1).size(), 3U);
  EXPECT_EQ(sweep.live(1), (std::vector<uint32_t>{9, 10, 11})) << "of equals the later ones";
}

TEST(RayHyperBand, WhenTheOneWaitedForEndsAtTheLastRungTheOthersStopAsCompleted) {
  Sweep sweep(Ray());
  sweep.Add(3);
  for (uint32_t t = 0; t < 2; ++t) EXPECT_EQ(sweep.Report(t, 81, 1).action, Action::kPause);
  sweep.End(2);
  EXPECT_EQ(sweep.stopped(), (std::vector<uint32_t>{0, 1}));
}

TEST(RayHyperBand, WithoutStopLastTrialsTheLastOnesRunOn) {
  SchedulerOptions options = Ray();
  options.stop_last_trials = false;
  Sweep sweep(options);
  sweep.Add(5 + 8);
  EXPECT_EQ(sweep.Report(0, 81, 0).action, Action::kContinue);
  EXPECT_EQ(sweep.Report(0, 500, 0).action, Action::kContinue);
  for (uint32_t t = 5; t < 12; ++t) sweep.Report(t, 27, t);
  EXPECT_EQ(sweep.Report(12, 100, 12).action, Action::kContinue);
  EXPECT_EQ(sweep.Report(12, 200, 12).action, Action::kContinue);
  EXPECT_EQ(sweep.resumed(), (std::vector<uint32_t>{10, 11}));
}

TEST(RayHyperBand, AllThatWentPastTheNextRungAreJudgedThereToo) {
  Sweep sweep(Ray(10));  // 3 at 10, 5 at 3, 9 at 1 and 3
  sweep.Add(3 + 5 + 9);
  for (uint32_t t = 8; t < 17; ++t) EXPECT_EQ(sweep.Report(t, 4, t).action, Action::kPause) << "at 3 already";
  EXPECT_EQ(sweep.live(2), std::vector<uint32_t>{16}) << "3 of 9, then 1 of 3";
  EXPECT_EQ(sweep.resumed(), std::vector<uint32_t>{16});
  EXPECT_EQ(sweep.Report(16, 9, 0).reason, Reason::kReachedMax) << "the last rung is 9";
}

TEST(RayHyperBand, NaNIsTheWorst) {
  Sweep sweep(Ray(10));
  sweep.Add(3 + 5);
  EXPECT_EQ(sweep.Report(3, 3, kNan).action, Action::kPause);
  for (uint32_t t = 4; t < 7; ++t) EXPECT_EQ(sweep.Report(t, 3, -t).action, Action::kPause);
  EXPECT_EQ(sweep.Report(7, 3, -kInf).action, Action::kStop);
  EXPECT_EQ(sweep.live(1), (std::vector<uint32_t>{4, 5})) << "2 of 5";
}

TEST(RayHyperBand, AReportWithoutTheMetricContinues) {
  Sweep sweep(Ray());
  sweep.Add(1);
  EXPECT_EQ(sweep.scheduler().Decide({.trial = 0, .step = 81, .value = std::nullopt}).reason, Reason::kNoMetric);
}

// Its processes may take a while to go.
TEST(RayHyperBand, ATrialThatWasStoppedAndIsRemovedLateStillFindsItsBracket) {
  const auto scheduler = MakeOrDie(Ray(3));
  for (uint32_t band = 0; band < 200; band += 5) {
    for (uint32_t t = band; t < band + 5; ++t) scheduler->AddTrial(t, scheduler->BracketFor(t));
    for (uint32_t t = band; t < band + 5; ++t) {
      scheduler->Apply(t, scheduler->Decide({.trial = t, .step = 3, .value = 0.5}));
      while (const auto next = scheduler->NextPaused(Outlook::kOpen)) scheduler->Apply(next->trial, next->verdict);
    }
    for (uint32_t t = band; band > 0 && t < band + 5; ++t) scheduler->RemoveTrial(t);
  }
  for (uint32_t t = 0; t < 5; ++t) {
    EXPECT_FALSE(scheduler->DecideFinal({.trial = t, .step = 3, .value = 0.5}).recorded);
    EXPECT_EQ(scheduler->Decide({.trial = t, .step = 3, .value = 0.5}).action, Action::kContinue);
    scheduler->RemoveTrial(t);
  }
}

}  // namespace
}  // namespace tunesmith
