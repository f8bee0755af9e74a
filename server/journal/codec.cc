#include "server/journal/codec.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "common/json_text.h"

namespace tunesmith {

namespace {

using Json = nlohmann::json;

Json Parse(std::string_view text) { return Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false); }

// The value as it was: the parameter's own list settles what plain JSON leaves open (infinities are words there).
Value ValueFromJson(const Json& json, const Parameter& parameter) {
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_number_integer()) return json.get<int64_t>();
  if (json.is_number_float()) return json.get<double>();
  if (!json.is_string()) return JsonValue{json.dump()};
  auto text = json.get<std::string>();
  for (const Value& option : parameter.options) {
    const double* number = std::get_if<double>(&option);
    if (number != nullptr && !std::isfinite(*number) && ValueJson(option) == json.dump()) return option;
  }
  return text;
}

template <typename Enum>
std::optional<Enum> FromName(std::string_view name, Enum last, const char* (*to_name)(Enum)) {
  for (int i = 0; i <= static_cast<int>(last); ++i) {
    if (name == to_name(static_cast<Enum>(i))) return static_cast<Enum>(i);
  }
  return std::nullopt;
}

}  // namespace

std::string PointToJson(const Space& space, const Point& point) {
  std::string out = "{";
  for (size_t i = 0; i < point.size(); ++i) {
    if (!IsActive(point[i])) continue;
    if (out.size() > 1) out += ',';
    AppendJsonString(space.parameters()[i].name, &out);
    out += ':';
    AppendValueJson(point[i], &out);
  }
  out += '}';
  return out;
}

std::optional<Point> PointFromJson(const Space& space, std::string_view text) {
  const Json json = Parse(text);
  if (!json.is_object()) return std::nullopt;
  Point point(space.size());
  for (const auto& [name, value] : json.items()) {
    const auto index = space.Find(name);
    if (!index) return std::nullopt;
    const Parameter& parameter = space.parameters()[*index];
    if (value.is_object() || value.is_array() || value.is_null()) {
      // Keep the declared text of a list or object: key order and spacing are the user's.
      for (const Value& option : parameter.options) {
        const auto* json_value = std::get_if<JsonValue>(&option);
        if (json_value != nullptr && Parse(json_value->text) == value) point[*index] = option;
      }
      if (IsActive(point[*index])) continue;
    }
    point[*index] = ValueFromJson(value, parameter);
  }
  return point;
}

std::string StringsToJson(const std::vector<std::string>& strings) {
  std::string out = "[";
  for (const std::string& text : strings) {
    if (out.size() > 1) out += ',';
    AppendJsonString(text, &out);
  }
  return out + ']';
}

std::optional<std::vector<std::string>> StringsFromJson(std::string_view text) {
  std::vector<std::string> strings;
  if (text.empty() || text == "[]") return strings;
  const Json json = Parse(text);
  if (!json.is_array()) return std::nullopt;
  for (const Json& item : json) {
    if (!item.is_string()) return std::nullopt;
    strings.push_back(item.get<std::string>());
  }
  return strings;
}

std::string SlotsToJson(const SlotValue* begin, const SlotValue* end) {
  std::string out = "[";
  for (const SlotValue* metric = begin; metric != end; ++metric) {
    if (out.size() > 1) out += ',';
    out += '[' + std::to_string(metric->slot) + ',';
    AppendJsonDouble(metric->value, &out);
    out += ']';
  }
  return out + ']';
}

bool SlotsFromJson(std::string_view text, std::vector<SlotValue>* metrics) {
  const Json json = Parse(text);
  if (!json.is_array()) return false;
  for (const Json& item : json) {
    if (!item.is_array() || item.size() != 2 || !item[0].is_number_unsigned()) return false;
    SlotValue metric{item[0].get<uint32_t>(), std::numeric_limits<double>::quiet_NaN()};
    if (item[1].is_number()) metric.value = item[1].get<double>();
    if (item[1] == "inf") metric.value = std::numeric_limits<double>::infinity();
    if (item[1] == "-inf") metric.value = -std::numeric_limits<double>::infinity();
    metrics->push_back(metric);
  }
  return true;
}

std::optional<SweepState> SweepStateFromName(std::string_view name) {
  return FromName<SweepState>(name, SweepState::kCancelled, Name);
}
std::optional<TrialState> TrialStateFromName(std::string_view name) {
  return FromName<TrialState>(name, TrialState::kCancelled, Name);
}
std::optional<AttemptState> AttemptStateFromName(std::string_view name) {
  return FromName<AttemptState>(name, AttemptState::kPreempted, Name);
}

const char* ActionName(Action action) {
  switch (action) {
    case Action::kContinue: return "continue";
    case Action::kStop: return "stop";
    case Action::kPause: return "pause";
  }
  return "?";
}
std::optional<Action> ActionFromName(std::string_view name) {
  return FromName<Action>(name, Action::kPause, ActionName);
}
std::optional<Reason> ReasonFromName(std::string_view name) {
  return FromName<Reason>(name, Reason::kTarget, ReasonName);
}
std::optional<Origin::Kind> OriginKindFromName(std::string_view name) {
  return FromName<Origin::Kind>(name, Origin::Kind::kRepeat, Name);
}
std::optional<Origin::Judge> OriginJudgeFromName(std::string_view name) {
  return FromName<Origin::Judge>(name, Origin::Judge::kCmaes, Name);
}

}  // namespace tunesmith
