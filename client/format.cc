#include "client/format.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>

#include "client/width_tables.h"
#include "common/text.h"

namespace tunesmith {
namespace {

constexpr uint32_t kReplacement = 0xFFFD;
constexpr int kCombiningMax =
    3;  // more on one character are not writing but an attack on the screen

bool InTable(std::span<const CodeRange> table, uint32_t code) {
  const auto it = std::upper_bound(table.begin(), table.end(), code,
                                   [](uint32_t c, const CodeRange& r) { return c < r.first; });
  return it != table.begin() && code <= std::prev(it)->last;
}

size_t CodeWidth(uint32_t code) {
  if (code < 0x300) return 1;
  if (InTable(kZeroWidth, code)) return 0;
  return InTable(kDoubleWidth, code) ? 2 : 1;
}

// Invisible characters that change how their neighbours look (general category Cf, and variation
// selectors, which make some characters wide on some terminals).
bool IsFormatting(uint32_t c) {
  return c == 0xAD || (c >= 0x600 && c <= 0x605) || c == 0x61C || c == 0x6DD || c == 0x70F ||
         c == 0x890 || c == 0x891 || c == 0x8E2 || c == 0x180E || (c >= 0x200B && c <= 0x200F) ||
         (c >= 0x202A && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) ||
         (c >= 0xFE00 && c <= 0xFE0F) || c == 0xFEFF || (c >= 0xFFF9 && c <= 0xFFFB) ||
         c == 0x110BD || c == 0x110CD || (c >= 0x13430 && c <= 0x13438) ||
         (c >= 0x1BCA0 && c <= 0x1BCA3) || (c >= 0x1D173 && c <= 0x1D17A) ||
         (c >= 0xE0000 && c <= 0xE0FFF);
}

struct Character {
  uint32_t code = 0;
  size_t bytes = 0;
};

// The character at the start of non-empty text; a byte that is not UTF-8 is one replacement
// character.
Character FirstCharacter(std::string_view text) {
  const size_t length = Utf8SequenceLength(text);
  if (length == 0) return {kReplacement, 1};
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  if (length == 1) return {byte(0), 1};
  uint32_t code = byte(0) & (0xFFU >> (length + 1));
  for (size_t i = 1; i < length; ++i) code = (code << 6) | (byte(i) & 0x3FU);
  return {code, length};
}

// The visible stand-in of a control character: its picture of U+2400, or '?'.
void AppendControl(uint32_t code, bool unicode, std::string* out) {
  if (!unicode) {
    *out += '?';
  } else if (code < 0x20) {
    *out += "\xE2\x90";
    *out += static_cast<char>(0x80 + code);
  } else {
    *out += code == 0x7F ? "\xE2\x90\xA1" : "\xEF\xBF\xBD";
  }
}

bool IsBreak(uint32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

constexpr const char* kBlocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
constexpr const char* kAsciiBlocks[] = {"_", ".", ":", "-", "=", "+", "*", "#"};
constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};

std::string Scientific(double value, int decimals) {
  char buffer[64];
  std::snprintf(buffer, sizeof(buffer), "%.*e", decimals, value);
  // "3.1e-03" to "3.1e-3", "3.1e+05" to "3.1e5".
  std::string text(buffer);
  const size_t e = text.find('e');
  if (e == std::string::npos) return text;
  std::string exponent = text.substr(e + 1);
  const bool negative = exponent[0] == '-';
  exponent.erase(0, std::min(exponent.find_first_not_of("+-0"), exponent.size() - 1));
  return text.substr(0, e + 1) + (negative ? "-" : "") + exponent;
}

std::string Fixed(double value, int decimals) {
  char buffer[400];
  std::snprintf(buffer, sizeof(buffer), "%.*f", decimals, value);
  std::string text(buffer);
  if (text.find_first_not_of("-0.") == std::string::npos && text[0] == '-') text.erase(0, 1);
  return text;
}

constexpr double kPlainMax = 1e7;

// Two digits of it are left in plain decimals, and it is not very long.
bool IsPlain(double size, int decimals) {
  return size < kPlainMax && (decimals == 0 || size >= std::pow(10.0, 1 - decimals));
}

}  // namespace

size_t DisplayWidth(std::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    const Character c = FirstCharacter(text);
    width += CodeWidth(c.code);
    text.remove_prefix(c.bytes);
  }
  return width;
}

