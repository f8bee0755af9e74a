// Checkpoints as tar archives (POSIX.1-2001 pax), packed so that the same files always give the same bytes.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "common/status.h"

namespace tunesmith::worker {

using ByteSink = std::function<Status(std::string_view)>;

// Packs `name`, a file or a folder under `folder` ("" = all of it), with paths relative to `folder`: in the order of
// their names, without owners and times. Links are kept where they lead downwards ("latest" -> "epoch-3"), else left
// out.
// `from_zero`: an entry of its own says that the trial counts its steps from 0. NOT_FOUND if there is no such file, or
// nothing in the folder; INVALID_ARGUMENT if the name leads out of it.
Status PackCheckpoint(const std::string& folder, const std::string& name, bool from_zero, const ByteSink& sink);

struct Unpacked {
  bool from_zero = false;
};
// Unpacks the archive in the file `archive` into `folder`, over what is there; each file appears whole or not at all.
// DATA_LOSS for what PackCheckpoint has not made; no path of it can lead out of `folder`.
StatusOr<Unpacked> UnpackCheckpoint(const std::string& archive, const std::string& folder);

// The name relative to `folder` of what a program has called `text`: relative, or absolute and under `folder`.
// INVALID_ARGUMENT if it leads out.
StatusOr<std::string> CheckpointName(const std::string& folder, const std::string& text);

}  // namespace tunesmith::worker
