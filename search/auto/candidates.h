// Points worth judging.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <unordered_set>
#include <vector>

#include "search/tpe/parzen.h"

namespace tunesmith::model {

// How many to draw from where.
struct CandidateMix {
  size_t from_model = 0;  // from the density of the best trials
  size_t from_prior = 0;
  size_t mutations = 0;   // one to three parameters of a good point changed, by steps of every size
};

struct Candidate {
  tpe::Codes codes;
  Point point;
  uint64_t hash = 0;  // of the point
};

// Makes candidates of a space. Immutable.
class CandidateSource {
 public:
  // Both must outlive it.
  CandidateSource(const Space& space, const tpe::Coding& coding) : space_(space), coding_(coding) {}

  // Appends the mix to `out`, leaving out points that `skip` refuses, that break a constraint, or whose hash is in
  // `taken`, which the new ones join. `good` is the density of the best trials, `parents` are the points to mutate, in
  // turn. Fewer than asked if they are hard to find.
  void Draw(const CandidateMix& mix, const tpe::Parzen& good, const std::vector<std::vector<float>>& parents,
            const std::function<bool(uint64_t hash)>& skip, Rng* rng, std::unordered_set<uint64_t>* taken,
            std::vector<Candidate>* out) const;

 private:
  tpe::Codes Mutate(const std::vector<float>& parent, Rng* rng) const;
  double Move(size_t i, double code, double sd, Rng* rng) const;

  const Space& space_;
  const tpe::Coding& coding_;
};

}  // namespace tunesmith::model
