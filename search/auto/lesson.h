// Trials in the form in which models are fitted to them.
#pragma once

#include <vector>

#include "search/auto/history.h"
#include "search/auto/scored.h"
#include "search/model/features.h"

namespace tunesmith::model {

struct Lesson {
  FeatureTable points;
  std::vector<double> scores;  // one for each point
};

// `features` must outlive it.
Lesson LessonOf(const FeatureMap& features, const History& history, const std::vector<Scored>& trials);

}  // namespace tunesmith::model
