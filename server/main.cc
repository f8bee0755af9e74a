// tunesmith-server: the controller. Wiring only.
#include <fcntl.h>
#include <grpc/support/log.h>
#include <grpcpp/security/server_credentials.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <sstream>
#include <string>
#include <system_error>
#include <thread>

#include "common/drawn_id.h"
#include "common/log.h"
#include "common/status.h"
#include "server/journal/sqlite_journal.h"
#include "server/options.h"
#include "server/rpc/server.h"
#include "server/runtime/checkpoint_store.h"
#include "server/runtime/log_store.h"
#include "server/runtime/loop.h"
#include "server/runtime/searcher_pool.h"

namespace tunesmith {
namespace {

constexpr int kExitFailure = 1;        // could not start
constexpr int kExitJournalFailed = 70;  // EX_SOFTWARE: what is in memory is not on disk, so memory must go

// What the library says of itself, which our own errors say in better words.
void LogOfGrpc(gpr_log_func_args* args) { Log(LogLevel::kDebug, "grpc", {{"text", args->message}}); }

Time Now() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return Time{std::chrono::duration_cast<std::chrono::milliseconds>(now).count()};
}

// Waits for SIGTERM and SIGINT on a thread of its own; the signals must be blocked in every thread before. The first
// one asks for a drain, the second one ends the process at once.
class SignalThread {
 public:
  SignalThread() : thread_([this](const std::stop_token& stop) { Run(stop); }) {}
  int WaitForFirst() { return first_.get_future().get(); }

  static sigset_t Signals() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    return signals;
  }

 private:
  void Run(const std::stop_token& stop) {
    const sigset_t signals = Signals();
    constexpr timespec kLookAtStop{0, 100'000'000};
    bool first_seen = false;
    while (!stop.stop_requested()) {
      const int signal = sigtimedwait(&signals, nullptr, &kLookAtStop);
      if (signal <= 0) continue;
      if (first_seen) _exit(128 + signal);
      first_seen = true;
      first_.set_value(signal);
    }
  }

  std::promise<int> first_;
  std::jthread thread_;
};

// The right to the data folder, held until the process ends.
Status LockFolder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return Internal("cannot create the folder " + folder + ": " + error.message());
  const std::string path = folder + "/lock";
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return ErrnoStatus(errno, "cannot open " + path);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return ErrnoStatus(errno, "cannot lock " + path);
    char holder[32] = {};
    const ssize_t got = read(fd, holder, sizeof(holder) - 1);
    std::string pid(holder, got > 0 ? static_cast<size_t>(got) : 0);
    pid = pid.substr(0, pid.find('\n'));
    return FailedPrecondition("another controller" + (pid.empty() ? "" : " (process " + pid + ")") +
                              " keeps its state in " + folder + "; give this one another --data-dir, or stop that one");
  }
  const std::string pid = std::to_string(getpid()) + "\n";
  if (ftruncate(fd, 0) != 0 || write(fd, pid.data(), pid.size()) != static_cast<ssize_t>(pid.size())) {
    return ErrnoStatus(errno, "cannot write " + path);
  }
  return OkStatus();
}

StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) return NotFound("cannot read " + path);
  return text.str();
}

StatusOr<std::shared_ptr<grpc::ServerCredentials>> Credentials(const ServerOptions& options) {
  if (options.tls_cert.empty()) return grpc::InsecureServerCredentials();
  grpc::SslServerCredentialsOptions tls(options.tls_client_ca.empty()
                                            ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                                            : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  grpc::SslServerCredentialsOptions::PemKeyCertPair pair;
  TS_ASSIGN_OR_RETURN(pair.cert_chain, ReadFile(options.tls_cert));
  TS_ASSIGN_OR_RETURN(pair.private_key, ReadFile(options.tls_key));
  tls.pem_key_cert_pairs.push_back(std::move(pair));
  if (!options.tls_client_ca.empty()) {
    TS_ASSIGN_OR_RETURN(tls.pem_root_certs, ReadFile(options.tls_client_ca));
  }
  return grpc::SslServerCredentials(tls);
}

// In one step, so that whoever waits for the file never reads half of it.
Status WritePortFile(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".tmp" + std::to_string(getpid());
  std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) return Internal("cannot write " + temporary);
  if (std::rename(temporary.c_str(), path.c_str()) != 0) return ErrnoStatus(errno, "cannot write " + path);
  return OkStatus();
}

