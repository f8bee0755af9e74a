#include "search/seen_points.h"

#include <cmath>
#include <utility>

namespace tunesmith {

void SeenPoints::Add(uint32_t trial, const Point& point) {
  const uint64_t hash = HashPoint(point);
  if (!unfinished_.emplace(trial, hash).second) return;
  ++counts_[hash];
}

void SeenPoints::Forget(uint32_t trial) {
  const auto it = unfinished_.find(trial);
  if (it == unfinished_.end()) return;
  const auto count = counts_.find(it->second);
  if (--count->second == 0) counts_.erase(count);
  unfinished_.erase(it);
}

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

void Enumeration::Fill(size_t from, Rng* rng, Point* point) const {
  const auto& order = space_.SampleOrder();
  for (size_t k = from; k < order.size(); ++k) {
    (*point)[order[k]] = space_.Active(order[k], *point) ? FirstValue(order[k], rng) : Value();
  }
}

Point Enumeration::First(Rng* rng) const {
  Point point(space_.size());
  Fill(0, rng, &point);
  return point;
}

bool Enumeration::Next(Rng* rng, Point* point) const {
  const auto& order = space_.SampleOrder();
  for (size_t k = order.size(); k-- > 0;) {
    Value& value = (*point)[order[k]];
    if (!IsActive(value) || !NextValue(order[k], &value)) continue;
    Fill(k + 1, rng, point);
    return true;
  }
  Fill(0, rng, point);
  return false;
}

Point Enumeration::Sample(Rng* rng) const {
  Point point(space_.size());
  for (const size_t i : space_.SampleOrder()) {
    if (!space_.Active(i, point)) continue;
    point[i] = Pinned(i) ? pinned_[i] : space_.SampleParameter(i, rng);
  }
  return point;
}

std::optional<Point> DrawUnseen(const Enumeration& points, const SeenPoints& seen, Rng* rng) {
  constexpr int kDraws = 100;  // below one percent of free points enumeration takes over
  Point point;
  for (int n = 0; n < kDraws; ++n) {
    point = points.Sample(rng);
    if (!seen.Contains(point)) return point;
  }
  const Point start = point;
  bool wrapped = false;
  for (;;) {
    if (!points.Next(rng, &point)) {
      if (wrapped) return std::nullopt;
      wrapped = true;
    }
    if (!seen.Contains(point)) return point;
    if (SamePoint(point, start)) return std::nullopt;
  }
}

}  // namespace tunesmith
