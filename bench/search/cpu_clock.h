// CPU time of a piece of code on its thread.
#pragma once

#include <time.h>

namespace tunesmith::bench {

// Adds the CPU seconds from its construction to its destruction.
class CpuClock {
 public:
  explicit CpuClock(double* sum) : sum_(sum), start_(Now()) {}
  ~CpuClock() { *sum_ += Now() - start_; }
  CpuClock(const CpuClock&) = delete;
  CpuClock& operator=(const CpuClock&) = delete;

 private:
  static double Now() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
  }
  double* sum_;
  double start_;
};

}  // namespace tunesmith::bench
