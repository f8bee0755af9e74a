// A server-to-client stream: gRPC's reactor around an Outbox.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <memory>
#include <string>
#include <utility>

#include "server/rpc/outbox.h"
#include "server/rpc/registry.h"
#include "server/rpc/status_map.h"

namespace tunesmith::rpc {

// The two calls of an Outbox on a reactor (ServerWriteReactor or ServerBidiReactor).
template <typename Response, typename Reactor>
struct ReactorWire {
  using Final = grpc::Status;
  Reactor* reactor;

  void StartWrite(const Response* message, bool more_follows) {
    grpc::WriteOptions options;
    // What follows is written right after it: let the transport put both into one packet.
    if (more_follows) options.set_buffer_hint();
    reactor->StartWrite(message, options);
  }
  void Finish(const grpc::Status& status) { reactor->Finish(status); }
  static grpc::Status SlowReader(size_t limit) {
    return ToGrpc(ResourceExhausted("the reader is too slow: " + std::to_string(limit) +
                                    " messages wait; connect again for the present state"),
                  "SLOW_READER");
  }
  static grpc::Status WriteFailed() { return grpc::Status(grpc::StatusCode::CANCELLED, "the peer is gone"); }
};

// Lives in the registry from its creation to OnDone. Subclasses push messages and may act when all is written.
template <typename Response>
class WriterStream : public grpc::ServerWriteReactor<Response>, public LiveStream {
 public:
  WriterStream(Registry* registry, size_t limit) : registry_(registry), outbox_(&wire_, limit) {}

  void CloseWith(const Status& status) final { outbox_.Close(ToGrpc(status)); }
  void Close(const Status& status, const std::string& reason) { outbox_.Close(ToGrpc(status, reason)); }

 protected:
  using Box = Outbox<Response, ReactorWire<Response, grpc::ServerWriteReactor<Response>>>;
  // Everything is written and ReadyOrNotify was answered with false before. Runs on a gRPC thread.
  virtual void OnDrained() = 0;
  Box& outbox() { return outbox_; }

 private:
  void OnWriteDone(bool ok) final {
    if (outbox_.OnWriteDone(ok)) OnDrained();
  }
  void OnCancel() final { outbox_.Close(grpc::Status::CANCELLED); }
  void OnDone() final { registry_->Remove(this); }

  Registry* const registry_;
  ReactorWire<Response, grpc::ServerWriteReactor<Response>> wire_{this};
  Box outbox_;
};

}  // namespace tunesmith::rpc
