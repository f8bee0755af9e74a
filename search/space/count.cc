// Space::Cardinality: how many distinct points there are, conditions included.
#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <set>

#include "search/space/enumeration.h"
#include "search/space/space.h"

namespace tunesmith {
namespace {

constexpr uint64_t kTooMany = (1ULL << 53U) + 1;  // sticky: anything above 2^53
constexpr uint64_t kWebLeavesMax =
    100'000;  // a web of conditions is counted by trying parents' values
constexpr uint64_t kCountedMax = 100'000;  // under constraints points are counted one by one

uint64_t Times(uint64_t a, uint64_t b) {
  if (a == 0 || b == 0) return 0;
  return a >= kTooMany || b >= kTooMany || a > (kTooMany - 1) / b ? kTooMany : a * b;
}
uint64_t Plus(uint64_t a, uint64_t b) { return std::min(kTooMany, a + b); }

}  // namespace

// Points of the subtree below parameter i, which is active: children depend on i alone.
uint64_t Space::CountTree(size_t i, const std::vector<std::vector<size_t>>& children) const {
  const uint64_t count = *ValueCount(i);
  if (children[i].empty()) return std::min(count, kTooMany);
  std::vector<uint64_t> below;
  for (const size_t child : children[i]) below.push_back(CountTree(child, children));
  if (count > kWebLeavesMax)
    return kTooMany;  // a huge range with conditions on it: not worth a loop
  uint64_t total = 0;
  Point point(size());
  for (uint64_t k = 0; k < count; ++k) {
    point[i] = ValueAt(i, k);
    uint64_t product = 1;
    for (size_t c = 0; c < below.size(); ++c) {
      if (Active(children[i][c], point)) product = Times(product, below[c]);
    }
    total = Plus(total, product);
  }
  return total;
}

// Points over a component (in sample order) where some parameter has several parents: tries the
// values of parents, and multiplies by the number of values of the others.
uint64_t Space::CountWeb(const std::vector<size_t>& component) const {
  std::vector<bool> is_parent(size(), false);
  for (const size_t i : component) {
    for (const Condition& c : parameters_[i].when) is_parent[c.parent] = true;
  }
  uint64_t leaves = 0, total = 0;
  Point point(size());
  const std::function<void(size_t, uint64_t)> visit = [&](size_t at, uint64_t product) {
    if (leaves > kWebLeavesMax) return;
    while (at < component.size() && (!is_parent[component[at]] || !Active(component[at], point))) {
      if (Active(component[at], point)) product = Times(product, *ValueCount(component[at]));
      ++at;
    }
    if (at == component.size()) {
      ++leaves;
      total = Plus(total, product);
      return;
    }
    const size_t i = component[at];
    for (uint64_t k = 0; k < *ValueCount(i) && leaves <= kWebLeavesMax; ++k) {
      point[i] = ValueAt(i, k);
      visit(at + 1, product);
    }
    point[i] = Value();
  };
  visit(0, 1);
  return leaves > kWebLeavesMax ? kTooMany : total;
}

std::optional<uint64_t> Space::Cardinality() const {
  const auto all = CountAll();
  if (constraints_.empty() || !all) return all;
  return *all <= kCountedMax ? CountFeasible() : std::nullopt;
}

std::optional<uint64_t> Space::CountFeasible() const {
  Rng no_draws(0);
  const Enumeration points(*this, {});
  auto point = points.First(&no_draws);
  uint64_t count = 0;
  while (point) {
    ++count;
    if (!points.Next(&no_draws, &*point)) break;
  }
  return count;
}

std::optional<uint64_t> Space::CountAll() const {
  std::vector<size_t> root(size());
  std::iota(root.begin(), root.end(), size_t{0});
  const auto find = [&](size_t i) {
    while (root[i] != i) i = root[i] = root[root[i]];
    return i;
  };
  std::vector<std::vector<size_t>> children(size());
  std::vector<bool> several(size(), false);
  for (size_t i = 0; i < size(); ++i) {
    if (!ValueCount(i)) return std::nullopt;
    std::set<size_t> parents;
    for (const Condition& c : parameters_[i].when) {
      parents.insert(c.parent);
      root[find(i)] = find(c.parent);
    }
    several[i] = parents.size() > 1;
    if (parents.size() == 1) children[*parents.begin()].push_back(i);
  }
  std::map<size_t, std::vector<size_t>> components;
  for (const size_t i : order_) components[find(i)].push_back(i);
  uint64_t total = 1;
  for (const auto& [unused, component] : components) {
    const bool web =
        std::any_of(component.begin(), component.end(), [&](size_t i) { return several[i]; });
    total = Times(total, web ? CountWeb(component) : CountTree(component[0], children));
  }
  if (total >= kTooMany) return std::nullopt;
  return total;
}

}  // namespace tunesmith
