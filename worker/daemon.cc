#include "worker/daemon.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <set>
#include <utility>

#include "common/drawn_id.h"
#include "common/log.h"
#include "common/text.h"
#include "worker/link/convert.h"
#include "worker/process/files.h"
#include "worker/process/replace.h"

extern char** environ;

namespace tunesmith::worker {
namespace {

constexpr int64_t kLastAcksMsMax =
    5'000;  // at the end, for the controller to take over the last records

constexpr int kTryProgramMsMax = 5'000;  // no heartbeat goes out meanwhile

constexpr int64_t kLastCheckpointsMsMax = 30'000;  // the same for copies of checkpoints

// For files that nobody needs any more: after an attempt, and in any case.
constexpr int64_t kLookSoonMs = 5'000;
constexpr int64_t kLookMs = 60'000;

int64_t ClockMs(clockid_t clock) {
  timespec t = {};
  clock_gettime(clock, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1'000'000;
}

std::map<std::string, std::string> Environment() {
  std::map<std::string, std::string> env;
  for (char** line = environ; line != nullptr && *line != nullptr; ++line) {
    const std::string text = *line;
    const size_t equals = text.find('=');
    if (equals != std::string::npos && equals > 0)
      env[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return env;
}

}  // namespace

struct Daemon::Wire {
  static void Handle(Daemon* d, const v1::ControllerMessage& message, Time now);
  static v1::WorkerMessage MakeHello(const Daemon* d);
  static v1::WorkerMessage MakeDevices(const Daemon* d);
  static void FillHeld(const HeldDevice& held, v1::Device* device);
};

Daemon::Daemon(DaemonOptions options) : options_(std::move(options)) {}

Daemon::~Daemon() {
  link_.reset();
  leftovers_.reset();
  mover_.reset();
  supervisor_.reset();
  for (int fd : {lock_fd_, wake_fd_, signal_fd_}) {
    if (fd >= 0) close(fd);
  }
}

StatusOr<std::unique_ptr<Daemon>> Daemon::Create(DaemonOptions options, std::optional<HandOn> handed_on) {
  std::unique_ptr<Daemon> daemon(new Daemon(std::move(options)));
  TS_RETURN_IF_ERROR(daemon->Init(std::move(handed_on)));
  return daemon;
}

Status Daemon::Init(std::optional<HandOn> handed_on) {
  wall_offset_ms_ = ClockMs(CLOCK_REALTIME) - ClockMs(CLOCK_BOOTTIME);
  boot_id_ = RandomHex(8);
  std::optional<ProcessesSnapshot> trials;
  if (handed_on.has_value()) {
    boot_id_ = handed_on->boot_id;
    wall_offset_ms_ = handed_on->wall_offset_ms;
    welcomed_ever_ = handed_on->welcomed_ever;
    lock_fd_ = handed_on->lock_fd;
    fcntl(lock_fd_, F_SETFD, FD_CLOEXEC);
    trials = std::move(handed_on->processes);
    agent_.Adopt(std::move(handed_on->agent));
  }
  wake_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  signal_fd_ = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  if (wake_fd_ < 0 || signal_fd_ < 0) return ErrnoStatus(errno, "cannot make an event descriptor");
  TS_RETURN_IF_ERROR(Annotate(MakeFolder(options_.state_dir), "--state-dir"));
  if (!handed_on.has_value()) TS_RETURN_IF_ERROR(LockStateDir());
  TS_RETURN_IF_ERROR(FindGpus());
  TS_RETURN_IF_ERROR(StartSupervisor(std::move(trials)));
  TS_RETURN_IF_ERROR(RestoreSpool());

  LinkOptions link;
  link.controller = options_.controller;
  link.tls_ca = options_.tls_ca;
  link.tls_certificate = options_.tls_certificate;
  link.tls_key = options_.tls_key;
  link.jitter_seed = std::strtoull(boot_id_.c_str(), nullptr, 16);
  link.wake = [fd = wake_fd_] {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = write(fd, &one, sizeof one);
  };
  TS_ASSIGN_OR_RETURN(transport_, GrpcTransport::Create(link));
  const std::string trials_root = options_.state_dir + "/trials";
  mover_ = std::make_unique<CheckpointMover>(trials_root, transport_.get(), link.wake);
  leftovers_ = std::make_unique<Leftovers>(trials_root, [transport = transport_.get()](const auto&... about) {
    return transport->Review(about...);
  });
  TS_ASSIGN_OR_RETURN(link_, Link::Start(std::move(link)));
  if (handed_on.has_value()) {
    spool_->set_missing(std::move(handed_on->not_spooled));
    for (const SaveCheckpoint& save : handed_on->saves) mover_->Save(save);
    Log(LogLevel::kInfo, "trials_taken_over",
        {{"version", TUNESMITH_VERSION},
         {"running", static_cast<uint64_t>(supervisor_->running())},
         {"attempts", static_cast<uint64_t>(agent_.open())}});
  }
  Log(LogLevel::kInfo, "worker_started",
      {{"name", options_.name},
       {"controller", options_.controller},
       {"cpus", options_.cpus},
       {"gpus", static_cast<uint64_t>(gpus_.size())},
       {"state_dir", options_.state_dir}});
  return OkStatus();
}

Status Daemon::StartSupervisor(std::optional<ProcessesSnapshot> trials) {
  SupervisorOptions processes;
  processes.state_dir = options_.state_dir;
  TS_ASSIGN_OR_RETURN(processes.instance, IdInFile(options_.state_dir + "/instance"));
  processes.trainer = options_.trainer;
  processes.ranks_starter = options_.ranks_starter;
  processes.inherited_env = Environment();
  processes.use_cgroups = options_.use_cgroups;
  processes.gpus = driver_.get();
  processes.device_release = Milliseconds(options_.gpu_release_ms);
  if (trials.has_value()) {
    TS_ASSIGN_OR_RETURN(supervisor_, Supervisor::Adopt(std::move(processes), &agent_, *std::move(trials), Now()));
    return OkStatus();
  }
  TS_ASSIGN_OR_RETURN(supervisor_, Supervisor::Create(std::move(processes), &agent_, Now()));
  if (supervisor_->leftovers_killed() > 0) {
    Log(LogLevel::kWarning, "leftovers_ended", {{"processes", supervisor_->leftovers_killed()}});
  }
  return OkStatus();
}

Status Daemon::LockStateDir() {
  const std::string path = options_.state_dir + "/lock";
  lock_fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_fd_ < 0) return ErrnoStatus(errno, "cannot open " + path);
  if (flock(lock_fd_, LOCK_EX | LOCK_NB) != 0) {
    const auto owner = ReadFile(path);
    const std::string pid = owner.ok() && !owner->empty() ? " (pid " + *owner + ")" : "";
    return FailedPrecondition("another tunesmith-worker" + pid + " uses " + options_.state_dir +
                              "; stop it, or give this one another --state-dir and --name");
  }
  const std::string pid = std::to_string(getpid());
  if (ftruncate(lock_fd_, 0) != 0 || write(lock_fd_, pid.data(), pid.size()) < 0) {
    return ErrnoStatus(errno, "cannot write " + path);
  }
  return OkStatus();
}

Status Daemon::FindGpus() {
  if (options_.gpus == "none") return OkStatus();
  auto driver = OpenNvml(options_.nvml_library);
  if (!driver.ok()) {
    if (options_.gpus != "auto") return Annotate(driver.status(), "--gpus " + options_.gpus);
    const bool broken = driver.status().code() != StatusCode::kUnavailable;
    Log(broken ? LogLevel::kWarning : LogLevel::kInfo, "no_gpus",
        {{"reason", Message(driver.status())}});
    return OkStatus();
  }
  driver_ = *std::move(driver);
  const char* mask = std::getenv("CUDA_VISIBLE_DEVICES");
  TS_ASSIGN_OR_RETURN(
      gpus_, ChooseGpus(driver_->All(), options_.gpus,
                        mask == nullptr ? std::nullopt : std::optional<std::string>(mask)));
  return OkStatus();
}

Status Daemon::RestoreSpool() {
  TS_ASSIGN_OR_RETURN(Spool spool, Spool::Open(options_.state_dir + "/spool"));
  spool_.emplace(std::move(spool));
  TS_ASSIGN_OR_RETURN(auto left, spool_->Load());
  for (auto& [key, attempt] : left) {
    if (agent_.Knows(key)) continue;
    Log(LogLevel::kWarning, "attempt_was_cut_short",
        {{"attempt", KeyText(key)}, {"records", static_cast<uint64_t>(attempt.records.size())}});
    agent_.Restore(key, std::move(attempt.records), attempt.last_sequence);
  }
  return OkStatus();
}

Time Daemon::Now() const { return Time{ClockMs(CLOCK_BOOTTIME) + wall_offset_ms_}; }

Status Daemon::Run() {
  while (true) {
    const Time now = Now();
    TakeSignals(now);
    TakeLinkEvents(now);
    supervisor_->Run(now);
    for (const auto& [key, resume] : mover_->TakeResumes()) agent_.OnResumeFound(key, resume, now);
    agent_.Tick(now);
    if (now >= stop_all_at_) {
      stop_all_at_ = kTimeNever;
      agent_.StopAll("the worker was asked to leave", false, now);
    }
    Carry(now);
    SendWhatIsDue(now);
    LookForLeftovers(now);
    if (std::exchange(replace_asked_, false)) HandOver(now);
    if (MayLeave(now)) break;
    Wait(now);
  }
  Log(LogLevel::kInfo, "worker_leaves", {{"unacknowledged", static_cast<uint64_t>(agent_.open())}});
  return OkStatus();
}

void Daemon::Wait(Time now) {
  Time deadline =
      std::min({agent_.NextDeadline(), supervisor_->NextDeadline(), stop_all_at_, leave_at_});
  if (welcomed_) deadline = std::min({deadline, heartbeat_at_, look_at_});
  const int64_t wait_ms =
      deadline == kTimeNever ? 60'000 : std::clamp<int64_t>(deadline.ms - now.ms, 0, 60'000);
  pollfd fds[] = {{wake_fd_, POLLIN, 0}, {signal_fd_, POLLIN, 0}, {supervisor_->fd(), POLLIN, 0}};
  poll(fds, 3, static_cast<int>(wait_ms));
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t n = read(wake_fd_, &count, sizeof count);
}

void Daemon::TakeSignals(Time now) {
  signalfd_siginfo info = {};
  while (read(signal_fd_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo == SIGHUP && !options_.parent_death) {
      replace_asked_ = true;
      continue;
    }
    ++stop_signals_;
    Log(LogLevel::kInfo, "asked_to_leave",
        {{"signal", static_cast<uint32_t>(info.ssi_signo)},
         {"running", static_cast<uint64_t>(agent_.running())},
         {"time", std::to_string(stop_signals_)}});
    agent_.set_draining();
    heartbeat_at_ = now;  // the controller should know at once
    if (stop_signals_ == 1) {
      stop_all_at_ = now + Milliseconds(options_.drain_timeout_ms);
    } else {
      stop_all_at_ = kTimeNever;
      agent_.StopAll("the worker was asked to leave at once", true, now);
    }
  }
}

void Daemon::TakeLinkEvents(Time now) {
  for (const Link::Event& event : link_->TakeEvents()) {
    if (const auto* opened = std::get_if<Link::Opened>(&event)) {
      session_ = opened->session;
      welcomed_ = false;
      link_busy_ = true;
      link_->Send(session_, Wire::MakeHello(this));
      devices_told_ = agent_.devices_version();
    } else if (const auto* received = std::get_if<Link::Received>(&event)) {
      if (received->session == session_) Wire::Handle(this, received->message, now);
    } else if (const auto* drained = std::get_if<Link::Drained>(&event)) {
      if (drained->session == session_) link_busy_ = false;
    } else {
      const auto& closed = std::get<Link::Closed>(event);
      if (welcomed_) agent_.OnDisconnected(now);
      welcomed_ = false;
      session_ = 0;
      const std::string trouble =
          closed.status.ok() ? "the controller closed the stream" : Message(closed.status);
      Log(trouble == last_trouble_ ? LogLevel::kDebug : LogLevel::kWarning, "no_connection",
          {{"controller", options_.controller},
           {"reason", trouble},
           {"next_try_ms", closed.next_try.ms}});
      last_trouble_ = trouble;
    }
  }
}

void Daemon::Wire::Handle(Daemon* d, const v1::ControllerMessage& message, Time now) {
  switch (message.kind_case()) {
    case v1::ControllerMessage::kWelcome: {
      const v1::Welcome& welcome = message.welcome();
      d->welcomed_ = d->welcomed_ever_ = true;
      d->last_trouble_.clear();
      if (welcome.heartbeat_ms() > 0) d->heartbeat_ = Milliseconds(welcome.heartbeat_ms());
      d->heartbeat_at_ = now + d->heartbeat_;
      d->controller_id_ = welcome.controller_id();
      d->look_at_ = now + Milliseconds(kLookSoonMs);
      const int64_t lease_ms = welcome.lease_ms() > 0 ? welcome.lease_ms() : kLeaseMs;
      Log(LogLevel::kInfo, "connected",
          {{"controller", d->options_.controller},
           {"attempts", static_cast<uint64_t>(d->agent_.open())}});
      d->agent_.OnWelcome(Milliseconds(lease_ms), FromProto(welcome), now);
      break;
    }
    case v1::ControllerMessage::kAssign:
      d->agent_.OnAssign(FromProto(message.assign(), d->controller_id_), now);
      break;
    case v1::ControllerMessage::kStop:
      d->agent_.OnStop(FromProto(message.stop().attempt()), message.stop().reason(),
                       message.stop().now(), now);
      break;
    case v1::ControllerMessage::kAck: {
      const AttemptKey key = FromProto(message.ack().attempt());
      d->spool_->OnAck(key, message.ack().sequence());
      d->agent_.OnAck(key, message.ack().sequence(), now);
      break;
    }
    case v1::ControllerMessage::kVerdict: {
      const v1::VerdictFor& verdict = message.verdict();
      const bool stop = verdict.verdict().action() == v1::Verdict::STOP ||
                        verdict.verdict().action() == v1::Verdict::PAUSE;
      d->agent_.OnVerdict(FromProto(verdict.attempt()), verdict.sequence(), stop,
                          verdict.verdict().reason());
      break;
    }
    case v1::ControllerMessage::kDrain:
      d->agent_.OnDrain(message.drain().stop_running(), now);
      break;
    case v1::ControllerMessage::KIND_NOT_SET:
      Log(LogLevel::kWarning, "unknown_message",
          {{"hint", "the controller is newer than this worker"}});
      break;
  }
}

// What the agent wants; some of it makes it want more.
void Daemon::Carry(Time now) {
  for (auto outputs = agent_.TakeOutputs(); !outputs.empty(); outputs = agent_.TakeOutputs()) {
    for (Output& output : outputs) {
      if (auto* spawn = std::get_if<Spawn>(&output)) {
        supervisor_->Start(std::move(spawn->assignment), now);
      } else if (auto* find = std::get_if<FindResume>(&output)) {
        mover_->Find(std::move(find->assignment));
      } else if (const auto* cancel = std::get_if<CancelFind>(&output)) {
        mover_->CancelFind(cancel->key);
      } else if (const auto* save = std::get_if<SaveCheckpoint>(&output)) {
        mover_->Save(*save);
      } else if (const auto* signal = std::get_if<SignalTree>(&output)) {
        supervisor_->SignalTree(signal->key, signal->kill, now);
      } else if (const auto* tell = std::get_if<TellTrial>(&output)) {
        supervisor_->Tell(tell->key, tell->step, tell->stop, tell->reason);
      } else if (const auto* store = std::get_if<Store>(&output)) {
        const Status stored = spool_->Append(*store->record);
        // In memory it is safe from everything but the daemon's own death.
        if (!stored.ok())
          Log(LogLevel::kWarning, "spool_not_written", {{"reason", Message(stored)}});
      } else {
        spool_->Remove(std::get<Forget>(output).key);
        look_at_ = std::min(look_at_, now + Milliseconds(kLookSoonMs));
      }
    }
  }
}

void Daemon::SendWhatIsDue(Time now) {
  if (!welcomed_) return;
  if (now >= heartbeat_at_) {
    v1::WorkerMessage message;
    message.mutable_heartbeat()->set_draining(agent_.draining());
    link_->Send(session_, std::move(message));
    heartbeat_at_ = now + heartbeat_;
  }
  // BEFORE the records: an end frees what it leaves held for nobody.
  if (agent_.devices_version() != devices_told_) {
    link_->Send(session_, Wire::MakeDevices(this));
    devices_told_ = agent_.devices_version();
  }
  if (link_busy_) return;
  const std::vector<RecordPtr> records = agent_.TakeRecords(kRecordsPerMessageMax);
  if (records.empty()) return;
  v1::WorkerMessage message;
  for (const RecordPtr& record : records)
    *message.mutable_records()->add_records() = ToProto(*record);
  link_busy_ = true;
  link_->Send(session_, std::move(message));
}

void Daemon::LookForLeftovers(Time now) {
  // Controllers that give no id know nothing of this.
  if (!welcomed_ || controller_id_.empty() || now < look_at_) return;
  look_at_ = now + Milliseconds(kLookMs);
  std::set<TrialId> open;
  for (const AttemptKey& key : agent_.HelloAttempts()) open.insert(key.id.trial);
  leftovers_->Look(controller_id_, std::move(open));
}

bool Daemon::MayLeave(Time now) {
  if (stop_signals_ == 0 || agent_.running() > 0) return false;
  // Checkpoints of what was stopped are given away first, so that it can go on elsewhere.
  if (agent_.open() == 0 && !mover_->saving()) return true;
  if (leave_at_ == kTimeNever) {
    leave_at_ = now + Milliseconds(mover_->saving() ? kLastCheckpointsMsMax : kLastAcksMsMax);
  }
  return now >= leave_at_;
}

void Daemon::HandOver(Time now) {
  if (stop_signals_ > 0) {
    Log(LogLevel::kWarning, "not_replaced", {{"reason", "this worker was asked to leave"}});
    return;
  }
  // Once it has taken this one's place, it is too late to find that it is none.
  std::vector<std::string> trial_run = options_.arguments;
  trial_run.insert(trial_run.end(), {"--can-take-over", std::to_string(kHandOnFormat)});
  Status replaced = TryProgram(options_.program, trial_run, kTryProgramMsMax);
  if (replaced.ok()) {
    const HandOn hand_on{boot_id_,
                         wall_offset_ms_,
                         welcomed_ever_,
                         lock_fd_,
                         agent_.Snapshot(now),
                         supervisor_->Snapshot(),
                         mover_->Unsaved(),
                         spool_->missing()};
    Log(LogLevel::kInfo, "worker_is_replaced",
        {{"program", options_.program}, {"running", static_cast<uint64_t>(supervisor_->running())}});
    replaced = BecomeProgram(options_.program, options_.arguments, EncodeHandOn(hand_on), hand_on.Descriptors());
  }
  Log(LogLevel::kError, "not_replaced",
      {{"reason", Message(replaced)},
       {"hint", "this program goes on and its trials with it; put one there that runs, and send SIGHUP again"}});
}

void Daemon::Wire::FillHeld(const HeldDevice& held, v1::Device* device) {
  device->set_uuid(held.uuid);
  device->set_state(held.quarantined ? v1::Device::QUARANTINED : v1::Device::RETURNING);
  device->set_state_reason(ValidUtf8(held.reason));
}

v1::WorkerMessage Daemon::Wire::MakeDevices(const Daemon* d) {
  v1::WorkerMessage message;
  v1::HeldDevices* devices = message.mutable_held_devices();
  for (const HeldDevice& held : d->agent_.held_devices()) FillHeld(held, devices->add_devices());
  return message;
}

v1::WorkerMessage Daemon::Wire::MakeHello(const Daemon* d) {
  v1::WorkerMessage message;
  v1::Hello* hello = message.mutable_hello();
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  hello->set_name(ValidUtf8(d->options_.name));
  hello->set_boot_id(d->boot_id_);
  hello->set_host(ValidUtf8(host));
  hello->set_version(TUNESMITH_VERSION);
  hello->set_cpus(d->options_.cpus);
  for (const Gpu& gpu : d->gpus_) {
    v1::Device* device = hello->add_devices();
    device->set_uuid(gpu.uuid);
    device->set_name(gpu.name);
    device->set_index(gpu.index);
    device->set_memory_bytes(gpu.memory_bytes);
    device->set_state(v1::Device::READY);
    for (const HeldDevice& held : d->agent_.held_devices()) {
      if (held.uuid == gpu.uuid) FillHeld(held, device);
    }
  }
  for (const auto& [key, value] : d->options_.labels)
    (*hello->mutable_labels())[ValidUtf8(key)] = ValidUtf8(value);
  for (const AttemptKey& key : d->agent_.HelloAttempts()) *hello->add_attempts() = ToProto(key);
  hello->set_draining(d->agent_.draining());
  hello->set_reconnects(d->welcomed_ever_);
  return message;
}

}  // namespace tunesmith::worker
