// tunesmith-ranks: starts a program several times, as the ranks of one trial on this machine, with the variables that
// torchrun --standalone sets, and ends as they do.
//
// Rank 0 has the trial's stdout, stderr and channel: its metrics are the trial's. What the others print goes to stderr,
// each line with its rank before it. Where a rank fails the others are ended, since they would wait for it; where the
// trial is told to stop (SIGTERM, which its worker sends to every process), all get the time that the worker gives
// them.
//
// Nothing but POSIX: it is started for every attempt.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tunesmith::ranks {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kUsage =
    "usage: tunesmith-ranks COUNT GRACE_MS PROGRAM [ARGUMENT...]\n"
    "Starts PROGRAM as ranks 0 to COUNT - 1 of one job on this machine, with the variables that torchrun sets\n"
    "(RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT). When a rank fails the others get\n"
    "SIGTERM, and SIGKILL after GRACE_MS.\n";
constexpr int kExitUsage = 2;
constexpr int kExitCannotStart = 127;
constexpr int kRanksMax = 4096;
constexpr size_t kLineBytesMax = 4096;  // longer lines are cut in two
// A stop may reach a rank before it reaches this program; then the rank's end is no failure.
constexpr std::chrono::milliseconds kStopMayFollow{500};

[[noreturn]] void GiveUp(const std::string& what, int exit_code = kExitCannotStart) {
  std::fprintf(stderr, "tunesmith-ranks: %s\n", what.c_str());
  std::exit(exit_code);
}

[[noreturn]] void GiveUpForErrno(const std::string& what) { GiveUp(what + ": " + std::strerror(errno)); }

// A port of the loopback address, kept for rank 0: bound and never listened on, it is given to nobody else, and who
// asks for it by number (with SO_REUSEADDR, as PyTorch's store does) gets it.
int ReservePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
      bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    GiveUpForErrno("no free port on 127.0.0.1");
  }
  return ntohs(address.sin_port);
}

struct Rank {
  pid_t pid = -1;
  int output = -1;      // stdout and stderr; -1 of rank 0, and when they are closed
  std::string line;     // the part of a line that is there
  bool running = true;
};

