// Nested percentiles against their definition, counted out over all trials.
#include "search/model/standings.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/rng.h"

namespace tunesmith::model {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kEnd = std::numeric_limits<int64_t>::max();

// What was told of a trial, and its standing by the words of standings.h.
class SlowStandings {
 public:
  struct Trial {
    std::map<int64_t, double> rungs;  // kEnd: completed
    bool bad = false;
    double violation = 0;
  };
  std::map<uint32_t, Trial> trials;

  void Reach(uint32_t n, int64_t rung, double loss) {
    const auto it = trials.find(n);
    if (it != trials.end() && (it->second.bad || it->second.rungs.rbegin()->first >= rung)) return;
    trials[n].rungs[rung] = std::isfinite(loss) ? loss : kInfinity;
  }
  void Fail(uint32_t n) { Bad(n, kInfinity); }
  void Bad(uint32_t n, double violation) {
    trials[n].bad = true;
    trials[n].violation = violation;
  }
  void Complete(uint32_t n, double loss) {
    if (!std::isfinite(loss)) return Fail(n);
    trials[n].rungs[kEnd] = loss;
  }
  void Stop(uint32_t n, double loss) {
    if (!std::isfinite(loss)) return Fail(n);
    if (trials.count(n) == 0) Complete(n, loss);
  }

  size_t Good() const {
    size_t good = 0;
    for (const auto& [n, t] : trials) good += t.bad ? 0 : 1;
    return good;
  }
  double Quantile(uint32_t n) const {
    const Trial& trial = trials.at(n);
    double rank = 0;
    const auto count = [&rank](double other, double own) {
      rank += other < own ? 1 : (other == own ? 0.5 : 0);
    };
    if (trial.bad) {
      for (const auto& [m, t] : trials) {
        if (t.bad) count(t.violation, trial.violation);
      }
      rank += static_cast<double>(Good());
    } else {
      const auto& [rung, loss] = *trial.rungs.rbegin();
      for (const auto& [m, t] : trials) {
        const auto there = t.rungs.find(rung);
        if (there != t.rungs.end()) count(there->second, loss);
      }
      rank = std::min(rank, static_cast<double>(Good()) - 0.5);  // before all that are infeasible
    }
    return rank / static_cast<double>(trials.size());
  }
  std::vector<uint32_t> Order() const {
    std::vector<uint32_t> order;
    for (const auto& [n, t] : trials) order.push_back(n);
    // Sorting by the last key first; inside a rung the value decides where quantiles were cut to
    // the same.
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return Value(a) < Value(b); });
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return Rung(a) > Rung(b); });
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return Quantile(a) < Quantile(b); });
    return order;
  }
  double LossAt(double quantile) const {
    std::vector<double> losses;
    for (const auto& [n, t] : trials) {
      if (t.rungs.count(kEnd) > 0) losses.push_back(t.rungs.at(kEnd));
    }
    if (losses.empty()) return std::nan("");
    std::sort(losses.begin(), losses.end());
    const double place = std::clamp(quantile * static_cast<double>(trials.size()) - 0.5, 0.0,
                                    static_cast<double>(losses.size() - 1));
    const auto low = static_cast<size_t>(std::floor(place)),
               high = static_cast<size_t>(std::ceil(place));
    const double share = place - std::floor(place);
    return (1 - share) * losses[low] + share * losses[high];
  }

 private:
  int64_t Rung(uint32_t n) const {
    return trials.at(n).bad ? -1 : trials.at(n).rungs.rbegin()->first;
  }
  double Value(uint32_t n) const {
    return trials.at(n).bad ? trials.at(n).violation : trials.at(n).rungs.rbegin()->second;
  }
};

enum class Told : uint8_t { kReach, kStop, kComplete, kViolate, kFail };
struct Call {
  Told told = Told::kReach;
  uint32_t trial = 0;
  int64_t rung = 0;
  double value = 0;
};

// Trials with rungs (told also of lower ones again) or without, that end in every way or not at
// all.
std::vector<Call> RandomHistory(Rng* rng, uint32_t trials, bool rungs) {
  std::vector<Call> calls;
  struct Running {
    uint32_t trial = 0;
    int64_t rung = 0;
  };
  std::vector<Running> running;
  for (uint32_t n = 0; n < trials || running.size() > 5;) {
    if (n < trials && (running.empty() || rng->Below(3) == 0)) {
      running.push_back({n++, 0});
      continue;
    }
    const size_t k = rng->Below(running.size());
    Running& r = running[k];
    double value = std::floor(rng->Normal() * 10);
    const uint64_t dice = rng->Below(14);
    if (dice == 0) value = rng->Below(2) == 0 ? std::nan("") : -kInfinity;
    if (rungs && dice < 8) {
      r.rung = r.rung == 0 ? 1 : 3 * r.rung;
      calls.push_back({Told::kReach, r.trial, r.rung, value});
      if (dice == 1) calls.push_back({Told::kReach, r.trial, r.rung / 3, value - 100});
      continue;
    }
    const Told end = dice == 8   ? Told::kFail
                     : dice == 9 ? Told::kViolate
                     : dice < 12 ? Told::kComplete
                                 : Told::kStop;
    if (end == Told::kViolate) value = 1 + std::fabs(value == value ? value : 1);
    calls.push_back({end, r.trial, 0, value});
    running.erase(running.begin() + static_cast<ptrdiff_t>(k));
  }
  return calls;
}

