// Strong identifiers. A bare integer never stands for a thing: the compiler tells a SweepId from a WorkerId.
#pragma once

#include <compare>
#include <cstdint>

namespace tunesmith {

template <typename Tag>
struct Id {
  uint64_t value = 0;  // 0 means "none"

  constexpr Id() = default;
  constexpr explicit Id(uint64_t v) : value(v) {}
  constexpr explicit operator bool() const { return value != 0; }
  friend constexpr auto operator<=>(const Id&, const Id&) = default;
};

using SweepId = Id<struct SweepTag>;
using WorkerId = Id<struct WorkerTag>;    // one registered daemon identity (stable across its reconnects)
using SessionId = Id<struct SessionTag>;  // one connected stream of a daemon; never journaled
// Fencing token of a lease: grows with every placement in the whole controller. A message that carries an older
// epoch than the attempt's is stale and ignored.
using LeaseEpoch = Id<struct LeaseEpochTag>;

// A trial is named by its sweep and its number in the sweep, counted from 0 in order of suggestion.
struct TrialId {
  SweepId sweep;
  uint32_t number = 0;
  friend constexpr auto operator<=>(const TrialId&, const TrialId&) = default;
};

// An attempt is one execution of a trial, counted from 1.
struct AttemptId {
  TrialId trial;
  uint32_t number = 0;
  friend constexpr auto operator<=>(const AttemptId&, const AttemptId&) = default;
};

}  // namespace tunesmith
