// Whole files in memory, gzipped or not.
#pragma once

#include <string>
#include <vector>

#include "common/status.h"

namespace tunesmith::trainer {

// The content of a file; a gzipped one (by its first bytes, whatever its name) is unpacked.
// NOT_FOUND when there is no such file, DATA_LOSS when the gzip data is damaged or cut,
// RESOURCE_EXHAUSTED above 4 GiB unpacked.
StatusOr<std::string> ReadFileBytes(const std::string& path);

bool FileExists(const std::string& path);

// The first of `directories` x `names` that exists, "" if none does.
std::string FirstExisting(const std::vector<std::string>& directories,
                          const std::vector<std::string>& names);

}  // namespace tunesmith::trainer
