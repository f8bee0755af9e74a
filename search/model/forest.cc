#include "search/model/forest.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace tunesmith::model {

namespace {

constexpr int kDepthMax = 40;

}  // namespace

Forest::Forest(const FeatureTable& points, const std::vector<double>& y, Options options, Rng rng)
    : options_(options) {
  std::vector<uint32_t> order(y.size());
  for (int t = 0; t < options_.trees; ++t) {
    for (size_t j = 0; j < order.size(); ++j) order[j] = static_cast<uint32_t>(j);
    roots_.push_back(Grow(points, y, order.data(), order.data() + order.size(), 0, &rng));
  }
}

bool Forest::GoesLeft(const Node& node, double value) {
  if (value != value) return node.inactive_left;
  if (!node.categorical) return value < node.cut;
  const auto category = static_cast<uint64_t>(value);
  if (category < 64) return ((node.sides >> category) & 1U) == 0;
  return (Mix64(node.sides ^ Mix64(category)) & 1U) == 0;
}

uint32_t Forest::Grow(const FeatureTable& points, const std::vector<double>& y, uint32_t* begin, uint32_t* end,
                      int depth, Rng* rng) {
  const auto n = static_cast<double>(end - begin);
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
  if (static_cast<size_t>(end - begin) < 2 * options_.leaf_points || depth == kDepthMax || node.variance < 1e-12) {
    return id;
  }
  Node best;
  double best_score = -1;
  for (size_t f = 0; f < points.map().size(); ++f) {
    const double* values = points.value(f);
    double lo = INFINITY, hi = -INFINITY;
    bool inactive = false;
    for (const uint32_t* j = begin; j != end; ++j) {
      const double v = values[*j];
      if (v != v) {
        inactive = true;
        continue;
      }
      lo = std::min(lo, v);
      hi = std::max(hi, v);
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
    double count_left = 0, sum_left = 0;
    for (const uint32_t* j = begin; j != end; ++j) {
      if (!GoesLeft(candidate, values[*j])) continue;
      count_left += 1;
      sum_left += y[*j];
    }
    const double count_right = n - count_left;
    if (count_left == 0 || count_right == 0) continue;
    // Variance between the sides: what the cut explains.
    const double difference = sum_left / count_left - (sum - sum_left) / count_right;
    const double score = count_left * count_right * difference * difference;
    if (score > best_score) {
      best_score = score;
      best = candidate;
    }
  }
  if (best_score < 0) return id;
  const double* values = points.value(best.feature);
  uint32_t* middle = begin;  // not std::partition, whose order of the right side is the library's
  for (uint32_t* j = begin; j != end; ++j) {
    if (GoesLeft(best, values[*j])) std::swap(*middle++, *j);
  }
  best.mean = node.mean;
  best.variance = node.variance;
  best.left = Grow(points, y, begin, middle, depth + 1, rng);
  best.right = Grow(points, y, middle, end, depth + 1, rng);
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
