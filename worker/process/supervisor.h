// The trial processes of one daemon: starts them, reads what they print and report, ends their
// trees, reaps them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/limits.h"
#include "common/status.h"
#include "common/time.h"
#include "worker/agent/agent.h"
#include "worker/gpus/gpus.h"
#include "worker/gpus/hand_over.h"
#include "worker/process/launch_plan.h"
#include "worker/process/process_tree.h"
#include "worker/process/snapshot.h"

namespace tunesmith::worker {

struct SupervisorOptions {
  // Holds trials/ (what programs read and write) and running/ (what a restarted daemon must end).
  // Absolute, exists.
  std::string state_dir;
  // Marks the processes of this state directory among those of other daemons.
  std::string instance;
  std::string trainer;
  std::string ranks_starter;
  std::map<std::string, std::string> inherited_env;
  // Control groups where the machine has them. Off: only sessions, marks and parents tell a tree.
  bool use_cgroups = true;
  const GpuDriver* gpus = nullptr;  // may be null
  int64_t log_bytes_max = kTrialLogBytesMax;
  int64_t forwarded_bytes_max = kForwardedLogBytesMax;
  int64_t read_bytes_per_second_max = kTrialReadBytesPerSecondMax;
  int64_t reports_per_second_max = kReportsPerSecondMax;
  Duration device_release = Milliseconds(kDeviceReleaseMsMax);
};

// Loop thread only, and that thread must live as long as the daemon: programs die with it. Tells
// the agent what happens; carries out what the agent wants. An attempt ends when its tree is gone;
// that its devices are held then, if they are, the agent hears BEFORE.
class Supervisor {
 public:
  // Becomes the reaper of orphans, and ends what a killed daemon with the same state directory has
  // left.
  static StatusOr<std::unique_ptr<Supervisor>> Create(SupervisorOptions options, Agent* agent,
                                                      Time now);
  // Takes over the trials of a supervisor of this very process, which was replaced by another program: the agent knows
  // their attempts. The descriptors are this one's from here on.
  static StatusOr<std::unique_ptr<Supervisor>> Adopt(SupervisorOptions options, Agent* agent,
                                                     ProcessesSnapshot snapshot, Time now);
  // Kills what still runs.
  ~Supervisor();

  // Ends in agent->OnStarted or OnStartFailed.
  void Start(std::shared_ptr<const Assignment> assignment, Time now);
  void SignalTree(const AttemptKey& key, bool kill, Time now);
  void Tell(const AttemptKey& key, int64_t step, bool stop, const std::string& reason);

  // Readable when Run has something to do.
  int fd() const { return epoll_fd_; }
  // Reads at most one buffer from every trial, and does what is due. Never waits.
  void Run(Time now);
  Time NextDeadline() const;
  size_t running() const { return trials_.size(); }
  ProcessesSnapshot Snapshot() const;
  // Processes of a killed daemon that Create has ended.
  int leftovers_killed() const { return leftovers_killed_; }

 private:
  struct Trial;
  struct Leftovers;
  enum class Source : uint8_t { kStdout, kStderr, kChannel, kExit };

  Supervisor(SupervisorOptions options, Agent* agent);
  Status Init();
  Status EndLeftovers(Time now);
  Status TakeOver(ProcessesSnapshot snapshot, Time now);
  Status TakeOverTrial(TrialSnapshot snapshot, Time now);
  void AwaitDevices(const Leftovers& left, const std::set<int64_t>& pids, Time now);
  LogForwarderOptions LogOptions() const;
  StatusOr<Leftovers> ListLeftovers(const std::string& folder) const;
  StatusOr<std::unique_ptr<Trial>> Launch(std::shared_ptr<const Assignment> assigned, Time now);
  void Add(std::unique_ptr<Trial> trial);
  Status Watch(Trial* trial, Source source);
  void Unwatch(Trial* trial, Source source);
  void CloseChannel(Trial* trial);

  // `last`: everything that is left, whatever the limits.
  void ReadOutput(Trial* trial, Source source, Time now, bool last);
  void TakeOutput(Trial* trial, Source source, std::string_view bytes, Time now);
  void ParseStdout(Trial* trial, Time now, bool last);
  void ReadChannel(Trial* trial, Time now, bool last);
  void ParseChannel(Trial* trial, Time now, bool last);
  void WriteChannel(Trial* trial);
  void Deliver(Trial* trial, const Report& report, Time now);
  bool MayDeliver(Trial* trial, Time now);
  void Resume(Trial* trial, Time now);
  void KeepLog(Trial* trial, std::string_view bytes);

  void NoteExit(Trial* trial, Time now);
  void CheckTree(Trial* trial, Time now);
  void RememberPids();
  void TellDevices(Time now);
  void Finish(Trial* trial, Time now);
  void RefreshForest(Time now);
  void SampleOomKills(Time now);

  SupervisorOptions options_;
  Agent* agent_;
  HandOver hand_over_;
  Cgroups cgroups_ = Cgroups::None();
  ProcessForest forest_;
  std::map<AttemptKey, std::unique_ptr<Trial>> trials_;
  std::map<uint64_t, Trial*> by_number_;  // epoll data
  uint64_t last_number_ = 0;
  int epoll_fd_ = -1;
  int leftovers_killed_ = 0;
  Time forest_at_{0};
  Duration forest_every_{20};
  int64_t oom_kills_ = 0;
  Time oom_rose_at_{0};
  Time oom_sampled_at_{0};
};

}  // namespace tunesmith::worker
