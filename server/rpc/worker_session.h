// WorkerService.Session: facts of a daemon go up, desired state goes down.
#pragma once

#include <google/protobuf/arena.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "common/ids.h"
#include "common/status.h"
#include "server/rpc/checkpoint_streams.h"
#include "server/rpc/edge.h"
#include "server/rpc/stream.h"
#include "server/runtime/loop.h"
#include "tunesmith/v1/worker_service.grpc.pb.h"

namespace tunesmith::rpc {

class SessionHub;

// One stream of one daemon. Each message becomes one command; the next one but kSessionMessagesInFlight is read when
// the loop has made the first durable, so a daemon that sends faster than the disk takes is slowed by flow control.
//
//   new --Hello--> greeted --records, heartbeats--> ... --end, error, CloseSession--> closed
//
// Lives in the registry from its creation to OnDone. Thread-safe as gRPC needs it.
class SessionStream final : public grpc::ServerBidiReactor<v1::WorkerMessage, v1::ControllerMessage>,
                            public LiveStream,
                            public std::enable_shared_from_this<SessionStream> {
 public:
  SessionStream(Edge* edge, SessionHub* hub, SessionId id);

  // Begins to read. Call once, when the stream is in the registry.
  void Start() { ReadMore(); }
  void Send(v1::ControllerMessage message) { outbox_.Push(std::move(message)); }
  void Close(const Status& status, const std::string& reason) { outbox_.Close(ToGrpc(status, reason)); }
  void CloseWith(const Status& status) override { Close(status, ""); }

 private:
  using Base = grpc::ServerBidiReactor<v1::WorkerMessage, v1::ControllerMessage>;

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override { outbox_.OnWriteDone(ok); }
  void OnCancel() override { outbox_.Close(grpc::Status::CANCELLED); }
  void OnDone() override;

  Status Take(v1::WorkerMessage* message);
  Status TakeHello(const v1::Hello& hello);
  void PostCounted(Command command);  // ReadMore follows when it is durable
  void ReadMore();

  Edge* const edge_;
  SessionHub* const hub_;
  const SessionId id_;
  bool greeted_ = false;  // reactions to reads only

  // A message is parsed into the arena and dropped with it: no allocation per record for the parser.
  alignas(8) std::array<char, 4096> first_block_;
  google::protobuf::Arena arena_;
  v1::WorkerMessage* message_ = nullptr;  // of the read in progress

  std::mutex read_mutex_;
  bool reading_ = false;   // guarded by read_mutex_
  int in_flight_ = 0;      // guarded by read_mutex_: messages with the loop

  ReactorWire<v1::ControllerMessage, Base> wire_{this};
  Outbox<v1::ControllerMessage, ReactorWire<v1::ControllerMessage, Base>> outbox_;
};

// Brings effects to the sessions that they are for; those for a session that is gone are dropped, since the daemon
// says what it has when it connects again.
class SessionHub : public EffectSink {
 public:
  SessionHub(int64_t lease_ms, std::string controller_id)
      : lease_ms_(lease_ms), controller_id_(std::move(controller_id)) {}

  // Loop thread.
  void Deliver(Effect effect) override;
  // Any thread: a new session, which the library deletes through the registry.
  grpc::ServerBidiReactor<v1::WorkerMessage, v1::ControllerMessage>* Open(Edge* edge);
  const std::string& controller_id() const { return controller_id_; }

 private:
  friend class SessionStream;
  void Remove(SessionId id);
  std::shared_ptr<SessionStream> Find(SessionId id) const;
  void Send(SessionId id, v1::ControllerMessage message) const;

  const int64_t lease_ms_;
  const std::string controller_id_;
  std::atomic<uint64_t> last_session_{0};
  mutable std::mutex mutex_;
  std::unordered_map<uint64_t, std::shared_ptr<SessionStream>> sessions_;  // guarded by mutex_
};

class WorkerServiceImpl final : public v1::WorkerService::CallbackService {
 public:
  WorkerServiceImpl(Edge* edge, SessionHub* hub) : edge_(edge), hub_(hub) {}
  grpc::ServerBidiReactor<v1::WorkerMessage, v1::ControllerMessage>* Session(
      grpc::CallbackServerContext* context) override {
    return hub_->Open(edge_);
  }
  grpc::ServerReadReactor<v1::PutCheckpointRequest>* PutCheckpoint(grpc::CallbackServerContext* /*context*/,
                                                                   v1::PutCheckpointResponse* /*response*/) override {
    return PutCheckpointStream::Open(edge_);
  }
  grpc::ServerWriteReactor<v1::GetCheckpointResponse>* GetCheckpoint(
      grpc::CallbackServerContext* /*context*/, const v1::GetCheckpointRequest* request) override {
    return GetCheckpointStream::Open(edge_, *request);
  }
  grpc::ServerUnaryReactor* ReviewLeftovers(grpc::CallbackServerContext* context,
                                            const v1::ReviewLeftoversRequest* request,
                                            v1::ReviewLeftoversResponse* response) override;

 private:
  Edge* const edge_;
  SessionHub* const hub_;
};

}  // namespace tunesmith::rpc
