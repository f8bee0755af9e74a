// One simulated machine: a daemon with its model of the protocol, its spool, its devices and the trial processes.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/checker.h"
#include "tests/sim/controller_node.h"
#include "tests/sim/network.h"
#include "tests/sim/options.h"
#include "tests/sim/worker_model.h"
#include "tests/sim/world.h"

namespace tunesmith::sim {

class Daemon : public StreamClient {
 public:
  struct Machine {
    std::string name;
    int32_t cpus = 2;
    int gpus = 0;
    std::vector<int64_t> gpu_gib;  // memory of each
    std::map<std::string, std::string> labels;
  };
  Daemon(World* world, const SimOptions* options, Network* network, ControllerNode* controller, Checker* checker,
         Machine machine);

  void Start();
  // kill -9 of the daemon: its processes die with it, its spool stays unless the disk is lost too.
  void Crash(bool lose_spool);
  // SIGTERM, as for an upgrade: what runs is stopped and told about; then it starts again.
  void Restart();
  // Its disk takes no record for so long.
  void FillSpool(Duration duration) { spool_full_until_ = world_->now() + duration; }
  // Its machine was suspended: the clock is further than the time.
  void JumpClock();
  // It lies no more, and is there under what is true.
  void Rest();
  bool alive() const { return model_ != nullptr; }
  // Nothing runs and nothing waits for an acknowledgement.
  bool idle() const { return alive() && model_->open() == 0 && processes_.empty(); }
  int client() const { return client_; }
  const std::string& name() const { return machine_.name; }

  void OnConnected(SessionId session) override;
  void OnConnectFailed() override;
  void OnReceived(SessionId session, const ToWorker& message) override;
  void OnClosed(SessionId session) override;

 private:
  struct Process {
    SendAssign assign;
    uint64_t number = 0;  // tells it from an earlier one of the same name
    bool ignores_term = false;
    bool dying = false;
    int64_t step = 0;
    int64_t steps = 0;
    bool checkpoints = false;
    Rng rng{0};
    enum class Fate : uint8_t { kWell, kCrashes, kHangs, kNotANumber, kDoubles, kStartFails, kFloods };
    Fate fate = Fate::kWell;
  };

  // Runs `action` later unless the daemon has died meanwhile.
  void Later(Duration delay, std::function<void()> action);
  // The same for one process, unless it is gone.
  void Later(const AttemptRef& ref, Duration delay, std::function<void(Process*)> action);
  void Connect();
  void Heartbeat(SessionId session);
  void Pump();
  void SendRecords(const std::vector<WorkerRecord>& records);
  void SendUnknown(const std::vector<WorkerRecord>& records);
  void LieAboutInventory(WorkerHello* hello);
  void LeaveWhenEmpty(Time at_latest);
  // What the machine's clock says.
  Time Now() const { return world_->now() + clock_; }
  void Do(const Spawn& spawn);
  void Do(const FindResume& find);
  void Do(const SaveCheckpoint& save);
  void Do(const Signal& signal);
  void Do(const Store& store);
  void Do(const Forget& forget) {
    spool_.erase(forget.ref);
    unsaved_.erase(forget.ref);
  }
  // Tries what the trial can resume from, the newest first, from the `index`th on.
  void TryResume(const SendAssign& assign, std::vector<StoredCheckpoint> candidates, size_t index);
  void CheckDevices(const SendAssign& assign);
  // Some of the devices of an attempt that has ended are late, and some of these come back only after the time limit.
  void HandOver(const SendAssign& assign);
  void ChangeDevice(const std::string& uuid, DeviceState state);
  void TellDevices();
  void Epoch(const AttemptRef& ref, Process* process);
  void Exit(const AttemptRef& ref, int32_t exit_code, int32_t signal);

  World* world_;
  const SimOptions* options_;
  Network* network_;
  ControllerNode* controller_;
  Checker* checker_;
  Machine machine_;
  int client_ = 0;
  std::unique_ptr<WorkerModel> model_;  // nullptr: the daemon is down
  uint64_t boots_ = 0;
  bool welcomed_ = false;  // since the last of them
  SessionId session_;
  bool flushing_ = false;
  Time tick_at_ = kTimeNever;     // by the world's clock
  Duration clock_{0};             // ahead of the world's
  bool leaving_ = false;
  bool lied_ = false;             // in its last greeting
  Time spool_full_until_;
  // First and last sequence of records that the spool lacks and that are not acknowledged; none comes after them there.
  std::map<AttemptRef, std::pair<uint64_t, uint64_t>> unsaved_;
  std::map<AttemptRef, std::vector<WorkerRecord>> spool_;
  std::map<TrialId, std::vector<StoredCheckpoint>> checkpoints_;  // on its disk, whole, the newest last
  std::map<AttemptRef, int64_t> resume_steps_;                    // found, of attempts that are about to start
  std::map<AttemptRef, Process> processes_;
  uint64_t processes_started_ = 0;
  std::vector<DeviceInfo> held_;  // devices whose memory is not back
};

}  // namespace tunesmith::sim
