// Text for people in display columns: widths, cutting, numbers, durations, learning curves. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tunesmith {

// --- display columns

// Columns that the text takes on a terminal: 2 for East Asian wide characters and emoji, 0 for
// combining marks, 1 for everything else, also for a byte that is not UTF-8.
size_t DisplayWidth(std::string_view text);

// One line of harmless text from anything a user or a program wrote. Control characters become
// visible marks, line and paragraph breaks and tabs become spaces, invisible format characters
// (direction overrides, joiners) go, bytes that are not UTF-8 become U+FFFD, at most 3 combining
// marks stay on a character. Without `unicode` every character beyond ASCII becomes '?'.
std::string CleanText(std::string_view text, bool unicode);

// `text` (clean) cut to at most `width` columns, ending in an ellipsis ("…", or "~" in ASCII) if
// anything was cut.
std::string CutText(std::string_view text, size_t width, bool unicode);

// Cut if necessary, then filled with spaces to exactly `width` columns.
std::string PadRight(std::string_view text, size_t width, bool unicode);
std::string PadLeft(std::string_view text, size_t width, bool unicode);

// --- numbers

// How all numbers of one column are written, so that they can be compared by eye.
struct NumberStyle {
  bool scientific = false;
  int decimals = 4;
};

// Whole numbers without decimals; plain decimals with about `digits` significant digits if most
// values can be seen in them, else scientific. NaN, infinities and zeros have no say.
NumberStyle StyleFor(std::span<const double> values, int digits);

// "0.9432", "3.1e-3", "64", "nan", "-inf". A value that the style would show as zero or very long
// is scientific anyway.
std::string NumberText(double value, const NumberStyle& style);
// One number on its own, with `digits` significant digits and no trailing zeros: "0.01", "3.12e-4",
// "1500".
std::string ShortNumber(double value, int digits);

// "0.4s", "41s", "4m12s", "3h05m", "2d04h". Negative durations count as 0.
std::string BriefDuration(int64_t ms);

// "999", "12.3k", "4.5M": for step counts that must stay narrow.
std::string CountText(int64_t count);

// --- pictures

// One character per column, at most `width` of them, between `low` and `high`; values outside are
// clamped. More points than columns are averaged; fewer are shown one by one. NaN shows as 'x'
// ("×"), unless other points of its column are numbers.
std::string Sparkline(std::span<const double> points, size_t width, double low, double high,
                      bool unicode);

// "▕██████▌    ▏" or "[######....]", exactly `width` (at least 3) columns. `fraction` is clamped to
// 0..1.
std::string ProgressBar(double fraction, size_t width, bool unicode);

}  // namespace tunesmith
