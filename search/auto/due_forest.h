// A forest that is fitted now and then as results come.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "search/auto/lesson.h"
#include "search/model/forest.h"

namespace tunesmith::model {

// A fit is due after every 4 results, or 4 percent more; it uses the trials and scores that were noted when it fell
// due, whenever it is computed. Not thread-safe.
class DueForest {
 public:
  DueForest(uint64_t seed, uint64_t stream) : seed_(seed), stream_(stream) {}

  bool IsDueAt(uint64_t results) const { return results >= next_; }
  void Note(uint64_t results, std::vector<Scored> trials);
  // Computes the fit that is due. Null as long as there was nothing to learn from.
  const Forest* Now(const FeatureMap& features, const History& history);

 private:
  const uint64_t seed_, stream_;
  uint64_t next_ = 0, noted_at_ = 0;
  std::vector<Scored> noted_;  // empty: nothing is due
  std::optional<Forest> forest_;
};

}  // namespace tunesmith::model
