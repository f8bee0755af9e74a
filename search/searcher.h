// A searcher proposes points. It learns from finished trials and knows which points are still being tried.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/problem.h"
#include "search/space/space.h"

namespace tunesmith {

enum class Goal : uint8_t { kMin, kMax };

enum class Outcome : uint8_t {
  kCompleted,  // ran to its end
  kStopped,    // stopped early by the scheduler
  kFailed,     // the program failed or never reported: informative, never "best"
};

struct Observation {
  uint32_t trial = 0;     // its number in the sweep
  Outcome outcome = Outcome::kCompleted;
  double value = 0;       // last reported value of the searcher's metric, as the program gave it (not negated); NaN
                          // if never reported or not a number: worse than every number
  int64_t step = 0;       // last reported step, 0 if none
  friend bool operator==(const Observation&, const Observation&) = default;
};

struct Suggestion {
  bool exhausted = false;  // every point of a finite space has been proposed: there is no further one
  Point point;             // valid when not exhausted
};

// Not thread-safe: one thread owns it. Deterministic: what Suggest(n) returns depends only on the options, on n, and
// on the set of Add/Observe/Forget calls before it (never on their order where they commute). No clock, no I/O.
class Searcher {
 public:
  virtual ~Searcher() = default;

  // Trial `trial` exists with this point and has not finished. Every trial of the sweep is announced once, also those
  // whose point did not come from this searcher (the user's own points, or a recovery after a restart).
  virtual void Add(uint32_t trial, const Point& point) = 0;
  // An announced trial has finished. Called once per trial at most.
  virtual void Observe(const Observation& observation) = 0;
  // An announced trial was cancelled before it could say anything; its point may be proposed again.
  virtual void Forget(uint32_t trial) = 0;

  // The point for trial number `trial`. Does not announce it. May use caches, hence not const; calling it twice
  // without a change in between gives the same point.
  virtual Suggestion Suggest(uint32_t trial) = 0;
};

struct SearcherOptions {
  std::string type = "tpe";  // random, grid, tpe
  Goal goal = Goal::kMin;
  uint64_t seed = 0;
  // From the sweep file's `search:` beyond type, metric, mode and seed; each searcher documents its own and refuses
  // others. E.g. {"startup_trials", 10}, {"candidates", 24}.
  std::vector<std::pair<std::string, Value>> options;
};

// Every searcher type that MakeSearcher knows, for messages and documentation.
std::vector<std::string> SearcherTypes();

// nullptr and appended problems (fields "search.type", "search.startup_trials", "parameters.NAME") if the options or
// the space do not suit the searcher. The space is copied.
std::unique_ptr<Searcher> MakeSearcher(const SearcherOptions& options, const Space& space, Problems* problems);

}  // namespace tunesmith
