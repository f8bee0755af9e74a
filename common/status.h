// Errors are values. Aliases of absl::Status with std::string in and out, so that no caller meets Debian's
// absl::string_view. Codes are gRPC's: INVALID_ARGUMENT = the caller must change the request, FAILED_PRECONDITION =
// not in this state, UNAVAILABLE = try again, ABORTED = try again higher up.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace tunesmith {

using absl::Status;
using absl::StatusCode;
using absl::StatusOr;

inline Status OkStatus() { return absl::OkStatus(); }
Status MakeStatus(StatusCode code, std::string_view message);
inline Status InvalidArgument(std::string_view m) { return MakeStatus(StatusCode::kInvalidArgument, m); }
inline Status NotFound(std::string_view m) { return MakeStatus(StatusCode::kNotFound, m); }
inline Status AlreadyExists(std::string_view m) { return MakeStatus(StatusCode::kAlreadyExists, m); }
inline Status FailedPrecondition(std::string_view m) { return MakeStatus(StatusCode::kFailedPrecondition, m); }
inline Status ResourceExhausted(std::string_view m) { return MakeStatus(StatusCode::kResourceExhausted, m); }
inline Status Unavailable(std::string_view m) { return MakeStatus(StatusCode::kUnavailable, m); }
inline Status Internal(std::string_view m) { return MakeStatus(StatusCode::kInternal, m); }
inline Status DataLoss(std::string_view m) { return MakeStatus(StatusCode::kDataLoss, m); }

// The message as a std::string.
std::string Message(const Status& status);
// The same code, "context: message".
Status Annotate(const Status& status, std::string_view context);
// An INTERNAL (or NOT_FOUND, RESOURCE_EXHAUSTED for ENOSPC, ...) status: "what: strerror(errno_value)".
Status ErrnoStatus(int errno_value, std::string_view what);

}  // namespace tunesmith

#define TS_RETURN_IF_ERROR(expression)              \
  do {                                              \
    ::tunesmith::Status ts_status_ = (expression);  \
    if (!ts_status_.ok()) return ts_status_;        \
  } while (false)

#define TS_CONCAT_INNER_(a, b) a##b
#define TS_CONCAT_(a, b) TS_CONCAT_INNER_(a, b)
#define TS_ASSIGN_OR_RETURN(lhs, expression) \
  TS_ASSIGN_OR_RETURN_(TS_CONCAT_(ts_statusor_, __LINE__), lhs, expression)
#define TS_ASSIGN_OR_RETURN_(tmp, lhs, expression) \
  auto tmp = (expression);                         \
  if (!tmp.ok()) return tmp.status();              \
  lhs = std::move(tmp).value()
