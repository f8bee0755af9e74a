// A small forest of extremely randomised regression trees.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/rng.h"
#include "search/model/features.h"

namespace tunesmith::model {

// Extra-trees (Geurts, Ernst and Wehenkel 2006): every tree sees all points; a node draws one random cut for each of
// the features that still differ, and takes the one that lowers the variance most. Cuts of categories split them in two
// random sets; inactive values go to a random side. Immutable after construction.
class Forest {
 public:
  struct Options {
    int trees = 20;
    size_t leaf_points = 2;  // a node with fewer than twice as many is a leaf
  };
  // `y`: one value per point, at least one point. Same input, same forest on every machine.
  Forest(const FeatureTable& points, const std::vector<double>& y, Options options, Rng rng);

  struct Prediction {
    double mean = 0;
    double variance = 0;  // between the trees and within their leaves (Hutter et al. 2014, section 4.3.2)
  };
  Prediction Predict(const FeatureTable& points, size_t point) const;

 private:
  struct Node {
    uint32_t feature = kLeaf;
    bool inactive_left = false;
    bool categorical = false;
    double cut = 0;            // ordered: left if below
    uint64_t sides = 0;        // categorical: a random bit for each, left if clear
    uint32_t left = 0, right = 0;
    double mean = 0, variance = 0;  // of a leaf
  };
  static constexpr uint32_t kLeaf = UINT32_MAX;
  static bool GoesLeft(const Node& node, double value);
  // `scratch`: room for two values of each point from begin to end.
  uint32_t Grow(const FeatureTable& points, const std::vector<double>& y, uint32_t* begin, uint32_t* end, int depth,
                double* scratch, Rng* rng);

  Options options_;
  std::vector<Node> nodes_;
  std::vector<uint32_t> roots_;
};

}  // namespace tunesmith::model
