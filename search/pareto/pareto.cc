#include "search/pareto/pareto.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <utility>

namespace tunesmith {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// NaN counts as worse than infinity, so losses are compared by these two.
bool Less(double a, double b) { return std::isnan(b) ? !std::isnan(a) : a < b; }
bool Same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

// -1, 0, 1: lexicographic.
int Compare(const double* a, const double* b, size_t width) {
  for (size_t j = 0; j < width; ++j) {
    if (Same(a[j], b[j])) continue;
    return Less(a[j], b[j]) ? -1 : 1;
  }
  return 0;
}

// Indices in lexicographic order of the rows; equal rows by index. Whoever dominates a point stands before it.
std::vector<uint32_t> SortedRows(LossRows rows) {
  std::vector<uint32_t> order(rows.count);
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return Compare(rows[a], rows[b], rows.width) < 0; });
  return order;
}

// For two objectives the points of a rank, in this order, have falling second losses; so the last one of each rank
// tells whether it dominates, and the ranks' last ones rise from rank to rank.
std::vector<uint32_t> RanksOfTwo(LossRows rows) {
  std::vector<uint32_t> ranks(rows.count);
  std::vector<double> last;  // second loss of the last point of each rank
  const std::vector<uint32_t> order = SortedRows(rows);
  for (size_t k = 0; k < order.size(); ++k) {
    const uint32_t i = order[k];
    if (k > 0 && Compare(rows[order[k - 1]], rows[i], 2) == 0) {
      ranks[i] = ranks[order[k - 1]];
      continue;
    }
    const double y = rows[i][1];
    // The first rank whose last point is worse in the second objective.
    const auto it = std::upper_bound(last.begin(), last.end(), y, Less);
    ranks[i] = static_cast<uint32_t>(it - last.begin());
    if (it == last.end()) {
      last.push_back(y);
    } else {
      *it = y;
    }
  }
  return ranks;
}

// Volume of points in two dimensions, all below the reference, by a sweep.
double AreaOfTwo(LossRows rows, const double* reference) {
  double area = 0;
  double height = reference[1];
  for (const uint32_t i : SortedRows(rows)) {
    const double* p = rows[i];
    if (!(p[1] < height)) continue;
    area += (reference[0] - p[0]) * (height - p[1]);
    height = p[1];
  }
  return area;
}

// Drops points that others of the list dominate, and repeated ones.
std::vector<double> NonDominated(const std::vector<double>& losses, size_t width) {
  const LossRows rows{losses.data(), losses.size() / width, width};
  std::vector<double> kept;
  for (const uint32_t i : SortedRows(rows)) {
    bool good = true;
    for (size_t k = 0; k < kept.size() && good; k += width) {
      bool covers = true;
      for (size_t j = 0; j < width && covers; ++j) covers = !(rows[i][j] < kept[k + j]);
      good = !covers;
    }
    if (good) kept.insert(kept.end(), rows[i], rows[i] + width);
  }
  return kept;
}

// WFG: the sum of what each point adds to those after it. `losses` holds rows below the reference.
double VolumeOf(const std::vector<double>& losses, size_t width, const double* reference) {
  const LossRows rows{losses.data(), losses.size() / width, width};
  if (width == 1) {
    double best = reference[0];
    for (size_t i = 0; i < rows.count; ++i) best = std::min(best, rows[i][0]);
    return reference[0] - best;
  }
  if (width == 2) return AreaOfTwo(rows, reference);
  double volume = 0;
  std::vector<double> limited;
  for (size_t i = 0; i < rows.count; ++i) {
    double box = 1;
    for (size_t j = 0; j < width; ++j) box *= reference[j] - rows[i][j];
    limited.clear();
    for (size_t k = i + 1; k < rows.count; ++k) {
      for (size_t j = 0; j < width; ++j) limited.push_back(std::max(rows[i][j], rows[k][j]));
    }
    volume += box - (limited.empty() ? 0 : VolumeOf(NonDominated(limited, width), width, reference));
  }
  return volume;
}

// The rows that lie below the reference everywhere.
std::vector<double> Below(LossRows rows, const double* reference) {
  std::vector<double> below;
  for (size_t i = 0; i < rows.count; ++i) {
    bool inside = true;
    for (size_t j = 0; j < rows.width && inside; ++j) inside = rows[i][j] < reference[j];
    if (inside) below.insert(below.end(), rows[i], rows[i] + rows.width);
  }
  return below;
}

