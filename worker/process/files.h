// The few file operations of the daemon. Thread-compatible.
#pragma once

#include <string>
#include <string_view>

#include "common/status.h"

namespace tunesmith::worker {

// With its parents; fine if it is there.
Status MakeFolder(const std::string& path);
// Whole or not at all: a temporary file, then a rename.
Status WriteFile(const std::string& path, std::string_view content);
StatusOr<std::string> ReadFile(const std::string& path);
bool IsEmptyFolder(const std::string& path);
// With everything in it. Never follows a link out.
Status RemoveAll(const std::string& path);

}  // namespace tunesmith::worker
