// Plug-in trainables, made with worker/sdk/plugin.h. No LibTorch in this header.
#pragma once

#include <string>

#include "common/status.h"
#include "worker/sdk/plugin.h"

namespace tunesmith::trainer {

constexpr int kExitPluginRefused = 2;

// Loads the shared object at `path`, for the rest of the process, and checks its stamp: then train() may be called.
// NOT_FOUND when there is no such file, INVALID_ARGUMENT when it is no whole shared object or no plug-in,
// FAILED_PRECONDITION when it does not fit this program or lacks a library; messages name the path, and what to do.
// The system's loader makes its static objects BEFORE the stamp can be read. Where one of them throws, nothing can come
// back through the loader: the message is said on stderr, and the process ends with kExitPluginRefused.
StatusOr<const PluginStamp*> LoadPlugin(const std::string& path);

}  // namespace tunesmith::trainer
