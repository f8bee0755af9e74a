#include "client/api/connection.h"

#include <chrono>
#include <cstdlib>
#include <thread>
#include <utility>
#include <vector>

#include "common/text.h"

namespace tunesmith {
namespace {

constexpr int64_t kJoinTimeoutMs = 30'000;
constexpr int64_t kJoinPauseMs = 100;
constexpr size_t kCandidatesShown = 5;

}  // namespace

StatusOr<std::unique_ptr<Connection>> Connection::Open(const Settings& settings, Need need) {
  std::unique_ptr<Connection> connection(new Connection(settings));
  if (!settings.server.empty()) {
    const char* variable = std::getenv("TUNESMITH_SERVER");
    connection->server_from_flag_ = variable == nullptr || settings.server != variable;
    TS_RETURN_IF_ERROR(connection->Connect(settings.server));
    return connection;
  }
  if (need == Need::kServer) {
    const std::string running = LocalStack::RunningAddress(settings.data_dir);
    connection->server_from_flag_ = running.empty();
    TS_RETURN_IF_ERROR(connection->Connect(running.empty() ? kDefaultServer : running));
    return connection;
  }
  if (need == Need::kState && !LocalStack::HasState(settings.data_dir)) {
    return NotFound("there are no sweeps in " + settings.data_dir +
                    " yet; start one with `tunesmith run`, or name a controller with --server");
  }
  LocalStack::Options options;
  options.data_dir = settings.data_dir;
  options.program_dir = ExecutableFolder();
  options.with_worker = need == Need::kRun;
  connection->local_ = std::make_unique<LocalStack>(std::move(options));
  TS_RETURN_IF_ERROR(connection->Reconnect());
  return connection;
}

Status Connection::Connect(const std::string& address) {
  ClientOptions options;
  options.address = address;
  // What this program starts itself listens on loopback only.
  options.tls = settings_.tls && local_ == nullptr;
  options.ca_file = settings_.tls_ca;
  options.cert_file = settings_.tls_cert;
  options.key_file = settings_.tls_key;
  TS_ASSIGN_OR_RETURN(client_, Client::Create(options));
  return OkStatus();
}

Status Connection::Reconnect() {
  if (local_ == nullptr) return Connect(client_->address());
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(kJoinTimeoutMs);
  while (true) {
    TS_ASSIGN_OR_RETURN(const std::string address, local_->Ensure());
    TS_RETURN_IF_ERROR(Connect(address));
    // A controller that we joined may be on its way out; then the folder is soon free.
    const Status status = client_->ListWorkers().status();
    if (status.code() != StatusCode::kUnavailable || std::chrono::steady_clock::now() >= deadline)
      return status;
    std::this_thread::sleep_for(std::chrono::milliseconds(kJoinPauseMs));
  }
}

std::string Connection::Program() const {
  return server_from_flag_ ? "tunesmith --server " + client_->address() : "tunesmith";
}

StatusOr<v1::Sweep> ResolveSweep(Client* client, const std::string& text) {
  StatusOr<v1::Sweep> exact = client->GetSweep(text);
  if (exact.ok() || exact.status().code() != StatusCode::kNotFound) return exact;
  std::vector<std::string> ids;
  std::vector<v1::Sweep> matches;
  TS_RETURN_IF_ERROR(client->ForEachSweep([&](const v1::Sweep& sweep) {
    ids.push_back(sweep.id());
    if (!text.empty() && sweep.id().rfind(text, 0) == 0) matches.push_back(sweep);
    return matches.size() <= kCandidatesShown;
  }));
  if (matches.size() == 1) return matches.front();
  if (matches.size() > 1) {
    std::vector<std::string> names;
    for (const v1::Sweep& sweep : matches) names.push_back(sweep.id());
    if (names.size() > kCandidatesShown) names.back() = "...";
    return NotFound("several sweeps start with \"" + text + "\": " + Join(names, ", "));
  }
  const std::string closest = ClosestWord(text, ids);
  std::string hint = "; `tunesmith ls` lists them";
  if (!closest.empty()) {
    hint = "; did you mean " + closest + "?";
  } else if (ids.empty()) {
    hint = "; there are none";
  }
  return NotFound("there is no sweep \"" + text + "\"" + hint);
}

}  // namespace tunesmith
