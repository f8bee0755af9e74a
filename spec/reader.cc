#include "spec/reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "common/limits.h"
#include "common/text.h"

namespace tunesmith {
namespace {

bool IsWithin(std::string_view inner, std::string_view outer) {
  return !outer.empty() && inner.starts_with(outer) &&
         (inner.size() == outer.size() || inner[outer.size()] == '.' || inner[outer.size()] == '[');
}

// What other tuners call it.
std::string ForeignKey(std::string_view key) {
  static constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"program", "command"},
      {"script", "command"},
      {"entrypoint", "command"},
      {"config", "parameters"},
      {"space", "parameters"},
      {"search_space", "parameters"},
      {"param_space", "parameters"},
      {"hyperparameters", "parameters"},
      {"method", "search"},
      {"sampler", "search"},
      {"search_alg", "search"},
      {"algorithm", "type"},
      {"searcher", "search"},
      {"pruner", "scheduler"},
      {"early_terminate", "scheduler"},
      {"num_samples", "trials"},
      {"max_trials", "trials"},
      {"num_trials", "trials"},
      {"n_trials", "trials"},
      {"run_cap", "trials"},
      {"samples", "trials"},
      {"max_concurrent", "max_parallel"},
      {"parallel", "max_parallel"},
      {"concurrency", "max_parallel"},
      {"resources_per_trial", "resources"},
      {"gpu", "gpus"},
      {"cpu", "cpus"},
      {"objective", "metric"},
      {"eta", "reduction_factor"},
      {"min_t", "grace_period"},
      {"min_iter", "grace_period"},
      {"n_min_trials", "min_samples_required"},
      {"max_iter", "max_t"},
      {"max_epochs", "max_t"},
      {"direction", "mode"},
      {"seed_trials", "points"},
      {"points_to_evaluate", "points"},
      {"environment", "env"},
      {"timeout", "wall"},
      {"max_failures", "failed"},
      {"parameter_columns", "parameters"},
      {"metric_columns", "metrics"},
  };
  for (const auto& [foreign, ours] : kNames) {
    if (foreign == key) return std::string(ours);
  }
  return "";
}

void LogKind(const Node& node, const std::string& field, const std::string& wanted, FieldLog* log) {
  std::string hint = "write " + wanted;
  if (node.kind == Node::Kind::kText && PlainScalarKind(node.text) != Node::Kind::kText)
    hint = "remove the quotes";
  log->Add(field, "here stands " + Describe(node) + ", not " + wanted, hint);
}

}  // namespace

Position FieldLog::At(std::string field) const {
  while (!field.empty()) {
    const auto found = positions_.find(field);
    if (found != positions_.end()) return found->second;
    const size_t cut = field.find_last_of(".[");
    if (cut == std::string::npos) break;
    field.resize(cut);
  }
  return {};
}

void FieldLog::Add(const std::string& field, std::string message, std::string hint) {
  if (full()) return;
  blamed_.push_back(field);
  problems_.push_back({At(field), {field, std::move(message), std::move(hint)}});
}

void FieldLog::AddLate(const Problem& problem) {
  Problem renamed = problem;
  for (const auto& [field, written] : written_) {
    if (IsWithin(problem.field, field))
      renamed.field = written + problem.field.substr(field.size());
  }
  for (const std::string& blamed : blamed_) {
    if (IsWithin(renamed.field, blamed) || IsWithin(blamed, renamed.field)) return;
  }
  problems_.push_back({At(renamed.field), std::move(renamed)});
}

std::vector<FileProblem> FieldLog::Take() {
  std::stable_sort(problems_.begin(), problems_.end(),
                   [](const FileProblem& a, const FileProblem& b) {
                     // What has no place (something is missing) comes last.
                     if ((a.at.line == 0) != (b.at.line == 0)) return b.at.line == 0;
                     return std::pair(a.at.line, a.at.column) < std::pair(b.at.line, b.at.column);
                   });
  if (full()) {
    problems_.resize(kProblemsMax);
    problems_.push_back(
        {{}, {"", "there are more mistakes than these " + std::to_string(kProblemsMax), ""}});
  }
  return std::move(problems_);
}

