#include "spec/document.h"

#include <charconv>
#include <cmath>
#include <limits>

#include "common/json_text.h"
#include "common/text.h"

namespace tunesmith {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? of the core schema; `whole`:
// no dot, no exponent.
bool IsDecimal(std::string_view text, bool* whole) {
  size_t i = 0;
  if (i < text.size() && (text[i] == '-' || text[i] == '+')) ++i;
  size_t digits = 0;
  *whole = true;
  while (i < text.size() && IsDigit(text[i])) ++i, ++digits;
  if (i < text.size() && text[i] == '.') {
    *whole = false;
    ++i;
    while (i < text.size() && IsDigit(text[i])) ++i, ++digits;
  }
  if (digits == 0) return false;
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    *whole = false;
    ++i;
    if (i < text.size() && (text[i] == '-' || text[i] == '+')) ++i;
    const size_t exponent = i;
    while (i < text.size() && IsDigit(text[i])) ++i;
    if (i == exponent) return false;
  }
  return i == text.size();
}

bool IsRadix(std::string_view text, std::string_view prefix, int base) {
  if (!text.starts_with(prefix) || text.size() == prefix.size()) return false;
  for (const char c : text.substr(prefix.size())) {
    const bool octal = c >= '0' && c <= '7';
    const bool hex = IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (base == 8 ? !octal : !hex) return false;
  }
  return true;
}

std::optional<int64_t> ReadInteger(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x"))
    base = 16, text.remove_prefix(2);
  else if (text.starts_with("0o"))
    base = 8, text.remove_prefix(2);
  else if (text.starts_with("+"))
    text.remove_prefix(1);
  int64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (result.ec != std::errc{} || result.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

double ReadFloat(std::string_view text) {
  if (text.starts_with("+")) text.remove_prefix(1);
  if (text.ends_with("nan") || text.ends_with("NaN") || text.ends_with("NAN")) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  if (text.find_first_of("iI") != std::string_view::npos) {
    const double infinity = std::numeric_limits<double>::infinity();
    return text.front() == '-' ? -infinity : infinity;
  }
  double value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  // Out of range: below the smallest number it is 0 and harmless, above the largest it is infinite.
  if (result.ec == std::errc::result_out_of_range)
    return std::strtod(std::string(text).c_str(), nullptr);
  return value;
}

bool AppendJson(const Node& node, std::string* out, std::string* why) {
  if (node.IsScalar()) {
    const auto value = NodeValue(node, why);
    if (!value) return false;
    if (const auto* d = std::get_if<double>(&*value); d != nullptr && !std::isfinite(*d)) {
      *why = node.text + " is not a finite number";
      return false;
    }
    AppendValueJson(*value, out);
    return true;
  }
  const bool map = node.kind == Node::Kind::kMap;
  *out += map ? '{' : '[';
  for (size_t i = 0; i < node.items.size(); ++i) {
    if (i > 0) *out += ',';
    if (map) {
      AppendJsonString(node.keys[i], out);
      *out += ':';
    }
    if (!AppendJson(node.items[i], out, why)) return false;
  }
  *out += map ? '}' : ']';
  return true;
}

}  // namespace

const Node* Node::Find(std::string_view key) const {
  for (size_t i = 0; i < keys.size(); ++i) {
    if (keys[i] == key) return &items[i];
  }
  return nullptr;
}

Node::Kind PlainScalarKind(std::string_view text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") {
    return Node::Kind::kNull;
  }
  for (const char* word : {"true", "True", "TRUE", "false", "False", "FALSE"}) {
    if (text == word) return Node::Kind::kBool;
  }
  bool whole = false;
  if (IsDecimal(text, &whole)) return whole ? Node::Kind::kInt : Node::Kind::kFloat;
  if (IsRadix(text, "0o", 8) || IsRadix(text, "0x", 16)) return Node::Kind::kInt;
  std::string_view unsigned_text = text;
  if (text.front() == '-' || text.front() == '+') unsigned_text.remove_prefix(1);
  for (const char* word : {".inf", ".Inf", ".INF"}) {
    if (unsigned_text == word) return Node::Kind::kFloat;
  }
  for (const char* word : {".nan", ".NaN", ".NAN"}) {
    if (text == word) return Node::Kind::kFloat;
  }
  return Node::Kind::kText;
}

Node ScalarNode(std::string text, Node::Kind kind) {
  Node node;
  node.kind = kind;
  node.text = std::move(text);
  return node;
}

void AddItem(Node* map, std::string key, Node value) {
  map->kind = Node::Kind::kMap;
  map->keys.push_back(std::move(key));
  map->key_positions.push_back(value.at);
  map->items.push_back(std::move(value));
}

std::string Describe(const Node& node) {
  constexpr size_t kShown = 60;
  switch (node.kind) {
    case Node::Kind::kNull:
      return "nothing";
    case Node::Kind::kList:
      return "a list of " + std::to_string(node.items.size());
    case Node::Kind::kMap:
      return "an object";
    case Node::Kind::kText: {
      std::string quoted;
      AppendJsonString(node.text.substr(0, kShown), &quoted);
      return "the text " + quoted;
    }
    default:
      return node.text.substr(0, kShown);
  }
}

std::optional<Value> NodeValue(const Node& node, std::string* why) {
  switch (node.kind) {
    case Node::Kind::kNull:
      return JsonValue{"null"};
    case Node::Kind::kBool:
      return node.text.front() == 't' || node.text.front() == 'T';
    case Node::Kind::kInt: {
      if (const auto value = ReadInteger(node.text)) return *value;
      *why = "the integer " + node.text.substr(0, 60) + " does not fit in 64 bits";
      return std::nullopt;
    }
    case Node::Kind::kFloat: {
      const double value = ReadFloat(node.text);
      if (std::isinf(value) && node.text.find_first_of("iI") == std::string::npos) {
        *why = "the number " + node.text.substr(0, 60) + " is out of range";
        return std::nullopt;
      }
      return value;
    }
    case Node::Kind::kText:
      return node.text;
    default: {
      std::string json;
      if (!AppendJson(node, &json, why)) return std::nullopt;
      return JsonValue{std::move(json)};
    }
  }
}

std::optional<double> NodeNumber(const Node& node) {
  if (node.kind == Node::Kind::kFloat) return ReadFloat(node.text);
  if (node.kind != Node::Kind::kInt) return std::nullopt;
  if (const auto value = ReadInteger(node.text)) return static_cast<double>(*value);
  return ReadFloat(node.text);
}

}  // namespace tunesmith
