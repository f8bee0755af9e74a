// A trial's parameters with types, out of the JSON file that TUNESMITH_CONFIG names. Part of trial.h;
// C++17 and nothing else.
//
//   const tunesmith::Config& config = trial.config();
//   const double lr = config.Number("lr", 0.1);               // 0.1 where it is not given
//   const std::string optimizer = config.Text("optimizer");   // must be given
//   const double momentum = config.Number("optimizer/momentum", 0);
#pragma once

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tunesmith {
inline namespace trial_sdk {

// A parameter that is missing or of another type, or a file that cannot be read. what() says which,
// and what to do.
class ConfigError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

namespace internal {

// Bytes of the UTF-8 character at bytes[at]; 0 if there is none: cut, overlong, a surrogate or above
// U+10FFFF.
inline size_t Utf8Length(const std::string& bytes, size_t at) {
  const unsigned char c = static_cast<unsigned char>(bytes[at]);
  if (c < 0x80) return 1;
  const size_t length = c >= 0xf0 && c < 0xf5 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 0;
  if (length == 0 || c >= 0xf5 || at + length > bytes.size()) return 0;
  for (size_t k = 1; k < length; ++k) {
    if ((static_cast<unsigned char>(bytes[at + k]) & 0xc0) != 0x80) return 0;
  }
  const unsigned char next = static_cast<unsigned char>(bytes[at + 1]);
  if ((c == 0xe0 && next < 0xa0) || (c == 0xed && next > 0x9f) || (c == 0xf0 && next < 0x90) ||
      (c == 0xf4 && next > 0x8f)) {
    return 0;
  }
  return length;
}

inline void AppendUtf8(unsigned long code, std::string* out) {
  if (code < 0x80) {
    *out += static_cast<char>(code);
  } else if (code < 0x800) {
    *out += static_cast<char>(0xc0 | (code >> 6));
    *out += static_cast<char>(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    *out += static_cast<char>(0xe0 | (code >> 12));
    *out += static_cast<char>(0x80 | ((code >> 6) & 0x3f));
    *out += static_cast<char>(0x80 | (code & 0x3f));
  } else {
    *out += static_cast<char>(0xf0 | (code >> 18));
    *out += static_cast<char>(0x80 | ((code >> 12) & 0x3f));
    *out += static_cast<char>(0x80 | ((code >> 6) & 0x3f));
    *out += static_cast<char>(0x80 | (code & 0x3f));
  }
}

// A JSON number as a double. Its point is a '.', whatever locale the program has set.
inline double NumberOf(std::string json) {
  const size_t point = json.find('.');
  if (point != std::string::npos) json.replace(point, 1, std::localeconv()->decimal_point);
  return std::strtod(json.c_str(), nullptr);
}

struct JsonValue {
  enum class Kind { kNull, kFlag, kNumber, kText, kList, kObject };
  Kind kind = Kind::kNull;
  std::string json;  // as it stands in the file
  std::string text;  // kText: without quotes and escapes
};
using JsonValues = std::map<std::string, JsonValue>;

// Reads one object, strictly by RFC 8259. Members of objects in it get names with slashes
// ("optimizer/momentum"); the object itself has a value too, as lists have.
class JsonReader {
 public:
  explicit JsonReader(const std::string& json) : json_(json) {}

  // Throws a ConfigError with the place and the mistake.
  JsonValues Read() {
    if (json_.compare(0, 3, "\xef\xbb\xbf") == 0) at_ = 3;  // some editors begin files with it
    SkipSpace();
    if (!At('{')) Fail("an object such as {\"lr\": 0.1} is needed");
    ReadObject("", true, 0);
    SkipSpace();
    if (at_ < json_.size()) Fail("something stands behind the object");
    return std::move(values_);
  }

 private:
  static constexpr int kDepthMax = 64;

  [[noreturn]] void Fail(const std::string& what) const {
    size_t line = 1, begin = 0;
    for (size_t i = 0; i < at_ && i < json_.size(); ++i) {
      if (json_[i] == '\n') ++line, begin = i + 1;
    }
    throw ConfigError("line " + std::to_string(line) + ", byte " + std::to_string(at_ - begin + 1) + ": " + what);
  }
  bool At(char c) const { return at_ < json_.size() && json_[at_] == c; }
  bool AtDigit() const { return at_ < json_.size() && json_[at_] >= '0' && json_[at_] <= '9'; }
  bool Take(char c) {
    if (!At(c)) return false;
    ++at_;
    return true;
  }
  void SkipSpace() {
    while (At(' ') || At('\t') || At('\n') || At('\r')) ++at_;
  }

  // `named`: whether members are parameters, as they are outside of lists.
  void ReadObject(const std::string& prefix, bool named, int depth) {
    if (depth > kDepthMax) Fail("nested more than " + std::to_string(kDepthMax) + " deep");
    Take('{');
    SkipSpace();
    if (Take('}')) return;
    do {
      SkipSpace();
      if (!At('"')) Fail("a name in quotes is needed");
      const std::string name = prefix + ReadText();
      SkipSpace();
      if (!Take(':')) Fail("a ':' is needed after a name");
      JsonValue value = ReadValue(name + '/', named, depth);
      if (named && !values_.emplace(name, std::move(value)).second) Fail("'" + name + "' is given twice");
      SkipSpace();
    } while (Take(','));
    if (!Take('}')) Fail("a ',' or '}' is needed after a value");
  }

  void ReadList(int depth) {
    if (depth > kDepthMax) Fail("nested more than " + std::to_string(kDepthMax) + " deep");
    Take('[');
    SkipSpace();
    if (Take(']')) return;
    do {
      ReadValue("", false, depth);
      SkipSpace();
    } while (Take(','));
    if (!Take(']')) Fail("a ',' or ']' is needed after a value");
  }

  JsonValue ReadValue(const std::string& prefix, bool named, int depth) {
    using Kind = JsonValue::Kind;
    JsonValue value;
    SkipSpace();
    const size_t begin = at_;
    if (At('{')) {
      value.kind = Kind::kObject;
      ReadObject(prefix, named, depth + 1);
    } else if (At('[')) {
      value.kind = Kind::kList;
      ReadList(depth + 1);
    } else if (At('"')) {
      value.kind = Kind::kText;
      value.text = ReadText();
    } else if (At('-') || AtDigit()) {
      value.kind = Kind::kNumber;
      ReadNumber();
    } else if (TakeWord("true") || TakeWord("false")) {
      value.kind = Kind::kFlag;
    } else if (!TakeWord("null")) {
      Fail("a value is needed");
    }
    value.json = json_.substr(begin, at_ - begin);
    return value;
  }

  bool TakeWord(const char* word) {
    const size_t length = std::strlen(word);
    if (json_.compare(at_, length, word) != 0) return false;
    at_ += length;
    return true;
  }

  void ReadNumber() {
    const size_t begin = at_;
    Take('-');
    if (!Take('0')) ReadDigits();
    if (Take('.')) ReadDigits();
    if (Take('e') || Take('E')) {
      if (!Take('+')) Take('-');
      ReadDigits();
    }
    if (std::isinf(NumberOf(json_.substr(begin, at_ - begin)))) Fail("the number is too large");
  }
  void ReadDigits() {
    if (!AtDigit()) Fail("a digit is needed");
    while (AtDigit()) ++at_;
  }

  std::string ReadText() {
    std::string out;
    Take('"');
    while (!Take('"')) {
      if (at_ >= json_.size()) Fail("a text does not end");
      if (Take('\\')) {
        ReadEscape(&out);
        continue;
      }
      if (static_cast<unsigned char>(json_[at_]) < 0x20) Fail("a control character in a text");
      const size_t length = Utf8Length(json_, at_);
      if (length == 0) Fail("not UTF-8");
      out.append(json_, at_, length);
      at_ += length;
    }
    return out;
  }

  void ReadEscape(std::string* out) {
    static constexpr char kNames[] = "\"\\/ntrbf", kMeanings[] = "\"\\/\n\t\r\b\f";
    const char name = at_ < json_.size() ? json_[at_] : '\0';
    const char* known = name != '\0' ? std::strchr(kNames, name) : nullptr;
    if (known != nullptr) {
      *out += kMeanings[known - kNames];
      ++at_;
      return;
    }
    if (!Take('u')) Fail("an unknown escape");
    unsigned long code = ReadHex();
    if (code >= 0xd800 && code < 0xdc00) {
      const unsigned long low = Take('\\') && Take('u') ? ReadHex() : 0;
      if (low < 0xdc00 || low > 0xdfff) Fail("half of a surrogate pair");
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code < 0xe000) {
      Fail("half of a surrogate pair");
    }
    AppendUtf8(code, out);
  }

  unsigned long ReadHex() {
    const std::string digits = json_.substr(std::min(at_, json_.size()), 4);
    if (digits.size() < 4 || digits.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) {
      Fail("\\u needs four hexadecimal digits");
    }
    at_ += 4;
    return std::strtoul(digits.c_str(), nullptr, 16);
  }

  const std::string& json_;
  size_t at_ = 0;
  JsonValues values_;
};

}  // namespace internal

// Parameters by name, with slashes between levels. Immutable. Each reader throws a ConfigError where
// the value is of another type, or not there and no default is given; a default stands in for a value
// that is not there, never for one of another type.
class Config {
 public:
  // No parameters.
  Config() = default;
  // `json`: an object. Throws a ConfigError.
  static Config Parse(const std::string& json) {
    Config config;
    config.values_ = internal::JsonReader(json).Read();
    return config;
  }
  // The file that TUNESMITH_CONFIG names; no parameters where that is not set. Throws a ConfigError.
  static Config FromEnvironment() {
    const char* path = std::getenv("TUNESMITH_CONFIG");
    if (path == nullptr || *path == '\0') return {};
    try {
      return Parse(FileText(path));
    } catch (const ConfigError& e) {
      throw ConfigError(std::string("cannot read the parameters in TUNESMITH_CONFIG=") + path + ": " + e.what());
    }
  }

  bool Has(const std::string& name) const { return values_.count(name) != 0; }
  // All names, sorted; of groups too.
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : values_) names.push_back(entry.first);
    return names;
  }

  double Number(const std::string& name) const {
    return internal::NumberOf(Typed(name, Kind::kNumber, "a number").json);
  }
  double Number(const std::string& name, double otherwise) const { return Has(name) ? Number(name) : otherwise; }

  // Also 100.0 and 1e2.
  int64_t Integer(const std::string& name) const {
    static constexpr char kNeeded[] = "an integer";
    const std::string& json = Typed(name, Kind::kNumber, kNeeded).json;
    if (json.find_first_of(".eE") == std::string::npos) {
      errno = 0;
      const long long value = std::strtoll(json.c_str(), nullptr, 10);
      if (errno == ERANGE) Mistyped(name, kNeeded);
      return value;
    }
    const double value = internal::NumberOf(json);
    if (value != std::floor(value) || std::fabs(value) > 9007199254740992.0) Mistyped(name, kNeeded);
    return static_cast<int64_t>(value);
  }
  int64_t Integer(const std::string& name, int64_t otherwise) const { return Has(name) ? Integer(name) : otherwise; }

  std::string Text(const std::string& name) const { return Typed(name, Kind::kText, "a text").text; }
  std::string Text(const std::string& name, const std::string& otherwise) const {
    return Has(name) ? Text(name) : otherwise;
  }

  bool Flag(const std::string& name) const { return Typed(name, Kind::kFlag, "true or false").json == "true"; }
  bool Flag(const std::string& name, bool otherwise) const { return Has(name) ? Flag(name) : otherwise; }

  // Any value as it stands in the file: lists and objects, for a JSON library of your own.
  std::string Json(const std::string& name) const { return Found(name).json; }

 private:
  using Kind = internal::JsonValue::Kind;
  static constexpr size_t kFileBytesMax = 16 << 20;
  static constexpr size_t kShownBytesMax = 200;  // of a value or a list of names in a message

  static std::string FileText(const char* path) {
    std::FILE* file = std::fopen(path, "rb");
    if (file == nullptr) throw ConfigError(std::strerror(errno));
    std::string text;
    char buffer[4096];
    for (size_t n; text.size() <= kFileBytesMax && (n = std::fread(buffer, 1, sizeof buffer, file)) > 0;) {
      text.append(buffer, n);
    }
    const int error = std::ferror(file) != 0 ? errno : 0;
    std::fclose(file);
    if (error != 0) throw ConfigError(std::strerror(error));
    if (text.size() > kFileBytesMax) throw ConfigError("it is larger than 16 MiB");
    return text;
  }

  static std::string Cut(const std::string& text) {
    if (text.size() <= kShownBytesMax) return text;
    size_t end = kShownBytesMax;  // not within a character
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
    return text.substr(0, end) + "...";
  }

  const internal::JsonValue& Found(const std::string& name) const {
    const auto found = values_.find(name);
    if (found != values_.end()) return found->second;
    if (values_.empty()) {
      throw ConfigError("there is no parameter '" + name +
                        "', nor any other: run this program in a sweep, or set TUNESMITH_CONFIG to the path of a "
                        "JSON file such as {\"" + name + "\": ...}");
    }
    std::string known;
    for (const auto& entry : values_) known += (known.empty() ? "" : ", ") + entry.first;
    throw ConfigError("there is no parameter '" + name + "', only " + Cut(known) +
                      "; add it to the sweep's parameters, or give it a default in the program");
  }

  const internal::JsonValue& Typed(const std::string& name, Kind kind, const char* needed) const {
    const internal::JsonValue& value = Found(name);
    if (value.kind != kind) Mistyped(name, needed);
    return value;
  }
  [[noreturn]] void Mistyped(const std::string& name, const char* needed) const {
    throw ConfigError("parameter '" + name + "' is " + Cut(Found(name).json) + "; " + needed + " is needed");
  }

  internal::JsonValues values_;
};

}  // namespace trial_sdk
}  // namespace tunesmith
