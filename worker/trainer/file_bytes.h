// Whole files in memory, gzipped or not.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "common/status.h"

namespace tunesmith::trainer {

constexpr size_t kDataFileBytesMax = size_t{4}
                                     << 30;  // the data must fit in memory beside its tensors
constexpr size_t kConfigBytesMax = 1 << 20;  // a configuration is some dozen values

// The content of a file; a gzipped one (by its first bytes, whatever its name) is unpacked.
// NOT_FOUND when there is no such file, DATA_LOSS when the gzip data is damaged or cut,
// RESOURCE_EXHAUSTED above `bytes_max` unpacked.
StatusOr<std::string> ReadFileBytes(const std::string& path, size_t bytes_max = kDataFileBytesMax);

bool FileExists(const std::string& path);

// The first of `directories` x `names` that exists, "" if none does.
std::string FirstExisting(const std::vector<std::string>& directories,
                          const std::vector<std::string>& names);

}  // namespace tunesmith::trainer
