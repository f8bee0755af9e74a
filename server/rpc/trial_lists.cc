#include "server/rpc/trial_lists.h"

#include <algorithm>
#include <bit>
#include <string>
#include <tuple>
#include <vector>

#include "common/limits.h"
#include "common/rng.h"
#include "server/rpc/convert.h"

namespace tunesmith::rpc {
namespace {

static_assert(static_cast<int>(TrialState::kCancelled) + 1 == v1::Trial::CANCELLED, "states are numbered alike");

bool Wanted(const Trial& trial, uint32_t states) {
  return (states >> (static_cast<uint32_t>(trial.state) + 1) & 1U) != 0;
}

// Order of BEST_FIRST: a smaller key is better. With several objectives those that are not dominated come first. Those
// that do not meet the requirements come after those that do, by violation. Failed trials are never best, so they come
// with those that have no value, by number.
struct RankKey {
  uint64_t value = 0;   // order-preserving bits of the value, as a minimum
  uint32_t number = 0;
  friend auto operator<=>(const RankKey&, const RankKey&) = default;
};

RankKey KeyOf(const Sweep& sweep, uint32_t number) {
  const Trial& trial = sweep.trials[number];
  const Goal goal = sweep.spec->search.goal;
  if (!trial.has_best || trial.state == TrialState::kFailed) return {UINT64_MAX, number};
  if (const double violation = ViolationOf(sweep, trial); violation > 0) {
    // The bits that no number has, above infinity.
    constexpr uint64_t kAbove = 0xFFF0'0000'0000'0001;
    return {kAbove + (std::bit_cast<uint64_t>(violation) >> 11U), number};
  }
  // Doubles in order of their bits: negative ones are flipped, the others go above them. The sum makes -0.0 0.0.
  const auto bits = std::bit_cast<uint64_t>((goal == Goal::kMin ? trial.best_value : -trial.best_value) + 0.0);
  constexpr uint64_t kSign = uint64_t{1} << 63U;
  const uint64_t key = (bits & kSign) != 0 ? ~bits : bits | kSign;
  // And those below minus infinity.
  const bool front = std::binary_search(sweep.pareto.begin(), sweep.pareto.end(), number);
  return {front ? key >> 12U : key, number};
}

// Adds the trial unless the reply gets too large by it.
bool AddTrial(const State& state, const Sweep& sweep, uint32_t number, size_t* bytes, v1::ListTrialsResponse* out) {
  v1::Trial* trial = out->add_trials();
  FillTrial(state, sweep, number, Attempts::kLast, trial);
  *bytes += trial->ByteSizeLong();
  if (*bytes <= kReplyBytesMax || out->trials_size() == 1) return true;
  out->mutable_trials()->RemoveLast();
  return false;
}

void FillByNumber(const State& state, const Sweep& sweep, const TrialPage& page, v1::ListTrialsResponse* out) {
  size_t number = page.resumed ? page.after.major : 0;
  const size_t scan_end = std::min(sweep.trials.size(), number + kTrialsScannedMax);
  size_t bytes = 0;
  for (; number < scan_end && static_cast<size_t>(out->trials_size()) < page.size; ++number) {
    if (!Wanted(sweep.trials[number], page.states)) continue;
    if (!AddTrial(state, sweep, static_cast<uint32_t>(number), &bytes, out)) break;
  }
  if (number < sweep.trials.size()) out->set_next_page_token(EncodePageToken(page.list_key, {number, 0}));
}

void FillByRank(const State& state, const Sweep& sweep, const TrialPage& page, v1::ListTrialsResponse* out) {
  const RankKey after{page.after.major, static_cast<uint32_t>(page.after.minor)};
  std::vector<RankKey> best;  // a heap of the page's, worst on top
  bool more = false;
  for (uint32_t i = 0; i < sweep.trials.size(); ++i) {
    if (!Wanted(sweep.trials[i], page.states)) continue;
    const RankKey key = KeyOf(sweep, i);
    if (page.resumed && key <= after) continue;
    if (best.size() == page.size) {
      more = true;
      if (key >= best.front()) continue;
      std::pop_heap(best.begin(), best.end());
      best.pop_back();
    }
    best.push_back(key);
    std::push_heap(best.begin(), best.end());
  }
  std::sort_heap(best.begin(), best.end());
  size_t bytes = 0;
  size_t added = 0;
  while (added < best.size() && AddTrial(state, sweep, best[added].number, &bytes, out)) ++added;
  if (added > 0 && (more || added < best.size())) {
    out->set_next_page_token(EncodePageToken(page.list_key, {best[added - 1].value, best[added - 1].number}));
  }
}

}  // namespace

StatusOr<TrialPage> TrialPageOf(const v1::ListTrialsRequest& request, std::string* reason) {
  TrialPage page;
  if (!v1::ListTrialsRequest::Order_IsValid(request.order())) {
    *reason = "ORDER_INVALID";
    return InvalidArgument("order: " + std::to_string(request.order()) + " is not known");
  }
  page.best_first = request.order() == v1::ListTrialsRequest::BEST_FIRST;
  if (request.states_size() > 0) page.states = 0;
  for (const int state : request.states()) {
    if (state <= 0 || !v1::Trial::State_IsValid(state)) {
      *reason = "STATES_INVALID";
      return InvalidArgument("states: " + std::to_string(state) + " is not a state of a trial");
    }
    page.states |= 1U << static_cast<uint32_t>(state);
  }
  uint64_t sweep_hash = 0;
  for (const char c : request.sweep()) sweep_hash = Mix64(sweep_hash ^ static_cast<unsigned char>(c));
  constexpr uint64_t kKind = 2;
  page.list_key = ListKey({kKind, sweep_hash, page.best_first ? 1U : 0U, page.states});
  *reason = "PAGE_TOKEN_INVALID";
  TS_ASSIGN_OR_RETURN(page.after, DecodePageToken(request.page_token(), page.list_key, &page.resumed));
  *reason = "PAGE_SIZE_INVALID";
  TS_ASSIGN_OR_RETURN(page.size, PageSize(request.page_size()));
  reason->clear();
  return page;
}

void FillTrialPage(const State& state, const Sweep& sweep, const TrialPage& page, v1::ListTrialsResponse* out) {
  if (page.best_first) {
    FillByRank(state, sweep, page, out);
  } else {
    FillByNumber(state, sweep, page, out);
  }
}

}  // namespace tunesmith::rpc
