// The gRPC server: all services, health, reflection, and the order of a shutdown.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>

#include <memory>
#include <string>

#include "common/status.h"
#include "server/rpc/edge.h"
#include "server/rpc/sweep_service.h"
#include "server/rpc/trial_service.h"
#include "server/rpc/watch_stream.h"
#include "server/rpc/worker_admin_service.h"
#include "server/rpc/worker_session.h"

namespace tunesmith::rpc {

// Owned by main. Start, SetServing and Drain are called from one thread, in this order.
class RpcServer {
 public:
  // `sessions` and `watches` are the loop's sinks; all of them outlive the server.
  RpcServer(Loop* loop, Journal* journal, const LogStore* logs, CheckpointStore* checkpoints, SessionHub* sessions,
            WatchHub* watches);
  ~RpcServer();

  // Listens on `address` ("127.0.0.1:0" picks a port). Health says NOT_SERVING and calls get UNAVAILABLE until
  // SetServing. FAILED_PRECONDITION if the address is taken.
  Status Start(const std::string& address, std::shared_ptr<grpc::ServerCredentials> credentials);
  // After the loop has started.
  void SetServing();
  // Refuses what is new, commits and answers what was taken (stops the loop), closes every stream with UNAVAILABLE,
  // and then the server. Idempotent.
  void Drain();

  int port() const { return port_; }
  // A channel into this process, for tests.
  std::shared_ptr<grpc::Channel> TestOnlyChannel();
  size_t TestOnlyStreams() { return edge_.streams()->size(); }

 private:
  void SetHealth(bool serving);

  Loop* const loop_;
  Edge edge_;
  SweepServiceImpl sweeps_;
  TrialServiceImpl trials_;
  WorkerAdminServiceImpl admin_;
  WorkerServiceImpl workers_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

}  // namespace tunesmith::rpc
