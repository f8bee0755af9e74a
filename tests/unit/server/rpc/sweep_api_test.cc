// SweepService over a real port: lifecycle, errors, pages, watching.
#include <set>
#include <thread>

#include "tests/unit/server/rpc/rig.h"

namespace tunesmith::rpc {
namespace {

using grpc::StatusCode;

TEST(SweepApiTest, CallsBeforeTheJournalIsReadAreToldToTryAgain) {
  Rig rig;
  Context context;
  v1::GetSweepRequest request;
  v1::Sweep sweep;
  ExpectRefused(rig.sweeps->GetSweep(&context, request, &sweep), StatusCode::UNAVAILABLE, "CONTROLLER_STARTING");
  FakeWorker worker(&rig, "w", 1);
  ExpectRefused(worker.Finish(), StatusCode::UNAVAILABLE, "CONTROLLER_STARTING");
}

TEST(SweepApiTest, ASweepIsCreatedAndReadBackWithItsSpec) {
  Rig rig;
  rig.Serve();
  const v1::Sweep created = rig.Create(RandomSweep("digits", 5));
  EXPECT_EQ(created.id(), "digits");
  EXPECT_EQ(created.state(), v1::Sweep::ACTIVE);
  EXPECT_EQ(created.counts().target(), 5);
  EXPECT_EQ(created.seed(), 7U);
  EXPECT_EQ(created.waiting_reason(), "no worker is connected");
  EXPECT_GT(created.create_time().seconds(), 1'000'000'000);
  EXPECT_FALSE(created.has_end_time());
  const v1::Sweep read = rig.Get("digits");
  EXPECT_EQ(read.spec().SerializeAsString(), created.spec().SerializeAsString());
  EXPECT_EQ(read.spec().parameters(0).uniform().hi(), 0.9);
  EXPECT_EQ(rig.Create(RandomSweep("digits", 5)).id(), "digits-2") << "the name is taken";
}

TEST(SweepApiTest, ARepeatedRequestGivesTheFirstAnswerAgain) {
  Rig rig;
  rig.Serve();
  v1::CreateSweepRequest request;
  *request.mutable_spec() = RandomSweep("digits", 5);
  request.set_request_id("r-1");
  v1::Sweep first;
  v1::Sweep second;
  Context context1;
  Context context2;
  ASSERT_TRUE(rig.sweeps->CreateSweep(&context1, request, &first).ok());
  ASSERT_TRUE(rig.sweeps->CreateSweep(&context2, request, &second).ok());
  EXPECT_EQ(second.id(), first.id());
  Context context3;
  request.set_request_id(std::string(65, 'x'));
  ExpectRefused(rig.sweeps->CreateSweep(&context3, request, &second), StatusCode::INVALID_ARGUMENT,
                "REQUEST_ID_INVALID");
}

TEST(SweepApiTest, ValidateOnlyChecksAndStartsNothing) {
  Rig rig;
  rig.Serve();
  v1::CreateSweepRequest request;
  *request.mutable_spec() = RandomSweep("digits", 5);
  request.set_validate_only(true);
  v1::Sweep answer;
  Context context;
  ASSERT_TRUE(rig.sweeps->CreateSweep(&context, request, &answer).ok());
  EXPECT_EQ(answer.id(), "");
  EXPECT_EQ(answer.spec().name(), "digits");
  v1::ListSweepsResponse list;
  Context context2;
  ASSERT_TRUE(rig.sweeps->ListSweeps(&context2, {}, &list).ok());
  EXPECT_EQ(list.sweeps_size(), 0);
}

TEST(SweepApiTest, AWrongSpecIsRefusedWithEveryFieldNamed) {
  Rig rig;
  rig.Serve();
  v1::CreateSweepRequest request;
  v1::Sweep answer;
  {
    Context context;
    ExpectRefused(rig.sweeps->CreateSweep(&context, request, &answer), StatusCode::INVALID_ARGUMENT, "SWEEP_INVALID");
  }
  *request.mutable_spec() = RandomSweep("digits", 0);
  request.mutable_spec()->mutable_parameters(0)->mutable_loguniform()->set_lo(-1);
  request.mutable_spec()->mutable_parameters(0)->mutable_loguniform()->set_hi(-2);
  Context context;
  const grpc::Status status = rig.sweeps->CreateSweep(&context, request, &answer);
  ExpectRefused(status, StatusCode::INVALID_ARGUMENT, "SWEEP_INVALID");
  std::set<std::string> fields;
  const v1::ErrorDetail detail = DetailOf(status);
  for (const v1::FieldProblem& problem : detail.problems()) fields.insert(problem.field());
  EXPECT_TRUE(fields.count("parameters.lr.loguniform")) << detail.DebugString();
  EXPECT_GE(fields.size(), 2U) << "the budget is wrong too: " << detail.DebugString();

  *request.mutable_spec() = RandomSweep("digits", 5);
  request.mutable_spec()->add_constraints("lr > 0");
  request.mutable_spec()->add_constraints("lr * batch < 1");
  Context second;
  const grpc::Status refused = rig.sweeps->CreateSweep(&second, request, &answer);
  ExpectRefused(refused, StatusCode::INVALID_ARGUMENT, "SWEEP_INVALID");
  ASSERT_EQ(DetailOf(refused).problems_size(), 1);
  EXPECT_EQ(DetailOf(refused).problems(0).field(), "constraints[1]");
  EXPECT_EQ(DetailOf(refused).problems(0).message(), "column 6: there is no parameter \"batch\"");
}

TEST(SweepApiTest, AnUnknownSweepIsNotFoundAndTheClosestIdIsNamed) {
  Rig rig;
  rig.Serve();
  rig.Create(RandomSweep("digits", 5));
  v1::GetSweepRequest request;
  request.set_sweep("digist");
  v1::Sweep sweep;
  Context context;
  const grpc::Status status = rig.sweeps->GetSweep(&context, request, &sweep);
  ExpectRefused(status, StatusCode::NOT_FOUND, "SWEEP_NOT_FOUND");
  EXPECT_EQ(status.error_message(), "no sweep named digist; did you mean digits?");
  v1::StopSweepRequest stop;
  stop.set_sweep("digist");
  Context context2;
  EXPECT_EQ(rig.sweeps->StopSweep(&context2, stop, &sweep).error_message(), status.error_message());
  Context context3;
  ExpectRefused(rig.sweeps->GetSweep(&context3, {}, &sweep), StatusCode::INVALID_ARGUMENT, "SWEEP_MISSING");
}

TEST(SweepApiTest, SharesChangeWhileASweepRunsAndAreShownAtOnce) {
  Rig rig;
  rig.Serve();
  rig.Create(RandomSweep("digits", 5));
  v1::Sweep sweep;
  v1::UpdateSweepRequest request;
  request.set_sweep("digits");
  request.set_priority(3);
  request.set_max_parallel(2);
  Context context;
  EXPECT_TRUE(rig.sweeps->UpdateSweep(&context, request, &sweep).ok());
  EXPECT_EQ(sweep.spec().share().priority(), 3);
  EXPECT_EQ(sweep.spec().share().weight(), 1);
  EXPECT_EQ(sweep.spec().budget().max_parallel(), 2);
  v1::GetSweepRequest get;
  get.set_sweep("digits");
  Context context2;
  EXPECT_TRUE(rig.sweeps->GetSweep(&context2, get, &sweep).ok());
  EXPECT_EQ(sweep.spec().share().priority(), 3);
  request.set_weight(0);
  Context context3;
  ExpectRefused(rig.sweeps->UpdateSweep(&context3, request, &sweep), StatusCode::INVALID_ARGUMENT, "SWEEP_INVALID");
  request.clear_weight();
  request.set_preemptible(static_cast<v1::SweepSpec::Share::Preemptible>(9));
  Context context4;
  ExpectRefused(rig.sweeps->UpdateSweep(&context4, request, &sweep), StatusCode::INVALID_ARGUMENT, "SWEEP_INVALID");
}

TEST(SweepApiTest, PauseResumeStopAndDeleteFollowTheStates) {
  Rig rig;
  rig.Serve();
  rig.Create(RandomSweep("digits", 5));
  v1::Sweep sweep;
  const auto pause = [&] {
    Context context;
    v1::PauseSweepRequest request;
    request.set_sweep("digits");
    return rig.sweeps->PauseSweep(&context, request, &sweep);
  };
  const auto resume = [&] {
    Context context;
    v1::ResumeSweepRequest request;
    request.set_sweep("digits");
    return rig.sweeps->ResumeSweep(&context, request, &sweep);
  };
  const auto stop = [&] {
    Context context;
    v1::StopSweepRequest request;
    request.set_sweep("digits");
    return rig.sweeps->StopSweep(&context, request, &sweep);
  };
  const auto remove = [&](bool force) {
    Context context;
    v1::DeleteSweepRequest request;
    request.set_sweep("digits");
    request.set_force(force);
    v1::DeleteSweepResponse response;
    return rig.sweeps->DeleteSweep(&context, request, &response);
  };
  EXPECT_TRUE(pause().ok());
  EXPECT_EQ(sweep.state(), v1::Sweep::PAUSED);
  EXPECT_EQ(sweep.waiting_reason(), "the sweep is paused");
  EXPECT_TRUE(resume().ok());
  EXPECT_EQ(sweep.state(), v1::Sweep::ACTIVE);
  ExpectRefused(remove(false), StatusCode::FAILED_PRECONDITION, "SWEEP_ACTIVE");
  EXPECT_TRUE(stop().ok());
  EXPECT_EQ(sweep.state(), v1::Sweep::CANCELLED);
  EXPECT_TRUE(sweep.has_end_time());
  EXPECT_TRUE(stop().ok()) << "stopping an ended sweep does nothing";
  ExpectRefused(pause(), StatusCode::FAILED_PRECONDITION, "SWEEP_NOT_ACTIVE");
  EXPECT_TRUE(remove(false).ok());
  ExpectRefused(stop(), StatusCode::NOT_FOUND, "SWEEP_NOT_FOUND");
  // The id is free again; the old number is not taken for the new sweep.
  rig.Create(RandomSweep("digits", 5));
  EXPECT_TRUE(pause().ok());
  EXPECT_EQ(sweep.state(), v1::Sweep::PAUSED);
  EXPECT_TRUE(remove(true).ok());
  ExpectRefused(pause(), StatusCode::NOT_FOUND, "SWEEP_NOT_FOUND");
}

TEST(SweepApiTest, PagesGoFromNewestToOldestWithoutGapOrRepetition) {
  Rig rig;
  rig.Serve();
  for (int i = 0; i < 5; ++i) rig.Create(RandomSweep("s" + std::to_string(i), 1));
  std::vector<std::string> seen;
  v1::ListSweepsRequest request;
  request.set_page_size(2);
  int pages = 0;
  do {
    v1::ListSweepsResponse response;
    Context context;
    ASSERT_TRUE(rig.sweeps->ListSweeps(&context, request, &response).ok());
    for (const v1::Sweep& sweep : response.sweeps()) seen.push_back(sweep.id());
    request.set_page_token(response.next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(seen, (std::vector<std::string>{"s4", "s3", "s2", "s1", "s0"}));
  v1::ListSweepsResponse response;
  request.set_page_token("made up");
  Context context;
  ExpectRefused(rig.sweeps->ListSweeps(&context, request, &response), StatusCode::INVALID_ARGUMENT,
                "PAGE_TOKEN_INVALID");
  request.clear_page_token();
  request.set_page_size(-1);
  Context context2;
  ExpectRefused(rig.sweeps->ListSweeps(&context2, request, &response), StatusCode::INVALID_ARGUMENT,
                "PAGE_SIZE_INVALID");
}

TEST(SweepApiTest, WatchingGivesASnapshotThenDeltasThenEndsWithTheSweep) {
  Rig rig;
  rig.Serve();
  rig.Create(RandomSweep("digits", 2));
  Context context;
  v1::WatchSweepRequest request;
  request.set_sweep("digits");
  request.mutable_min_interval()->set_nanos(1'000'000);
  auto reader = rig.sweeps->WatchSweep(&context, request);
  v1::WatchSweepResponse message;
  ASSERT_TRUE(reader->Read(&message));
  EXPECT_TRUE(message.snapshot());
  EXPECT_TRUE(message.snapshot_complete());
  EXPECT_EQ(message.sweep().id(), "digits");
  EXPECT_EQ(message.trials_size(), 0);

  FakeWorker worker(&rig, "w", 1);
  for (int i = 0; i < 2; ++i) {
    const v1::Assign assign = worker.NextAssign();
    v1::WorkerMessage facts;
    AddRecord(&facts, assign.attempt(), 1)->mutable_started()->set_pid(1);
    AddMeasured(&facts, assign.attempt(), 2, 1, 0.5);
    AddEnded(&facts, assign.attempt(), 3);
    ASSERT_TRUE(worker.Write(facts));
  }
  std::map<uint32_t, v1::Trial> trials;
  v1::Sweep last;
  bool saw_worker = false;
  while (reader->Read(&message)) {
    EXPECT_FALSE(message.snapshot());
    if (message.has_sweep()) {
      EXPECT_GT(message.sweep().revision(), 0U);
      EXPECT_GE(message.sweep().revision(), last.revision());
      last = message.sweep();
    }
    for (const v1::Trial& trial : message.trials()) trials[trial.number()] = trial;
    for (const v1::Worker& w : message.workers()) saw_worker = saw_worker || w.name() == "w";
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_TRUE(saw_worker);
  EXPECT_EQ(last.state(), v1::Sweep::SUCCEEDED);
  ASSERT_EQ(trials.size(), 2U);
  EXPECT_EQ(trials[1].state(), v1::Trial::COMPLETED);
  EXPECT_EQ(trials[1].best_value(), 0.5);

  // Watching an ended sweep: its snapshot, and the end.
  Context again;
  auto second = rig.sweeps->WatchSweep(&again, request);
  ASSERT_TRUE(second->Read(&message));
  EXPECT_TRUE(message.snapshot());
  EXPECT_EQ(message.trials_size(), 2);
  EXPECT_FALSE(second->Read(&message));
  EXPECT_TRUE(second->Finish().ok());
}

TEST(SweepApiTest, WatchingWhatIsNotThereOrGoesAwayEndsWithNotFound) {
  Rig rig;
  rig.Serve();
  v1::WatchSweepRequest request;
  request.set_sweep("digits");
  v1::WatchSweepResponse message;
  {
    Context context;
    auto reader = rig.sweeps->WatchSweep(&context, request);
    EXPECT_FALSE(reader->Read(&message));
    ExpectRefused(reader->Finish(), StatusCode::NOT_FOUND, "SWEEP_NOT_FOUND");
  }
  {
    Context context;
    v1::WatchSweepRequest wrong = request;
    wrong.mutable_min_interval()->set_seconds(INT64_MAX);
    auto reader = rig.sweeps->WatchSweep(&context, wrong);
    EXPECT_FALSE(reader->Read(&message));
    ExpectRefused(reader->Finish(), StatusCode::INVALID_ARGUMENT, "MIN_INTERVAL_INVALID");
  }
  rig.Create(RandomSweep("digits", 5));
  Context context;
  auto reader = rig.sweeps->WatchSweep(&context, request);
  ASSERT_TRUE(reader->Read(&message));
  v1::DeleteSweepRequest remove;
  remove.set_sweep("digits");
  remove.set_force(true);
  v1::DeleteSweepResponse removed;
  Context context2;
  ASSERT_TRUE(rig.sweeps->DeleteSweep(&context2, remove, &removed).ok());
  while (reader->Read(&message)) {
  }
  ExpectRefused(reader->Finish(), StatusCode::NOT_FOUND, "SWEEP_NOT_FOUND");
}

// More changes than the controller remembers pass while the reader does not read: it gets a new snapshot, not all of
// them, and the controller keeps one message for it.
TEST(SweepApiTest, AReaderThatIsTooSlowGetsANewSnapshot) {
  Rig rig;
  rig.Serve();
  v1::SweepSpec spec = RandomSweep("digits", 1);
  v1::ParameterSpec* wide = spec.add_parameters();
  wide->set_name("wide");
  // Every message holds the spec; three of them fill the reader's window.
  for (int i = 0; i < 5'000; ++i) wide->mutable_choice()->add_values()->set_string_value("choice-" + std::to_string(i));
  rig.Create(spec);
  grpc::ChannelArguments narrow;
  narrow.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  narrow.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 64 << 10);
  auto slow = v1::SweepService::NewStub(rig.NewChannel(narrow));
  Context context;
  v1::WatchSweepRequest request;
  request.set_sweep("digits");
  request.mutable_min_interval()->set_nanos(1'000'000);
  auto reader = slow->WatchSweep(&context, request);
  v1::WatchSweepResponse message;
  ASSERT_TRUE(reader->Read(&message));

  FakeWorker worker(&rig, "w", 1);
  const v1::Assign assign = worker.NextAssign();
  constexpr uint64_t kMessages = 80;
  constexpr uint64_t kEach = 1'000;
  std::thread writer([&] {
    uint64_t sequence = 0;
    for (uint64_t m = 0; m < kMessages; ++m) {
      v1::WorkerMessage facts;
      for (uint64_t i = 0; i < kEach; ++i) {
        ++sequence;
        AddMeasured(&facts, assign.attempt(), sequence, static_cast<int64_t>(sequence), 1.0);
      }
      worker.Write(facts);
    }
  });
  worker.WaitForAck(kMessages * kEach);
  writer.join();
  bool new_snapshot = false;
  int64_t measurements = 0;
  int messages = 0;
  while (measurements < static_cast<int64_t>(kMessages * kEach) && reader->Read(&message)) {
    ++messages;
    new_snapshot = new_snapshot || message.snapshot();
    if (message.has_sweep()) measurements = message.sweep().counts().measurements();
  }
  EXPECT_EQ(measurements, static_cast<int64_t>(kMessages * kEach));
  EXPECT_TRUE(new_snapshot) << messages << " messages";
  context.TryCancel();
}

TEST(SweepApiTest, ADrainAnswersEverybodyAndClosesEveryStream) {
  Rig rig;
  rig.Serve();
  rig.Create(RandomSweep("digits", 5));
  Context context;
  v1::WatchSweepRequest request;
  request.set_sweep("digits");
  auto reader = rig.sweeps->WatchSweep(&context, request);
  v1::WatchSweepResponse message;
  ASSERT_TRUE(reader->Read(&message));
  FakeWorker worker(&rig, "w", 0);
  worker.NextWelcome();
  const auto before = std::chrono::steady_clock::now();
  rig.server().Drain();
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(5));
  while (reader->Read(&message)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(worker.Finish().error_code(), StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace tunesmith::rpc
