// Opaque page tokens: where the next page begins, and for which list.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>

#include "common/status.h"

namespace tunesmith::rpc {

// Position in a list's order; what it means is the list's business.
struct PagePosition {
  uint64_t major = 0;
  uint64_t minor = 0;
  friend bool operator==(const PagePosition&, const PagePosition&) = default;
};

// A hash of everything in a request that shapes the list (its kind, order and filters, not the page size).
uint64_t ListKey(std::initializer_list<uint64_t> parts);

std::string EncodePageToken(uint64_t list_key, const PagePosition& position);

// INVALID_ARGUMENT (reason PAGE_TOKEN_INVALID) if the token was not made for this list. An empty token is the start:
// `*present` tells.
StatusOr<PagePosition> DecodePageToken(const std::string& token, uint64_t list_key, bool* present);

// The page size to use: kPageSizeDefault for 0, at most kPageSizeMax. INVALID_ARGUMENT for negative ones.
StatusOr<size_t> PageSize(int32_t asked);

}  // namespace tunesmith::rpc
