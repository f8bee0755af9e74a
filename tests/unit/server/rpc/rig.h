// A whole controller in this process, served on a free loopback port, and what talks to it.
#pragma once

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/journal/sqlite_journal.h"
#include "server/rpc/server.h"
#include "server/runtime/log_store.h"
#include "server/runtime/loop.h"
#include "server/runtime/searcher_pool.h"
#include "tunesmith/v1/error.pb.h"
#include "tunesmith/v1/tuning_service.grpc.pb.h"
#include "tunesmith/v1/worker_service.grpc.pb.h"

namespace tunesmith::rpc {

inline v1::ErrorDetail DetailOf(const grpc::Status& status) {
  v1::ErrorDetail detail;
  EXPECT_TRUE(detail.ParseFromString(status.error_details()));
  return detail;
}

// Fails the test unless the status has this code and reason.
inline void ExpectRefused(const grpc::Status& status, grpc::StatusCode code, const std::string& reason) {
  EXPECT_EQ(status.error_code(), code) << status.error_message();
  EXPECT_EQ(DetailOf(status).reason(), reason) << status.error_message();
  EXPECT_FALSE(status.error_message().empty());
}

// A client context with a deadline, as every call of ours has.
struct Context : grpc::ClientContext {
  Context() { set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30)); }
};

inline v1::SweepSpec RandomSweep(const std::string& name, int64_t trials) {
  v1::SweepSpec spec;
  spec.set_name(name);
  spec.mutable_program()->add_command("train");
  spec.mutable_program()->add_command("${args}");
  v1::ParameterSpec* lr = spec.add_parameters();
  lr->set_name("lr");
  lr->mutable_uniform()->set_lo(0.1);
  lr->mutable_uniform()->set_hi(0.9);
  spec.mutable_search()->set_type("random");
  spec.mutable_search()->set_metric("loss");
  spec.mutable_search()->set_goal(v1::GOAL_MIN);
  spec.mutable_search()->set_seed(7);
  spec.mutable_budget()->set_trials(trials);
  return spec;
}

class Rig {
 public:
  // With `folder` the state of an earlier rig is taken up.
  explicit Rig(std::string folder = "", int64_t lease_ms = 20'000) : folder_(std::move(folder)), lease_ms_(lease_ms) {
    if (folder_.empty()) {
      std::string name = ::testing::TempDir() + "tunesmith_rpc_XXXXXX";
      EXPECT_NE(mkdtemp(name.data()), nullptr);
      folder_ = name;
      own_folder_ = true;
    }
    auto journal = OpenSqliteJournal(folder_ + "/journal.db");
    EXPECT_TRUE(journal.ok()) << journal.status();
    journal_ = std::move(*journal);
    logs_ = std::make_unique<LogStore>(folder_ + "/logs");
    checkpoints_ = std::make_unique<CheckpointStore>(folder_ + "/checkpoints", 0);
    sessions_ = std::make_unique<SessionHub>(lease_ms_, "rig");
    watches_ = std::make_unique<WatchHub>();
    searchers_ = std::make_unique<SearcherPool>(1, [this](Command answer) { loop_->Post(std::move(answer)); });
    loop_ = std::make_unique<Loop>(ControllerOptions{lease_ms_}, journal_.get(),
                                   LoopSinks{searchers_.get(), sessions_.get(), logs_.get(), watches_.get(),
                                             checkpoints_.get()},
                                   [] {
                                     return Time{std::chrono::duration_cast<std::chrono::milliseconds>(
                                                     std::chrono::system_clock::now().time_since_epoch())
                                                     .count()};
                                   });
    server_ = std::make_unique<RpcServer>(loop_.get(), journal_.get(), logs_.get(), checkpoints_.get(), sessions_.get(),
                                          watches_.get());
    const Status started = server_->Start("127.0.0.1:0", grpc::InsecureServerCredentials());
    EXPECT_TRUE(started.ok()) << started;
    channel_ = NewChannel({});
    sweeps = v1::SweepService::NewStub(channel_);
    trials = v1::TrialService::NewStub(channel_);
    admin = v1::WorkerAdminService::NewStub(channel_);
    workers = v1::WorkerService::NewStub(channel_);
  }

  ~Rig() {
    server_->Drain();
    searchers_.reset();
    loop_.reset();
    if (own_folder_) std::filesystem::remove_all(folder_);
  }

  Rig& Serve() {
    EXPECT_TRUE(loop_->Start().ok());
    server_->SetServing();
    return *this;
  }

