// Virtual time: a heap of (time, order) -> what happens. One thread; equal seeds give equal runs to the last bit.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <queue>
#include <string>
#include <vector>

#include "common/rng.h"
#include "common/time.h"

namespace tunesmith::sim {

class World {
 public:
  World(uint64_t seed, bool log) : rng_(Rng::ForLabels({seed, 0x776f726c64})), log_(log) {}

  Time now() const { return now_; }
  Rng& rng() { return rng_; }
  bool Chance(double p) { return p > 0 && rng_.Uniform() < p; }
  // Exponential with this mean, at least 1 ms.
  Duration Draw(Duration mean);
  // Uniform, both ends included.
  Duration Between(Duration lo, Duration hi) { return Duration{rng_.IntInclusive(lo.ms, hi.ms)}; }

  void After(Duration delay, std::function<void()> action);
  // Runs what is next; false if nothing is, or something failed.
  bool RunNext();

  // Every step of the run goes into the trace, which tells two runs of a seed apart.
  void Trace(uint64_t kind, std::initializer_list<uint64_t> values);
  uint64_t trace_hash() const { return trace_; }

  // How often each kind of fault occurred, for the summary.
  void Count(const std::string& fault) { ++faults_[fault]; }
  const std::map<std::string, uint64_t>& faults() const { return faults_; }

  // The full log, for people. `line` is called only if it is wanted.
  template <typename F>
  void Log(F line) {
    if (log_) Print(line());
  }

  // The first failure counts; it ends the run.
  void Fail(const std::string& what);
  const std::string& failure() const { return failure_; }
  uint64_t events_run() const { return events_run_; }

 private:
  struct Entry {
    Time time;
    uint64_t order;
    std::function<void()> action;
    // The heap gives the largest first.
    bool operator<(const Entry& other) const {
      return time != other.time ? time > other.time : order > other.order;
    }
  };
  void Print(const std::string& line) const;

  Rng rng_;
  bool log_;
  Time now_{1'700'000'000'000};
  uint64_t next_order_ = 0;
  uint64_t events_run_ = 0;
  uint64_t trace_ = 0;
  std::string failure_;
  std::map<std::string, uint64_t> faults_;
  std::priority_queue<Entry> heap_;
};

}  // namespace tunesmith::sim
