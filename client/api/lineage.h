// What a trial has taken over from other trials (scheduler pbt), as rows and JSON.
#pragma once

#include <string>
#include <vector>

#include "tunesmith/v1/sweep.pb.h"

namespace tunesmith {

// One a takeover, the first to happen first: the donor, the step of its checkpoint, the trial's own step before that,
// its first attempt since, and what was changed in the donor's point ("lr 0.1 -> 0.12").
std::vector<std::vector<std::string>> LineageRows(const v1::Trial& trial);
// [{"donor":3,"step":10,...}]
std::string LineageJson(const v1::Trial& trial);

}  // namespace tunesmith
