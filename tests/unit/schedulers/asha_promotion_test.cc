#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/rng.h"
#include "tests/unit/schedulers/script.h"

namespace tunesmith {
namespace {

SchedulerOptions Promotion(int64_t max_t = 27, double factor = 3) {
  return {.type = "asha", .max_t = max_t, .reduction_factor = factor, .promotion = true};
}

// Reports, applies the verdict, and gives it back.
Verdict Report(Scheduler* scheduler, uint32_t trial, int64_t step, double value) {
  const Verdict verdict = scheduler->Decide({.trial = trial, .step = step, .value = value});
  scheduler->Apply(trial, verdict);
  return verdict;
}

// The trial that goes on next, with its verdict applied; -1 if none does.
int64_t Resume(Scheduler* scheduler, bool idle = false) {
  const auto next = scheduler->NextPaused(idle ? Outlook::kIdle : Outlook::kComplete);
  if (!next) return -1;
  EXPECT_EQ(next->verdict.reason, Reason::kPromoted);
  scheduler->Apply(next->trial, next->verdict);
  return next->trial;
}

TEST(AshaPromotionTest, TrialsPauseAtRungsAndTheBestThirdGoesOn) {
  const auto scheduler = MakeOrDie(Promotion());
  for (uint32_t t = 0; t < 9; ++t) scheduler->AddTrial(t, 0);
  for (uint32_t t = 0; t < 2; ++t) {
    const Verdict v = Report(scheduler.get(), t, 1, 0.5 + t);
    EXPECT_EQ(v.action, Action::kPause);
    EXPECT_EQ(v.reason, Reason::kPausedAtRung);
    EXPECT_EQ(Resume(scheduler.get()), -1) << "a third of two is none";
  }
  EXPECT_EQ(Report(scheduler.get(), 2, 1, 0.9).action, Action::kPause);
  EXPECT_EQ(Resume(scheduler.get()), 0) << "the best of three";
  EXPECT_EQ(Resume(scheduler.get()), -1);
  for (uint32_t t = 3; t < 5; ++t) EXPECT_EQ(Report(scheduler.get(), t, 1, 2.0).action, Action::kPause);
  const Verdict sixth = Report(scheduler.get(), 5, 1, 0.4);
  EXPECT_EQ(sixth.action, Action::kContinue) << "among the best at once";
  EXPECT_EQ(sixth.reason, Reason::kPromoted);
  EXPECT_EQ(sixth.rank, 1U);
  EXPECT_EQ(sixth.peers, 6U);
  EXPECT_EQ(Resume(scheduler.get()), -1) << "two of six have gone on";
  EXPECT_EQ(Report(scheduler.get(), 0, 2, 0.3).reason, Reason::kNone);
  EXPECT_EQ(Report(scheduler.get(), 0, 3, 0.3).action, Action::kPause) << "at the second rung";
  const auto rungs = scheduler->Rungs();
  ASSERT_EQ(rungs.size(), 3U);
  EXPECT_EQ(rungs[2].milestone, 1);
  EXPECT_EQ(rungs[2].recorded, 6U);
  EXPECT_EQ(rungs[2].promoted, 2U);
  EXPECT_EQ(rungs[2].waiting, 4U);
  EXPECT_EQ(*rungs[2].cutoff, 0.5);
}

TEST(AshaPromotionTest, TheHighestRungGoesFirstAndMaxTCompletes) {
  const auto scheduler = MakeOrDie(Promotion(4, 2));  // rungs 1 and 2
  for (uint32_t t = 0; t < 8; ++t) scheduler->AddTrial(t, 0);
  for (uint32_t t = 0; t < 4; ++t) Report(scheduler.get(), t, 1, t);
  EXPECT_EQ(Resume(scheduler.get()), 0);
  EXPECT_EQ(Resume(scheduler.get()), 1);
  Report(scheduler.get(), 0, 2, 0.0);
  Report(scheduler.get(), 4, 1, 4.0);
  Report(scheduler.get(), 5, 1, 5.0);
  Report(scheduler.get(), 1, 2, 1.0);
  EXPECT_EQ(Resume(scheduler.get()), 0) << "rung 2 before rung 1, where trial 2 may go on too";
  EXPECT_EQ(Resume(scheduler.get()), 2);
  EXPECT_EQ(Resume(scheduler.get()), -1);
  EXPECT_EQ(Report(scheduler.get(), 0, 3, 0.0).action, Action::kContinue);
  const Verdict last = Report(scheduler.get(), 0, 4, 0.0);
  EXPECT_EQ(last.action, Action::kStop);
  EXPECT_EQ(last.reason, Reason::kReachedMax);
}

TEST(AshaPromotionTest, ATrialThatRanPastItsRungIsJudgedThereAndNotAtTheOnesBetween) {
  const auto scheduler = MakeOrDie(Promotion());
  scheduler->AddTrial(0, 0);
  const Verdict v = Report(scheduler.get(), 0, 10, 0.5);
  EXPECT_EQ(v.milestone, 1);
  EXPECT_EQ(v.action, Action::kPause);
  EXPECT_EQ(Resume(scheduler.get(), true), 0);
  EXPECT_EQ(Report(scheduler.get(), 0, 11, 0.5).milestone, 3);
}

TEST(AshaPromotionTest, AnIdleSweepLetsTheBestOnUntilOneIsThrough) {
  const auto scheduler = MakeOrDie(Promotion(9, 3));  // rungs 1 and 3
  for (uint32_t t = 0; t < 2; ++t) scheduler->AddTrial(t, 0);
  Report(scheduler.get(), 0, 1, 0.7);
  Report(scheduler.get(), 1, 1, 0.6);
  EXPECT_EQ(Resume(scheduler.get(), false), -1);
  EXPECT_EQ(Resume(scheduler.get(), true), 1);
  Report(scheduler.get(), 1, 3, 0.9);
  EXPECT_EQ(Resume(scheduler.get(), true), 1) << "the highest rung, though its value is worse by now";
  EXPECT_EQ(Report(scheduler.get(), 1, 9, 0.5).reason, Reason::kReachedMax);
  EXPECT_EQ(Resume(scheduler.get(), true), -1);
}

TEST(AshaPromotionTest, AProgramThatEndsByItselfIsThrough) {
  const auto scheduler = MakeOrDie(Promotion(81, 3));
  for (uint32_t t = 0; t < 2; ++t) scheduler->AddTrial(t, 0);
  Report(scheduler.get(), 0, 1, 0.7);
  Report(scheduler.get(), 1, 1, 0.6);
  EXPECT_EQ(Resume(scheduler.get(), true), 1);
  Report(scheduler.get(), 1, 2, 0.5);
  const Verdict last = scheduler->DecideFinal({.trial = 1, .step = 2, .value = 0.5});
  EXPECT_EQ(last.reason, Reason::kEnded);
  scheduler->Apply(1, last);
  scheduler->RemoveTrial(1);
  EXPECT_EQ(Resume(scheduler.get(), true), -1);
}

TEST(AshaPromotionTest, WhatIsNoNumberOrInfinitelyBadNeverGoesOn) {
  for (const double bad : {kNan, kInf}) {
    const auto scheduler = MakeOrDie(Promotion());
    for (uint32_t t = 0; t < 3; ++t) scheduler->AddTrial(t, 0);
    for (uint32_t t = 0; t < 3; ++t) EXPECT_EQ(Report(scheduler.get(), t, 1, bad).action, Action::kPause);
    EXPECT_EQ(Resume(scheduler.get(), false), -1);
    EXPECT_EQ(Resume(scheduler.get(), true), -1);
  }
}

TEST(AshaPromotionTest, TiesDoNotLetMoreOnThanTheShare) {
  const auto scheduler = MakeOrDie(Promotion());
  for (uint32_t t = 0; t < 7; ++t) scheduler->AddTrial(t, 0);
  int64_t gone_on = 0;
  for (uint32_t t = 0; t < 7; ++t) {
    gone_on += Report(scheduler.get(), t, 1, 0.5).action == Action::kContinue ? 1 : 0;
    while (Resume(scheduler.get()) >= 0) ++gone_on;
  }
  EXPECT_EQ(gone_on, 2);
}

TEST(AshaPromotionTest, APausedTrialThatIsRemovedStaysAPeerAndNeverGoesOn) {
  const auto scheduler = MakeOrDie(Promotion());
  for (uint32_t t = 0; t < 3; ++t) scheduler->AddTrial(t, 0);
  Report(scheduler.get(), 0, 1, 0.1);
  scheduler->RemoveTrial(0);
  Report(scheduler.get(), 1, 1, 0.2);
  Report(scheduler.get(), 2, 1, 0.3);
  EXPECT_EQ(Resume(scheduler.get()), -1) << "the best of three is gone, the second is not among the best third";
  EXPECT_EQ(Resume(scheduler.get(), true), 1);
}

TEST(AshaPromotionTest, DoesNotGoWithCompatRayOrWithoutAnEnd) {
  for (const bool ray : {true, false}) {
    SchedulerOptions options = Promotion();
    options.compat_ray = ray;
    options.stop_last_trials = ray;
    Problems problems;
    EXPECT_EQ(MakeScheduler(options, &problems), nullptr);
    ASSERT_EQ(problems.size(), 1U);
    EXPECT_EQ(problems[0].field, "scheduler.variant");
  }
}

// The rule, told naively: over all recorded at a rung, sorted, at every question.
class Naive {
 public:
  explicit Naive(double factor) : factor_(factor) {}

