#include "client/api/client.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <random>
#include <sstream>
#include <thread>
#include <utility>

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include "absl/strings/cord.h"
#include "common/limits.h"
#include "tunesmith/v1/error.pb.h"

namespace tunesmith {
namespace {

constexpr char kDetailUrl[] = "tunesmith.v1.ErrorDetail";
// Pings keep a silent watch alive through routers that forget; the server allows one every 10 s.
constexpr int kKeepaliveMs = 25'000;
// A restarted controller is back within a second, so gRPC's own pause between connects is kept
// short.
constexpr int kChannelBackoffMsMin = 50;
constexpr int kChannelBackoffMsMax = 1'000;
// A page of 1,000 trials with 500 parameters each is larger than gRPC's default of 4 MiB.
constexpr int kAnswerBytesMax = 64 << 20;
constexpr int kSweepsPerPage = 100;  // a sweep carries its whole space
constexpr int64_t kRetryPauseMsMin = 50;
constexpr int64_t kRetryPauseMsMax = 1'000;

using Clock = std::chrono::steady_clock;

StatusOr<std::string> ReadPem(const std::string& path, const char* what) {
  if (path.empty()) return std::string();
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in || text.str().empty())
    return InvalidArgument(std::string(what) + " file " + path + " can't be read");
  return text.str();
}

StatusOr<std::shared_ptr<grpc::ChannelCredentials>> Credentials(const ClientOptions& options) {
  if (!options.tls) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions ssl;
  TS_ASSIGN_OR_RETURN(ssl.pem_root_certs, ReadPem(options.ca_file, "TLS authority"));
  TS_ASSIGN_OR_RETURN(ssl.pem_cert_chain, ReadPem(options.cert_file, "TLS certificate"));
  TS_ASSIGN_OR_RETURN(ssl.pem_private_key, ReadPem(options.key_file, "TLS key"));
  return grpc::SslCredentials(ssl);
}

template <typename Duration>
int64_t Ms(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

v1::ErrorDetail DetailOf(const Status& status) {
  v1::ErrorDetail detail;
  const auto payload = status.GetPayload(kDetailUrl);
  if (payload.has_value()) detail.ParseFromString(std::string(*payload));
  return detail;
}

}  // namespace

std::string ReasonOf(const Status& status) { return DetailOf(status).reason(); }

Problems ProblemsOf(const Status& status) {
  const v1::ErrorDetail detail = DetailOf(status);
  Problems problems;
  for (const v1::FieldProblem& problem : detail.problems()) {
    problems.push_back({problem.field(), problem.message(), problem.hint()});
  }
  if (!problems.empty() && detail.more() > 0) {
    problems.push_back({"", "and " + std::to_string(detail.more()) + " more problems", ""});
  }
  return problems;
}

Status FromGrpc(const grpc::Status& status, const std::string& address) {
  if (status.ok()) return OkStatus();
  const auto code = static_cast<StatusCode>(static_cast<int>(status.error_code()));
  std::string message = status.error_message();
  v1::ErrorDetail detail;
  const bool has_detail =
      !status.error_details().empty() && detail.ParseFromString(status.error_details());
  // Without a detail the words are gRPC's own. They help with names and certificates; of a refused
  // connection they say "tcp handshaker shutdown".
  if (code == StatusCode::kUnavailable && !has_detail) {
    const bool helps = message.find("DNS") != std::string::npos ||
                       message.find("SSL") != std::string::npos ||
                       message.find("certificate") != std::string::npos;
    message =
        "the controller at " + address + " can't be reached" + (helps ? " (" + message + ")" : "");
  } else if (code == StatusCode::kDeadlineExceeded && !has_detail) {
    message = "the controller at " + address + " did not answer in time";
  } else if (code == StatusCode::kUnimplemented) {
    message = "the controller at " + address +
              " does not know this call; its version differs from this program's";
  }
  Status result = MakeStatus(code, message);
  if (has_detail) result.SetPayload(kDetailUrl, absl::Cord(status.error_details()));
  return result;
}

std::string NewRequestId() {
  std::random_device device;
  static constexpr char kHex[] = "0123456789abcdef";
  std::string id;
  for (int word = 0; word < 4; ++word) {
    uint32_t bits = device();
    for (int digit = 0; digit < 8; ++digit, bits >>= 4) id += kHex[bits & 15];
  }
  return id;
}

StatusOr<std::unique_ptr<Client>> Client::Create(const ClientOptions& options) {
  TS_ASSIGN_OR_RETURN(std::shared_ptr<grpc::ChannelCredentials> credentials, Credentials(options));
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kAnswerBytesMax);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kChannelBackoffMsMin);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kChannelBackoffMsMin);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kChannelBackoffMsMax);
  // A proxy named in the environment must never stand between this program and a controller on the
  // same machine.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return std::make_unique<Client>(
      grpc::CreateCustomChannel(options.address, credentials, arguments), options);
}

