#include "worker/process/replace.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <system_error>

extern char** environ;

namespace tunesmith::worker {
namespace fs = std::filesystem;
namespace {

// "PID:DESCRIPTOR": with the process's number it means nothing to a child that has inherited it.
constexpr char kStateVariable[] = "TUNESMITH_HANDED_ON";

std::vector<char*> Pointers(const std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

std::string LastLine(std::string text) {
  text.erase(text.find_last_not_of(" \r\n") + 1);
  return text.substr(text.find_last_of('\n') + 1);
}

bool WriteAll(int fd, const std::string& bytes) {
  for (size_t written = 0; written < bytes.size();) {
    const ssize_t n = write(fd, bytes.data() + written, bytes.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    written += static_cast<size_t>(n);
  }
  return lseek(fd, 0, SEEK_SET) == 0;
}

}  // namespace

std::string OwnProgram(const std::string& argv0) {
  std::error_code error;
  const fs::path running = fs::read_symlink("/proc/self/exe", error);
  std::vector<fs::path> candidates;
  if (argv0.find('/') != std::string::npos) {
    candidates.push_back(argv0);
  } else if (const char* path = std::getenv("PATH")) {
    std::istringstream folders(path);
    for (std::string folder; std::getline(folders, folder, ':');) candidates.push_back(fs::path(folder) / argv0);
  }
  // A link that is turned to the newer program counts, so the name comes before the file that it led to.
  for (const fs::path& candidate : candidates) {
    if (fs::equivalent(candidate, "/proc/self/exe", error)) return fs::absolute(candidate).string();
  }
  return running.string();
}

Status TryProgram(const std::string& program, const std::vector<std::string>& argv, int ms_max) {
  int words[2];
  if (pipe2(words, O_CLOEXEC | O_NONBLOCK) != 0) return ErrnoStatus(errno, "cannot make a pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, words[1], 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, standard;
  sigemptyset(&none);
  sigemptyset(&standard);
  sigaddset(&standard, SIGPIPE);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &standard);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t pid = 0;
  const int failed = posix_spawn(&pid, program.c_str(), &actions, &attributes, Pointers(argv).data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  close(words[1]);
  if (failed != 0) {
    close(words[0]);
    return ErrnoStatus(failed, "cannot start " + program);
  }
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  pollfd watched = {pidfd, POLLIN, 0};
  const bool ended = pidfd >= 0 && poll(&watched, 1, ms_max) == 1;
  if (!ended) kill(pid, SIGKILL);
  if (pidfd >= 0) close(pidfd);
  int status = 0;
  waitpid(pid, &status, 0);
  char buffer[4096];
  const ssize_t n = read(words[0], buffer, sizeof buffer);
  close(words[0]);
  const std::string last = LastLine(std::string(buffer, static_cast<size_t>(std::max<ssize_t>(0, n))));
  if (!ended) return MakeStatus(StatusCode::kDeadlineExceeded, program + " does not answer");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return OkStatus();
  const std::string how = WIFEXITED(status) ? "exit code " + std::to_string(WEXITSTATUS(status))
                                            : "signal " + std::to_string(WTERMSIG(status));
  return FailedPrecondition(program + " ended with " + how + (last.empty() ? "" : ": " + last));
}

Status BecomeProgram(const std::string& program, const std::vector<std::string>& argv, const std::string& state,
                     const std::vector<int>& descriptors) {
  const int fd = memfd_create("tunesmith-handed-on", MFD_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, "cannot make a file in memory");
  if (!WriteAll(fd, state)) {
    const int error = errno;
    close(fd);
    return ErrnoStatus(error, "cannot write a file in memory");
  }
  std::vector<std::string> env;
  for (char** line = environ; line != nullptr && *line != nullptr; ++line) env.emplace_back(*line);
  env.push_back(std::string(kStateVariable) + "=" + std::to_string(getpid()) + ":" + std::to_string(fd));
  std::vector<int> all = descriptors;
  all.push_back(fd);
  for (int one : all) fcntl(one, F_SETFD, 0);
  execve(program.c_str(), Pointers(argv).data(), Pointers(env).data());
  const int error = errno;
  for (int one : all) fcntl(one, F_SETFD, FD_CLOEXEC);
  close(fd);
  return ErrnoStatus(error, "cannot start " + program);
}

std::optional<std::string> TakeState() {
  const char* const text = std::getenv(kStateVariable);
  if (text == nullptr) return std::nullopt;
  int pid = 0, fd = -1;
  const bool read_well = std::sscanf(text, "%d:%d", &pid, &fd) == 2;
  unsetenv(kStateVariable);
  if (!read_well || pid != getpid() || fd <= 2) return std::nullopt;
  std::string state;
  char buffer[1 << 14];
  for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;) state.append(buffer, static_cast<size_t>(n));
  close(fd);
  return state;
}

void CloseAllDescriptors() { syscall(SYS_close_range, 3U, ~0U, 0U); }

}  // namespace tunesmith::worker
