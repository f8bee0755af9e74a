// The sweep's own rules (SweepSpec::stop), which are asked before the scheduler. Pure functions of the state.
#pragma once

#include <cstdint>
#include <vector>

#include "server/core/state.h"

namespace tunesmith {

// What the rules say to a report of a running trial, which has not been applied yet: kStop with the rule as the reason,
// or Verdict{} where the scheduler is to be asked.
Verdict JudgeByRules(const Sweep& sweep, const Trial& trial, int64_t step, const std::vector<SlotValue>& report);

inline bool ByRules(const Verdict& verdict) { return verdict.reason >= Reason::kMaxSteps; }

// Whether a trial that this verdict stops has completed; else it was stopped early.
inline bool Completes(const Verdict& verdict) { return verdict.reason == Reason::kReachedMax || ByRules(verdict); }

// Whether the value is as good as stop.target, which is given.
bool ReachesTarget(const SweepSpec& spec, double value);

// ViolationOf with one more report.
double ViolationAt(const Sweep& sweep, const Trial& trial, const std::vector<SlotValue>& report);

}  // namespace tunesmith
