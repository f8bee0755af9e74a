#include "search/space/value.h"

#include <bit>
#include <cmath>
#include <limits>

#include "common/json_text.h"
#include "common/rng.h"
#include "common/text.h"

namespace tunesmith {
namespace {

// The integer that a double is, if it is one that int64_t holds.
bool WholeNumber(double x, int64_t* out) {
  if (!(x >= -0x1p63 && x < 0x1p63)) return false;
  const auto whole = static_cast<int64_t>(x);
  if (static_cast<double>(whole) != x) return false;
  *out = whole;
  return true;
}

uint64_t HashText(std::string_view text, uint64_t kind) {
  uint64_t hash = 0xcbf29ce484222325ULL;  // FNV-1a
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return Mix64(hash ^ Mix64(kind));
}

constexpr uint64_t kHashInactive = 1, kHashBool = 2, kHashInt = 4, kHashDouble = 5, kHashString = 6,
                   kHashJson = 7;

}  // namespace

std::string ValueText(const Value& value) {
  if (const auto* b = std::get_if<bool>(&value)) return *b ? "true" : "false";
  if (const auto* i = std::get_if<int64_t>(&value)) return std::to_string(*i);
  if (const auto* d = std::get_if<double>(&value)) return DoubleText(*d);
  if (const auto* s = std::get_if<std::string>(&value)) return *s;
  if (const auto* j = std::get_if<JsonValue>(&value)) return j->text;
  return "";
}

void AppendValueJson(const Value& value, std::string* out) {
  if (const auto* s = std::get_if<std::string>(&value)) {
    AppendJsonString(*s, out);
  } else if (const auto* d = std::get_if<double>(&value)) {
    AppendJsonDouble(*d, out);
  } else if (!IsActive(value)) {
    out->append("null");
  } else {
    out->append(ValueText(value));
  }
}

std::string ValueJson(const Value& value) {
  std::string out;
  AppendValueJson(value, &out);
  return out;
}

double ValueNumber(const Value& value) {
  if (const auto* b = std::get_if<bool>(&value)) return *b ? 1 : 0;
  if (const auto* i = std::get_if<int64_t>(&value)) return static_cast<double>(*i);
  if (const auto* d = std::get_if<double>(&value)) return *d;
  return std::numeric_limits<double>::quiet_NaN();
}

bool SameValue(const Value& a, const Value& b) {
  const auto* da = std::get_if<double>(&a);
  const auto* db = std::get_if<double>(&b);
  if (da != nullptr && db != nullptr) return *da == *db || (std::isnan(*da) && std::isnan(*db));
  int64_t whole = 0;
  if (da != nullptr && std::holds_alternative<int64_t>(b)) {
    return WholeNumber(*da, &whole) && whole == std::get<int64_t>(b);
  }
  if (db != nullptr && std::holds_alternative<int64_t>(a)) {
    return WholeNumber(*db, &whole) && whole == std::get<int64_t>(a);
  }
  return a == b;
}

uint64_t HashValue(const Value& value) {
  if (const auto* d = std::get_if<double>(&value)) {
    int64_t whole = 0;
    if (WholeNumber(*d, &whole)) return Mix64(static_cast<uint64_t>(whole) ^ Mix64(kHashInt));
    const double canonical = std::isnan(*d) ? std::numeric_limits<double>::quiet_NaN() : *d;
    return Mix64(std::bit_cast<uint64_t>(canonical) ^ Mix64(kHashDouble));
  }
  if (const auto* i = std::get_if<int64_t>(&value)) {
    return Mix64(static_cast<uint64_t>(*i) ^ Mix64(kHashInt));
  }
  if (const auto* b = std::get_if<bool>(&value)) return Mix64(kHashBool + (*b ? 1 : 0));
  if (const auto* s = std::get_if<std::string>(&value)) return HashText(*s, kHashString);
  if (const auto* j = std::get_if<JsonValue>(&value)) return HashText(j->text, kHashJson);
  return Mix64(kHashInactive);
}

uint64_t HashPoint(const Point& point) {
  uint64_t hash = 0x9ae16a3b2f90404fULL;
  for (const Value& value : point) hash = Mix64(hash ^ HashValue(value));
  return hash;
}

bool SamePoint(const Point& a, const Point& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!SameValue(a[i], b[i])) return false;
  }
  return true;
}

}  // namespace tunesmith
