#include "search/auto/candidates.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "common/exact_math.h"

namespace tunesmith::model {

namespace {

constexpr double kMutationSdMax = 0.2, kMutationSdRange = 20;  // from a hundredth to a fifth of the range

}  // namespace

// The value of parameter i, changed: ordered ones by a normal step of `sd` of the range or about one value, whichever
// is more; categories to any other.
double CandidateSource::Move(size_t i, double code, double sd, Rng* rng) const {
  const tpe::Dim& dim = coding_.dims()[i];
  if (dim.kind == tpe::Kind::kFixed) return code;
  if (dim.kind == tpe::Kind::kCategorical) {
    const uint64_t other = rng->Below(dim.values - 1);
    return static_cast<double>(other + (other >= static_cast<uint64_t>(code) ? 1 : 0));
  }
  if (dim.kind == tpe::Kind::kLattice) {
    double step = std::nearbyint(std::max(1.0, sd * static_cast<double>(dim.values)) * rng->Normal());
    if (step == 0) step = (rng->NextU32() & 1U) != 0 ? 1 : -1;
    double moved = code + step;
    const auto last = static_cast<double>(dim.values - 1);
    if (moved < 0 || moved > last) moved = code - step;  // reflected
    return std::clamp(moved, 0.0, last);
  }
  const auto snap = [&](double u) {
    if (u < 0) u = -u;
    if (u > 1) u = 2 - u;
    return coding_.Snap(i, std::clamp(u, 0.0, 0x1.fffffffffffffp-1));
  };
  const double moved = snap(code + sd * rng->Normal());
  if (dim.kind == tpe::Kind::kContinuous) return moved;
  const double before = snap(code);
  if (moved != before) return moved;
  // Back in the same cell, which may be a wide one at the low end of a logarithmic parameter.
  const double width = coding_.CellWidth(i, before);
  const double up = before + width, down = before - width;  // in other cells, if there are any
  return snap(down < 0 || (up < 1 && (rng->NextU32() & 1U) != 0) ? up : down);
}

tpe::Codes CandidateSource::Mutate(const std::vector<float>& parent, Rng* rng) const {
  std::vector<size_t> active;
  for (size_t i = 0; i < coding_.size(); ++i) {
    if (!std::isnan(parent[i]) && coding_.dims()[i].kind != tpe::Kind::kFixed) active.push_back(i);
  }
  std::vector<bool> change(coding_.size(), false);
  const double sd = kMutationSdMax * PortableExp(-rng->Uniform() * PortableLog(kMutationSdRange));
  const uint64_t changes = std::min<uint64_t>(1 + rng->Below(3), active.size());
  for (uint64_t n = 0; n < changes; ++n) change[active[rng->Below(active.size())]] = true;
  tpe::Codes codes(coding_.size(), std::numeric_limits<double>::quiet_NaN());
  Point parents(coding_.size());
  for (const size_t i : space_.SampleOrder()) {
    if (coding_.dims()[i].conditional && !space_.Active(i, parents)) continue;
    if (std::isnan(parent[i])) {  // a branch that the parent did not have
      codes[i] = coding_.SamplePrior(i, rng);
    } else {
      codes[i] = change[i] ? Move(i, parent[i], sd, rng) : parent[i];
    }
    if (coding_.dims()[i].parent) parents[i] = coding_.Decode(i, codes[i]);
  }
  return codes;
}

void CandidateSource::Draw(const CandidateMix& mix, const tpe::Parzen& good,
                           const std::vector<std::vector<float>>& parents,
                           const std::function<bool(uint64_t hash)>& skip, Rng* rng,
                           std::unordered_set<uint64_t>* taken, std::vector<Candidate>* out) const {
  tpe::Codes codes;
  Point scratch;
  const auto keep = [&] {
    Candidate candidate{codes, Point(codes.size()), 0};
    for (size_t i = 0; i < codes.size(); ++i) {
      if (!std::isnan(codes[i])) candidate.point[i] = coding_.Decode(i, codes[i]);
    }
    candidate.hash = HashPoint(candidate.point);
    if (skip(candidate.hash) || taken->count(candidate.hash) > 0 || !space_.Feasible(candidate.point)) return false;
    taken->insert(candidate.hash);
    out->push_back(std::move(candidate));
    return true;
  };
  // Small spaces repeat themselves, and constraints refuse: a few more tries, not many.
  const auto draw = [&](size_t wanted, const auto& one) {
    size_t found = 0;
    for (size_t tries = 0; tries < 3 * wanted && found < wanted; ++tries) {
      one();
      found += keep() ? 1 : 0;
    }
  };
  draw(mix.from_model, [&] { good.Sample(space_, rng, &codes, &scratch); });
  draw(mix.from_prior, [&] {
    const Point point = space_.Sample(rng);
    codes.resize(point.size());
    for (size_t i = 0; i < point.size(); ++i) codes[i] = coding_.Encode(i, point[i]);
  });
  size_t next = 0;
  if (!parents.empty()) draw(mix.mutations, [&] { codes = Mutate(parents[next++ % parents.size()], rng); });
}

}  // namespace tunesmith::model
