// Runs kept in a file, for peers that take minutes and never change.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "bench/search/runs.h"
#include "common/mutex.h"
#include "common/problem.h"

namespace tunesmith::bench {

// Thread-safe.
class KeptRuns {
 public:
  // Reads the file if it exists; a problem if it is something else. Without a path nothing is read or written.
  void Load(const std::string& path, Problems* problems);
  // The key says all that the run depends on.
  std::optional<Run> Find(const std::string& key) const;
  // Writes the file at once, so that an interrupted bench goes on where it was.
  void Keep(const std::string& key, const Run& run);

 private:
  void Save() const TS_REQUIRES(mutex_);

  std::string path_;
  mutable Mutex mutex_;
  std::map<std::string, Run> runs_ TS_GUARDED_BY(mutex_);
};

}  // namespace tunesmith::bench
