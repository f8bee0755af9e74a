// The effect of one parameter in words.
#pragma once

#include <string>

#include "search/insight/importance.h"

namespace tunesmith::insight {

// One line, without the parameter's name:
//   "best 3.16e-4 to 2e-3; loss falls from 0.9 to 0.2 there"
//   "best 0.75 to 1, the higher the better; accuracy rises from 0.31 to 0.92 there"
//   "adam 0.12, sgd 0.31" (the metric by category, best first)
//   "no visible effect"
// and what a conditional parameter needs to be active is told by its share: "; active in 50% of the space".
std::string EffectLine(const Space& space, const Question& question, const ParameterImportance& importance);

// A number for people, with `digits` significant digits: "0.123", "64", "3.16e-4", "123457".
std::string BriefNumber(double value, int digits);

}  // namespace tunesmith::insight
