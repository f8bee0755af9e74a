#include "common/status.h"

#include <cerrno>
#include <cstring>
#include <system_error>

namespace tunesmith {

Status MakeStatus(StatusCode code, std::string_view message) {
  return Status(code, absl::string_view(message.data(), message.size()));
}

std::string Message(const Status& status) {
  return std::string(status.message().data(), status.message().size());
}

Status Annotate(const Status& status, std::string_view context) {
  if (status.ok()) return status;
  return MakeStatus(status.code(), std::string(context) + ": " + Message(status));
}

Status ErrnoStatus(int errno_value, std::string_view what) {
  StatusCode code = StatusCode::kInternal;
  switch (errno_value) {
    case ENOENT: code = StatusCode::kNotFound; break;
    case EEXIST: code = StatusCode::kAlreadyExists; break;
    case EACCES:
    case EPERM: code = StatusCode::kPermissionDenied; break;
    case ENOSPC:
    case EMFILE:
    case ENFILE:
    case ENOMEM: code = StatusCode::kResourceExhausted; break;
    default: break;
  }
  return MakeStatus(code, std::string(what) + ": " + std::generic_category().message(errno_value));
}

}  // namespace tunesmith
