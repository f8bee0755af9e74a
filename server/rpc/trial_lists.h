// Pages of trials, cut by number or by rank.
#pragma once

#include <cstddef>
#include <cstdint>

#include "server/core/state.h"
#include "server/rpc/page_token.h"
#include "tunesmith/v1/tuning_service.pb.h"

namespace tunesmith::rpc {

struct TrialPage {
  bool best_first = false;
  uint32_t states = ~0U;             // bit (1 << v1::Trial::State) of each state that is wanted
  size_t size = 0;
  uint64_t list_key = 0;
  bool resumed = false;              // `after` is set
  PagePosition after;
};

// INVALID_ARGUMENT with PAGE_TOKEN_INVALID, PAGE_SIZE_INVALID or ORDER_INVALID in `reason`.
StatusOr<TrialPage> TrialPageOf(const v1::ListTrialsRequest& request, std::string* reason);

// Loop thread. Looks at no more than kTrialsScannedMax trials by number, so a page may hold fewer than asked for, even
// none, and still name a next one.
void FillTrialPage(const State& state, const Sweep& sweep, const TrialPage& page, v1::ListTrialsResponse* out);

}  // namespace tunesmith::rpc