  std::shared_ptr<grpc::Channel> NewChannel(grpc::ChannelArguments arguments) {
    // Not shared with other rigs of this process.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(server_->port()),
                                     grpc::InsecureChannelCredentials(), arguments);
  }

  RpcServer& server() { return *server_; }
  const std::string& folder() const { return folder_; }
  void KeepFolder() { own_folder_ = false; }

  // --- calls that must succeed

  v1::Sweep Create(const v1::SweepSpec& spec) {
    Context context;
    v1::CreateSweepRequest request;
    *request.mutable_spec() = spec;
    v1::Sweep sweep;
    const grpc::Status status = sweeps->CreateSweep(&context, request, &sweep);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return sweep;
  }
  v1::Sweep Get(const std::string& id) {
    Context context;
    v1::GetSweepRequest request;
    request.set_sweep(id);
    v1::Sweep sweep;
    const grpc::Status status = sweeps->GetSweep(&context, request, &sweep);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return sweep;
  }
  v1::Trial GetTrial(const std::string& id, uint32_t number) {
    Context context;
    v1::GetTrialRequest request;
    request.set_sweep(id);
    request.set_trial(number);
    v1::Trial trial;
    const grpc::Status status = trials->GetTrial(&context, request, &trial);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return trial;
  }
  // Blocks on the watch until `done` holds, without polling.
  v1::Sweep WaitFor(const std::string& id, const std::function<bool(const v1::Sweep&)>& done) {
    Context context;
    v1::WatchSweepRequest request;
    request.set_sweep(id);
    request.mutable_min_interval()->set_nanos(1'000'000);
    auto reader = sweeps->WatchSweep(&context, request);
    v1::WatchSweepResponse response;
    v1::Sweep last;
    while (reader->Read(&response)) {
      if (response.has_sweep()) last = response.sweep();
      if (done(last)) {
        context.TryCancel();
        return last;
      }
    }
    EXPECT_TRUE(done(last)) << "the watch ended first: " << reader->Finish().error_message();
    return last;
  }
  v1::Sweep WaitForEnd(const std::string& id) {
    return WaitFor(id, [](const v1::Sweep& sweep) { return sweep.has_end_time(); });
  }

  std::unique_ptr<v1::SweepService::Stub> sweeps;
  std::unique_ptr<v1::TrialService::Stub> trials;
  std::unique_ptr<v1::WorkerAdminService::Stub> admin;
  std::unique_ptr<v1::WorkerService::Stub> workers;

 private:
  std::string folder_;
  const int64_t lease_ms_;
  bool own_folder_ = false;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<LogStore> logs_;
  std::unique_ptr<CheckpointStore> checkpoints_;
  std::unique_ptr<SessionHub> sessions_;
  std::unique_ptr<WatchHub> watches_;
  std::unique_ptr<SearcherPool> searchers_;
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<RpcServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

// A daemon played by the test.
class FakeWorker {
 public:
  FakeWorker(Rig* rig, const std::string& name, int cpus, const std::string& boot_id = "boot",
             const std::vector<v1::AttemptRef>& attempts = {})
      : stream_(rig->workers->Session(&context_)) {
    v1::WorkerMessage message;
    v1::Hello* hello = message.mutable_hello();
    hello->set_name(name);
    hello->set_boot_id(boot_id);
    hello->set_host("test-host");
    hello->set_cpus(cpus);
    (*hello->mutable_labels())["zone"] = "a";
    for (const v1::AttemptRef& ref : attempts) *hello->add_attempts() = ref;
    Write(message);
  }
  ~FakeWorker() {
    context_.TryCancel();
    if (!finished_) (void)Finish();
  }

  bool Write(const v1::WorkerMessage& message) { return stream_->Write(message); }
  // The next message of this kind; others are dropped. False if the stream has ended first.
  bool Next(v1::ControllerMessage::KindCase kind, v1::ControllerMessage* message) {
    while (stream_->Read(message)) {
      if (message->kind_case() == kind) return true;
    }
    return false;
  }
  bool NextAny(v1::ControllerMessage* message) { return stream_->Read(message); }
  v1::Assign NextAssign() {
    v1::ControllerMessage message;
    EXPECT_TRUE(Next(v1::ControllerMessage::kAssign, &message));
    return message.assign();
  }
  v1::Welcome NextWelcome() {
    v1::ControllerMessage message;
    EXPECT_TRUE(Next(v1::ControllerMessage::kWelcome, &message));
    return message.welcome();
  }
  // Blocks until the records up to `sequence` are durable.
  void WaitForAck(uint64_t sequence) {
    v1::ControllerMessage message;
    do {
      ASSERT_TRUE(Next(v1::ControllerMessage::kAck, &message));
    } while (message.ack().sequence() < sequence);
  }
  grpc::Status Finish() {
    finished_ = true;
    v1::ControllerMessage rest;
    while (stream_->Read(&rest)) {
    }
    return stream_->Finish();
  }
  void CloseWrites() { stream_->WritesDone(); }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::WorkerMessage, v1::ControllerMessage>> stream_;
  bool finished_ = false;
};

inline v1::Record* AddRecord(v1::WorkerMessage* message, const v1::AttemptRef& ref, uint64_t sequence) {
  v1::Record* record = message->mutable_records()->add_records();
  *record->mutable_attempt() = ref;
  record->set_sequence(sequence);
  return record;
}

inline void AddMeasured(v1::WorkerMessage* message, const v1::AttemptRef& ref, uint64_t sequence, int64_t step,
                        double loss) {
  v1::Record::Measured* measured = AddRecord(message, ref, sequence)->mutable_measured();
  measured->set_step(step);
  v1::MetricValue* metric = measured->add_metrics();
  metric->set_name("loss");
  metric->set_value(loss);
}

inline void AddEnded(v1::WorkerMessage* message, const v1::AttemptRef& ref, uint64_t sequence, int exit_code = 0) {
  AddRecord(message, ref, sequence)->mutable_ended()->set_exit_code(exit_code);
}

}  // namespace tunesmith::rpc
