// Points as numbers that a distance makes sense of.
#pragma once

#include <cstddef>
#include <vector>

#include "search/tpe/coding.h"

namespace tunesmith::model {

// Which parameters the models look at: all that have more than one value.
struct FeatureMap {
  struct Feature {
    size_t parameter = 0;
    bool categorical = false;
    bool conditional = false;
  };
  explicit FeatureMap(const tpe::Coding& coding);

  size_t size() const { return features.size(); }
  // The place on [0, 1] of an ordered value, the index of a categorical one; NaN if inactive.
  double Value(size_t feature, double code) const;

  std::vector<Feature> features;
  const tpe::Coding* coding;
};

// A set of points by feature: value(f)[j] is feature f of point j.
class FeatureTable {
 public:
  FeatureTable(const FeatureMap& map, size_t points) : map_(&map), points_(points), values_(map.size() * points) {}

  template <typename Codes>
  void Set(size_t j, const Codes& codes) {
    for (size_t f = 0; f < map_->size(); ++f) {
      values_[f * points_ + j] = map_->Value(f, static_cast<double>(codes[map_->features[f].parameter]));
    }
  }
  const FeatureMap& map() const { return *map_; }
  size_t points() const { return points_; }
  const double* value(size_t feature) const { return values_.data() + feature * points_; }

 private:
  const FeatureMap* map_;
  size_t points_;
  std::vector<double> values_;
};

}  // namespace tunesmith::model
