// The controller's API for this program: blocking calls with deadlines, retries and paging. Errors
// carry the controller's ErrorDetail; see ReasonOf and ProblemsOf.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>

#include "common/problem.h"
#include "common/status.h"
#include "tunesmith/v1/tuning_service.grpc.pb.h"

namespace tunesmith {

struct ClientOptions {
  std::string address;    // "host:port"
  bool tls = false;       // plain text otherwise
  std::string ca_file;    // PEM; "" = the system's own authorities
  std::string cert_file;  // PEM, with key_file: the client's own identity
  std::string key_file;
  int64_t call_timeout_ms = 10'000;  // of one try of a unary call
  // UNAVAILABLE calls that may be repeated are repeated this long. Longer than a controller's
  // restart.
  int64_t retry_for_ms = 3'000;
};

// UPPER_SNAKE reason of the controller's answer, or "".
std::string ReasonOf(const Status& status);
// The fields that the controller objects to; empty if it said none.
Problems ProblemsOf(const Status& status);
// A gRPC status as ours, ErrorDetail included. "what" names the peer in words for UNAVAILABLE:
// "127.0.0.1:7070".
Status FromGrpc(const grpc::Status& status, const std::string& address);

// A fresh random name of a request, so that repeating it creates nothing twice.
std::string NewRequestId();

// One running WatchSweep or ReadLogs call. Read blocks; Cancel may be called from any thread and
// unblocks it.
template <typename Response>
class ResponseStream {
 public:
  using Open = std::function<std::unique_ptr<grpc::ClientReader<Response>>(grpc::ClientContext*)>;
  ResponseStream(const Open& open, std::string address) : address_(std::move(address)) {
    reader_ = open(&context_);
  }
  ResponseStream(const ResponseStream&) = delete;
  ResponseStream& operator=(const ResponseStream&) = delete;

  // False at the end; then Finish says why.
  bool Read(Response* response) { return reader_->Read(response); }
  Status Finish() { return FromGrpc(reader_->Finish(), address_); }
  void Cancel() { context_.TryCancel(); }

 private:
  grpc::ClientContext context_;
  std::string address_;
  std::unique_ptr<grpc::ClientReader<Response>> reader_;
};

using WatchStream = ResponseStream<v1::WatchSweepResponse>;
using LogStream = ResponseStream<v1::ReadLogsResponse>;

// Thread-safe. Calls that read, and those that bring about a state (stop, pause, ...), are repeated
// on UNAVAILABLE.
class Client {
 public:
  // Fails only on unreadable TLS files; no connection is made yet.
  static StatusOr<std::unique_ptr<Client>> Create(const ClientOptions& options);
  // For tests: over a channel that exists.
  Client(std::shared_ptr<grpc::Channel> channel, ClientOptions options);

  const std::string& address() const { return options_.address; }

  // `request` must have a request_id: the call is repeated.
  StatusOr<v1::Sweep> CreateSweep(const v1::CreateSweepRequest& request);
  StatusOr<v1::Sweep> GetSweep(const std::string& sweep);
  StatusOr<v1::Sweep> StopSweep(const std::string& sweep);
  StatusOr<v1::Sweep> PauseSweep(const std::string& sweep);
  StatusOr<v1::Sweep> UpdateSweep(const v1::UpdateSweepRequest& request);
  StatusOr<v1::Sweep> ResumeSweep(const std::string& sweep);
  Status DeleteSweep(const std::string& sweep, bool force);
  StatusOr<v1::GetImportanceResponse> GetImportance(const std::string& sweep, const std::string& metric);
  StatusOr<v1::Trial> GetTrial(const std::string& sweep, uint32_t trial);
  StatusOr<v1::Trial> StopTrial(const std::string& sweep, uint32_t trial);
  StatusOr<v1::ListWorkersResponse> ListWorkers();
  StatusOr<v1::Worker> DrainWorker(const std::string& worker, bool stop_running);
  StatusOr<v1::Worker> UndrainWorker(const std::string& worker);

  // Page by page, one item after the other; `item` returns false to stop. Only one page is held.
  Status ForEachSweep(const std::function<bool(const v1::Sweep&)>& item);
  Status ForEachTrial(v1::ListTrialsRequest request,
                      const std::function<bool(const v1::Trial&)>& item);
  Status ForEachMeasurement(v1::ListMeasurementsRequest request,
                            const std::function<bool(const v1::Measurement&)>& item);

  std::unique_ptr<WatchStream> Watch(const std::string& sweep, int64_t min_interval_ms);
  std::unique_ptr<LogStream> ReadLogs(const v1::ReadLogsRequest& request);

 private:
  template <typename Stub, typename Request, typename Response>
  StatusOr<Response> Call(Stub* stub,
                          grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                       Response*),
                          const Request& request);

  ClientOptions options_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::SweepService::Stub> sweeps_;
  std::unique_ptr<v1::TrialService::Stub> trials_;
  std::unique_ptr<v1::WorkerAdminService::Stub> workers_;
};

}  // namespace tunesmith
