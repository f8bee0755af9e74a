#include "common/check.h"

#include <cstdio>
#include <cstdlib>

namespace tunesmith {

void CheckFailed(const char* file, int line, const char* expression, const char* message) {
  std::fprintf(stderr, "%s:%d: check failed: %s (%s)\n", file, line, expression, message);
  std::fflush(stderr);
  std::abort();
}

}  // namespace tunesmith
