// Which sweep gets the next place: starved ones first, then by priority, then by share; and who makes room for whom.
#include <algorithm>
#include <cmath>
#include <tuple>

#include "common/limits.h"
#include "server/core/controller.h"
#include "server/core/repeats.h"

namespace tunesmith {

namespace {

// Trials that the sweep may still start beside those that run.
int64_t MayStart(const Sweep& sweep) {
  const int32_t parallel = sweep.spec->budget.max_parallel;
  return parallel > 0 ? std::max<int64_t>(0, parallel - static_cast<int64_t>(sweep.live.size())) : INT64_MAX;
}

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

// Places as they would be. Undone when it goes out of scope; what is leased meanwhile stays.
class Controller::WhatIf {
 public:
  explicit WhatIf(Controller* controller) : controller_(controller) {}
  ~WhatIf() {
    while (!done_.empty()) {
      const auto& [attempt, occupied] = done_.back();
      LiveWorker& worker = controller_->live_.at(attempt.worker);
      occupied ? VacatePlace(&worker, attempt) : OccupyPlace(&worker, attempt);
      done_.pop_back();
    }
  }
  WhatIf(const WhatIf&) = delete;
  WhatIf& operator=(const WhatIf&) = delete;

  void Release(const Attempt& attempt) { Change(attempt, false); }
  void Occupy(const Attempt& attempt) { Change(attempt, true); }

 private:
  void Change(const Attempt& attempt, bool occupies) {
    const auto live = controller_->live_.find(attempt.worker);
    if (live == controller_->live_.end() || !live->second.session) return;
    Attempt place;
    place.worker = attempt.worker;
    place.cpus = attempt.cpus;
    place.gpus = attempt.gpus;
    place.devices = attempt.devices;
    occupies ? OccupyPlace(&live->second, place) : VacatePlace(&live->second, place);
    done_.emplace_back(std::move(place), occupies);
  }

  Controller* controller_;
  std::vector<std::pair<Attempt, bool>> done_;
};

bool Controller::IsStarved(const Sweep& sweep) const {
  return sweep.state == SweepState::kActive && !sweep.spec->ask_tell && sweep.live.empty() &&
         (!sweep.pending.empty() || Creatable(sweep) > 0) && (now_ - sweep.idle_since).ms >= kStarvedMs;
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
    const double gpus = GpusFor(*sweep);
    WorkerId best;
    double best_free = -1;
    for (const auto& [id, worker] : live_) {
      if ((bound && id != bound) || kept_free_.contains(id) || !Accepts(id, worker)) continue;
      // The nearest to having room; one that gets nearer stays so, since nothing else starts there.
      double free = 1;
      if (sweep->spec->resources.cpus > 0) {
        free = std::min(1.0, static_cast<double>(worker.info.cpus - worker.cpus_used) / sweep->spec->resources.cpus);
      }
      if (gpus > 0) {
        double devices = 0;
        for (const double used : worker.device_used) devices += gpus < 1 ? 1 - used : std::floor(1 - used + 1e-6);
        free += std::min(1.0, devices / gpus);
      }
      if (free <= best_free) continue;
      LiveWorker empty;
      empty.session = worker.session;
      empty.info = worker.info;
      empty.device_used.assign(worker.device_used.size(), 0.0);
      std::vector<size_t> there;
      if (!HasRoom(*sweep, id, empty, &there)) continue;
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
      Attempt attempt;
      if (!Fits(sweep, turn.from, {}, &attempt)) {
        // What could be made room for.
        int64_t places = sweep.spec->share.priority > lowest ? PlacesOfLower(sweep) : 0;
        if (places == 0 && turn.promised == 0 && IsStarved(sweep)) places = 1;
        places = std::min(turn.promised + places, MayStart(sweep));
        RequestSuggestions(sweep, places - static_cast<int64_t>(sweep.pending.size()));
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

void Controller::Handle(const UpdateSweep& command) {
  const Sweep* sweep = NeedSweep(command.sweep);
  if (sweep == nullptr) return;
  if (IsTerminal(sweep->state)) {
    return Refuse(FailedPrecondition("sweep " + sweep->id + " is " + Name(sweep->state) +
                                     "; nothing of it runs any more"),
                  "SWEEP_NOT_ACTIVE");
  }
  ShareSpec share = sweep->spec->share;
  share.priority = command.priority.value_or(share.priority);
  share.weight = command.weight.value_or(share.weight);
  share.preemptible = command.preemptible.value_or(share.preemptible);
  const int32_t max_parallel = command.max_parallel.value_or(sweep->spec->budget.max_parallel);
  if (Problems problems = ValidateShare(share, max_parallel); !problems.empty()) {
    const std::string message = problems.front().field + ": " + problems.front().message;
    return Refuse(InvalidArgument(message), "SWEEP_INVALID", std::move(problems));
  }
  if (share != sweep->spec->share || max_parallel != sweep->spec->budget.max_parallel) {
    Emit(SweepUpdated{command.sweep, share, max_parallel, now_});
    dispatch_ = true;
  }
  Reply reply;
  reply.sweep = command.sweep;
  Answer(std::move(reply));
}

}  // namespace tunesmith
