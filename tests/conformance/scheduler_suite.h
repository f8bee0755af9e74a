// What every scheduler must hold, whatever it decides; a verdict with a rank is one at a rung. A new
// type instantiates SchedulerSuite with its options:
//   INSTANTIATE_TEST_SUITE_P(Name, SchedulerSuite, testing::Values(options, ...));
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/rng.h"
#include "schedulers/scheduler.h"
#include "tests/unit/schedulers/script.h"

namespace tunesmith {

// For the names of tests: without it they would show bytes and addresses.
inline void PrintTo(const SchedulerOptions& o, std::ostream* out) {
  *out << o.type << (o.goal == Goal::kMin ? " min" : " max") << " max_t " << o.max_t << " grace "
       << o.grace_period << " factor " << ReductionFactorOf(o) << " brackets " << o.brackets
       << " samples " << o.min_samples_required
       << (o.stop_last_trials ? "" : " without stop_last_trials")
       << (o.promotion ? " promotion" : "") << (o.compat_ray ? " as ray" : "");
  if (o.type == "pbt") *out << " interval " << o.pbt.perturbation_interval << (o.pbt.synch ? " synch" : "");
}

class SchedulerSuite : public testing::TestWithParam<SchedulerOptions> {
 protected:
  std::unique_ptr<Scheduler> Make() const { return MakeOrDie(GetParam()); }
};

// One random report of a live trial: jumps, repeats, steps back, NaN, infinities, no metric.
inline TrialReport RandomReport(uint32_t trial, int64_t last_step, Rng* rng) {
  TrialReport report{.trial = trial, .step = last_step + 1, .value = rng->Uniform(-1, 1)};
  switch (rng->Below(12)) {
    case 0:
      report.value = kNan;
      break;
    case 1:
      report.value.reset();
      break;
    case 2:
      report.value = rng->Below(2) == 0 ? kInf : -kInf;
      break;
    case 3:
      report.step = last_step + rng->IntInclusive(2, 20);
      break;
    case 4:
      report.step = last_step;
      break;
    case 5:
      report.step = last_step - rng->IntInclusive(1, 5);
      break;
    case 6:
      report.value = 0.5;
      break;  // ties
    default:
      break;
  }
  return report;
}

// Plays `events` random events on a scheduler as the controller does.
class RandomSweep {
 public:
  RandomSweep(Scheduler* scheduler, uint64_t seed) : scheduler_(scheduler), rng_(seed) {}

  // What happened, as a controller would journal it.
  struct Entry {
    enum Kind { kAdd, kVerdict, kRemove, kExploit } kind = kAdd;
    uint32_t trial = 0;
    int32_t bracket = 0;
    Verdict verdict;
    uint32_t donor = 0;
    int64_t step = 0;
  };

  std::vector<Entry> Play(int events) {
    std::vector<Entry> journal;
    for (int i = 0; i < events; ++i) {
      if (live_.empty() || rng_.Below(5) == 0) {
        const uint32_t trial = next_++;
        const int32_t bracket = scheduler_->BracketFor(trial);
        scheduler_->AddTrial(trial, bracket);
        live_[trial] = 0;
        journal.push_back({Entry::kAdd, trial, bracket, {}});
      }
      auto it = live_.begin();
      std::advance(it, static_cast<std::ptrdiff_t>(rng_.Below(live_.size())));
      TrialReport report = RandomReport(it->first, it->second, &rng_);
      if (i % 3 == 0) report.waiting = i % 2 == 0 ? 0 : it->second;
      if (i % 5 == 0) report.gives = [](uint32_t trial) { return trial % 2 == 0; };
      it->second = report.step;
      const Verdict verdict = scheduler_->Decide(report);
      scheduler_->Apply(report.trial, verdict);
      journal.push_back({Entry::kVerdict, report.trial, 0, verdict});
      if (verdict.action == Action::kPause) {
        paused_[report.trial] = report.step;
        live_.erase(it);
      }
      const Outlook outlooks[] = {Outlook::kOpen, Outlook::kOpen, Outlook::kComplete, Outlook::kIdle};
      while (const auto next = scheduler_->NextPaused(outlooks[rng_.Below(4)])) {
        EXPECT_EQ(paused_.count(next->trial), 1U) << "only paused trials go on or end";
        if (next->verdict.reason == Reason::kExploits) {
          journal.push_back(TakeOver(*next, i % 7 != 0));
          continue;
        }
        scheduler_->Apply(next->trial, next->verdict);
        journal.push_back({Entry::kVerdict, next->trial, 0, next->verdict});
        if (next->verdict.action == Action::kContinue) live_.insert(paused_.extract(next->trial));
        if (next->verdict.action != Action::kStop) continue;
        const TrialReport last{.trial = next->trial, .step = paused_[next->trial], .value = next->verdict.value};
        EXPECT_FALSE(scheduler_->DecideFinal(last).recorded) << "it has been judged";
        scheduler_->RemoveTrial(next->trial);
        journal.push_back({Entry::kRemove, next->trial, 0, {}});
        paused_.erase(next->trial);
      }
      if (verdict.action == Action::kPause && rng_.Below(8) == 0 && paused_.count(report.trial) > 0) {
        scheduler_->RemoveTrial(report.trial);  // a user has stopped it
        journal.push_back({Entry::kRemove, report.trial, 0, {}});
        paused_.erase(report.trial);
      }
      if (verdict.action == Action::kPause || (verdict.action != Action::kStop && rng_.Below(30) != 0)) continue;
      const Verdict last = scheduler_->DecideFinal(report);
      scheduler_->Apply(report.trial, last);
      journal.push_back({Entry::kVerdict, report.trial, 0, last});
      scheduler_->RemoveTrial(report.trial);
      journal.push_back({Entry::kRemove, report.trial, 0, {}});
      live_.erase(it);
    }
    return journal;
  }

