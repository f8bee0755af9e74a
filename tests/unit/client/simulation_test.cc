#include "client/simulation.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "client/report_line.h"
#include "spec/sweep_spec.h"

namespace tunesmith {
namespace {

using Kind = SimulatedAnswer::Kind;

// What the command does, without its files: a scheduler file and lines of JSON in, answers out.
class Session {
 public:
  explicit Session(const std::string& file) {
    std::vector<FileProblem> problems;
    const auto spec = ParseSchedulerFile(file, &problems);
    for (const FileProblem& problem : problems) ADD_FAILURE() << FormatProblem("f", problem);
    if (!spec) return;
    metric_ = SchedulerMetric(*spec);
    Problems none;
    auto scheduler = MakeScheduler(SchedulerOptionsOf(*spec, spec->search.seed.value_or(0)), &none);
    simulation_ = std::make_unique<Simulation>(std::move(scheduler), metric_, SchedulerGoal(*spec));
  }

  SimulatedAnswer Take(const std::string& line) {
    Problem problem;
    const auto report = ParseReportLine(line, metric_, &problem);
    const auto answer = report ? simulation_->Take(*report, &problem) : std::nullopt;
    if (!answer) ADD_FAILURE() << line << ": " << problem.field << ": " << problem.message;
    return answer.value_or(SimulatedAnswer());
  }
  std::string Refused(const std::string& line) {
    Problem problem;
    const auto report = ParseReportLine(line, metric_, &problem);
    if (report && simulation_->Take(*report, &problem)) ADD_FAILURE() << "taken: " << line;
    return FormatProblem("f", {{1, 1}, problem});
  }

  SimulatedAnswer Report(const std::string& trial, int64_t step, const std::string& value) {
    return Take("{\"trial\": \"" + trial + "\", \"step\": " + std::to_string(step) + ", \"v\": " + value + "}");
  }
  // 'C' or 'S'.
  char Letter(const std::string& trial, int64_t step, const std::string& value) {
    const SimulatedAnswer answer = Report(trial, step, value);
    EXPECT_EQ(answer.kind, Kind::kVerdict) << answer.text;
    return answer.verdict.action == Action::kStop ? 'S' : 'C';
  }
  SimulatedAnswer Complete(const std::string& trial, int64_t step, const std::string& value) {
    return Take("{\"trial\": \"" + trial + "\", \"step\": " + std::to_string(step) + ", \"v\": " + value +
                ", \"event\": \"complete\"}");
  }

  Simulation& simulation() { return *simulation_; }

