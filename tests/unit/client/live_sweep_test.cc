#include "client/api/live_sweep.h"

#include <gtest/gtest.h>

#include "client/api/convert.h"
#include "client/api/details.h"
#include "tests/unit/client/messages.h"

namespace tunesmith {
namespace {

constexpr int64_t kNow = 1'020'000;  // 20 s after the sweep's start

std::vector<ProgressEvent::Kind> Kinds(const std::vector<ProgressEvent>& events) {
  std::vector<ProgressEvent::Kind> kinds;
  for (const ProgressEvent& event : events) kinds.push_back(event.kind);
  return kinds;
}

using Kind = ProgressEvent::Kind;

TEST(LiveSweep, SaysOnlyWhatTheSweepIsOnTheFirstSnapshot) {
  LiveSweep live;
  auto sweep = MakeSweep("digits", v1::Sweep::ACTIVE);
  sweep.mutable_counts()->set_completed(1);
  const auto events =
      live.Apply(Snapshot(sweep, {MakeTrial(0, v1::Trial::COMPLETED, 9, 0.5)}), kNow);
  ASSERT_EQ(Kinds(events), std::vector<Kind>{Kind::kSweep});
  EXPECT_EQ(events[0].text, "ACTIVE (1 of 4 trials have ended)");
  EXPECT_TRUE(live.ready());
}

TEST(LiveSweep, TellsStartReportAndEndOfATrialOnceEach) {
  LiveSweep live;
  live.Apply(Snapshot(MakeSweep("digits", v1::Sweep::ACTIVE), {MakeTrial(0, v1::Trial::PENDING)}),
             kNow);
  auto events = live.Apply(Delta({MakeTrial(0, v1::Trial::RUNNING)}), kNow);
  ASSERT_EQ(Kinds(events), std::vector<Kind>{Kind::kTrialStarted});
  EXPECT_EQ(events[0].where, "lab-01");
  EXPECT_EQ(live.active(), 1u);
  events = live.Apply(Delta({MakeTrial(0, v1::Trial::RUNNING, 1, 0.7)}), kNow);
  ASSERT_EQ(Kinds(events), std::vector<Kind>{Kind::kReport});
  EXPECT_EQ(events[0].metrics[0].second, 0.7);
  EXPECT_TRUE(live.Apply(Delta({MakeTrial(0, v1::Trial::RUNNING, 1, 0.7)}), kNow).empty());
  auto stopped = MakeTrial(0, v1::Trial::STOPPED, 3, 0.9);
  stopped.set_state_reason("0.9 is worse than the cutoff 0.5");
  events = live.Apply(Delta({stopped}), kNow);
  ASSERT_EQ(Kinds(events), std::vector<Kind>{Kind::kTrialEnded});
  EXPECT_EQ(events[0].text, "0.9 is worse than the cutoff 0.5");
  EXPECT_EQ(events[0].state, RowState::kStopped);
  EXPECT_EQ(live.active(), 0u);
}

TEST(LiveSweep, TellsANewAttemptAsANewStart) {
  LiveSweep live;
  live.Apply(Snapshot(MakeSweep("digits", v1::Sweep::ACTIVE), {MakeTrial(0, v1::Trial::RUNNING)}),
             kNow);
  auto again = MakeTrial(0, v1::Trial::RUNNING);
  again.mutable_attempts(0)->set_number(2);
  const auto events = live.Apply(Delta({again}), kNow);
  ASSERT_EQ(Kinds(events), std::vector<Kind>{Kind::kTrialStarted});
  EXPECT_EQ(events[0].attempt, 2u);
}

TEST(LiveSweep, RepeatsNothingAfterAReconnect) {
  LiveSweep live;
  const auto snapshot =
      Snapshot(MakeSweep("digits", v1::Sweep::ACTIVE),
               {MakeTrial(0, v1::Trial::COMPLETED, 9, 0.5), MakeTrial(1, v1::Trial::RUNNING)});
  live.Apply(snapshot, kNow);
  EXPECT_TRUE(live.Apply(snapshot, kNow).empty());
  // What ended meanwhile is news.
  const auto later = Snapshot(
      MakeSweep("digits", v1::Sweep::ACTIVE),
      {MakeTrial(0, v1::Trial::COMPLETED, 9, 0.5), MakeTrial(1, v1::Trial::COMPLETED, 9, 0.4)});
  EXPECT_EQ(Kinds(live.Apply(later, kNow)), std::vector<Kind>{Kind::kTrialEnded});
}

TEST(LiveSweep, ForgetsTrialsThatANewSnapshotDoesNotHave) {
  LiveSweep live;
  live.Apply(Snapshot(MakeSweep("digits", v1::Sweep::ACTIVE),
                      {MakeTrial(0, v1::Trial::RUNNING), MakeTrial(1, v1::Trial::RUNNING)}),
             kNow);
  live.Apply(Snapshot(MakeSweep("digits", v1::Sweep::ACTIVE), {MakeTrial(1, v1::Trial::RUNNING)}),
             kNow);
  EXPECT_EQ(live.trials().size(), 1u);
  EXPECT_TRUE(live.trials().contains(1));
}

TEST(LiveSweep, TellsANewBestWithItsParameters) {
  LiveSweep live;
  auto sweep = MakeSweep("digits", v1::Sweep::ACTIVE);
  live.Apply(Snapshot(sweep, {}), kNow);
  sweep.set_best_trial(3);
  sweep.set_best_value(0.25);
  sweep.set_best_step(4);
  auto events = live.Apply(Delta(sweep), kNow);
  ASSERT_EQ(Kinds(events), std::vector<Kind>{Kind::kNewBest});
  EXPECT_EQ(events[0].trial, 3u);
  EXPECT_EQ(events[0].metrics[0], (std::pair<std::string, double>{"loss", 0.25}));
  EXPECT_TRUE(live.Apply(Delta(sweep), kNow).empty());
}

TEST(LiveSweep, SeveralObjectivesHaveAFrontInPlaceOfABestTrial) {
  LiveSweep live;
  auto sweep = MakeSweep("digits", v1::Sweep::ACTIVE);
  for (const auto& [name, goal] : {std::pair("loss", v1::GOAL_MIN), std::pair("accuracy", v1::GOAL_MAX)}) {
    v1::Objective* objective = sweep.mutable_spec()->mutable_search()->add_metrics();
    objective->set_metric(name);
    objective->set_goal(goal);
  }
  auto trial = MakeTrial(3, v1::Trial::COMPLETED, 9, 0.5);
  v1::MetricValue* value = trial.add_objectives();
  value->set_name("accuracy");
  value->set_value(0.75);
  auto infeasible = MakeTrial(4, v1::Trial::COMPLETED, 9, 0.25);
  infeasible.set_violation(0.5);
  live.Apply(Snapshot(sweep, {trial, infeasible}), kNow);
  sweep.add_pareto_trials(3);
  const auto events = live.Apply(Delta(sweep), kNow);
  ASSERT_EQ(Kinds(events), std::vector<Kind>{Kind::kNewBest});
  EXPECT_EQ(events[0].trial, 3u);
  EXPECT_EQ(events[0].metrics[0], (std::pair<std::string, double>{"accuracy", 0.75}));
  EXPECT_TRUE(live.Apply(Delta(sweep), kNow).empty());
  const SweepView view = live.View({.now_ms = kNow, .rows_max = 10});
  EXPECT_EQ(view.front, std::vector<uint32_t>{3});
  EXPECT_EQ(view.objectives.size(), 2u);
  EXPECT_FALSE(view.best.has_value());
  ASSERT_EQ(view.rows.size(), 2u);
  EXPECT_TRUE(view.rows[0].front);
  EXPECT_FALSE(view.rows[1].front);
  EXPECT_EQ(view.rows[1].note, "infeasible by 0.5");
  const SummaryView summary = live.Summary(kNow);
  EXPECT_EQ(summary.front, std::vector<uint32_t>{3});
  EXPECT_EQ(summary.objectives, (std::vector<std::string>{"loss (min)", "accuracy (max)"}));
}

TEST(LiveSweep, SaysWhyNothingRuns) {
  LiveSweep live;
  auto sweep = MakeSweep("digits", v1::Sweep::ACTIVE);
  live.Apply(Snapshot(sweep, {}), kNow);
  sweep.set_waiting_reason("no worker is connected");
  const auto events = live.Apply(Delta(sweep), kNow);
  ASSERT_EQ(Kinds(events), std::vector<Kind>{Kind::kNotice});
  EXPECT_EQ(events[0].text, "waiting: no worker is connected");
  EXPECT_EQ(live.View({}).notice, "no worker is connected");
  // A reason that comes and goes is told once.
  sweep.clear_waiting_reason();
  EXPECT_TRUE(live.Apply(Delta(sweep), kNow).empty());
  sweep.set_waiting_reason("no worker is connected");
  EXPECT_TRUE(live.Apply(Delta(sweep), kNow).empty());
}

TEST(LiveSweep, KnowsTheEtaOnlyAfterThreeTrialsHaveEnded) {
  LiveSweep live;
  auto sweep = MakeSweep("digits", v1::Sweep::ACTIVE, 10);
  sweep.mutable_counts()->set_completed(2);
  live.Apply(Snapshot(sweep, {MakeTrial(0, v1::Trial::COMPLETED, 9, 0.5),
                              MakeTrial(1, v1::Trial::COMPLETED, 9, 0.5)}),
             kNow);
  EXPECT_EQ(live.EtaMs(), std::nullopt);
  sweep.mutable_counts()->set_completed(3);
  live.Apply(Delta(sweep), kNow);
  live.Apply(Delta({MakeTrial(2, v1::Trial::COMPLETED, 9, 0.5), MakeTrial(3, v1::Trial::RUNNING),
                    MakeTrial(4, v1::Trial::RUNNING)}),
             kNow);
  // 7 remain, 10 s each, two at once.
  EXPECT_EQ(live.EtaMs(), 35'000);
}

TEST(LiveSweep, FillsTheViewFromTheMessages) {
  LiveSweep live;
  auto sweep = MakeSweep("digits", v1::Sweep::ACTIVE);
  sweep.mutable_counts()->set_completed(1);
  sweep.mutable_counts()->set_running(1);
  v1::Sweep::Rung* rung = sweep.add_rungs();
  rung->set_milestone(3);
  rung->set_recorded(5);
  rung->set_cutoff(0.4);
  auto response = Snapshot(sweep, {MakeTrial(0, v1::Trial::COMPLETED, 9, 0.5),
                                   MakeTrial(1, v1::Trial::RUNNING, 2, 0.6)});
  v1::Worker* worker = response.add_workers();
  worker->set_name("lab-01");
  worker->set_state(v1::Worker::ONLINE);
  worker->set_cpus(2);
  worker->set_cpus_used(1);
  v1::Device* device = worker->add_devices();
  device->set_uuid("GPU-1");
  device->set_index(3);
  device->set_used(1);
  response.mutable_trials(1)->mutable_attempts(0)->add_devices("GPU-1");
  live.Apply(response, kNow);
  ViewOptions options;
  options.now_ms = kNow;
  const SweepView view = live.View(options);
  EXPECT_EQ(view.name, "digits");
  EXPECT_EQ(view.state, "ACTIVE");
  EXPECT_EQ(view.elapsed_ms, 20'000);
  EXPECT_EQ(view.done, 1);
  EXPECT_EQ(view.total, 4);
  EXPECT_EQ(view.metric_columns, std::vector<std::string>{"loss"});
  EXPECT_EQ(view.param_columns, std::vector<std::string>{"lr"});
  ASSERT_EQ(view.rungs.size(), 1u);
  EXPECT_EQ(view.rungs[0].cutoff, 0.4);
  ASSERT_EQ(view.workers.size(), 1u);
  EXPECT_EQ(view.workers[0].devices[0].name, "3");
  EXPECT_TRUE(view.workers[0].devices[0].busy);
  ASSERT_EQ(view.rows.size(), 2u);
  EXPECT_EQ(view.rows[0].time_ms, 10'000);
  EXPECT_EQ(view.rows[1].time_ms, 20'000);
  EXPECT_EQ(view.rows[1].where, "lab-01:3");
  EXPECT_EQ(view.rows[1].max_step, 9);
  EXPECT_EQ(view.rows[1].metrics[0], 0.6);
  EXPECT_EQ(view.rows[1].params[0], ViewValue(0.05));
  EXPECT_EQ(view.best_so_far, std::vector<double>{0.5});
}

TEST(LiveSweep, OrdersTheBestSoFarOfASnapshotByTheEndsOfTrials) {
  LiveSweep live;
  auto sweep = MakeSweep("digits", v1::Sweep::ACTIVE);
  sweep.mutable_spec()->mutable_search()->set_goal(v1::GOAL_MAX);
  auto slow = MakeTrial(0, v1::Trial::COMPLETED, 9, 0.9);
  slow.mutable_end_time()->set_seconds(2'000);
  live.Apply(Snapshot(sweep, {slow, MakeTrial(1, v1::Trial::COMPLETED, 9, 0.5)}), kNow);
  EXPECT_EQ(live.View({}).best_so_far, (std::vector<double>{0.5, 0.9}));
  live.Apply(Delta({MakeTrial(2, v1::Trial::COMPLETED, 9, 0.7)}), kNow);
  EXPECT_EQ(live.View({}).best_so_far, (std::vector<double>{0.5, 0.9, 0.9}));
}

TEST(LiveSweep, CountsTrialsThatAreBeingStoppedApartFromThoseThatRun) {
  LiveSweep live;
  auto sweep = MakeSweep("digits", v1::Sweep::ACTIVE);
  sweep.mutable_counts()->set_running(2);
  live.Apply(Snapshot(sweep, {MakeTrial(0, v1::Trial::RUNNING), MakeTrial(1, v1::Trial::STOPPING)}),
             kNow);
  const SweepView view = live.View({});
  EXPECT_EQ(view.counts[0], (std::pair<RowState, int64_t>{RowState::kRunning, 1}));
  EXPECT_EQ(view.counts[1], (std::pair<RowState, int64_t>{RowState::kStopping, 1}));
}

TEST(LiveSweep, KeepsTheRunningAndTheBestRowsOfManyTrials) {
  LiveSweep live;
  std::vector<v1::Trial> trials;
  for (uint32_t i = 0; i < 50; ++i)
    trials.push_back(MakeTrial(i, v1::Trial::COMPLETED, 9, 1.0 + i));
  trials.push_back(MakeTrial(50, v1::Trial::RUNNING));
  live.Apply(Snapshot(MakeSweep("digits", v1::Sweep::ACTIVE, 100), trials), kNow);
  ViewOptions options;
  options.rows_max = 3;
  const SweepView view = live.View(options);
  ASSERT_EQ(view.rows.size(), 3u);
  EXPECT_EQ(view.rows[0].number, 50u);
  EXPECT_EQ(view.rows[1].number, 0u);
  EXPECT_EQ(view.rows[2].number, 1u);
}

TEST(LiveSweep, MarksATrialThatWaitsForItsNextAttempt) {
  LiveSweep live;
  auto trial = MakeTrial(0, v1::Trial::RUNNING);
  trial.set_state(v1::Trial::PENDING);
  trial.mutable_attempts(0)->set_reason("worker lab-01 was not heard of for 20 s");
  live.Apply(Snapshot(MakeSweep("digits", v1::Sweep::ACTIVE), {trial}), kNow);
  const SweepView view = live.View({});
  EXPECT_EQ(view.rows[0].state_text, "retry 2");
  EXPECT_EQ(view.rows[0].note, "worker lab-01 was not heard of for 20 s");
}

TEST(LiveSweep, CountsFailuresByCauseInTheSummary) {
  LiveSweep live;
  std::vector<v1::Trial> trials;
  for (uint32_t i = 0; i < 3; ++i) {
    trials.push_back(MakeTrial(i, v1::Trial::FAILED));
    trials.back().set_state_reason(i == 0 ? "killed by signal 9"
                                          : "exit code 1: no such file\nand a trace");
  }
  auto sweep = MakeSweep("digits", v1::Sweep::SUCCEEDED);
  sweep.set_best_trial(7);
  v1::NamedValue* lr = sweep.add_best_parameters();
  lr->set_name("lr");
  lr->mutable_value()->set_double_value(0.01);
  live.Apply(Snapshot(sweep, trials), kNow);
  const SummaryView summary = live.Summary(kNow);
  ASSERT_EQ(summary.failures.size(), 2u);
  EXPECT_EQ(summary.failures[0].cause, "exit code 1: no such file");
  EXPECT_EQ(summary.failures[0].count, 2);
  EXPECT_EQ(summary.failures[0].trials, (std::vector<uint32_t>{1, 2}));
  EXPECT_EQ(summary.argv, "python3 train.py --lr=0.01");
}

TEST(ExitCodeOf, IsThreeWhereNoTrialSucceeded) {
  auto sweep = MakeSweep("digits", v1::Sweep::SUCCEEDED);
  EXPECT_EQ(ExitCodeOf(sweep), 3);
  sweep.mutable_counts()->set_stopped(1);
  EXPECT_EQ(ExitCodeOf(sweep), 0);
  sweep.set_state(v1::Sweep::CANCELLED);
  EXPECT_EQ(ExitCodeOf(sweep), 1);
  sweep.set_state(v1::Sweep::FAILED);
  EXPECT_EQ(ExitCodeOf(sweep), 1);
}

TEST(Convert, WritesNumbersOfJsonExactlyAndNanAsAWord) {
  auto trial = MakeTrial(2, v1::Trial::COMPLETED, 9, 0.1);
  v1::MetricValue* nan = trial.add_last_metrics();
  nan->set_name("grad");
  nan->set_value(std::numeric_limits<double>::quiet_NaN());
  v1::NamedValue* count = trial.add_parameters();
  count->set_name("n");
  count->mutable_value()->set_int_value(9007199254740993);
  const std::string json = TrialJson(trial);
  EXPECT_NE(json.find(R"("last_metrics":{"loss":0.1,"grad":"nan"})"), std::string::npos) << json;
  EXPECT_NE(json.find(R"("n":9007199254740993)"), std::string::npos) << json;
  EXPECT_NE(json.find(R"("end_time":"1970-01-01T00:16:50.000Z")"), std::string::npos) << json;
}

TEST(Convert, KnowsEveryStateByItsWord) {
  for (const std::string& word : TrialStateWords()) {
    const auto state = TrialStateFromWord(word);
    ASSERT_TRUE(state.has_value()) << word;
    EXPECT_EQ(StateWord(*state), word);
  }
  EXPECT_EQ(TrialStateFromWord("done"), std::nullopt);
  EXPECT_EQ(StateWord(static_cast<v1::Trial::State>(99)), "unknown");
}

TEST(EventJson, IsOneLineWithAStableType) {
  LiveSweep live;
  live.Apply(Snapshot(MakeSweep("digits", v1::Sweep::ACTIVE), {}), kNow);
  const auto started = live.Apply(Delta({MakeTrial(0, v1::Trial::RUNNING)}), kNow);
  ASSERT_EQ(started.size(), 1u);
  EXPECT_EQ(
      EventJson(started[0], "digits"),
      R"({"type":"trial_started","time":"1970-01-01T00:17:00.000Z","sweep":"digits","trial":0,"attempt":1,)"
      R"("where":"lab-01","parameters":{"lr":0.1}})");
}

TEST(Details, ShowAttemptsWithReasonsAndVerdictsOfATrial) {
  const auto sweep = MakeSweep("digits", v1::Sweep::ACTIVE);
  auto trial = MakeTrial(1, v1::Trial::STOPPED, 3, 0.9);
  trial.mutable_attempts(0)->set_reason("stopped by the scheduler");
  v1::Measurement measurement;
  measurement.set_step(3);
  measurement.set_attempt(1);
  measurement.mutable_verdict()->set_action(v1::Verdict::STOP);
  measurement.mutable_verdict()->set_reason("0.9 is worse than the cutoff 0.5");
  std::string all;
  for (const std::string& line : TrialDetails(sweep, trial, {measurement}, {kNow, true}))
    all += line + "\n";
  for (const char* part :
       {"trial       1 of digits", "stopped by the scheduler",
        "stop: 0.9 is worse than the cutoff 0.5", "python3 train.py --lr=0.05"}) {
    EXPECT_NE(all.find(part), std::string::npos) << part << "\n" << all;
  }
}

TEST(LiveSweep, TheBestSoFarIsAMeanWherePointsAreRepeated) {
  auto sweep = MakeSweep("digits", v1::Sweep::ACTIVE);
  sweep.mutable_spec()->set_repeats(2);
  LiveSweep live;
  live.Apply(Snapshot(sweep, {}), kNow);
  live.Apply(Delta({MakeTrial(0, v1::Trial::COMPLETED, 9, 0.1)}), kNow);
  EXPECT_TRUE(live.View({.now_ms = kNow}).best_so_far.empty()) << "one lucky run";
  live.Apply(Delta({MakeTrial(1, v1::Trial::COMPLETED, 9, 0.75)}), kNow);
  live.Apply(Delta({MakeTrial(2, v1::Trial::COMPLETED, 9, 0.25)}), kNow);
  live.Apply(Delta({MakeTrial(3, v1::Trial::FAILED, 9, 0.0)}), kNow);
  const auto so_far = live.View({.now_ms = kNow}).best_so_far;
  ASSERT_EQ(so_far.size(), 3u);
  EXPECT_DOUBLE_EQ(so_far[0], 0.425);
  EXPECT_DOUBLE_EQ(so_far[2], 0.25);
}

TEST(Details, TellHowManyTrialsTheBestValueIsTheMeanOf) {
  auto sweep = MakeSweep("digits", v1::Sweep::SUCCEEDED);
  sweep.set_best_trial(12);
  sweep.set_best_value(0.5);
  sweep.set_best_step(3);
  const auto text = [&] { return BestDetails(sweep).at(0); };
  EXPECT_EQ(text(), "best        loss 0.5 at step 3 of trial 12");
  EXPECT_NE(BestJson(sweep).find(R"("mean_of":1)"), std::string::npos);
  sweep.mutable_spec()->set_repeats(3);
  sweep.set_best_repeats(2);
  EXPECT_EQ(text(), "best        loss 0.5, the mean of 2 of the trials 12 to 14");
  EXPECT_NE(BestJson(sweep).find(R"("mean_of":2)"), std::string::npos);
  EXPECT_EQ(BestViewOf(sweep).mean_of, 2);
}

TEST(Details, TellWhatWasTakenOverFromEarlierSweeps) {
  auto sweep = MakeSweep("digits", v1::Sweep::ACTIVE);
  const auto shows = [&](const std::string& part) {
    std::string all;
    for (const std::string& line : SweepDetails(sweep, {kNow, true})) all += line + "\n";
    return all.find(part) != std::string::npos;
  };
  EXPECT_FALSE(shows("warm start"));
  sweep.add_warm_start()->set_sweep("old");
  sweep.mutable_warm_start(0)->set_trials(60);
  sweep.add_warm_start()->set_sweep("older");
  sweep.mutable_warm_start(1)->set_trials(1);
  EXPECT_TRUE(shows("warm start  60 trials of old, 1 trial of older"));
  EXPECT_NE(SweepJson(sweep, false).find(R"("warm_start":[{"sweep":"old","trials":60},)"), std::string::npos);
}

}  // namespace
}  // namespace tunesmith