template <typename T>
void Tell(
    const Call& call, T* standings,
    const std::function<double(double)>& map = [](double x) { return x; }) {
  switch (call.told) {
    case Told::kReach:
      return standings->Reach(call.trial, call.rung, map(call.value));
    case Told::kStop:
      return standings->Stop(call.trial, map(call.value));
    case Told::kComplete:
      return standings->Complete(call.trial, map(call.value));
    case Told::kFail:
      return standings->Fail(call.trial);
    case Told::kViolate:
      break;
  }
  if constexpr (std::is_same_v<T, SlowStandings>) {
    standings->Bad(call.trial, call.value);
  } else {
    standings->Violate(call.trial, call.value);
  }
}

std::vector<uint32_t> TrialsOf(const std::vector<Standings::Placed>& placed) {
  std::vector<uint32_t> trials;
  for (const auto& p : placed) trials.push_back(p.trial);
  return trials;
}

void ExpectSame(const Standings& standings, const SlowStandings& slow) {
  ASSERT_EQ(standings.count(), slow.trials.size());
  ASSERT_EQ(standings.good(), slow.Good());
  bool plain = true;
  for (const auto& [n, t] : slow.trials) {
    EXPECT_TRUE(standings.Has(n));
    EXPECT_NEAR(standings.Quantile(n), slow.Quantile(n), 1e-12) << n;
    EXPECT_GT(standings.Quantile(n), 0);
    EXPECT_LT(standings.Quantile(n), 1);
    for (const auto& [rung, loss] : t.rungs) plain = plain && rung == kEnd;
    EXPECT_EQ(standings.LossOf(n), t.bad ? t.violation : t.rungs.rbegin()->second);
  }
  EXPECT_EQ(standings.plain(), plain);
  const auto best = standings.Best(slow.trials.size() + 3);
  EXPECT_EQ(TrialsOf(best), slow.Order());
  double last = 0;
  for (const auto& p : best) {
    EXPECT_EQ(p.quantile, standings.Quantile(p.trial));
    EXPECT_GE(p.quantile, last);
    last = p.quantile;
  }
  for (const size_t limit : {0, 1, 5, 20}) {
    std::vector<uint32_t> first = TrialsOf(best);
    if (first.size() > limit) first.resize(limit);
    EXPECT_EQ(TrialsOf(standings.Best(limit)), first);
  }
  for (double q = 0; q <= 1; q += 0.0625) {
    const double loss = slow.LossAt(q);
    if (std::isnan(loss)) {
      EXPECT_TRUE(std::isnan(standings.LossAt(q)));
    } else {
      EXPECT_NEAR(standings.LossAt(q), loss, 1e-9) << q;
    }
  }
}

TEST(StandingsTest, AgreesWithTheDefinitionOnRandomHistories) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    Rng rng(seed);
    Standings standings;
    SlowStandings slow;
    size_t n = 0;
    for (const Call& call :
         RandomHistory(&rng, 10 + 3 * static_cast<uint32_t>(seed), seed % 3 != 0)) {
      Tell(call, &standings);
      Tell(call, &slow);
      if (++n % 25 == 0) ExpectSame(standings, slow);
    }
    ExpectSame(standings, slow);
    if (::testing::Test::HasFailure()) FAIL() << "seed " << seed;
  }
}

TEST(StandingsTest, MonotoneChangesOfTheMetricChangeNothing) {
  const std::vector<std::function<double(double)>> maps = {
      [](double x) { return x * x * x; }, [](double x) { return x / (1 + std::fabs(x)) * 1e-300; },
      [](double x) { return x > 0 ? x * 1e300 : x; }};
  for (uint64_t seed = 0; seed < 12; ++seed) {
    Rng rng(seed);
    const auto calls = RandomHistory(&rng, 80, seed % 2 == 0);
    Standings standings;
    for (const Call& call : calls) Tell(call, &standings);
    const auto best = standings.Best(100);
    for (const auto& map : maps) {
      Standings mapped;
      for (const Call& call : calls) Tell(call, &mapped, map);
      EXPECT_EQ(TrialsOf(mapped.Best(100)), TrialsOf(best));
      for (const auto& p : best) EXPECT_EQ(mapped.Quantile(p.trial), p.quantile);
    }
  }
}

