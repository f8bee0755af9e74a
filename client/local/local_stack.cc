#include "client/local/local_stack.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <thread>
#include <utility>

namespace tunesmith {
namespace {

constexpr int64_t kPollMs = 10;
// Longer than a trial's usual grace period (10 s), after which the worker kills it.
constexpr int64_t kWorkerGraceMs = 20'000;
constexpr int64_t kServerGraceMs = 10'000;
constexpr int64_t kHurryPollMs = 50;
constexpr int64_t kHurryGraceMs = 3'000;  // for a daemon that was told twice
constexpr int kWorkerRestartsMax = 5;
constexpr int64_t kWorkerRestartPauseMs = 500;
constexpr int kLogLinesInErrors = 5;
constexpr std::uintmax_t kLogBytesMax = 16 << 20;  // a longer log is put aside at the next start

int64_t NowMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void Pause() { std::this_thread::sleep_for(std::chrono::milliseconds(kPollMs)); }

Status MakeFolder(const std::string& path) {
  std::error_code error;
  const bool existed = std::filesystem::exists(path, error);
  std::filesystem::create_directories(path, error);
  if (error)
    return MakeStatus(StatusCode::kFailedPrecondition,
                      "can't make the folder " + path + ": " + error.message());
  // Logs and commands may hold secrets.
  if (!existed) ::chmod(path.c_str(), 0700);
  return OkStatus();
}

void PutLogAside(const std::string& path) {
  std::error_code error;
  if (std::filesystem::file_size(path, error) > kLogBytesMax && !error) {
    std::filesystem::rename(path, path + ".1", error);
  }
}

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  std::string result = text.str();
  while (!result.empty() && (result.back() == '\n' || result.back() == ' ')) result.pop_back();
  return result;
}

// Whether someone accepts connections at "127.0.0.1:port".
bool Accepts(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return false;
  sockaddr_in peer = {};
  peer.sin_family = AF_INET;
  peer.sin_port = htons(static_cast<uint16_t>(std::atoi(address.c_str() + colon + 1)));
  if (::inet_pton(AF_INET, address.substr(0, colon).c_str(), &peer.sin_addr) != 1) return false;
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const bool connected = ::connect(fd, reinterpret_cast<const sockaddr*>(&peer), sizeof peer) == 0;
  ::close(fd);
  return connected;
}

}  // namespace

std::string ExecutableFolder() {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "." : path.parent_path().string();
}

LocalStack::LocalStack(Options options) : options_(std::move(options)) {}

LocalStack::~LocalStack() {
  Stop([] { return false; });
}

bool LocalStack::HasState(const std::string& data_dir) {
  std::error_code error;
  return std::filesystem::exists(data_dir + "/state", error);
}

std::string LocalStack::RunningAddress(const std::string& data_dir) {
  const std::string address = ReadFile(data_dir + "/address");
  return ReadFile(data_dir + "/lock") == "run" && Accepts(address) ? address : "";
}

bool LocalStack::TryLock() {
  const std::string path = options_.data_dir + "/lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    ::close(fd);
    return false;
  }
  lock_fd_ = fd;
  // For programs that find the lock taken: whether a worker runs here, too.
  const std::string role = options_.with_worker ? "run\n" : "read\n";
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, role.data(), role.size(), 0) < 0) {
    Unlock();
    return false;
  }
  return true;
}

void LocalStack::Unlock() {
  if (lock_fd_ < 0) return;
  ::close(lock_fd_);
  lock_fd_ = -1;
}

bool LocalStack::HolderHasWorker() const { return ReadFile(options_.data_dir + "/lock") == "run"; }

std::string LocalStack::ReadAddress() const { return ReadFile(address_file()); }

StatusOr<std::string> LocalStack::Ensure() {
  if (options_.data_dir.empty()) {
    return InvalidArgument("no place for the state: set HOME, TUNESMITH_HOME or --data-dir");
  }
  TS_RETURN_IF_ERROR(MakeFolder(options_.data_dir));
  if (server_ != nullptr && server_->Running()) return address_;
  server_.reset();
  const int64_t deadline = NowMs() + options_.start_timeout_ms;
  while (NowMs() < deadline) {
    if (owner() || TryLock()) return StartServer();
    const std::string address = ReadAddress();
    if ((!options_.with_worker || HolderHasWorker()) && Accepts(address)) return address;
    Pause();
  }
  if (::access(options_.data_dir.c_str(), W_OK) != 0) {
    return ErrnoStatus(errno, "can't write to " + options_.data_dir);
  }
  return Unavailable("another tunesmith holds " + options_.data_dir +
                     " and its controller does not answer; see " + server_log());
}

