#include "common/json_text.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>

#include "common/text.h"

namespace tunesmith {
namespace {

void AppendUnicodeEscape(uint32_t code, std::string* out) {
  static constexpr char kHex[] = "0123456789abcdef";
  *out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) *out += kHex[(code >> shift) & 0xF];
}

// Reads a JSON string written by AppendJsonString; `*position` stands on the opening quote.
std::optional<std::string> ReadString(std::string_view text, size_t* position) {
  if (*position >= text.size() || text[*position] != '"') return std::nullopt;
  std::string out;
  for (size_t i = *position + 1; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') {
      *position = i + 1;
      return out;
    }
    if (c != '\\') {
      out += c;
      continue;
    }
    if (++i >= text.size()) return std::nullopt;
    switch (text[i]) {
      case '"': out += '"'; break;
      case '\\': out += '\\'; break;
      case 'n': out += '\n'; break;
      case 't': out += '\t'; break;
      case 'r': out += '\r'; break;
      case 'u': {
        unsigned code = 0;
        if (i + 4 >= text.size()) return std::nullopt;
        const auto result = std::from_chars(text.data() + i + 1, text.data() + i + 5, code, 16);
        if (result.ptr != text.data() + i + 5 || code >= 0x80) return std::nullopt;
        out += static_cast<char>(code);
        i += 4;
        break;
      }
      default: return std::nullopt;
    }
  }
  return std::nullopt;
}

std::optional<double> ReadDouble(std::string_view text, size_t* position) {
  if (*position < text.size() && text[*position] == '"') {
    const auto word = ReadString(text, position);
    if (!word) return std::nullopt;
    if (*word == "nan") return std::numeric_limits<double>::quiet_NaN();
    if (*word == "inf") return std::numeric_limits<double>::infinity();
    if (*word == "-inf") return -std::numeric_limits<double>::infinity();
    return std::nullopt;
  }
  double value = 0;
  const auto result = std::from_chars(text.data() + *position, text.data() + text.size(), value);
  if (result.ec != std::errc{}) return std::nullopt;
  *position = static_cast<size_t>(result.ptr - text.data());
  return value;
}

}  // namespace

void AppendJsonString(std::string_view text, std::string* out) {
  *out += '"';
  size_t i = 0;
  while (i < text.size()) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x80) {
      const size_t length = Utf8SequenceLength(text.substr(i));
      if (length == 0) {
        *out += "\xEF\xBF\xBD";
        ++i;
      } else {
        out->append(text.substr(i, length));
        i += length;
      }
      continue;
    }
    switch (c) {
      case '"': *out += "\\\""; break;
      case '\\': *out += "\\\\"; break;
      case '\n': *out += "\\n"; break;
      case '\t': *out += "\\t"; break;
      case '\r': *out += "\\r"; break;
      default:
        if (c < 0x20 || c == 0x7f) {
          AppendUnicodeEscape(c, out);
        } else {
          *out += static_cast<char>(c);
        }
    }
    ++i;
  }
  *out += '"';
}

void AppendJsonDouble(double value, std::string* out) {
  if (std::isnan(value)) {
    *out += "\"nan\"";
  } else if (std::isinf(value)) {
    *out += value > 0 ? "\"inf\"" : "\"-inf\"";
  } else {
    *out += DoubleText(value);
  }
}

std::string MetricsToJson(const std::vector<NamedValue>& metrics) {
  std::string out = "{";
  for (const NamedValue& metric : metrics) {
    if (out.size() > 1) out += ',';
    AppendJsonString(metric.name, &out);
    out += ':';
    AppendJsonDouble(metric.value, &out);
  }
  out += '}';
  return out;
}

std::optional<std::vector<NamedValue>> MetricsFromJson(std::string_view text) {
  std::vector<NamedValue> metrics;
  size_t i = 0;
  if (text.empty() || text[i++] != '{') return std::nullopt;
  if (i < text.size() && text[i] == '}') return i + 1 == text.size() ? std::optional(metrics) : std::nullopt;
  while (i < text.size()) {
    NamedValue metric;
    auto name = ReadString(text, &i);
    if (!name || i >= text.size() || text[i] != ':') return std::nullopt;
    ++i;
    const auto value = ReadDouble(text, &i);
    if (!value || i >= text.size()) return std::nullopt;
    metrics.push_back({std::move(*name), *value});
    const char next = text[i++];
    if (next == '}') return i == text.size() ? std::optional(std::move(metrics)) : std::nullopt;
    if (next != ',') return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace tunesmith
