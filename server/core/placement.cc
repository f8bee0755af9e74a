// Who runs where: the trials of a sweep to places; and how many points to ask the searchers for.
#include <algorithm>
#include <cmath>

#include "common/check.h"
#include "common/limits.h"
#include "server/core/controller.h"
#include "server/core/repeats.h"

namespace tunesmith {

namespace {

constexpr double kShareSlack = 1e-6;  // shares such as 0.1 do not add up exactly

// Devices of the worker that can take `gpus`; empty if they do not fit. Fractions go to the fullest device that has
// room, so that whole devices stay free.
std::vector<size_t> FitDevices(const LiveWorker& worker, double gpus) {
  std::vector<size_t> devices;
  if (gpus < 1) {
    size_t best = worker.device_used.size();
    for (size_t i = 0; i < worker.device_used.size(); ++i) {
      if (worker.device_used[i] + gpus > 1 + kShareSlack) continue;
      if (best == worker.device_used.size() || worker.device_used[i] > worker.device_used[best]) best = i;
    }
    if (best < worker.device_used.size()) devices.push_back(best);
    return devices;
  }
  const auto wanted = static_cast<size_t>(std::lround(gpus));
  for (size_t i = 0; i < worker.device_used.size() && devices.size() < wanted; ++i) {
    if (worker.device_used[i] < kShareSlack) devices.push_back(i);
  }
  if (devices.size() < wanted) devices.clear();
  return devices;
}

// How many more attempts with `gpus` each the worker's devices can take.
int64_t DevicePlaces(const LiveWorker& worker, double gpus) {
  double places = 0;
  for (double used : worker.device_used) {
    places += gpus < 1 ? std::floor((1 - used + kShareSlack) / gpus) : (used < kShareSlack ? 1 : 0);
  }
  return static_cast<int64_t>(gpus < 1 ? places : std::floor(places / std::lround(gpus)));
}

}  // namespace

bool Controller::Accepts(WorkerId id, const LiveWorker& worker) const {
  if (!worker.session || worker.draining) return false;
  const WorkerIdentity& identity = state_.workers().at(id);
  return !identity.drained && !identity.quarantined;
}

double Controller::GpusFor(const Sweep& sweep) const {
  const ResourceSpec& resources = sweep.spec->resources;
  if (resources.gpus <= 0 || !resources.gpus_optional) return resources.gpus;
  const bool any = std::any_of(live_.begin(), live_.end(), [&](const auto& worker) {
    return Accepts(worker.first, worker.second) && !worker.second.info.devices.empty();
  });
  return any ? resources.gpus : 0;
}

int64_t Controller::FreePlaces(const Sweep& sweep) const {
  const double gpus = GpusFor(sweep);
  const int32_t cpus = sweep.spec->resources.cpus;
  int64_t places = 0;
  for (const auto& [id, worker] : live_) {
    if (!Accepts(id, worker) || IsKeptFree(sweep, id)) continue;
    int64_t here = std::max(0, worker.info.cpus - worker.cpus_used) / std::max(1, cpus);
    if (cpus == 0) here = INT32_MAX;
    if (gpus > 0) here = std::min(here, DevicePlaces(worker, gpus));
    places += here;
  }
  return places;
}

bool Controller::HasRoom(const Sweep& sweep, WorkerId id, const LiveWorker& worker,
                         std::vector<size_t>* devices) const {
  const double gpus = GpusFor(sweep);
  devices->clear();
  if (!Accepts(id, worker) || IsKeptFree(sweep, id)) return false;
  if (worker.info.cpus - worker.cpus_used < sweep.spec->resources.cpus) return false;
  if (gpus > 0) *devices = FitDevices(worker, gpus);
  return gpus <= 0 || !devices->empty();
}

LiveWorker* Controller::FindPlace(const Sweep& sweep, WorkerId* id, std::vector<size_t>* devices) {
  for (auto& [worker_id, worker] : live_) {
    if (!HasRoom(sweep, worker_id, worker, devices)) continue;
    *id = worker_id;
    return &worker;
  }
  return nullptr;
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
  const WorkerHello& info = home->second.info;
  const double gpus = GpusFor(sweep);
  const bool could = info.cpus >= sweep.spec->resources.cpus &&
                     (gpus <= 0 || static_cast<double>(info.devices.size()) >= std::ceil(gpus - kShareSlack));
  return could ? home->first : WorkerId();
}

int64_t Controller::Creatable(const Sweep& sweep) const {
  if (sweep.exhausted || sweep.state >= SweepState::kStopping) return 0;
  const auto work = work_.find(sweep.number);
  const int64_t outstanding = work == work_.end() ? 0 : work->second.suggestions_outstanding;
  const int64_t made = static_cast<int64_t>(sweep.trials.size()) + outstanding * RepeatsOf(sweep);
  return std::max<int64_t>(0, sweep.target - made);
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
  if (sweep.state != SweepState::kActive || sweep.spec->ask_tell || sweep.pending.empty()) return false;
  const int32_t parallel = sweep.spec->budget.max_parallel;
  if (parallel > 0 && sweep.live.size() >= static_cast<size_t>(parallel)) return false;
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
  const double gpus = GpusFor(sweep);
  int32_t cpus_most = 0;
  size_t devices_most = 0;
  for (const auto& [id, worker] : live_) {
    if (!Accepts(id, worker)) continue;
    cpus_most = std::max(cpus_most, worker.info.cpus);
    devices_most = std::max(devices_most, worker.info.devices.size());
  }
  if (gpus > 0 && devices_most < std::max<size_t>(1, static_cast<size_t>(std::lround(gpus)))) {
    return "waiting for " + std::to_string(std::max(1L, std::lround(gpus))) +
           " GPU(s) on one worker: the most that one has is " + std::to_string(devices_most) +
           " (resources.gpus_optional: true runs on the CPU where there is none)";
  }
  if (cpus_most < sweep.spec->resources.cpus) {
    return "waiting for " + std::to_string(sweep.spec->resources.cpus) +
           " CPUs on one worker: the most that one has is " + std::to_string(cpus_most);
  }
  if (FreePlaces(sweep) == 0) return "every place is taken by other trials";
  return "";
}

}  // namespace tunesmith
