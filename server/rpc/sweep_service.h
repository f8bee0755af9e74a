// SweepService of the contract.
#pragma once

#include "server/rpc/edge.h"
#include "server/rpc/watch_stream.h"
#include "tunesmith/v1/tuning_service.grpc.pb.h"

namespace tunesmith::rpc {

// Thread-safe: every call goes through the loop.
class SweepServiceImpl final : public v1::SweepService::CallbackService {
 public:
  SweepServiceImpl(Edge* edge, WatchHub* watches) : edge_(edge), watches_(watches) {}

  grpc::ServerUnaryReactor* CreateSweep(grpc::CallbackServerContext* context, const v1::CreateSweepRequest* request,
                                        v1::Sweep* response) override;
  grpc::ServerUnaryReactor* GetSweep(grpc::CallbackServerContext* context, const v1::GetSweepRequest* request,
                                     v1::Sweep* response) override;
  grpc::ServerUnaryReactor* ListSweeps(grpc::CallbackServerContext* context, const v1::ListSweepsRequest* request,
                                       v1::ListSweepsResponse* response) override;
  grpc::ServerWriteReactor<v1::WatchSweepResponse>* WatchSweep(grpc::CallbackServerContext* context,
                                                               const v1::WatchSweepRequest* request) override;
  grpc::ServerUnaryReactor* StopSweep(grpc::CallbackServerContext* context, const v1::StopSweepRequest* request,
                                      v1::Sweep* response) override;
  grpc::ServerUnaryReactor* PauseSweep(grpc::CallbackServerContext* context, const v1::PauseSweepRequest* request,
                                       v1::Sweep* response) override;
  grpc::ServerUnaryReactor* UpdateSweep(grpc::CallbackServerContext* context, const v1::UpdateSweepRequest* request,
                                        v1::Sweep* response) override;
  grpc::ServerUnaryReactor* ResumeSweep(grpc::CallbackServerContext* context, const v1::ResumeSweepRequest* request,
                                        v1::Sweep* response) override;
  grpc::ServerUnaryReactor* DeleteSweep(grpc::CallbackServerContext* context, const v1::DeleteSweepRequest* request,
                                        v1::DeleteSweepResponse* response) override;
  grpc::ServerUnaryReactor* GetImportance(grpc::CallbackServerContext* context,
                                          const v1::GetImportanceRequest* request,
                                          v1::GetImportanceResponse* response) override;

 private:
  grpc::ServerUnaryReactor* Control(grpc::CallbackServerContext* context, const std::string& id,
                                    ControlSweep::Operation operation, v1::Sweep* response);
  // A command that `make` gives for the sweep's number, answered by the sweep as it is then.
  template <typename Make>
  grpc::ServerUnaryReactor* Change(grpc::CallbackServerContext* context, const std::string& id, const Make& make,
                                   v1::Sweep* response);
  void Create(const v1::CreateSweepRequest& request, const Edge::SharedReply<v1::Sweep>& reply);

  Edge* const edge_;
  WatchHub* const watches_;
};

}  // namespace tunesmith::rpc
