// What a worker knows of a trial's checkpoints on its own disk: a small file beside the checkpoint folder.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/status.h"
#include "worker/agent/types.h"

namespace tunesmith::worker {

// Those that were read whole and whose digest is known, the newest last: by (attempt, step). Thread-safe within the
// process.
class Ledger {
 public:
  explicit Ledger(std::string path) : path_(std::move(path)) {}

  // Lines that make no sense, as a power cut may leave, are passed over.
  std::vector<Checkpoint> Read() const;
  // Notes it in the place of an earlier one with the same name or the same attempt and step; the oldest are forgotten
  // when there are many.
  Status Add(const Checkpoint& checkpoint) const;
  Status Remove(const Checkpoint& checkpoint) const;

 private:
  Status Write(const std::vector<Checkpoint>& checkpoints) const;
  std::string path_;
};

}  // namespace tunesmith::worker