void Print(int rank, std::string_view line) {
  std::string text = "[rank " + std::to_string(rank) + "] ";
  text.append(line);
  text += '\n';
  std::string_view left = text;
  while (!left.empty()) {
    const ssize_t n = write(STDERR_FILENO, left.data(), left.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return;  // nobody reads any more
    left.remove_prefix(static_cast<size_t>(n));
  }
}

// What there is, without waiting. `last`: the end of the last line, too.
void Forward(int number, Rank* rank, bool last) {
  char buffer[1 << 14];
  while (rank->output >= 0) {
    const ssize_t n = read(rank->output, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n <= 0) {
      close(rank->output);
      rank->output = -1;
      break;
    }
    for (std::string_view bytes(buffer, static_cast<size_t>(n)); !bytes.empty();) {
      const size_t end = bytes.find('\n');
      const size_t room = kLineBytesMax - rank->line.size();
      const size_t take = std::min({end, room, bytes.size()});
      rank->line.append(bytes.substr(0, take));
      bytes.remove_prefix(take);
      const bool whole = take == end;
      if (whole) bytes.remove_prefix(1);
      if (whole || rank->line.size() == kLineBytesMax) {
        Print(number, rank->line);
        rank->line.clear();
      }
    }
    if (!last && n < static_cast<ssize_t>(sizeof buffer)) break;
  }
  if ((last || rank->output < 0) && !rank->line.empty()) {
    Print(number, rank->line);
    rank->line.clear();
  }
}

// The end that programs have: rank 0's alone.
void CloseChannel() {
  const char* const text = std::getenv("TUNESMITH_CHANNEL");
  const int channel = text == nullptr ? -1 : std::atoi(text);
  if (channel > STDERR_FILENO) close(channel);
  unsetenv("TUNESMITH_CHANNEL");
}

void SetDefault(const char* name, const char* value) { setenv(name, value, /*overwrite=*/0); }

class Job {
 public:
  Job(int count, std::chrono::milliseconds grace) : ranks_(static_cast<size_t>(count)), grace_(grace) {}

  void Start(char** command) {
    const pid_t self = getpid();
    sigset_t watched;
    sigemptyset(&watched);
    for (const int signal : {SIGCHLD, SIGTERM, SIGINT}) sigaddset(&watched, signal);
    sigset_t before;
    sigprocmask(SIG_BLOCK, &watched, &before);
    signal(SIGPIPE, SIG_IGN);
    signals_ = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals_ < 0) GiveUpForErrno("cannot watch for signals");
    const std::string size = std::to_string(ranks_.size());
    setenv("WORLD_SIZE", size.c_str(), 1);
    setenv("LOCAL_WORLD_SIZE", size.c_str(), 1);
    setenv("GROUP_RANK", "0", 1);
    setenv("GROUP_WORLD_SIZE", "1", 1);
    setenv("ROLE_NAME", "default", 1);
    setenv("ROLE_WORLD_SIZE", size.c_str(), 1);
    setenv("MASTER_ADDR", "127.0.0.1", 1);
    setenv("MASTER_PORT", std::to_string(ReservePort()).c_str(), 1);
    // All ranks are here: what they say to each other need not be heard elsewhere.
    SetDefault("GLOO_SOCKET_IFNAME", "lo");
    SetDefault("NCCL_SOCKET_IFNAME", "lo");
    for (size_t i = 0; i < ranks_.size(); ++i) StartOne(static_cast<int>(i), command, self, before);
    CloseChannel();
  }

  // Until no rank is left. The exit status.
  int Wait() {
    while (Running()) {
      std::vector<pollfd> fds = {{signals_, POLLIN, 0}};
      for (const Rank& rank : ranks_) {
        if (rank.output >= 0) fds.push_back({rank.output, POLLIN, 0});
      }
      poll(fds.data(), fds.size(), WaitMs());
      TakeSignals();
      for (size_t i = 0; i < ranks_.size(); ++i) Forward(static_cast<int>(i), &ranks_[i], false);
      EndOthers();
    }
    for (size_t i = 0; i < ranks_.size(); ++i) Forward(static_cast<int>(i), &ranks_[i], true);
    // The others may have ended by themselves, before they were told to.
    if (!failure_.empty() && !stopping_ && !terminated_) {
      std::fprintf(stderr, "tunesmith-ranks: %s\n", failure_.c_str());
    }
    return exit_status_;
  }

 private:
  void StartOne(int number, char** command, pid_t parent, const sigset_t& mask) {
    Rank& rank = ranks_[static_cast<size_t>(number)];
    int ends[2] = {-1, -1};
    if (number > 0 && pipe2(ends, O_CLOEXEC) != 0) GiveUpForErrno("cannot make a pipe");
    rank.pid = fork();
    if (rank.pid < 0) GiveUpForErrno("cannot start rank " + std::to_string(number));
    if (rank.pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(kExitCannotStart);  // it died before the line above
      signal(SIGPIPE, SIG_DFL);
      sigprocmask(SIG_SETMASK, &mask, nullptr);
      const std::string text = std::to_string(number);
      for (const char* name : {"RANK", "LOCAL_RANK", "ROLE_RANK"}) setenv(name, text.c_str(), 1);
      if (number > 0) {
        CloseChannel();
        if (dup2(ends[1], STDOUT_FILENO) < 0 || dup2(ends[1], STDERR_FILENO) < 0) _exit(kExitCannotStart);
      }
      execvp(command[0], command);
      std::fprintf(stderr, "tunesmith-ranks: cannot start %s: %s\n", command[0], std::strerror(errno));
      _exit(kExitCannotStart);
    }
    if (number == 0) return;
    close(ends[1]);
    rank.output = ends[0];
    fcntl(rank.output, F_SETFL, O_NONBLOCK);
  }

  bool Running() const {
    return std::any_of(ranks_.begin(), ranks_.end(), [](const Rank& rank) { return rank.running; });
  }

  int WaitMs() const {
    if (!next_step_.has_value()) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*next_step_ - Clock::now()).count();
    return static_cast<int>(std::clamp<int64_t>(left, 0, 60'000));
  }

  void TakeSignals() {
    signalfd_siginfo info = {};
    while (read(signals_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      if (info.ssi_signo != SIGCHLD) stopping_ = true;  // the ranks have got it as well
    }
    for (size_t i = 0; i < ranks_.size(); ++i) {
      Rank& rank = ranks_[i];
      int status = 0;
      if (!rank.running || waitpid(rank.pid, &status, WNOHANG) != rank.pid) continue;
      rank.running = false;
      if (!(WIFEXITED(status) && WEXITSTATUS(status) == 0)) OnFailed(static_cast<int>(i), status);
    }
  }

  void OnFailed(int number, int status) {
    if (exit_status_ != 0) return;  // the first one tells why, those after it are its consequences
    const bool killed = WIFSIGNALED(status);
    exit_status_ = killed ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    failure_ = "rank " + std::to_string(number) + " of " + std::to_string(ranks_.size()) +
               (killed ? std::string(" was ended by signal ") + std::to_string(WTERMSIG(status)) + " (" +
                             strsignal(WTERMSIG(status)) + ")"
                       : " ended with exit code " + std::to_string(WEXITSTATUS(status)));
    next_step_ = Clock::now() + kStopMayFollow;
  }

  void EndOthers() {
    if (stopping_ || !next_step_.has_value() || Clock::now() < *next_step_) return;
    const bool kill_now = std::exchange(terminated_, true);
    if (!kill_now) std::fprintf(stderr, "tunesmith-ranks: %s; the others are ended\n", failure_.c_str());
    next_step_ = kill_now ? std::nullopt : std::optional(Clock::now() + grace_);
    for (const Rank& rank : ranks_) {
      if (rank.running) kill(rank.pid, kill_now ? SIGKILL : SIGTERM);
    }
  }

  std::vector<Rank> ranks_;
  const std::chrono::milliseconds grace_;
  int signals_ = -1;
  bool stopping_ = false;    // told to: no rank's end is a failure any more
  bool terminated_ = false;  // the others have got SIGTERM from here
  int exit_status_ = 0;      // of the first rank that failed
  std::string failure_;
  std::optional<Clock::time_point> next_step_;  // in ending the others
};

// A whole number of at least `low`.
int Number(const char* name, const char* text, int low, int high) {
  char* end = nullptr;
  errno = 0;
  const long number = std::strtol(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || number < low || number > high) {
    std::fputs(kUsage, stderr);
    GiveUp(std::string(name) + " is '" + text + "'; it is a whole number from " + std::to_string(low) + " to " +
             std::to_string(high),
         kExitUsage);
  }
  return static_cast<int>(number);
}

int Main(int argc, char** argv) {
  if (argc == 2 && (std::strcmp(argv[1], "--help") == 0 || std::strcmp(argv[1], "-h") == 0)) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  if (argc < 4) {
    std::fputs(kUsage, stderr);
    return kExitUsage;
  }
  const int count = Number("COUNT", argv[1], 1, kRanksMax);
  constexpr int kDayMs = 86'400'000;
  Job job(count, std::chrono::milliseconds(Number("GRACE_MS", argv[2], 0, kDayMs)));
  job.Start(argv + 3);
  return job.Wait();
}

}  // namespace
}  // namespace tunesmith::ranks

int main(int argc, char** argv) { return tunesmith::ranks::Main(argc, argv); }
