// Which sweep gets the next place: starved ones first, then by priority, then by share of the workers.
#include <algorithm>
#include <cmath>
#include <tuple>

#include "common/limits.h"
#include "server/core/controller.h"
#include "server/core/fit.h"
#include "server/core/repeats.h"
#include "server/core/what_if.h"

namespace tunesmith {

bool Controller::IsStarved(const Sweep& sweep) const {
  return sweep.state == SweepState::kActive && !sweep.spec->ask_tell && sweep.live.empty() &&
         (!sweep.pending.empty() || MoreToCome(sweep)) && (now_ - sweep.idle_since).ms >= kStarvedMs;
}

WorkerId Controller::BoundTo(const Sweep& sweep, const Trial& trial) const {
  return trial.NewestIsStored() ? WorkerId() : HomeOf(sweep, trial);
}

bool Controller::IsKeptFree(const Sweep& sweep, WorkerId worker) const {
  const auto kept = kept_free_.find(worker);
  if (kept != kept_free_.end() && kept->second != sweep.number) return true;
  const auto preempted = preempted_on_.find(worker);
  return preempted != preempted_on_.end() && sweep.spec->share.priority <= preempted->second;
}

// Small trials of others must not take, one after the other, what a large one waits for to be free at once.
void Controller::KeepFree(const std::vector<const Sweep*>& active) {
  kept_free_.clear();
  preempted_on_.clear();
  // Where room is being made, it is not for those who make it.
  for (const auto& [id, sweep] : state_.sweeps()) {
    for (const uint32_t number : sweep->preempting) {
      const WorkerId worker = sweep->trials[number].attempts.back().worker;
      int32_t& highest = preempted_on_.try_emplace(worker, sweep->spec->share.priority).first->second;
      highest = std::max(highest, sweep->spec->share.priority);
    }
  }
  std::vector<const Sweep*> starved;
  std::copy_if(active.begin(), active.end(), std::back_inserter(starved),
               [this](const Sweep* sweep) { return IsStarved(*sweep); });
  std::stable_sort(starved.begin(), starved.end(),
                   [](const Sweep* a, const Sweep* b) { return a->idle_since < b->idle_since; });
  for (const Sweep* sweep : starved) {
    WorkerId bound;
    if (!sweep->pending.empty()) bound = BoundTo(*sweep, sweep->trials[sweep->pending.front()]);
    const Request request = RequestOf(*sweep);
    WorkerId best;
    double best_free = -1;
    for (const auto& [id, worker] : live_) {
      if ((bound && id != bound) || kept_free_.contains(id) || !Accepts(id, worker)) continue;
      // The nearest to having room; one that gets nearer stays so, since nothing else starts there.
      const double free = FreeShareOf(worker, request);
      if (free <= best_free || !CouldFitOn(worker, request)) continue;
      best = id;
      best_free = free;
    }
    if (best) kept_free_[best] = sweep->number;
  }
}

Controller::ShareKey Controller::ShareKeyOf(const Sweep& sweep, int64_t promised) const {
  const bool starved = IsStarved(sweep) && promised == 0;
  const ResourceSpec& each = sweep.spec->resources;
  const auto cpus = static_cast<double>(sweep.cpus_used + promised * each.cpus);
  const double gpus = sweep.gpus_used + static_cast<double>(promised) * each.gpus;
  // Dominant resource fairness (Ghodsi et al., NSDI 2011), weighted.
  const double share = std::max(cpus_total_ > 0 ? cpus / static_cast<double>(cpus_total_) : 0,
                                gpus_total_ > 0 ? gpus / static_cast<double>(gpus_total_) : 0);
  return {!starved, starved ? sweep.idle_since.ms : 0, -int64_t{sweep.spec->share.priority},
          share / sweep.spec->share.weight, sweep.number};
}

void Controller::Dispatch() {
  std::vector<const Sweep*> active;
  for (const auto& [id, sweep] : state_.sweeps()) {
    if (sweep->state == SweepState::kActive) active.push_back(sweep.get());
  }
  for (const Sweep* sweep : active) CreateUserPoints(*sweep);
  for (const Sweep* sweep : active) JudgePaused(sweep->number);
  // Judging may have ended some.
  std::erase_if(active, [](const Sweep* sweep) { return sweep->state != SweepState::kActive; });
  for (const Sweep* sweep : active) {
    if (sweep->spec->ask_tell) ServeAsks(*sweep);
  }
  std::erase_if(active, [](const Sweep* sweep) { return sweep->spec->ask_tell; });
  cpus_total_ = gpus_total_ = 0;
  for (const auto& [id, worker] : live_) {
    if (!Accepts(id, worker)) continue;
    cpus_total_ += worker.info.cpus;
    gpus_total_ += static_cast<int64_t>(worker.info.devices.size());
  }
  // Most of the time all have the same priority.
  int32_t lowest = INT32_MAX;
  for (const auto& [id, sweep] : state_.sweeps()) {
    if (!sweep->live.empty()) lowest = std::min(lowest, sweep->spec->share.priority);
  }
  KeepFree(active);
  Share(active, lowest);
  PreemptBelow(active, lowest);
}

bool Controller::Fits(const Sweep& sweep, WorkerId from, WorkerId bound, Attempt* attempt) const {
  std::vector<size_t> devices;
  for (auto it = live_.lower_bound(from); it != live_.end(); ++it) {
    const auto& [id, worker] = *it;
    if ((bound && id != bound) || !HasRoom(sweep, id, worker, &devices)) continue;
    attempt->worker = id;
    attempt->cpus = sweep.spec->resources.cpus;
    attempt->gpus = static_cast<float>(devices.empty() ? 0 : sweep.spec->resources.gpus);
    attempt->devices.clear();
    for (const size_t device : devices) attempt->devices.push_back(worker.info.devices[device].uuid);
    return true;
  }
  return false;
}

void Controller::Share(const std::vector<const Sweep*>& active, int32_t lowest) {
  struct Turn {
    const Sweep* sweep = nullptr;
    int64_t promised = 0;  // places for points that the searcher has yet to give
    WorkerId from;         // workers before it have no room left for one
  };
  std::map<ShareKey, Turn> turns;
  for (const Sweep* sweep : active) turns[ShareKeyOf(*sweep, 0)] = {sweep};
  // A promised place is not given to whoever's point happens to come first.
  WhatIf promises(this);
  while (!turns.empty()) {
    Turn turn = turns.begin()->second;
    turns.erase(turns.begin());
    const Sweep& sweep = *turn.sweep;
    if (MayStart(sweep) <= turn.promised || HeldBack(sweep)) continue;
    if (!DispatchOne(sweep)) {
      const int64_t awaited = work_[sweep.number].suggestions_outstanding * RepeatsOf(sweep);
      if (turn.promised >= awaited && Creatable(sweep) == 0) continue;
      // The last one need not be promised what nobody else would take.
      Attempt attempt;
      if (turns.empty() || !Fits(sweep, turn.from, {}, &attempt)) {
        int64_t places = turn.promised + (turns.empty() ? FreePlaces(sweep) : 0);
        // What could be made room for.
        const auto pending = static_cast<int64_t>(sweep.pending.size());
        if (sweep.spec->share.priority > lowest) places += std::max<int64_t>(0, PlacesOfLower(sweep) - pending);
        if (places == 0 && pending == 0 && IsStarved(sweep)) places = 1;
        RequestSuggestions(sweep, std::min(places, MayStart(sweep)));
        continue;
      }
      if (turn.promised >= awaited) RequestSuggestions(sweep, awaited + 1);
      promises.Occupy(attempt);
      turn.from = attempt.worker;
      ++turn.promised;
    }
    turns[ShareKeyOf(sweep, turn.promised)] = turn;
  }
}

}  // namespace tunesmith
