#include "bench/search/asha.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>

namespace tunesmith::bench {
namespace {

// Losses x + 1 / epoch: the curves keep their order, so halving never errs.
Task CurveTask() {
  Parameter p;
  p.name = "x";
  p.distribution = Distribution::kUniform;
  p.hi = 1;
  Problems problems;
  Task task;
  task.space = *Space::Create({p}, &problems);
  task.loss_at = [](const Point& point, int epoch) { return ValueNumber(point[0]) + 1.0 / epoch; };
  task.loss = [](const Point& point) { return ValueNumber(point[0]) + 1.0 / 52; };
  task.seconds_at = [](const Point& point, int epoch) {
    return (1 + ValueNumber(point[0])) * epoch;
  };
  task.first_epoch = 2;
  task.max_epochs = 52;
  task.optimum = 1.0 / 52;
  task.median = 0.5 + task.optimum;
  return task;
}

class Listener final : public Searcher {
 public:
  explicit Listener(const Space& space) {
    Problems problems;
    SearcherOptions options;
    options.type = "random";
    inner_ = MakeSearcher(options, space, &problems);
  }
  void Add(uint32_t trial, const Point& point) override {
    x[trial] = ValueNumber(point[0]);
    inner_->Add(trial, point);
  }
  void Report(const RungReport& report) override {
    EXPECT_FALSE(ended.contains(report.trial));
    EXPECT_TRUE(rungs[report.trial].empty() || rungs[report.trial].back() < report.rung);
    EXPECT_DOUBLE_EQ(report.value, x[report.trial] + 1.0 / static_cast<double>(report.rung));
    rungs[report.trial].push_back(report.rung);
  }
  void Observe(const Observation& o) override {
    EXPECT_TRUE(ended.emplace(o.trial, o).second);
    EXPECT_DOUBLE_EQ(o.value, x[o.trial] + 1.0 / static_cast<double>(o.step));
    inner_->Observe(o);
  }
  void Forget(uint32_t /*trial*/) override { ADD_FAILURE(); }
  Suggestion Suggest(uint32_t trial) override { return inner_->Suggest(trial); }

  // Trials that got to `epoch`, finished or not.
  size_t Reached(int64_t epoch) const {
    size_t count = 0;
    for (const auto& [trial, reached] : rungs)
      count += std::count(reached.begin(), reached.end(), epoch);
    return count;
  }
  size_t Ended(Outcome outcome) const {
    return static_cast<size_t>(std::count_if(
        ended.begin(), ended.end(), [&](const auto& e) { return e.second.outcome == outcome; }));
  }

  std::map<uint32_t, double> x;
  std::map<uint32_t, std::vector<int64_t>> rungs;
  std::map<uint32_t, Observation> ended;

 private:
  std::unique_ptr<Searcher> inner_;
};

TEST(Asha, SpendsItsBudgetAndNoMore) {
  const Task task = CurveTask();
  for (const auto type : {AshaOptions::Type::kPromotion, AshaOptions::Type::kStopping}) {
    for (const bool by_seconds : {false, true}) {
      Listener listener(task.space);
      const auto run = RunAsha(
          task, {.type = type, .budget = 4160, .workers = 8, .by_seconds = by_seconds}, &listener);
      EXPECT_LE(run.epochs, 4160);
      EXPECT_GT(run.epochs, 4160 - 9 * 35) << "what was left covers no further stretch of a trial";
      int64_t counted = 0;
      for (const auto& [trial, reached] : listener.rungs) {
        const auto end = listener.ended.find(trial);
        counted += end == listener.ended.end() ? reached.back() : end->second.step;
      }
      EXPECT_EQ(run.epochs, counted);
      EXPECT_EQ(run.full_length, listener.Ended(Outcome::kCompleted));
      EXPECT_EQ(run.trials, listener.x.size());
      EXPECT_EQ(run.regret.size(), 100U);
      EXPECT_TRUE(std::is_sorted(run.regret.rbegin(), run.regret.rend()));
      EXPECT_EQ(run.regret.front(), kNothing) << "1 % is less than a trial of full length";
      EXPECT_LT(run.regret.back(), 10);
    }
  }
}

TEST(Asha, PromotionTypeKeepsAThird) {
  const Task task = CurveTask();
  Listener listener(task.space);
  RunAsha(task, {.type = AshaOptions::Type::kPromotion}, &listener);
  EXPECT_EQ(listener.Ended(Outcome::kStopped), 0U) << "who pauses stays unfinished";
  const size_t at2 = listener.Reached(2), at6 = listener.Reached(6), at17 = listener.Reached(17),
               at52 = listener.Ended(Outcome::kCompleted);
  EXPECT_GT(at2, 300U);
  EXPECT_EQ(listener.Reached(52), 0U) << "the end is observed, not reported";
  // The best third go on, and more where one left the best third after it had.
  EXPECT_NEAR(static_cast<double>(at6) / static_cast<double>(at2), 0.36, 0.06);
  EXPECT_NEAR(static_cast<double>(at17) / static_cast<double>(at6), 0.36, 0.06);
  EXPECT_NEAR(static_cast<double>(at52) / static_cast<double>(at17), 0.36, 0.1);
}

TEST(Asha, StoppingTypeStopsTheRest) {
  const Task task = CurveTask();
  Listener listener(task.space);
  RunAsha(task, {.type = AshaOptions::Type::kStopping}, &listener);
  EXPECT_GT(listener.Ended(Outcome::kStopped), listener.x.size() / 2);
  EXPECT_GT(listener.Ended(Outcome::kCompleted), 10U);
  for (const auto& [trial, o] : listener.ended) {
    EXPECT_EQ(o.outcome == Outcome::kCompleted, o.step == 52);
    EXPECT_EQ(o.outcome == Outcome::kStopped, o.step == listener.rungs[trial].back());
  }
  EXPECT_GT(listener.Reached(18), 0U);
}

TEST(Asha, ABudgetOfNothingIsNoRun) {
  const Task task = CurveTask();
  Listener listener(task.space);
  const auto run = RunAsha(task, {.budget = 1}, &listener);
  EXPECT_EQ(run.epochs, 0);
  EXPECT_EQ(run.regret, std::vector<double>(100, kNothing));
}

}  // namespace
}  // namespace tunesmith::bench