// What `point` adds to the volume of `others`.
double Added(const double* point, const std::vector<double>& others, size_t width, const double* reference) {
  double box = 1;
  for (size_t j = 0; j < width; ++j) {
    if (!(point[j] < reference[j])) return 0;
    box *= reference[j] - point[j];
  }
  std::vector<double> limited;
  for (size_t k = 0; k < others.size(); k += width) {
    bool inside = true;
    for (size_t j = 0; j < width && inside; ++j) inside = others[k + j] < reference[j];
    if (!inside) continue;
    for (size_t j = 0; j < width; ++j) limited.push_back(std::max(point[j], others[k + j]));
  }
  if (limited.empty()) return box;
  return std::max(0.0, box - VolumeOf(NonDominated(limited, width), width, reference));
}

std::vector<double> ContributionsOfTwo(LossRows rows, const double* reference) {
  std::vector<double> added(rows.count, 0);
  // The staircase of the points that are not dominated.
  std::vector<uint32_t> stairs;
  std::vector<bool> repeated(rows.count, false);
  bool dominated = false;
  double height = kInfinity;
  for (const uint32_t i : SortedRows(rows)) {
    if (!(rows[i][0] < reference[0] && rows[i][1] < reference[1])) continue;
    if (!stairs.empty() && Compare(rows[stairs.back()], rows[i], 2) == 0) {
      repeated[stairs.back()] = true;  // the other one covers all of it
    } else if (rows[i][1] < height) {
      height = rows[i][1];
      stairs.push_back(i);
    } else {
      dominated = true;
    }
  }
  // A dominated point covers a part of what its dominator would add.
  if (dominated) {
    std::vector<double> others;
    for (const uint32_t i : stairs) {
      if (repeated[i]) continue;
      others.clear();
      for (size_t k = 0; k < rows.count; ++k) {
        if (k != i) others.insert(others.end(), rows[k], rows[k] + 2);
      }
      added[i] = Added(rows[i], others, 2, reference);
    }
    return added;
  }
  for (size_t s = 0; s < stairs.size(); ++s) {
    if (repeated[stairs[s]]) continue;
    const double right = s + 1 < stairs.size() ? rows[stairs[s + 1]][0] : reference[0];
    const double top = s > 0 ? rows[stairs[s - 1]][1] : reference[1];
    added[stairs[s]] = (right - rows[stairs[s]][0]) * (top - rows[stairs[s]][1]);
  }
  return added;
}

std::vector<double> CrowdingDistances(LossRows rows) {
  std::vector<double> distance(rows.count, 0);
  std::vector<uint32_t> order(rows.count);
  for (size_t j = 0; j < rows.width; ++j) {
    std::iota(order.begin(), order.end(), 0U);
    std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return rows[a][j] < rows[b][j]; });
    distance[order.front()] = distance[order.back()] = kInfinity;
    for (size_t k = 1; k + 1 < order.size(); ++k) {
      distance[order[k]] += rows[order[k + 1]][j] - rows[order[k - 1]][j];
    }
  }
  return distance;
}

}  // namespace

void AppendLosses(const std::vector<double>& values, const std::vector<Goal>& goals, std::vector<double>* losses) {
  for (size_t j = 0; j < goals.size(); ++j) {
    const double value = j < values.size() ? values[j] : std::nan("");
    losses->push_back(goals[j] == Goal::kMin ? value : -value);
  }
}

bool Dominates(const double* a, const double* b, size_t width) {
  bool better = false;
  for (size_t j = 0; j < width; ++j) {
    if (Less(b[j], a[j])) return false;
    better = better || Less(a[j], b[j]);
  }
  return better;
}

std::vector<uint32_t> NonDominationRanks(LossRows rows) {
  if (rows.width == 2) return RanksOfTwo(rows);
  // Efficient non-dominated sorting (Zhang et al. 2015): in lexicographic order, each point goes to the first rank that
  // has none that dominates it; which rank is found by bisection.
  std::vector<uint32_t> ranks(rows.count);
  std::vector<std::vector<uint32_t>> fronts;
  for (const uint32_t i : SortedRows(rows)) {
    const auto dominated = [&](const std::vector<uint32_t>& front) {
      return std::any_of(front.rbegin(), front.rend(),
                         [&](uint32_t other) { return Dominates(rows[other], rows[i], rows.width); });
    };
    const auto front = std::partition_point(fronts.begin(), fronts.end(), dominated);
    ranks[i] = static_cast<uint32_t>(front - fronts.begin());
    if (front == fronts.end()) {
      fronts.push_back({i});
    } else {
      front->push_back(i);
    }
  }
  return ranks;
}

