// Who runs where: the trials of a sweep to places; and how many points to ask the searchers for.
#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "common/check.h"
#include "common/limits.h"
#include "common/text.h"
#include "server/core/controller.h"
#include "server/core/repeats.h"

namespace tunesmith {

int64_t MayStart(const Sweep& sweep) {
  const int32_t parallel = sweep.spec->budget.max_parallel;
  return parallel > 0 ? std::max<int64_t>(0, parallel - static_cast<int64_t>(sweep.live.size())) : INT64_MAX;
}

bool Controller::Accepts(WorkerId id, const LiveWorker& worker) const {
  if (!worker.session || worker.draining) return false;
  const WorkerIdentity& identity = state_.workers().at(id);
  return !identity.drained && !identity.quarantined;
}

double Controller::GpusFor(const Sweep& sweep) const {
  const ResourceSpec& resources = sweep.spec->resources;
  if (resources.gpus <= 0 || !resources.gpus_optional) return resources.gpus;
  const Request request = {.gpu_memory_bytes = resources.gpu_memory_bytes, .labels = &resources.labels};
  const bool any = std::any_of(live_.begin(), live_.end(), [&](const auto& worker) {
    return Accepts(worker.first, worker.second) && HasLabels(worker.second, request) &&
           DevicesWithMemory(worker.second, request) > 0;
  });
  return any ? resources.gpus : 0;
}

Request Controller::RequestOf(const Sweep& sweep) const {
  const ResourceSpec& resources = sweep.spec->resources;
  return {.gpus = GpusFor(sweep),
          .cpus = resources.cpus,
          .gpu_memory_bytes = resources.gpu_memory_bytes,
          .labels = &resources.labels,
          .placement = resources.placement};
}

int64_t Controller::FreePlaces(const Sweep& sweep) const {
  const Request request = RequestOf(sweep);
  int64_t places = 0;
  for (const auto& [id, worker] : live_) {
    if (Accepts(id, worker) && !IsKeptFree(sweep, id)) places += PlacesOn(worker, request);
  }
  return places;
}

bool Controller::HasRoom(const Sweep& sweep, WorkerId id, const LiveWorker& worker,
                         std::vector<size_t>* devices) const {
  devices->clear();
  if (!Accepts(id, worker) || IsKeptFree(sweep, id)) return false;
  auto fit = FitOn(worker, RequestOf(sweep));
  if (fit) *devices = std::move(fit->devices);
  return fit.has_value();
}

LiveWorker* Controller::FindPlace(const Sweep& sweep, WorkerId* id, std::vector<size_t>* devices) {
  const Request request = RequestOf(sweep);
  LiveWorker* found = nullptr;
  std::array<double, 4> least = {};
  for (auto& [worker_id, worker] : live_) {
    if (!Accepts(worker_id, worker) || IsKeptFree(sweep, worker_id)) continue;
    auto fit = FitOn(worker, request);
    if (!fit || (found != nullptr && fit->cost >= least)) continue;
    found = &worker;
    least = fit->cost;
    *id = worker_id;
    *devices = std::move(fit->devices);
  }
  return found;
}

WorkerId Controller::HomeOf(const Sweep& sweep, const Trial& trial) const {
  if (trial.attempts.empty() || trial.measurements == 0) return {};
  const Attempt& last = trial.attempts.back();
  if (last.exit && last.exit->start_failed) return {};
  const auto home = live_.find(last.worker);
  if (home == live_.end()) return {};
  const WorkerIdentity& identity = state_.workers().at(home->first);
  if (identity.drained || identity.quarantined || home->second.draining) return {};
  // It may only be about to connect again, as after a restart of the controller.
  if (!home->second.session) return (now_ - home->second.last_seen).ms < options_.lease_ms ? home->first : WorkerId();
  return CouldFitOn(home->second, RequestOf(sweep)) ? home->first : WorkerId();
}

int64_t Controller::Creatable(const Sweep& sweep) const {
  if (sweep.exhausted || sweep.state >= SweepState::kStopping) return 0;
  const auto work = work_.find(sweep.number);
  const int64_t outstanding = work == work_.end() ? 0 : work->second.suggestions_outstanding;
  const int64_t made = static_cast<int64_t>(sweep.trials.size()) + outstanding * RepeatsOf(sweep);
  return std::max<int64_t>(0, sweep.target - made);
}

bool Controller::MoreToCome(const Sweep& sweep) const {
  const auto work = work_.find(sweep.number);
  return Creatable(sweep) > 0 || (work != work_.end() && work->second.suggestions_outstanding > 0);
}

void Controller::CreateUserPoints(const Sweep& sweep) {
  SweepWork& work = work_[sweep.number];
  const auto& points = sweep.spec->points;
  // All of them at once, before the first suggestion: their numbers come first.
  while (work.points_used < points.size() && Creatable(sweep) > 0) {
    const auto number = static_cast<uint32_t>(sweep.trials.size());
    constexpr uint64_t kStreamUserPoint = 0x706f696e74;
    Rng rng = Rng::ForLabels({sweep.seed, number, kStreamUserPoint});
    Problems problems;
    auto point = sweep.space->Complete(points[work.points_used++], &rng, &problems);
    if (!point) continue;  // Validate has refused such specs
    Effect_(AnnounceTrial{sweep.number, number, *point});
    CreateTrials(sweep, *point, {.kind = Origin::Kind::kUser});
  }
}

void Controller::CreateTrials(const Sweep& sweep, const Point& point, const Origin& origin) {
  const auto first = static_cast<uint32_t>(sweep.trials.size());
  for (uint32_t number = first; number < first + RepeatsOf(sweep); ++number) {
    TrialCreated event;
    event.trial = {sweep.number, number};
    event.point = point;
    event.bracket = sweep.scheduler->BracketFor(number);
    event.from_user = origin.kind == Origin::Kind::kUser;
    event.time = now_;
    event.origin = origin;
    if (number > first) {
      event.origin = {.kind = Origin::Kind::kRepeat};
      event.repeat_of = first;
    }
    Emit(std::move(event));
  }
}

void Controller::RequestSuggestions(const Sweep& sweep, int64_t wanted) {
  SweepWork& work = work_[sweep.number];
  const int64_t repeats = RepeatsOf(sweep);
  // Asked for but not yet answered ones count.
  wanted = std::min(wanted - work.suggestions_outstanding * repeats, Creatable(sweep));
  for (; wanted > 0; wanted -= repeats) {
    const auto number = static_cast<uint32_t>(static_cast<int64_t>(sweep.trials.size()) +
                                              work.suggestions_outstanding * repeats);
    ++work.suggestions_outstanding;
    Effect_(RequestSuggestion{sweep.number, number});
  }
}

void Controller::Lease(const Sweep& sweep, uint32_t number, WorkerId id, LiveWorker* worker,
                       const std::vector<size_t>& devices) {
  const Trial& trial = sweep.trials[number];
  AttemptLeased event;
  event.attempt = {{sweep.number, number}, static_cast<uint32_t>(trial.attempts.size()) + 1};
  event.epoch = state_.next_epoch();
  event.worker = id;
  event.cpus = sweep.spec->resources.cpus;
  event.gpus = devices.empty() ? 0 : sweep.spec->resources.gpus;
  for (const size_t device : devices) event.devices.push_back(worker->info.devices[device].uuid);
  event.time = now_;
  const AttemptRef ref{event.attempt, event.epoch};
  Emit(std::move(event));
  const Attempt& attempt = trial.attempts.back();
  OccupyPlace(worker, attempt);
  worker->attempts[ref.attempt] = 0;
  Assign(sweep, number, worker);
}

void Controller::Assign(const Sweep& sweep, uint32_t number, LiveWorker* worker) {
  const Trial& trial = sweep.trials[number];
  const Attempt& attempt = trial.attempts.back();
  const AttemptRef ref{{{sweep.number, number}, static_cast<uint32_t>(trial.attempts.size())}, attempt.epoch};
  SendAssign assign;
  assign.session = worker->session;
  assign.ref = ref;
  assign.spec = sweep.spec;
  assign.sweep_id = sweep.id;
  assign.point = trial.point;
  assign.seed = Mix64(sweep.seed ^ Mix64(number));
  assign.devices = attempt.devices;
  assign.resume = ref.attempt.number > 1;
  if (assign.resume) {
    assign.last_step = trial.last_step;
    const auto& stored = trial.StoredCheckpoints();
    for (auto one = stored.rbegin(); one != stored.rend(); ++one) {
      if (one->step <= trial.last_step && one->attempt >= trial.FirstAttempt()) assign.checkpoints.push_back(*one);
    }
    if (trial.Exploited()) assign.first_attempt = trial.FirstAttempt();
  }
  Effect_(std::move(assign));
}

bool Controller::DispatchOne(const Sweep& sweep) {
  if (sweep.pending.empty()) return false;
  WorkerId id;
  std::vector<size_t> devices;
  LiveWorker* worker = FindPlace(sweep, &id, &devices);
  if (worker == nullptr) return false;
  for (const QueuePlace& place : sweep.pending.order()) {
    // Where its checkpoints are it need neither fetch them nor begin anew. If they are nowhere else, it waits for room
    // there, and others go first.
    const Trial& trial = sweep.trials[place.number];
    const WorkerId home = HomeOf(sweep, trial);
    if (home && home != id) {
      std::vector<size_t> there;
      LiveWorker& at_home = live_.at(home);
      if (HasRoom(sweep, home, at_home, &there)) {
        Lease(sweep, place.number, home, &at_home, there);
        return true;
      }
      if (!trial.NewestIsStored()) continue;
    }
    Lease(sweep, place.number, id, worker, devices);
    return true;
  }
  return false;
}

namespace {

// What no worker has, were nothing to run on any; "" if one has it all. Names the closest miss.
std::string LackingReason(const std::vector<const LiveWorker*>& workers, const Request& request) {
  int32_t cpus_most = 0;
  size_t devices_most = 0;
  int64_t memory_most = 0;
  const LiveWorker* labelled = nullptr;
  for (const LiveWorker* worker : workers) {
    if (!HasLabels(*worker, request)) continue;
    labelled = worker;
    cpus_most = std::max(cpus_most, worker->info.cpus);
    devices_most = std::max(devices_most, DevicesWithMemory(*worker, request));
    for (const DeviceInfo& device : worker->info.devices) memory_most = std::max(memory_most, device.memory_bytes);
  }
  if (labelled == nullptr) {
    const LiveWorker& closest = **std::max_element(
        workers.begin(), workers.end(), [&](const LiveWorker* a, const LiveWorker* b) {
          return LabelsHeld(*a, request) < LabelsHeld(*b, request);
        });
    return "waiting for a worker that has all of resources.labels; of worker " + closest.info.name + ": " +
           MissOn(closest, request);
  }
  const auto wanted = std::max<int64_t>(1, std::lround(request.gpus));
  if (request.gpus > 0 && devices_most < static_cast<size_t>(wanted)) {
    std::string text = "waiting for " + std::to_string(wanted) + " GPU(s)";
    if (request.gpu_memory_bytes > 0) text += " with " + MemoryText(request.gpu_memory_bytes);
    text += " on one worker: the most that one has is " + std::to_string(devices_most);
    if (request.gpu_memory_bytes > 0 && memory_most > 0) text += ", the largest has " + MemoryText(memory_most);
    return text + " (resources.gpus_optional: true runs on the CPU where there is none)";
  }
  if (cpus_most < request.cpus) {
    return "waiting for " + std::to_string(request.cpus) + " CPUs on one worker: the most that one has is " +
           std::to_string(cpus_most);
  }
  // Each has something of it, none has all; or what would do is quarantined.
  if (std::none_of(workers.begin(), workers.end(), [&](const LiveWorker* w) { return CouldFitOn(*w, request); })) {
    return "waiting for one worker that has all of it; of worker " + labelled->info.name + ": " +
           MissOn(*labelled, request);
  }
  return "";
}

}  // namespace

std::string Controller::WaitingReason(const Sweep& sweep) const {
  if (IsTerminal(sweep.state) || !sweep.live.empty()) return "";
  if (sweep.state == SweepState::kPaused) return "the sweep is paused";
  if (sweep.spec->ask_tell) return "waiting for a client to ask for a trial";
  const auto connected =
      std::count_if(live_.begin(), live_.end(), [](const auto& w) { return static_cast<bool>(w.second.session); });
  if (connected == 0) return "no worker is connected";
  if (std::none_of(live_.begin(), live_.end(), [&](const auto& w) { return Accepts(w.first, w.second); })) {
    return "every connected worker is draining or quarantined";
  }
  std::vector<const LiveWorker*> open;
  for (const auto& [id, worker] : live_) {
    if (Accepts(id, worker)) open.push_back(&worker);
  }
  const std::string lacking = LackingReason(open, RequestOf(sweep));
  if (!lacking.empty()) return lacking;
  if (const std::string held = HeldBackText(sweep); !held.empty()) return held;
  if (FreePlaces(sweep) > 0) return "";
  for (const LiveWorker* worker : open) {
    if (const std::string held = HeldDevicesText(*worker); !held.empty()) {
      return "every place is taken by other trials or held: of worker " + worker->info.name + " " + held;
    }
  }
  return "every place is taken by other trials";
}

}  // namespace tunesmith
