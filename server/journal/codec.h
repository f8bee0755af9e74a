// Parts of events as text that SQL can look into, and back.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "search/space/space.h"
#include "server/core/event.h"

namespace tunesmith {

// {"lr":0.01,"optimizer/momentum":0.9}: the active parameters by name.
std::string PointToJson(const Space& space, const Point& point);
std::optional<Point> PointFromJson(const Space& space, std::string_view text);

// ["GPU-1","GPU-2"]
std::string StringsToJson(const std::vector<std::string>& strings);
std::optional<std::vector<std::string>> StringsFromJson(std::string_view text);

// [[8,0.5],[9,"nan"]]
std::string SlotsToJson(const SlotValue* begin, const SlotValue* end);
bool SlotsFromJson(std::string_view text, std::vector<SlotValue>* metrics);

std::optional<SweepState> SweepStateFromName(std::string_view name);
std::optional<TrialState> TrialStateFromName(std::string_view name);
std::optional<AttemptState> AttemptStateFromName(std::string_view name);
const char* ActionName(Action action);
std::optional<Action> ActionFromName(std::string_view name);
std::optional<Reason> ReasonFromName(std::string_view name);
std::optional<Origin::Kind> OriginKindFromName(std::string_view name);
std::optional<Origin::Judge> OriginJudgeFromName(std::string_view name);

}  // namespace tunesmith