bool ReadObject(
    const Node& node, const std::string& field, const std::vector<KeyReader>& keys, FieldLog* log,
    const std::function<void(const std::string&, const Node&, const std::string&)>& other) {
  if (node.kind != Node::Kind::kMap) {
    std::vector<std::string> names;
    for (const KeyReader& reader : keys) names.emplace_back(reader.key);
    log->Add(field, "here stands " + Describe(node) + ", not an object",
             names.empty() ? "write \"name: value\" lines"
                           : "write \"key: value\" lines; the keys are " + Join(names, ", "));
    return false;
  }
  const std::string prefix = field.empty() ? "" : field + ".";
  for (size_t i = 0; i < node.keys.size() && !log->full(); ++i) {
    const std::string& key = node.keys[i];
    const std::string path = prefix + key.substr(0, kNameBytesMax);
    log->Note(path, node.key_positions[i]);
    const auto reader = std::find_if(
        keys.begin(), keys.end(), [&](const KeyReader& candidate) { return key == candidate.key; });
    if (reader != keys.end()) {
      reader->read(node.items[i], path);
      continue;
    }
    if (other) {
      other(key, node.items[i], path);
      continue;
    }
    std::vector<std::string> names;
    for (const KeyReader& candidate : keys) names.emplace_back(candidate.key);
    std::string closest = ForeignKey(key);
    if (std::find(names.begin(), names.end(), closest) == names.end())
      closest = ClosestWord(key, names);
    log->Add(path, "unknown key \"" + key.substr(0, 60) + "\"",
             closest.empty() ? "the keys here are " + Join(names, ", ")
                             : "did you mean \"" + closest + "\"?");
    if (!closest.empty()) log->Excuse(prefix + closest);
  }
  return true;
}

void ReadText(const Node& node, const std::string& field, std::string* out, FieldLog* log) {
  if (!node.IsScalar() || node.kind == Node::Kind::kNull) return LogKind(node, field, "text", log);
  *out = node.text;
}

void ReadBool(const Node& node, const std::string& field, bool* out, FieldLog* log) {
  if (node.kind != Node::Kind::kBool) {
    std::string hint = "write true or false";
    if (node.text == "yes" || node.text == "on") hint = "write true";
    if (node.text == "no" || node.text == "off") hint = "write false";
    log->Add(field, "here stands " + Describe(node) + ", not true or false", hint);
    return;
  }
  *out = node.text.front() == 't' || node.text.front() == 'T';
}

void ReadNumber(const Node& node, const std::string& field, double* out, FieldLog* log) {
  const auto number = NodeNumber(node);
  if (!number) return LogKind(node, field, "a number", log);
  *out = *number;
}

void ReadInteger(const Node& node, const std::string& field, int64_t lo, int64_t hi, int64_t* out,
                 FieldLog* log) {
  const auto number = NodeNumber(node);
  if (!number || *number != std::floor(*number)) return LogKind(node, field, "an integer", log);
  std::string why;
  const auto value = NodeValue(node, &why);
  const auto* exact = value ? std::get_if<int64_t>(&*value) : nullptr;
  const bool in_range = exact != nullptr
                            ? *exact >= lo && *exact <= hi
                            : std::fabs(*number) < 0x1p53 && *number >= static_cast<double>(lo) &&
                                  *number <= static_cast<double>(hi);
  if (!in_range) {
    log->Add(field, node.text.substr(0, 60) + " is out of range",
             "use an integer from " + std::to_string(lo) + " to " + std::to_string(hi));
    return;
  }
  *out = exact != nullptr ? *exact : static_cast<int64_t>(*number);
}

void ReadInteger32(const Node& node, const std::string& field, int32_t* out, FieldLog* log) {
  int64_t wide = *out;
  ReadInteger(node, field, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max(),
              &wide, log);
  *out = static_cast<int32_t>(wide);
}

void ReadDuration(const Node& node, const std::string& field, int64_t* out_ms, FieldLog* log) {
  const auto ms = node.IsScalar() ? DurationFromText(node.text) : std::nullopt;
  if (!ms) {
    log->Add(field, "here stands " + Describe(node) + ", not a time span",
             "write 60s, 30m, 8h or 1h30m");
    return;
  }
  *out_ms = *ms;
}

void ReadSize(const Node& node, const std::string& field, int64_t* out_bytes, FieldLog* log) {
  const auto bytes = node.IsScalar() ? SizeFromText(node.text) : std::nullopt;
  if (!bytes) {
    log->Add(field, "here stands " + Describe(node) + ", not an amount of memory", "write 16GiB, 16GB or 512MiB");
    return;
  }
  *out_bytes = *bytes;
}

