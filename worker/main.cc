// tunesmith-worker: runs trials on this machine for a tunesmith-server.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>

#include "common/log.h"
#include "worker/daemon.h"
#include "worker/options.h"

namespace {

// Descriptors 0 to 2 must be open: a pipe that got one of these numbers would become a trial's
// stdin.
void OpenStandardStreams() {
  for (int fd = open("/dev/null", O_RDWR); fd >= 0; fd = open("/dev/null", O_RDWR)) {
    if (fd > 2) {
      close(fd);
      return;
    }
  }
}

// Before any thread exists, so that all inherit the mask.
void BlockSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, number);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

}  // namespace

int main(int argc, char** argv) {
  using tunesmith::worker::Daemon;
  using tunesmith::worker::DaemonOptions;
  const pid_t parent = getppid();
  OpenStandardStreams();
  auto parsed = tunesmith::worker::ParseDaemonOptions(argc, argv);
  if (const int* exit_code = std::get_if<int>(&parsed)) return *exit_code;
  auto& options = std::get<DaemonOptions>(parsed);
  tunesmith::InitLog("tunesmith-worker",
                     options.verbose ? tunesmith::LogLevel::kDebug : tunesmith::LogLevel::kInfo);
  BlockSignals();
  if (options.parent_death) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    // It may have ended before the call, and nobody would say so any more.
    if (getppid() != parent) return 0;
  }
  auto daemon = Daemon::Create(std::move(options));
  const tunesmith::Status status = daemon.ok() ? (*daemon)->Run() : daemon.status();
  if (status.ok()) return 0;
  std::fprintf(stderr, "tunesmith-worker: %s\n", tunesmith::Message(status).c_str());
  return 1;
}
