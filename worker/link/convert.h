// Between the daemon's words and the contract's messages.
#pragma once

#include <memory>

#include "common/status.h"
#include "tunesmith/v1/worker_service.pb.h"
#include "worker/agent/agent.h"
#include "worker/agent/types.h"

namespace tunesmith::worker {

AttemptKey FromProto(const v1::AttemptRef& ref);
v1::AttemptRef ToProto(const AttemptKey& key);
std::shared_ptr<const Assignment> FromProto(const v1::Assign& assign, const std::string& controller_id);
std::vector<AttemptAnswer> FromProto(const v1::Welcome& welcome);
v1::Record ToProto(const Record& record);
// INVALID_ARGUMENT for a record of no known kind.
StatusOr<RecordPtr> FromProto(const v1::Record& record);

}  // namespace tunesmith::worker
