#include "client/api/why.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace tunesmith {
namespace {

v1::Trial TrialOf(uint32_t number, v1::Trial::State state, const std::string& reason) {
  v1::Trial trial;
  trial.set_sweep("digits");
  trial.set_number(number);
  trial.set_state(state);
  trial.set_state_reason(reason);
  return trial;
}

std::vector<CauseGroup> Groups() {
  CauseGroups groups;
  groups.Add(TrialOf(0, v1::Trial::STOPPED, "0.9 is worse than the cutoff 0.5 at rung 1 (rank 2 of 2, loss min)"));
  groups.Add(TrialOf(1, v1::Trial::FAILED, "exit code 1: boom\n  line 3"));
  groups.Add(TrialOf(2, v1::Trial::STOPPED, "0.8 is worse than the cutoff 0.4 at rung 3 (rank 4 of 5, loss min)"));
  groups.Add(TrialOf(3, v1::Trial::STOPPED, "0.7 is worse than the cutoff 0.4 at rung 3 (rank 5 of 6, loss min)"));
  groups.Add(TrialOf(4, v1::Trial::FAILED, "exit code 1: boom\n  line 7"));
  groups.Add(TrialOf(5, v1::Trial::PENDING, ""));
  return std::move(groups).Take();
}

TEST(WhyTest, TrialsAreGroupedByRungAndByTheFirstLineOfTheirFailure) {
  const auto groups = Groups();
  ASSERT_EQ(groups.size(), 4u);
  EXPECT_EQ(groups[0].state, v1::Trial::PENDING);
  EXPECT_EQ(groups[1].cause, "at rung 3");
  EXPECT_EQ(groups[1].trials, (std::vector<uint32_t>{2, 3}));
  EXPECT_EQ(groups[2].cause, "at rung 1");
  EXPECT_EQ(groups[3].cause, "exit code 1: boom");
  EXPECT_EQ(groups[3].count, 2);
}

TEST(WhyTest, ASweepIsToldByCauseWithOneThatWaitsAndTheWorkersThatTakeNothing) {
  v1::Sweep sweep;
  sweep.set_id("digits");
  sweep.set_state(v1::Sweep::ACTIVE);
  sweep.set_waiting_reason("no worker is connected");
  v1::Trial next = TrialOf(5, v1::Trial::PENDING, "");
  next.add_why("it has not run yet");
  std::vector<v1::Worker> workers(2);
  workers[0].set_name("w1");
  workers[0].set_state(v1::Worker::ONLINE);
  workers[1].set_name("w2");
  workers[1].set_state(v1::Worker::QUARANTINED);
  workers[1].set_state_reason("nothing starts on it");
  EXPECT_EQ(SweepWhy(sweep, Groups(), &next, workers),
            (std::vector<std::string>{"sweep digits is active", "  nothing runs: no worker is connected",
                                      "  1 pending  (#5)", "  2 stopped at rung 3  (#2, #3)",
                                      "  1 stopped at rung 1  (#0)", "  2 failed exit code 1: boom  (#1, #4)",
                                      "trial 5 waits", "  it has not run yet",
                                      "worker w2 is quarantined: nothing starts on it"}));
  const std::string json = SweepWhyJson(sweep, Groups(), workers);
  EXPECT_NE(json.find(R"({"state":"stopped","cause":"at rung 3","count":2,"trials":[2,3]})"), std::string::npos)
      << json;
  EXPECT_NE(json.find(R"("workers":[{"worker":"w2")"), std::string::npos) << json;
}

TEST(WhyTest, ManyTrialsOfACauseAreCountedAndAFewNamed) {
  CauseGroups groups;
  for (uint32_t n = 0; n < 100; ++n) groups.Add(TrialOf(n, v1::Trial::COMPLETED, ""));
  const auto taken = std::move(groups).Take();
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(taken[0].count, 100);
  EXPECT_EQ(SweepWhy(v1::Sweep(), taken, nullptr, {})[1], "  100 completed  (#0, #1, #2, #3, #4, #5, #6, #7, ...)");
}

TEST(WhyTest, FactsOfATrialOfSeveralLinesAreIndented) {
  v1::Trial trial = TrialOf(7, v1::Trial::FAILED, "");
  trial.add_why("exit code 1: Traceback\nValueError: no");
  EXPECT_EQ(TrialWhy(trial), (std::vector<std::string>{"trial 7 of digits is failed", "  exit code 1: Traceback",
                                                       "      ValueError: no"}));
  EXPECT_EQ(TrialWhyJson(trial), R"({"sweep":"digits","trial":7,"state":"failed",)"
                                 R"("why":["exit code 1: Traceback\nValueError: no"]})");
}

}  // namespace
}  // namespace tunesmith
