#include "search/insight/effect_line.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <vector>

namespace tunesmith::insight {

namespace {

constexpr double kShareVisible = 0.01;
constexpr int kDigits = 3, kDigitsMax = 7;
constexpr size_t kCategoriesMax = 4;

std::string Converted(double value, std::chars_format format, int digits) {
  char buffer[400];
  const auto result = std::to_chars(buffer, buffer + sizeof buffer, value, format, digits);
  return {buffer, result.ptr};
}

// So many digits that two different numbers look different.
int DigitsToTell(double a, double b) {
  int digits = kDigits;
  while (digits < kDigitsMax && BriefNumber(a, digits) == BriefNumber(b, digits)) ++digits;
  return digits;
}

std::string PlaceText(const Value& value) {
  const double* number = std::get_if<double>(&value);
  return number != nullptr ? BriefNumber(*number, kDigits) : ValueText(value);
}

// "2e-3 to 0.01", "above 0.5", "3".
std::string RangeText(const Effect& first, const Effect& last) {
  if (IsActive(first.value)) {
    const std::string lo = PlaceText(first.value), hi = PlaceText(last.value);
    return lo == hi ? lo : lo + " to " + hi;
  }
  if (std::isinf(first.lo)) return "below " + BriefNumber(last.hi, kDigits);
  if (std::isinf(last.hi)) return "above " + BriefNumber(first.lo, kDigits);
  const int digits = DigitsToTell(first.lo, last.hi);
  const std::string lo = BriefNumber(first.lo, digits), hi = BriefNumber(last.hi, digits);
  return lo == hi ? lo : lo + " to " + hi;
}

std::string OrderedText(const Question& question, const std::vector<Effect>& effect) {
  const auto loss = [&](size_t b) { return question.goal == Goal::kMin ? effect[b].metric : -effect[b].metric; };
  size_t best = 0, worst = 0;
  for (size_t b = 1; b < effect.size(); ++b) {
    if (loss(b) < loss(best)) best = b;
    if (loss(b) > loss(worst)) worst = b;
  }
  const double range = loss(worst) - loss(best);
  size_t first = best, last = best;
  const double limit = loss(best) + 0.15 * range;
  while (first > 0 && loss(first - 1) <= limit) --first;
  while (last + 1 < effect.size() && loss(last + 1) <= limit) ++last;
  if (!(range > 0) || (first == 0 && last + 1 == effect.size())) return "no visible effect";
  // Monotone but for wobbles.
  bool rises = true, falls = true;
  for (size_t b = 0; b + 1 < effect.size(); ++b) {
    const double step = loss(b + 1) - loss(b);
    if (step > 0.05 * range) falls = false;
    if (step < -0.05 * range) rises = false;
  }
  std::string text = "best " + RangeText(effect[first], effect[last]);
  if (falls && last + 1 == effect.size()) text += ", the higher the better";
  if (rises && first == 0) text += ", the lower the better";
  const int digits = DigitsToTell(effect[worst].metric, effect[best].metric);
  return text + "; " + question.metric + (question.goal == Goal::kMin ? " falls from " : " rises from ") +
         BriefNumber(effect[worst].metric, digits) + " to " + BriefNumber(effect[best].metric, digits) + " there";
}

std::string CategoryText(const std::vector<Effect>& effect) {
  const int digits = DigitsToTell(effect.front().metric, effect.back().metric);
  std::string text;
  const size_t shown = effect.size() <= kCategoriesMax + 1 ? effect.size() : kCategoriesMax;
  for (size_t k = 0; k < shown; ++k) {
    text += (k > 0 ? ", " : "") + ValueText(effect[k].value) + " " + BriefNumber(effect[k].metric, digits);
  }
  if (shown < effect.size()) {
    text += ", " + std::to_string(effect.size() - shown) + " others to " + BriefNumber(effect.back().metric, digits);
  }
  return text;
}

std::string Described(const Space& space, const Question& question, const ParameterImportance& one) {
  if (space.ValueCount(one.parameter) == 1u) return "always " + ValueText(space.ValueAt(one.parameter, 0));
  uint64_t tried = 0;
  for (const Effect& effect : one.effect) tried += effect.trials;
  if (tried == 0) return "in no trial active";
  if (one.share < kShareVisible || one.effect.size() < 2) return "no visible effect";
  if (HasOptions(space.parameters()[one.parameter].distribution)) return CategoryText(one.effect);
  return OrderedText(question, one.effect);
}

}  // namespace

std::string BriefNumber(double value, int digits) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  if (value == 0) return "0";
  const double size = std::fabs(value);
  if (size >= 1e-3 && size < 1e6) {
    int whole = 0;
    for (double x = size; x >= 1; x /= 10) ++whole;
    int decimals = std::max(0, digits - whole);
    for (double x = size; x < 0.1; x *= 10) ++decimals;  // leading zeros
    std::string text = Converted(value, std::chars_format::fixed, decimals);
    if (text.find('.') != std::string::npos) {
      text.erase(text.find_last_not_of('0') + 1);
      if (text.back() == '.') text.pop_back();
    }
    return text;
  }
  const std::string text = Converted(value, std::chars_format::scientific, digits - 1);
  const size_t e = text.find('e');
  std::string mantissa = text.substr(0, e);
  if (mantissa.find('.') != std::string::npos) {
    mantissa.erase(mantissa.find_last_not_of('0') + 1);
    if (mantissa.back() == '.') mantissa.pop_back();
  }
  std::string exponent = text.substr(e + 2);
  exponent.erase(0, std::min(exponent.find_first_not_of('0'), exponent.size() - 1));
  return mantissa + "e" + (text[e + 1] == '-' ? "-" : "") + exponent;
}

std::string EffectLine(const Space& space, const Question& question, const ParameterImportance& importance) {
  std::string text = Described(space, question, importance);
  if (importance.active < 0.999) {
    // Never "0%" or "100%", which would say something else.
    const double percent = std::clamp(std::nearbyint(importance.active * 100), 1.0, 99.0);
    text += "; active in " + std::to_string(static_cast<int>(percent)) + "% of the space";
  }
  return text;
}

}  // namespace tunesmith::insight
