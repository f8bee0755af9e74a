#include "server/rpc/status_map.h"

#include "common/limits.h"
#include "common/text.h"
#include "tunesmith/v1/error.pb.h"

namespace tunesmith::rpc {
namespace {

// At most `limit` bytes, cut between characters.
std::string Cut(const std::string& text, size_t limit) {
  std::string valid = ValidUtf8(text);
  if (valid.size() <= limit) return valid;
  static constexpr char kEllipsis[] = "...";
  size_t end = limit - (sizeof(kEllipsis) - 1);
  while (end > 0 && (static_cast<unsigned char>(valid[end]) & 0xC0U) == 0x80U) --end;
  valid.resize(end);
  return valid + kEllipsis;
}

}  // namespace

grpc::Status ToGrpc(const Status& status, const std::string& reason, const Problems& problems) {
  if (status.ok()) return grpc::Status::OK;
  // One long text must not push out all the others.
  constexpr size_t kTextBytesMax = kErrorDetailBytesMax / 4;
  v1::ErrorDetail detail;
  detail.set_reason(reason.empty() ? std::string(absl::StatusCodeToString(status.code())) : reason);
  size_t used = 0;
  for (const Problem& problem : problems) {
    v1::FieldProblem one;
    one.set_field(Cut(problem.field, kTextBytesMax));
    one.set_message(Cut(problem.message, kTextBytesMax));
    one.set_hint(Cut(problem.hint, kTextBytesMax));
    constexpr size_t kFraming = 4;    // tag and length of the element
    constexpr size_t kReserved = 128; // reason and count
    const size_t size = one.ByteSizeLong() + kFraming;
    if (used + size + kReserved > kErrorDetailBytesMax) break;
    used += size;
    *detail.add_problems() = std::move(one);
  }
  detail.set_more(static_cast<int32_t>(problems.size()) - detail.problems_size());
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      Cut(Message(status), kErrorDetailBytesMax), detail.SerializeAsString());
}

}  // namespace tunesmith::rpc
