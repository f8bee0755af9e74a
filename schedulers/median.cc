#include "schedulers/median.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "schedulers/options.h"
#include "schedulers/rungs.h"

namespace tunesmith {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// The mean of the numbers given so far, NaN if there is none or infinities of both signs are among
// them. Equal numbers give just that mean, and no finite ones overflow.
class MeanOfNumbers {
 public:
  void Add(double x) {
    if (std::isnan(x)) return;
    ++count_;
    if (count_ == 1) {
      mean_ = x;
    } else if (std::isinf(x) || !std::isfinite(mean_)) {
      mean_ += x;
    } else {
      mean_ += x / count_ - mean_ / count_;
    }
  }
  double mean() const { return mean_; }

 private:
  double count_ = 0;
  double mean_ = kNan;
};

// The sum as numpy rounds it: eight running sums in blocks of up to 128 values, added by pairs.
double NumpySum(std::span<const double> x) {
  constexpr size_t kLanes = 8;
  constexpr size_t kBlock = 128;
  if (x.size() > kBlock) {
    const size_t half = x.size() / 2 / kLanes * kLanes;
    return NumpySum(x.first(half)) + NumpySum(x.subspan(half));
  }
  double sum = 0;
  size_t i = 0;
  if (x.size() >= kLanes) {
    double lanes[kLanes] = {};
    for (; i + kLanes <= x.size(); i += kLanes) {
      for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += x[i + lane];
    }
    sum = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) +
          ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
  }
  for (; i < x.size(); ++i) sum += x[i];
  return sum;
}

// NaN for none.
double NumpyMean(std::span<const double> x) { return NumpySum(x) / static_cast<double>(x.size()); }

// What a trial has reported, in this order. Scores: larger is better.
struct History {
  bool live = true;
  bool in_order = true;  // no step is less than the one before
  double best = kNan;
  std::vector<double> steps;
  std::vector<double> scores;
  std::vector<double> means;  // of the reports up to this one; none any more if not in order
  MeanOfNumbers mean;         // the last of them, by our rule
};

class Median final : public Scheduler {
 public:
  explicit Median(const SchedulerOptions& options)
      : options_(options), max_t_(options.stop_last_trials ? options.max_t : 0) {}

  void AddTrial(uint32_t trial, int32_t bracket) override {
    if (index_.try_emplace(trial, histories_.size()).second) histories_.emplace_back();
  }
  Verdict Decide(const TrialReport& report) const override;
  Verdict DecideFinal(const TrialReport& last) const override;
  void Apply(uint32_t trial, const Verdict& verdict) override;
  void RemoveTrial(uint32_t trial) override;
  std::vector<RungStatus> Rungs() const override { return {}; }

 private:
  const History* Live(uint32_t trial) const {
    const auto at = index_.find(trial);
    return at == index_.end() || !histories_[at->second].live ? nullptr : &histories_[at->second];
  }
  double MeanUpTo(const History& history, double step) const;
  std::vector<double> MeansOfPeers(const History* own, double step) const;
  void Judge(const History& own, double score, std::vector<double> means, Verdict* verdict) const;
  // A score counts towards the trial's best.
  double Best(const History& history, double score) const;
  double Oriented(double x) const { return tunesmith::Oriented(options_.goal, x); }

  const SchedulerOptions options_;
  const int64_t max_t_;                         // 0: no limit
  std::unordered_map<uint32_t, size_t> index_;  // looked up only
  std::vector<History> histories_;
};

double Median::Best(const History& history, double score) const {
  // As Python's max does it: a first NaN stays, later ones are passed over.
  if (options_.compat_ray) {
    return history.scores.empty() || score > history.best ? score : history.best;
  }
  return std::isnan(history.best) || score > history.best ? score : history.best;
}

// NaN if there is no number up to that step (compat_ray: or any NaN).
double Median::MeanUpTo(const History& history, double step) const {
  if (history.in_order) {
    const auto end = std::upper_bound(history.steps.begin(), history.steps.end(), step);
    if (end == history.steps.begin()) return kNan;
    return history.means[static_cast<size_t>(end - history.steps.begin()) - 1];
  }
  MeanOfNumbers mean;
  std::vector<double> in_range;
  for (size_t i = 0; i < history.steps.size(); ++i) {
    if (history.steps[i] > step) continue;
    if (!options_.compat_ray) {
      mean.Add(history.scores[i]);
    } else if (history.steps[i] >= options_.grace_period) {
      in_range.push_back(history.scores[i]);
    }
  }
  return options_.compat_ray ? NumpyMean(in_range) : mean.mean();
}

std::vector<double> Median::MeansOfPeers(const History* own, double step) const {
  std::vector<double> means;
  for (const History& history : histories_) {
    if (&history == own || history.steps.empty() || history.steps.back() < step) continue;
    const double mean = MeanUpTo(history, step);
    if (options_.compat_ray || !std::isnan(mean)) means.push_back(mean);
  }
  return means;
}

// `means` is not empty.
double MedianAsNumpy(std::vector<double> means) {
  if (std::any_of(means.begin(), means.end(), [](double x) { return std::isnan(x); })) return kNan;
  const auto middle = means.begin() + std::ssize(means) / 2;
  std::nth_element(means.begin(), middle, means.end());
  if (means.size() % 2 == 1) return *middle;
  return (*std::max_element(means.begin(), middle) + *middle) / 2;
}

