#include "search/seen_points.h"

#include <limits>
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

std::optional<Point> DrawUnseen(const Enumeration& points, const SeenPoints& seen, Rng* rng) {
  constexpr int kDraws = 100;  // below one percent of free points enumeration takes over
  std::optional<Point> point;
  for (int n = 0; n < kDraws; ++n) {
    auto draw = points.Sample(rng);
    if (!draw) break;  // the pinned values may still have a point that was not found
    if (!seen.Contains(*draw)) return draw;
    point = std::move(draw);
  }
  // Without constraints every step gives a point, of which only the seen ones are passed over.
  constexpr int64_t kSteps = 1'000'000;
  int64_t steps = std::numeric_limits<int64_t>::max();
  if (!points.space().constraints().empty()) {
    steps = kSteps + static_cast<int64_t>(10 * seen.distinct() * points.space().size());
  }
  bool wrapped = false;
  if (!point) {
    point = points.First(rng, &steps);
    wrapped = true;
    if (!point || !seen.Contains(*point)) return point;
  }
  const Point start = *point;
  for (;;) {
    if (!points.Next(rng, &*point, &steps)) {
      if (wrapped || steps == 0) return std::nullopt;
      wrapped = true;
    }
    if (!seen.Contains(*point)) return point;
    if (SamePoint(*point, start)) return std::nullopt;
  }
}

}  // namespace tunesmith
