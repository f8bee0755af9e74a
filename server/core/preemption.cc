// Who makes room for a sweep of higher priority.
#include <algorithm>
#include <tuple>

#include "common/limits.h"
#include "server/core/controller.h"
#include "server/core/what_if.h"

namespace tunesmith {

namespace {

bool IsPreemptible(const Sweep& sweep, const Trial& trial, Time now) {
  if (trial.state != TrialState::kRunning || sweep.spec->ask_tell) return false;
  const Attempt& attempt = trial.attempts.back();
  if (attempt.guarded && (now - attempt.start).ms < kStarvedMs) return false;
  switch (sweep.spec->share.preemptible) {
    case Preemptible::kNever: return false;
    case Preemptible::kAlways: return true;
    case Preemptible::kCheckpoint: break;
  }
  return trial.checkpoints != nullptr && !(trial.checkpoints->named.empty() && trial.checkpoints->stored.empty());
}

}  // namespace

std::vector<Controller::Victim> Controller::VictimsFor(int32_t priority) const {
  std::vector<Victim> victims;
  for (const auto& [id, sweep] : state_.sweeps()) {
    if (sweep->spec->share.priority >= priority) continue;
    for (const uint32_t number : sweep->live) {
      if (IsPreemptible(*sweep, sweep->trials[number], now_)) victims.push_back({sweep.get(), number});
    }
  }
  // The least urgent first, and of those what has run the shortest.
  std::sort(victims.begin(), victims.end(), [](const Victim& a, const Victim& b) {
    const auto place = [](const Victim& v) {
      return std::tuple(v.sweep->spec->share.priority, -v.sweep->trials[v.trial].attempts.back().start.ms,
                        v.sweep->number, v.trial);
    };
    return place(a) < place(b);
  });
  return victims;
}

int64_t Controller::PlacesOfLower(const Sweep& sweep) {
  const int64_t now = FreePlaces(sweep);
  WhatIf what_if(this);
  for (const auto& [id, other] : state_.sweeps()) {
    if (other->spec->share.priority >= sweep.spec->share.priority) continue;
    for (const uint32_t number : other->live) {
      const Trial& trial = other->trials[number];
      if (trial.preempting || IsPreemptible(*other, trial, now_)) what_if.Release(trial.attempts.back());
    }
  }
  return FreePlaces(sweep) - now;
}

std::vector<Controller::Victim> Controller::CheapestRoom(const Sweep& sweep, WorkerId bound,
                                                         const std::vector<Victim>& victims) {
  std::map<WorkerId, std::vector<Victim>> by_worker;
  for (const Victim& victim : victims) {
    const WorkerId worker = victim.sweep->trials[victim.trial].attempts.back().worker;
    if (!bound || worker == bound) by_worker[worker].push_back(victim);
  }
  const auto cost = [](const std::vector<Victim>& some) {
    int32_t highest = INT32_MIN;
    for (const Victim& victim : some) highest = std::max(highest, victim.sweep->spec->share.priority);
    return std::pair(some.size(), highest);
  };
  std::vector<Victim> best;
  for (const auto& [id, here] : by_worker) {
    const LiveWorker& worker = live_.at(id);
    std::vector<size_t> devices;
    WhatIf what_if(this);
    std::vector<Victim> taken;
    for (const Victim& victim : here) {
      if (HasRoom(sweep, id, worker, &devices)) break;
      what_if.Release(victim.sweep->trials[victim.trial].attempts.back());
      taken.push_back(victim);
    }
    if (!HasRoom(sweep, id, worker, &devices)) continue;
    // Those that are not needed after all stay.
    for (size_t i = 0; i < taken.size();) {
      const Attempt& attempt = taken[i].sweep->trials[taken[i].trial].attempts.back();
      what_if.Occupy(attempt);
      if (HasRoom(sweep, id, worker, &devices)) {
        taken.erase(taken.begin() + static_cast<ptrdiff_t>(i));
        continue;
      }
      what_if.Release(attempt);
      ++i;
    }
    if (best.empty() || cost(taken) < cost(best)) best = std::move(taken);
  }
  return best;
}

void Controller::PreemptBelow(const std::vector<const Sweep*>& active, int32_t lowest) {
  std::map<ShareKey, const Sweep*> wanting;
  for (const Sweep* sweep : active) {
    const bool wants = !sweep->pending.empty() && MayStart(*sweep) > 0 && !HeldBack(*sweep);
    if (wants && sweep->spec->share.priority > lowest) wanting.emplace(ShareKeyOf(*sweep, 0), sweep);
  }
  if (wanting.empty()) return;
  // What falls free anyway counts as free.
  WhatIf what_if(this);
  for (const auto& [id, sweep] : state_.sweeps()) {
    for (const uint32_t number : sweep->live) {
      const Trial& trial = sweep->trials[number];
      if (trial.state == TrialState::kStopping) what_if.Release(trial.attempts.back());
    }
  }
  for (const auto& [key, sweep] : wanting) {
    std::vector<Victim> victims = VictimsFor(sweep->spec->share.priority);
    int64_t left = MayStart(*sweep);
    for (const QueuePlace& place : sweep->pending.order()) {
      if (left-- == 0) break;
      const WorkerId bound = BoundTo(*sweep, sweep->trials[place.number]);
      Attempt attempt;
      if (!Fits(*sweep, {}, bound, &attempt)) {
        const std::vector<Victim> room = CheapestRoom(*sweep, bound, victims);
        if (room.empty()) {
          if (bound) continue;
          break;  // nor is there room for the next one
        }
        for (const Victim& victim : room) {
          what_if.Release(victim.sweep->trials[victim.trial].attempts.back());
          Preempt(victim, *sweep);
          std::erase_if(victims, [&](const Victim& v) { return v.sweep == victim.sweep && v.trial == victim.trial; });
        }
        if (!Fits(*sweep, {}, bound, &attempt)) break;
      }
      what_if.Occupy(attempt);
    }
  }
}

void Controller::Preempt(const Victim& victim, const Sweep& winner) {
  const Trial& trial = victim.sweep->trials[victim.trial];
  const Attempt& attempt = trial.attempts.back();
  const AttemptRef ref{{{victim.sweep->number, victim.trial}, static_cast<uint32_t>(trial.attempts.size())},
                       attempt.epoch};
  const std::string reason = "makes room for sweep " + winner.id + " (priority " +
                             std::to_string(winner.spec->share.priority) + " over " +
                             std::to_string(victim.sweep->spec->share.priority) + ")";
  const SessionId session = live_.at(attempt.worker).session;
  Emit(TrialStopping{ref.attempt.trial, reason, now_, true});
  if (session) Effect_(SendStop{session, ref, reason, false});
}

}  // namespace tunesmith
