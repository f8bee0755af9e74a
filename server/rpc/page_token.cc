#include "server/rpc/page_token.h"

#include <algorithm>

#include "common/limits.h"
#include "common/rng.h"

namespace tunesmith::rpc {
namespace {

constexpr size_t kHexDigits = 16;

void AppendHex(uint64_t value, std::string* out) {
  for (int shift = 60; shift >= 0; shift -= 4) out->push_back("0123456789abcdef"[(value >> shift) & 15U]);
}

bool ParseHex(const char* text, uint64_t* value) {
  *value = 0;
  for (size_t i = 0; i < kHexDigits; ++i) {
    const char c = text[i];
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return false;
    *value = *value << 4U | static_cast<uint64_t>(digit);
  }
  return true;
}

// Ties the position to the list, so that a token of another list, or a made-up one, is seen.
uint64_t Seal(uint64_t list_key, const PagePosition& position) {
  return Mix64(list_key ^ Mix64(position.major ^ Mix64(position.minor)));
}

}  // namespace

uint64_t ListKey(std::initializer_list<uint64_t> parts) {
  uint64_t key = 0;
  for (const uint64_t part : parts) key = Mix64(key ^ Mix64(part));
  return key;
}

std::string EncodePageToken(uint64_t list_key, const PagePosition& position) {
  std::string token;
  AppendHex(position.major, &token);
  AppendHex(position.minor, &token);
  AppendHex(Seal(list_key, position), &token);
  return token;
}

StatusOr<PagePosition> DecodePageToken(const std::string& token, uint64_t list_key, bool* present) {
  *present = !token.empty();
  PagePosition position;
  if (token.empty()) return position;
  uint64_t seal = 0;
  if (token.size() != 3 * kHexDigits || !ParseHex(token.data(), &position.major) ||
      !ParseHex(token.data() + kHexDigits, &position.minor) || !ParseHex(token.data() + 2 * kHexDigits, &seal) ||
      seal != Seal(list_key, position)) {
    return InvalidArgument(
        "page_token: it was not given for this list; repeat the other fields of the request unchanged, or start again "
        "without a token");
  }
  return position;
}

StatusOr<size_t> PageSize(int32_t asked) {
  if (asked < 0) return InvalidArgument("page_size: must not be negative; 0 means " + std::to_string(kPageSizeDefault));
  if (asked == 0) return kPageSizeDefault;
  return std::min(static_cast<size_t>(asked), kPageSizeMax);
}

}  // namespace tunesmith::rpc
