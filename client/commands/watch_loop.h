// Follows one sweep to its end: the live table on a terminal, a line per event elsewhere.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "client/output.h"
#include "client/settings.h"

namespace tunesmith {

class Connection;

struct WatchRequest {
  std::string sweep;
  int64_t timeout_ms = 0;  // 0 = none
  // What Ctrl-C does to a sweep of this machine's own controller; nullptr: it detaches. Called
  // once, and what it did is shown; the loop then goes on until nothing of the sweep runs any more,
  // or a second Ctrl-C.
  std::function<std::string()> interrupt;
};

struct WatchResult {
  enum class End { kEnded, kInterrupted, kTimeout, kLost };
  End end = End::kEnded;
  int exit_code = 0;
  bool hurry = false;  // a second Ctrl-C: end the daemons now
  int64_t trials_ended = 0;
  int64_t trials_target = 0;
};

// Errors have been told when it returns. The summary of an ended sweep is written too.
WatchResult WatchToEnd(Connection* connection, const Settings& settings,
                       const WatchRequest& request, Output* out);

}  // namespace tunesmith
