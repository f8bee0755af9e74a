#include "search/auto/lesson.h"

namespace tunesmith::model {

Lesson LessonOf(const FeatureMap& features, const History& history, const std::vector<Scored>& trials) {
  Lesson lesson{FeatureTable(features, trials.size()), {}};
  for (size_t j = 0; j < trials.size(); ++j) {
    lesson.points.Set(j, history.codes(trials[j].trial));
    lesson.scores.push_back(trials[j].score);
  }
  return lesson;
}

}  // namespace tunesmith::model