Client::Client(std::shared_ptr<grpc::Channel> channel, ClientOptions options)
    : options_(std::move(options)),
      channel_(std::move(channel)),
      sweeps_(v1::SweepService::NewStub(channel_)),
      trials_(v1::TrialService::NewStub(channel_)),
      workers_(v1::WorkerAdminService::NewStub(channel_)) {}

template <typename Stub, typename Request, typename Response>
StatusOr<Response> Client::Call(Stub* stub,
                                grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                             Response*),
                                const Request& request) {
  const auto start = Clock::now();
  int64_t pause_ms = kRetryPauseMsMin;
  while (true) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::milliseconds(options_.call_timeout_ms));
    Response response;
    const grpc::Status status = (stub->*method)(&context, request, &response);
    if (status.ok()) return response;
    const bool again = status.error_code() == grpc::StatusCode::UNAVAILABLE &&
                       Ms(Clock::now() - start) + pause_ms <= options_.retry_for_ms;
    if (!again) return FromGrpc(status, options_.address);
    std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
    pause_ms = std::min(pause_ms * 2, kRetryPauseMsMax);
  }
}

StatusOr<v1::Sweep> Client::CreateSweep(const v1::CreateSweepRequest& request) {
  return Call(sweeps_.get(), &v1::SweepService::Stub::CreateSweep, request);
}

StatusOr<v1::Sweep> Client::GetSweep(const std::string& sweep) {
  v1::GetSweepRequest request;
  request.set_sweep(sweep);
  return Call(sweeps_.get(), &v1::SweepService::Stub::GetSweep, request);
}

StatusOr<v1::Sweep> Client::StopSweep(const std::string& sweep) {
  v1::StopSweepRequest request;
  request.set_sweep(sweep);
  return Call(sweeps_.get(), &v1::SweepService::Stub::StopSweep, request);
}

StatusOr<v1::Sweep> Client::PauseSweep(const std::string& sweep) {
  v1::PauseSweepRequest request;
  request.set_sweep(sweep);
  return Call(sweeps_.get(), &v1::SweepService::Stub::PauseSweep, request);
}

StatusOr<v1::Sweep> Client::UpdateSweep(const v1::UpdateSweepRequest& request) {
  return Call(sweeps_.get(), &v1::SweepService::Stub::UpdateSweep, request);
}

StatusOr<v1::Sweep> Client::ResumeSweep(const std::string& sweep) {
  v1::ResumeSweepRequest request;
  request.set_sweep(sweep);
  return Call(sweeps_.get(), &v1::SweepService::Stub::ResumeSweep, request);
}

Status Client::DeleteSweep(const std::string& sweep, bool force) {
  v1::DeleteSweepRequest request;
  request.set_sweep(sweep);
  request.set_force(force);
  return Call(sweeps_.get(), &v1::SweepService::Stub::DeleteSweep, request).status();
}

StatusOr<v1::GetImportanceResponse> Client::GetImportance(const std::string& sweep,
                                                              const std::string& metric) {
  v1::GetImportanceRequest request;
  request.set_sweep(sweep);
  request.set_metric(metric);
  return Call(sweeps_.get(), &v1::SweepService::Stub::GetImportance, request);
}