Status Serve(const ServerOptions& options, SignalThread* signals) {
  TS_RETURN_IF_ERROR(LockFolder(options.data_dir));
  TS_ASSIGN_OR_RETURN(const auto credentials, Credentials(options));
  TS_ASSIGN_OR_RETURN(const std::unique_ptr<Journal> journal, OpenSqliteJournal(options.data_dir + "/journal.db"));

  // Destroyed in the reverse order: the server first, then the loop, then what the loop delivers to.
  LogStore logs(options.data_dir + "/logs");
  CheckpointStore checkpoints(options.data_dir + "/checkpoints");
  TS_ASSIGN_OR_RETURN(std::string id, IdInFile(options.data_dir + "/id"));
  rpc::SessionHub sessions(options.lease_ms, std::move(id));
  rpc::WatchHub watches;
  std::unique_ptr<Loop> loop;
  SearcherPool searchers(options.searcher_threads, [&loop](Command answer) { loop->Post(std::move(answer)); });
  LoopSinks sinks;
  sinks.searchers = &searchers;
  sinks.sessions = &sessions;
  sinks.logs = &logs;
  sinks.checkpoints = &checkpoints;
  sinks.observer = &watches;
  loop = std::make_unique<Loop>(ControllerOptions{options.lease_ms}, journal.get(), sinks, Now);
  loop->set_on_fatal([](const Status& error) {
    Log(LogLevel::kError, "controller_ends",
        {{"why", "the journal failed; start it again once the disk is well"}, {"error", Message(error)}});
    _exit(kExitJournalFailed);
  });
  rpc::RpcServer server(loop.get(), journal.get(), &logs, &checkpoints, &sessions, &watches);
  TS_RETURN_IF_ERROR(server.Start(options.listen, credentials));

  const Time before = Now();
  TS_ASSIGN_OR_RETURN(const uint64_t events, loop->Start());
  // Before anybody can send new ones.
  std::promise<void> tidied;
  loop->Read([&](const Controller& controller, Time) {
    checkpoints.RemoveUnknown(controller.state());
    tidied.set_value();
  });
  tidied.get_future().wait();
  server.SetServing();
  const std::string address = options.listen.substr(0, options.listen.rfind(':') + 1) + std::to_string(server.port());
  if (!options.port_file.empty()) TS_RETURN_IF_ERROR(WritePortFile(options.port_file, address + "\n"));
  Log(LogLevel::kInfo, "serving",
      {{"address", address}, {"data_dir", options.data_dir}, {"tls", options.tls_cert.empty() ? "no" : "yes"},
       {"replayed_events", events}, {"replay_ms", (Now() - before).ms}});

  const int signal = signals->WaitForFirst();
  Log(LogLevel::kInfo, "draining", {{"signal", strsignal(signal)}});
  server.Drain();
  Log(LogLevel::kInfo, "stopped");
  return OkStatus();
}

int Main(int argc, char** argv) {
  const pid_t parent = getppid();
  ServerOptions options;
  if (const auto exit_code = ParseCommandLine(argc, argv, &options)) return *exit_code;
  // BEFORE any thread: threads inherit the mask.
  const sigset_t blocked = SignalThread::Signals();
  pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
  signal(SIGPIPE, SIG_IGN);
  if (options.parent_death) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    // It may have ended before the call, and nobody would say so any more.
    if (getppid() != parent) return 0;
  }
  InitLog("tunesmith-server", options.log_level);
  gpr_set_log_function(LogOfGrpc);
  SignalThread signals;
  const Status status = Serve(options, &signals);
  if (status.ok()) return 0;
  std::fprintf(stderr, "tunesmith-server: %s\n", Message(status).c_str());
  return kExitFailure;
}

}  // namespace
}  // namespace tunesmith

int main(int argc, char** argv) { return tunesmith::Main(argc, argv); }