TEST(StandingsTest, TheOrderOfArrivalDoesNotMatter) {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    Rng rng(seed);
    auto calls = RandomHistory(&rng, 80, true);
    Standings standings, shuffled;
    for (const Call& call : calls) Tell(call, &standings);
    for (size_t swaps = 20 * calls.size(); swaps > 0; --swaps) {
      const size_t k = rng.Below(calls.size() - 1);
      if (calls[k].trial != calls[k + 1].trial) std::swap(calls[k], calls[k + 1]);
    }
    for (const Call& call : calls) Tell(call, &shuffled);
    const auto best = standings.Best(200);
    EXPECT_EQ(TrialsOf(shuffled.Best(200)), TrialsOf(best));
    for (const auto& p : best) EXPECT_EQ(shuffled.Quantile(p.trial), p.quantile);
  }
}

TEST(StandingsTest, WithoutRungsQuantilesAreRanks) {
  Standings standings;
  for (uint32_t n = 0; n < 10; ++n) standings.Complete(n, 10.0 - n);
  for (uint32_t n = 0; n < 10; ++n) EXPECT_DOUBLE_EQ(standings.Quantile(n), (9.5 - n) / 10);
  EXPECT_TRUE(standings.plain());
  EXPECT_DOUBLE_EQ(standings.LossAt(0.05), 1);
  EXPECT_DOUBLE_EQ(standings.LossAt(0.95), 10);
  EXPECT_DOUBLE_EQ(standings.LossAt(0.5), 5.5);
}

TEST(StandingsTest, ReachingARungIsWorthMoreThanAnyValueBelowIt) {
  Standings standings;
  for (uint32_t n = 0; n < 9; ++n) standings.Reach(n, 1, n);
  for (uint32_t n = 0; n < 3; ++n) standings.Reach(n, 3, 100 - n);
  EXPECT_FALSE(standings.plain());
  for (uint32_t n = 0; n < 3; ++n) EXPECT_DOUBLE_EQ(standings.Quantile(n), (2.5 - n) / 9);
  for (uint32_t n = 3; n < 9; ++n) EXPECT_DOUBLE_EQ(standings.Quantile(n), (n + 0.5) / 9);
  EXPECT_EQ(TrialsOf(standings.Best(4)), (std::vector<uint32_t>{2, 1, 0, 3}));
}

TEST(StandingsTest, ALowerRungAfterAHigherOneIsIgnored) {
  Standings standings;
  standings.Reach(0, 9, 5);
  standings.Reach(1, 9, 6);
  standings.Reach(1, 3, -100);
  standings.Reach(1, 9, -100);
  EXPECT_DOUBLE_EQ(standings.Quantile(0), 0.25);
  EXPECT_EQ(standings.LossOf(1), 6);
  standings.Complete(1, 7);
  standings.Reach(1, 27, -100);
  EXPECT_EQ(standings.LossOf(1), 7);
  EXPECT_EQ(standings.count(), 2u);
}

TEST(StandingsTest, InfeasibleTrialsComeAfterAllFeasibleOnesWhateverRungTheyReached) {
  Standings standings;
  for (uint32_t n = 0; n < 6; ++n) standings.Reach(n, 1, n);
  for (uint32_t n = 0; n < 3; ++n) standings.Fail(n);  // after they were the best of their rung
  standings.Violate(3, 2);
  standings.Violate(4, 1);
  EXPECT_EQ(standings.good(), 1u);
  EXPECT_EQ(TrialsOf(standings.Best(10)), (std::vector<uint32_t>{5, 4, 3, 0, 1, 2}));
  EXPECT_LT(standings.Quantile(5), standings.Quantile(4));
  EXPECT_LT(standings.Quantile(4), standings.Quantile(3));
  EXPECT_LT(standings.Quantile(3), standings.Quantile(0));
  EXPECT_EQ(standings.Quantile(0), standings.Quantile(2));
  EXPECT_LT(standings.Quantile(2), 1);
  EXPECT_EQ(standings.LossOf(0), kInfinity);
}

TEST(StandingsTest, LossesThatAreNotFiniteFail) {
  Standings standings;
  standings.Complete(0, 1);
  standings.Complete(1, std::nan(""));
  standings.Complete(2, kInfinity);
  standings.Stop(3, -kInfinity);
  standings.Reach(4, 1, std::nan(""));  // it has got there, as the worst
  standings.Violate(5, kInfinity);      // infeasible, and still before the failed ones
  EXPECT_EQ(standings.good(), 2u);
  EXPECT_EQ(TrialsOf(standings.Best(10)), (std::vector<uint32_t>{0, 4, 5, 1, 2, 3}));
  EXPECT_LT(standings.Quantile(5), standings.Quantile(1));
}

TEST(StandingsTest, LossAtIsTheInverseOfQuantileForCompletedTrials) {
  Rng rng(3);
  Standings standings;
  for (uint32_t n = 0; n < 40; ++n) standings.Complete(n, rng.Normal());
  for (uint32_t n = 40; n < 50; ++n) standings.Fail(n);
  for (uint32_t n = 0; n < 40; ++n)
    EXPECT_NEAR(standings.LossAt(standings.Quantile(n)), standings.LossOf(n), 1e-12);
  EXPECT_TRUE(std::isnan(Standings().LossAt(0.5)));
}

}  // namespace
}  // namespace tunesmith::model