 private:
  std::string metric_;
  std::unique_ptr<Simulation> simulation_;
};

std::string Ray(const std::string& mode, const std::string& rest) {
  return "{type: asha, metric: v, mode: " + mode + ", compat: ray, " + rest + "}";
}

// --- Ray Tune's vectors. Where one begins at step 0, which is below every rung, it begins at 1 here.

// The two trials that T1 and T2 begin with.
void ReportAndComplete(Session* s) {
  for (int i = 1; i < 10; ++i) EXPECT_EQ(s->Letter("t1", i, std::to_string(100 * i)), 'C');
  for (int i = 1; i < 5; ++i) EXPECT_EQ(s->Letter("t2", i, "450"), 'C');
  EXPECT_EQ(s->Complete("t1", 10, "1000").kind, Kind::kCompleted);
  EXPECT_EQ(s->Complete("t2", 10, "1000").kind, Kind::kCompleted);
}

TEST(SimulatedRay, T1TheCutoffIsAPercentileOfWhatWasRecorded) {
  Session s(Ray("max", "reduction_factor: 2, grace_period: 1, max_t: 10"));
  ReportAndComplete(&s);
  const SimulatedAnswer first = s.Report("t3", 1, "260");
  EXPECT_EQ(first.verdict.action, Action::kStop);
  EXPECT_DOUBLE_EQ(first.verdict.cutoff, 275);
  const SimulatedAnswer second = s.Report("t4", 2, "260");
  EXPECT_EQ(second.verdict.action, Action::kStop);
  EXPECT_DOUBLE_EQ(second.verdict.cutoff, 325);
  EXPECT_EQ(s.simulation().Summary(), "17 reports of 4 trials: 2 stopped, 2 completed");
}

TEST(SimulatedRay, T2TheGracePeriodMayBeAFraction) {
  Session s(Ray("max", "reduction_factor: 3, grace_period: 2.5, max_t: 100"));
  ReportAndComplete(&s);
  EXPECT_EQ(s.Letter("t3", 1, "10"), 'C');
  EXPECT_EQ(s.Letter("t3", 2, "10"), 'C');
  const SimulatedAnswer last = s.Report("t3", 3, "10");
  EXPECT_EQ(last.verdict.action, Action::kStop);
  EXPECT_NE(AnswerJson(last).find("\"rung\":2.5,"), std::string::npos) << AnswerJson(last);
}

TEST(SimulatedRay, T3ANanIsNeverStoppedAndIsLeftOutOfTheCutoff) {
  Session s(Ray("max", "reduction_factor: 2, grace_period: 1, max_t: 10"));
  for (int i = 1; i < 5; ++i) EXPECT_EQ(s.Letter("t1", i, "450"), 'C');
  for (int i = 1; i < 5; ++i) EXPECT_EQ(s.Letter("t2", i, "NaN"), 'C');
  EXPECT_EQ(s.Letter("t3", 1, "260"), 'S');
  EXPECT_EQ(s.Letter("t4", 2, "260"), 'S');
}

TEST(SimulatedRay, T4WithoutStopLastTrialsMaxTStopsNobody) {
  Session s(Ray("max", "reduction_factor: 2, grace_period: 1, max_t: 3, stop_last_trials: false"));
  EXPECT_EQ(s.Letter("a", 2, "10"), 'C');
  EXPECT_EQ(s.Letter("b", 2, "8"), 'S');
  EXPECT_EQ(s.Letter("c", 2, "6"), 'S');
  EXPECT_EQ(s.Letter("d", 2, "4"), 'S');
  EXPECT_EQ(s.Letter("a", 4, "10"), 'C');
  EXPECT_EQ(s.Letter("a", 8, "10"), 'C');
  EXPECT_EQ(s.Letter("a", 14, "1"), 'C');
}

TEST(SimulatedRay, T5EveryTrialStopsAtMaxTWhateverItsBracket) {
  Session s(Ray("max", "max_t: 10, brackets: 10"));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(s.Letter("t" + std::to_string(i), 10, "-2"), 'S');
  EXPECT_EQ(s.simulation().Summary(), "20 reports of 20 trials: 20 completed");
}

TEST(SimulatedRay, T6TheSameLinesGiveTheSameSchedulerAgain) {
  const std::string file = Ray("max", "reduction_factor: 2, grace_period: 1, max_t: 100");
  for (int times = 0; times < 2; ++times) {
    Session s(file);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(s.Letter("t" + std::to_string(i), 1, "10"), 'C');
    EXPECT_EQ(s.Letter("t5", 1, "5"), 'S');
    if (times == 0) continue;
    EXPECT_EQ(s.Letter("t6", 1, "4"), 'S');
    EXPECT_EQ(s.Letter("t7", 1, "2"), 'S');
  }
}

TEST(SimulatedRay, M1AMinimisedSweepStopsTheWorstAndKeepsCutoffsInTheMetricsSign) {
  Session s(Ray("min", "reduction_factor: 2, grace_period: 1, max_t: 10"));
  EXPECT_EQ(s.Letter("a", 1, "2.0"), 'C');
  EXPECT_EQ(s.Letter("b", 1, "1.8"), 'C');
  EXPECT_EQ(s.Letter("c", 1, "1.9"), 'C');
  const SimulatedAnswer d = s.Report("d", 1, "2.3");
  EXPECT_EQ(AnswerJson(d),
            R"({"trial":"d","step":1,"action":"stop","reason":"below_cutoff","value":2.3,"bracket":0,"rung":1,)"
            R"("cutoff":1.9,"rank":4,"peers":4,)"
            R"j("text":"2.3 is worse than the cutoff 1.9 at rung 1 (rank 4 of 4, v min)"})j");
  EXPECT_EQ(s.Letter("b", 2, "1.6"), 'C');
  EXPECT_EQ(s.Letter("a", 2, "1.5"), 'C');
  EXPECT_EQ(s.Letter("c", 2, "1.7"), 'S');
  EXPECT_EQ(s.Letter("a", 4, "1.2"), 'C');
  EXPECT_EQ(s.Letter("b", 4, "1.25"), 'S');
  EXPECT_EQ(s.Letter("a", 8, "1.0"), 'C');
  EXPECT_EQ(s.Letter("a", 9, "0.98"), 'C');
  EXPECT_EQ(s.Report("a", 10, "0.97").verdict.reason, Reason::kReachedMax);
  EXPECT_EQ(s.simulation().Summary(), "12 reports of 4 trials: 3 stopped, 1 completed");
}

TEST(SimulatedRay, M2ASkippedRungIsJudgedByALaterReport) {
  for (const bool stop_last : {true, false}) {
    Session s(Ray("max", std::string("reduction_factor: 2, grace_period: 1, max_t: 16, stop_last_trials: ") +
                             (stop_last ? "true" : "false")));
    EXPECT_EQ(s.Letter("a", 1, "0.1"), 'C');
    EXPECT_EQ(s.Letter("a", 2, "0.2"), 'C');
    EXPECT_EQ(s.Letter("a", 4, "0.4"), 'C');
    const SimulatedAnswer first = s.Report("b", 5, "0.5");
    EXPECT_EQ(first.verdict.action, Action::kContinue);
    EXPECT_EQ(first.verdict.milestone, 4);
    const SimulatedAnswer second = s.Report("b", 6, "0.1");
    EXPECT_EQ(second.verdict.action, stop_last ? Action::kStop : Action::kContinue);
    if (stop_last) {
      EXPECT_EQ(second.verdict.milestone, 2);
      continue;
    }
    EXPECT_EQ(s.Letter("b", 16, "0.01"), 'C');
    EXPECT_EQ(s.Letter("b", 40, "0"), 'C');
  }
}

TEST(SimulatedRay, M3TiesGoOn) {
  Session s(Ray("max", "reduction_factor: 2, grace_period: 1, max_t: 10"));
  const char* const values[] = {"0.5", "0.5", "0.5", "0.6", "0.5"};
  for (int i = 0; i < 5; ++i) EXPECT_EQ(s.Letter("t" + std::to_string(i), 1, values[i]), 'C');
}

TEST(SimulatedRay, M4TheCutoffIsInterpolated) {
  Session s(Ray("max", "reduction_factor: 3, grace_period: 1, max_t: 10"));
  EXPECT_EQ(s.Letter("0", 1, "1"), 'C');
  EXPECT_EQ(s.Letter("1", 1, "2"), 'C');
  EXPECT_EQ(s.Letter("2", 1, "3"), 'C');
  const SimulatedAnswer stopped = s.Report("3", 1, "2.3");
  EXPECT_EQ(stopped.verdict.action, Action::kStop);
  EXPECT_NEAR(stopped.verdict.cutoff, 7.0 / 3, 1e-12);
  const SimulatedAnswer last = s.Report("4", 1, "2.4");
  EXPECT_EQ(last.verdict.action, Action::kContinue);
  EXPECT_NEAR(last.verdict.cutoff, 2.3, 1e-12);
}

// --- the life of a trial

constexpr char kAsha[] = "{type: asha, metric: v, mode: min, max_t: 16, reduction_factor: 2}";

TEST(Simulation, AStopAtMaxTIsRecordedAtTheRungsThatAreLeft) {
  Session s(Ray("min", "reduction_factor: 2, grace_period: 1, max_t: 10"));
  s.Report("a", 1, "0.5");
  s.Report("a", 10, "0.25");
  // The final record of "a" is the only peer at rung 8.
  const SimulatedAnswer b = s.Report("b", 8, "0.5");
  EXPECT_EQ(b.verdict.milestone, 8);
  EXPECT_EQ(b.verdict.peers, 2U);
  EXPECT_EQ(b.verdict.cutoff, 0.25);
}

TEST(Simulation, ATrialThatCompletesCountsAsAPeerAndOneThatFailsDoesNot) {
  Session s(kAsha);
  s.Report("a", 1, "0.1");
  s.Report("b", 1, "0.1");
  const SimulatedAnswer a = s.Take(R"({"trial": "a", "step": 2, "v": 0.1, "event": "complete"})");
  EXPECT_EQ(AnswerJson(a),
            R"({"trial":"a","step":2,"event":"complete","reason":"first_at_rung","value":0.1,"bracket":0,"rung":2,)"
            R"j("rank":1,"peers":1,"text":"completed; 0.1 has no cutoff yet at rung 2 (rank 1 of 1, v min)"})j");
  EXPECT_EQ(AnswerJson(s.Take(R"({"trial": "b", "step": 2, "v": 0.1, "event": "error"})")),
            R"({"trial":"b","step":2,"event":"error","text":"failed; what it recorded at rungs stays"})");
  EXPECT_EQ(s.Report("c", 2, "0.2").verdict.peers, 2U);
  EXPECT_EQ(s.simulation().Summary(), "4 reports of 3 trials: 1 stopped, 1 completed, 1 failed");
}

TEST(Simulation, ACompletionWithoutAReportOfItsOwnJudgesTheLastOne) {
  // Ray Tune's rules judge the rung that the report skipped.
  Session s(Ray("min", "reduction_factor: 2, grace_period: 1, max_t: 10"));
  s.Report("a", 2, "0.5");
  const SimulatedAnswer a = s.Take(R"({"trial": "a", "event": "complete"})");
  EXPECT_EQ(a.step, 2);
  EXPECT_EQ(a.verdict.milestone, 1);
  EXPECT_EQ(a.value, 0.5);
  // A step that was not reported has no value.
  s.Report("b", 2, "0.5");
  EXPECT_EQ(s.Take(R"({"trial": "b", "step": 3, "event": "complete"})").verdict.reason, Reason::kNoMetric);
  // One that was is no report of its own.
  s.Report("c", 2, "0.5");
  EXPECT_EQ(s.Take(R"({"trial": "c", "step": 2, "event": "complete"})").value, 0.5);
  EXPECT_EQ(s.Take(R"({"trial": "d", "event": "complete"})").text, "completed without a report");
  const SimulatedAnswer e = s.Take(R"({"trial": "e", "event": "complete", "v": 0.5})");
  EXPECT_EQ(e.step, 1);
  EXPECT_TRUE(e.verdict.recorded);
}

TEST(Simulation, AReportAfterTheEndChangesNothing) {
  Session s(kAsha);
  s.Report("a", 1, "0.1");
  EXPECT_EQ(s.Letter("b", 1, "0.2"), 'S');
  EXPECT_EQ(AnswerJson(s.Report("b", 2, "0.05")),
            R"({"trial":"b","step":2,"ended":true,"text":"the trial was stopped at step 1"})");
  EXPECT_EQ(s.Take(R"({"trial": "b", "event": "complete"})").kind, Kind::kEnded);
  EXPECT_EQ(s.Report("b", 1, "0.05").kind, Kind::kEnded);  // goes back: it does not matter any more
  EXPECT_EQ(s.Report("a", 2, "0.3").verdict.reason, Reason::kFirstAtRung);
  s.Take(R"({"trial": "c", "event": "error"})");
  EXPECT_EQ(s.Report("c", 1, "1").text, "the trial had failed");
  EXPECT_EQ(s.simulation().Summary(),
            "3 reports of 3 trials: 1 stopped, 1 failed, 1 not ended; 4 lines of trials that had ended");
}

TEST(Simulation, AMissingStepCountsOnAndAStepMayStandStillButNotGoBack) {
  Session s(kAsha);
  EXPECT_EQ(s.Take(R"({"trial": "a", "v": 1})").step, 1);
  EXPECT_EQ(s.Take(R"({"trial": "a", "v": 1})").step, 2);
  EXPECT_EQ(s.Report("a", 5, "1").step, 5);
  EXPECT_EQ(s.Report("a", 5, "1").step, 5);
  EXPECT_EQ(s.Take(R"({"trial": "a", "v": 1})").step, 6);
  EXPECT_EQ(s.Refused(R"({"trial": "a", "step": 5, "v": 1})"),
            "f:1: step: 5 comes after step 6 of the same trial "
            "(give each trial's reports in the order of their steps)");
  EXPECT_EQ(s.Take(R"({"trial": "a", "v": 1})").step, 7);
  Session endless("{type: fifo}");
  endless.Take(R"({"trial": "a", "step": 9007199254740992})");
  EXPECT_EQ(endless.Refused(R"({"trial": "a"})"),
            "f:1: step: no step is left after 9007199254740992 (count steps from 1)");
}

TEST(Simulation, BracketsFollowTheOrderOfTrialsAndTheSeed) {
  const std::string file =
      "trainable: mlp\nmetric: {name: v, mode: min}\ntrials: 3\nsearch: {type: random, seed: 7}\n"
      "scheduler: {type: asha, max_t: 81, reduction_factor: 3, brackets: 3}\n";
  Session s(file);
  Problems none;
  const auto scheduler = MakeScheduler({.type = "asha", .goal = Goal::kMin, .seed = 7, .max_t = 81,
                                        .reduction_factor = 3, .brackets = 3}, &none);
  bool several = false;
  for (uint32_t i = 0; i < 50; ++i) {
    const SimulatedAnswer answer = s.Take("{\"trial\": " + std::to_string(1000 - i) + ", \"v\": 1}");
    EXPECT_EQ(answer.verdict.bracket, scheduler->BracketFor(i));
    several = several || answer.verdict.bracket > 0;
  }
  EXPECT_TRUE(several);
}

TEST(Simulation, AMetricThatNoReportHasIsSaidAtTheEnd) {
  Session s(kAsha);
  s.Take(R"({"trial": "a", "loss": 1})");
  EXPECT_EQ(s.simulation().Summary(), "1 report of 1 trial: 1 not ended; no report has v");
}

TEST(Simulation, PausedTrialsGoOnWhenTheyAreAmongTheBestAndAreNotJudgedBefore) {
  Session session("{type: asha, variant: promotion, metric: v, mode: min, max_t: 9, reduction_factor: 2}");
  EXPECT_EQ(session.Report("a", 1, "0.5").verdict.action, Action::kPause);
  const SimulatedAnswer idle = session.Report("a", 2, "0.1");
  EXPECT_EQ(idle.verdict.action, Action::kPause);
  EXPECT_EQ(idle.text, "the trial is paused: nothing is judged");
  const SimulatedAnswer worse = session.Report("b", 1, "0.7");
  EXPECT_EQ(worse.verdict.action, Action::kPause);
  EXPECT_EQ(worse.text, "0.7 is not among the best at rung 1 (rank 2 of 2, v min); goes on: a");
  EXPECT_NE(AnswerJson(worse).find("\"resumed\":[\"a\"]"), std::string::npos) << AnswerJson(worse);
  EXPECT_EQ(session.Report("a", 2, "0.1").verdict.action, Action::kPause) << "at rung 2 now";
  EXPECT_EQ(session.simulation().Summary(), "4 reports of 2 trials: 2 paused");
}

TEST(Simulation, ABracketIsJudgedWhenItIsFullAndEndsTrialsThatWait) {
  Session session("{type: hyperband, metric: v, mode: min, max_t: 3}");  // 3 trials at rung 1
  EXPECT_EQ(session.Report("a", 1, "0.5").text,
            "0.5 waits at rung 1 for the other trials of its bracket (rank 1 of 1, v min)");
  session.Report("b", 1, "0.4");
  const SimulatedAnswer last = session.Report("c", 1, "0.6");
  EXPECT_EQ(last.verdict.action, Action::kStop);
  EXPECT_EQ(last.text,
            "0.6 is not among those that go on at rung 1, the last of which has 0.4 (rank 3 of 3, v min); goes on: b; "
            "ends: a");
  EXPECT_NE(AnswerJson(last).find(R"("resumed":["b"],"stopped":["a"])"), std::string::npos) << AnswerJson(last);
  EXPECT_EQ(session.Report("a", 2, "0.1").text, "the trial was stopped at step 1");
  EXPECT_EQ(session.Report("b", 3, "0.1").verdict.reason, Reason::kReachedMax);
  EXPECT_EQ(session.simulation().Summary(),
            "4 reports of 3 trials: 2 stopped, 1 completed; 1 line of trials that had ended");
}

TEST(Simulation, OneOfTheWorstTakesOverFromABetterOneAndGoesOnWithItsOwnReports) {
  Session s("{type: pbt, metric: v, mode: min, perturbation_interval: 2, max_t: 8}");
  EXPECT_EQ(s.Report("a", 2, "0.1").verdict.reason, Reason::kNone) << "there is nobody to compare it with";
  const SimulatedAnswer b = s.Report("b", 2, "0.9");
  EXPECT_EQ(b.verdict.action, Action::kPause);
  EXPECT_EQ(b.text,
            "0.9 is among the worst of the population at step 2 (rank 2 of 2, v min): it goes on from the checkpoint "
            "of a better trial; b takes over from a; goes on: b");
  EXPECT_EQ(b.resumed, std::vector<TrialName>{{"b"}});
  EXPECT_EQ(s.Report("a", 4, "0.1").verdict.reason, Reason::kNone) << "b has nothing to its name yet";
  EXPECT_EQ(s.Report("b", 4, "0.05").verdict.reason, Reason::kKeepsOn);
  EXPECT_EQ(s.Letter("b", 8, "0.05"), 'S') << "at max_t";
}

TEST(Simulation, UnderTheMedianRuleThereAreNoRungs) {
  Session session("{type: median, metric: v, mode: min, min_samples_required: 1}");
  session.Report("a", 1, "0.5");
  const SimulatedAnswer worse = session.Report("b", 1, "0.7");
  EXPECT_EQ(worse.verdict.action, Action::kStop);
  const std::string json = AnswerJson(worse);
  EXPECT_EQ(json.find("rung"), std::string::npos) << json;
  EXPECT_NE(json.find("\"cutoff\":0.5,\"peers\":1"), std::string::npos) << json;
}

TEST(Simulation, NoReportsAreFine) { EXPECT_EQ(Session(kAsha).simulation().Summary(), "0 reports of 0 trials"); }

TEST(Simulation, FifoHasNoBracketsAndStopsAtMaxT) {
  Session s("{type: fifo, max_t: 2}");
  EXPECT_EQ(AnswerJson(s.Take(R"({"trial": 3, "loss": 1})")),
            R"({"trial":3,"step":1,"action":"continue","reason":"none","text":"no rung was reached"})");
  EXPECT_EQ(s.Take(R"({"trial": 3, "loss": 1})").verdict.reason, Reason::kReachedMax);
}

}  // namespace
}  // namespace tunesmith
