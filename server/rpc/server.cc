#include "server/rpc/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server_builder.h>

#include <chrono>

#include "common/limits.h"
#include "common/log.h"

namespace tunesmith::rpc {
namespace {

constexpr std::chrono::seconds kStreamsEndMax{5};
constexpr std::chrono::seconds kShutdownMax{2};
constexpr size_t kMemoryBytesMax = size_t{512} << 20;  // of all connections' buffers

void SetOptions(grpc::ServerBuilder* builder) {
  // With SO_REUSEPORT a second controller would bind the same port and quietly take every other connection.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->SetMaxReceiveMessageSize(kReceiveBytesMax);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 128);
  // A peer that is frozen or cut off says nothing; these find it.
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // Clients ping every 25 s; the library's own minimum of 5 min would end their connections.
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  grpc::ResourceQuota quota("tunesmith");
  quota.Resize(kMemoryBytesMax);
  builder->SetResourceQuota(quota);
}

}  // namespace

RpcServer::RpcServer(Loop* loop, Journal* journal, const LogStore* logs, CheckpointStore* checkpoints,
                     SessionHub* sessions, WatchHub* watches)
    : loop_(loop),
      edge_(loop, journal, logs, checkpoints),
      sweeps_(&edge_, watches),
      trials_(&edge_),
      admin_(&edge_),
      workers_(&edge_, sessions) {}

RpcServer::~RpcServer() { Drain(); }

Status RpcServer::Start(const std::string& address, std::shared_ptr<grpc::ServerCredentials> credentials) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  SetOptions(&builder);
  builder.AddListeningPort(address, std::move(credentials), &port_);
  builder.RegisterService(&sweeps_);
  builder.RegisterService(&trials_);
  builder.RegisterService(&admin_);
  builder.RegisterService(&workers_);
  server_ = builder.BuildAndStart();
  if (server_ == nullptr || port_ == 0) {
    return FailedPrecondition("cannot listen on " + address +
                              ": the address is taken (by another controller?), it is not one of this machine, or "
                              "the TLS files do not hold what they should");
  }
  SetHealth(false);
  return OkStatus();
}

void RpcServer::SetHealth(bool serving) {
  grpc::HealthCheckServiceInterface* health = server_->GetHealthCheckService();
  health->SetServingStatus(serving);
  for (const char* service : {v1::SweepService::service_full_name(), v1::TrialService::service_full_name(),
                              v1::WorkerAdminService::service_full_name(), v1::WorkerService::service_full_name()}) {
    health->SetServingStatus(service, serving);
  }
}

void RpcServer::SetServing() {
  edge_.set_phase(Edge::Phase::kServing);
  SetHealth(true);
}

void RpcServer::Drain() {
  if (server_ == nullptr) return;
  SetHealth(false);
  edge_.set_phase(Edge::Phase::kDraining);
  edge_.streams()->BeginDrain();
  loop_->Stop();
  edge_.streams()->CloseAll(Unavailable("the controller is shutting down; connect again in a moment"));
  if (!edge_.streams()->WaitEmpty(kStreamsEndMax)) {
    Log(LogLevel::kWarning, "streams_left", {{"count", uint64_t{edge_.streams()->size()}}});
  }
  server_->Shutdown(std::chrono::system_clock::now() + kShutdownMax);
  server_.reset();
}

std::shared_ptr<grpc::Channel> RpcServer::TestOnlyChannel() {
  return server_->InProcessChannel(grpc::ChannelArguments());
}

}  // namespace tunesmith::rpc
