// TrialService over a real port: lists, measurements, logs, ask and tell.
#include <algorithm>
#include <utility>
#include <vector>

#include "tests/unit/server/rpc/rig.h"

namespace tunesmith::rpc {
namespace {

using grpc::StatusCode;

// Runs `trials` trials of a sweep: trial n reports `steps` times, its best loss is Loss(n).
double Loss(uint32_t n) { return static_cast<double>((n * 7 + 3) % 11); }

void RunTrials(Rig* rig, uint32_t trials, int64_t steps) {
  FakeWorker worker(rig, "w", 1);
  for (uint32_t n = 0; n < trials; ++n) {
    const v1::AttemptRef ref = worker.NextAssign().attempt();
    v1::WorkerMessage facts;
    uint64_t sequence = 0;
    AddRecord(&facts, ref, ++sequence)->mutable_log()->set_data("trial " + std::to_string(n) + "\n");
    for (int64_t step = 1; step <= steps; ++step) {
      AddMeasured(&facts, ref, ++sequence, step, Loss(ref.trial()) + static_cast<double>(steps - step));
    }
    AddEnded(&facts, ref, ++sequence, n == 2 ? 1 : 0);
    ASSERT_TRUE(worker.Write(facts));
  }
  rig->WaitForEnd("digits");
}

TEST(TrialApiTest, TrialsSayWhereTheirPointsCameFrom) {
  Rig rig;
  rig.Serve();
  v1::SweepSpec spec = RandomSweep("digits", 2);
  v1::NamedValue* lr = spec.add_points()->add_values();
  lr->set_name("lr");
  lr->mutable_value()->set_double_value(0.5);
  rig.Create(spec);
  FakeWorker worker(&rig, "w", 2);
  for (uint32_t n = 0; n < 2; ++n) {
    worker.NextAssign();
    v1::GetTrialRequest request;
    request.set_sweep("digits");
    request.set_trial(n);
    v1::Trial trial;
    Context context;
    ASSERT_TRUE(rig.trials->GetTrial(&context, request, &trial).ok());
    EXPECT_EQ(trial.origin().kind(), n == 0 ? v1::Origin::USER : v1::Origin::PRIOR);
    EXPECT_EQ(trial.origin().judge(), v1::Origin::JUDGE_UNSPECIFIED);
    EXPECT_FALSE(trial.origin().has_predicted()) << "nobody predicted anything";
    EXPECT_FALSE(trial.origin().has_repeat_of());
  }
}

TEST(TrialApiTest, RepeatsNameTheirFirstTrialAndTheBestIsAMean) {
  Rig rig;
  rig.Serve();
  v1::SweepSpec spec = RandomSweep("digits", 2);
  spec.set_repeats(2);
  rig.Create(spec);
  RunTrials(&rig, 4, 1);  // losses 3, 10, 6, 2; the third trial fails
  const v1::Sweep sweep = rig.Get("digits");
  EXPECT_EQ(sweep.counts().target(), 4);
  EXPECT_EQ(sweep.spec().repeats(), 2);
  ASSERT_TRUE(sweep.has_best_trial());
  const uint32_t best = sweep.best_trial();
  EXPECT_EQ(best, 2u) << "the mean of trials 0 and 1 is 6.5";
  EXPECT_EQ(sweep.best_value(), Loss(3));
  EXPECT_EQ(sweep.best_repeats(), 1u) << "trial 2 failed";
  EXPECT_EQ(sweep.best_step(), 0);
  v1::GetTrialRequest request;
  request.set_sweep("digits");
  request.set_trial(1);
  v1::Trial trial;
  Context context;
  ASSERT_TRUE(rig.trials->GetTrial(&context, request, &trial).ok());
  EXPECT_EQ(trial.origin().kind(), v1::Origin::REPEAT);
  EXPECT_EQ(trial.origin().repeat_of(), 0u);
}

TEST(TrialApiTest, ListsGoByNumberOrBestFirstWithoutGapOrRepetition) {
  Rig rig;
  rig.Serve();
  rig.Create(RandomSweep("digits", 9));
  RunTrials(&rig, 9, 3);
  const auto list = [&](v1::ListTrialsRequest request) {
    std::vector<uint32_t> numbers;
    request.set_sweep("digits");
    request.set_page_size(4);
    do {
      v1::ListTrialsResponse response;
      Context context;
      const grpc::Status status = rig.trials->ListTrials(&context, request, &response);
      EXPECT_TRUE(status.ok()) << status.error_message();
      EXPECT_LE(response.trials_size(), 4);
      for (const v1::Trial& trial : response.trials()) numbers.push_back(trial.number());
      request.set_page_token(response.next_page_token());
    } while (!request.page_token().empty());
    return numbers;
  };
  v1::ListTrialsRequest request;
  EXPECT_EQ(list(request), (std::vector<uint32_t>{0, 1, 2, 3, 4, 5, 6, 7, 8}));
  request.set_order(v1::ListTrialsRequest::BEST_FIRST);
  std::vector<uint32_t> expected = {0, 1, 3, 4, 5, 6, 7, 8};
  std::sort(expected.begin(), expected.end(), [](uint32_t a, uint32_t b) { return Loss(a) < Loss(b); });
  expected.push_back(2);  // it failed: never best, whatever it reported
  EXPECT_EQ(list(request), expected);
  EXPECT_EQ(rig.Get("digits").best_trial(), expected[0]);
  request.add_states(v1::Trial::FAILED);
  EXPECT_EQ(list(request), std::vector<uint32_t>{2});
  request.set_order(v1::ListTrialsRequest::NUMBER);
  EXPECT_EQ(list(request), std::vector<uint32_t>{2});
  request.clear_states();
  request.add_states(v1::Trial::COMPLETED);
  EXPECT_EQ(list(request), (std::vector<uint32_t>{0, 1, 3, 4, 5, 6, 7, 8}));
}

TEST(TrialApiTest, TrialsThatDoNotMeetTheRequirementsComeLastByTheirViolation) {
  Rig rig;
  rig.Serve();
  v1::SweepSpec spec = RandomSweep("digits", 9);
  spec.mutable_search()->add_require("loss >= " + std::to_string(Loss(4)));
  rig.Create(spec);
  RunTrials(&rig, 9, 3);
  std::vector<uint32_t> expected = {0, 1, 3, 4, 5, 6, 7, 8};
  std::sort(expected.begin(), expected.end(), [](uint32_t a, uint32_t b) {
    const double limit = std::stod(std::to_string(Loss(4)));
    const bool good_a = Loss(a) >= limit, good_b = Loss(b) >= limit;
    if (good_a != good_b) return good_a;
    return good_a ? Loss(a) < Loss(b) : Loss(a) > Loss(b);
  });
  v1::ListTrialsRequest request;
  request.set_sweep("digits");
  request.set_order(v1::ListTrialsRequest::BEST_FIRST);
  v1::ListTrialsResponse response;
  Context context;
  ASSERT_TRUE(rig.trials->ListTrials(&context, request, &response).ok());
  std::vector<uint32_t> numbers;
  for (const v1::Trial& trial : response.trials()) numbers.push_back(trial.number());
  ASSERT_EQ(numbers.size(), 9u);
  EXPECT_EQ(numbers.back(), 2u) << "it failed";
  numbers.pop_back();
  EXPECT_EQ(numbers, expected);
  EXPECT_EQ(rig.Get("digits").best_trial(), expected[0]);
  EXPECT_EQ(response.trials(0).violation(), 0);
  EXPECT_GT(response.trials(7).violation(), 0);
}

TEST(TrialApiTest, ATokenOfAnotherListIsRefused) {
  Rig rig;
  rig.Serve();
  rig.Create(RandomSweep("digits", 3));
  RunTrials(&rig, 3, 1);
  v1::ListTrialsRequest request;
  request.set_sweep("digits");
  request.set_page_size(1);
  v1::ListTrialsResponse response;
  {
    Context context;
    ASSERT_TRUE(rig.trials->ListTrials(&context, request, &response).ok());
    ASSERT_FALSE(response.next_page_token().empty());
  }
  request.set_page_token(response.next_page_token());
  request.set_order(v1::ListTrialsRequest::BEST_FIRST);
  {
    Context context;
    ExpectRefused(rig.trials->ListTrials(&context, request, &response), StatusCode::INVALID_ARGUMENT,
                  "PAGE_TOKEN_INVALID");
  }
  request.clear_page_token();
  request.add_states(v1::Trial::STATE_UNSPECIFIED);
  Context context;
  ExpectRefused(rig.trials->ListTrials(&context, request, &response), StatusCode::INVALID_ARGUMENT, "STATES_INVALID");
}

TEST(TrialApiTest, MeasurementsComeInTheOrderOfRecordingByPages) {
  Rig rig;
  rig.Serve();
  rig.Create(RandomSweep("digits", 3));
  RunTrials(&rig, 3, 5);
  v1::ListMeasurementsRequest request;
  request.set_sweep("digits");
  request.set_page_size(4);
  std::vector<std::pair<uint32_t, int64_t>> seen;
  do {
    v1::ListMeasurementsResponse response;
    Context context;
    ASSERT_TRUE(rig.trials->ListMeasurements(&context, request, &response).ok());
    for (const v1::Measurement& m : response.measurements()) {
      seen.emplace_back(m.trial(), m.step());
      ASSERT_EQ(m.metrics_size(), 1);
      EXPECT_EQ(m.metrics(0).name(), "loss");
      EXPECT_EQ(m.metrics(0).value(), Loss(m.trial()) + static_cast<double>(5 - m.step()));
      EXPECT_EQ(m.attempt(), 1U);
      EXPECT_EQ(m.sequence(), static_cast<uint64_t>(m.step()) + 1);
      EXPECT_FALSE(m.has_verdict());
      EXPECT_TRUE(m.has_time());
    }
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  ASSERT_EQ(seen.size(), 15U);
  for (size_t i = 0; i < seen.size(); ++i) {
    EXPECT_EQ(seen[i], std::make_pair(static_cast<uint32_t>(i / 5), static_cast<int64_t>(i % 5 + 1)));
  }
  request.set_trial(1);
  request.set_page_size(0);
  {
    v1::ListMeasurementsResponse response;
    Context context;
    ASSERT_TRUE(rig.trials->ListMeasurements(&context, request, &response).ok());
    EXPECT_EQ(response.measurements_size(), 5);
    EXPECT_EQ(response.next_page_token(), "");
  }
  request.set_trial(9);
  v1::ListMeasurementsResponse response;
  Context context;
  ExpectRefused(rig.trials->ListMeasurements(&context, request, &response), StatusCode::NOT_FOUND, "TRIAL_NOT_FOUND");
  v1::GetTrialRequest get;
  get.set_sweep("digits");
  get.set_trial(9);
  v1::Trial trial;
  Context context2;
  const grpc::Status status = rig.trials->GetTrial(&context2, get, &trial);
  ExpectRefused(status, StatusCode::NOT_FOUND, "TRIAL_NOT_FOUND");
  EXPECT_EQ(status.error_message(), "sweep digits has no trial 9; it has 0 to 2");
}

struct Log {
  std::string text;
  grpc::Status status;
};

Log ReadLog(Rig* rig, const v1::ReadLogsRequest& request) {
  Context context;
  auto reader = rig->trials->ReadLogs(&context, request);
  Log log;
  v1::ReadLogsResponse response;
  while (reader->Read(&response)) log.text += response.data();
  log.status = reader->Finish();
  return log;
}

TEST(TrialApiTest, LogsAreReadWholeOrByTheirTail) {
  Rig rig;
  rig.Serve();
  rig.Create(RandomSweep("digits", 1));
  FakeWorker worker(&rig, "w", 1);
  const v1::AttemptRef ref = worker.NextAssign().attempt();
  std::string text;
  for (int i = 0; i < 40'000; ++i) text += "line " + std::to_string(i) + " of a long log\n";  // more than one chunk
  v1::WorkerMessage facts;
  constexpr size_t kPiece = 500'000;
  uint64_t sequence = 0;
  for (size_t at = 0; at < text.size(); at += kPiece) {
    AddRecord(&facts, ref, ++sequence)->mutable_log()->set_data(text.substr(at, kPiece));
  }
  ASSERT_TRUE(worker.Write(facts));
  worker.WaitForAck(sequence);
  v1::ReadLogsRequest request;
  request.set_sweep("digits");
  Log log = ReadLog(&rig, request);
  EXPECT_TRUE(log.status.ok());
  EXPECT_EQ(log.text, text);
  request.set_tail_bytes(100);
  log = ReadLog(&rig, request);
  EXPECT_EQ(log.text, text.substr(text.size() - 100));
  request.set_attempt(2);
  ExpectRefused(ReadLog(&rig, request).status, StatusCode::NOT_FOUND, "ATTEMPT_NOT_FOUND");
  request.set_trial(1);
  ExpectRefused(ReadLog(&rig, request).status, StatusCode::NOT_FOUND, "TRIAL_NOT_FOUND");
  request.set_sweep("digit");
  ExpectRefused(ReadLog(&rig, request).status, StatusCode::NOT_FOUND, "SWEEP_NOT_FOUND");
  request.set_tail_bytes(-1);
  ExpectRefused(ReadLog(&rig, request).status, StatusCode::INVALID_ARGUMENT, "TAIL_INVALID");
}

TEST(TrialApiTest, AFollowedLogGoesOnUntilTheAttemptEnds) {
  Rig rig;
  rig.Serve();
  rig.Create(RandomSweep("digits", 1));
  FakeWorker worker(&rig, "w", 1);
  const v1::AttemptRef ref = worker.NextAssign().attempt();
  v1::WorkerMessage first;
  AddRecord(&first, ref, 1)->mutable_log()->set_data("one\n");
  ASSERT_TRUE(worker.Write(first));
  worker.WaitForAck(1);
  v1::ReadLogsRequest request;
  request.set_sweep("digits");
  request.set_follow(true);
  Context context;
  auto reader = rig.trials->ReadLogs(&context, request);
  v1::ReadLogsResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.data(), "one\n");
  EXPECT_EQ(response.attempt(), 1U);
  v1::WorkerMessage rest;
  AddRecord(&rest, ref, 2)->mutable_log()->set_data("two\n");
  AddMeasured(&rest, ref, 3, 1, 0.5);
  AddEnded(&rest, ref, 4);
  ASSERT_TRUE(worker.Write(rest));
  std::string text;
  while (reader->Read(&response)) text += response.data();
  EXPECT_EQ(text, "two\n");
  EXPECT_TRUE(reader->Finish().ok());
}

v1::SweepSpec AskTellSweep(int64_t trials) {
  v1::SweepSpec spec = RandomSweep("digits", trials);
  spec.clear_program();
  spec.set_ask_tell(true);
  spec.mutable_scheduler()->set_type("asha");
  spec.mutable_scheduler()->set_max_t(4);
  spec.mutable_scheduler()->set_grace_period(1);
  spec.mutable_scheduler()->set_reduction_factor(2);
  return spec;
}

struct AskTell {
  Rig* rig;

  grpc::Status Ask(const std::string& client, int count, v1::AskTrialsResponse* response, int64_t lease_s = 60) {
    Context context;
    v1::AskTrialsRequest request;
    request.set_sweep("digits");
    request.set_client_id(client);
    request.set_count(count);
    request.mutable_lease()->set_seconds(lease_s);
    return rig->trials->AskTrials(&context, request, response);
  }
  grpc::Status Report(const v1::AskTrialsResponse::Asked& asked, uint64_t sequence, double loss,
                      v1::Verdict* verdict) {
    Context context;
    v1::ReportTrialRequest request;
    request.set_sweep("digits");
    request.set_trial(asked.trial().number());
    request.set_lease_epoch(asked.lease_epoch());
    request.set_sequence(sequence);
    v1::MetricValue* metric = request.add_metrics();
    metric->set_name("loss");
    metric->set_value(loss);
    return rig->trials->ReportTrial(&context, request, verdict);
  }
  grpc::Status Complete(const v1::AskTrialsResponse::Asked& asked, const std::string& failure, v1::Trial* trial) {
    Context context;
    v1::CompleteTrialRequest request;
    request.set_sweep("digits");
    request.set_trial(asked.trial().number());
    request.set_lease_epoch(asked.lease_epoch());
    request.set_failure(failure);
    return rig->trials->CompleteTrial(&context, request, trial);
  }
  grpc::Status Renew(const v1::AskTrialsResponse::Asked& asked, v1::RenewTrialResponse* response) {
    Context context;
    v1::RenewTrialRequest request;
    request.set_sweep("digits");
    request.set_trial(asked.trial().number());
    request.set_lease_epoch(asked.lease_epoch());
    return rig->trials->RenewTrial(&context, request, response);
  }
};

TEST(TrialApiTest, AskAndTellRunsASweepWithoutWorkers) {
  Rig rig;
  rig.Serve();
  rig.Create(AskTellSweep(3));
  AskTell client{&rig};
  v1::AskTrialsResponse asked;
  ASSERT_TRUE(client.Ask("me", 2, &asked).ok());
  ASSERT_EQ(asked.trials_size(), 2);
  EXPECT_EQ(asked.trials(0).trial().parameters(0).name(), "lr");
  EXPECT_EQ(asked.trials(0).attempt(), 1U);
  EXPECT_FALSE(asked.finished());
  // Asking again gives what this client holds already.
  v1::AskTrialsResponse again;
  ASSERT_TRUE(client.Ask("me", 2, &again).ok());
  ASSERT_EQ(again.trials_size(), 2);
  EXPECT_EQ(again.trials(1).lease_epoch(), asked.trials(1).lease_epoch());

  v1::Verdict verdict;
  ASSERT_TRUE(client.Report(asked.trials(0), 1, 0.1, &verdict).ok());
  EXPECT_EQ(verdict.action(), v1::Verdict::CONTINUE);
  ASSERT_TRUE(client.Report(asked.trials(1), 1, 0.9, &verdict).ok());
  EXPECT_EQ(verdict.action(), v1::Verdict::STOP);
  EXPECT_NE(verdict.reason().find("worse than the cutoff"), std::string::npos);
  EXPECT_TRUE(verdict.has_cutoff());
  v1::Verdict repeated;
  ASSERT_TRUE(client.Report(asked.trials(1), 1, 0.9, &repeated).ok());
  EXPECT_EQ(repeated.action(), v1::Verdict::STOP) << "repeating a sequence repeats the answer";
  v1::RenewTrialResponse renewed;
  ASSERT_TRUE(client.Renew(asked.trials(1), &renewed).ok());
  EXPECT_TRUE(renewed.stop());
  ASSERT_TRUE(client.Renew(asked.trials(0), &renewed).ok());
  EXPECT_FALSE(renewed.stop());

  v1::Trial trial;
  ASSERT_TRUE(client.Complete(asked.trials(1), "", &trial).ok());
  EXPECT_EQ(trial.state(), v1::Trial::STOPPED);
  ASSERT_TRUE(client.Complete(asked.trials(0), "", &trial).ok());
  EXPECT_EQ(trial.state(), v1::Trial::COMPLETED);
  EXPECT_EQ(trial.attempts(0).worker(), "me");
  ExpectRefused(client.Report(asked.trials(0), 2, 0.1, &verdict), StatusCode::ABORTED, "LEASE_LOST");

  ASSERT_TRUE(client.Ask("me", 5, &asked).ok());
  ASSERT_EQ(asked.trials_size(), 1);
  EXPECT_FALSE(asked.no_trial_reason().empty());
  ASSERT_TRUE(client.Complete(asked.trials(0), "ValueError: no", &trial).ok());
  EXPECT_EQ(trial.state(), v1::Trial::FAILED);
  EXPECT_NE(trial.state_reason().find("ValueError: no"), std::string::npos);
  EXPECT_EQ(rig.WaitForEnd("digits").state(), v1::Sweep::SUCCEEDED);
  ASSERT_TRUE(client.Ask("me", 1, &asked).ok());
  EXPECT_TRUE(asked.finished());
  EXPECT_EQ(asked.trials_size(), 0);
}

TEST(TrialApiTest, WhoGivesNoSignOfLifeLosesItsTrialToTheNextWhoAsks) {
  Rig rig;
  rig.Serve();
  rig.Create(AskTellSweep(1));
  AskTell client{&rig};
  v1::AskTrialsResponse first;
  ASSERT_TRUE(client.Ask("one", 1, &first, /*lease_s=*/1).ok());
  ASSERT_EQ(first.trials_size(), 1);
  rig.WaitFor("digits", [](const v1::Sweep& sweep) { return sweep.counts().attempts_lost() == 1; });
  v1::AskTrialsResponse second;
  ASSERT_TRUE(client.Ask("two", 1, &second).ok());
  ASSERT_EQ(second.trials_size(), 1);
  EXPECT_EQ(second.trials(0).attempt(), 2U);
  EXPECT_EQ(second.trials(0).trial().number(), first.trials(0).trial().number());
  v1::Verdict verdict;
  ExpectRefused(client.Report(first.trials(0), 1, 0.5, &verdict), StatusCode::ABORTED, "LEASE_LOST");
  EXPECT_TRUE(client.Report(second.trials(0), 1, 0.5, &verdict).ok());
}

TEST(TrialApiTest, WrongAsksAndReportsAreRefused) {
  Rig rig;
  rig.Serve();
  AskTell client{&rig};
  v1::AskTrialsResponse asked;
  ExpectRefused(client.Ask("me", 1, &asked), StatusCode::NOT_FOUND, "SWEEP_NOT_FOUND");
  v1::Sweep sweep = rig.Create(RandomSweep("digits", 1));
  ExpectRefused(client.Ask("me", 1, &asked), StatusCode::FAILED_PRECONDITION, "SWEEP_NOT_ASK_TELL");
  ExpectRefused(client.Ask("", 1, &asked), StatusCode::INVALID_ARGUMENT, "ASK_INVALID");
  ExpectRefused(client.Ask("me", 101, &asked), StatusCode::INVALID_ARGUMENT, "ASK_INVALID");
  ExpectRefused(client.Ask("me", 1, &asked, INT64_MAX), StatusCode::INVALID_ARGUMENT, "ASK_INVALID");
  v1::AskTrialsResponse::Asked nothing;
  v1::Verdict verdict;
  ExpectRefused(client.Report(nothing, 1, 0.5, &verdict), StatusCode::NOT_FOUND, "TRIAL_NOT_FOUND");
  v1::Trial trial;
  ExpectRefused(client.Complete(nothing, std::string(3000, 'x'), &trial), StatusCode::INVALID_ARGUMENT,
                "COMPLETE_INVALID");
  Context context;
  v1::ReportTrialRequest report;
  report.set_sweep("digits");
  report.add_metrics();
  ExpectRefused(rig.trials->ReportTrial(&context, report, &verdict), StatusCode::INVALID_ARGUMENT, "REPORT_INVALID");
}

TEST(TrialApiTest, StoppingATrialEndsIt) {
  Rig rig;
  rig.Serve();
  rig.Create(RandomSweep("digits", 1));
  FakeWorker worker(&rig, "w", 1);
  const v1::AttemptRef ref = worker.NextAssign().attempt();
  v1::StopTrialRequest request;
  request.set_sweep("digits");
  v1::Trial trial;
  {
    Context context;
    ASSERT_TRUE(rig.trials->StopTrial(&context, request, &trial).ok());
    EXPECT_EQ(trial.state(), v1::Trial::STOPPING);
  }
  v1::ControllerMessage message;
  ASSERT_TRUE(worker.Next(v1::ControllerMessage::kStop, &message));
  EXPECT_EQ(message.stop().attempt().epoch(), ref.epoch());
  EXPECT_EQ(message.stop().reason(), "stopped by a user");
  v1::WorkerMessage facts;
  AddEnded(&facts, ref, 1);
  ASSERT_TRUE(worker.Write(facts));
  rig.WaitForEnd("digits");
  EXPECT_EQ(rig.GetTrial("digits", 0).state(), v1::Trial::CANCELLED);
  Context context;
  ExpectRefused(rig.trials->StopTrial(&context, request, &trial), StatusCode::FAILED_PRECONDITION, "TRIAL_TERMINAL");
}

}  // namespace
}  // namespace tunesmith::rpc
