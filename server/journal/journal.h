// Durability: events in, the same events out after a restart.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/status.h"
#include "server/core/event.h"

namespace tunesmith {

// One row of measurements as it is stored, for lists.
struct StoredMeasurement {
  uint64_t position = 0;       // in the journal; grows
  AttemptId attempt;
  uint64_t sequence = 0;
  int64_t step = 0;
  Time time;
  std::vector<SlotValue> metrics;
  std::string checkpoint;
  Verdict verdict;
};

// Loop thread only, but for ReadMeasurements, which is thread-safe.
class Journal {
 public:
  virtual ~Journal() = default;

  // Gives every event in order. DATA_LOSS if what is stored cannot be read.
  virtual Status Replay(const std::function<void(const Event&)>& apply) = 0;

  // Returns after all the events are on stable storage, or none of them is. RESOURCE_EXHAUSTED, the disk is full: the
  // same events may be tried again. Any other error is sticky: nothing can be appended after it, since the state in
  // memory is ahead of what is stored; the process must end and recover.
  virtual Status Append(const std::vector<Event>& events) = 0;

  // Durable measurements of a sweep (of one trial if given) after `position`, oldest first, at most `limit`.
  virtual StatusOr<std::vector<StoredMeasurement>> ReadMeasurements(SweepId sweep, std::optional<uint32_t> trial,
                                                                    uint64_t after, size_t limit) = 0;

  // Housekeeping in small pieces, when there is nothing else to do. True if there is more.
  virtual bool Maintain() { return false; }
};

}  // namespace tunesmith
