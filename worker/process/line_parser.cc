#include "worker/process/line_parser.h"

#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/json_text.h"
#include "common/limits.h"
#include "common/text.h"

namespace tunesmith::worker {
namespace {

using Json = nlohmann::json;

// In order of preference.
constexpr std::array<std::string_view, 5> kStepNames = {"training_iteration", "epoch", "step",
                                                        "iteration", "iter"};
constexpr size_t kJsonDepthMax = 32;
constexpr size_t kHintBytesMax = 160;

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return Lower(x) == Lower(y); });
}

// Index in kStepNames; kStepNames.size() if it is none.
size_t StepRank(std::string_view name) {
  size_t rank = 0;
  while (rank < kStepNames.size() && !EqualsIgnoringCase(name, kStepNames[rank])) ++rank;
  return rank;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return Lower(c) >= 'a' && Lower(c) <= 'z'; }
bool IsNameStart(char c) {
  return IsLetter(c) || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}
bool IsNameChar(char c) {
  return IsNameStart(c) || IsDigit(c) || c == '.' || c == '/' || c == '-' || c == '@';
}
bool IsSpace(char c) { return c == ' ' || c == '\t'; }
// What may stand before a name and after a value.
bool IsBreak(char c) {
  return IsSpace(c) || c == ',' || c == ';' || c == '(' || c == ')' || c == '[' || c == ']' ||
         c == '{' || c == '}' || c == '|' || c == '"' || c == '\'' || c == '>' || c == '<' ||
         c == '\x1b';
}

std::optional<int64_t> WholeStep(double value) {
  if (!(value >= 0 && value <= 9007199254740992.0) || value != std::floor(value))
    return std::nullopt;
  return static_cast<int64_t>(value);
}

// Length of the number at the start of `text`; 0 if there is none.
size_t NumberLength(std::string_view text) {
  size_t at = !text.empty() && (text[0] == '+' || text[0] == '-') ? 1 : 0;
  for (std::string_view word : {"infinity", "inf", "nan"}) {
    if (EqualsIgnoringCase(text.substr(at, word.size()), word)) return at + word.size();
  }
  const size_t start = at;
  size_t digits = 0;
  while (at < text.size() && IsDigit(text[at])) ++at, ++digits;
  if (at < text.size() && text[at] == '.') {
    size_t fraction = at + 1;
    while (fraction < text.size() && IsDigit(text[fraction])) ++fraction, ++digits;
    if (fraction > at + 1 || at > start) at = fraction;
  }
  if (digits == 0) return 0;
  if (at < text.size() && Lower(text[at]) == 'e') {
    size_t exponent = at + 1;
    if (exponent < text.size() && (text[exponent] == '+' || text[exponent] == '-')) ++exponent;
    const size_t first = exponent;
    while (exponent < text.size() && IsDigit(text[exponent])) ++exponent;
    if (exponent > first) at = exponent;
  }
  return at;
}

