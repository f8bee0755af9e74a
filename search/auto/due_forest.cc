#include "search/auto/due_forest.h"

#include <algorithm>

#include "common/rng.h"

namespace tunesmith::model {

void DueForest::Note(uint64_t results, std::vector<Scored> trials) {
  next_ = results + std::max<uint64_t>(4, results / 25);
  noted_at_ = results;
  noted_ = std::move(trials);
}

const Forest* DueForest::Now(const FeatureMap& features, const History& history) {
  if (!noted_.empty()) {
    const Lesson lesson = LessonOf(features, history, noted_);
    forest_.emplace(lesson.points, lesson.scores, Forest::Options(), Rng::ForLabels({seed_, noted_at_, stream_}));
    noted_.clear();
  }
  return forest_ ? &*forest_ : nullptr;
}

}  // namespace tunesmith::model
