// What the TPE searcher keeps of a sweep: bounded, whatever the number of trials.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "search/pareto/fronts.h"
#include "search/searcher.h"
#include "search/tpe/coding.h"
#include "search/tpe/parzen.h"

namespace tunesmith::tpe {

constexpr size_t kBelowMax = 25;
constexpr size_t kAboveMax = 256;
constexpr size_t kEarlierFade = 20;  // trials of the sweep's own that halve the number of earlier ones that count
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
  // One goal, or several: then trials are ordered by rank of non-domination, and the rank that is cut by the volume
  // that a trial adds (MOTPE: Ozaki et al. 2022; weights are even).
  History(uint64_t seed, std::vector<Goal> goals);

  // A trial of an earlier sweep (NaN: a parameter that it did not have). Before the first Add; where there is one goal.
  void AddEarlier(const Codes& codes, double value);

  void Add(uint32_t trial, const Codes& codes);
  void Observe(const Observation& observation);
  void Forget(uint32_t trial);

  // Trials that ended with finite metrics.
  size_t ranked() const { return ranked_; }
  size_t earlier() const { return earlier_.size(); }
  // Pointers into the history: valid until the next change. ranked() + earlier() > 0.
  Groups Split() const;

 private:
  using Order = std::set<std::pair<double, uint32_t>>;
  // Feasible trials stand before infeasible ones, which are ordered by violation.
  struct Place {
    double violation = 0;
    double loss = 0;  // lower is better; 0 with several goals
    uint32_t trial = 0;
    friend auto operator<=>(const Place&, const Place&) = default;
  };
  struct Record {
    std::vector<float> codes;
    double key = 0;   // of the sample without replacement: the smallest are in it
    bool best = false, sampled = false, running = true;
  };

  struct EarlierRecord {
    std::vector<float> codes;
    double loss = 0;
    double key = 0;  // as of a record
  };

  void Rank(const Observation& observation);
  void DropIfUnused(uint32_t trial);
  void AddPlace(const Place& place);
  void AddToFronts(uint32_t trial, std::vector<double> losses);
  // The `below` best earlier trials join the group below, `above` others the group above while it has seats.
  void AddEarlierBelow(size_t below, Groups* groups, double* weight_sum) const;
  void AddEarlierAbove(size_t below, size_t above, Groups* groups) const;
  // The trials of the group below, by number, and their weights.
  void Below(size_t wanted, std::vector<uint32_t>* members, std::vector<double>* weights) const;
  void BelowOfFronts(size_t wanted, std::vector<uint32_t>* members) const;
  std::vector<uint32_t> Cut(const std::vector<Fronts::Member>& rank, size_t wanted) const;

  const uint64_t seed_;
  const std::vector<Goal> goals_;
  size_t ranked_ = 0;
  std::vector<EarlierRecord> earlier_;            // best first
  std::vector<uint32_t> earlier_order_;           // indices by key
  std::unordered_map<uint32_t, Record> records_;
  std::set<Place> best_;  // the kBelowMax + 1 best; with several goals only infeasible ones
  Fronts fronts_;         // with several goals: the feasible ones
  mutable std::vector<uint32_t> below_;  // of the last call with several goals
  mutable size_t below_wanted_ = 0;      // with what it was called; 0: not since the last change
  Order finished_;  // (key, trial): the kAboveMax + kBelowMax smallest keys of finished trials
  Order running_;   // (key, trial)
};

}  // namespace tunesmith::tpe
