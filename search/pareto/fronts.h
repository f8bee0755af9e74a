// Points sorted into ranks of non-domination, kept so as points come one by one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tunesmith {

// A function of the set of points, not of their order. Not thread-safe.
class Fronts {
 public:
  // Points of `ranks_max` and beyond are dropped: at least so many others dominate each, now and ever after, and that
  // holds for whatever they would push further down.
  Fronts(size_t width, size_t ranks_max) : width_(width), ranks_max_(ranks_max) {}

  struct Member {
    uint32_t id = 0;
    std::vector<double> losses;  // smaller is better; not NaN
  };
  // The ids of members that are dropped, which may hold the new one.
  std::vector<uint32_t> Add(uint32_t id, std::vector<double> losses);

  // Members of rank r, by id.
  const std::vector<std::vector<Member>>& ranks() const { return ranks_; }

 private:
  size_t width_;
  size_t ranks_max_;
  std::vector<std::vector<Member>> ranks_;
};

}  // namespace tunesmith