StatusOr<v1::Trial> Client::GetTrial(const std::string& sweep, uint32_t trial) {
  v1::GetTrialRequest request;
  request.set_sweep(sweep);
  request.set_trial(trial);
  return Call(trials_.get(), &v1::TrialService::Stub::GetTrial, request);
}

StatusOr<v1::Trial> Client::StopTrial(const std::string& sweep, uint32_t trial) {
  v1::StopTrialRequest request;
  request.set_sweep(sweep);
  request.set_trial(trial);
  return Call(trials_.get(), &v1::TrialService::Stub::StopTrial, request);
}

StatusOr<v1::ListWorkersResponse> Client::ListWorkers() {
  return Call(workers_.get(), &v1::WorkerAdminService::Stub::ListWorkers, v1::ListWorkersRequest());
}

StatusOr<v1::Worker> Client::DrainWorker(const std::string& worker, bool stop_running) {
  v1::DrainWorkerRequest request;
  request.set_worker(worker);
  request.set_stop_running(stop_running);
  return Call(workers_.get(), &v1::WorkerAdminService::Stub::DrainWorker, request);
}

StatusOr<v1::Worker> Client::UndrainWorker(const std::string& worker) {
  v1::UndrainWorkerRequest request;
  request.set_worker(worker);
  return Call(workers_.get(), &v1::WorkerAdminService::Stub::UndrainWorker, request);
}

Status Client::ForEachSweep(const std::function<bool(const v1::Sweep&)>& item) {
  v1::ListSweepsRequest request;
  request.set_page_size(kSweepsPerPage);
  do {
    TS_ASSIGN_OR_RETURN(const v1::ListSweepsResponse page,
                        Call(sweeps_.get(), &v1::SweepService::Stub::ListSweeps, request));
    for (const v1::Sweep& sweep : page.sweeps()) {
      if (!item(sweep)) return OkStatus();
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return OkStatus();
}

Status Client::ForEachTrial(v1::ListTrialsRequest request,
                            const std::function<bool(const v1::Trial&)>& item) {
  if (request.page_size() == 0) request.set_page_size(kPageSizeMax);
  do {
    TS_ASSIGN_OR_RETURN(const v1::ListTrialsResponse page,
                        Call(trials_.get(), &v1::TrialService::Stub::ListTrials, request));
    for (const v1::Trial& trial : page.trials()) {
      if (!item(trial)) return OkStatus();
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return OkStatus();
}

Status Client::ForEachMeasurement(v1::ListMeasurementsRequest request,
                                  const std::function<bool(const v1::Measurement&)>& item) {
  if (request.page_size() == 0) request.set_page_size(kPageSizeMax);
  do {
    TS_ASSIGN_OR_RETURN(const v1::ListMeasurementsResponse page,
                        Call(trials_.get(), &v1::TrialService::Stub::ListMeasurements, request));
    for (const v1::Measurement& measurement : page.measurements()) {
      if (!item(measurement)) return OkStatus();
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return OkStatus();
}

std::unique_ptr<WatchStream> Client::Watch(const std::string& sweep, int64_t min_interval_ms) {
  v1::WatchSweepRequest request;
  request.set_sweep(sweep);
  request.mutable_min_interval()->set_seconds(min_interval_ms / 1000);
  request.mutable_min_interval()->set_nanos(static_cast<int32_t>(min_interval_ms % 1000) *
                                            1'000'000);
  return std::make_unique<WatchStream>(
      [&](grpc::ClientContext* context) { return sweeps_->WatchSweep(context, request); },
      options_.address);
}

std::unique_ptr<LogStream> Client::ReadLogs(const v1::ReadLogsRequest& request) {
  return std::make_unique<LogStream>(
      [&](grpc::ClientContext* context) { return trials_->ReadLogs(context, request); },
      options_.address);
}

}  // namespace tunesmith
