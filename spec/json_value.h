// The JSON text inside a JsonValue.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tunesmith {

// The one form in which equal values have equal texts: no blanks, keys as given, numbers as
// ValueJson writes them. nullopt if the text is not JSON, or nests too deep.
std::optional<std::string> CanonicalJson(std::string_view text);

}  // namespace tunesmith
