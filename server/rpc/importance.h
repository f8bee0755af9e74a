// What GetImportance looks at, and what it answers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/status.h"
#include "search/insight/importance.h"
#include "server/core/state.h"
#include "tunesmith/v1/tuning_service.pb.h"

namespace tunesmith::rpc {

// Taken on the loop thread, used elsewhere.
struct ImportanceTrials {
  std::string sweep;
  std::shared_ptr<const Space> space;
  insight::Question question;
  std::vector<insight::FinishedTrial> trials;
  int64_t with_value = 0;
  int64_t left_out = 0;
};

// Which objective `metric` names: 0 for the first, which "" means too. INVALID_ARGUMENT names those that there are.
StatusOr<size_t> ObjectiveNamed(const Sweep& sweep, const std::string& metric);

// Looks at no more than kTrialsScannedMax ended trials, evenly spread over all, and copies those that a model can be
// fitted to in a second.
ImportanceTrials TrialsForImportance(const Sweep& sweep, size_t objective);

// Fits the model, which may take a second. FAILED_PRECONDITION (with `reason`) says what is missing.
Status FillImportance(const ImportanceTrials& trials, std::string* reason, v1::GetImportanceResponse* out);

}  // namespace tunesmith::rpc
