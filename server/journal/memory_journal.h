// The journal's crashable twin for tests and simulation: the same contract in memory, with a disk that can lose or tear
// what was not yet synced, fill up, or let the process die in the middle of a commit.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "server/journal/journal.h"

namespace tunesmith {

// The disk: outlives the journals that are opened on it, as a file does. One open journal at a time. Not thread-safe.
class MemoryDisk {
 public:
  // What a crash leaves of a commit that had not returned.
  enum class Tail : uint8_t {
    kKeep,  // it had reached the disk, though nobody was told
    kLose,  // it had not
    kTear,  // half of it had: recovery must see that and drop all of it
  };

  // The next Append but `n` (0: the next one) dies while it commits: it writes, never syncs, and returns ABORTED. The
  // journal is dead then; Crash says what is left on the disk.
  void DieAtAppend(uint64_t n) { die_at_ = appends_ + n; }
  // The next Append but `n` finds the disk full: nothing is written, RESOURCE_EXHAUSTED. The one after it has room.
  void FailAtAppend(uint64_t n) { fail_at_ = appends_ + n; }
  // Settles what was not synced. Call it between two journals.
  void Crash(Tail tail);
  // Damages a commit that was durable, as a bad disk does: reading it is DATA_LOSS.
  void DamageCommit(size_t index);

  uint64_t appends() const { return appends_; }
  size_t commits() const { return durable_.size(); }

 private:
  friend class MemoryJournal;
  // One transaction. It is whole if it holds as many events as its header promised.
  struct Commit {
    size_t promised = 0;
    std::vector<Event> events;
  };
  std::vector<Commit> durable_;
  std::vector<Commit> unsynced_;  // at most one: Append returns only after its sync
  uint64_t appends_ = 0;
  uint64_t die_at_ = UINT64_MAX;
  uint64_t fail_at_ = UINT64_MAX;
};

// Loop thread only, but for ReadMeasurements, as every Journal.
class MemoryJournal : public Journal {
 public:
  // `disk` outlives the journal.
  explicit MemoryJournal(MemoryDisk* disk);

  Status Replay(const std::function<void(const Event&)>& apply) override;
  Status Append(const std::vector<Event>& events) override;
  StatusOr<std::vector<StoredMeasurement>> ReadMeasurements(SweepId sweep, std::optional<uint32_t> trial,
                                                            uint64_t after, size_t limit) override;

 private:
  // Keeps the rows of measurements in step with the commits.
  void Index(const MemoryDisk::Commit& commit);

  MemoryDisk* disk_;
  Status opened_;                // DATA_LOSS if the disk cannot be read
  Status error_;                 // sticky, of Append
  mutable std::mutex mutex_;     // guards the two below, for readers of other threads
  uint64_t position_ = 0;        // of the last indexed event
  std::map<SweepId, std::vector<StoredMeasurement>> measurements_;
};

}  // namespace tunesmith
