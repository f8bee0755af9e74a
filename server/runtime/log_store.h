// What trials print, as files: <folder>/<sweep>/<trial>-<attempt>.log. Where the daemon left something out, a line in
// the file says how many bytes; a file grows to about kForwardedLogBytesMax.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "common/status.h"
#include "server/runtime/loop.h"

namespace tunesmith {

struct LogChunk {
  std::string data;
  int64_t next_offset = 0;     // give it to the next Read
  bool at_end = false;         // nothing more at the moment
};

// Deliver: loop thread. Read: thread-safe.
class LogStore : public EffectSink {
 public:
  explicit LogStore(std::string folder) : folder_(std::move(folder)) {}
  void Deliver(Effect effect) override;
  // At most `limit` bytes from `offset`. An attempt without output gives an empty chunk.
  StatusOr<LogChunk> Read(const AttemptId& attempt, int64_t offset, size_t limit) const;
  int64_t Size(const AttemptId& attempt) const;

 private:
  std::string Path(const AttemptId& attempt) const;
  std::string folder_;
  std::map<AttemptId, int64_t> lost_;  // bytes that a full disk swallowed; loop thread only
};

}  // namespace tunesmith
