#include "bench/search/task.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

namespace tunesmith::bench {
namespace {

// A point near `point`: one to three of its parameters drawn anew, or moved a little where they are
// numbers. Nothing when the result is not a point of the space (a condition changed).
std::optional<Point> Neighbour(const Space& space, const Point& point, double step, Rng* rng) {
  Point next = point;
  for (uint64_t left = 1 + rng->Below(3); left > 0; --left) {
    const size_t i = rng->Below(space.size());
    if (!IsActive(next[i])) continue;
    const Parameter& p = space.parameters()[i];
    if (const auto count = space.ValueCount(i); count && *count > 0) {
      // Integers and quantised numbers move along their values.
      const bool ordered = !HasOptions(p.distribution);
      const auto index = space.IndexOf(i, next[i]);
      if (!ordered || !index) {
        next[i] = space.SampleParameter(i, rng);
        continue;
      }
      const double moved =
          static_cast<double>(*index) +
          std::round(rng->Normal() * std::max(1.0, step * static_cast<double>(*count)));
      next[i] = space.ValueAt(
          i, static_cast<uint64_t>(std::clamp(moved, 0.0, static_cast<double>(*count - 1))));
    } else if (p.distribution == Distribution::kNormal) {
      next[i] = ValueNumber(next[i]) + step * p.sd * rng->Normal();
    } else {
      const double x = ValueNumber(next[i]);
      const double moved = p.distribution == Distribution::kLogUniform
                               ? x * std::pow(p.hi / p.lo, step * rng->Normal())
                               : x + step * (p.hi - p.lo) * rng->Normal();
      next[i] = std::clamp(moved, p.lo, std::nextafter(p.hi, p.lo));
    }
  }
  if (!space.Contains(next, nullptr)) return std::nullopt;
  return next;
}

}  // namespace

Parameter RangeParameter(const std::string& name, Distribution distribution, double lo, double hi) {
  Parameter p;
  p.name = name;
  p.distribution = distribution;
  p.lo = lo;
  p.hi = hi;
  return p;
}

double Regret(const Task& task, double loss) {
  return std::max(0.0, 100 * (loss - task.optimum) / (task.median - task.optimum));
}

void Calibrate(size_t samples, bool optimum_known, Task* task) {
  Rng rng(0x43414c4942);
  std::vector<std::pair<double, Point>> found;
  for (size_t s = 0; s < samples; ++s) {
    Point point = task->space.Sample(&rng);
    const double loss = task->loss(point);
    if (std::isfinite(loss)) found.emplace_back(loss, std::move(point));
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  task->median = found[found.size() / 2].first;
  if (optimum_known) return;
  constexpr size_t kStarts = 10;
  task->optimum = found.front().first;
  for (size_t start = 0; start < std::min(kStarts, found.size()); ++start) {
    auto [best, point] = found[start];
    double step = 0.1;
    for (size_t n = 0; n < samples / (2 * kStarts); ++n) {
      const auto next = Neighbour(task->space, point, step, &rng);
      if (!next) continue;
      const double loss = task->loss(*next);
      // Steps grow on success and shrink on failure: about one in five succeeds.
      if (loss < best) {
        best = loss;
        point = *next;
        step = std::min(0.3, step * 1.5);
      } else {
        step = std::max(1e-4, step * 0.9);
      }
    }
    task->optimum = std::min(task->optimum, best);
  }
}

}  // namespace tunesmith::bench
