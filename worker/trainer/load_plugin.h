// Plug-in trainables, made with worker/sdk/plugin.h. No LibTorch in this header.
#pragma once

#include <string>

#include "common/status.h"
#include "worker/sdk/plugin.h"

namespace tunesmith::trainer {

// Loads the shared object at `path`, for the rest of the process, and checks its stamp: then train() may be called. Its
// static objects are made before that, by the system's loader. NOT_FOUND when there is no such file, INVALID_ARGUMENT
// when it is no shared object or no plug-in, FAILED_PRECONDITION when it does not fit this program or lacks a library;
// messages name the path, and what to do.
StatusOr<const PluginStamp*> LoadPlugin(const std::string& path);

}  // namespace tunesmith::trainer
