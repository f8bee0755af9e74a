// Trials: attempts, measurements, verdicts, ends.
#include <set>

#include "common/text.h"
#include "tests/unit/server/core/core_test.h"

namespace tunesmith {
namespace {

class TrialsTest : public CoreTest {
 protected:
  // One worker with `places` places and a running sweep.
  void Run(SweepSpec spec, int32_t places) {
    worker_ = Connect("w", places);
    id_ = Create(spec);
  }
  // On the measurement that was recorded last.
  Verdict LastVerdict() const {
    for (auto event = journal_.rbegin(); event != journal_.rend(); ++event) {
      if (const auto* measured = std::get_if<Measured>(&*event)) return measured->verdict;
    }
    ADD_FAILURE() << "nothing was measured";
    return {};
  }
  SessionId worker_;
  SweepId id_;
};

TEST_F(TrialsTest, ATrialRunsFromItsAssignmentToItsEnd) {
  Run(SpecOf("digits", 1), 1);
  const auto assigned = TakeEffects<SendAssign>();
  ASSERT_EQ(assigned.size(), 1u);
  EXPECT_EQ(assigned[0].session, worker_);
  EXPECT_EQ(assigned[0].sweep_id, "digits");
  EXPECT_FALSE(assigned[0].resume);
  EXPECT_TRUE(SamePoint(assigned[0].point, TrialOf(id_, 0).point));
  const AttemptRef ref = assigned[0].ref;
  EXPECT_EQ(TrialOf(id_, 0).state, TrialState::kRunning);
  EXPECT_EQ(TrialOf(id_, 0).attempts[0].state, AttemptState::kStarting);
  Started(worker_, ref);
  EXPECT_EQ(TrialOf(id_, 0).attempts[0].state, AttemptState::kRunning);
  Report(worker_, ref, 1, 0.7);
  Report(worker_, ref, 2, 0.4);
  Ended(worker_, ref, ExitCode(0));
  const Trial& trial = TrialOf(id_, 0);
  EXPECT_EQ(trial.state, TrialState::kCompleted);
  EXPECT_EQ(trial.reason, "");
  EXPECT_EQ(trial.measurements, 2u);
  EXPECT_EQ(trial.last_step, 2);
  EXPECT_EQ(trial.best_value, 0.4);
  EXPECT_EQ(trial.attempts[0].state, AttemptState::kSucceeded);
  const auto observed = TakeEffects<ObserveTrial>();
  ASSERT_EQ(observed.size(), 1u);
  EXPECT_EQ(observed[0].observation.outcome, Outcome::kCompleted);
  EXPECT_EQ(observed[0].observation.value, 0.4);
}

TEST_F(TrialsTest, AReportWithoutAStepCountsOn) {
  Run(SpecOf("digits", 1), 1);
  Report(worker_, RefOf(id_, 0), 0, 0.7);
  EXPECT_EQ(TrialOf(id_, 0).last_step, 1);
  Report(worker_, RefOf(id_, 0), 10, 0.7);
  Report(worker_, RefOf(id_, 0), 0, 0.7);
  EXPECT_EQ(TrialOf(id_, 0).last_step, 11);
}

TEST_F(TrialsTest, OfAMetricNamedTwiceInOneReportTheLaterValueCounts) {
  Run(SpecOf("digits", 1), 1);
  Post(WorkerRecords{worker_, {MeasuredOf(RefOf(id_, 0), 1, {{"loss", 9}, {"accuracy", 0.5}, {"loss", 2}})}});
  ASSERT_EQ(TrialOf(id_, 0).last_metrics.size(), 2u);
  EXPECT_EQ(TrialOf(id_, 0).last_value, 2);
  EXPECT_EQ(TrialOf(id_, 0).best_value, 2);
}

TEST_F(TrialsTest, MoreMetricNamesThanTheLimitAreLeftOut) {
  Run(SpecOf("digits", 1), 1);
  std::vector<NamedMetric> metrics;
  for (int i = 0; i < 300; ++i) metrics.push_back({"m" + std::to_string(i), 1.0 * i});
  Post(WorkerRecords{worker_, {MeasuredOf(RefOf(id_, 0), 1, metrics)}});
  EXPECT_EQ(SweepOf(id_).metric_names.size(), 256u);
  EXPECT_EQ(TrialOf(id_, 0).last_metrics.size(), 256u);
}

TEST_F(TrialsTest, ASweepWhoseEveryTrialFailedHasFailed) {
  Run(SpecOf("digits", 1), 1);
  Ended(worker_, RefOf(id_, 0), ExitCode(1, "exit code 1: no data"));
  EXPECT_EQ(SweepOf(id_).state, SweepState::kFailed);
  EXPECT_EQ(SweepOf(id_).reason, "all 1 trials failed; the last one: exit code 1: no data");
}

TEST_F(TrialsTest, AFailedProgramFailsItsTrialInWords) {
  Run(SpecOf("digits", 4), 4);
  Ended(worker_, RefOf(id_, 0), ExitCode(1, "exit code 1: ModuleNotFoundError: No module named 'torch'"));
  EXPECT_EQ(TrialOf(id_, 0).state, TrialState::kFailed);
  EXPECT_EQ(TrialOf(id_, 0).reason, "exit code 1: ModuleNotFoundError: No module named 'torch'");
  AttemptExit killed;
  killed.signal = 9;
  killed.out_of_memory = true;
  Ended(worker_, RefOf(id_, 1), killed);
  EXPECT_EQ(TrialOf(id_, 1).reason, "killed by signal 9 (out of memory)");
  Ended(worker_, RefOf(id_, 2), StartFailure("no such program"));
  EXPECT_EQ(TrialOf(id_, 2).reason, "no such program");
  const auto observed = TakeEffects<ObserveTrial>();
  ASSERT_EQ(observed.size(), 3u);
  EXPECT_EQ(observed[0].observation.outcome, Outcome::kFailed);
  EXPECT_TRUE(std::isnan(observed[0].observation.value));
}

TEST_F(TrialsTest, AProgramThatEndsWellButNeverReportsHasFailedAndIsToldWhatItReported) {
  SweepSpec spec = SpecOf("digits", 2);
  spec.retry.failed = 3;
  Run(spec, 2);
  Ended(worker_, RefOf(id_, 0), ExitCode(0));
  EXPECT_EQ(TrialOf(id_, 0).state, TrialState::kFailed) << "trying again would not help";
  EXPECT_EQ(TrialOf(id_, 0).reason, "ended well but never reported loss");
  Post(WorkerRecords{worker_, {MeasuredOf(RefOf(id_, 1), 1, {{"Loss", 1.0}, {"acc", 0.5}})}});
  Ended(worker_, RefOf(id_, 1), ExitCode(0));
  EXPECT_EQ(TrialOf(id_, 1).reason, "ended well but never reported loss (it reported Loss, acc)");
}

TEST_F(TrialsTest, AProgramThatReportsOnlyNotANumberCompletesWithoutABest) {
  Run(SpecOf("digits", 1), 1);
  Finish(worker_, RefOf(id_, 0), kNan);
  EXPECT_EQ(TrialOf(id_, 0).state, TrialState::kCompleted);
  EXPECT_FALSE(TrialOf(id_, 0).has_best);
  EXPECT_FALSE(SweepOf(id_).best_trial.has_value());
  const auto observed = TakeEffects<ObserveTrial>();
  ASSERT_EQ(observed.size(), 1u);
  EXPECT_TRUE(std::isnan(observed[0].observation.value));
}

TEST_F(TrialsTest, AFailedAttemptIsTriedAgainAsOftenAsAllowedWithAskToResume) {
  SweepSpec spec = SpecOf("digits", 1);
  spec.retry.failed = 1;
  Run(spec, 1);
  Report(worker_, RefOf(id_, 0), 1, 0.9);
  Ended(worker_, RefOf(id_, 0), ExitCode(1));
  EXPECT_EQ(TrialOf(id_, 0).state, TrialState::kRunning);
  ASSERT_EQ(TrialOf(id_, 0).attempts.size(), 2u);
  EXPECT_EQ(TrialOf(id_, 0).attempts[0].state, AttemptState::kFailed);
  EXPECT_GT(TrialOf(id_, 0).attempts[1].epoch, TrialOf(id_, 0).attempts[0].epoch);
  const auto assigned = TakeEffects<SendAssign>();
  ASSERT_EQ(assigned.size(), 2u);
  EXPECT_TRUE(assigned[1].resume);
  EXPECT_EQ(assigned[0].seed, assigned[1].seed);
  Ended(worker_, RefOf(id_, 0), ExitCode(1));
  EXPECT_EQ(TrialOf(id_, 0).state, TrialState::kFailed);
  EXPECT_EQ(TrialOf(id_, 0).attempts.size(), 2u);
}

// docs/trial-contract.md: a program that resumes reports the step that it resumes from once more, which does no harm.
TEST_F(TrialsTest, AStepThatAnEarlierAttemptReportedCountsOnceForOthers) {
  Run(MedianSpecOf("digits", 3), 3);
  for (int64_t step = 1; step <= 3; ++step) Report(worker_, RefOf(id_, 0), step, step == 3 ? 1.0 : 0.25);
  Ended(worker_, RefOf(id_, 0), LostExit());
  Report(worker_, RefOf(id_, 0), 3, 1.0);
  EXPECT_EQ(LastVerdict(), Verdict{});
  EXPECT_EQ(TrialOf(id_, 0).measurements, 4u);
  EXPECT_EQ(TrialOf(id_, 0).curve, (std::vector<double>{0.25, 0.25, 1.0}));
  for (int64_t step = 1; step <= 3; ++step) Report(worker_, RefOf(id_, 1), step, 0.3);
  Report(worker_, RefOf(id_, 2), 3, 0.45);
  EXPECT_EQ(LastVerdict().cutoff, 0.4) << "between 0.3 and 0.5; with 1.0 counted twice it would be 0.4625";
  EXPECT_EQ(LastVerdict().action, Action::kStop);
}

TEST_F(TrialsTest, AStepThatAnEarlierAttemptReportedIsNotJudgedByWhatOthersReportedMeanwhile) {
  Run(MedianSpecOf("digits", 3), 3);
  for (int64_t step = 1; step <= 2; ++step) Report(worker_, RefOf(id_, 0), step, 0.9);
  for (uint32_t trial = 1; trial < 3; ++trial) {
    for (int64_t step = 1; step <= 3; ++step) Report(worker_, RefOf(id_, trial), step, 0.1);
  }
  Ended(worker_, RefOf(id_, 0), LostExit());
  Restart();
  worker_ = Connect("w", 3, 0, "boot-1", {RefOf(id_, 0), RefOf(id_, 1), RefOf(id_, 2)});
  // It had no checkpoint and begins anew.
  for (int64_t step = 1; step <= 2; ++step) Report(worker_, RefOf(id_, 0), step, 0.9);
  EXPECT_EQ(TrialOf(id_, 0).state, TrialState::kRunning);
  Report(worker_, RefOf(id_, 0), 3, 0.9);
  EXPECT_EQ(TrialOf(id_, 0).state, TrialState::kStopping) << "this one is new";
}

TEST_F(TrialsTest, AMedianIsToldToTheTrialThatItStopsAndToNoOther) {
  Run(MedianSpecOf("digits", 3), 3);
  for (uint32_t trial = 0; trial < 2; ++trial) {
    for (int64_t step = 1; step <= 4; ++step) Report(worker_, RefOf(id_, trial), step, 0.25);
  }
  Report(worker_, RefOf(id_, 2), 1, 0.2);
  EXPECT_TRUE(TakeEffects<SendVerdict>().empty()) << "an ack says as much";
  Report(worker_, RefOf(id_, 1), 5, 0.25);
  EXPECT_EQ(TrialOf(id_, 2).state, TrialState::kRunning);
  Report(worker_, RefOf(id_, 2), 2, 0.9);
  EXPECT_EQ(TrialOf(id_, 2).state, TrialState::kRunning) << "its best counts";
  Ended(worker_, RefOf(id_, 2), ExitCode(0));
  EXPECT_EQ(TrialOf(id_, 2).state, TrialState::kCompleted);
}

TEST_F(TrialsTest, ATrialThatIsWorseThanTheMedianIsStoppedAndToldWhy) {
  Run(MedianSpecOf("digits", 3), 3);
  for (uint32_t trial = 0; trial < 2; ++trial) Report(worker_, RefOf(id_, trial), 1, 0.25);
  Report(worker_, RefOf(id_, 2), 1, 0.5);
  const auto verdicts = TakeEffects<SendVerdict>();
  ASSERT_EQ(verdicts.size(), 1u);
  EXPECT_EQ(verdicts[0].verdict.reason, Reason::kBelowMedian);
  EXPECT_EQ(verdicts[0].text, "loss was never as good as 0.25, the median of 2 others at step 1 (0.5 now, min)");
  EXPECT_EQ(TakeEffects<SendStop>().size(), 1u);
  Ended(worker_, RefOf(id_, 2), ExitCode(143));
  EXPECT_EQ(TrialOf(id_, 2).state, TrialState::kStopped);
  EXPECT_EQ(TrialOf(id_, 2).reason, verdicts[0].text);
}

TEST_F(TrialsTest, TheWorseTrialAtARungIsStoppedAndToldWhy) {
  Run(AshaSpecOf("digits", 2), 2);
  Report(worker_, RefOf(id_, 0), 1, 0.2);
  EXPECT_TRUE(TakeEffects<SendStop>().empty()) << "the first at a rung goes on";
  Report(worker_, RefOf(id_, 1), 1, 0.9);
  EXPECT_EQ(TrialOf(id_, 1).state, TrialState::kStopping);
  const auto verdicts = TakeEffects<SendVerdict>();
  ASSERT_EQ(verdicts.size(), 2u);
  EXPECT_EQ(verdicts[1].verdict.action, Action::kStop);
  EXPECT_EQ(verdicts[1].verdict.reason, Reason::kBelowCutoff);
  const auto stops = TakeEffects<SendStop>();
  ASSERT_EQ(stops.size(), 1u);
  EXPECT_EQ(stops[0].reason, verdicts[1].text);
  // Its last words are recorded, not judged.
  Report(worker_, RefOf(id_, 1), 2, 0.1);
  EXPECT_EQ(TrialOf(id_, 1).measurements, 2u);
  EXPECT_TRUE(TakeEffects<SendVerdict>().empty());
  Ended(worker_, RefOf(id_, 1), ExitCode(1, "terminated"));
  EXPECT_EQ(TrialOf(id_, 1).state, TrialState::kStopped) << "how its processes ended does not matter";
  EXPECT_EQ(TrialOf(id_, 1).reason, stops[0].reason);
  const auto observed = TakeEffects<ObserveTrial>();
  ASSERT_EQ(observed.size(), 1u);
  EXPECT_EQ(observed[0].observation.outcome, Outcome::kStopped);
}

TEST_F(TrialsTest, ATrialThatReachesMaxTCompletes) {
  Run(AshaSpecOf("digits", 1), 1);
  Report(worker_, RefOf(id_, 0), 8, 0.2);
  EXPECT_EQ(TrialOf(id_, 0).state, TrialState::kStopping);
  EXPECT_EQ(TakeEffects<SendStop>().size(), 1u);
  AttemptExit exit;
  exit.signal = 15;
  Ended(worker_, RefOf(id_, 0), exit);
  EXPECT_EQ(TrialOf(id_, 0).state, TrialState::kCompleted);
  EXPECT_EQ(TrialOf(id_, 0).attempts[0].state, AttemptState::kSucceeded);
}

TEST_F(TrialsTest, AStoppedTrialWhoseWorkerVanishesIsStillStopped) {
  Run(AshaSpecOf("digits", 2), 2);
  Report(worker_, RefOf(id_, 0), 1, 0.2);
  Report(worker_, RefOf(id_, 1), 1, 0.9);
  Post(WorkerDisconnected{worker_});
  Advance(Seconds(21));
  EXPECT_EQ(TrialOf(id_, 1).state, TrialState::kStopped);
  EXPECT_EQ(TrialOf(id_, 0).state, TrialState::kPending);
}

TEST_F(TrialsTest, AUserStopsOneTrial) {
  Run(SpecOf("digits", 3), 1);
  EXPECT_TRUE(Do(StopTrial{{id_, 0}}).status.ok());
  EXPECT_EQ(TrialOf(id_, 0).state, TrialState::kStopping);
  EXPECT_EQ(TakeEffects<SendStop>().size(), 1u);
  EXPECT_TRUE(Do(StopTrial{{id_, 0}}).status.ok()) << "once more does nothing";
  EXPECT_TRUE(TakeEffects<SendStop>().empty());
  Ended(worker_, RefOf(id_, 0), ExitCode(0));
  EXPECT_EQ(TrialOf(id_, 0).state, TrialState::kCancelled);
  EXPECT_EQ(TrialOf(id_, 0).reason, "stopped by a user");
  EXPECT_EQ(TakeEffects<ForgetTrial>().size(), 1u) << "its point may be proposed again";
  EXPECT_EQ(Do(StopTrial{{id_, 0}}).reason, "TRIAL_TERMINAL");
  EXPECT_EQ(Do(StopTrial{{id_, 77}}).reason, "TRIAL_NOT_FOUND");
}

TEST_F(TrialsTest, AWaitingTrialIsCancelledAtOnce) {
  SweepSpec spec = SpecOf("digits", 2);
  spec.points = {{{"lr", 0.1}}, {{"lr", 0.2}}};
  const SweepId id = Create(spec);
  ASSERT_EQ(TrialOf(id, 1).state, TrialState::kPending);
  EXPECT_TRUE(Do(StopTrial{{id, 1}}).status.ok());
  EXPECT_EQ(TrialOf(id, 1).state, TrialState::kCancelled);
  Do(StopTrial{{id, 0}});
  EXPECT_EQ(SweepOf(id).state, SweepState::kSucceeded);
}

TEST_F(TrialsTest, RecordsOfOneMessageAreJudgedInOrderAndAcknowledgedOnceAfterThem) {
  Run(SpecOf("digits", 1), 1);
  const AttemptRef ref = RefOf(id_, 0);
  TakeEffects<SendAck>();
  Post(WorkerRecords{worker_,
                     {StartedOf(ref), MeasuredOf(ref, 1, {{"loss", 3}}), MeasuredOf(ref, 2, {{"loss", 2}})}});
  const auto acks = TakeEffects<SendAck>();
  ASSERT_EQ(acks.size(), 1u);
  EXPECT_EQ(acks[0].sequence, 3u);
  EXPECT_EQ(TrialOf(id_, 0).measurements, 2u);
}

TEST_F(TrialsTest, ARecordThatComesTwiceCountsOnceAndIsAcknowledgedAgain) {
  Run(SpecOf("digits", 1), 1);
  const WorkerRecord record = MeasuredOf(RefOf(id_, 0), 1, {{"loss", 3}});
  Post(WorkerRecords{worker_, {record}});
  const size_t events = journal_.size();
  TakeEffects<SendAck>();
  Post(WorkerRecords{worker_, {record, record}});
  EXPECT_EQ(journal_.size(), events);
  EXPECT_EQ(TrialOf(id_, 0).measurements, 1u);
  EXPECT_EQ(TakeEffects<SendAck>().size(), 1u);
}

TEST_F(TrialsTest, ARecordOfAnOlderEpochIsIgnoredCountedAndAcknowledged) {
  SweepSpec spec = SpecOf("digits", 1);
  spec.retry.failed = 1;
  Run(spec, 1);
  const AttemptRef old = RefOf(id_, 0);
  Ended(worker_, old, ExitCode(1));
  ASSERT_EQ(TrialOf(id_, 0).attempts.size(), 2u);
  TakeEffects<SendAck>();
  Report(worker_, old, 1, 0.5);
  AttemptRef forged = RefOf(id_, 0);
  forged.epoch = LeaseEpoch(999);
  Report(worker_, forged, 1, 0.5);
  EXPECT_EQ(TrialOf(id_, 0).measurements, 0u);
  EXPECT_EQ(controller_->stale_records(), 2u);
  EXPECT_EQ(TakeEffects<SendAck>().size(), 2u);
}

TEST_F(TrialsTest, RecordsOfATrialOnAnotherWorkerAreStale) {
  Run(SpecOf("digits", 1), 1);
  const SessionId other = Connect("other", 1);
  Report(other, RefOf(id_, 0), 1, 0.5);
  EXPECT_EQ(TrialOf(id_, 0).measurements, 0u);
  EXPECT_EQ(controller_->stale_records(), 1u);
}

TEST_F(TrialsTest, LogChunksGoToTheLogStoreOnceAndNotIntoTheJournal) {
  Run(SpecOf("digits", 1), 1);
  WorkerRecord record = RecordOf(RefOf(id_, 0), WorkerRecord::Kind::kLog);
  record.data = "epoch 1\n";
  const size_t events = journal_.size();
  Post(WorkerRecords{worker_, {record}});
  Post(WorkerRecords{worker_, {record}});
  EXPECT_EQ(journal_.size(), events);
  const auto logs = TakeEffects<AppendLog>();
  ASSERT_EQ(logs.size(), 1u);
  EXPECT_EQ(logs[0].data, "epoch 1\n");
}

TEST_F(TrialsTest, AWorkersClockIsHeldBetweenTheLeaseAndNow) {
  Run(SpecOf("digits", 1), 1);
  const Time leased = now_;
  now_ = now_ + Seconds(5);
  WorkerRecord early = MeasuredOf(RefOf(id_, 0), 1, {{"loss", 3}});
  early.time = Time{1};
  WorkerRecord late = MeasuredOf(RefOf(id_, 0), 2, {{"loss", 3}});
  late.time = kTimeNever;
  Post(WorkerRecords{worker_, {early, late}});
  std::vector<Time> times;
  for (const Event& event : journal_) {
    if (const auto* measured = std::get_if<Measured>(&event)) times.push_back(measured->time);
  }
  EXPECT_EQ(times, (std::vector<Time>{leased, now_}));
}

TEST_F(TrialsTest, TheSchedulerMayFollowAnotherMetricThanTheSearcher) {
  SweepSpec spec = AshaSpecOf("digits", 2);
  spec.search.metric = "accuracy";
  spec.search.goal = Goal::kMax;
  spec.scheduler.metric = "loss";
  Run(spec, 2);
  Post(WorkerRecords{worker_, {MeasuredOf(RefOf(id_, 0), 1, {{"accuracy", 0.1}, {"loss", 0.2}})}});
  Post(WorkerRecords{worker_, {MeasuredOf(RefOf(id_, 1), 1, {{"accuracy", 0.9}, {"loss", 0.9}})}});
  EXPECT_EQ(TrialOf(id_, 0).state, TrialState::kRunning);
  EXPECT_EQ(TrialOf(id_, 1).state, TrialState::kStopping) << "judged by loss";
  EXPECT_EQ(SweepOf(id_).best_trial, 1u) << "ranked by accuracy";
}

class RungReportsTest : public TrialsTest {
 protected:
  // What the searcher was told since the last call: "0@2=0.5".
  std::vector<std::string> Told() {
    std::vector<std::string> told;
    for (const ReportRung& effect : TakeEffects<ReportRung>()) {
      const RungReport& r = effect.report;
      told.push_back(std::to_string(r.trial) + "@" + std::to_string(r.rung) + "=" + DoubleText(r.value));
    }
    return told;
  }
  using Texts = std::vector<std::string>;
};

TEST_F(RungReportsTest, TheSearcherHearsOfEveryRungOnceWithItsOwnMetric) {
  SweepSpec spec = AshaSpecOf("digits", 2);  // rungs at 1, 2, 4 of 8
  spec.scheduler.metric = "error";
  Run(spec, 2);
  const AttemptRef ref = RefOf(id_, 0);
  const auto report = [&](int64_t step, std::vector<NamedMetric> metrics) {
    Post(WorkerRecords{worker_, {MeasuredOf(RefOf(id_, 0), step, std::move(metrics))}});
    return Told();
  };
  EXPECT_EQ(report(1, {{"error", 0.1}}), (Texts{"0@1=nan"})) << "the searcher's metric is not known yet";
  EXPECT_EQ(report(2, {{"error", 0.1}, {"loss", 3}}), (Texts{"0@2=3.0"}));
  EXPECT_EQ(report(3, {{"error", 0.1}, {"loss", 2}}), Texts{});
  EXPECT_EQ(report(4, {{"error", 0.1}}), (Texts{"0@4=2.0"})) << "the last known value";
  EXPECT_EQ(report(5, {{"error", 0.1}, {"loss", 1}}), Texts{});
  // Its next attempt passes the same rungs again.
  Ended(worker_, ref, LostExit());
  ASSERT_EQ(TrialOf(id_, 0).attempts.size(), 2u);
  EXPECT_EQ(report(1, {{"error", 0.1}, {"loss", 9}}), Texts{});
  EXPECT_EQ(report(5, {{"error", 0.1}, {"loss", 9}}), Texts{});
}

TEST_F(RungReportsTest, AReportMayReachSeveralRungs) {
  Run(AshaSpecOf("digits", 1), 1);
  Report(worker_, RefOf(id_, 0), 3, 0.5);
  EXPECT_EQ(Told(), (Texts{"0@1=0.5", "0@2=0.5"}));
  Report(worker_, RefOf(id_, 0), 4, kNan);
  EXPECT_EQ(Told(), (Texts{"0@4=nan"}));
}

TEST_F(RungReportsTest, ATrialIsReportedAtTheRungsOfItsBracket) {
  SweepSpec spec = AshaSpecOf("digits", 30);
  spec.scheduler.brackets = 3;
  Run(spec, 30);
  std::set<int32_t> brackets;
  for (uint32_t n = 0; n < 30; ++n) {
    Report(worker_, RefOf(id_, n), 4, 0.5);
    const int32_t bracket = TrialOf(id_, n).bracket;
    brackets.insert(bracket);
    EXPECT_EQ(Told().size(), static_cast<size_t>(3 - bracket));
  }
  EXPECT_EQ(brackets.size(), 3u);
}

TEST_F(RungReportsTest, NobodyIsComparedWhereEveryTrialRunsToItsEnd) {
  Run(SpecOf("digits", 1), 1);
  for (int64_t step = 1; step < 10; ++step) Report(worker_, RefOf(id_, 0), step, 0.5);
  EXPECT_EQ(Told(), Texts{});
}

TEST_F(TrialsTest, TheSearcherHearsHowLongATrialRan) {
  Run(SpecOf("digits", 2), 1);
  now_ = now_ + Milliseconds(1500);
  Ended(worker_, RefOf(id_, 0), LostExit());
  now_ = now_ + Milliseconds(2000);
  Finish(worker_, RefOf(id_, 0), 0.5);
  const auto observed = TakeEffects<ObserveTrial>();
  ASSERT_EQ(observed.size(), 1u);
  EXPECT_EQ(observed[0].observation.seconds, 3.5) << "all its attempts";
  EXPECT_EQ(TakeEffects<StartSearcher>().at(0).options.trials, 2);
}

}  // namespace
}  // namespace tunesmith
