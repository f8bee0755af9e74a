#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/rng.h"
#include "tests/unit/schedulers/script.h"

namespace tunesmith {
namespace {

SchedulerOptions HyperBand(int64_t max_t = 81, double factor = 3) {
  return {.type = "hyperband", .max_t = max_t, .reduction_factor = factor};
}

Verdict Report(Scheduler* scheduler, uint32_t trial, int64_t step, double value) {
  const Verdict verdict = scheduler->Decide({.trial = trial, .step = step, .value = value});
  scheduler->Apply(trial, verdict);
  return verdict;
}

void AddTrials(Scheduler* scheduler, uint32_t begin, uint32_t end) {
  for (uint32_t t = begin; t < end; ++t) scheduler->AddTrial(t, scheduler->BracketFor(t));
}

struct Judged {
  std::vector<uint32_t> on, out;
  std::map<uint32_t, Verdict> verdicts;
};

// All verdicts on paused trials that are due; those that stop are removed.
Judged Settle(Scheduler* scheduler, Outlook outlook = Outlook::kOpen) {
  Judged judged;
  while (const auto next = scheduler->NextPaused(outlook)) {
    scheduler->Apply(next->trial, next->verdict);
    judged.verdicts[next->trial] = next->verdict;
    if (next->verdict.action == Action::kContinue) {
      judged.on.push_back(next->trial);
    } else {
      judged.out.push_back(next->trial);
      scheduler->RemoveTrial(next->trial);
    }
  }
  return judged;
}

struct Layout {
  std::vector<std::pair<uint32_t, std::vector<int64_t>>> brackets;  // trials, rungs
  friend bool operator==(const Layout&, const Layout&) = default;
};

// Of one band.
Layout LayoutOf(const SchedulerOptions& options, size_t brackets) {
  const auto scheduler = MakeOrDie(options);
  Layout layout;
  layout.brackets.resize(brackets);
  for (uint32_t t = 0;; ++t) {
    const auto bracket = static_cast<size_t>(scheduler->BracketFor(t));
    if (bracket >= brackets) break;
    ++layout.brackets[bracket].first;
    layout.brackets[bracket].second = scheduler->Milestones(static_cast<int32_t>(bracket));
  }
  return layout;
}

TEST(HyperBandTest, BracketsAreThoseOfThePaperTheOneThatStopsMostFirst) {
  EXPECT_EQ(LayoutOf({.type = "hyperband"}, 5),
            (Layout{{{81, {1, 3, 9, 27}}, {34, {3, 9, 27}}, {15, {9, 27}}, {8, {27}}, {5, {}}}}));
  EXPECT_EQ(LayoutOf(HyperBand(100), 5),
            (Layout{{{81, {1, 4, 11, 33}}, {34, {4, 11, 33}}, {15, {11, 33}}, {8, {33}}, {5, {}}}}));
  EXPECT_EQ(LayoutOf(HyperBand(16, 2), 5),
            (Layout{{{16, {1, 2, 4, 8}}, {10, {2, 4, 8}}, {7, {4, 8}}, {5, {8}}, {5, {}}}}));
  EXPECT_EQ(LayoutOf(HyperBand(1), 1), (Layout{{{1, {}}}})) << "one step: nothing to halve";
}

TEST(HyperBandTest, RungsAreExactWhereLogarithmsRound) {
  // log(243) / log(3) is 4.999... in binary.
  EXPECT_EQ(LayoutOf(HyperBand(243), 1).brackets[0].second, (std::vector<int64_t>{1, 3, 9, 27, 81}));
  EXPECT_EQ(LayoutOf(HyperBand(1000, 10), 1).brackets[0].second, (std::vector<int64_t>{1, 10, 100}));
  EXPECT_EQ(LayoutOf(HyperBand(125, 5), 1).brackets[0].second, (std::vector<int64_t>{1, 5, 25}));
}

TEST(HyperBandTest, TheGracePeriodIsTheLeastThatATrialGets) {
  SchedulerOptions options = HyperBand(81);
  options.grace_period = 9;
  EXPECT_EQ(LayoutOf(options, 3), (Layout{{{9, {9, 27}}, {5, {27}}, {3, {}}}}));
  options.grace_period = 10;
  EXPECT_EQ(LayoutOf(options, 2), (Layout{{{3, {27}}, {2, {}}}}));
}

TEST(HyperBandTest, AfterTheLastBracketOfABandComesTheFirstAgain) {
  const auto scheduler = MakeOrDie(HyperBand());
  EXPECT_EQ(scheduler->BracketFor(142), 4);
  EXPECT_EQ(scheduler->BracketFor(143), 5);
  EXPECT_EQ(scheduler->Milestones(5), scheduler->Milestones(0));
  EXPECT_EQ(scheduler->BracketFor(143 + 81), 6);
  EXPECT_EQ(scheduler->Milestones(1'000'000), scheduler->Milestones(0));
}

TEST(HyperBandTest, ATrialWaitsForItsWholeBracketAndTheLastOneNeedNotPause) {
  const auto scheduler = MakeOrDie(HyperBand(9));  // 9 at 1 and 3; 5 at 3; 3
  AddTrials(scheduler.get(), 0, 12);
  for (uint32_t t = 0; t < 8; ++t) {
    const Verdict v = Report(scheduler.get(), t, 1, t);
    EXPECT_EQ(v.action, Action::kPause);
    EXPECT_EQ(v.reason, Reason::kWaitsAtRung);
    EXPECT_TRUE(Settle(scheduler.get()).on.empty());
  }
  EXPECT_EQ(Explain(scheduler->Decide({.trial = 8, .step = 1, .value = 0.5}), "loss", Goal::kMin),
            "0.5 is among the best at rung 1 (rank 2 of 9, loss min)");
  const Verdict last = Report(scheduler.get(), 8, 1, 0.5);
  EXPECT_EQ(last.action, Action::kContinue);
  EXPECT_EQ(last.reason, Reason::kPromoted);
  const Judged judged = Settle(scheduler.get());
  EXPECT_EQ(judged.on, (std::vector<uint32_t>{0, 1}));
  EXPECT_EQ(judged.out, (std::vector<uint32_t>{2, 3, 4, 5, 6, 7}));
  const Verdict& out = judged.verdicts.at(3);
  EXPECT_EQ(out.reason, Reason::kHalved);
  EXPECT_EQ(out.cutoff, 1);
  EXPECT_EQ(out.rank, 5U);
  EXPECT_EQ(out.peers, 9U);
  EXPECT_EQ(Explain(out, "loss", Goal::kMin),
            "3 is not among those that go on at rung 1, the last of which has 1 (rank 5 of 9, loss min)");
  // The next rung, and the end.
  EXPECT_EQ(Report(scheduler.get(), 0, 2, 5).reason, Reason::kNone);
  EXPECT_EQ(Report(scheduler.get(), 0, 3, 5).action, Action::kPause);
  EXPECT_EQ(Report(scheduler.get(), 8, 3, 4).action, Action::kPause);
  const Verdict worse = Report(scheduler.get(), 1, 3, 6);
  EXPECT_EQ(worse.action, Action::kStop);
  EXPECT_EQ(worse.reason, Reason::kHalved);
  EXPECT_EQ(worse.cutoff, 4);
  EXPECT_EQ(Settle(scheduler.get()).on, std::vector<uint32_t>{8});
  EXPECT_EQ(Report(scheduler.get(), 8, 9, 4).reason, Reason::kReachedMax);
}

TEST(HyperBandTest, WhatEndsIsNotWaitedFor) {
  for (const bool last_is_the_worst : {true, false}) {
    const auto scheduler = MakeOrDie(HyperBand(9));
    AddTrials(scheduler.get(), 0, 9);
    for (uint32_t t = 0; t < 7; ++t) Report(scheduler.get(), t, 1, t);
    scheduler->RemoveTrial(7);  // failed
    EXPECT_TRUE(Settle(scheduler.get()).on.empty());
    if (last_is_the_worst) {
      EXPECT_EQ(Report(scheduler.get(), 8, 1, 9).action, Action::kStop);
    } else {
      scheduler->RemoveTrial(8);
    }
    const Judged judged = Settle(scheduler.get());
    EXPECT_EQ(judged.on, (std::vector<uint32_t>{0, 1, 2})) << "a third of the nine that began";
    EXPECT_EQ(judged.out.size(), 4U);
  }
}

TEST(HyperBandTest, AWaitingTrialThatIsRemovedLeavesItsPlaceToTheNext) {
  const auto scheduler = MakeOrDie(HyperBand(9));
  AddTrials(scheduler.get(), 0, 9);
  for (uint32_t t = 0; t < 8; ++t) Report(scheduler.get(), t, 1, t);
  scheduler->RemoveTrial(0);  // cancelled by a user
  Report(scheduler.get(), 8, 1, 9);
  EXPECT_EQ(Settle(scheduler.get()).on, (std::vector<uint32_t>{1, 2, 3}));
}

TEST(HyperBandTest, ABracketThatCannotFillIsJudgedWithTheTrialsItHas) {
  const auto scheduler = MakeOrDie(HyperBand());  // 81
  AddTrials(scheduler.get(), 0, 20);
  for (uint32_t t = 0; t < 20; ++t) EXPECT_EQ(Report(scheduler.get(), t, 1, t).action, Action::kPause);
  EXPECT_TRUE(Settle(scheduler.get()).on.empty()) << "more may come";
  EXPECT_EQ(Settle(scheduler.get(), Outlook::kComplete).on.size(), 6U);
  for (uint32_t t = 0; t < 6; ++t) Report(scheduler.get(), t, 3, t);
  EXPECT_EQ(Settle(scheduler.get(), Outlook::kComplete).on, (std::vector<uint32_t>{0, 1}));
  for (uint32_t t = 0; t < 2; ++t) Report(scheduler.get(), t, 9, t);
  EXPECT_EQ(Settle(scheduler.get(), Outlook::kComplete).on, std::vector<uint32_t>{0}) << "one at least";
}

TEST(HyperBandTest, WhatIsNoNumberOrInfinitelyBadNeverGoesOn) {
  for (const double bad : {kNan, kInf}) {
    const auto scheduler = MakeOrDie(HyperBand(3));  // 3 at 1; 2
    AddTrials(scheduler.get(), 0, 3);
    Report(scheduler.get(), 0, 1, bad);
    Report(scheduler.get(), 1, 1, bad);
    EXPECT_EQ(Report(scheduler.get(), 2, 1, bad).action, Action::kStop);
    const Judged judged = Settle(scheduler.get());
    EXPECT_TRUE(judged.on.empty());
    EXPECT_EQ(judged.out.size(), 2U);
    EXPECT_EQ(judged.verdicts.at(0).reason, std::isnan(bad) ? Reason::kNotANumber : Reason::kHalved);
    EXPECT_EQ(Explain(judged.verdicts.at(0), "loss", Goal::kMin).find("cutoff"), std::string::npos);
  }
}

TEST(HyperBandTest, OfEqualsTheEarlierOnesGoOnAndNoMoreThanTheShare) {
  const auto scheduler = MakeOrDie(HyperBand(9));
  AddTrials(scheduler.get(), 0, 9);
  for (uint32_t t = 0; t < 8; ++t) Report(scheduler.get(), t, 1, 0.5);
  const Verdict last = Report(scheduler.get(), 8, 1, 0.5);
  EXPECT_EQ(last.action, Action::kStop);
  EXPECT_EQ(Settle(scheduler.get()).on, (std::vector<uint32_t>{0, 1, 2}));
}

TEST(HyperBandTest, ATrialThatRanPastItsRungIsJudgedThereAndNotAtTheOnesBetween) {
  const auto scheduler = MakeOrDie(HyperBand(9));
  AddTrials(scheduler.get(), 0, 9);
  EXPECT_EQ(Report(scheduler.get(), 0, 5, 0).milestone, 1);
  for (uint32_t t = 1; t < 9; ++t) Report(scheduler.get(), t, 1, t);
  EXPECT_EQ(Settle(scheduler.get()).on, (std::vector<uint32_t>{0, 1, 2}));
  EXPECT_EQ(Report(scheduler.get(), 0, 6, 0).milestone, 3);
  scheduler->RemoveTrial(1);
  EXPECT_EQ(Report(scheduler.get(), 2, 10, 2).reason, Reason::kReachedMax) << "max_t comes first";
  EXPECT_EQ(Settle(scheduler.get()).on, std::vector<uint32_t>{0});
}

TEST(HyperBandTest, OneBracketDoesNotWaitForAnother) {
  const auto scheduler = MakeOrDie(HyperBand(9));
  AddTrials(scheduler.get(), 0, 17);
  for (uint32_t t = 9; t < 14; ++t) Report(scheduler.get(), t, 3, t);
  EXPECT_EQ(Settle(scheduler.get()).on, std::vector<uint32_t>{9}) << "1 of 5; the first bracket has not begun";
  EXPECT_EQ(Report(scheduler.get(), 14, 3, 0).reason, Reason::kNone) << "the last bracket stops nobody";
  EXPECT_EQ(Report(scheduler.get(), 14, 9, 0).reason, Reason::kReachedMax);
}

TEST(HyperBandTest, BracketsThatEndedLongAgoAreNotShownForEver) {
  const auto scheduler = MakeOrDie(HyperBand(3));  // 3 at 1; 2
  for (uint32_t t = 0; t < 5'000; ++t) {
    scheduler->AddTrial(t, scheduler->BracketFor(t));
    if (t == 0) continue;  // runs on and on
    Report(scheduler.get(), t, 3, 0.5);
    scheduler->RemoveTrial(t);
  }
  std::set<int32_t> brackets;
  for (const RungStatus& rung : scheduler->Rungs()) brackets.insert(rung.bracket);
  EXPECT_LE(brackets.size(), 20U);
  EXPECT_TRUE(brackets.contains(0)) << "trial 0 is in it";
}

TEST(HyperBandTest, WrongOptionsAreToldWithAFix) {
  const auto fields = [](const SchedulerOptions& options) {
    Problems problems;
    EXPECT_EQ(MakeScheduler(options, &problems), nullptr);
    std::vector<std::string> names;
    for (const Problem& problem : problems) {
      names.push_back(problem.field.substr(10));
      EXPECT_FALSE(problem.hint.empty());
    }
    return names;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(fields({.type = "hyperband", .max_t = -1}), Names{"max_t"});
  EXPECT_EQ(fields({.type = "hyperband", .reduction_factor = 1}), Names{"reduction_factor"});
  EXPECT_EQ(fields({.type = "hyperband", .reduction_factor = 1.0000001}), Names{"reduction_factor"});
  EXPECT_EQ(fields({.type = "hyperband", .grace_period = 1.5}), Names{"grace_period"});
  EXPECT_EQ(fields({.type = "hyperband", .max_t = 9, .grace_period = 10}), Names{"grace_period"});
  EXPECT_EQ(fields({.type = "hyperband", .brackets = 3}), Names{"brackets"});
  EXPECT_EQ(fields({.type = "hyperband", .grace_period = 2, .compat_ray = true}), Names{"grace_period"});
  EXPECT_EQ(fields({.type = "hyperband", .reduction_factor = 1.5, .compat_ray = true}), Names{"reduction_factor"});
  EXPECT_EQ(fields({.type = "bohb", .compat_ray = true}), Names{"compat"});
}

TEST(HyperBandTest, LargeStepsAndFactorsAreFine) {
  for (const int64_t max_t : {int64_t{1'000'000}, int64_t{1} << 53}) {
    const auto scheduler = MakeOrDie(HyperBand(max_t, 2));
    EXPECT_EQ(scheduler->BracketFor(4'000'000), max_t == 1'000'000 ? scheduler->BracketFor(4'000'000) : 0);
    const auto milestones = scheduler->Milestones(0);
    EXPECT_TRUE(std::is_sorted(milestones.begin(), milestones.end()));
    EXPECT_LT(milestones.back(), max_t);
  }
}

// The paper's algorithm 1, told naively: each bracket by itself, round after round.
TEST(HyperBandTest, ASweepThatRunsBracketByBracketIsThePapersAlgorithm) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Rng rng(seed);
    const auto factor = static_cast<uint32_t>(2 + seed % 3);
    const uint32_t max_t = factor * factor * factor;
    const auto scheduler = MakeOrDie(HyperBand(max_t, factor));
    std::map<std::pair<uint32_t, uint32_t>, double> losses;
    const auto loss = [&](uint32_t trial, uint32_t step) {
      const auto [at, fresh] = losses.try_emplace({trial, step}, 0);
      if (fresh) at->second = rng.Uniform();
      return at->second;
    };
    uint32_t next = 0;
    for (uint32_t s = 3 + 1; s-- > 0;) {
      // n = ceil(4 / (s + 1) * factor^s), r = max_t / factor^s.
      uint32_t power = 1;
      for (uint32_t i = 0; i < s; ++i) power *= factor;
      const uint32_t n = (4 * power + s) / (s + 1);
      std::vector<uint32_t> running;
      for (uint32_t i = 0; i < n; ++i) running.push_back(next++);
      AddTrials(scheduler.get(), running.front(), running.back() + 1);
      uint32_t step = max_t / power, left = n;
      for (uint32_t round = 0; round < s; ++round, step *= factor) {
        left /= factor;
        std::vector<uint32_t> expected = running;
        std::stable_sort(expected.begin(), expected.end(),
                         [&](uint32_t a, uint32_t b) { return loss(a, step) < loss(b, step); });
        expected.resize(std::max(1U, left));
        std::vector<uint32_t> on;
        for (size_t i = running.size(); i > 1; --i) std::swap(running[i - 1], running[rng.Below(i)]);
        for (const uint32_t trial : running) {
          const Verdict verdict = Report(scheduler.get(), trial, step, loss(trial, step));
          ASSERT_EQ(verdict.action == Action::kPause, trial != running.back());
          if (verdict.action == Action::kContinue) on.push_back(trial);
          if (verdict.action == Action::kStop) scheduler->RemoveTrial(trial);
        }
        for (const uint32_t trial : Settle(scheduler.get()).on) on.push_back(trial);
        std::sort(on.begin(), on.end());
        std::sort(expected.begin(), expected.end());
        ASSERT_EQ(on, expected) << "seed " << seed << " bracket " << s << " round " << round;
        running = on;
      }
      for (const uint32_t trial : running) {
        ASSERT_EQ(Report(scheduler.get(), trial, max_t, 0).reason, Reason::kReachedMax);
        scheduler->RemoveTrial(trial);
      }
    }
  }
}

// Its processes may take a while to go.
TEST(HyperBandTest, ATrialThatWasStoppedAndIsRemovedLateStillFindsItsBracket) {
  const auto scheduler = MakeOrDie(HyperBand(3));
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