  void Record(size_t rung, uint32_t trial, double score, bool waits) {
    rungs_[rung].scores.push_back(score);
    if (waits) rungs_[rung].waiting[trial] = score;
    if (!waits) ++rungs_[rung].promoted;
  }
  bool Among(size_t rung, double score, bool counted) const {
    const auto it = rungs_.find(rung);
    std::vector<double> scores = it == rungs_.end() ? std::vector<double>() : it->second.scores;
    if (!counted) scores.push_back(score);
    const auto quota = static_cast<size_t>(std::floor(static_cast<double>(scores.size()) / factor_ + 1e-9));
    const auto better = static_cast<size_t>(
        std::count_if(scores.begin(), scores.end(), [&](double other) { return other > score; }));
    return score > -kInf && better < quota && (it == rungs_.end() ? 0 : it->second.promoted) < quota;
  }
  // The best waiting one of the highest rung that may go on.
  int64_t Next() {
    for (auto rung = rungs_.rbegin(); rung != rungs_.rend(); ++rung) {
      int64_t best = -1;
      for (const auto& [trial, score] : rung->second.waiting) {
        if (best < 0 || score > rung->second.waiting[static_cast<uint32_t>(best)]) best = trial;
      }
      if (best < 0 || !Among(rung->first, rung->second.waiting[static_cast<uint32_t>(best)], true)) continue;
      rung->second.waiting.erase(static_cast<uint32_t>(best));
      ++rung->second.promoted;
      return best;
    }
    return -1;
  }

