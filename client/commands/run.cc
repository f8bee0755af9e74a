// run, submit, watch: starting sweeps and following them.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>

#include "client/api/connection.h"
#include "client/api/convert.h"
#include "client/commands/commands.h"
#include "client/commands/report.h"
#include "client/commands/watch_loop.h"
#include "client/exit_codes.h"
#include "client/signals.h"
#include "spec/wire.h"

namespace tunesmith {
namespace {

constexpr int64_t kWorkerConnectMs =
    5'000;  // then `run` goes on and the table says what is missing
constexpr int64_t kPollMs = 20;

StatusOr<v1::Sweep> Create(Client* client, const SweepSpec& spec) {
  v1::CreateSweepRequest request;
  request.set_request_id(NewRequestId());
  if (!request.mutable_spec()->ParseFromString(SweepSpecToWire(spec)))
    return Internal("the sweep can't be encoded");
  return client->CreateSweep(request);
}

// Tells when a --timeout can't be read.
std::optional<int64_t> TimeoutMs(const std::string& text) {
  if (text.empty()) return 0;
  const auto ms = ParseDuration(text);
  if (!ms.has_value())
    Say("tunesmith: --timeout " + text + " is not a duration; write 90s, 10m, 2h or 1h30m");
  return ms;
}

std::string Progress(const v1::Sweep& sweep) {
  const v1::Sweep::Counts& counts = sweep.counts();
  return std::to_string(counts.completed() + counts.stopped() + counts.failed() +
                        counts.cancelled()) +
         " of " + std::to_string(counts.target()) + " trials have ended";
}

// Earlier sweeps that a killed or interrupted run left behind must not take this run's places: they
// pause until someone continues them.
Status PauseUnfinished(Client* client, const std::string& except, bool quiet) {
  std::vector<v1::Sweep> unfinished;
  TS_RETURN_IF_ERROR(client->ForEachSweep([&](const v1::Sweep& sweep) {
    const bool open = sweep.state() == v1::Sweep::ACTIVE || sweep.state() == v1::Sweep::PAUSED;
    if (open && sweep.id() != except) unfinished.push_back(sweep);
    return true;
  }));
  for (const v1::Sweep& sweep : unfinished) {
    if (sweep.state() == v1::Sweep::ACTIVE)
      TS_RETURN_IF_ERROR(client->PauseSweep(sweep.id()).status());
    if (!quiet) {
      Say("sweep " + sweep.id() + " is unfinished (" + Progress(sweep) +
          "); continue it with `tunesmith run --resume " + sweep.id() + "`");
    }
  }
  return OkStatus();
}

// Waits until the worker of this machine has connected, so that its devices are known.
std::optional<v1::Worker> LocalWorker(Connection* connection) {
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(kWorkerConnectMs);
  while (std::chrono::steady_clock::now() < deadline) {
    const auto workers = connection->client().ListWorkers();
    if (!workers.ok()) return std::nullopt;
    for (const v1::Worker& worker : workers->workers()) {
      if (worker.name() == LocalStack::kWorkerName && worker.state() != v1::Worker::OFFLINE)
        return worker;
    }
    connection->local()->WatchWorker();
    std::this_thread::sleep_for(std::chrono::milliseconds(kPollMs));
  }
  return std::nullopt;
}

std::string DeviceNames(const v1::Worker& worker) {
  std::string names = worker.devices(0).name();
  if (worker.devices_size() > 1) names = std::to_string(worker.devices_size()) + " x " + names;
  return names;
}

// Which device the trials get, and why.
std::string DeviceText(const v1::SweepSpec& spec, const v1::Worker& worker) {
  const std::string cpu =
      "the CPU (" + std::to_string(worker.cpus()) + (worker.cpus() == 1 ? " slot" : " slots") + ")";
  if (spec.resources().gpus() == 0) return "device: " + cpu + "; the sweep asks for no GPU";
  if (worker.devices_size() > 0) return "device: GPU (" + DeviceNames(worker) + ")";
  if (spec.resources().gpus_optional())
    return "device: " + cpu + "; this machine has no NVIDIA GPU to offer";
  return "device: none yet; the sweep asks for a GPU and this machine has none "
         "(resources.gpus_optional: true runs it on the CPU)";
}

// Ctrl-C: nothing new starts, what runs is stopped with its checkpoint and can be continued.
std::string InterruptLocal(Connection* connection, const std::string& sweep) {
  const Status paused = connection->client().PauseSweep(sweep).status();
  if (!connection->local()->owner()) {
    return "pausing; trials that run go on in the other `tunesmith run`, which owns the worker";
  }
  connection->local()->DismissWorker();
  if (!paused.ok()) return "stopping ...";
  return "stopping: trials get SIGTERM and their grace period (Ctrl-C again ends them at once) ...";
}

class RunJob {
 public:
  RunJob(const Settings& settings, const RunFlags& flags, int64_t timeout_ms)
      : settings_(settings), flags_(flags), timeout_ms_(timeout_ms), out_(STDOUT_FILENO) {}

