#include "search/space/enumeration.h"

#include <algorithm>
#include <utility>

namespace tunesmith {
namespace {

// No draw of a normal by inversion of 52 bits lies further out, in standard deviations.
constexpr double kNormalReach = 8.5;

}  // namespace

Enumeration::Enumeration(const Space& space, Point pinned)
    : space_(space), pinned_(std::move(pinned)) {}

Value Enumeration::FirstValue(size_t i, Rng* rng) const {
  if (Pinned(i)) return pinned_[i];
  if (space_.ValueCount(i)) return space_.ValueAt(i, 0);
  const Parameter& p = space_.parameters()[i];
  if (p.distribution == Distribution::kQNormal)
    return space_.Quantise(i, p.mean - kNormalReach * p.sd);
  return space_.SampleParameter(i, rng);
}

bool Enumeration::NextValue(size_t i, Value* value) const {
  if (Pinned(i)) return false;
  if (const auto count = space_.ValueCount(i)) {
    const auto index = space_.IndexOf(i, *value);
    if (!index || *index + 1 >= *count) return false;
    *value = space_.ValueAt(i, *index + 1);
    return true;
  }
  const Parameter& p = space_.parameters()[i];
  if (p.distribution != Distribution::kQNormal) return false;
  const double next = space_.Quantise(i, ValueNumber(*value) + p.q);
  if (!(next > ValueNumber(*value) && next <= p.mean + kNormalReach * p.sd)) return false;
  *value = next;
  return true;
}

// Moves the last place before *place that has a next value to that value, such that the constraints
// that end there hold, and sets *place behind it. False at the end, and when the steps run out.
bool Enumeration::Advance(size_t* place, Point* point, int64_t* steps) const {
  const auto& order = space_.SampleOrder();
  while (*place > 0) {
    const size_t k = *place - 1;
    Value& value = (*point)[order[k]];
    while (IsActive(value) && NextValue(order[k], &value)) {
      if (--*steps < 0) return false;
      if (space_.MeetsAt(k, *point)) return true;
    }
    --*place;
  }
  return false;
}

// Fills places [from, end) of the sample order with the first values that the constraints let
// stand, going back to earlier places where there are none.
bool Enumeration::Fill(size_t from, Rng* rng, Point* point, int64_t* steps) const {
  const auto& order = space_.SampleOrder();
  size_t k = from;
  while (k < order.size()) {
    if (--*steps < 0) return false;
    (*point)[order[k]] = space_.Active(order[k], *point) ? FirstValue(order[k], rng) : Value();
    ++k;
    if (!space_.MeetsAt(k - 1, *point) && !Advance(&k, point, steps)) return false;
  }
  return true;
}

std::optional<Point> Enumeration::First(Rng* rng, int64_t* steps) const {
  int64_t own_steps = kSteps;
  if (steps == nullptr) steps = &own_steps;
  Point point(space_.size());
  const bool found = Fill(0, rng, &point, steps);
  *steps = std::max<int64_t>(0, *steps);
  if (!found) return std::nullopt;
  return point;
}

bool Enumeration::Next(Rng* rng, Point* point, int64_t* steps) const {
  int64_t own_steps = kSteps;
  if (steps == nullptr) steps = &own_steps;
  Point next = *point;
  size_t place = space_.size();
  const bool found = Advance(&place, &next, steps) && Fill(place, rng, &next, steps);
  if (*steps < 0) {
    *steps = 0;
    return false;
  }
  if (!found && !Fill(0, rng, &next, steps)) {
    *steps = 0;  // the first point was found before, so only the steps can be missing
    return false;
  }
  *point = std::move(next);
  return found;
}

}  // namespace tunesmith