 private:
  struct OneRung {
    std::vector<double> scores;
    std::map<uint32_t, double> waiting;
    size_t promoted = 0;
  };
  double factor_;
  std::map<size_t, OneRung> rungs_;
};

TEST(AshaPromotionTest, DecidesAsTheNaiveRuleOnRandomSweeps) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Rng rng(seed);
    const double factor = seed % 3 == 0 ? 1.5 : static_cast<double>(2 + seed % 3);
    const auto scheduler = MakeOrDie(Promotion(100, factor));
    const auto milestones = scheduler->Milestones(0);
    Naive naive(factor);
    std::map<uint32_t, size_t> rung_of;  // the next one
    std::vector<uint32_t> running;
    for (uint32_t t = 0; t < 150; ++t) {
      scheduler->AddTrial(t, 0);
      rung_of[t] = 0;
      running.push_back(t);
      while (!running.empty() && rng.Below(5) != 0) {
        const size_t at = rng.Below(running.size());
        const uint32_t trial = running[at];
        running.erase(running.begin() + static_cast<std::ptrdiff_t>(at));
        const size_t rung = rung_of[trial]++;
        if (rung == milestones.size()) continue;  // trains to its end
        const double value = rng.Below(20) == 0 ? kNan : std::floor(rng.Uniform(0, 12));
        const double score = std::isnan(value) ? -kInf : -value;
        const Verdict verdict = Report(scheduler.get(), trial, milestones[rung], value);
        const bool goes_on = naive.Among(rung, score, false);
        ASSERT_EQ(verdict.action == Action::kContinue, goes_on) << "seed " << seed << " trial " << trial;
        naive.Record(rung, trial, score, !goes_on);
        if (goes_on) running.push_back(trial);
        for (int64_t next = Resume(scheduler.get()); ; next = Resume(scheduler.get())) {
          ASSERT_EQ(next, naive.Next()) << "seed " << seed;
          if (next < 0) break;
          running.push_back(static_cast<uint32_t>(next));
        }
      }
    }
  }
}

}  // namespace
}  // namespace tunesmith
