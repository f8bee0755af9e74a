#include "bench/search/runs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>

#include "bench/search/functions.h"

namespace tunesmith::bench {
namespace {

Task Named(const std::string& name) {
  for (Task& task : Functions()) {
    if (task.name == name) return task;
  }
  ADD_FAILURE() << name;
  return {};
}

std::unique_ptr<Searcher> Make(const std::string& text, const Space& space, uint64_t seed) {
  SearcherOptions options = ParseSearcher(text);
  options.seed = seed;
  Problems problems;
  auto searcher = MakeSearcher(options, space, &problems);
  EXPECT_TRUE(problems.empty());
  return searcher;
}

// Passes on to another searcher and keeps book.
class Bookkeeper final : public Searcher {
 public:
  explicit Bookkeeper(std::unique_ptr<Searcher> inner) : inner_(std::move(inner)) {}
  void Add(uint32_t trial, const Point& point) override {
    EXPECT_TRUE(pending.insert(trial).second);
    most = std::max(most, pending.size());
    inner_->Add(trial, point);
  }
  void Observe(const Observation& o) override {
    EXPECT_EQ(pending.erase(o.trial), 1U);
    EXPECT_EQ(o.outcome == Outcome::kFailed, std::isnan(o.value));
    order.push_back(o.trial);
    inner_->Observe(o);
  }
  void Forget(uint32_t /*trial*/) override { ADD_FAILURE(); }
  Suggestion Suggest(uint32_t trial) override { return inner_->Suggest(trial); }

  std::set<uint32_t> pending;
  std::vector<uint32_t> order;
  size_t most = 0;

 private:
  std::unique_ptr<Searcher> inner_;
};

TEST(Runs, OneWorkerGoesInOrder) {
  const Task task = Named("branin");
  Bookkeeper searcher(Make("random", task.space, 1));
  const auto run = RunSearch(task, 1, 40, 1, &searcher);
  EXPECT_EQ(searcher.most, 1U);
  EXPECT_TRUE(std::is_sorted(searcher.order.begin(), searcher.order.end()));
  EXPECT_EQ(run.trials, 40U);
  ASSERT_EQ(run.regret.size(), 40U);
  EXPECT_TRUE(std::is_sorted(run.regret.rbegin(), run.regret.rend()));
  EXPECT_LT(run.regret.back(), run.regret.front());
}

TEST(Runs, SeveralWorkersOvertakeEachOther) {
  const Task task = Named("failing4");
  Bookkeeper searcher(Make("tpe", task.space, 1));
  const auto run = RunSearch(task, 1, 60, 8, &searcher);
  EXPECT_EQ(searcher.most, 8U);
  EXPECT_EQ(searcher.order.size(), 60U);
  EXPECT_FALSE(std::is_sorted(searcher.order.begin(), searcher.order.end()));
  EXPECT_TRUE(searcher.pending.empty());
  EXPECT_EQ(run.regret.size(), 60U);
}

TEST(Runs, AreTheSameForTheSameSeed) {
  for (const char* name : {"noisy4", "models"}) {
    const Task task = Named(name);
    const auto run = [&](uint64_t seed) {
      return RunSearch(task, seed, 50, 8, Make("tpe", task.space, seed).get()).regret;
    };
    EXPECT_EQ(run(1), run(1)) << name;
    EXPECT_NE(run(1), run(2)) << name;
  }
}

TEST(Runs, NoiseIsSeenButNotCounted) {
  Task task = Named("steps4");
  task.noise = 5;  // drowns the loss: the point that looks best is any point
  const auto run = RunSearch(task, 1, 200, 1, Make("random", task.space, 1).get());
  EXPECT_FALSE(std::is_sorted(run.regret.rbegin(), run.regret.rend()));
  for (const double regret : run.regret) EXPECT_LE(regret, 250) << "a loss of the function itself";
}

TEST(Runs, EndWithTheSpace) {
  Task task;
  Parameter p;
  p.name = "x";
  p.distribution = Distribution::kRandInt;
  p.hi = 5;
  Problems problems;
  task.space = *Space::Create({p}, &problems);
  task.loss = [](const Point& point) {
    return ValueNumber(point[0]) == 0 ? std::nan("") : ValueNumber(point[0]) - 1;
  };
  for (const uint32_t workers : {1U, 3U}) {
    const auto run = RunSearch(task, 1, 20, workers, Make("tpe", task.space, 1).get());
    EXPECT_EQ(run.trials, 5U);
    ASSERT_EQ(run.regret.size(), 20U);
    EXPECT_EQ(run.regret.back(), 0);
  }
}

TEST(Runs, WithoutAResultCountAsAMiddlingPoint) {
  Task task = Named("branin");
  task.loss = [](const Point&) { return std::nan(""); };
  const auto run = RunSearch(task, 1, 3, 1, Make("random", task.space, 1).get());
  EXPECT_EQ(run.regret, std::vector<double>(3, kNothing));
}

TEST(ParseSearcher, ReadsTypeAndOptions) {
  EXPECT_EQ(ParseSearcher("tpe").type, "tpe");
  EXPECT_TRUE(ParseSearcher("tpe").options.empty());
  const SearcherOptions options = ParseSearcher("a:n=48:x=0.5:group=true:compat=hyperopt:flag");
  EXPECT_EQ(options.type, "a");
  const std::vector<std::pair<std::string, Value>> expected = {{"n", int64_t{48}},
                                                               {"x", 0.5},
                                                               {"group", true},
                                                               {"compat", std::string("hyperopt")},
                                                               {"flag", true}};
  EXPECT_EQ(options.options, expected);
}

}  // namespace
}  // namespace tunesmith::bench
