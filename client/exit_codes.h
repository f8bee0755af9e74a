// Exit codes of the program `tunesmith`; docs/cli.md and `tunesmith help exit-codes` say the same.
#pragma once

#include "common/status.h"

namespace tunesmith {

enum ExitCode : int {
  kExitOk = 0,            // done; a sweep that was waited for has finished
  kExitError = 1,         // anything without a code of its own
  kExitUsage = 2,         // wrong flags, or a wrong sweep file or report
  kExitNoSuccess = 3,     // the sweep has finished and no trial succeeded
  kExitUnreachable = 5,   // the controller can't be reached
  kExitTimeout = 124,     // --timeout has passed; the sweep goes on (or is stopped, if it is local)
  kExitInterrupted = 130  // Ctrl-C or SIGTERM
};

// UNAVAILABLE and DEADLINE_EXCEEDED: the controller; INVALID_ARGUMENT: usage.
ExitCode ExitCodeFor(const Status& status);

}  // namespace tunesmith
