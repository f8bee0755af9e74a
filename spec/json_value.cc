#include "spec/json_value.h"

#include <nlohmann/json.hpp>

#include "common/json_text.h"
#include "common/limits.h"
#include "search/space/value.h"

namespace tunesmith {
namespace {

using Json = nlohmann::ordered_json;

bool Append(const Json& json, size_t depth, std::string* out) {
  if (depth > kSweepFileDepthMax) return false;
  if (json.is_structured()) {
    *out += json.is_object() ? '{' : '[';
    bool first = true;
    for (const auto& [key, item] : json.items()) {
      if (!first) *out += ',';
      first = false;
      if (json.is_object()) {
        AppendJsonString(key, out);
        *out += ':';
      }
      if (!Append(item, depth + 1, out)) return false;
    }
    *out += json.is_object() ? '}' : ']';
    return true;
  }
  if (json.is_string()) {
    AppendJsonString(json.get_ref<const std::string&>(), out);
  } else if (json.is_boolean()) {
    *out += json.get<bool>() ? "true" : "false";
  } else if (json.is_number_integer() &&
             !(json.is_number_unsigned() && json.get<uint64_t>() > INT64_MAX)) {
    *out += std::to_string(json.get<int64_t>());
  } else if (json.is_number_float()) {
    AppendJsonDouble(json.get<double>(), out);
  } else if (json.is_null()) {
    *out += "null";
  } else {
    return false;  // an integer beyond 64 bits
  }
  return true;
}

}  // namespace

std::optional<std::string> CanonicalJson(std::string_view text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  std::string out;
  if (json.is_discarded() || !Append(json, 0, &out)) return std::nullopt;
  return out;
}

}  // namespace tunesmith
