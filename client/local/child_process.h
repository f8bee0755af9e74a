// A daemon that runs under this program: started in its own process group, with its output in a log
// file.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/status.h"

namespace tunesmith {

// Not thread-safe. Start it from the main thread: PR_SET_PDEATHSIG in the daemon speaks of the
// thread that started it. The destructor kills what still runs.
class ChildProcess {
 public:
  struct Options {
    std::vector<std::string> argv;  // argv[0] is the path of the program
    std::string log_file;           // stdout and stderr are appended to it
    int inherited_fd = -1;          // stays open in the child, with the same number; -1 = none
  };
  // NOT_FOUND if there is no such program.
  static StatusOr<std::unique_ptr<ChildProcess>> Start(const Options& options);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // Whether it still runs; reaps it if it does not.
  bool Running();
  void Terminate() { Signal(15); }
  void Kill() { Signal(9); }
  // True if it ended within the time.
  bool WaitFor(int64_t timeout_ms);
  // "exit code 1", "signal 9"; only when it has ended.
  std::string EndText() const;
  // The last lines of its log, at most `lines`.
  std::string LogTail(int lines) const;
  pid_t pid() const { return pid_; }

 private:
  ChildProcess(pid_t pid, std::string log_file) : pid_(pid), log_file_(std::move(log_file)) {}
  void Signal(int signal);

  pid_t pid_;
  std::string log_file_;
  bool ended_ = false;
  int wait_status_ = 0;
};

}  // namespace tunesmith