StatusOr<std::string> LocalStack::StartServer() {
  PutLogAside(server_log());
  PutLogAside(worker_log());
  // A worker that runs already knows the old address.
  StatusOr<std::string> address = Unavailable("not started");
  if (worker_ != nullptr && worker_->Running()) address = ServeAt(address_);
  if (!address.ok()) {
    address = ServeAt("127.0.0.1:0");
    worker_.reset();
  }
  if (!address.ok()) {
    Unlock();
    return address;
  }
  address_ = *address;
  if (wants_worker_ && worker_ == nullptr) TS_RETURN_IF_ERROR(StartWorker());
  return address;
}

StatusOr<std::string> LocalStack::ServeAt(const std::string& listen) {
  ::unlink(address_file().c_str());
  TS_ASSIGN_OR_RETURN(
      server_, ChildProcess::Start(
                   {{options_.program_dir + "/tunesmith-server", "--listen", listen, "--data-dir",
                     options_.data_dir + "/state", "--port-file", address_file(), "--parent-death"},
                    server_log(),
                    lock_fd_}));
  const int64_t deadline = NowMs() + options_.start_timeout_ms;
  while (NowMs() < deadline) {
    const std::string address = ReadAddress();
    if (!address.empty()) return address;
    if (!server_->Running()) {
      const Status status =
          FailedPrecondition("the controller did not start (" + server_->EndText() + "):\n" +
                             server_->LogTail(kLogLinesInErrors) + "\nlog: " + server_log());
      server_.reset();
      return status;
    }
    Pause();
  }
  server_.reset();
  return Unavailable("the controller did not start in time; see " + server_log());
}

Status LocalStack::StartWorker() {
  wants_worker_ = true;
  if (!owner()) return OkStatus();
  auto started = ChildProcess::Start(
      {{options_.program_dir + "/tunesmith-worker", "--controller", address_, "--name", kWorkerName,
        "--state-dir", options_.data_dir + "/worker", "--parent-death"},
       worker_log()});
  if (!started.ok()) return started.status();
  worker_ = *std::move(started);
  worker_restart_at_ms_ = 0;
  return OkStatus();
}

std::string LocalStack::WatchWorker() {
  if (!wants_worker_ || !owner() || worker_ == nullptr || worker_->Running()) return "";
  if (worker_restarts_ >= kWorkerRestartsMax) {
    return "the local worker ends again and again (" + worker_->EndText() +
           "): " + worker_->LogTail(1);
  }
  const int64_t now_ms = NowMs();
  if (worker_restart_at_ms_ == 0) {
    worker_restart_at_ms_ = now_ms + (kWorkerRestartPauseMs << worker_restarts_);
    ++worker_restarts_;
  }
  if (now_ms >= worker_restart_at_ms_) {
    const Status status = StartWorker();
    if (!status.ok()) return Message(status);
    return "";
  }
  return "the local worker has ended (" + worker_->EndText() + ") and is started again; see " +
         worker_log();
}

void LocalStack::TestOnlyKillServer() {
  server_->Kill();
  while (server_->Running()) Pause();
}

void LocalStack::DismissWorker() {
  wants_worker_ = false;
  if (worker_ != nullptr) worker_->Terminate();
}

void LocalStack::End(std::unique_ptr<ChildProcess>* child, int64_t grace_ms,
                     const std::function<bool()>& hurry) {
  if (*child == nullptr) return;
  const int64_t deadline = NowMs() + grace_ms;
  bool ended = false;
  while (!ended && NowMs() < deadline && !hurry()) ended = (*child)->WaitFor(kHurryPollMs);
  if (!ended) {
    (*child)->Terminate();
    if (!(*child)->WaitFor(kHurryGraceMs)) (*child)->Kill();
  }
  child->reset();
}

void LocalStack::Stop(const std::function<bool()>& hurry) {
  if (wants_worker_) DismissWorker();
  End(&worker_, kWorkerGraceMs, hurry);
  if (server_ != nullptr) server_->Terminate();
  End(&server_, kServerGraceMs, [] { return false; });
  if (owner()) ::unlink(address_file().c_str());
  Unlock();
}

}  // namespace tunesmith
