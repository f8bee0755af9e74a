// TrialService of the contract.
#pragma once

#include "server/rpc/edge.h"
#include "tunesmith/v1/tuning_service.grpc.pb.h"

namespace tunesmith::rpc {

// Thread-safe: every call goes through the loop, and what reads files through the side thread.
class TrialServiceImpl final : public v1::TrialService::CallbackService {
 public:
  explicit TrialServiceImpl(Edge* edge) : edge_(edge) {}

  grpc::ServerUnaryReactor* GetTrial(grpc::CallbackServerContext* context, const v1::GetTrialRequest* request,
                                     v1::Trial* response) override;
  grpc::ServerUnaryReactor* ListTrials(grpc::CallbackServerContext* context, const v1::ListTrialsRequest* request,
                                       v1::ListTrialsResponse* response) override;
  grpc::ServerUnaryReactor* ListMeasurements(grpc::CallbackServerContext* context,
                                             const v1::ListMeasurementsRequest* request,
                                             v1::ListMeasurementsResponse* response) override;
  grpc::ServerWriteReactor<v1::ReadLogsResponse>* ReadLogs(grpc::CallbackServerContext* context,
                                                           const v1::ReadLogsRequest* request) override;
  grpc::ServerUnaryReactor* StopTrial(grpc::CallbackServerContext* context, const v1::StopTrialRequest* request,
                                      v1::Trial* response) override;
  grpc::ServerUnaryReactor* AskTrials(grpc::CallbackServerContext* context, const v1::AskTrialsRequest* request,
                                      v1::AskTrialsResponse* response) override;
  grpc::ServerUnaryReactor* ReportTrial(grpc::CallbackServerContext* context, const v1::ReportTrialRequest* request,
                                        v1::Verdict* response) override;
  grpc::ServerUnaryReactor* RenewTrial(grpc::CallbackServerContext* context, const v1::RenewTrialRequest* request,
                                       v1::RenewTrialResponse* response) override;
  grpc::ServerUnaryReactor* CompleteTrial(grpc::CallbackServerContext* context,
                                          const v1::CompleteTrialRequest* request, v1::Trial* response) override;

 private:
  Edge* const edge_;
};

}  // namespace tunesmith::rpc
