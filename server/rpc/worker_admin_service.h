// WorkerAdminService of the contract.
#pragma once

#include "server/rpc/edge.h"
#include "tunesmith/v1/tuning_service.grpc.pb.h"

namespace tunesmith::rpc {

// Thread-safe: every call goes through the loop.
class WorkerAdminServiceImpl final : public v1::WorkerAdminService::CallbackService {
 public:
  explicit WorkerAdminServiceImpl(Edge* edge) : edge_(edge) {}

  grpc::ServerUnaryReactor* ListWorkers(grpc::CallbackServerContext* context, const v1::ListWorkersRequest* request,
                                        v1::ListWorkersResponse* response) override;
  grpc::ServerUnaryReactor* DrainWorker(grpc::CallbackServerContext* context, const v1::DrainWorkerRequest* request,
                                        v1::Worker* response) override;
  grpc::ServerUnaryReactor* UndrainWorker(grpc::CallbackServerContext* context,
                                          const v1::UndrainWorkerRequest* request, v1::Worker* response) override;

 private:
  grpc::ServerUnaryReactor* Drain(grpc::CallbackServerContext* context, tunesmith::DrainWorker command,
                                    v1::Worker* response);

  Edge* const edge_;
};

}  // namespace tunesmith::rpc