  int Run(std::optional<SweepSpec> spec) {
    auto opened = Connection::Open(settings_, Need::kRun);
    if (!opened.ok()) return Fail(opened.status());
    connection_ = *std::move(opened);
    if (LocalStack* local = connection_->local()) {
      const Status status = Prepare(local);
      if (!status.ok()) return Fail(status);
    }
    const StatusOr<v1::Sweep> sweep =
        spec.has_value() ? Create(&connection_->client(), *spec) : Resume();
    if (!sweep.ok()) return Fail(sweep.status());
    Announce(*sweep);
    if (flags_.detach) return Detached(*sweep);
    if (LocalStack* local = connection_->local()) {
      const Status status = local->StartWorker();
      if (!status.ok()) return Fail(status);
    }
    SayDevice(*sweep);
    return Follow(*sweep);
  }

 private:
  // Before the worker starts: whatever was left behind waits, and the worker is welcome again.
  Status Prepare(LocalStack* local) {
    if (!local->owner()) return OkStatus();
    if (!flags_.resume.empty()) {
      TS_ASSIGN_OR_RETURN(const v1::Sweep sweep,
                          ResolveSweep(&connection_->client(), flags_.resume));
      resume_id_ = sweep.id();
    }
    TS_RETURN_IF_ERROR(PauseUnfinished(&connection_->client(), resume_id_, settings_.quiet));
    // A worker that was drained by hand, or that failed to start trials, gets another chance.
    const Status status = connection_->client().UndrainWorker(LocalStack::kWorkerName).status();
    return status.code() == StatusCode::kNotFound ? OkStatus() : status;
  }

  StatusOr<v1::Sweep> Resume() {
    TS_ASSIGN_OR_RETURN(v1::Sweep sweep, ResolveSweep(&connection_->client(), flags_.resume));
    if (HasEnded(sweep)) {
      return FailedPrecondition("sweep " + sweep.id() + " has ended (" + StateWord(sweep.state()) +
                                ": " + sweep.state_reason() + "); there is nothing to continue");
    }
    if (sweep.state() == v1::Sweep::PAUSED) return connection_->client().ResumeSweep(sweep.id());
    return sweep;
  }

  void Announce(const v1::Sweep& sweep) {
    if (settings_.quiet) {
      out_.Write(sweep.id() + "\n");
      out_.Flush();
      return;
    }
    const std::string verb = flags_.resume.empty() ? "started" : "continued";
    const std::string where = connection_->local() == nullptr
                                  ? " at " + connection_->client().address()
                                  : " (state in " + settings_.data_dir + ")";
    Say("sweep " + sweep.id() + " " + verb + where);
  }

  int Detached(const v1::Sweep& sweep) {
    if (!settings_.quiet)
      Say("follow it with `" + connection_->Program() + " watch " + sweep.id() + "`");
    return kExitOk;
  }

  void SayDevice(const v1::Sweep& sweep) {
    if (settings_.quiet || sweep.spec().ask_tell()) return;
    if (connection_->local() != nullptr) {
      const auto worker = LocalWorker(connection_.get());
      if (worker.has_value()) Say(DeviceText(sweep.spec(), *worker));
      return;
    }
    const auto workers = connection_->client().ListWorkers();
    if (!workers.ok()) return;
    const v1::Worker* best = nullptr;
    for (const v1::Worker& worker : workers->workers()) {
      if (worker.state() != v1::Worker::ONLINE) continue;
      if (best == nullptr || worker.devices_size() > best->devices_size()) best = &worker;
    }
    Say(best == nullptr ? "device: none yet; no worker is connected to the controller"
                        : DeviceText(sweep.spec(), *best) + " on worker " + best->name());
  }

  int Follow(const v1::Sweep& sweep) {
    WatchRequest request;
    request.sweep = sweep.id();
    request.timeout_ms = timeout_ms_;
    if (connection_->local() != nullptr) {
      request.interrupt = [this, id = sweep.id()] { return InterruptLocal(connection_.get(), id); };
    }
    const WatchResult result = WatchToEnd(connection_.get(), settings_, request, &out_);
    if (LocalStack* local = connection_->local()) StopLocal(local, result.hurry);
    if (!settings_.quiet) SayHowToContinue(sweep.id(), result);
    return Finished(&out_, result.exit_code);
  }

