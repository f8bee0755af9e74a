// Runs a scheduler as the controller does: a stopped or completed trial gets DecideFinal, then is
// removed.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "schedulers/scheduler.h"

namespace tunesmith {

inline std::unique_ptr<Scheduler> MakeOrDie(const SchedulerOptions& options) {
  Problems problems;
  auto scheduler = MakeScheduler(options, &problems);
  for (const Problem& p : problems) ADD_FAILURE() << p.field << ": " << p.message;
  return scheduler;
}

class Driver {
 public:
  explicit Driver(const SchedulerOptions& options) : scheduler_(MakeOrDie(options)) {}

  void Add(uint32_t trial) { scheduler_->AddTrial(trial, scheduler_->BracketFor(trial)); }

  Verdict Report(uint32_t trial, int64_t step, std::optional<double> value) {
    const TrialReport report{.trial = trial, .step = step, .value = value};
    const Verdict verdict = scheduler_->Decide(report);
    Apply(trial, verdict);
    if (verdict.action == Action::kStop) {
      ++stops_;
      Complete(trial, step, value);
    }
    return verdict;
  }
  void Complete(uint32_t trial, int64_t step, std::optional<double> value) {
    Apply(trial, scheduler_->DecideFinal({.trial = trial, .step = step, .value = value}));
    scheduler_->RemoveTrial(trial);
  }

  // 'C' or 'S'.
  char Letter(uint32_t trial, int64_t step, std::optional<double> value) {
    return Report(trial, step, value).action == Action::kStop ? 'S' : 'C';
  }

  Scheduler& scheduler() { return *scheduler_; }
  int stops() const { return stops_; }
  const std::vector<std::pair<uint32_t, Verdict>>& journal() const { return journal_; }

 private:
  void Apply(uint32_t trial, const Verdict& verdict) {
    scheduler_->Apply(trial, verdict);
    journal_.emplace_back(trial, verdict);
  }

  std::unique_ptr<Scheduler> scheduler_;
  int stops_ = 0;
  std::vector<std::pair<uint32_t, Verdict>> journal_;
};

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

// operator== of Verdict, where NaN is NaN.
inline bool SameVerdict(Verdict a, Verdict b) {
  if (std::isnan(a.value) && std::isnan(b.value)) a.value = b.value = 0;
  return a == b;
}

}  // namespace tunesmith