double Hypervolume(LossRows rows, const double* reference) {
  const std::vector<double> below = Below(rows, reference);
  if (below.empty()) return 0;
  return VolumeOf(NonDominated(below, rows.width), rows.width, reference);
}

std::vector<double> HypervolumeContributions(LossRows rows, const double* reference) {
  if (rows.width == 2) return ContributionsOfTwo(rows, reference);
  std::vector<double> added(rows.count);
  std::vector<double> others;
  for (size_t i = 0; i < rows.count; ++i) {
    others.clear();
    for (size_t k = 0; k < rows.count; ++k) {
      if (k != i) others.insert(others.end(), rows[k], rows[k] + rows.width);
    }
    added[i] = Added(rows[i], others, rows.width, reference);
  }
  return added;
}

std::vector<uint32_t> SelectByHypervolume(LossRows rows, const double* reference, size_t wanted) {
  // What a point adds only shrinks as others are taken, so an old number is an upper bound (lazy greedy).
  std::vector<double> bound(rows.count, kInfinity);
  std::vector<bool> taken(rows.count, false);
  std::vector<uint32_t> chosen;
  std::vector<double> losses;
  while (chosen.size() < std::min(wanted, rows.count)) {
    size_t best = rows.count;
    double best_added = -1;
    std::vector<uint32_t> order;
    for (uint32_t i = 0; i < rows.count; ++i) {
      if (!taken[i]) order.push_back(i);
    }
    std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return bound[a] > bound[b]; });
    for (const uint32_t i : order) {
      if (bound[i] < best_added) break;
      bound[i] = Added(rows[i], losses, rows.width, reference);
      if (bound[i] > best_added || (bound[i] == best_added && i < best)) {
        best = i;
        best_added = bound[i];
      }
    }
    taken[best] = true;
    chosen.push_back(static_cast<uint32_t>(best));
    losses.insert(losses.end(), rows[best], rows[best] + rows.width);
  }
  return chosen;
}

std::vector<double> ScaleToUnit(std::vector<double>* losses, size_t width) {
  constexpr double kBeyond = 1.1;
  for (size_t j = 0; j < width; ++j) {
    double lo = kInfinity, hi = -kInfinity;
    for (size_t i = j; i < losses->size(); i += width) {
      const double x = (*losses)[i];
      if (!std::isfinite(x)) continue;
      lo = std::min(lo, x);
      hi = std::max(hi, x);
    }
    for (size_t i = j; i < losses->size(); i += width) {
      double& x = (*losses)[i];
      const double range = hi - lo;
      if (std::isnan(x) || x == kInfinity) {
        x = 1;
      } else if (x == -kInfinity || !(range > 0)) {
        x = 0;
      } else {
        x = std::isfinite(range) ? (x - lo) / range : (x / 2 - lo / 2) / (hi / 2 - lo / 2);
      }
    }
  }
  return std::vector<double>(width, kBeyond);
}

std::vector<uint32_t> ParetoOrder(const std::vector<std::vector<double>>& values, const std::vector<Goal>& goals) {
  const size_t width = goals.size();
  std::vector<double> losses;
  for (const auto& row : values) AppendLosses(row, goals, &losses);
  const std::vector<uint32_t> ranks = NonDominationRanks({losses.data(), values.size(), width});
  std::map<uint32_t, std::vector<uint32_t>> fronts;
  for (uint32_t i = 0; i < values.size(); ++i) fronts[ranks[i]].push_back(i);
  // Exact volumes cost about the square of the points, and in every further dimension some of them more.
  constexpr size_t kExactMax = 32;
  std::vector<uint32_t> order;
  for (auto& [rank, front] : fronts) {
    std::vector<double> scaled;
    for (const uint32_t i : front) {
      const auto row = losses.begin() + static_cast<std::ptrdiff_t>(i * width);
      scaled.insert(scaled.end(), row, row + static_cast<std::ptrdiff_t>(width));
    }
    const std::vector<double> reference = ScaleToUnit(&scaled, width);
    const LossRows rows{scaled.data(), front.size(), width};
    const std::vector<double> score = width == 2 || front.size() <= kExactMax
                                          ? HypervolumeContributions(rows, reference.data())
                                          : CrowdingDistances(rows);
    std::vector<uint32_t> places(front.size());
    std::iota(places.begin(), places.end(), 0U);
    std::stable_sort(places.begin(), places.end(), [&](uint32_t a, uint32_t b) { return score[a] > score[b]; });
    for (const uint32_t place : places) order.push_back(front[place]);
  }
  return order;
}

}  // namespace tunesmith
