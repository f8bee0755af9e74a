// Our errors as gRPC statuses with a serialised ErrorDetail.
#pragma once

#include <grpcpp/support/status.h>

#include <string>

#include "common/problem.h"
#include "common/status.h"

namespace tunesmith::rpc {

// The same code and message (cut to kErrorDetailBytesMax); the details hold tunesmith.v1.ErrorDetail of at most
// kErrorDetailBytesMax bytes with `reason` (the code's name if empty) and as many problems as fit, the rest counted.
grpc::Status ToGrpc(const Status& status, const std::string& reason = "", const Problems& problems = {});

}  // namespace tunesmith::rpc
