#include "server/runtime/searcher_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace tunesmith {
namespace {

// What fake searchers were asked, in order: "7.suggest 3". A call can be held until it is let go.
class Script {
 public:
  void Called(const std::string& call) {
    std::unique_lock lock(mutex_);
    calls_.push_back(call);
    changed_.notify_all();
    changed_.wait(lock, [&] { return !held_.contains(call); });
  }
  void Hold(const std::string& call) {
    std::lock_guard lock(mutex_);
    held_.insert(call);
  }
  void LetGo(const std::string& call) {
    std::lock_guard lock(mutex_);
    held_.erase(call);
    changed_.notify_all();
  }
  void LetAllGo() {
    std::lock_guard lock(mutex_);
    held_.clear();
    changed_.notify_all();
  }
  // Returns once it was called `times` times.
  void Await(const std::string& call, int times = 1) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return std::count(calls_.begin(), calls_.end(), call) >= times; });
  }
  std::vector<std::string> Calls() const {
    std::lock_guard lock(mutex_);
    return calls_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> held_;
  std::vector<std::string> calls_;
};

// The seed names it.
class FakeSearcher final : public Searcher {
 public:
  FakeSearcher(Script* script, uint64_t name) : script_(script), name_(std::to_string(name) + ".") {}
  ~FakeSearcher() override { script_->Called(name_ + "gone"); }
  void Add(uint32_t trial, const Point&) override { Called("add", trial); }
  void Report(const RungReport& report) override { Called("report", report.trial); }
  void Observe(const Observation& observation) override { Called("observe", observation.trial); }
  void Forget(uint32_t trial) override { Called("forget", trial); }
  Suggestion Suggest(uint32_t trial) override {
    Called("suggest", trial);
    return {.point = {static_cast<double>(trial)}};
  }
  void Prepare() override { script_->Called(name_ + "prepare"); }

 private:
  void Called(const std::string& what, uint32_t trial) { script_->Called(name_ + what + " " + std::to_string(trial)); }

  Script* script_;
  const std::string name_;
};

class SearcherPoolTest : public ::testing::Test {
 protected:
  void Start(int threads) {
    pool_ = std::make_unique<SearcherPool>(
        threads,
        [this](const Command& command) {
          const auto& ready = std::get<SuggestionReady>(command);
          script_.Called("answer " + std::to_string(ready.sweep.value) + "/" + std::to_string(ready.trial));
        },
        [this](const SearcherOptions& options, const Space&, Problems*) {
          return std::make_unique<FakeSearcher>(&script_, options.seed);
        });
  }
  void StartSearcherOf(uint64_t sweep) {
    SearcherOptions options;
    options.seed = sweep;
    Problems problems;
    const auto space = std::make_shared<const Space>(*Space::Create({}, &problems));
    pool_->Deliver(StartSearcher{SweepId(sweep), options, space});
  }
  void Suggest(uint64_t sweep, uint32_t trial) { pool_->Deliver(RequestSuggestion{SweepId(sweep), trial}); }
  void Observe(uint64_t sweep, uint32_t trial) { pool_->Deliver(ObserveTrial{SweepId(sweep), {.trial = trial}}); }
  // The calls of one sweep's searcher, without its name.
  std::vector<std::string> CallsOf(uint64_t sweep) const {
    const std::string name = std::to_string(sweep) + ".";
    std::vector<std::string> calls;
    for (const std::string& call : script_.Calls()) {
      if (call.starts_with(name)) calls.push_back(call.substr(name.size()));
    }
    return calls;
  }
  void TearDown() override {
    script_.LetAllGo();
    pool_.reset();
  }

  using Calls = std::vector<std::string>;
  Script script_;
  std::unique_ptr<SearcherPool> pool_;
};

