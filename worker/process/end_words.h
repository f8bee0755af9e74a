// What a program's last lines say about its end.
#pragma once

#include <string>
#include <string_view>

#include "worker/agent/types.h"

namespace tunesmith::worker {

// Keeps the newest bytes of a stream. Not thread-safe.
class OutputTail {
 public:
  void Append(std::string_view bytes);
  // The last line that is not empty, then up to ten lines before it: the first line alone tells the
  // error of a Python traceback. Valid UTF-8; at most kEndReasonBytesMax bytes.
  std::string Text() const;
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// Why the end is taken for a lack of memory; "" if nothing shows it. `kernel_killed`: SIGKILL by
// nobody known, while the kernel counted a kill for lack of memory.
std::string MemoryEvidence(const ProcessEnd& end, bool kernel_killed);

}  // namespace tunesmith::worker
