// SIGINT, SIGTERM and SIGWINCH as bytes in a pipe, so that one poll() waits for them and for
// everything else.
#pragma once

#include <csignal>

namespace tunesmith {

// One at a time in the process. While it lives the signals do nothing but fill the pipe; afterwards
// they do what they did before.
class SignalPipe {
 public:
  SignalPipe();
  ~SignalPipe();
  SignalPipe(const SignalPipe&) = delete;
  SignalPipe& operator=(const SignalPipe&) = delete;

  int fd() const;  // readable when a signal has come
  // SIGINT, SIGTERM or SIGWINCH; 0 if none waits.
  int Next();

 private:
  struct sigaction old_interrupt_, old_terminate_, old_resize_;
};

// A reader that has gone is an error of write(), not the end of the program.
void IgnoreBrokenPipes();

}  // namespace tunesmith
