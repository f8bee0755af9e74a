#include "client/signals.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "common/check.h"

namespace tunesmith {
namespace {

int pipe_fds[2] = {-1, -1};

void Handle(int signal) {
  const int saved = errno;
  const char byte = static_cast<char>(signal);
  // A full pipe means that plenty of signals wait already.
  [[maybe_unused]] const ssize_t count = ::write(pipe_fds[1], &byte, 1);
  errno = saved;
}

}  // namespace

SignalPipe::SignalPipe() {
  TS_CHECK(pipe_fds[0] == -1, "two SignalPipes at once");
  TS_CHECK(::pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) == 0, "pipe2 failed");
  struct sigaction action = {};
  action.sa_handler = Handle;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, &old_interrupt_);
  sigaction(SIGTERM, &action, &old_terminate_);
  sigaction(SIGWINCH, &action, &old_resize_);
}

SignalPipe::~SignalPipe() {
  sigaction(SIGINT, &old_interrupt_, nullptr);
  sigaction(SIGTERM, &old_terminate_, nullptr);
  sigaction(SIGWINCH, &old_resize_, nullptr);
  ::close(pipe_fds[0]);
  ::close(pipe_fds[1]);
  pipe_fds[0] = pipe_fds[1] = -1;
}

int SignalPipe::fd() const { return pipe_fds[0]; }

int SignalPipe::Next() {
  char byte = 0;
  return ::read(pipe_fds[0], &byte, 1) == 1 ? byte : 0;
}

void IgnoreBrokenPipes() { ::signal(SIGPIPE, SIG_IGN); }

}  // namespace tunesmith