double NumberValue(std::string_view text) {
  const bool negative = !text.empty() && text[0] == '-';
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  double value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec == std::errc::result_out_of_range) {
    // Too large or too small for a double: the exponent's sign tells which.
    const size_t e = text.find_first_of("eE");
    const bool tiny = (e != std::string_view::npos && e + 1 < text.size() && text[e + 1] == '-') ||
                      (e == std::string_view::npos && text.substr(0, 2) == "0.");
    value = tiny ? 0 : std::numeric_limits<double>::infinity();
  }
  return negative ? -value : value;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (IsSpace(text.front()) || text.front() == '\r')) text.remove_prefix(1);
  while (!text.empty() && (IsSpace(text.back()) || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

// Python's json writes NaN, Infinity and -Infinity bare; JSON has no such words. Quotes them
// outside strings.
std::string QuoteBareNumbers(std::string_view line) {
  std::string out;
  bool in_string = false;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (in_string) {
      out += c;
      if (c == '\\' && i + 1 < line.size()) out += line[++i];
      if (c == '"') in_string = false;
      continue;
    }
    bool quoted = false;
    for (std::string_view word : {"-Infinity", "Infinity", "NaN"}) {
      if (line.substr(i, word.size()) != word) continue;
      out += word == "NaN" ? "\"nan\"" : word[0] == '-' ? "\"-inf\"" : "\"inf\"";
      i += word.size() - 1;
      quoted = true;
      break;
    }
    if (quoted) continue;
    in_string = c == '"';
    out += c;
  }
  return out;
}

// Nested deeper than any report: the JSON library recurses.
bool TooDeep(std::string_view line) {
  size_t depth = 0;
  for (char c : line) {
    if (c == '{' || c == '[') {
      if (++depth > kJsonDepthMax) return true;
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return false;
}

// Nothing that JSON text can hold makes this throw.
Json ParseObject(std::string_view line) {
  if (TooDeep(line)) return Json(Json::value_t::discarded);
  Json object = Json::parse(line.begin(), line.end(), nullptr, false);
  if (object.is_discarded() && (line.find("NaN") != std::string_view::npos ||
                                line.find("Infinity") != std::string_view::npos)) {
    const std::string quoted = QuoteBareNumbers(line);
    object = Json::parse(quoted, nullptr, false);
  }
  return object;
}

std::optional<double> JsonNumber(const Json& value) {
  if (value.is_number()) return value.get<double>();
  if (!value.is_string()) return std::nullopt;
  const auto& text = value.get_ref<const std::string&>();
  // Only the words: a text "3" is a text.
  if (text.empty() || IsDigit(text.back()) || text.back() == '.') return std::nullopt;
  return ParseNumber(text);
}

}  // namespace

std::optional<double> ParseNumber(std::string_view text) {
  const size_t length = NumberLength(text);
  if (length == 0 || length != text.size()) return std::nullopt;
  return NumberValue(text);
}

// What one line holds, before it is known whether it is a report.
struct LineParser::Found {
  std::vector<NamedValue> metrics;
  std::array<std::optional<double>, kStepNames.size()> steps;

  void Add(std::string_view name, double value) {
    const size_t rank = StepRank(name);
    if (rank < kStepNames.size() && WholeStep(value).has_value()) {
      steps[rank] = value;
      return;
    }
    if (name.size() > kNameBytesMax) return;
    for (NamedValue& metric : metrics) {
      if (metric.name == name) {
        metric.value = value;
        return;
      }
    }
    if (metrics.size() < 4 * kMetricsPerMeasurementMax) metrics.push_back({ValidUtf8(name), value});
  }
};

struct LineParser::Rule {
  CollectRule::Kind kind;
  std::unique_ptr<re2::RE2> regex;
  std::vector<std::string> groups;  // name of each group, "" = unnamed
};

LineParser::LineParser() = default;
LineParser::~LineParser() = default;

StatusOr<std::unique_ptr<LineParser>> LineParser::Create(
    const std::vector<CollectRule>& rules, std::vector<std::string> declared_metrics) {
  std::unique_ptr<LineParser> parser(new LineParser());
  parser->declared_ = std::move(declared_metrics);
  for (const CollectRule& rule : rules) {
    Rule compiled{rule.kind, nullptr, {}};
    if (rule.kind == CollectRule::Kind::kRegex) {
      compiled.regex = std::make_unique<re2::RE2>(rule.regex, re2::RE2::Quiet);
      if (!compiled.regex->ok()) {
        return InvalidArgument("collect: the regular expression \"" + rule.regex +
                               "\" is not valid: " + compiled.regex->error());
      }
      if (compiled.regex->NamedCapturingGroups().empty()) {
        return InvalidArgument("collect: the regular expression \"" + rule.regex +
                               "\" has no named group; write (?P<loss>[0-9.]+)");
      }
      compiled.groups.resize(static_cast<size_t>(compiled.regex->NumberOfCapturingGroups()) + 1);
      for (const auto& [name, index] : compiled.regex->NamedCapturingGroups()) {
        compiled.groups[static_cast<size_t>(index)] = name;
      }
    }
    parser->rules_.push_back(std::move(compiled));
  }
  if (parser->rules_.empty()) parser->rules_.push_back({CollectRule::Kind::kAuto, nullptr, {}});
  return parser;
}

bool LineParser::IsDeclared(std::string_view name) const {
  return std::find(declared_.begin(), declared_.end(), name) != declared_.end();
}

std::optional<Report> LineParser::Parse(std::string_view line) {
  for (const Rule& rule : rules_) {
    Found found;
    if (rule.kind == CollectRule::Kind::kRegex) {
      std::vector<re2::StringPiece> groups(rule.groups.size());
      if (!rule.regex->Match(re2::StringPiece(line.data(), line.size()), 0, line.size(),
                             re2::RE2::UNANCHORED, groups.data(),
                             static_cast<int>(groups.size()))) {
        continue;
      }
      for (size_t i = 1; i < groups.size(); ++i) {
        if (rule.groups[i].empty() || groups[i].data() == nullptr) continue;
        const std::string_view text = Trim(std::string_view(groups[i].data(), groups[i].size()));
        const auto value = ParseNumber(text);
        if (value.has_value()) {
          found.Add(rule.groups[i], *value);
        } else if (hint_.empty()) {
          hint_ =
              ValidUtf8("the group " + rule.groups[i] + " of the regular expression matched \"" +
                        std::string(text.substr(0, kHintBytesMax)) + "\", which is not a number");
        }
      }
      // The rule names its metrics: declared or not, they are wanted.
      if (auto report = ToReport(std::move(found), true)) return report;
      continue;
    }
    if (!ParseJson(line, &found) && rule.kind == CollectRule::Kind::kAuto) ParsePairs(line, &found);
    if (auto report = ToReport(std::move(found), false)) return report;
  }
  return std::nullopt;
}

bool LineParser::ParseJson(std::string_view line, Found* found) const {
  line = Trim(line);
  constexpr std::string_view kSyneTune = "[tune-metric]:";
  if (line.substr(0, kSyneTune.size()) == kSyneTune) line = Trim(line.substr(kSyneTune.size()));
  if (line.size() < 2 || line.front() != '{' || line.back() != '}') return false;
  const Json object = ParseObject(line);
  if (!object.is_object()) return false;
  // Depth first, without recursion.
  std::vector<std::pair<std::string, const Json*>> open = {{"", &object}};
  while (!open.empty()) {
    const auto [prefix, node] = std::move(open.back());
    open.pop_back();
    for (const auto& [key, value] : node->items()) {
      const std::string name = prefix + key;
      if (value.is_object()) {
        open.emplace_back(name + "/", &value);
      } else if (const auto number = JsonNumber(value)) {
        found->Add(name, *number);
      }
    }
  }
  return true;
}

void LineParser::ParsePairs(std::string_view line, Found* found) {
  for (size_t at = 0; at < line.size();) {
    if (!IsNameStart(line[at]) || (at > 0 && !IsBreak(line[at - 1]))) {
      ++at;
      continue;
    }
    const size_t begin = at;
    while (at < line.size() && IsNameChar(line[at])) ++at;
    const std::string_view name = line.substr(begin, at - begin);
    size_t value = at;
    if (value < line.size() && (line[value] == '"' || line[value] == '\'')) ++value;
    while (value < line.size() && IsSpace(line[value])) ++value;
    const bool assigned = value < line.size() && (line[value] == '=' || line[value] == ':');
    const bool is_step = StepRank(name) < kStepNames.size();
    if (!assigned && !is_step) continue;
    if (assigned) ++value;
    while (value < line.size() && (IsSpace(line[value]) || (is_step && line[value] == '[')))
      ++value;
    const size_t length = NumberLength(line.substr(value));
    const size_t end = value + length;
    const char after = end < line.size() ? line[end] : ' ';
    const bool full_stop = after == '.' && (end + 1 == line.size() || IsSpace(line[end + 1]));
    const bool fraction = is_step && (after == '/' || after == ':');
    if (length > 0 && (IsBreak(after) || full_stop || fraction)) {
      found->Add(name, NumberValue(line.substr(value, length)));
      at = end;
    } else if (assigned && hint_.empty() && value < line.size() && IsDeclared(name)) {
      const std::string_view text = line.substr(begin, kHintBytesMax);
      hint_ = ValidUtf8("\"" + std::string(text) + "\" gives " + std::string(name) + " no number");
    }
  }
}

std::optional<Report> LineParser::ToReport(Found found, bool named_by_rule) const {
  Report report;
  for (size_t rank = 0; rank < kStepNames.size(); ++rank) {
    if (!found.steps[rank].has_value()) continue;
    if (!report.step.has_value()) report.step = WholeStep(*found.steps[rank]);
    // A metric may be called "step" if the sweep says so.
    if (IsDeclared(kStepNames[rank]))
      found.metrics.push_back({std::string(kStepNames[rank]), *found.steps[rank]});
  }
  if (found.metrics.empty()) return std::nullopt;
  const auto first_other =
      std::stable_partition(found.metrics.begin(), found.metrics.end(),
                            [&](const NamedValue& metric) { return IsDeclared(metric.name); });
  const bool declared = first_other != found.metrics.begin();
  if (!declared && !report.step.has_value() && !named_by_rule) return std::nullopt;
  if (found.metrics.size() > kMetricsPerMeasurementMax)
    found.metrics.resize(kMetricsPerMeasurementMax);
  report.metrics = std::move(found.metrics);
  return report;
}

// --- the channel

StatusOr<ChannelLine> ParseChannelLine(std::string_view text) {
  const Json object = ParseObject(Trim(text));
  const std::string shown = "\"" + ValidUtf8(text.substr(0, kHintBytesMax)) + "\"";
  if (!object.is_object()) return InvalidArgument(shown + " is not a JSON object");
  const auto type = object.find("type");
  if (type == object.end() || !type->is_string())
    return InvalidArgument(shown + " has no \"type\"");
  const auto& name = type->get_ref<const std::string&>();
  const auto word = [&](const char* key) -> std::string {
    const auto it = object.find(key);
    return it != object.end() && it->is_string() ? ValidUtf8(it->get_ref<const std::string&>())
                                                 : "";
  };
  if (name == "note") return ChannelLine{ChannelLine::Kind::kNote, {}, word("text")};
  if (name == "failed") return ChannelLine{ChannelLine::Kind::kFailed, {}, word("reason")};
  if (name != "report") {
    return InvalidArgument(shown + ": type is \"" + ValidUtf8(name.substr(0, 40)) +
                           "\"; report, note and failed are known");
  }
  ChannelLine line;
  line.report.from_channel = true;
  line.report.checkpoint = word("checkpoint");
  if (line.report.checkpoint.size() > kNameBytesMax) {
    return InvalidArgument("the name of a checkpoint has at most " + std::to_string(kNameBytesMax) +
                           " bytes");
  }
  if (const auto step = object.find("step"); step != object.end()) {
    const auto whole = step->is_number() ? WholeStep(step->get<double>()) : std::nullopt;
    if (!whole.has_value()) return InvalidArgument(shown + ": step is not a whole number from 0");
    line.report.step = *whole;
  }
  const auto metrics = object.find("metrics");
  if (metrics == object.end() || !metrics->is_object() || metrics->empty()) {
    return InvalidArgument(shown + ": a report needs \"metrics\": {\"loss\": 0.42}");
  }
  if (metrics->size() > kMetricsPerMeasurementMax) {
    return InvalidArgument("a report holds " + std::to_string(metrics->size()) +
                           " metrics; at most " + std::to_string(kMetricsPerMeasurementMax) +
                           " are allowed");
  }
  for (const auto& [key, value] : metrics->items()) {
    const auto number = JsonNumber(value);
    if (!number.has_value()) {
      return InvalidArgument(shown + ": metric " + ValidUtf8(key.substr(0, 60)) +
                             " is not a number");
    }
    if (key.empty() || key.size() > kNameBytesMax) {
      return InvalidArgument("the name of a metric has 1 to " + std::to_string(kNameBytesMax) +
                             " bytes");
    }
    line.report.metrics.push_back({ValidUtf8(key), *number});
  }
  return line;
}

std::string VerdictLine(int64_t step, bool stop, std::string_view reason) {
  std::string line = "{\"type\":\"verdict\",\"step\":" + std::to_string(step) + ",\"action\":\"" +
                     (stop ? "stop" : "continue") + "\",\"reason\":";
  AppendJsonString(reason, &line);
  return line + "}\n";
}

}  // namespace tunesmith::worker