std::string CleanText(std::string_view text, bool unicode) {
  std::string out;
  out.reserve(text.size());
  int marks = kCombiningMax;  // a mark at the start has nothing to stand on
  while (!text.empty()) {
    const Character c = FirstCharacter(text);
    const std::string_view bytes = text.substr(0, c.bytes);
    text.remove_prefix(c.bytes);
    if (c.code >= 0x20 && c.code < 0x7F) {
      out += bytes;
      marks = 0;
      continue;
    }
    if (IsFormatting(c.code)) continue;
    if (IsBreak(c.code)) {
      out += ' ';
      marks = 0;
    } else if (c.code < 0x20 || (c.code >= 0x7F && c.code < 0xA0)) {
      AppendControl(c.code, unicode, &out);
      marks = 0;
    } else if (CodeWidth(c.code) == 0) {
      if (unicode && marks++ < kCombiningMax) out += bytes;
    } else {
      out += !unicode ? "?" : (c.code == kReplacement ? "\xEF\xBF\xBD" : bytes);
      marks = 0;
    }
  }
  return out;
}

std::string CutText(std::string_view text, size_t width, bool unicode) {
  if (DisplayWidth(text) <= width) return std::string(text);
  if (width == 0) return "";
  size_t used = 0;
  size_t bytes = 0;
  while (bytes < text.size()) {
    const Character c = FirstCharacter(text.substr(bytes));
    const size_t columns = CodeWidth(c.code);
    if (used + columns > width - 1) break;
    used += columns;
    bytes += c.bytes;
  }
  return std::string(text.substr(0, bytes)) + (unicode ? "…" : "~");
}

std::string PadRight(std::string_view text, size_t width, bool unicode) {
  std::string out = CutText(text, width, unicode);
  out.append(width - DisplayWidth(out), ' ');
  return out;
}

std::string PadLeft(std::string_view text, size_t width, bool unicode) {
  const std::string cut = CutText(text, width, unicode);
  return std::string(width - DisplayWidth(cut), ' ') + cut;
}

NumberStyle StyleFor(std::span<const double> values, int digits) {
  std::vector<double> sizes;  // of what can be written plainly
  bool whole = true;
  size_t count = 0;
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    if (value != std::floor(value)) whole = false;
    if (value == 0) continue;
    ++count;
    if (std::fabs(value) < kPlainMax) sizes.push_back(std::fabs(value));
  }
  if (whole) return {.scientific = false, .decimals = count == 0 ? digits : 0};
  const double largest = sizes.empty() ? 0 : *std::max_element(sizes.begin(), sizes.end());
  if (largest == 0) return {.scientific = true, .decimals = digits - 1};
  const int before_point = static_cast<int>(std::floor(std::log10(largest))) + 1;
  const int decimals = digits - std::clamp(before_point - 1, 0, digits - 1);
  const auto seen = static_cast<size_t>(std::count_if(
      sizes.begin(), sizes.end(), [&](double size) { return IsPlain(size, decimals); }));
  if (2 * seen < count) return {.scientific = true, .decimals = digits - 1};
  return {.scientific = false, .decimals = decimals};
}

std::string NumberText(double value, const NumberStyle& style) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  if (value == 0) return style.scientific ? "0" : Fixed(0, style.decimals);
  if (style.scientific) return Scientific(value, style.decimals);
  if (!IsPlain(std::fabs(value), style.decimals)) return Scientific(value, 2);
  return Fixed(value, style.decimals);
}

