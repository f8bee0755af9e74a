// TS_CHECK: an assertion that stays on in release builds. It guards our own invariants and is never reachable from
// user input; a wrong input is a Status.
#pragma once

namespace tunesmith {

// Prints the place, the expression and the message to stderr, then aborts.
[[noreturn]] void CheckFailed(const char* file, int line, const char* expression,
                              const char* message);

}  // namespace tunesmith

#define TS_CHECK(condition, message)                                            \
  do {                                                                          \
    if (!(condition)) [[unlikely]] {                                            \
      ::tunesmith::CheckFailed(__FILE__, __LINE__, #condition, message);        \
    }                                                                           \
  } while (false)
