// Small text tools that several folders need.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tunesmith {

// Shortest text that reads back as the same double; a whole number keeps its ".0" ("1.0", "1e-05", "nan", "-inf").
std::string DoubleText(double value);

// Six significant digits, for people ("0.61", "1e-05").
std::string ShortText(double value);

// "1 trial", "2 trials".
std::string Counted(int64_t count, std::string_view noun);

// An amount of memory: "512 MiB" below a GiB, "1.5 GiB", "16 GiB".
std::string MemoryText(int64_t bytes);

// Length in bytes of the valid UTF-8 sequence at the start of `text`; 0 if there is none.
size_t Utf8SequenceLength(std::string_view text);

// The same text with every byte that is not valid UTF-8 replaced by U+FFFD. Protobuf strings need it.
std::string ValidUtf8(std::string_view text);

// The candidate closest to `word` (Damerau-Levenshtein distance at most a third of its length, at least 1), or "".
// For "did you mean": ties go to the first candidate.
std::string ClosestWord(std::string_view word, const std::vector<std::string>& candidates);

// "a, b, c".
std::string Join(const std::vector<std::string>& parts, std::string_view separator);

}  // namespace tunesmith
