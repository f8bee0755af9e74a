// The scheduler against a twin written straight from the rules, with sorted lists and no
// cleverness, on random reports.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "common/rng.h"
#include "tests/unit/schedulers/script.h"

namespace tunesmith {
namespace {

struct TwinRung {
  double milestone = 0;
  std::map<uint32_t, double> recorded;  // scores, larger is better
};

// One bracket. Ray Tune's loop over its rungs, highest first, or the safe rule.
class Twin {
 public:
  Twin(const SchedulerOptions& o, const std::vector<RungStatus>& rungs) : o_(o) {
    for (const RungStatus& r : rungs) rungs_.push_back({r.milestone, {}});
  }

  // Decides and records. `final`: the trial has ended, so max_t is not asked.
  bool Stops(uint32_t trial, int64_t step, std::optional<double> value, bool final) {
    if (o_.compat_ray && !value) return false;
    if (!final && o_.stop_last_trials && step >= o_.max_t) return true;
    if (!value) return false;
    double score = o_.goal == Goal::kMax ? *value : -*value;
    if (!o_.compat_ray && std::isnan(score)) score = -kInf;
    for (TwinRung& rung : rungs_) {
      const bool has = rung.recorded.contains(trial);
      if (o_.compat_ray) {
        if (step >= rung.milestone && has && !o_.stop_last_trials) return false;
        if (step < rung.milestone || has) continue;
      } else {
        if (has) return false;
        if (step < rung.milestone) continue;
      }
      const bool stop = Below(rung, score, std::isnan(*value));
      rung.recorded[trial] = score;
      return stop;
    }
    return false;
  }

 private:
  bool Below(const TwinRung& rung, double score, bool is_nan) const {
    std::vector<double> sorted;
    for (const auto& [trial, s] : rung.recorded) {
      if (!std::isnan(s)) sorted.push_back(s);
    }
    if (sorted.empty()) return false;
    std::sort(sorted.begin(), sorted.end());
    const double position =
        static_cast<double>(sorted.size() - 1) * ((1 - 1 / *o_.reduction_factor) * 100 / 100);
    const auto i = static_cast<size_t>(std::floor(position));
    const double lower = sorted[i];
    const double upper = sorted[std::min(i + 1, sorted.size() - 1)];
    const double t = position - std::floor(position);
    if (o_.compat_ray) {
      const double cutoff =
          t >= 0.5 ? upper - (upper - lower) * (1 - t) : lower + (upper - lower) * t;
      return score < cutoff;
    }
    if (is_nan) return true;
    return score < (std::isinf(lower) || std::isinf(upper) ? lower : lower * (1 - t) + upper * t);
  }

  const SchedulerOptions o_;
  std::vector<TwinRung> rungs_;
};

double RandomValue(Rng* rng) {
  const double special[] = {kNan, kInf, -kInf, 0.0, -0.0, 1e308, -1e308};
  if (rng->Below(8) == 0) return special[rng->Below(7)];
  if (rng->Below(3) == 0) return static_cast<double>(rng->Below(4));  // ties
  return rng->Uniform(-2, 2);
}

SchedulerOptions RandomOptions(Rng* rng, bool compat) {
  const double factors[] = {2, 3, 4, 1.5, 2.7};
  SchedulerOptions o{.type = "asha",
                     .goal = rng->Below(2) == 0 ? Goal::kMin : Goal::kMax,
                     .seed = rng->NextU64(),
                     .max_t = rng->IntInclusive(3, 40),
                     .grace_period = static_cast<double>(rng->IntInclusive(1, 3)),
                     .reduction_factor = factors[rng->Below(5)],
                     .stop_last_trials = rng->Below(3) != 0,
                     .compat_ray = compat};
  if (compat && rng->Below(3) == 0) o.grace_period -= 0.5;
  return o;
}

void PlayOneSweep(uint64_t seed, bool compat) {
  Rng rng(seed);
  const SchedulerOptions options = RandomOptions(&rng, compat);
  Driver d(options);
  Twin twin(options, d.scheduler().Rungs());
  std::map<uint32_t, int64_t> live;  // trial -> step
  uint32_t next = 0;
  for (int event = 0; event < 400; ++event) {
    if (live.empty() || rng.Below(6) == 0) {
      d.Add(next);
      live[next++] = 0;
    }
    auto it = live.begin();
    std::advance(it, static_cast<std::ptrdiff_t>(rng.Below(live.size())));
    const uint32_t trial = it->first;
    it->second += rng.IntInclusive(rng.Below(10) == 0 ? -3 : 0, rng.Below(10) == 0 ? 9 : 1);
    const int64_t step = it->second;
    std::optional<double> value;
    if (rng.Below(15) != 0) value = RandomValue(&rng);
    if (rng.Below(25) == 0) {
      d.Complete(trial, step, value);
      twin.Stops(trial, step, value, /*final=*/true);
      live.erase(it);
      continue;
    }
    const Verdict verdict = d.Report(trial, step, value);
    const bool stops = twin.Stops(trial, step, value, /*final=*/false);
    ASSERT_EQ(verdict.action == Action::kStop, stops)
        << "seed " << seed << " event " << event << " trial " << trial << " step " << step
        << " value " << value.value_or(-99) << " " << ReasonName(verdict.reason);
    if (stops) {
      twin.Stops(trial, step, value, /*final=*/true);
      live.erase(it);
    }
  }
}

TEST(AshaTwin, RayRulesDecideAsTheTwin) {
  for (uint64_t seed = 0; seed < 300 && !testing::Test::HasFatalFailure(); ++seed)
    PlayOneSweep(seed, true);
}

TEST(AshaTwin, SafeRulesDecideAsTheTwin) {
  for (uint64_t seed = 0; seed < 300 && !testing::Test::HasFatalFailure(); ++seed)
    PlayOneSweep(seed, false);
}

// With n * n work this would take hours; the bound is on comparisons only through the test's own
// time-out.
TEST(AshaTwin, AHundredThousandTrialsAtOneRungAreRankedRight) {
  Driver d({.type = "asha", .goal = Goal::kMin, .max_t = 9, .reduction_factor = 2});
  constexpr uint32_t kTrials = 100'000;
  Rng rng(1);
  std::vector<double> seen;
  for (uint32_t trial = 0; trial < kTrials; ++trial) {
    d.Add(trial);
    const double value = rng.Uniform();
    const Verdict v = d.Report(trial, 1, value);
    ASSERT_EQ(v.peers, trial + 1);
    seen.push_back(value);
    if (trial % 9'999 == 0) {
      const auto better =
          std::count_if(seen.begin(), seen.end(), [&](double x) { return x < value; });
      ASSERT_EQ(v.rank, static_cast<uint32_t>(better) + 1);
    }
  }
  std::sort(seen.begin(), seen.end());
  EXPECT_DOUBLE_EQ(d.scheduler().Rungs().back().cutoff.value(), (seen[49'999] + seen[50'000]) / 2);
}

}  // namespace
}  // namespace tunesmith
