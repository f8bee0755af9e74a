// Writing JSON where pulling in a JSON library would be too dear: the hot journal path and headers. Reading JSON is
// always nlohmann_json's job, but for the one fixed form that this file writes (ParseMetricsJson).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

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

// {"loss":0.42,"accuracy":0.91}, in the given order.
std::string MetricsToJson(const std::vector<NamedValue>& metrics);
// Reads back what MetricsToJson wrote; nullopt for anything else.
std::optional<std::vector<NamedValue>> MetricsFromJson(std::string_view text);

}  // namespace tunesmith
