#include "search/model/features.h"

#include <cmath>

namespace tunesmith::model {

FeatureMap::FeatureMap(const tpe::Coding& c) : coding(&c) {
  for (size_t i = 0; i < c.size(); ++i) {
    const tpe::Dim& dim = c.dims()[i];
    if (dim.kind == tpe::Kind::kFixed) continue;  // its being active follows from its parents
    features.push_back({i, dim.kind == tpe::Kind::kCategorical, dim.conditional});
  }
}

double FeatureMap::Value(size_t feature, double code) const {
  if (std::isnan(code)) return code;
  const tpe::Dim& dim = coding->dims()[features[feature].parameter];
  return dim.kind == tpe::Kind::kLattice ? dim.centres[static_cast<size_t>(code)] : code;
}

}  // namespace tunesmith::model
