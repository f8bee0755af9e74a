// What the TPE searcher keeps of a sweep: bounded, whatever the number of trials.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "search/searcher.h"
#include "search/tpe/coding.h"
#include "search/tpe/parzen.h"

namespace tunesmith::tpe {

constexpr size_t kBelowMax = 25;
constexpr size_t kAboveMax = 256;
constexpr size_t kAbovePendingMax =
    128;  // seats that running trials may take when finished ones want them too

// The two groups of a split.
struct Groups {
  std::vector<Kernel> below, above;
  double below_prior_weight = 1;
};

// The state is a function of the set of calls, not of their order. Not thread-safe.
class History {
 public:
  History(uint64_t seed, Goal goal) : seed_(seed), goal_(goal) {}

  void Add(uint32_t trial, const Codes& codes);
  void Observe(const Observation& observation);
  void Forget(uint32_t trial);

  // Trials that ended with a finite metric.
  size_t ranked() const { return ranked_; }
  // Pointers into the history: valid until the next change. ranked() > 0.
  Groups Split() const;

 private:
  using Order = std::set<std::pair<double, uint32_t>>;
  struct Record {
    std::vector<float> codes;
    double key = 0;   // of the sample without replacement: the smallest are in it
    double loss = 0;  // lower is better
    bool best = false, sampled = false, running = true;
  };

  void DropIfUnused(uint32_t trial);

  const uint64_t seed_;
  const Goal goal_;
  size_t ranked_ = 0;
  std::unordered_map<uint32_t, Record> records_;
  Order best_;      // (loss, trial): the kBelowMax + 1 best
  Order finished_;  // (key, trial): the kAboveMax + kBelowMax smallest keys of finished trials
  Order running_;   // (key, trial)
};

}  // namespace tunesmith::tpe
