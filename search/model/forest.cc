#include "search/model/forest.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace tunesmith::model {

namespace {

constexpr int kDepthMax = 40;

// The points on one side of a cut.
struct Side {
  double count = 0, sum = 0;
};

// `in` gives 1 for what is on the side, else 0: no branches, which random cuts would mislead. The partial sums are
// fixed: the same order on every machine.
template <typename In>
inline Side Sum(size_t size, const double* targets, const In& in) {
  double counts[4] = {0, 0, 0, 0}, sums[4] = {0, 0, 0, 0};
  size_t j = 0;
  for (; j + 4 <= size; j += 4) {
    for (size_t s = 0; s < 4; ++s) {
      const double weight = in(j + s);
      counts[s] += weight;
      sums[s] += weight * targets[j + s];
    }
  }
  for (; j < size; ++j) {
    const double weight = in(j);
    counts[0] += weight;
    sums[0] += weight * targets[j];
  }
  return {(counts[0] + counts[1]) + (counts[2] + counts[3]), (sums[0] + sums[1]) + (sums[2] + sums[3])};
}

}  // namespace

inline bool Forest::GoesLeft(const Node& node, double value) {
  if (value != value) return node.inactive_left;
  if (!node.categorical) return value < node.cut;
  const auto category = static_cast<uint64_t>(value);
  if (category < 64) return ((node.sides >> category) & 1U) == 0;
  return (Mix64(node.sides ^ Mix64(category)) & 1U) == 0;
}

Forest::Forest(const FeatureTable& points, const std::vector<double>& y, Options options, Rng rng)
    : options_(options) {
  std::vector<uint32_t> order(y.size());
  std::vector<double> scratch(2 * y.size());
  for (int t = 0; t < options_.trees; ++t) {
    for (size_t j = 0; j < order.size(); ++j) order[j] = static_cast<uint32_t>(j);
    roots_.push_back(Grow(points, y, order.data(), order.data() + order.size(), 0, scratch.data(), &rng));
  }
}

uint32_t Forest::Grow(const FeatureTable& points, const std::vector<double>& y, uint32_t* begin, uint32_t* end,
                      int depth, double* scratch, Rng* rng) {
  const auto size = static_cast<size_t>(end - begin);
  const auto n = static_cast<double>(size);
  double sum = 0, squares = 0;
  for (const uint32_t* j = begin; j != end; ++j) {
    sum += y[*j];
    squares += y[*j] * y[*j];
  }
  Node node;
  node.mean = sum / n;
  node.variance = std::max(0.0, squares / n - node.mean * node.mean);
  const auto id = static_cast<uint32_t>(nodes_.size());
  nodes_.push_back(node);
  if (size < 2 * options_.leaf_points || depth == kDepthMax || node.variance < 1e-12) {
    return id;
  }
  double* const values = scratch;
  double* const targets = scratch + size;
  for (size_t j = 0; j < size; ++j) targets[j] = y[begin[j]];
  Node best;
  double best_score = -1;
  for (size_t f = 0; f < points.map().size(); ++f) {
    const double* column = points.value(f);
    double lo = INFINITY, hi = -INFINITY;
    bool inactive = false;
    for (size_t j = 0; j < size; ++j) {
      const double v = column[begin[j]];
      values[j] = v;
      inactive |= v != v;
      lo = v < lo ? v : lo;  // no NaN is
      hi = v > hi ? v : hi;
    }
    if (!(lo < hi) && !(inactive && lo == hi)) continue;
    Node candidate;
    candidate.feature = static_cast<uint32_t>(f);
    candidate.categorical = points.map().features[f].categorical;
    candidate.inactive_left = inactive && (rng->NextU32() & 1U) == 0;
    if (candidate.categorical) {
      candidate.sides = rng->NextU64();
    } else {
      candidate.cut = rng->Uniform(lo, hi);
    }
    if (lo == hi && !candidate.categorical) {  // all that are active are alike: active against inactive
      candidate.cut = candidate.inactive_left ? -INFINITY : INFINITY;
    }
    const double cut = candidate.cut;
    const Side left = candidate.categorical || inactive
                          ? Sum(size, targets, [&](size_t j) { return GoesLeft(candidate, values[j]) ? 1.0 : 0.0; })
                          : Sum(size, targets, [&](size_t j) { return values[j] < cut ? 1.0 : 0.0; });
    const double count_right = n - left.count;
    if (left.count == 0 || count_right == 0) continue;
    // Variance between the sides: what the cut explains.
    const double difference = left.sum / left.count - (sum - left.sum) / count_right;
    const double score = left.count * count_right * difference * difference;
    if (score > best_score) {
      best_score = score;
      best = candidate;
    }
  }
  if (best_score < 0) return id;
  const double* column = points.value(best.feature);
  uint32_t* middle = begin;  // not std::partition, whose order of the right side is the library's
  for (uint32_t* j = begin; j != end; ++j) {
    if (GoesLeft(best, column[*j])) std::swap(*middle++, *j);
  }
  best.mean = node.mean;
  best.variance = node.variance;
  best.left = Grow(points, y, begin, middle, depth + 1, scratch, rng);
  best.right = Grow(points, y, middle, end, depth + 1, scratch, rng);
  nodes_[id] = best;
  return id;
}

Forest::Prediction Forest::Predict(const FeatureTable& points, size_t point) const {
  double mean = 0, squares = 0, within = 0;
  for (const uint32_t root : roots_) {
    const Node* node = &nodes_[root];
    while (node->feature != kLeaf) {
      node = &nodes_[GoesLeft(*node, points.value(node->feature)[point]) ? node->left : node->right];
    }
    mean += node->mean;
    squares += node->mean * node->mean;
    within += node->variance;
  }
  const auto trees = static_cast<double>(roots_.size());
  mean /= trees;
  return {mean, std::max(0.0, squares / trees - mean * mean) + within / trees};
}

}  // namespace tunesmith::model
