// A searcher proposes points. It learns from finished trials and knows which points are still being tried.
#pragma once

#include <cstdint>
#include <limits>
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
  // With several objectives: one per entry of SearcherOptions::goals; `value` is unused.
  std::vector<double> values = {};
  double violation = 0;   // by how much the outcome constraints are exceeded in all; 0: feasible. An infeasible trial
                          // is worse than every feasible one, the less so the smaller its violation
  double seconds = 0;     // how long it ran; 0 if unknown
  friend bool operator==(const Observation&, const Observation&) = default;
};

// A trial has reached a rung of the scheduler: it is compared there with every other trial that got as far.
struct RungReport {
  uint32_t trial = 0;
  int64_t rung = 0;       // the steps it takes to get there: rungs are ordered by it
  double value = 0;       // the searcher's metric at that report; NaN is worse than every number
  friend bool operator==(const RungReport&, const RungReport&) = default;
};

// Where a point came from, in facts that can be stored and shown.
struct Origin {
  enum class Kind : uint8_t {
    kUnknown,
    kUser,     // one of the user's own points
    kStart,    // the space-filling points that a model starts from
    kPrior,    // drawn from the distributions as declared
    kModel,    // chosen by `judge` among candidates
    kGrid,     // next in the enumeration
    kRepeat,   // the same point once more
  };
  enum class Judge : uint8_t { kNone, kTpe, kGp, kForest, kCmaes };
  Kind kind = Kind::kUnknown;
  Judge judge = Judge::kNone;
  // Of the searcher's metric, in its units; NaN: the judge does not say.
  double predicted = std::numeric_limits<double>::quiet_NaN();
  uint32_t rank = 0;  // among the `of` candidates, by the judge's score: 1 is the best; 0 if nothing was compared
  uint32_t of = 0;
  friend bool operator==(const Origin& a, const Origin& b) {
    return a.kind == b.kind && a.judge == b.judge && a.rank == b.rank && a.of == b.of &&
           (a.predicted == b.predicted || (a.predicted != a.predicted && b.predicted != b.predicted));
  }
};

struct Suggestion {
  bool exhausted = false;  // every point of a finite space has been proposed: there is no further one
  Point point;             // valid when not exhausted
  Origin origin = {};
};

// Not thread-safe: one thread owns it. Deterministic: what Suggest(n) returns depends only on the options, on n, on the
// Report and Observe calls before it in their order, and on the set of Add and Forget calls (an Add may come at any
// time before the trial's first result). So a history can be replayed by announcing every trial and then telling the
// results in the order in which they arrived. No clock, no I/O.
class Searcher {
 public:
  virtual ~Searcher() = default;

  // Trial `trial` exists with this point and has not finished. Every trial of the sweep is announced once, also those
  // whose point did not come from this searcher (the user's own points, or a recovery after a restart).
  virtual void Add(uint32_t trial, const Point& point) = 0;
  // An announced trial that has not finished has reached a rung; each rung once. Searchers that look at final values
  // alone ignore it.
  virtual void Report(const RungReport& /*report*/) {}
  // An announced trial has finished. Called once per trial at most.
  virtual void Observe(const Observation& observation) = 0;
  // An announced trial was cancelled before it could say anything; its point may be proposed again.
  virtual void Forget(uint32_t trial) = 0;

  // The point for trial number `trial`. Does not announce it. May use caches, hence not const; calling it twice
  // without a change in between gives the same point.
  virtual Suggestion Suggest(uint32_t trial) = 0;
  // Does now what the next Suggest would have to do first (fitting models). Call it when nobody waits; it changes
  // nothing but the time that Suggest takes.
  virtual void Prepare() {}
};

// A trial of an earlier sweep, over this space as far as it goes.
struct EarlierTrial {
  Point point;           // in this space's order; monostate where the earlier sweep had no such parameter
  double value = 0;      // of the earlier sweep's metric, same goal; only its rank among the earlier trials counts
  friend bool operator==(const EarlierTrial&, const EarlierTrial&) = default;
};

struct SearcherOptions {
  std::string type = "auto";  // one of SearcherTypes()
  Goal goal = Goal::kMin;
  std::vector<Goal> goals = {};   // several objectives: one each, at least two; empty: one, `goal`
  uint64_t seed = 0;
  int64_t trials = 0;        // how many the sweep will have; 0 if unknown
  // From the sweep file's `search:` beyond type, metric, mode and seed; each searcher documents its own and refuses
  // others. E.g. {"startup_trials", 10}, {"candidates", 24}.
  std::vector<std::pair<std::string, Value>> options = {};
  std::vector<EarlierTrial> earlier = {};  // to start from
};

// Every searcher type that MakeSearcher knows, for messages and documentation.
std::vector<std::string> SearcherTypes();

// nullptr and appended problems (fields "search.type", "search.startup_trials", "parameters.NAME") if the options or
// the space do not suit the searcher. The space is copied.
std::unique_ptr<Searcher> MakeSearcher(const SearcherOptions& options, const Space& space, Problems* problems);

}  // namespace tunesmith
