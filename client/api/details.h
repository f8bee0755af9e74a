// Everything about a sweep or a trial as text for people: `show` and `best`. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tunesmith/v1/sweep.pb.h"

namespace tunesmith {

struct DetailOptions {
  int64_t now_ms = 0;
  bool unicode = true;
};

std::vector<std::string> SweepDetails(const v1::Sweep& sweep, const DetailOptions& options);
// `measurements` in the order in which they were recorded.
std::vector<std::string> TrialDetails(const v1::Sweep& sweep, const v1::Trial& trial,
                                      const std::vector<v1::Measurement>& measurements,
                                      const DetailOptions& options);
// The best trial, its parameters in full precision and its command.
std::vector<std::string> BestDetails(const v1::Sweep& sweep);
std::string BestJson(const v1::Sweep& sweep);
// With several objectives: the trials that no other one dominates.
std::string FrontJson(const v1::Sweep& sweep, const std::vector<v1::Trial>& front);

}  // namespace tunesmith
