// A controller for tests of the daemon: a gRPC server on 127.0.0.1 that says what the test wants
// and keeps what it hears.
#pragma once

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "tunesmith/v1/worker_service.grpc.pb.h"

namespace tunesmith::worker {

// Thread-safe. What it has heard outlives Restart, as a journal would.
class FakeController : public v1::WorkerService::Service {
 public:
  FakeController() { Start(0); }
  ~FakeController() override { Stop(); }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  void set_lease_ms(int64_t ms) { lease_ms_ = ms; }
  // Acknowledges nothing, as a controller with a slow disk.
  void set_acking(bool acking) {
    std::lock_guard lock(mutex_);
    acking_ = acking;
  }

  void Stop() {
    {
      std::lock_guard lock(mutex_);
      for (grpc::ServerContext* context : contexts_) context->TryCancel();
    }
    if (server_ != nullptr)
      server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(2));
    server_.reset();
  }
  void StartAgain() { Start(port_); }

  void Send(const v1::ControllerMessage& message) {
    std::lock_guard lock(mutex_);
    if (stream_ != nullptr) stream_->Write(message);
  }

  // True when `condition` (over this object's data, locked) held within `seconds`.
  bool WaitUntil(const std::function<bool()>& condition, int seconds = 20) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(seconds), condition);
  }

  // --- what it has heard; read inside WaitUntil, or when the daemon is quiet
  std::vector<v1::Hello> hellos;
  std::map<uint64_t, std::vector<v1::Record>>
      records;                      // by epoch, each sequence once, in order of arrival
  std::vector<std::string> faults;  // gaps and repetitions out of order
  bool draining = false;
  int sessions_open = 0;

  // The end of the attempt with this epoch; nullptr if it has not come.
  const v1::Record::Ended* EndOf(uint64_t epoch) {
    const auto it = records.find(epoch);
    if (it == records.end() || it->second.empty() || !it->second.back().has_ended()) return nullptr;
    return &it->second.back().ended();
  }
  std::vector<v1::Record> MeasuredOf(uint64_t epoch) {
    std::vector<v1::Record> measured;
    for (const v1::Record& record : records[epoch]) {
      if (record.has_measured()) measured.push_back(record);
    }
    return measured;
  }
  std::string LogOf(uint64_t epoch) {
    std::string text;
    for (const v1::Record& record : records[epoch])
      text += record.has_log() ? record.log().data() : "";
    return text;
  }

  // Attempts that it no longer knows: its answer to them is FORGET.
  std::map<uint64_t, bool> fenced_off;
  // Waits for an answer as the real one does: after a stop.
  std::function<std::optional<v1::ControllerMessage>(const v1::Record&)> on_record;

  grpc::Status Session(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::ControllerMessage, v1::WorkerMessage>* stream) override {
    v1::WorkerMessage message;
    if (!stream->Read(&message) || !message.has_hello())
      return {grpc::StatusCode::INVALID_ARGUMENT, "no hello"};
    {
      std::lock_guard lock(mutex_);
      contexts_.push_back(context);
      ++sessions_open;
      stream_ = stream;
      hellos.push_back(message.hello());
      stream->Write(MakeWelcome(message.hello()));
    }
    changed_.notify_all();
    while (stream->Read(&message)) {
      std::lock_guard lock(mutex_);
      if (message.has_heartbeat()) draining = message.heartbeat().draining();
      for (const v1::Record& record : message.records().records()) Take(record, stream);
      changed_.notify_all();
    }
    std::lock_guard lock(mutex_);
    std::erase(contexts_, context);
    if (stream_ == stream) stream_ = nullptr;
    --sessions_open;
    changed_.notify_all();
    return grpc::Status::OK;
  }

 private:
  void Start(int port) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:" + std::to_string(port), grpc::InsecureServerCredentials(),
                             &port_);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }

  v1::ControllerMessage MakeWelcome(const v1::Hello& hello) {
    v1::ControllerMessage message;
    v1::Welcome* welcome = message.mutable_welcome();
    welcome->set_session(hellos.size());
    welcome->set_heartbeat_ms(200);
    welcome->set_lease_ms(lease_ms_);
    for (const v1::AttemptRef& ref : hello.attempts()) {
      v1::AttemptAnswer* answer = welcome->add_attempts();
      *answer->mutable_attempt() = ref;
      answer->set_answer(fenced_off.count(ref.epoch()) != 0 ? v1::AttemptAnswer::FORGET
                                                            : v1::AttemptAnswer::ADOPT);
      answer->set_acked(LastSequence(ref.epoch()));
    }
    return message;
  }

  uint64_t LastSequence(uint64_t epoch) {
    const auto it = records.find(epoch);
    return it == records.end() || it->second.empty() ? 0 : it->second.back().sequence();
  }

  void Take(const v1::Record& record,
            grpc::ServerReaderWriter<v1::ControllerMessage, v1::WorkerMessage>* stream) {
    const uint64_t epoch = record.attempt().epoch();
    const uint64_t last = LastSequence(epoch);
    if (record.sequence() > last + 1) {
      faults.push_back("a gap before " + std::to_string(record.sequence()) + " of epoch " +
                       std::to_string(epoch));
    }
    if (record.sequence() > last) {
      if (EndOf(epoch) != nullptr)
        faults.push_back("a record after the end of epoch " + std::to_string(epoch));
      records[epoch].push_back(record);
      if (on_record) {
        if (const auto answer = on_record(record)) stream->Write(*answer);
      }
    }
    if (!acking_) return;
    v1::ControllerMessage message;
    *message.mutable_ack()->mutable_attempt() = record.attempt();
    message.mutable_ack()->set_sequence(record.sequence());
    stream->Write(message);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  int64_t lease_ms_ = 20'000;
  bool acking_ = true;
  grpc::ServerReaderWriter<v1::ControllerMessage, v1::WorkerMessage>* stream_ = nullptr;
  std::vector<grpc::ServerContext*> contexts_;
};

}  // namespace tunesmith::worker
