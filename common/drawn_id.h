// Ids that are drawn once, so that nobody has to give them out.
#pragma once

#include <cstddef>
#include <string>

#include "common/status.h"

namespace tunesmith {

// 2 * `bytes` hexadecimal digits from the system's generator.
std::string RandomHex(size_t bytes);

// The id that the file holds, 16 hexadecimal digits; drawn and written, durably, where there is none.
StatusOr<std::string> IdInFile(const std::string& path);

}  // namespace tunesmith