bool ReadGoal(const Node& node, const std::string& field, Goal* out, FieldLog* log) {
  const auto goal = node.IsScalar() ? GoalFromText(node.text) : std::nullopt;
  if (!goal) {
    log->Add(field, "here stands " + Describe(node) + ", not a goal", "write min or max");
    return false;
  }
  *out = *goal;
  return true;
}

void ReadTextList(const Node& node, const std::string& field, std::vector<std::string>* out,
                  FieldLog* log) {
  if (node.kind != Node::Kind::kList) return LogKind(node, field, "a list", log);
  out->clear();
  for (size_t i = 0; i < node.items.size(); ++i) {
    const std::string element = field + "[" + std::to_string(i) + "]";
    log->Note(element, node.items[i].at);
    ReadText(node.items[i], element, &out->emplace_back(), log);
  }
}

bool ReadValue(const Node& node, const std::string& field, Value* out, FieldLog* log) {
  std::string why;
  auto value = NodeValue(node, &why);
  if (!value) {
    log->Add(field, why, "quote it to pass it as text");
    return false;
  }
  *out = std::move(*value);
  return true;
}

std::optional<Goal> GoalFromText(std::string_view text) {
  for (const char* word : {"min", "minimize", "minimise"}) {
    if (text == word) return Goal::kMin;
  }
  for (const char* word : {"max", "maximize", "maximise"}) {
    if (text == word) return Goal::kMax;
  }
  return std::nullopt;
}

namespace {

struct Unit {
  std::string_view name;
  int64_t ms;
};
constexpr Unit kUnits[] = {
    {"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1000}, {"ms", 1}};
constexpr double kDurationMsMax = 1e15;  // thirty thousand years; exact in a double

}  // namespace

std::optional<int64_t> DurationFromText(std::string_view text) {
  double total = 0;
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    double amount = 0;
    const auto result =
        std::from_chars(text.data(), text.data() + text.size(), amount, std::chars_format::fixed);
    if (result.ec != std::errc{} || amount < 0) return std::nullopt;
    text.remove_prefix(static_cast<size_t>(result.ptr - text.data()));
    const std::string_view name =
        text.substr(0, std::min(text.size(), text.find_first_of("0123456789.")));
    if (name.empty()) {
      if (total > 0) return std::nullopt;
      total = amount * 1000;
      break;
    }
    const auto unit = std::find_if(std::begin(kUnits), std::end(kUnits),
                                   [&](const Unit& u) { return u.name == name; });
    if (unit == std::end(kUnits)) return std::nullopt;
    total += amount * static_cast<double>(unit->ms);
    text.remove_prefix(name.size());
  }
  if (!(total <= kDurationMsMax)) return std::nullopt;
  return static_cast<int64_t>(std::llround(total));
}

namespace {

struct SizeUnit {
  std::string_view name;
  int64_t bytes;
};
// The larger of two that fit is written.
constexpr SizeUnit kSizeUnits[] = {{"TiB", int64_t{1} << 40}, {"TB", 1'000'000'000'000}, {"GiB", 1 << 30},
                                   {"GB", 1'000'000'000},     {"MiB", 1 << 20},          {"MB", 1'000'000},
                                   {"KiB", 1 << 10},          {"kB", 1'000},             {"B", 1}};
constexpr double kSizeBytesMax = 9007199254740992.0;  // 2^53: counted exactly

}  // namespace

std::optional<int64_t> SizeFromText(std::string_view text) {
  double amount = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), amount, std::chars_format::fixed);
  if (result.ec != std::errc{} || !(amount >= 0)) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(result.ptr - text.data()));
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  const auto unit = std::find_if(std::begin(kSizeUnits), std::end(kSizeUnits),
                                 [&](const SizeUnit& u) { return u.name == (text.empty() ? "B" : text); });
  if (unit == std::end(kSizeUnits)) return std::nullopt;
  const double bytes = amount * static_cast<double>(unit->bytes);
  if (!(bytes <= kSizeBytesMax)) return std::nullopt;
  return static_cast<int64_t>(std::llround(bytes));
}

std::string SizeText(int64_t bytes) {
  for (const SizeUnit& unit : kSizeUnits) {
    if (bytes != 0 && bytes % unit.bytes == 0) return std::to_string(bytes / unit.bytes) + std::string(unit.name);
  }
  return "0B";
}

std::string DurationText(int64_t ms) {
  for (const Unit& unit : kUnits) {
    if (ms != 0 && ms % unit.ms == 0) return std::to_string(ms / unit.ms) + std::string(unit.name);
  }
  return "0s";
}

}  // namespace tunesmith