// The lower one of the middle two where one of them is infinite: in doubt the median is the milder.
double MedianMildly(std::vector<double> means) {
  const auto middle = means.begin() + std::ssize(means) / 2;
  std::nth_element(means.begin(), middle, means.end());
  if (means.size() % 2 == 1) return *middle;
  const double lower = *std::max_element(means.begin(), middle);
  return lower == *middle ? lower : InterpolateMildly({lower, *middle, 0.5});
}

void Median::Judge(const History& own, double score, std::vector<double> means,
                   Verdict* verdict) const {
  const double median =
      options_.compat_ray ? MedianAsNumpy(std::move(means)) : MedianMildly(std::move(means));
  if (!std::isnan(median)) {
    verdict->has_cutoff = true;
    verdict->cutoff = Oriented(median);
  }
  // Not "best < median": a NaN on either side is worse.
  const bool as_good = Best(own, score) >= median;
  verdict->reason = as_good ? Reason::kAboveMedian : Reason::kBelowMedian;
  if (!as_good) verdict->action = Action::kStop;
}

Verdict Median::Decide(const TrialReport& report) const {
  Verdict verdict;
  const History* own = Live(report.trial);
  if (own == nullptr) return verdict;  // ended or never added: nothing to decide
  if (report.value) verdict.value = *report.value;
  const auto step = static_cast<double>(report.step);
  const bool at_end = max_t_ > 0 && report.step >= max_t_;
  // Ray Tune's stopper comes before its scheduler, which hears of that report as the final one
  // only.
  if (report.value && !(at_end && options_.compat_ray)) {
    verdict.recorded = true;
    verdict.milestone = step;
  }
  if (JudgedAlone(at_end, report, &verdict)) return verdict;
  if (step < options_.grace_period) return verdict;
  std::vector<double> means = MeansOfPeers(own, step);
  verdict.peers = static_cast<uint32_t>(means.size());
  if (means.size() < static_cast<size_t>(options_.min_samples_required)) return verdict;
  Judge(*own, Oriented(*report.value), std::move(means), &verdict);
  return verdict;
}

Verdict Median::DecideFinal(const TrialReport& last) const {
  Verdict verdict;
  const History* own = Live(last.trial);
  if (own == nullptr) return verdict;
  // The last report was recorded when it came, unless the sweep's own rules stopped the trial there. Ray Tune records
  // it again.
  const bool known = !own->steps.empty() && own->steps.back() >= static_cast<double>(last.step);
  if (!options_.compat_ray && known) return verdict;
  if (!last.value) {
    verdict.reason = Reason::kNoMetric;
    return verdict;
  }
  verdict.recorded = true;
  verdict.milestone = static_cast<double>(last.step);
  verdict.value = *last.value;
  return verdict;
}

void Median::Apply(uint32_t trial, const Verdict& verdict) {
  const auto at = index_.find(trial);
  if (!verdict.recorded || std::isnan(verdict.milestone) || at == index_.end()) return;
  History& history = histories_[at->second];
  if (!history.live) return;
  const double step = verdict.milestone;
  const double score = Oriented(verdict.value);
  history.best = Best(history, score);
  if (!history.steps.empty() && step < history.steps.back()) {
    history.in_order = false;
    history.means = {};
  }
  history.steps.push_back(step);
  history.scores.push_back(score);
  if (!history.in_order) return;
  if (options_.compat_ray) {
    const auto first =
        std::lower_bound(history.steps.begin(), history.steps.end(), options_.grace_period);
    const auto skipped = static_cast<size_t>(first - history.steps.begin());
    history.means.push_back(NumpyMean(std::span(history.scores).subspan(skipped)));
  } else {
    history.mean.Add(score);
    history.means.push_back(history.mean.mean());
  }
}

// What is left serves as a peer.
void Median::RemoveTrial(uint32_t trial) {
  const auto at = index_.find(trial);
  if (at == index_.end()) return;
  History& history = histories_[at->second];
  history.live = false;
  if (history.in_order) history.scores.clear();
  history.steps.shrink_to_fit();
  history.scores.shrink_to_fit();
  history.means.shrink_to_fit();
}

}  // namespace

std::unique_ptr<Scheduler> MakeMedian(const SchedulerOptions& options, Problems* problems) {
  Problems found;
  if (options.max_t < 0) {
    found.push_back({"scheduler.max_t", std::to_string(options.max_t) + " is less than 1",
                     "give the last step of a trial, or leave max_t out for no limit"});
  }
  CheckGracePeriod(options, options.compat_ray, &found);
  if (options.min_samples_required < 1) {
    found.push_back({"scheduler.min_samples_required",
                     std::to_string(options.min_samples_required) + " is less than 1",
                     "give the number of other trials that a median needs, e.g. 3"});
  }
  if (!found.empty()) {
    problems->insert(problems->end(), found.begin(), found.end());
    return nullptr;
  }
  return std::make_unique<Median>(options);
}

}  // namespace tunesmith
