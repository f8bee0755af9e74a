// tunesmith-worker: runs trials on this machine for a tunesmith-server.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <optional>
#include <utility>

#include "common/log.h"
#include "worker/daemon.h"
#include "worker/options.h"
#include "worker/process/hand_on.h"
#include "worker/process/replace.h"

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
  using tunesmith::worker::HandOn;
  const pid_t parent = getppid();
  OpenStandardStreams();
  auto parsed = tunesmith::worker::ParseDaemonOptions(argc, argv);
  if (const int* exit_code = std::get_if<int>(&parsed)) return *exit_code;
  auto& options = std::get<DaemonOptions>(parsed);
  tunesmith::InitLog("tunesmith-worker",
                     options.verbose ? tunesmith::LogLevel::kDebug : tunesmith::LogLevel::kInfo);
  BlockSignals();
  std::optional<HandOn> handed_on;
  if (const auto state = tunesmith::worker::TakeState()) {
    auto decoded = tunesmith::worker::DecodeHandOn(*state);
    if (decoded.ok()) {
      handed_on = *std::move(decoded);
    } else {
      // Then it is as if the program before had been killed: what it ran is ended, and reported lost.
      tunesmith::worker::CloseAllDescriptors();
      Log(tunesmith::LogLevel::kError, "trials_not_taken_over",
          {{"reason", "cannot read what was handed on: " + tunesmith::Message(decoded.status())}});
    }
  }
  if (options.parent_death) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    // It may have ended before the call, and nobody would say so any more.
    if (getppid() != parent) return 0;
  }
  auto daemon = Daemon::Create(std::move(options), std::move(handed_on));
  const tunesmith::Status status = daemon.ok() ? (*daemon)->Run() : daemon.status();
  if (status.ok()) return 0;
  std::fprintf(stderr, "tunesmith-worker: %s\n", tunesmith::Message(status).c_str());
  return 1;
}
