#include "schedulers/explore.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

namespace tunesmith {
namespace {

// What has no bounds stays finite all the same, however often it is multiplied.
double Finite(double x) { return std::clamp(x, -1e300, 1e300); }

// Of the values that parameter i can take, in order, the index of the one nearest to x; the lower one of two.
uint64_t NearestIndex(const Space& space, size_t i, double x) {
  uint64_t low = 0, high = *space.ValueCount(i) - 1;  // the first that is not less than x, if any is
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    if (ValueNumber(space.ValueAt(i, middle)) < x) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == 0) return 0;
  const double above = ValueNumber(space.ValueAt(i, low)) - x;
  const double below = x - ValueNumber(space.ValueAt(i, low - 1));
  return above < below ? low : low - 1;
}

// The number as parameter i has it, within its bounds and on its steps.
Value Inside(const Space& space, size_t i, double x) {
  const Parameter& p = space.parameters()[i];
  if (space.ValueCount(i)) return space.ValueAt(i, NearestIndex(space, i, x));
  if (p.distribution == Distribution::kNormal) return Finite(x);
  if (p.distribution == Distribution::kQNormal) return space.Quantise(i, Finite(x));
  return std::clamp(x, p.lo, std::nextafter(p.hi, p.lo));
}

class Explorer {
 public:
  Explorer(const Space& space, const PbtOptions& options, bool as_ray, Rng* rng)
      : space_(space), options_(options), as_ray_(as_ray), rng_(rng), mutation_of_(space.size(), nullptr),
        mutations_(MutationsOf(space, options)) {
    for (const Mutation& mutation : mutations_) {
      if (const auto i = space.Find(mutation.name)) mutation_of_[*i] = &mutation;
    }
  }

  Point Near(const Point& point) const {
    Point near(space_.size());
    for (const size_t i : space_.SampleOrder()) {
      if (!space_.Active(i, near)) continue;
      if (!IsActive(point[i])) {
        near[i] = space_.SampleParameter(i, rng_);
      } else if (mutation_of_[i] == nullptr) {
        near[i] = point[i];
      } else {
        near[i] = as_ray_ ? MutateAsRay(*mutation_of_[i], i, point[i]) : Mutate(*mutation_of_[i], i, point[i]);
      }
    }
    return near;
  }

 private:
  bool Resamples() const { return rng_->Uniform() < options_.resample_probability; }
  double Factor() const {
    return options_.perturbation_factors[rng_->Below(options_.perturbation_factors.size())];
  }

  Value FromList(const std::vector<Value>& list, const Value& value) const {
    const auto at = std::find_if(list.begin(), list.end(), [&](const Value& v) { return SameValue(v, value); });
    if (Resamples() || at == list.end()) return list[rng_->Below(list.size())];
    const auto index = static_cast<size_t>(at - list.begin());
    if (rng_->Below(2) == 0) return list[index == 0 ? 0 : index - 1];
    return list[std::min(index + 1, list.size() - 1)];
  }

  Value Draw(const Mutation& mutation, size_t i) const {
    if (mutation.from == Mutation::From::kOwn) return space_.SampleParameter(i, rng_);
    Parameter alone = mutation.values;
    alone.when.clear();
    Problems problems;
    const auto drawn_from = Space::Create({std::move(alone)}, &problems);
    return drawn_from ? drawn_from->SampleParameter(0, rng_) : space_.SampleParameter(i, rng_);
  }

  Value Mutate(const Mutation& mutation, size_t i, const Value& value) const {
    const Parameter& p = space_.parameters()[i];
    const bool own = mutation.from == Mutation::From::kOwn;
    if (!own && HasOptions(mutation.values.distribution)) {
      const Value next = FromList(mutation.values.options, value);
      return space_.Typed(i, next).value_or(value);
    }
    if (HasOptions(p.distribution)) return FromList(p.options, value);
    const double x = ValueNumber(value);
    if (Resamples() || x == 0) {
      const Value drawn = Draw(mutation, i);
      return own ? drawn : Inside(space_, i, ValueNumber(drawn));
    }
    const double factor = Factor();
    const bool up = (factor > 1) == (x > 0);
    const Value near = Inside(space_, i, x * factor);
    if (factor == 1 || !SameValue(near, value)) return near;
    // Less than a step: one step then, unless that is the end.
    if (p.distribution == Distribution::kQNormal) return space_.Quantise(i, up ? x + p.q : x - p.q);
    const auto index = space_.IndexOf(i, value);
    if (!index) return near;
    if (up) return space_.ValueAt(i, std::min(*index + 1, *space_.ValueCount(i) - 1));
    return space_.ValueAt(i, *index == 0 ? 0 : *index - 1);
  }

  Value MutateAsRay(const Mutation& mutation, size_t i, const Value& value) const {
    if (mutation.from == Mutation::From::kList) return FromList(mutation.values.options, value);
    const Value next = Resamples() ? Draw(mutation, i) : Value(Finite(ValueNumber(value) * Factor()));
    if (!std::holds_alternative<int64_t>(value)) return next;
    const double x = ValueNumber(next);
    constexpr double kIntegersMax = 0x1p62;
    if (std::isnan(x)) return value;
    return static_cast<int64_t>(std::trunc(std::clamp(x, -kIntegersMax, kIntegersMax)));
  }

  const Space& space_;
  const PbtOptions& options_;
  const bool as_ray_;
  Rng* const rng_;
  std::vector<const Mutation*> mutation_of_;  // by parameter; of mutations_
  const std::vector<Mutation> mutations_;
};

}  // namespace

std::vector<Mutation> MutationsOf(const Space& space, const PbtOptions& options) {
  if (!options.mutations.empty()) return options.mutations;
  std::vector<Mutation> mutations;
  for (const Parameter& p : space.parameters()) {
    if (p.distribution != Distribution::kConstant && p.when.empty()) mutations.push_back({.name = p.name});
  }
  return mutations;
}

Point Explore(const Space& space, const PbtOptions& options, bool as_ray, const Point& point, Rng* rng) {
  const Explorer explorer(space, options, as_ray, rng);
  for (int i = 0; i < kExploreTries; ++i) {
    Point near = explorer.Near(point);
    if (as_ray ? space.Feasible(near) : space.Contains(near, nullptr)) return near;
  }
  return point;
}

}  // namespace tunesmith