TEST_F(SearcherPoolTest, CallsOfASweepKeepTheirOrder) {
  Start(3);
  script_.Hold("1.suggest 0");
  StartSearcherOf(1);
  Suggest(1, 0);
  script_.Await("1.suggest 0");
  pool_->Deliver(AnnounceTrial{SweepId(1), 1, {0.5}});
  pool_->Deliver(ReportRung{SweepId(1), {.trial = 1, .rung = 3, .value = 0.5}});
  Observe(1, 0);
  pool_->Deliver(ForgetTrial{SweepId(1), 1});
  script_.LetAllGo();
  script_.Await("1.prepare");
  EXPECT_EQ(CallsOf(1), (Calls{"suggest 0", "add 0", "add 1", "report 1", "observe 0", "forget 1", "prepare"}));
}

TEST_F(SearcherPoolTest, PreparesOnceNothingWaitsAndOnlyAfterSomethingNew) {
  Start(1);
  script_.Hold("1.observe 0");
  StartSearcherOf(1);
  Observe(1, 0);
  script_.Await("1.observe 0");
  for (uint32_t trial = 1; trial < 200; ++trial) Observe(1, trial);  // more than one turn
  script_.LetAllGo();
  script_.Await("1.prepare");
  Suggest(1, 200);
  script_.Await("answer 1/200");
  script_.Await("1.prepare", 2);
  const Calls calls = CallsOf(1);
  ASSERT_EQ(calls.size(), 200u + 1 + 2 + 1);
  EXPECT_EQ(calls[200], "prepare");
  EXPECT_EQ(calls.back(), "prepare") << "the next suggestion is prepared for, too";
}

TEST_F(SearcherPoolTest, AnswersOthersBeforeItPrepares) {
  Start(1);
  script_.Hold("1.observe 0");
  StartSearcherOf(1);
  StartSearcherOf(2);
  Observe(1, 0);
  script_.Await("1.observe 0");
  Suggest(2, 0);
  Suggest(2, 1);
  script_.LetAllGo();
  script_.Await("1.prepare");
  const Calls calls = script_.Calls();
  const auto at = [&](const std::string& call) { return std::find(calls.begin(), calls.end(), call) - calls.begin(); };
  EXPECT_LT(at("answer 2/1"), at("1.prepare"));
}

TEST_F(SearcherPoolTest, OneThreadIsAlwaysLeftForRequests) {
  Start(2);
  script_.Hold("1.prepare");
  StartSearcherOf(1);
  Observe(1, 0);
  script_.Await("1.prepare");  // and takes its time
  StartSearcherOf(2);
  Observe(2, 0);
  Suggest(2, 1);
  script_.Await("answer 2/1");
  Suggest(2, 2);
  script_.Await("answer 2/2");
  EXPECT_EQ(CallsOf(2), (Calls{"observe 0", "suggest 1", "add 1", "suggest 2", "add 2"})) << "it does not prepare yet";
  script_.LetAllGo();
  script_.Await("2.prepare");
}

TEST_F(SearcherPoolTest, ADroppedSearcherPreparesNothing) {
  Start(1);
  script_.Hold("1.observe 0");
  StartSearcherOf(1);
  Observe(1, 0);
  script_.Await("1.observe 0");
  Observe(1, 1);
  pool_->Deliver(DropSearcher{SweepId(1)});
  script_.LetAllGo();
  script_.Await("1.gone");
  StartSearcherOf(2);
  Suggest(2, 0);
  script_.Await("2.prepare");
  EXPECT_EQ(CallsOf(1), (Calls{"observe 0", "gone"}));
}

TEST_F(SearcherPoolTest, ASearcherThatIsDroppedWhileItWaitsToPrepareDoesNot) {
  Start(1);
  script_.Hold("1.observe 0");
  script_.Hold("2.suggest 0");
  StartSearcherOf(1);
  StartSearcherOf(2);
  Observe(1, 0);
  script_.Await("1.observe 0");
  Suggest(2, 0);
  script_.LetGo("1.observe 0");
  script_.Await("2.suggest 0");  // the only thread is busy, so sweep 1 waits
  pool_->Deliver(DropSearcher{SweepId(1)});
  script_.LetGo("2.suggest 0");
  script_.Await("2.prepare");
  EXPECT_EQ(CallsOf(1), (Calls{"observe 0", "gone"}));
}

}  // namespace
}  // namespace tunesmith
