#include "bench/search/asha.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <queue>
#include <utility>

#include "bench/search/cpu_clock.h"
#include "common/check.h"
#include "schedulers/scheduler.h"

namespace tunesmith::bench {
namespace {

constexpr int kEta = 3;

// The one thing in which the two types differ: what happens to a trial at a rung.
class Halving {
 public:
  virtual ~Halving() = default;
  virtual const std::vector<int>& rungs() const = 0;  // epochs, ascending; the last is full length
  virtual void Add(uint32_t trial) = 0;
  // The trial has got to rung `rung`, not the last one.
  virtual Action AtRung(uint32_t trial, size_t rung, double loss) = 0;
  // The trial has ended.
  virtual void End(uint32_t trial) = 0;
  // A paused trial that may go on from rung `rung`.
  struct Promotion {
    uint32_t trial;
    size_t rung;
  };
  virtual std::optional<Promotion> TakePromotion() = 0;
};

class PromotionType final : public Halving {
 public:
  explicit PromotionType(const Task& task) {
    // From the top: full length, a third of it, a ninth.
    for (double rung = task.max_epochs; std::round(rung) >= task.first_epoch; rung /= kEta) {
      rungs_.insert(rungs_.begin(), static_cast<int>(std::round(rung)));
    }
    paused_.resize(rungs_.size());
  }
  const std::vector<int>& rungs() const override { return rungs_; }
  void Add(uint32_t /*trial*/) override {}
  Action AtRung(uint32_t trial, size_t rung, double loss) override {
    auto& here = paused_[rung];
    const Paused paused = {std::isnan(loss) ? std::numeric_limits<double>::infinity() : loss, trial,
                           false};
    here.insert(std::upper_bound(here.begin(), here.end(), paused), paused);
    return Action::kPause;
  }
  void End(uint32_t /*trial*/) override {}
  std::optional<Promotion> TakePromotion() override {
    for (size_t rung = rungs_.size() - 1; rung-- > 0;) {
      auto& here = paused_[rung];
      for (size_t rank = 0; rank < here.size() / kEta; ++rank) {
        if (here[rank].promoted || std::isinf(here[rank].loss)) continue;
        here[rank].promoted = true;
        return Promotion{here[rank].trial, rung};
      }
    }
    return std::nullopt;
  }

 private:
  struct Paused {
    double loss;
    uint32_t trial;
    bool promoted;
    bool operator<(const Paused& other) const {
      return loss != other.loss ? loss < other.loss : trial < other.trial;
    }
  };
  std::vector<int> rungs_;
  std::vector<std::vector<Paused>> paused_;  // by rung, best first; promoted ones stay
};

class StoppingType final : public Halving {
 public:
  explicit StoppingType(const Task& task) {
    SchedulerOptions options;
    options.type = "asha";
    options.max_t = task.max_epochs;
    options.grace_period = task.first_epoch;
    options.reduction_factor = kEta;
    Problems problems;
    scheduler_ = MakeScheduler(options, &problems);
    TS_CHECK(scheduler_ != nullptr, problems.front().message.c_str());
    for (const RungStatus& rung : scheduler_->Rungs()) {
      rungs_.insert(rungs_.begin(), static_cast<int>(rung.milestone));
    }
    rungs_.push_back(task.max_epochs);
  }
  const std::vector<int>& rungs() const override { return rungs_; }
  void Add(uint32_t trial) override { scheduler_->AddTrial(trial, 0); }
  Action AtRung(uint32_t trial, size_t rung, double loss) override {
    const Verdict verdict =
        scheduler_->Decide({.trial = trial, .step = rungs_[rung], .value = loss});
    scheduler_->Apply(trial, verdict);
    return verdict.action;
  }
  void End(uint32_t trial) override { scheduler_->RemoveTrial(trial); }
  std::optional<Promotion> TakePromotion() override { return std::nullopt; }

 private:
  std::unique_ptr<Scheduler> scheduler_;
  std::vector<int> rungs_;
};

class AshaSearch {
 public:
  AshaSearch(const Task& task, const AshaOptions& options, Halving* halving, Searcher* searcher)
      : task_(task), options_(options), halving_(*halving), searcher_(*searcher) {}

  Run Search() {
    for (;;) {
      while (running_.size() < options_.workers && Launch()) continue;
      if (running_.empty()) break;
      const Segment done = running_.top();
      running_.pop();
      now_ = done.end;
      Finish(done);
    }
    result_.regret.resize(100, regret_);
    result_.trials = static_cast<uint32_t>(points_.size());
    return std::move(result_);
  }

