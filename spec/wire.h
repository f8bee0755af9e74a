// A sweep spec as the bytes of a tunesmith.v1.SweepSpec message, so that no header here shows protobuf types.
#pragma once

#include <string>
#include <string_view>

#include "common/status.h"
#include "spec/sweep_spec.h"

namespace tunesmith {

// Serialised tunesmith.v1.SweepSpec.
std::string SweepSpecToWire(const SweepSpec& spec);

// The spec in the message; not yet validated. INVALID_ARGUMENT if the bytes are not such a message; what a message can
// say and a spec cannot (no distribution set, a condition on a parameter that is not declared) is appended to
// `problems` with field paths.
StatusOr<SweepSpec> SweepSpecFromWire(std::string_view bytes, Problems* problems);

}  // namespace tunesmith
