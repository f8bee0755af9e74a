// Points of a space as the models see them.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "common/rng.h"
#include "search/model/features.h"
#include "search/tpe/coding.h"
#include "tests/unit/search/spaces.h"

namespace tunesmith::model {

// A space with its coding and features; not to be moved.
struct Setting {
  explicit Setting(Space s) : space(std::move(s)), coding(space), features(coding) {}
  Setting(const Setting&) = delete;

  std::vector<double> Codes(const Point& point) const {
    std::vector<double> codes;
    for (size_t i = 0; i < point.size(); ++i) codes.push_back(coding.Encode(i, point[i]));
    return codes;
  }
  FeatureTable Table(const std::vector<Point>& points) const {
    FeatureTable table(features, points.size());
    for (size_t j = 0; j < points.size(); ++j) table.Set(j, Codes(points[j]));
    return table;
  }
  std::vector<Point> Sample(size_t count, Rng* rng) const {
    std::vector<Point> points;
    for (size_t j = 0; j < count; ++j) points.push_back(space.Sample(rng));
    return points;
  }

  const Space space;
  const tpe::Coding coding;
  const FeatureMap features;
};

// `count` uniform parameters x0, x1, ... on [0, 1).
inline Space Cube(int count) {
  std::vector<Parameter> p;
  for (int i = 0; i < count; ++i) {
    p.push_back(testing_spaces::Range("x" + std::to_string(i), Distribution::kUniform, 0, 1));
  }
  return testing_spaces::Make(std::move(p));
}

}  // namespace tunesmith::model