 private:
  // A trial on its way from one rung to the next.
  struct Segment {
    double end;
    uint32_t trial;
    size_t rung;  // where it gets to
    bool operator>(const Segment& other) const {
      return end != other.end ? end > other.end : trial > other.trial;
    }
  };

  int EpochsBefore(size_t rung) const { return rung == 0 ? 0 : halving_.rungs()[rung - 1]; }
  int EpochsTo(size_t rung) const { return halving_.rungs()[rung] - EpochsBefore(rung); }

  // Gives a free worker something to do; false if there is nothing.
  bool Launch() {
    if (over_) return false;
    if (const auto promotion = halving_.TakePromotion()) {
      return Start(promotion->trial, promotion->rung + 1);
    }
    const auto trial = static_cast<uint32_t>(points_.size());
    {
      const CpuClock clock(&result_.cpu_seconds);
      Suggestion suggestion = searcher_.Suggest(trial);
      if (suggestion.exhausted) return false;
      searcher_.Add(trial, suggestion.point);
      points_.push_back(std::move(suggestion.point));
    }
    halving_.Add(trial);
    return Start(trial, 0);
  }

  // False, and the end of all launching, if the budget does not cover it.
  bool Start(uint32_t trial, size_t rung) {
    if (over_ || committed_ + EpochsTo(rung) > options_.budget) {
      over_ = true;
      return false;
    }
    committed_ += EpochsTo(rung);
    double duration = EpochsTo(rung);
    if (options_.by_seconds) {
      duration = task_.seconds_at(points_[trial], halving_.rungs()[rung]);
      if (rung > 0) duration -= task_.seconds_at(points_[trial], EpochsBefore(rung));
    }
    running_.push({now_ + std::max(duration, 0.0), trial, rung});
    return true;
  }

  void Finish(const Segment& done) {
    const int epoch = halving_.rungs()[done.rung];
    const double loss = task_.loss_at(points_[done.trial], epoch);
    const bool at_end = done.rung + 1 == halving_.rungs().size();
    SpendEpochs(EpochsTo(done.rung));
    Action action = Action::kContinue;
    if (at_end) {
      ++result_.full_length;
      regret_ = std::min(regret_, std::isnan(loss) ? kNothing : Regret(task_, loss));
      halving_.End(done.trial);
    } else {
      action = halving_.AtRung(done.trial, done.rung, loss);
      if (action == Action::kStop) halving_.End(done.trial);
    }
    {
      const CpuClock clock(&result_.cpu_seconds);
      if (!at_end) searcher_.Report({.trial = done.trial, .rung = epoch, .value = loss});
      if (at_end || action == Action::kStop) {
        const Outcome outcome = std::isnan(loss) ? Outcome::kFailed
                                : at_end         ? Outcome::kCompleted
                                                 : Outcome::kStopped;
        searcher_.Observe({.trial = done.trial, .outcome = outcome, .value = loss, .step = epoch});
      }
    }
    if (!at_end && action == Action::kContinue) Start(done.trial, done.rung + 1);
  }

  // The curve holds the regret before these epochs up to where they end.
  void SpendEpochs(int64_t epochs) {
    result_.epochs += epochs;
    auto& curve = result_.regret;
    while (curve.size() < 100 &&
           static_cast<int64_t>(curve.size() + 1) * options_.budget < 100 * result_.epochs) {
      curve.push_back(regret_);
    }
  }

  const Task& task_;
  const AshaOptions& options_;
  Halving& halving_;
  Searcher& searcher_;
  Run result_;
  std::vector<Point> points_;
  std::priority_queue<Segment, std::vector<Segment>, std::greater<>> running_;
  int64_t committed_ = 0;
  double now_ = 0, regret_ = kNothing;
  bool over_ = false;
};

}  // namespace

Run RunAsha(const Task& task, const AshaOptions& options, Searcher* searcher) {
  TS_CHECK(task.loss_at != nullptr, "no learning curves");
  std::unique_ptr<Halving> halving;
  if (options.type == AshaOptions::Type::kPromotion) {
    halving = std::make_unique<PromotionType>(task);
  } else {
    halving = std::make_unique<StoppingType>(task);
  }
  return AshaSearch(task, options, halving.get(), searcher).Search();
}

}  // namespace tunesmith::bench
