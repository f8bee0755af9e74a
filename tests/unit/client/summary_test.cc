#include "client/summary.h"

#include <gtest/gtest.h>

#include "tests/unit/client/screens.h"

namespace tunesmith {
namespace {

SummaryView FinishedSweep() {
  const SweepView sweep = CifarSweep();
  SummaryView v;
  v.name = sweep.name;
  v.state = "FINISHED";
  v.elapsed_ms = 1'512'000;
  v.counts = {{RowState::kCompleted, 21}, {RowState::kStopped, 174}, {RowState::kFailed, 5}};
  v.metric = sweep.metric;
  v.goal = sweep.goal;
  v.best = sweep.best;
  v.best_step = 27;
  v.first_value = 0.902;
  v.argv =
      "python3 train.py --lr=0.00312 --wd=0.0005 --opt=sgd --momentum=0.91 --depth=4 --data "
      "'/data/my cifar'";
  v.failures = {{"CUDA out of memory", 3, {4, 17, 60}},
                {"exit code 1: RuntimeError: shape mismatch", 2, {21}}};
  v.next = {"tunesmith export cifar-resnet -o csv"};
  return v;
}

TEST(Summary, LooksAsKeptInTheGoldenScreens) {
  ExpectGolden("summary_80", RenderSummary(FinishedSweep(), {.width = 80}));
  ExpectGolden("summary_ascii_80", RenderSummary(FinishedSweep(), {.width = 80, .unicode = false}));
}

TEST(Summary, KeepsTheCommandWhole) {
  const auto lines = RenderSummary(FinishedSweep(), {.width = 40});
  EXPECT_NE(std::find(lines.begin(), lines.end(), "   " + FinishedSweep().argv), lines.end());
}

TEST(Summary, SaysThatNoTrialHasAResult) {
  SummaryView v = FinishedSweep();
  v.best.reset();
  v.argv.clear();
  const auto lines = RenderSummary(v, {});
  EXPECT_NE(std::find(lines.begin(), lines.end(), " no trial has a result"), lines.end());
}

TEST(Summary, NeverCallsALossAGain) {
  SummaryView v = FinishedSweep();
  v.first_value = v.best->value;
  const auto lines = RenderSummary(v, {});
  EXPECT_NE(std::find(lines.begin(), lines.end(), " gain  none over the first trial"), lines.end());
}

TEST(EventText, IsOneLineWithTheTimeInUtc) {
  ProgressEvent report;
  report.kind = ProgressEvent::Kind::kReport;
  report.time_ms = 1'764'013'441'000;
  report.trial = 3;
  report.step = 4;
  report.max_step = 9;
  report.metrics = {{"loss", 0.42}, {"accuracy", 0.91}};
  EXPECT_EQ(EventText(report, true),
            "2025-11-24T19:44:01Z trial 3 step 4/9 loss=0.42 accuracy=0.91");

  ProgressEvent ended;
  ended.kind = ProgressEvent::Kind::kTrialEnded;
  ended.time_ms = 951'782'399'999;
  ended.trial = 3;
  ended.attempt = 2;
  ended.state = RowState::kStopped;
  ended.text = "0.61 is worse than the cutoff 0.48\nat rung 3";
  EXPECT_EQ(EventText(ended, true),
            "2000-02-28T23:59:59Z trial 3 attempt 2 stopped: 0.61 is worse than the cutoff 0.48 at "
            "rung 3");

  ProgressEvent started;
  started.kind = ProgressEvent::Kind::kTrialStarted;
  started.time_ms = -1;
  started.where = "lab-01:0";
  started.params = {{"lr", 0.1}, {"opt", std::string("sgd")}, {"momentum", std::monostate{}}};
  EXPECT_EQ(EventText(started, true),
            "1969-12-31T23:59:59Z trial 0 started on lab-01:0 lr=0.1 opt=sgd");
}

}  // namespace
}  // namespace tunesmith
