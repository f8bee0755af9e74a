// Writing JSON where pulling in a JSON library would be too dear: the hot journal path and headers. Reading JSON is
// always nlohmann_json's job.
#pragma once

#include <string>
#include <string_view>

namespace tunesmith {

// Appends `text` as a JSON string with quotes. Bytes that are not UTF-8 become U+FFFD.
void AppendJsonString(std::string_view text, std::string* out);

// Appends the shortest text that reads back as the same double ("0.1", "1e-05", "3.0"). NaN and infinities become the
// strings "nan", "inf", "-inf", since JSON has no numbers for them.
void AppendJsonDouble(double value, std::string* out);

struct NamedValue {
  std::string name;
  double value = 0;
  friend bool operator==(const NamedValue&, const NamedValue&) = default;
};

}  // namespace tunesmith
