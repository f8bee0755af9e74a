// Which part of a ddp run this process is, as torchrun says it in the environment. No LibTorch in this header.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "common/status.h"

namespace tunesmith::trainer {

struct RankPlace {
  int rank = 0;
  int size = 1;  // ranks in all
  int local_rank = 0;
  int local_size = 1;   // ranks on this machine
  std::string address;  // of the store where ranks find each other
  uint16_t port = 0;
  bool store_is_there = false;  // torchrun keeps the store itself; else rank 0 does
  std::string store_prefix;     // of our keys in a store that outlives this attempt
};

// RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT; where torchrun keeps the store, also
// TORCHELASTIC_USE_AGENT_STORE and TORCHELASTIC_RESTART_COUNT. `environment` gives "" for what is not set.
// INVALID_ARGUMENT names every variable that is missing or wrong, one a line.
StatusOr<RankPlace> ReadRankPlace(const std::function<std::string(const char*)>& environment);

// The part [begin, end) of `rows` that is rank `rank`'s: shares differ by one row at most, and the ranks' shares in
// order are all the rows in order. Empty for high ranks when there are fewer rows than ranks.
struct RowShare {
  int64_t begin = 0;
  int64_t end = 0;
};
RowShare ShareOf(int64_t rows, int rank, int size);

}  // namespace tunesmith::trainer
