#include "worker/process/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace tunesmith::worker {
namespace {

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

class Fd {
 public:
  Fd() = default;
  ~Fd() { Reset(); }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int* out() { return &fd_; }
  int get() const { return fd_; }
  int Release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void Reset() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

// Steps of the child, for its last words.
enum class Step : int { kGroup, kParent, kStreams, kWorkdir, kExec };
struct Failure {
  Step step;
  int error;
};

// Everything that the child needs, prepared before the fork: between fork and exec only
// async-signal-safe calls are allowed.
struct ChildPlan {
  const char* executable;
  char* const* argv;
  char* const* env;
  const char* workdir;
  int cgroup_fd;
  int stdin_fd;
  int stdout_fd;
  int stderr_fd;
  int channel_fd;
  int failure_fd;
  pid_t daemon;
};

[[noreturn]] void Fail(const ChildPlan& plan, Step step) {
  const Failure failure{step, errno};
  // The parent waits for these bytes; there is nobody else to tell.
  [[maybe_unused]] const ssize_t n = write(plan.failure_fd, &failure, sizeof failure);
  _exit(127);
}

[[noreturn]] void RunChild(const ChildPlan& plan) {
  setsid();
  if (plan.cgroup_fd >= 0 && write(plan.cgroup_fd, "0", 1) != 1) Fail(plan, Step::kGroup);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != plan.daemon) Fail(plan, Step::kParent);  // it died before the line above
  struct sigaction standard = {};
  standard.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) sigaction(signal, &standard, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  // Where memory runs out, the trial goes before the daemon.
  const int oom = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (oom >= 0) {
    [[maybe_unused]] const ssize_t n = write(oom, "300", 3);
    close(oom);
  }
  if (dup2(plan.stdin_fd, 0) < 0 || dup2(plan.stdout_fd, 1) < 0 || dup2(plan.stderr_fd, 2) < 0) {
    Fail(plan, Step::kStreams);
  }
  syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
  if (fcntl(plan.channel_fd, F_SETFD, 0) != 0) Fail(plan, Step::kStreams);
  if (chdir(plan.workdir) != 0) Fail(plan, Step::kWorkdir);
  execve(plan.executable, plan.argv, plan.env);
  Fail(plan, Step::kExec);
}

Status FailureStatus(const Failure& failure, const SpawnRequest& request) {
  switch (failure.step) {
    case Step::kGroup:
      return ErrnoStatus(failure.error, "cannot join the control group " + request.cgroup);
    case Step::kParent:
      return Unavailable("the daemon ended while the program was started");
    case Step::kStreams:
      return ErrnoStatus(failure.error, "cannot connect the program's streams");
    case Step::kWorkdir:
      return ErrnoStatus(failure.error, "cannot enter the working directory " + request.workdir);
    case Step::kExec:
      break;
  }
  if (failure.error == ENOEXEC) {
    return InvalidArgument(
        "cannot start " + request.executable +
        ": it is neither a program for this machine nor a script with a #! line; name its "
        "interpreter in the command: [bash, script.sh]");
  }
  if (failure.error == ENOENT) {
    return NotFound("cannot start " + request.executable +
                    ": the interpreter of its #! line or its loader is missing");
  }
  if (failure.error == E2BIG) {
    return InvalidArgument(
        "cannot start " + request.executable +
        ": the command line and environment are too long; read TUNESMITH_CONFIG instead");
  }
  return ErrnoStatus(failure.error, "cannot start " + request.executable);
}

Status MakePipe(Fd* read_end, Fd* write_end, bool nonblocking) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "cannot make a pipe");
  *read_end->out() = ends[0];
  *write_end->out() = ends[1];
  // Only the daemon's end: programs expect a blocking stdout.
  if (nonblocking) fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return OkStatus();
}

}  // namespace

StatusOr<SpawnedProcess> SpawnProgram(const SpawnRequest& request) {
  Fd out_read, out_write, err_read, err_write, failure_read, failure_write, channel, channel_child,
      null, cgroup;
  TS_RETURN_IF_ERROR(MakePipe(&out_read, &out_write, true));
  TS_RETURN_IF_ERROR(MakePipe(&err_read, &err_write, true));
  TS_RETURN_IF_ERROR(MakePipe(&failure_read, &failure_write, false));
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return ErrnoStatus(errno, "cannot make a channel");
  *channel.out() = ends[0];
  *channel_child.out() = ends[1];
  fcntl(channel.get(), F_SETFL, O_NONBLOCK);
  *null.out() = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null.get() < 0) return ErrnoStatus(errno, "cannot open /dev/null");
  if (!request.cgroup.empty()) {
    *cgroup.out() = open((request.cgroup + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC);
    if (cgroup.get() < 0)
      return ErrnoStatus(errno, "cannot open the control group " + request.cgroup);
  }

  std::vector<std::string> env_text;
  for (const auto& [name, value] : request.env) env_text.push_back(name + "=" + value);
  env_text.push_back("TUNESMITH_CHANNEL=" + std::to_string(channel_child.get()));
  std::vector<char*> argv, env;
  for (const std::string& arg : request.argv) argv.push_back(const_cast<char*>(arg.c_str()));
  for (const std::string& line : env_text) env.push_back(const_cast<char*>(line.c_str()));
  argv.push_back(nullptr);
  env.push_back(nullptr);

  const ChildPlan plan{request.executable.c_str(),
                       argv.data(),
                       env.data(),
                       request.workdir.c_str(),
                       cgroup.get(),
                       null.get(),
                       out_write.get(),
                       err_write.get(),
                       channel_child.get(),
                       failure_write.get(),
                       getpid()};
  const pid_t pid = fork();
  if (pid < 0) return ErrnoStatus(errno, "cannot fork (too many processes?)");
  if (pid == 0) RunChild(plan);

  failure_write.Reset();
  Failure failure{};
  ssize_t n;
  do {
    n = read(failure_read.get(), &failure, sizeof failure);
  } while (n < 0 && errno == EINTR);
  if (n == static_cast<ssize_t>(sizeof failure)) {
    waitpid(pid, nullptr, 0);
    return FailureStatus(failure, request);
  }
  SpawnedProcess process;
  process.pid = pid;
  process.pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (process.pidfd < 0) {
    const int error = errno;
    kill(-pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    return ErrnoStatus(error,
                       "cannot watch the program (pidfd_open; Linux 5.3 or newer is needed)");
  }
  process.stdout_fd = out_read.Release();
  process.stderr_fd = err_read.Release();
  process.channel_fd = channel.Release();
  return process;
}

}  // namespace tunesmith::worker
