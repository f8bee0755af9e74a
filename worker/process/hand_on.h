// All that a daemon hands on to the program that takes its place, as bytes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "worker/agent/agent.h"
#include "worker/agent/snapshot.h"
#include "worker/process/snapshot.h"

namespace tunesmith::worker {

// Of the bytes. It grows whenever what is handed on changes: a program takes over from those of its own format alone.
constexpr int kHandOnFormat = 2;

struct HandOn {
  std::string boot_id;  // the controller takes both for the same daemon
  int64_t wall_offset_ms = 0;
  bool welcomed_ever = false;
  int lock_fd = -1;  // of the state directory
  AgentSnapshot agent;
  ProcessesSnapshot processes;
  std::vector<SaveCheckpoint> saves;           // that are not done
  std::map<AttemptKey, uint64_t> not_spooled;  // Spool::missing

  // That stay open while the one program takes the place of the other.
  std::vector<int> Descriptors() const;
};

std::string EncodeHandOn(const HandOn& hand_on);
// FAILED_PRECONDITION: of another format. DATA_LOSS: damaged.
StatusOr<HandOn> DecodeHandOn(std::string_view bytes);

}  // namespace tunesmith::worker
