// Checkpoints on disk: complete or not there, told apart from damaged ones, oldest removed.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace tunesmith::trainer {

// A place in training: `epoch` whole epochs and `batch` batches of the next.
struct Progress {
  int64_t epoch = 0;
  int64_t batch = 0;
  friend auto operator<=>(const Progress&, const Progress&) = default;
};

// "epoch-3.ckpt", or "epoch-3-batch-120.ckpt" in the midst of epoch 4.
std::string CheckpointName(const Progress& progress);

// The checkpoints of a directory, newest first, by name only. A directory that is not there holds
// none.
std::vector<Progress> ListCheckpoints(const std::string& directory);

// Writes `payload` as directory/CheckpointName(progress): a temporary file, fsync, rename, fsync of
// the directory. A kill or a full disk at any instant leaves the older ones as they were.
Status WriteCheckpoint(const std::string& directory, const Progress& progress,
                       std::string_view payload);

// The payload. DATA_LOSS when the file is cut or its checksum is wrong.
StatusOr<std::string> ReadCheckpoint(const std::string& directory, const Progress& progress);

// Removes all but the `keep` newest, and temporary files that a killed attempt left.
void PruneCheckpoints(const std::string& directory, size_t keep);

}  // namespace tunesmith::trainer
