// WorkerService.Session over a real port: running, reconnecting, refusing.
#include <cmath>

#include "common/limits.h"
#include "tests/unit/server/rpc/rig.h"

namespace tunesmith::rpc {
namespace {

using grpc::StatusCode;

v1::SweepSpec AshaSweep(const std::string& name, int64_t trials) {
  v1::SweepSpec spec = RandomSweep(name, trials);
  v1::SchedulerSpec* scheduler = spec.mutable_scheduler();
  scheduler->set_type("asha");
  scheduler->set_metric("loss");
  scheduler->set_goal(v1::GOAL_MIN);
  scheduler->set_max_t(9);
  scheduler->set_grace_period(1);
  scheduler->set_reduction_factor(3);
  return spec;
}

TEST(SessionApiTest, AWorkerIsWelcomedAndGetsWhatATrialNeeds) {
  Rig rig;
  rig.Serve();
  v1::SweepSpec spec = AshaSweep("digits", 1);
  (*spec.mutable_program()->mutable_env())["SEED"] = "${seed}";
  spec.mutable_scheduler()->set_metric("accuracy");
  spec.mutable_scheduler()->set_goal(v1::GOAL_MAX);
  v1::ParameterSpec* momentum = spec.add_parameters();
  momentum->set_name("momentum");
  momentum->mutable_uniform()->set_hi(1);
  v1::ParameterSpec::Condition* when = momentum->add_when();
  when->set_parameter("lr");
  when->set_op(v1::ParameterSpec::Condition::GREATER);
  when->add_values()->set_double_value(0.8999);  // never, for this seed
  rig.Create(spec);
  FakeWorker worker(&rig, "w", 2);
  const v1::Welcome welcome = worker.NextWelcome();
  EXPECT_EQ(welcome.heartbeat_ms(), kHeartbeatMs);
  EXPECT_EQ(welcome.lease_ms(), 20'000);
  EXPECT_NE(welcome.session(), 0U);
  const v1::Assign assign = worker.NextAssign();
  EXPECT_EQ(assign.sweep_id(), "digits");
  EXPECT_EQ(assign.attempt().trial(), 0U);
  EXPECT_EQ(assign.attempt().attempt(), 1U);
  EXPECT_NE(assign.attempt().epoch(), 0U);
  EXPECT_EQ(assign.program().command_size(), 2);
  EXPECT_EQ(assign.program().args(), v1::ProgramSpec::GNU);
  EXPECT_EQ(assign.program().env().at("SEED"), "${seed}");
  ASSERT_EQ(assign.parameters_size(), 1) << "inactive parameters are left out";
  EXPECT_EQ(assign.parameters(0).name(), "lr");
  EXPECT_EQ(assign.max_step(), 9);
  EXPECT_EQ(assign.cpus(), 1);
  EXPECT_EQ(assign.stop_grace_ms(), 10'000);
  EXPECT_FALSE(assign.resume());
  ASSERT_EQ(assign.metrics_size(), 2);
  EXPECT_EQ(assign.metrics(0), "loss");
  EXPECT_EQ(assign.metrics(1), "accuracy");
}

TEST(SessionApiTest, ASweepRunsToItsEndWithVerdictsBeforeTheirAcks) {
  Rig rig;
  rig.Serve();
  rig.Create(AshaSweep("digits", 6));
  FakeWorker worker(&rig, "w", 1);
  int stopped = 0;
  for (uint32_t n = 0; n < 6; ++n) {
    const v1::Assign assign = worker.NextAssign();
    EXPECT_EQ(assign.attempt().trial(), n);
    uint64_t sequence = 0;
    {
      v1::WorkerMessage facts;
      AddRecord(&facts, assign.attempt(), ++sequence)->mutable_started()->set_pid(100);
      AddRecord(&facts, assign.attempt(), ++sequence)->mutable_log()->set_data("hello\n");
      ASSERT_TRUE(worker.Write(facts));
    }
    bool stop = false;
    for (int64_t step = 1; step <= 9 && !stop; ++step) {
      v1::WorkerMessage facts;
      AddMeasured(&facts, assign.attempt(), ++sequence, step, 1.0 + n);  // each trial is worse than the one before
      ASSERT_TRUE(worker.Write(facts));
      v1::ControllerMessage message;
      bool judged = false;
      bool acked = false;
      while (!acked && worker.NextAny(&message)) {
        if (message.kind_case() == v1::ControllerMessage::kVerdict) {
          judged = true;
          EXPECT_EQ(message.verdict().sequence(), sequence);
          EXPECT_EQ(message.verdict().step(), step);
          EXPECT_FALSE(message.verdict().verdict().reason().empty());
          if (message.verdict().verdict().action() == v1::Verdict::STOP) stop = true;
        }
        acked = message.kind_case() == v1::ControllerMessage::kAck && message.ack().sequence() == sequence;
      }
      ASSERT_TRUE(acked);
      if (step == 1 || step == 3 || step == 9) {
        EXPECT_TRUE(judged) << "a rung at step " << step;
      }
    }
    stopped += stop ? 1 : 0;
    v1::WorkerMessage facts;
    AddEnded(&facts, assign.attempt(), ++sequence);
    ASSERT_TRUE(worker.Write(facts));
  }
  const v1::Sweep sweep = rig.WaitForEnd("digits");
  EXPECT_EQ(sweep.state(), v1::Sweep::SUCCEEDED);
  EXPECT_EQ(sweep.state_reason(), "all 6 trials have ended");
  EXPECT_GT(stopped, 0);
  EXPECT_GT(sweep.counts().stopped(), 0);
  EXPECT_EQ(sweep.counts().stopped() + sweep.counts().completed(), 6);
  EXPECT_EQ(sweep.best_trial(), 0U);
  EXPECT_EQ(sweep.best_value(), 1.0);
  EXPECT_EQ(sweep.best_parameters_size(), 1);
  EXPECT_EQ(sweep.device(), "cpu");
  EXPECT_EQ(sweep.waiting_reason(), "");
  ASSERT_EQ(sweep.metric_names_size(), 1);
  ASSERT_GT(sweep.rungs_size(), 0);
  EXPECT_EQ(sweep.rungs(0).milestone(), 3) << "the highest rung first; step 9 is the last one and no rung";
  const v1::Trial last = rig.GetTrial("digits", 5);
  EXPECT_EQ(last.state(), v1::Trial::STOPPED);
  EXPECT_NE(last.state_reason().find("worse than the cutoff"), std::string::npos) << last.state_reason();
  ASSERT_EQ(last.attempts_size(), 1);
  EXPECT_EQ(last.attempts(0).worker(), "w");
  EXPECT_EQ(last.attempts(0).state(), v1::Attempt::CANCELLED);
  EXPECT_EQ(rig.GetTrial("digits", 0).attempts(0).state(), v1::Attempt::SUCCEEDED);
  EXPECT_EQ(rig.GetTrial("digits", 0).curve_size(), 9);
}

TEST(SessionApiTest, AReconnectingWorkerAdoptsKillsAndForgets) {
  Rig rig;
  rig.Serve();
  rig.Create(RandomSweep("digits", 2));
  v1::AttemptRef running;
  v1::AttemptRef stopping;
  {
    FakeWorker worker(&rig, "w", 2);
    running = worker.NextAssign().attempt();
    stopping = worker.NextAssign().attempt();
    v1::WorkerMessage facts;
    AddMeasured(&facts, running, 1, 1, 0.5);
    ASSERT_TRUE(worker.Write(facts));
    worker.WaitForAck(1);
  }
  v1::StopTrialRequest stop;
  stop.set_sweep("digits");
  stop.set_trial(stopping.trial());
  v1::Trial trial;
  Context context;
  ASSERT_TRUE(rig.trials->StopTrial(&context, stop, &trial).ok());
  EXPECT_EQ(trial.state(), v1::Trial::STOPPING);

  v1::AttemptRef fenced = running;
  fenced.set_epoch(running.epoch() + 1000);
  v1::AttemptRef unknown = running;
  unknown.set_sweep(77);
  FakeWorker again(&rig, "w", 2, "boot", {running, stopping, fenced, unknown});
  const v1::Welcome welcome = again.NextWelcome();
  ASSERT_EQ(welcome.attempts_size(), 4);
  const auto answer_for = [&](const v1::AttemptRef& ref) {
    for (const v1::AttemptAnswer& answer : welcome.attempts()) {
      if (answer.attempt().SerializeAsString() == ref.SerializeAsString()) return answer;
    }
    return v1::AttemptAnswer();
  };
  EXPECT_EQ(answer_for(running).answer(), v1::AttemptAnswer::ADOPT);
  EXPECT_EQ(answer_for(running).acked(), 1U);
  EXPECT_EQ(answer_for(stopping).answer(), v1::AttemptAnswer::KILL);
  EXPECT_EQ(answer_for(stopping).reason(), "stopped by a user");
  EXPECT_EQ(answer_for(fenced).answer(), v1::AttemptAnswer::FORGET);
  EXPECT_EQ(answer_for(unknown).answer(), v1::AttemptAnswer::FORGET);
  v1::WorkerMessage facts;
  AddMeasured(&facts, running, 1, 1, 0.1);  // seen before: not counted again
  AddMeasured(&facts, running, 2, 2, 0.4);
  AddEnded(&facts, running, 3);
  AddEnded(&facts, stopping, 1);
  AddEnded(&facts, fenced, 1);  // stale: acknowledged and ignored
  ASSERT_TRUE(again.Write(facts));
  const v1::Sweep sweep = rig.WaitForEnd("digits");
  EXPECT_EQ(sweep.counts().completed(), 1);
  EXPECT_EQ(sweep.counts().cancelled(), 1);
  EXPECT_EQ(sweep.counts().measurements(), 2);
  EXPECT_EQ(sweep.best_value(), 0.4);
}

TEST(SessionApiTest, ARestartedControllerTakesOverWhatRuns) {
  v1::AttemptRef ref;
  std::string folder;
  {
    Rig rig;
    rig.KeepFolder();
    folder = rig.folder();
    rig.Serve();
    rig.Create(RandomSweep("digits", 1));
    FakeWorker worker(&rig, "w", 1);
    ref = worker.NextAssign().attempt();
    v1::WorkerMessage facts;
    AddMeasured(&facts, ref, 1, 1, 0.5);
    ASSERT_TRUE(worker.Write(facts));
    worker.WaitForAck(1);
  }
  Rig rig(folder);
  rig.Serve();
  EXPECT_EQ(rig.Get("digits").counts().running(), 1);
  FakeWorker worker(&rig, "w", 1, "boot", {ref});
  const v1::Welcome welcome = worker.NextWelcome();
  ASSERT_EQ(welcome.attempts_size(), 1);
  EXPECT_EQ(welcome.attempts(0).answer(), v1::AttemptAnswer::ADOPT);
  EXPECT_EQ(welcome.attempts(0).acked(), 1U);
  v1::WorkerMessage facts;
  AddEnded(&facts, ref, 2);
  ASSERT_TRUE(worker.Write(facts));
  EXPECT_EQ(rig.WaitForEnd("digits").state(), v1::Sweep::SUCCEEDED);
  std::filesystem::remove_all(folder);
}

TEST(SessionApiTest, ASecondDaemonOfTheSameNameIsRefusedAndTheSameDaemonReplacesItsStream) {
  Rig rig;
  rig.Serve();
  FakeWorker first(&rig, "w", 1, "boot-1");
  first.NextWelcome();
  FakeWorker other(&rig, "w", 1, "boot-2");
  ExpectRefused(other.Finish(), StatusCode::ALREADY_EXISTS, "SESSION_CLOSED");
  FakeWorker same(&rig, "w", 1, "boot-1");
  same.NextWelcome();
  EXPECT_EQ(first.Finish().error_code(), StatusCode::ABORTED);
}

TEST(SessionApiTest, WhatIsNotAsTheContractSaysClosesTheStream) {
  Rig rig;
  rig.Serve();
  rig.Create(RandomSweep("digits", 50));
  const auto refused_after = [&](const v1::WorkerMessage& message) {
    static int number = 0;
    FakeWorker worker(&rig, "w" + std::to_string(++number), 1);
    worker.NextWelcome();
    worker.Write(message);
    const grpc::Status status = worker.Finish();
    ExpectRefused(status, StatusCode::INVALID_ARGUMENT, "SESSION_INVALID");
    return status.error_message();
  };
  v1::AttemptRef ref;
  ref.set_sweep(1);
  ref.set_attempt(1);
  ref.set_epoch(1);
  v1::WorkerMessage message;
  EXPECT_NE(refused_after(message).find("must hold"), std::string::npos);
  message.mutable_hello()->set_name("w");
  EXPECT_NE(refused_after(message).find("first message"), std::string::npos);
  message.Clear();
  for (size_t i = 0; i <= kRecordsPerMessageMax; ++i) AddMeasured(&message, ref, i + 1, 1, 1);
  EXPECT_EQ(refused_after(message), "records: at most 1000 in one message, not 1001");
  message.Clear();
  AddMeasured(&message, ref, 1, -1, 1);
  EXPECT_NE(refused_after(message).find("records[0].measured.step"), std::string::npos);
  message.Clear();
  AddMeasured(&message, ref, 0, 1, 1);
  EXPECT_NE(refused_after(message).find("records[0].sequence"), std::string::npos);
  message.Clear();
  AddMeasured(&message, ref, 1, 1, 1);
  message.mutable_records()->mutable_records(0)->mutable_measured()->mutable_metrics(0)->set_name("");
  EXPECT_NE(refused_after(message).find("records[0].measured: metrics[0].name"), std::string::npos);
  message.mutable_records()->mutable_records(0)->mutable_measured()->mutable_metrics(0)->set_name(
      std::string(kNameBytesMax + 1, 'm'));
  EXPECT_NE(refused_after(message).find("1 to 256 bytes"), std::string::npos);
  message.Clear();
  AddRecord(&message, ref, 1);
  EXPECT_NE(refused_after(message).find("records[0].kind"), std::string::npos);
  message.Clear();
  AddMeasured(&message, v1::AttemptRef(), 1, 1, 1);
  EXPECT_NE(refused_after(message).find("records[0].attempt"), std::string::npos);

  grpc::ClientContext context;
  auto stream = rig.workers->Session(&context);
  v1::WorkerMessage heartbeat;
  heartbeat.mutable_heartbeat();
  stream->Write(heartbeat);
  v1::ControllerMessage answer;
  EXPECT_FALSE(stream->Read(&answer));
  EXPECT_EQ(stream->Finish().error_message(), "the first message of a session must be hello");
  FakeWorker nameless(&rig, "", 1);
  ExpectRefused(nameless.Finish(), StatusCode::INVALID_ARGUMENT, "SESSION_INVALID");
}

TEST(SessionApiTest, NaNIsRecordedAndIsNeverBest) {
  Rig rig;
  rig.Serve();
  rig.Create(RandomSweep("digits", 1));
  FakeWorker worker(&rig, "w", 1);
  const v1::AttemptRef ref = worker.NextAssign().attempt();
  v1::WorkerMessage facts;
  AddMeasured(&facts, ref, 1, 1, std::nan(""));
  ASSERT_TRUE(worker.Write(facts));
  worker.WaitForAck(1);
  EXPECT_FALSE(rig.Get("digits").has_best_trial());
  const v1::Trial trial = rig.GetTrial("digits", 0);
  EXPECT_FALSE(trial.has_best_value());
  ASSERT_EQ(trial.last_metrics_size(), 1);
  EXPECT_TRUE(std::isnan(trial.last_metrics(0).value()));
}

TEST(SessionApiTest, AStreamThatEndsByItselfLeavesTheWorkerOffline) {
  Rig rig;
  rig.Serve();
  FakeWorker worker(&rig, "w", 3);
  worker.NextWelcome();
  v1::ListWorkersResponse list;
  {
    Context context;
    ASSERT_TRUE(rig.admin->ListWorkers(&context, {}, &list).ok());
    ASSERT_EQ(list.workers_size(), 1);
    EXPECT_EQ(list.workers(0).name(), "w");
    EXPECT_EQ(list.workers(0).host(), "test-host");
    EXPECT_EQ(list.workers(0).state(), v1::Worker::ONLINE);
    EXPECT_EQ(list.workers(0).cpus(), 3);
    EXPECT_EQ(list.workers(0).labels().at("zone"), "a");
  }
  worker.CloseWrites();
  EXPECT_TRUE(worker.Finish().ok());
  do {  // the disconnection is a command of its own, after the stream's end
    list.Clear();
    Context context;
    ASSERT_TRUE(rig.admin->ListWorkers(&context, {}, &list).ok());
  } while (list.workers(0).state() == v1::Worker::ONLINE);
  EXPECT_EQ(list.workers(0).state(), v1::Worker::OFFLINE);
}

TEST(SessionApiTest, ADrainedWorkerIsToldAndGetsNothingUntilItIsUndrained) {
  Rig rig;
  rig.Serve();
  FakeWorker worker(&rig, "gpu-box", 1);
  worker.NextWelcome();
  v1::DrainWorkerRequest request;
  request.set_worker("gpu-bix");
  v1::Worker answer;
  {
    Context context;
    const grpc::Status status = rig.admin->DrainWorker(&context, request, &answer);
    ExpectRefused(status, StatusCode::NOT_FOUND, "WORKER_NOT_FOUND");
    EXPECT_NE(status.error_message().find("did you mean gpu-box?"), std::string::npos);
  }
  request.set_worker("gpu-box");
  request.set_stop_running(true);
  {
    Context context;
    ASSERT_TRUE(rig.admin->DrainWorker(&context, request, &answer).ok());
    EXPECT_EQ(answer.state(), v1::Worker::DRAINING);
    EXPECT_EQ(answer.state_reason(), "drained by a user");
  }
  v1::ControllerMessage message;
  ASSERT_TRUE(worker.Next(v1::ControllerMessage::kDrain, &message));
  EXPECT_TRUE(message.drain().stop_running());
  rig.Create(RandomSweep("digits", 1));
  EXPECT_EQ(rig.Get("digits").waiting_reason(), "every connected worker is draining or quarantined");
  v1::UndrainWorkerRequest undrain;
  undrain.set_worker("gpu-box");
  Context context;
  ASSERT_TRUE(rig.admin->UndrainWorker(&context, undrain, &answer).ok());
  EXPECT_EQ(answer.state(), v1::Worker::ONLINE);
  EXPECT_EQ(worker.NextAssign().sweep_id(), "digits");
}

TEST(SessionApiTest, AWorkerHearsWhichFilesNobodyNeeds) {
  Rig rig;
  rig.Serve();
  const auto review = [&](const std::string& controller, const std::vector<std::vector<uint32_t>>& trials_by_sweep,
                          v1::ReviewLeftoversResponse* response) {
    v1::ReviewLeftoversRequest request;
    request.set_controller_id(controller);
    for (size_t i = 0; i < trials_by_sweep.size(); ++i) {
      v1::TrialsOfSweep* kept = request.add_kept();
      kept->set_sweep(i + 1);
      kept->mutable_trials()->Assign(trials_by_sweep[i].begin(), trials_by_sweep[i].end());
    }
    Context context;
    return rig.workers->ReviewLeftovers(&context, request, response);
  };
  rig.Create(AshaSweep("gone", 1));
  {
    Context context;
    v1::DeleteSweepRequest request;
    request.set_sweep("gone");
    request.set_force(true);
    v1::DeleteSweepResponse nothing;
    ASSERT_TRUE(rig.sweeps->DeleteSweep(&context, request, &nothing).ok());
  }
  rig.Create(AshaSweep("digits", 4));
  FakeWorker worker(&rig, "w", 1);
  EXPECT_EQ(worker.NextWelcome().controller_id(), "rig");
  for (int n = 0; n < 4; ++n) {
    const v1::Assign assign = worker.NextAssign();
    v1::WorkerMessage facts;
    AddMeasured(&facts, assign.attempt(), 1, 1, 1.0 + n);
    AddEnded(&facts, assign.attempt(), 2);
    ASSERT_TRUE(worker.Write(facts));
  }
  rig.WaitForEnd("digits");
  std::vector<uint32_t> stopped;
  for (uint32_t n = 0; n < 4; ++n) {
    if (rig.GetTrial("digits", n).state() == v1::Trial::STOPPED) stopped.push_back(n);
  }
  ASSERT_FALSE(stopped.empty());
  v1::ReviewLeftoversResponse response;
  ASSERT_TRUE(review("rig", {{0}, {0, 1, 2, 3, 9}, {5}}, &response).ok());
  ASSERT_EQ(response.deleted_sweeps_size(), 1);
  EXPECT_EQ(response.deleted_sweeps(0), 1U);
  ASSERT_EQ(response.without_checkpoints_size(), 1);
  EXPECT_EQ(response.without_checkpoints(0).sweep(), 2U);
  EXPECT_EQ(std::vector<uint32_t>(response.without_checkpoints(0).trials().begin(),
                                  response.without_checkpoints(0).trials().end()),
            stopped);

  ExpectRefused(review("another", {{0}}, &response), StatusCode::FAILED_PRECONDITION, "OTHER_CONTROLLER");
  ExpectRefused(review("", {{0}}, &response), StatusCode::FAILED_PRECONDITION, "OTHER_CONTROLLER");
  ExpectRefused(review("rig", {std::vector<uint32_t>(kReviewedTrialsMax)}, &response), StatusCode::INVALID_ARGUMENT,
                "TOO_MANY_TRIALS");
}

}  // namespace
}  // namespace tunesmith::rpc
