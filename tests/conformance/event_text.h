// An event as text, every field of it: two events are the same if their texts are.
#pragma once

#include <string>

#include "server/core/event.h"

namespace tunesmith {

std::string EventText(const Event& event);

}  // namespace tunesmith
