// Records that the controller has not acknowledged, on the worker's disk: they outlive a killed
// daemon.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/status.h"
#include "worker/agent/types.h"

namespace tunesmith::worker {

// One file per attempt: frames of a 4-byte length and a serialised tunesmith.v1.Record. What is
// written survives the daemon, not the machine (no fsync: after a power cut the attempts are gone
// too). Loop thread only.
class Spool {
 public:
  // The folder is made. Reads nothing yet.
  static StatusOr<Spool> Open(const std::string& folder);
  Spool(Spool&& other) noexcept;
  Spool& operator=(Spool&&) = delete;
  ~Spool();

  // What an earlier daemon has left, by attempt, in order of sequence. A torn last frame is left
  // out. If all records of an attempt were acknowledged, its list is empty and `last_sequence` is
  // where it stood.
  struct Left {
    std::vector<RecordPtr> records;
    uint64_t last_sequence = 0;
  };
  StatusOr<std::map<AttemptKey, Left>> Load() const;

  // BEFORE the record is sent. Where one could not be written (a full disk), nothing more of its attempt is until the
  // controller has acknowledged all that is missing: a daemon that starts again must not send what comes after a hole.
  Status Append(const Record& record);
  // Everything up to `sequence` is durable at the controller: a file of which nothing else is left
  // is cut short.
  void OnAck(const AttemptKey& key, uint64_t sequence);
  void Remove(const AttemptKey& key);
  // Last sequence, by attempt, that its file lacks though it is not acknowledged: for the program that takes this one's
  // place.
  const std::map<AttemptKey, uint64_t>& missing() const { return missing_; }
  void set_missing(std::map<AttemptKey, uint64_t> missing) { missing_ = std::move(missing); }

 private:
  struct File {
    int fd = -1;
    int64_t bytes = 0;
    uint64_t last_sequence = 0;
  };
  explicit Spool(std::string folder) : folder_(std::move(folder)) {}
  std::string PathOf(const AttemptKey& key) const { return folder_ + "/" + KeyText(key); }
  StatusOr<File*> FileOf(const AttemptKey& key);
  static Status Write(File* file, const std::string& bytes);

  std::string folder_;
  std::map<AttemptKey, File> files_;
  std::map<AttemptKey, uint64_t> missing_;
};

}  // namespace tunesmith::worker