 private:
  // From the first donor that has a checkpoint, if any has.
  Entry TakeOver(const PausedVerdict& next, bool any) {
    const std::vector<uint32_t> donors = scheduler_->Donors(next.trial);
    for (const uint32_t donor : donors) {
      EXPECT_TRUE(live_.contains(donor) || paused_.contains(donor)) << "an ended trial gives nothing";
      EXPECT_NE(donor, next.trial);
    }
    if (donors.empty() || !any) {
      const Verdict none{.action = Action::kPause, .reason = Reason::kNoDonor};
      scheduler_->Apply(next.trial, none);
      return {Entry::kVerdict, next.trial, 0, none};
    }
    const int64_t step = live_.contains(donors[0]) ? live_[donors[0]] : paused_[donors[0]];
    scheduler_->Exploit(next.trial, donors[0], step);
    paused_[next.trial] = step;
    if (next.verdict.action == Action::kContinue) live_.insert(paused_.extract(next.trial));
    return {Entry::kExploit, next.trial, 0, {}, donors[0], step};
  }

  Scheduler* scheduler_;
  Rng rng_;
  uint32_t next_ = 0;
  std::map<uint32_t, int64_t> live_, paused_;  // with the last step
};

inline void Replay(const std::vector<RandomSweep::Entry>& journal, Scheduler* scheduler) {
  for (const auto& entry : journal) {
    switch (entry.kind) {
      case RandomSweep::Entry::kAdd:
        scheduler->AddTrial(entry.trial, entry.bracket);
        break;
      case RandomSweep::Entry::kVerdict:
        scheduler->Apply(entry.trial, entry.verdict);
        break;
      case RandomSweep::Entry::kRemove:
        scheduler->RemoveTrial(entry.trial);
        break;
      case RandomSweep::Entry::kExploit:
        scheduler->Exploit(entry.trial, entry.donor, entry.step);
        break;
    }
  }
}

inline void ExpectSameRungs(const Scheduler& a, const Scheduler& b) {
  const std::vector<RungStatus> x = a.Rungs();
  const std::vector<RungStatus> y = b.Rungs();
  ASSERT_EQ(x.size(), y.size());
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_EQ(x[i].bracket, y[i].bracket);
    EXPECT_EQ(x[i].milestone, y[i].milestone);
    EXPECT_EQ(x[i].recorded, y[i].recorded);
    EXPECT_EQ(x[i].stopped, y[i].stopped);
    EXPECT_EQ(x[i].promoted, y[i].promoted);
    EXPECT_EQ(x[i].waiting, y[i].waiting);
    EXPECT_EQ(x[i].cutoff, y[i].cutoff);
  }
}

