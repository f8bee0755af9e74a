#include "client/local/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <fstream>
#include <thread>
#include <utility>

extern char** environ;

namespace tunesmith {
namespace {

constexpr int64_t kPollMs = 5;
constexpr std::streamoff kLogTailBytes = 8 << 10;

}  // namespace

StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(const Options& options) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, options.log_file.c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&files, 1, 2);
  // Onto itself: that takes the close-on-exec mark off.
  if (options.inherited_fd >= 0) {
    posix_spawn_file_actions_adddup2(&files, options.inherited_fd, options.inherited_fd);
  }
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // Its own group: Ctrl-C at the terminal is for this program to act on. Signals as a fresh program
  // has them.
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setpgroup(&attributes, 0);
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setsigmask(&attributes, &none);
  std::vector<char*> argv;
  for (const std::string& argument : options.argv)
    argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  pid_t pid = -1;
  const int error = posix_spawn(&pid, argv[0], &files, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) return ErrnoStatus(error, "can't start " + options.argv[0]);
  return std::unique_ptr<ChildProcess>(new ChildProcess(pid, options.log_file));
}

ChildProcess::~ChildProcess() {
  if (!Running()) return;
  Kill();
  ::waitpid(pid_, &wait_status_, 0);
}

bool ChildProcess::Running() {
  if (ended_) return false;
  pid_t result = 0;
  do {
    result = ::waitpid(pid_, &wait_status_, WNOHANG);
  } while (result < 0 && errno == EINTR);
  ended_ = result != 0;
  return !ended_;
}

bool ChildProcess::WaitFor(int64_t timeout_ms) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  while (Running()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(kPollMs));
  }
  return true;
}

void ChildProcess::Signal(int signal) {
  if (!ended_) ::kill(pid_, signal);
}

std::string ChildProcess::EndText() const {
  if (WIFSIGNALED(wait_status_)) return "signal " + std::to_string(WTERMSIG(wait_status_));
  return "exit code " + std::to_string(WEXITSTATUS(wait_status_));
}

std::string ChildProcess::LogTail(int lines) const {
  std::ifstream in(log_file_, std::ios::binary | std::ios::ate);
  if (!in) return "";
  const std::streamoff size = in.tellg();
  in.seekg(size > kLogTailBytes ? size - kLogTailBytes : 0);
  std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  while (!text.empty() && text.back() == '\n') text.pop_back();
  size_t start = text.size();
  for (; lines > 0 && start != std::string::npos && start > 0; --lines)
    start = text.rfind('\n', start - 1);
  return start == std::string::npos || start == 0 ? text : text.substr(start + 1);
}

}  // namespace tunesmith
