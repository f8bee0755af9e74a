// What the controller knows of the importance of parameters, for the screen, as JSON and as CSV. Pure.
#pragma once

#include <string>
#include <vector>

#include "client/importance_table.h"
#include "tunesmith/v1/tuning_service.pb.h"

namespace tunesmith {

ImportanceView ImportanceViewOf(const std::string& sweep, const v1::GetImportanceResponse& response);
// One object with everything.
std::string ImportanceJson(const std::string& sweep, const v1::GetImportanceResponse& response);
// A parameter on its own, with its effect.
std::string ParameterImportanceJson(const v1::GetImportanceResponse::Parameter& parameter);
// One row per parameter: name, share, spread, active, effect in words.
std::vector<std::vector<std::string>> ImportanceCells(const v1::GetImportanceResponse& response);

}  // namespace tunesmith
