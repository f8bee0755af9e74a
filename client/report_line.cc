#include "client/report_line.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>
#include <variant>

#include <nlohmann/json.hpp>

#include "client/format.h"
#include "client/json_object.h"
#include "common/limits.h"
#include "common/text.h"

namespace tunesmith {
namespace {

using Json = nlohmann::json;

constexpr char kExample[] = R"(write one object a line: {"trial": "a", "step": 1, "loss": 0.5})";
constexpr size_t kNameColumns = 20;
constexpr size_t kStepColumns = 6;
constexpr size_t kActionColumns = 9;
constexpr double kWholeMax = 9007199254740992.0;  // 2^53: every whole number up to it is a double

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// --- NaN and the infinities, which JSON has no words for

bool IsWordByte(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.'; }

// Bytes of the bare word at the start of `rest` that Python's json writes for no finite number; 0 if none stands there.
size_t BareWordLength(std::string_view rest) {
  for (const std::string_view word : {"NaN", "Infinity", "-Infinity"}) {
    if (!rest.starts_with(word)) continue;
    if (rest.size() == word.size() || !IsWordByte(rest[word.size()])) return word.size();
  }
  return 0;
}

// The line with such words in quotes wherever a value is due, outside of strings.
std::string QuoteBareWords(std::string_view line) {
  std::string out;
  out.reserve(line.size() + 8);
  bool value_due = false;  // after ':', or ',' or '[' of a list
  for (size_t i = 0; i < line.size();) {
    const char c = line[i];
    if (c == '"') {
      size_t end = i + 1;
      while (end < line.size() && line[end] != '"') end += line[end] == '\\' ? 2 : 1;
      end = std::min(end + 1, line.size());
      out += line.substr(i, end - i);
      i = end;
      value_due = false;
      continue;
    }
    if (const size_t length = value_due ? BareWordLength(line.substr(i)) : 0; length > 0) {
      out += '"';
      out += line.substr(i, length);
      out += '"';
      i += length;
      value_due = false;
      continue;
    }
    if (!IsSpace(c)) value_due = c == ':' || c == ',' || c == '[';
    out += c;
    ++i;
  }
  return out;
}

std::optional<double> NumberFromWord(std::string_view text) {
  std::string word;
  for (const char c : text.substr(0, 16)) word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (word == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (word == "infinity" || word == "inf" || word == "+infinity" || word == "+inf") return kInfinity;
  if (word == "-infinity" || word == "-inf") return -kInfinity;
  return std::nullopt;
}

// --- reading

struct Structure {};  // an object or list
// nullptr: JSON's null.
using Scalar = std::variant<std::monostate, std::nullptr_t, bool, int64_t, uint64_t, double, std::string, Structure>;

// Keeps the few values of a line that count, and builds no tree of the rest. Where a key stands twice the last one
// counts, as in Python.
class LineReader final : public nlohmann::json_sax<Json> {
 public:
  explicit LineReader(const std::string& metric) : metric_(metric) {}

  bool null() override { return Put(nullptr); }
  bool boolean(bool flag) override { return Put(flag); }
  bool number_integer(number_integer_t number) override { return Put(number); }
  bool number_unsigned(number_unsigned_t number) override { return Put(number); }
  bool number_float(number_float_t number, const string_t&) override { return Put(number); }
  bool string(string_t& text) override { return Put(text); }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return Open(true); }
  bool start_array(std::size_t) override { return Open(false); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }
  bool key(string_t& name) override {
    if (depth_ <= 2) key_ = std::move(name);
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const Json::exception& error) override {
    constexpr int kNumberOverflow = 406;
    overflow_ = error.id == kNumberOverflow;
    return false;
  }

  bool is_object() const { return is_object_; }
  bool overflow() const { return overflow_; }

  Scalar trial, step, event, value, nested_value;

 private:
  template <typename T>
  bool Put(const T& found) {
    if (depth_ == 1) {
      if (key_ == metric_) value = found;
      if (key_ == "trial") trial = found;
      if (key_ == "step") step = found;
      if (key_ == "event") event = found;
    } else if (depth_ == 2 && in_metrics_ && key_ == metric_) {
      nested_value = found;
    }
    return true;
  }
  bool Open(bool object) {
    if (depth_ == 0) is_object_ = object;
    if (is_object_) Put(Structure{});
    if (depth_ == 1) in_metrics_ = object && is_object_ && key_ == "metrics";
    ++depth_;
    return true;
  }
  bool Close() {
    --depth_;
    return true;
  }

  const std::string metric_;
  std::string key_;
  size_t depth_ = 0;
  bool is_object_ = false;
  bool in_metrics_ = false;
  bool overflow_ = false;
};

// "the text \"abc\"", for messages.
std::string Told(const Scalar& scalar) {
  std::string text;
  if (const auto* words = std::get_if<std::string>(&scalar)) {
    AppendJsonString(ValidUtf8(words->substr(0, 60)), &text);
    return "the text " + text;
  }
  if (const auto* flag = std::get_if<bool>(&scalar)) return *flag ? "true" : "false";
  if (const auto* number = std::get_if<int64_t>(&scalar)) return std::to_string(*number);
  if (const auto* number = std::get_if<uint64_t>(&scalar)) return std::to_string(*number);
  if (const auto* number = std::get_if<double>(&scalar)) return DoubleText(*number);
  if (std::holds_alternative<Structure>(scalar)) return "an object or list";
  return "null";
}

bool IsAbsent(const Scalar& scalar) {
  return std::holds_alternative<std::monostate>(scalar) || std::holds_alternative<std::nullptr_t>(scalar);
}

// A whole number, also where it is written 3.0, as tables with holes make of it.
std::optional<std::string> WholeText(const Scalar& scalar) {
  if (const auto* number = std::get_if<int64_t>(&scalar)) return std::to_string(*number);
  if (const auto* number = std::get_if<uint64_t>(&scalar)) return std::to_string(*number);
  const auto* number = std::get_if<double>(&scalar);
  if (number == nullptr || !(std::fabs(*number) <= kWholeMax) || *number != std::floor(*number)) return std::nullopt;
  return std::to_string(static_cast<int64_t>(*number));
}

std::optional<TrialName> ReadTrial(const Scalar& trial, Problem* problem) {
  if (const auto* text = std::get_if<std::string>(&trial)) return TrialName{*text, false};
  if (auto number = WholeText(trial)) return TrialName{std::move(*number), true};
  *problem = {"trial", IsAbsent(trial) ? "no trial is named" : Told(trial) + " is neither text nor a whole number",
              R"(add "trial": "a", or its number)"};
  return std::nullopt;
}

bool ReadStep(const Scalar& step, std::optional<int64_t>* out, Problem* problem) {
  if (IsAbsent(step)) return true;
  const auto text = WholeText(step);
  int64_t number = 0;  // also where the text is beyond 64 bits
  if (text) std::from_chars(text->data(), text->data() + text->size(), number);
  if (number >= 1 && number <= kReportStepMax) {
    *out = number;
    return true;
  }
  *problem = {"step", Told(step) + " is not a whole number from 1 to 2^53", "count steps from 1, or leave step out"};
  return false;
}

bool ReadEvent(const Scalar& event, ReportLine::Event* out, Problem* problem) {
  if (IsAbsent(event)) return true;
  const auto* text = std::get_if<std::string>(&event);
  if (text != nullptr && *text == "complete") {
    *out = ReportLine::Event::kComplete;
  } else if (text != nullptr && *text == "error") {
    *out = ReportLine::Event::kError;
  } else {
    *problem = {"event", Told(event) + " is no event", "use complete or error, or leave it out of a report"};
    return false;
  }
  return true;
}

bool ReadMetric(const Scalar& value, const std::string& metric, std::optional<double>* out, Problem* problem) {
  if (std::holds_alternative<std::monostate>(value)) return true;
  if (const auto* number = std::get_if<int64_t>(&value)) *out = static_cast<double>(*number);
  if (const auto* number = std::get_if<uint64_t>(&value)) *out = static_cast<double>(*number);
  if (const auto* number = std::get_if<double>(&value)) *out = *number;
  if (const auto* text = std::get_if<std::string>(&value)) *out = NumberFromWord(*text);
  if (out->has_value()) return true;
  *problem = {metric, Told(value) + " is not a number", "give a number, NaN or Infinity, or leave the metric out"};
  return false;
}

}  // namespace

bool IsBlankLine(std::string_view line) {
  for (const char c : line) {
    if (!IsSpace(c)) return false;
  }
  return true;
}

std::optional<ReportLine> ParseReportLine(std::string_view line, const std::string& metric, Problem* problem) {
  LineReader reader(metric);
  // The library takes a NUL for the end.
  const bool whole = line.find('\0') == std::string_view::npos && Json::sax_parse(QuoteBareWords(line), &reader);
  if (reader.overflow()) {
    *problem = {"", "a number is beyond what a double holds", "write Infinity or -Infinity"};
    return std::nullopt;
  }
  if (!whole || !reader.is_object()) {
    *problem = {"", whole ? "the line is not a JSON object" : "the line is not JSON", kExample};
    return std::nullopt;
  }
  ReportLine report;
  std::optional<TrialName> trial = ReadTrial(reader.trial, problem);
  if (!trial || !ReadEvent(reader.event, &report.event, problem) || !ReadStep(reader.step, &report.step, problem))
    return std::nullopt;
  report.trial = std::move(*trial);
  if (metric.empty()) return report;
  const bool on_top = !std::holds_alternative<std::monostate>(reader.value);
  if (!ReadMetric(on_top ? reader.value : reader.nested_value, metric, &report.value, problem)) return std::nullopt;
  return report;
}

namespace {

const char* ActionWord(Action action) {
  switch (action) {
    case Action::kContinue:
      return "continue";
    case Action::kStop:
      return "stop";
    case Action::kPause:
      return "pause";
  }
  return "";
}

void AddVerdict(const SimulatedAnswer& answer, JsonObject* object) {
  const Verdict& verdict = answer.verdict;
  object->Text("reason", ReasonName(verdict.reason));
  if (answer.value) object->Number("value", *answer.value);
  if (answer.has_bracket) object->Integer("bracket", verdict.bracket);
  if (!verdict.recorded) return;
  if (verdict.rank == 0) {  // not at a rung
    if (verdict.has_cutoff) object->Number("cutoff", verdict.cutoff);
    if (verdict.peers > 0) object->Integer("peers", verdict.peers);
    return;
  }
  if (verdict.milestone == std::floor(verdict.milestone)) {
    object->Integer("rung", static_cast<int64_t>(verdict.milestone));
  } else {
    object->Number("rung", verdict.milestone);  // of a fractional grace period
  }
  if (verdict.has_cutoff) object->Number("cutoff", verdict.cutoff);
  object->Integer("rank", verdict.rank).Integer("peers", verdict.peers);
}

void AddNames(const char* key, const std::vector<TrialName>& trials, JsonObject* object) {
  if (trials.empty()) return;
  JsonList names;
  for (const TrialName& name : trials) {
    if (name.is_number) {
      names.Raw(name.text);
    } else {
      names.Text(name.text);
    }
  }
  object->Raw(key, names.Finish());
}

}  // namespace

std::string AnswerJson(const SimulatedAnswer& answer) {
  JsonObject object;
  if (answer.trial.is_number) {
    object.Raw("trial", answer.trial.text);
  } else {
    object.Text("trial", answer.trial.text);
  }
  if (answer.step > 0) object.Integer("step", answer.step);
  switch (answer.kind) {
    case SimulatedAnswer::Kind::kVerdict:
      object.Text("action", ActionWord(answer.verdict.action));
      AddVerdict(answer, &object);
      break;
    case SimulatedAnswer::Kind::kCompleted:
      object.Text("event", "complete");
      AddVerdict(answer, &object);
      break;
    case SimulatedAnswer::Kind::kFailed:
      object.Text("event", "error");
      break;
    case SimulatedAnswer::Kind::kEnded:
      object.Bool("ended", true);
      break;
  }
  AddNames("resumed", answer.resumed, &object);
  AddNames("stopped", answer.stopped, &object);
  return object.Text("text", answer.text).Finish();
}

std::string AnswerText(const SimulatedAnswer& answer, bool unicode) {
  const char* word = answer.kind == SimulatedAnswer::Kind::kVerdict     ? ActionWord(answer.verdict.action)
                     : answer.kind == SimulatedAnswer::Kind::kCompleted ? "complete"
                     : answer.kind == SimulatedAnswer::Kind::kFailed    ? "error"
                                                                        : "ended";
  const std::string step = answer.step > 0 ? std::to_string(answer.step) : "";
  // A name may be very long; what is cut is not looked at.
  const std::string name = CleanText(answer.trial.text.substr(0, 200), unicode);
  return PadRight(name, kNameColumns, unicode) + " " + PadLeft(step, kStepColumns, unicode) + "  " +
         PadRight(word, kActionColumns, unicode) + CleanText(answer.text, unicode);
}

}  // namespace tunesmith
