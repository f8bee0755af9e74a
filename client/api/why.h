// Why trials are where they are, as text for people and as JSON: `why`. Pure.
#pragma once

#include <string>
#include <vector>

#include "tunesmith/v1/sweep.pb.h"

namespace tunesmith {

// Trials of a sweep that are where they are for the same cause: the same rung, the same failure.
struct CauseGroup {
  v1::Trial::State state = v1::Trial::STATE_UNSPECIFIED;
  std::string cause;  // one line; "" where there is nothing to say
  int64_t count = 0;
  std::vector<uint32_t> trials;  // the first few, by number
};

// The largest group of a state first, states in the order in which trials pass through them.
class CauseGroups {
 public:
  void Add(const v1::Trial& trial);
  std::vector<CauseGroup> Take() &&;

 private:
  std::vector<CauseGroup> groups_;
};

// `trial`: from GetTrial, with its facts.
std::vector<std::string> TrialWhy(const v1::Trial& trial);
std::string TrialWhyJson(const v1::Trial& trial);

// `waiting`: one of the pending trials with its facts, or null. `workers`: those that take nothing count.
std::vector<std::string> SweepWhy(const v1::Sweep& sweep, const std::vector<CauseGroup>& groups,
                                  const v1::Trial* waiting, const std::vector<v1::Worker>& workers);
std::string SweepWhyJson(const v1::Sweep& sweep, const std::vector<CauseGroup>& groups,
                         const std::vector<v1::Worker>& workers);

}  // namespace tunesmith