std::string ShortNumber(double value, int digits) {
  if (!std::isfinite(value) || value == 0) return NumberText(value, {.decimals = 0});
  const double size = std::fabs(value);
  const bool plain = size >= 1e-3 && size < kPlainMax;
  if (plain && value == std::floor(value)) return Fixed(value, 0);
  const int exponent = static_cast<int>(std::floor(std::log10(size)));
  std::string text =
      plain ? Fixed(value, std::max(0, digits - 1 - exponent)) : Scientific(value, digits - 1);
  const size_t end = std::min(text.find('e'), text.size());
  if (text.find('.') == std::string::npos) return text;
  size_t keep = text.find_last_not_of('0', end - 1);
  if (text[keep] == '.') --keep;
  text.erase(keep + 1, end - keep - 1);
  return text;
}

std::string BriefDuration(int64_t ms) {
  ms = std::max<int64_t>(ms, 0);
  const int64_t s = ms / 1000;
  char buffer[48];
  const auto print = [&](const char* format, long long a, long long b) {
    std::snprintf(buffer, sizeof(buffer), format, a, b);
    return std::string(buffer);
  };
  if (s < 10) return print("%lld.%llds", s, ms % 1000 / 100);
  if (s < 60) return std::to_string(s) + "s";
  if (s < 3600) return print("%lldm%02llds", s / 60, s % 60);
  if (s < 86'400) return print("%lldh%02lldm", s / 3600, s % 3600 / 60);
  return print("%lldd%02lldh", s / 86'400, s % 86'400 / 3600);
}

std::string CountText(int64_t count) {
  if (count > -10'000 && count < 10'000) return std::to_string(count);
  constexpr const char* kUnits[] = {"k", "M", "G", "T", "P", "E"};
  double scaled = static_cast<double>(count);
  size_t unit = 0;
  for (scaled /= 1000; std::fabs(scaled) >= 999.5 && unit + 1 < std::size(kUnits); ++unit) {
    scaled /= 1000;
  }
  return ShortNumber(scaled, 3) + kUnits[unit];
}

std::string Sparkline(std::span<const double> points, size_t width, double low, double high,
                      bool unicode) {
  const size_t columns = std::min(points.size(), width);
  std::string out;
  for (size_t column = 0; column < columns; ++column) {
    const size_t begin = column * points.size() / columns;
    const size_t end = (column + 1) * points.size() / columns;
    double sum = 0;  // of heights in 0..1
    size_t count = 0;
    for (size_t i = begin; i < end; ++i) {
      if (std::isnan(points[i])) continue;
      const bool flat = !(high > low);
      // Halves: the difference of two finite numbers can overflow.
      sum += flat ? 0.5 : (std::clamp(points[i], low, high) / 2 - low / 2) / (high / 2 - low / 2);
      ++count;
    }
    if (count == 0) {
      out += unicode ? "×" : "x";
      continue;
    }
    const double height = sum / static_cast<double>(count);
    const auto level = static_cast<size_t>(std::clamp(height * 8, 0.0, 7.0));
    out += unicode ? kBlocks[level] : kAsciiBlocks[level];
  }
  return out;
}

std::string ProgressBar(double fraction, size_t width, bool unicode) {
  const size_t inner = std::max<size_t>(width, 3) - 2;
  if (!(fraction > 0)) fraction = 0;  // also NaN
  fraction = std::min(fraction, 1.0);
  if (!unicode) {
    const auto full = static_cast<size_t>(fraction * static_cast<double>(inner));
    return "[" + std::string(full, '#') + std::string(inner - full, '.') + "]";
  }
  const auto eighths = static_cast<size_t>(fraction * static_cast<double>(inner) * 8);
  std::string bar = "▕";
  for (size_t i = 0; i < eighths / 8; ++i) bar += "█";
  size_t used = eighths / 8;
  if (eighths % 8 != 0) {
    bar += kEighths[eighths % 8];
    ++used;
  }
  return bar + std::string(inner - used, ' ') + "▏";
}

}  // namespace tunesmith
