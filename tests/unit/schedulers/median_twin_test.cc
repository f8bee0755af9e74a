// The median rule against a twin written straight from the rules, which goes over all reports each
// time, on random reports.
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <numeric>
#include <vector>

#include "common/rng.h"
#include "tests/unit/schedulers/script.h"

namespace tunesmith {
namespace {

// Values are metrics, in their own sign.
class Twin {
 public:
  explicit Twin(const SchedulerOptions& options) : o_(options) {}

  void Record(uint32_t trial, int64_t step, std::optional<double> value) {
    if (value) reports_[trial].push_back({static_cast<double>(step), *value});
  }

  // After the report was recorded. `close`: rounding may decide.
  bool Stops(uint32_t trial, int64_t step, std::optional<double> value, bool* close) const {
    *close = false;
    const auto t = static_cast<double>(step);
    if (!value || t < o_.grace_period) return false;
    std::vector<double> means;
    for (const auto& [other, reports] : reports_) {
      if (other == trial || reports.back().step < t) continue;
      const double mean = Mean(reports, t);
      if (o_.compat_ray || !std::isnan(mean)) means.push_back(mean);
    }
    if (std::ssize(means) < o_.min_samples_required) return false;
    const double median = MedianOf(means);
    const double best = Best(reports_.at(trial));
    *close = !o_.compat_ray && std::fabs(best - median) < 1e-9;
    if (std::isnan(best) || std::isnan(median)) return true;
    return o_.goal == Goal::kMax ? best < median : best > median;
  }

 private:
  struct Report {
    double step = 0;
    double value = 0;
  };

  double Mean(const std::vector<Report>& reports, double t) const {
    double sum = 0;
    double count = 0;
    for (const Report& r : reports) {
      if (r.step > t) continue;
      if (o_.compat_ray ? r.step < o_.grace_period : std::isnan(r.value)) continue;
      sum += r.value;
      ++count;
    }
    return sum / count;
  }

  double MedianOf(std::vector<double> means) const {
    for (const double mean : means) {
      if (std::isnan(mean)) return kNan;
    }
    std::sort(means.begin(), means.end());
    const double lower = means[(means.size() - 1) / 2];
    const double upper = means[means.size() / 2];
    if (!o_.compat_ray && (std::isinf(lower) || std::isinf(upper))) {
      return o_.goal == Goal::kMax ? lower : upper;
    }
    return (lower + upper) / 2;
  }

  // Python's max and min, or those of the numbers.
  double Best(const std::vector<Report>& reports) const {
    double best = kNan;
    bool any = false;
    for (const Report& r : reports) {
      if (!o_.compat_ray && std::isnan(r.value)) continue;
      if (!any || (o_.goal == Goal::kMax ? r.value > best : r.value < best)) best = r.value;
      any = true;
    }
    return best;
  }

  const SchedulerOptions o_;
  std::map<uint32_t, std::vector<Report>> reports_;
};

// Few bits, so that no sum of them is rounded: the order of additions does not matter.
double RandomValue(Rng* rng) {
  const double special[] = {kNan, kInf, -kInf};
  if (rng->Below(40) == 0) return special[rng->Below(3)];
  return static_cast<double>(rng->IntInclusive(-64, 64)) / 16;
}

SchedulerOptions RandomOptions(Rng* rng, bool compat) {
  SchedulerOptions o{.type = "median",
                     .goal = rng->Below(2) == 0 ? Goal::kMin : Goal::kMax,
                     .grace_period = static_cast<double>(rng->IntInclusive(1, 4)),
                     .min_samples_required = static_cast<int32_t>(rng->IntInclusive(1, 5)),
                     .compat_ray = compat};
  if (compat && rng->Below(3) == 0) o.grace_period -= 0.5;
  return o;
}

// Returns how many trials were stopped.
int PlayOneSweep(uint64_t seed, bool compat) {
  Rng rng(seed);
  const SchedulerOptions options = RandomOptions(&rng, compat);
  Driver d(options);
  Twin twin(options);
  std::map<uint32_t, int64_t> live;  // trial -> step
  uint32_t next = 0;
  for (int event = 0; event < 500; ++event) {
    if (live.size() < 3 || rng.Below(10) == 0) {
      d.Add(next);
      live[next++] = 0;
    }
    auto it = live.begin();
    std::advance(it, static_cast<std::ptrdiff_t>(rng.Below(live.size())));
    const uint32_t trial = it->first;
    const bool back = rng.Below(40) == 0;
    it->second = std::max<int64_t>(
        1, it->second + rng.IntInclusive(back ? -5 : 0, rng.Below(10) == 0 ? 4 : 1));
    const int64_t step = it->second;
    std::optional<double> value;
    if (rng.Below(15) != 0) value = RandomValue(&rng);
    const Verdict verdict = d.Report(trial, step, value);
    const bool stopped = verdict.action == Action::kStop;
    twin.Record(trial, step, value);
    bool close = false;
    const bool stops = twin.Stops(trial, step, value, &close);
    EXPECT_TRUE(stopped == stops || close)
        << "seed " << seed << " event " << event << " trial " << trial << " step " << step
        << " value " << value.value_or(-99) << " " << ReasonName(verdict.reason) << " "
        << verdict.cutoff;
    if (testing::Test::HasFailure()) return 0;
    const bool ends = rng.Below(25) == 0;
    if (ends && !stopped) d.Complete(trial, step, value);
    if (!ends && !stopped) continue;
    if (compat) twin.Record(trial, step, value);
    live.erase(it);
  }
  return d.stops();
}

TEST(MedianTwin, RayRulesDecideAsTheTwin) {
  int stops = 0;
  for (uint64_t seed = 0; seed < 300 && !HasFailure(); ++seed) stops += PlayOneSweep(seed, true);
  EXPECT_GT(stops, 300);
}

TEST(MedianTwin, SafeRulesDecideAsTheTwin) {
  int stops = 0;
  for (uint64_t seed = 0; seed < 300 && !HasFailure(); ++seed) stops += PlayOneSweep(seed, false);
  EXPECT_GT(stops, 300);
}

}  // namespace
}  // namespace tunesmith
