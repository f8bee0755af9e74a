#include "tests/sim/daemon.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/limits.h"

namespace tunesmith::sim {

namespace {

std::string NameOf(const AttemptRef& ref) {
  return std::to_string(ref.attempt.trial.sweep.value) + "/" + std::to_string(ref.attempt.trial.number) + "#" +
         std::to_string(ref.attempt.number);
}

double ShareOf(const SendAssign& assign) {
  const double gpus = assign.spec->resources.gpus;
  return gpus >= 1 ? 1 : gpus;
}

// The learning curve: a function of the point, the seed and the step alone.
double CurveAt(const SendAssign& assign, int64_t step) {
  double distance = 0;
  for (const Value& value : assign.point) {
    const double x = ValueNumber(value);
    if (!std::isnan(x)) distance += (x - 0.3) * (x - 0.3);
  }
  Rng noise = Rng::ForLabels({assign.seed, static_cast<uint64_t>(step)});
  return distance + 1.0 / static_cast<double>(step + 1) + 0.05 * noise.Uniform();
}

}  // namespace

Daemon::Daemon(World* world, const SimOptions* options, Network* network, ControllerNode* controller, Checker* checker,
               Machine machine)
    : world_(world),
      options_(options),
      network_(network),
      controller_(controller),
      checker_(checker),
      machine_(std::move(machine)) {
  client_ = network_->AddClient(this);
}

void Daemon::Later(Duration delay, std::function<void()> action) {
  world_->After(delay, [this, boot = boots_, action = std::move(action)] {
    if (alive() && boots_ == boot) action();
  });
}

void Daemon::Later(const AttemptRef& ref, Duration delay, std::function<void(Process*)> action) {
  const auto it = processes_.find(ref);
  if (it == processes_.end()) return;
  Later(delay, [this, ref, number = it->second.number, action = std::move(action)] {
    const auto now = processes_.find(ref);
    if (now != processes_.end() && now->second.number == number) action(&now->second);
  });
}

void Daemon::Start() {
  if (alive()) return;
  ++boots_;
  welcomed_ = false;
  leaving_ = false;
  // A daemon keeps time by itself once it has started; at its start it believes the wall clock.
  if (options_->clock_skew.ms > 0) {
    clock_ = world_->Between(Duration{-options_->clock_skew.ms}, options_->clock_skew);
    world_->Count("skewed clocks");
  }
  world_->Log([&] { return machine_.name + " starts"; });
  model_ = options_->real_agent ? MakeAgentWorker() : MakeModelWorker();
  tick_at_ = kTimeNever;
  flushing_ = false;
  const auto spool = spool_;
  for (const auto& [ref, records] : spool) model_->Restore(ref, records, Now());
  Pump();
  Connect();
}

void Daemon::Crash(bool lose_spool) {
  if (!alive()) return;
  world_->Log([&] { return machine_.name + " crashes" + (lose_spool ? " and loses its disk" : ""); });
  network_->ClientDied(client_);
  for (const auto& [ref, missing] : unsaved_) checker_->OnGone(ref, missing.first);
  unsaved_.clear();
  model_.reset();
  processes_.clear();
  held_.clear();
  resume_steps_.clear();
  session_ = SessionId();
  if (lose_spool) spool_.clear();
  if (lose_spool) checkpoints_.clear();
}

void Daemon::Restart() {
  if (!alive() || leaving_) return;
  world_->Log([&] { return machine_.name + " is asked to leave"; });
  world_->Count("worker restarts");
  leaving_ = true;
  model_->Leave(Now());
  Pump();
  LeaveWhenEmpty(world_->now() + Seconds(30));
}

void Daemon::LeaveWhenEmpty(Time at_latest) {
  Later(Milliseconds(200), [this, at_latest] {
    if (model_->open() > 0 && world_->now() < at_latest) return LeaveWhenEmpty(at_latest);
    Crash(false);
    world_->After(world_->Between(Milliseconds(100), Seconds(5)), [this] { Start(); });
  });
}

void Daemon::JumpClock() {
  if (!alive()) return;
  clock_.ms += world_->Between(Seconds(1), options_->clock_skew).ms;
  world_->Count("clock jumps");
  world_->Log([&] { return machine_.name + " jumps ahead"; });
  model_->Tick(Now());
  tick_at_ = kTimeNever;
  Pump();
}

void Daemon::Rest() {
  spool_full_until_ = Time{};
  if (lied_) network_->Break(client_);
}

void Daemon::Connect() { network_->Connect(client_); }

void Daemon::OnConnectFailed() {
  Later(world_->Between(Milliseconds(200), Seconds(3)), [this] { Connect(); });
}

void Daemon::OnConnected(SessionId session) {
  if (!alive() || session_) return network_->Drop(session);  // of a connection that was on its way at a crash
  session_ = session;
  WorkerHello hello;
  hello.name = machine_.name;
  hello.boot_id = "boot-" + std::to_string(boots_);
  hello.cpus = machine_.cpus;
  for (int i = 0; i < machine_.gpus; ++i) {
    const int64_t gib = static_cast<size_t>(i) < machine_.gpu_gib.size() ? machine_.gpu_gib[static_cast<size_t>(i)] : 8;
    hello.devices.push_back({machine_.name + "-gpu" + std::to_string(i), "card", i, gib << 30});
    for (const DeviceInfo& one : held_) {
      if (one.uuid == hello.devices.back().uuid) hello.devices.back().state = one.state;
    }
  }
  hello.labels = machine_.labels;
  lied_ = world_->Chance(options_->inventory_lies);
  if (lied_) LieAboutInventory(&hello);
  hello.attempts = model_->HelloAttempts();
  hello.draining = model_->draining();
  hello.reconnects = welcomed_;
  network_->SendUp(session, std::move(hello));
  Heartbeat(session);
}

void Daemon::LieAboutInventory(WorkerHello* hello) {
  world_->Count("false inventories");
  switch (world_->rng().Below(5)) {
    case 0:
      hello->devices.clear();
      break;
    case 1:
      hello->devices.push_back({"worker0-gpu0-of-nobody", "card", 7, -1});
      break;
    case 2:
      // Another machine's, or its own a second time under a new index.
      if (machine_.name != "worker0") hello->devices.push_back({"worker0-gpu0", "card", 0, int64_t{8} << 30});
      break;
    case 3:
      hello->cpus = 0;
      break;
    default:
      hello->cpus += 60;
      break;
  }
}

void Daemon::Heartbeat(SessionId session) {
  Later(Milliseconds(kHeartbeatMs), [this, session] {
    if (session_ != session) return;
    network_->SendUp(session, HeartbeatMessage{model_->draining()});
    Heartbeat(session);
  });
}

void Daemon::OnReceived(SessionId session, const ToWorker& message) {
  if (!alive() || session_ != session) return;
  welcomed_ = welcomed_ || std::holds_alternative<SendWelcome>(message);
  if (const auto* ack = std::get_if<SendAck>(&message)) {
    const auto missing = unsaved_.find(ack->ref);
    if (missing != unsaved_.end() && ack->sequence >= missing->second.second) unsaved_.erase(missing);
  }
  model_->OnMessage(message, Now());
  Pump();
}

void Daemon::OnClosed(SessionId session) {
  if (!alive() || session_ != session) return;
  session_ = SessionId();
  model_->OnDisconnected(Now());
  Pump();
  Later(world_->Between(Milliseconds(50), Seconds(2)), [this] { Connect(); });
}

void Daemon::Pump() {
  for (auto actions = model_->TakeActions(); !actions.empty(); actions = model_->TakeActions()) {
    for (const WorkerAction& action : actions) std::visit([this](const auto& a) { Do(a); }, action);
  }
  const Time deadline = model_->NextDeadline();
  const Time due = deadline < kTimeNever ? deadline - clock_ : kTimeNever;
  if (due < kTimeNever && due < tick_at_) {
    tick_at_ = due;
    Later(due - world_->now(), [this, due] {
      // The clock has jumped meanwhile, and another one was set.
      if (tick_at_ != due) return;
      tick_at_ = kTimeNever;
      model_->Tick(Now());
      Pump();
    });
  }
  if (session_ && !flushing_) {
    flushing_ = true;
    // Records that come together travel together.
    Later(Milliseconds(world_->rng().IntInclusive(0, 20)), [this] {
      flushing_ = false;
      if (!session_) return;
      auto records = model_->TakeRecords(kRecordsPerMessageMax);
      if (!records.empty()) SendRecords(records);
    });
  }
}

void Daemon::SendRecords(const std::vector<WorkerRecord>& records) {
  network_->SendUp(session_, records);
  if (world_->Chance(options_->worker_repeats)) {
    world_->Count("repeated messages");
    network_->SendUp(session_, records);
  }
  if (world_->Chance(options_->unknown_records)) SendUnknown(records);
  if (!world_->Chance(options_->worker_lies)) return;
  world_->Count("forged messages");
  // What a controller must see through: the right attempt under a wrong lease, with values that nobody reported.
  std::vector<WorkerRecord> forged = records;
  for (WorkerRecord& record : forged) {
    record.ref.epoch.value += world_->Chance(0.5) ? 1 : -1;
    record.sequence += 1000;
    for (NamedMetric& metric : record.metrics) metric.value = -1e9;
  }
  network_->SendUp(session_, std::move(forged));
}

void Daemon::SendUnknown(const std::vector<WorkerRecord>& records) {
  world_->Count("records of unknown attempts");
  std::vector<WorkerRecord> unknown = records;
  for (WorkerRecord& record : unknown) {
    AttemptId& attempt = record.ref.attempt;
    switch (world_->rng().Below(3)) {
      case 0:
        attempt.number += 1 + static_cast<uint32_t>(world_->rng().Below(1000));
        break;
      case 1:
        attempt.trial.number += 1'000'000;
        break;
      default:
        attempt.trial.sweep = SweepId(attempt.trial.sweep.value + 1'000);
        break;
    }
  }
  network_->SendUp(session_, std::move(unknown));
}

void Daemon::CheckDevices(const SendAssign& assign) {
  for (const auto& [ref, process] : processes_) {
    if (ref.attempt.trial == assign.ref.attempt.trial) {
      return world_->Fail("two processes of trial " + NameOf(ref) + " on " + machine_.name);
    }
  }
  for (const std::string& device : assign.devices) {
    for (const DeviceInfo& one : held_) {
      if (one.uuid == device) return world_->Fail("a process starts on " + device + ", whose memory is not back");
    }
    double used = ShareOf(assign);
    for (const auto& [ref, process] : processes_) {
      const auto& held = process.assign.devices;
      if (std::find(held.begin(), held.end(), device) != held.end()) used += ShareOf(process.assign);
    }
    if (used > 1 + 1e-6) return world_->Fail("processes need more than the whole of " + device);
  }
}

void Daemon::Do(const Spawn& spawn) {
  using Fate = Process::Fate;
  const AttemptRef ref = spawn.assign.ref;
  CheckDevices(spawn.assign);
  const std::vector<std::string>& devices = spawn.assign.devices;
  const bool has_devices = std::all_of(devices.begin(), devices.end(), [this](const std::string& device) {
    for (int i = 0; i < machine_.gpus; ++i) {
      if (device == machine_.name + "-gpu" + std::to_string(i)) return true;
    }
    return false;
  });
  Process process;
  process.assign = spawn.assign;
  process.number = ++processes_started_;
  process.rng = Rng::ForLabels({options_->seed, ref.attempt.trial.sweep.value, ref.attempt.trial.number,
                                ref.attempt.number});
  if (const auto found = resume_steps_.find(ref); found != resume_steps_.end()) {
    process.step = found->second;
    resume_steps_.erase(found);
  }
  process.steps = process.step + process.rng.IntInclusive(2, 9);
  // The same for all attempts of the trial.
  const TrialId trial = ref.attempt.trial;
  constexpr uint64_t kStreamCheckpoints = 0x636b7074;
  process.checkpoints =
      Rng::ForLabels({options_->seed, trial.sweep.value, trial.number, kStreamCheckpoints}).Uniform() <
      options_->trial_checkpoints;
  process.ignores_term = process.rng.Uniform() < options_->trial_ignores_term;
  // The first chance that hits.
  double x = process.rng.Uniform();
  const std::pair<double, Fate> fates[] = {{options_->trial_start_fails, Fate::kStartFails},
                                           {options_->trial_crashes, Fate::kCrashes},
                                           {options_->trial_hangs, Fate::kHangs},
                                           {options_->trial_not_a_number, Fate::kNotANumber},
                                           {options_->trial_doubles, Fate::kDoubles},
                                           {options_->trial_floods, Fate::kFloods}};
  for (const auto& [chance, fate] : fates) {
    if (x < chance) {
      process.fate = fate;
      break;
    }
    x -= chance;
  }
  world_->Trace(200, {ref.epoch.value, static_cast<uint64_t>(process.fate)});
  world_->Log([&] { return machine_.name + " spawns " + NameOf(ref) + " fate " + std::to_string(int(process.fate)); });
  if (process.fate == Fate::kHangs) process.ignores_term = true;
  if (!has_devices) process.fate = Fate::kStartFails;
  processes_[ref] = std::move(process);
  Later(ref, world_->Between(Milliseconds(5), Milliseconds(300)), [this, ref](Process* p) {
    if (p->fate == Fate::kStartFails) {
      processes_.erase(ref);
      model_->OnStartFailed(ref, "no such program: train.py", Now());
      return Pump();
    }
    model_->OnStarted(ref, Now());
    Pump();
    if (p->fate == Fate::kHangs) {
      Later(ref, world_->Between(Seconds(30), Seconds(200)), [this, ref](Process*) { Exit(ref, 0, 0); });
    } else {
      Later(ref, world_->Between(options_->epoch_min, options_->epoch_max), [this, ref](Process* q) { Epoch(ref, q); });
    }
  });
}

void Daemon::Do(const FindResume& find) {
  std::vector<StoredCheckpoint> candidates = find.assign.checkpoints;
  // What it has taken over from another trial is not mixed with its own past.
  std::erase_if(checkpoints_[find.assign.ref.attempt.trial],
                [&](const StoredCheckpoint& one) { return one.attempt < find.assign.first_attempt; });
  for (const StoredCheckpoint& one : candidates) {
    if (one.attempt < find.assign.first_attempt) {
      return world_->Fail("a checkpoint of the past is given to trial " + NameOf(find.assign.ref));
    }
  }
  for (const StoredCheckpoint& one : checkpoints_[find.assign.ref.attempt.trial]) {
    if (one.step <= find.assign.last_step) candidates.push_back(one);
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const StoredCheckpoint& a, const StoredCheckpoint& b) { return OlderCheckpoint(b, a); });
  TryResume(find.assign, std::move(candidates), 0);
}

void Daemon::TryResume(const SendAssign& assign, std::vector<StoredCheckpoint> candidates, size_t index) {
  Later(world_->Between(Milliseconds(1), Seconds(3)), [this, assign, candidates = std::move(candidates), index] {
    const AttemptRef& ref = assign.ref;
    int64_t step = 0;
    if (index < candidates.size()) {
      const StoredCheckpoint& one = candidates[index];
      std::vector<StoredCheckpoint>& mine = checkpoints_[ref.attempt.trial];
      const bool local = std::any_of(mine.begin(), mine.end(), [&](const StoredCheckpoint& other) {
        return other.attempt == one.attempt && other.step == one.step;
      });
      if (!local) {
        if (!controller_->up()) return TryResume(assign, candidates, index);
        if (!controller_->HasCheckpoint(ref.attempt.trial, one)) return TryResume(assign, candidates, index + 1);
      }
      // What is newer was never heard of.
      std::erase_if(mine, [&](const StoredCheckpoint& other) { return !OlderCheckpoint(other, one); });
      mine.push_back(one);
      step = one.step;
    }
    world_->Log([&] { return machine_.name + " resumes " + NameOf(ref) + " from step " + std::to_string(step); });
    resume_steps_[ref] = step;
    model_->OnResumeFound(ref, step, Now());
    Pump();
  });
}

void Daemon::Do(const SaveCheckpoint& save) {
  const StoredCheckpoint checkpoint{save.ref.attempt.number, save.step, "checkpoint", 100, "digest"};
  if (world_->Chance(options_->checkpoint_lost)) return;
  Later(world_->Between(Milliseconds(10), Seconds(6)), [this, ref = save.ref, checkpoint] {
    // The copy needs the machine and the network for as long as it takes.
    if (session_) controller_->StoreCheckpoint(ref, checkpoint);
  });
}

void Daemon::Epoch(const AttemptRef& ref, Process* process) {
  using Fate = Process::Fate;
  if (process->dying) return;
  if (model_->Full(ref)) {
    // Nobody reads what it writes, so it waits.
    world_->Count("trials not read for a while");
    return Later(ref, Milliseconds(500), [this, ref](Process* p) { Epoch(ref, p); });
  }
  ++process->step;
  if (process->fate == Fate::kCrashes && process->step == 2) return Exit(ref, 1, 0);
  double loss = CurveAt(process->assign, process->step);
  if (process->fate == Fate::kNotANumber) loss = std::numeric_limits<double>::quiet_NaN();
  const std::vector<NamedMetric> metrics = {{"loss", loss}, {"accuracy", 1 - loss}};
  const int times = process->fate == Fate::kDoubles ? 2 : 1;
  const bool last = process->step >= process->steps;
  const std::string checkpoint = process->checkpoints && process->step % 2 == 0 ? "checkpoint" : "";
  if (!checkpoint.empty()) {
    std::vector<StoredCheckpoint>& kept = checkpoints_[ref.attempt.trial];
    StoredCheckpoint fresh{ref.attempt.number, process->step, checkpoint, 100, "digest"};
    std::erase_if(kept, [&](const StoredCheckpoint& one) { return !OlderCheckpoint(one, fresh); });
    kept.push_back(std::move(fresh));
  }
  for (int i = 0; i < times; ++i) model_->OnReport(ref, process->step, metrics, checkpoint, Now());
  if (process->fate == Fate::kFloods) {
    world_->Count("floods");
    constexpr int kLines = 50;
    for (int i = 0; i < kLines; ++i) model_->OnLog(ref, "and another line\n", Now());
  }
  if (process->step % 3 == 0) model_->OnLog(ref, "step done\n", Now());
  Pump();
  if (last) return Later(ref, Milliseconds(10), [this, ref](Process*) { Exit(ref, 0, 0); });
  Later(ref, world_->Between(options_->epoch_min, options_->epoch_max), [this, ref](Process* p) { Epoch(ref, p); });
}

void Daemon::Exit(const AttemptRef& ref, int32_t exit_code, int32_t signal) {
  const auto it = processes_.find(ref);
  if (it == processes_.end() || it->second.dying) return;
  it->second.dying = true;
  // Until the tree is gone.
  Later(ref, world_->Between(Milliseconds(1), Milliseconds(500)), [this, ref, exit_code, signal](Process* p) {
    const SendAssign assign = p->assign;
    processes_.erase(ref);
    HandOver(assign);
    model_->OnTreeGone(ref, exit_code, signal, Now());
    Pump();
  });
}

void Daemon::HandOver(const SendAssign& assign) {
  for (const std::string& uuid : assign.devices) {
    if (!world_->Chance(options_->device_late)) continue;
    world_->Log([&] { return machine_.name + " waits for the memory of " + uuid; });
    ChangeDevice(uuid, DeviceState::kReturning);
    const Duration back = world_->Between(Milliseconds(50), Seconds(90));
    const Duration limit = Milliseconds(kDeviceReleaseMsMax);
    if (back > limit) Later(limit, [this, uuid] { ChangeDevice(uuid, DeviceState::kQuarantined); });
    Later(back, [this, uuid] { ChangeDevice(uuid, DeviceState::kReady); });
  }
}

void Daemon::ChangeDevice(const std::string& uuid, DeviceState state) {
  std::erase_if(held_, [&](const DeviceInfo& one) { return one.uuid == uuid; });
  if (state != DeviceState::kReady) held_.push_back({uuid, "", 0, 0, state, "1.0 GiB are in use"});
  // BEFORE the records of what it makes the daemon do.
  TellDevices();
  model_->OnDevices(held_, world_->now());
  Pump();
}

void Daemon::TellDevices() {
  if (session_) network_->SendUp(session_, DevicesMessage{held_});
}

void Daemon::Do(const Signal& signal) {
  const auto it = processes_.find(signal.ref);
  if (it == processes_.end()) return;
  if (signal.kill) return Exit(signal.ref, 0, 9);
  if (!it->second.ignores_term) Exit(signal.ref, 143, 0);
}

void Daemon::Do(const Store& store) {
  const WorkerRecord& record = store.record;
  checker_->OnStored(record);
  if (world_->now() < spool_full_until_ || unsaved_.contains(record.ref)) {
    world_->Count("records that a full spool lacks");
    unsaved_.emplace(record.ref, std::pair(record.sequence, record.sequence)).first->second.second = record.sequence;
    return;
  }
  spool_[record.ref].push_back(record);
}

}  // namespace tunesmith::sim