TEST_P(SchedulerSuite, DecidesTheSameInEveryRun) {
  const auto a = Make();
  const auto b = Make();
  const auto first = RandomSweep(a.get(), 1).Play(2'000);
  const auto second = RandomSweep(b.get(), 1).Play(2'000);
  ASSERT_EQ(first.size(), second.size());
  for (size_t i = 0; i < first.size(); ++i) {
    ASSERT_TRUE(SameVerdict(first[i].verdict, second[i].verdict)) << i;
  }
}

TEST_P(SchedulerSuite, AReplayOfTheJournalGivesTheSameLaterDecisions) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    const auto original = Make();
    const auto journal = RandomSweep(original.get(), seed).Play(300);
    const auto restored = Make();
    Replay(journal, restored.get());
    ExpectSameRungs(*original, *restored);
    Rng rng(seed + 1'000);
    for (uint32_t trial = 0; trial < 60; ++trial) {
      const TrialReport report = RandomReport(trial, rng.IntInclusive(0, 40), &rng);
      ASSERT_TRUE(SameVerdict(original->Decide(report), restored->Decide(report)))
          << "seed " << seed;
      ASSERT_TRUE(SameVerdict(original->DecideFinal(report), restored->DecideFinal(report)));
    }
  }
}

TEST_P(SchedulerSuite, AVerdictAppliedTwiceCountsOnce) {
  const auto once = Make();
  const auto twice = Make();
  const auto journal = RandomSweep(once.get(), 3).Play(500);
  for (const auto& entry : journal) {
    Replay({entry}, twice.get());
    if (entry.kind == RandomSweep::Entry::kVerdict) Replay({entry}, twice.get());
  }
  ExpectSameRungs(*once, *twice);
}

TEST_P(SchedulerSuite, DecidingChangesNothing) {
  const auto scheduler = Make();
  RandomSweep(scheduler.get(), 4).Play(300);
  const auto twin = Make();
  RandomSweep(twin.get(), 4).Play(300);
  Rng rng(5);
  for (uint32_t i = 0; i < 500; ++i) {
    const TrialReport report = RandomReport(i % 80, static_cast<int64_t>(i % 30), &rng);
    (void)scheduler->Decide(report);
    (void)scheduler->DecideFinal(report);
  }
  ExpectSameRungs(*scheduler, *twin);
  for (uint32_t i = 0; i < 500; ++i) {
    const TrialReport report = RandomReport(i % 80, static_cast<int64_t>(i % 30), &rng);
    ASSERT_TRUE(SameVerdict(scheduler->Decide(report), twin->Decide(report))) << i;
  }
}

TEST_P(SchedulerSuite, AnUnknownOrEndedTrialIsLeftAlone) {
  const auto scheduler = Make();
  for (const double value : {0.0, kNan, kInf, -kInf}) {
    EXPECT_NE(scheduler->Decide({.trial = 77, .step = 1, .value = value}).action, Action::kPause);
    EXPECT_EQ(scheduler->DecideFinal({.trial = 77, .step = 1, .value = value}).action,
              Action::kContinue);
  }
  scheduler->RemoveTrial(77);
  scheduler->Apply(77, Verdict{});
  scheduler->AddTrial(1, 0);
  scheduler->RemoveTrial(1);
  scheduler->RemoveTrial(1);
  EXPECT_FALSE(scheduler->Decide({.trial = 1, .step = 1, .value = 0.5}).recorded);
}

TEST_P(SchedulerSuite, StrangeStepsBracketsAndVerdictsDoNoHarm) {
  const auto scheduler = Make();
  scheduler->AddTrial(0, -7);
  scheduler->AddTrial(std::numeric_limits<uint32_t>::max(), std::numeric_limits<int32_t>::max());
  for (const int64_t step : {std::numeric_limits<int64_t>::min(), int64_t{-1}, int64_t{0},
                             int64_t{1}, std::numeric_limits<int64_t>::max()}) {
    for (const uint32_t trial : {0U, std::numeric_limits<uint32_t>::max()}) {
      for (const double value : {kNan, kInf, -kInf, 1.0}) {
        scheduler->Apply(trial, scheduler->Decide({.trial = trial, .step = step, .value = value}));
      }
    }
  }
  const auto before = scheduler->Rungs();
  scheduler->Apply(5, Verdict{.bracket = 1'000'000, .milestone = 1, .recorded = true});
  scheduler->Apply(5, Verdict{.bracket = -1, .milestone = 1, .recorded = true});
  scheduler->Apply(5, Verdict{.milestone = 0.123, .recorded = true});
  scheduler->Apply(5, Verdict{.milestone = kNan, .recorded = true});
  const auto after = scheduler->Rungs();
  ASSERT_EQ(before.size(), after.size());
  for (size_t i = 0; i < before.size(); ++i) EXPECT_EQ(before[i].recorded, after[i].recorded);
}

TEST_P(SchedulerSuite, EveryVerdictIsConsistent) {
  const auto scheduler = Make();
  for (const auto& entry : RandomSweep(scheduler.get(), 9).Play(3'000)) {
    const Verdict& v = entry.verdict;
    if (entry.kind != RandomSweep::Entry::kVerdict) continue;
    if (v.rank > 0) {
      EXPECT_TRUE(v.recorded || v.reason == Reason::kPromoted || v.action == Action::kStop);
      EXPECT_LE(v.rank, v.peers);
      EXPECT_GT(v.milestone, 0);
    } else if (v.recorded) {
      EXPECT_TRUE(scheduler->Rungs().empty()) << "recorded at a rung, but without a rank";
    } else {
      EXPECT_EQ(v.milestone, 0);
      EXPECT_EQ(v.peers, 0U);
    }
    if (v.reason == Reason::kBelowCutoff || v.reason == Reason::kAboveCutoff ||
        v.reason == Reason::kAboveMedian) {
      EXPECT_TRUE(v.has_cutoff);
    }
    if (v.action == Action::kStop) {
      EXPECT_TRUE(v.reason == Reason::kBelowCutoff || v.reason == Reason::kNotANumber ||
                  v.reason == Reason::kReachedMax || v.reason == Reason::kBelowMedian ||
                  v.reason == Reason::kHalved);
    }
    EXPECT_FALSE(std::isnan(v.cutoff));
    EXPECT_FALSE(Explain(v, "loss", GetParam().goal).empty());
  }
}

TEST_P(SchedulerSuite, MilestonesAreTheStepsAtWhichATrialIsJudged) {
  for (int32_t bracket = -1; bracket < 5; ++bracket) {
    const auto scheduler = Make();
    scheduler->AddTrial(0, bracket);
    std::vector<int64_t> judged;
    for (int64_t step = 1; step <= 200; ++step) {
      const Verdict verdict = scheduler->Decide({.trial = 0, .step = step, .value = 0.5});
      scheduler->Apply(0, verdict);
      if (verdict.rank > 0) judged.push_back(step);
      while (const auto next = scheduler->NextPaused(Outlook::kIdle)) scheduler->Apply(next->trial, next->verdict);
    }
    EXPECT_EQ(scheduler->Milestones(bracket), judged) << "bracket " << bracket;
  }
}

TEST_P(SchedulerSuite, ATrialIsRecordedOnceAtEachRung) {
  if (GetParam().type == "pbt") GTEST_SKIP() << "a trial that takes over goes back to the donor's step";
  const auto scheduler = Make();
  std::set<std::pair<uint32_t, double>> seen;
  for (const auto& entry : RandomSweep(scheduler.get(), 11).Play(3'000)) {
    if (!entry.verdict.recorded || entry.verdict.rank == 0) continue;
    EXPECT_TRUE(seen.insert({entry.trial, entry.verdict.milestone}).second);
  }
}

// A trial that is let on or stopped is out of its rung: asking again ends.
TEST_P(SchedulerSuite, NobodyWaitsForEver) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const auto scheduler = Make();
    Rng rng(seed);
    std::map<uint32_t, int64_t> running, paused;  // with the last step
    const auto trials = static_cast<uint32_t>(rng.IntInclusive(1, 60));
    for (uint32_t t = 0; t < trials; ++t) {
      scheduler->AddTrial(t, scheduler->BracketFor(t));
      running[t] = 0;
    }
    for (int events = 0;; ++events) {
      ASSERT_LT(events, 100'000) << "seed " << seed;
      while (const auto next = scheduler->NextPaused(running.empty() ? Outlook::kIdle : Outlook::kComplete)) {
        ASSERT_EQ(paused.count(next->trial), 1U);
        if (next->verdict.reason == Reason::kExploits) {
          const std::vector<uint32_t> donors = scheduler->Donors(next->trial);
          ASSERT_FALSE(donors.empty());
          const int64_t step = running.contains(donors[0]) ? running[donors[0]] : paused[donors[0]];
          scheduler->Exploit(next->trial, donors[0], step);
          paused[next->trial] = step;
        } else {
          scheduler->Apply(next->trial, next->verdict);
        }
        if (next->verdict.action == Action::kContinue) {
          running.insert(paused.extract(next->trial));
        } else if (next->verdict.action == Action::kStop) {
          scheduler->RemoveTrial(next->trial);
          paused.erase(next->trial);
        }
      }
      if (running.empty()) break;
      auto it = running.begin();
      std::advance(it, static_cast<std::ptrdiff_t>(rng.Below(running.size())));
      const uint32_t trial = it->first;
      it->second += rng.IntInclusive(1, 3);
      const Verdict verdict = scheduler->Decide({.trial = trial, .step = it->second, .value = rng.Uniform()});
      scheduler->Apply(trial, verdict);
      if (verdict.action == Action::kPause) {
        paused.insert(running.extract(it));
      } else if (verdict.action == Action::kStop || it->second > 200 || rng.Below(40) == 0) {
        scheduler->RemoveTrial(trial);  // stopped, at its own end, or failed
        running.erase(it);
      }
    }
    if (GetParam().type != "hyperband" && GetParam().type != "bohb" && GetParam().type != "pbt") continue;
    EXPECT_TRUE(paused.empty()) << "seed " << seed;
    for (const RungStatus& rung : scheduler->Rungs()) EXPECT_EQ(rung.waiting, 0U);
  }
}

}  // namespace tunesmith
