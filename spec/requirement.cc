#include "spec/requirement.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "common/limits.h"
#include "common/text.h"

namespace tunesmith {
namespace {

constexpr char kExample[] = "write it as latency_ms <= 20";

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

std::optional<Requirement> ParseRequirement(std::string_view text, std::string* why, std::string* hint) {
  const auto fail = [&](std::string what, std::string instead) -> std::optional<Requirement> {
    *why = std::move(what);
    *hint = std::move(instead);
    return std::nullopt;
  };
  if (text.size() > 2 * kNameBytesMax) return fail("it has " + std::to_string(text.size()) + " bytes", kExample);
  if (text.find('\0') != std::string_view::npos || ValidUtf8(text) != text)
    return fail("the text has a NUL or is not UTF-8", kExample);
  const size_t sign = text.find_last_of("<>");
  if (sign == std::string_view::npos) {
    return fail("\"" + std::string(Trim(text).substr(0, 60)) + "\" has no <, <=, > or >=",
                text.find('=') != std::string_view::npos ? "a measured number hardly ever equals a given one"
                                                         : kExample);
  }
  const bool or_equal = sign + 1 < text.size() && text[sign + 1] == '=';
  Requirement out;
  using Op = Requirement::Op;
  out.op = text[sign] == '<' ? (or_equal ? Op::kLessEqual : Op::kLess) : (or_equal ? Op::kGreaterEqual : Op::kGreater);
  std::string_view name = Trim(text.substr(0, sign));
  if (name.size() >= 2 && name.front() == '`' && name.back() == '`') name = name.substr(1, name.size() - 2);
  std::string_view number = Trim(text.substr(sign + (or_equal ? 2 : 1)));
  if (name.empty()) return fail("no metric is named", kExample);
  if (name.find_first_of("<>") != std::string_view::npos)
    return fail("it compares more than once", "give each limit by itself");
  if (name.size() > kNameBytesMax) return fail("the metric's name is too long", "shorten it");
  if (number.starts_with('+')) number.remove_prefix(1);
  const char* const end = number.data() + number.size();
  const auto result = std::from_chars(number.data(), end, out.limit);
  if (result.ec != std::errc() || result.ptr != end || !std::isfinite(out.limit)) {
    double ignored = 0;
    const char* const name_end = name.data() + name.size();
    const bool swapped = std::from_chars(name.data(), name_end, ignored).ptr == name_end;
    return fail("\"" + std::string(number.substr(0, 60)) + "\" is not a finite number",
                swapped ? "write the metric first: latency_ms <= 20" : kExample);
  }
  out.metric = std::string(name);
  return out;
}

double ExcessOf(const Requirement& requirement, double value) {
  if (std::isnan(value)) return 1;
  using Op = Requirement::Op;
  const double limit = requirement.limit;
  const bool upper = requirement.op == Op::kLess || requirement.op == Op::kLessEqual;
  const bool strict = requirement.op == Op::kLess || requirement.op == Op::kGreater;
  const double over = upper ? value - limit : limit - value;
  if (over < 0 || (over == 0 && !strict)) return 0;
  constexpr double kLeast = 1e-12, kMost = 1e12;
  return std::clamp(over / std::max(std::fabs(limit), kLeast), kLeast, kMost);
}

}  // namespace tunesmith
