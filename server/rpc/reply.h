// The answer to a unary call, given exactly once.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <utility>

#include "server/rpc/status_map.h"

namespace tunesmith::rpc {

// Move-only. Whoever drops it without an answer has answered INTERNAL, so no path can leave a caller waiting. The
// request and the response must not be touched after Finish.
template <typename Response>
class UnaryReply {
 public:
  UnaryReply(grpc::ServerUnaryReactor* reactor, Response* response) : reactor_(reactor), response_(response) {}
  UnaryReply(UnaryReply&& other) noexcept
      : reactor_(std::exchange(other.reactor_, nullptr)), response_(other.response_) {}
  UnaryReply& operator=(UnaryReply&&) = delete;
  ~UnaryReply() {
    if (reactor_ != nullptr) Finish(Internal("the call was dropped"));
  }

  // Valid until Finish.
  Response* response() const { return response_; }

  void Finish(const grpc::Status& status) { std::exchange(reactor_, nullptr)->Finish(status); }
  void Finish(const Status& status, const std::string& reason = "", const Problems& problems = {}) {
    Finish(ToGrpc(status, reason, problems));
  }
  void Ok() { Finish(grpc::Status::OK); }

 private:
  grpc::ServerUnaryReactor* reactor_;
  Response* response_;
};

}  // namespace tunesmith::rpc
