// A command written as one line of text.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tunesmith {

// Splits as a POSIX shell splits words: quotes and backslashes are honoured, nothing is expanded.
// nullopt, `why` and `hint` if a quote is not closed, or if it is a shell's syntax (| && > ;) that
// no shell would see.
std::optional<std::vector<std::string>> SplitWords(std::string_view text, std::string* why,
                                                   std::string* hint);

}  // namespace tunesmith
