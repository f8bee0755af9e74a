// What is wrong with something a user wrote: where, what and what to do instead. Collected, so that one answer names
// every mistake of a file.
#pragma once

#include <string>
#include <vector>

namespace tunesmith {

struct Problem {
  std::string field;    // path in the sweep: "parameters.lr.loguniform", "scheduler.max_t"; "" = the whole
  std::string message;  // "lower bound 0 must be greater than 0"
  std::string hint;     // "use uniform, or a small bound such as 1e-6"; may be empty
  friend bool operator==(const Problem&, const Problem&) = default;
};

using Problems = std::vector<Problem>;

}  // namespace tunesmith