  static void StopLocal(LocalStack* local, bool hurry) {
    SignalPipe signals;
    local->Stop([&] {
      while (const int signal = signals.Next())
        hurry = hurry || signal == SIGINT || signal == SIGTERM;
      return hurry;
    });
  }

  void SayHowToContinue(const std::string& id, const WatchResult& result) {
    if (result.end == WatchResult::End::kEnded || result.end == WatchResult::End::kLost) return;
    const std::string why =
        result.end == WatchResult::End::kTimeout ? "--timeout has passed: " : "";
    if (connection_->local() != nullptr) {
      Say(why + "sweep " + id + " is paused (" + std::to_string(result.trials_ended) + " of " +
          std::to_string(result.trials_target) +
          " trials have ended); continue it with `tunesmith run --resume " + id + "`");
      return;
    }
    Say(why + "sweep " + id + " goes on; come back with `" + connection_->Program() + " watch " +
        id + "`, end it with `" + connection_->Program() + " stop " + id + "`");
  }

  const Settings& settings_;
  const RunFlags& flags_;
  int64_t timeout_ms_;
  Output out_;
  std::string resume_id_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace

int RunCommand(const Settings& settings, const RunFlags& flags) {
  const auto timeout_ms = TimeoutMs(flags.timeout);
  if (!timeout_ms.has_value()) return kExitUsage;
  if (flags.detach && settings.server.empty()) {
    Say("tunesmith: --detach needs a controller that goes on without this command: name one with "
        "--server");
    return kExitUsage;
  }
  std::optional<SweepSpec> spec;
  if (flags.resume.empty()) {
    spec = LoadSweep(flags.source);
    if (!spec.has_value()) return kExitUsage;
  }
  return RunJob(settings, flags, *timeout_ms).Run(std::move(spec));
}

int SubmitCommand(const Settings& settings, const SweepSource& source) {
  const auto spec = LoadSweep(source);
  if (!spec.has_value()) return kExitUsage;
  auto connection = Connection::Open(settings, Need::kServer);
  if (!connection.ok()) return Fail(connection.status());
  const auto sweep = Create(&(*connection)->client(), *spec);
  if (!sweep.ok()) {
    const int exit_code = Fail(sweep.status());
    if (exit_code == kExitUnreachable && settings.server.empty()) {
      Say("`tunesmith run` needs no controller; `submit` does: name one with --server or "
          "TUNESMITH_SERVER");
    }
    return exit_code;
  }
  Output out(STDOUT_FILENO);
  const bool json =
      settings.format == OutputFormat::kJson || settings.format == OutputFormat::kJsonl;
  out.Write((json ? SweepJson(*sweep, true) : sweep->id()) + "\n");
  if (!settings.quiet && settings.is_terminal && !json) {
    Say("follow it with `" + (*connection)->Program() + " watch " + sweep->id() + "`");
  }
  return Finished(&out, kExitOk);
}

int WatchCommand(const Settings& settings, const std::string& sweep, const std::string& timeout) {
  const auto timeout_ms = TimeoutMs(timeout);
  if (!timeout_ms.has_value()) return kExitUsage;
  auto connection = Connection::Open(settings, Need::kState);
  if (!connection.ok()) return Fail(connection.status());
  const auto found = ResolveSweep(&(*connection)->client(), sweep);
  if (!found.ok()) return Fail(found.status());
  const LocalStack* local = (*connection)->local();
  if (local != nullptr && local->owner() && !HasEnded(*found)) {
    Say("tunesmith: nothing runs sweep " + found->id() +
        "; continue it with `tunesmith run --resume " + found->id() + "`");
    return kExitError;
  }
  WatchRequest request;
  request.sweep = found->id();
  request.timeout_ms = *timeout_ms;
  Output out(STDOUT_FILENO);
  const WatchResult result = WatchToEnd(connection->get(), settings, request, &out);
  const bool left =
      result.end == WatchResult::End::kInterrupted || result.end == WatchResult::End::kTimeout;
  if (left && !settings.quiet) {
    Say("sweep " + found->id() + " goes on; end it with `" + (*connection)->Program() + " stop " +
        found->id() + "`");
  }
  return Finished(&out, result.exit_code);
}

}  // namespace tunesmith
