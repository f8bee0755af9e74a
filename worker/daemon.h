// The daemon: one loop that joins the agent to processes, spool, devices and the controller.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/status.h"
#include "common/time.h"
#include "worker/agent/agent.h"
#include "worker/checkpoints/leftovers.h"
#include "worker/checkpoints/mover.h"
#include "worker/gpus/gpus.h"
#include "worker/link/link.h"
#include "worker/link/spool.h"
#include "worker/link/transfer.h"
#include "worker/options.h"
#include "worker/process/hand_on.h"
#include "worker/process/supervisor.h"

namespace tunesmith::worker {

class Daemon {
 public:
  // Locks the state directory, ends what a killed daemon left, finds the GPUs, and starts to
  // connect. `handed_on`: by the program whose place this one has taken; what that ran goes on. The
  // error says what to do.
  static StatusOr<std::unique_ptr<Daemon>> Create(DaemonOptions options, std::optional<HandOn> handed_on);
  ~Daemon();

  // Until SIGTERM or SIGINT and the drain that follows; or until another program takes this one's
  // place, after SIGHUP. These signals must be blocked in every thread.
  // The calling thread must be the one that called Create.
  Status Run();

 private:
  explicit Daemon(DaemonOptions options);
  Status Init(std::optional<HandOn> handed_on);
  Status StartSupervisor(std::optional<ProcessesSnapshot> trials);
  Status LockStateDir();
  Status FindGpus();
  Status RestoreSpool();

  Time Now() const;
  void Wait(Time now);
  void TakeSignals(Time now);
  void TakeLinkEvents(Time now);
  // What goes over the stream is seen in daemon.cc alone.
  struct Wire;
  void Carry(Time now);
  void SendWhatIsDue(Time now);
  void LookForLeftovers(Time now);
  bool MayLeave(Time now);
  // Returns only if no other program takes this one's place.
  void HandOver(Time now);

  DaemonOptions options_;
  int lock_fd_ = -1;
  int wake_fd_ = -1;
  int signal_fd_ = -1;
  std::string boot_id_;
  int64_t wall_offset_ms_ =
      0;  // from the monotonic clock: later changes of the wall clock expire no lease
  std::unique_ptr<GpuDriver> driver_;
  std::vector<Gpu> gpus_;
  Agent agent_;
  std::unique_ptr<Supervisor> supervisor_;
  std::optional<Spool> spool_;
  std::unique_ptr<Link> link_;
  std::unique_ptr<GrpcTransport> transport_;
  std::unique_ptr<CheckpointMover> mover_;
  std::unique_ptr<Leftovers> leftovers_;

  uint64_t session_ = 0;
  bool welcomed_ = false;
  bool welcomed_ever_ = false;  // since this daemon started
  bool link_busy_ = false;  // written and not yet out: what comes meanwhile goes out together
  uint64_t devices_told_ = 0;  // version of the held devices that this session knows
  std::string controller_id_;  // of this session's controller
  Time look_at_ = kTimeNever;  // for what trials have left, if there is a session
  Duration heartbeat_ = Milliseconds(kHeartbeatMs);
  Time heartbeat_at_{0};
  std::string last_trouble_;  // of the connection, so that the log does not repeat it

  bool replace_asked_ = false;
  int stop_signals_ = 0;
  Time stop_all_at_ = kTimeNever;
  Time leave_at_ = kTimeNever;  // even if ends were not acknowledged
};

}  // namespace tunesmith::worker
