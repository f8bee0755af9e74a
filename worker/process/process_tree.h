// Finding and ending every process that a trial started, whatever it did to hide them.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/status.h"

namespace tunesmith::worker {

struct ProcessInfo {
  pid_t pid = 0;
  pid_t parent = 0;
  pid_t group = 0;
  pid_t session = 0;
  char state = '?';          // 'Z': ended, not yet reaped
  uint64_t start_ticks = 0;  // with the pid, names a process for ever
};

// nullopt if there is no such process.
std::optional<ProcessInfo> ReadProcess(pid_t pid);
std::vector<ProcessInfo> ReadAllProcesses();
// Value of a variable in the environment that the process was started with; "" if it has none or
// may not be read.
std::string ReadEnvironmentOf(pid_t pid, const std::string& variable);
// How often the kernel has killed a process for lack of memory since boot; nullopt where it does
// not say.
std::optional<int64_t> ReadOomKills();

// A control group (version 2) per attempt, where the daemon may make some. Immutable after Open.
class Cgroups {
 public:
  // Under the daemon's own group; without groups where the file system is absent or not writable.
  static Cgroups Open();
  // Without groups, for machines that have none.
  static Cgroups None() { return Cgroups(""); }

  bool available() const { return !root_.empty(); }
  // Path of a new, empty group; "" if it cannot be made.
  std::string Create(const std::string& name) const;
  // Only groups that Create made, of this or an earlier daemon.
  static bool IsOurs(const std::string& group);
  static bool HasProcesses(const std::string& group);
  static std::vector<pid_t> Processes(const std::string& group);
  static void Kill(const std::string& group);
  static void Remove(const std::string& group);

 private:
  explicit Cgroups(std::string root) : root_(std::move(root)) {}
  std::string root_;
};

// Which of the daemon's descendants belong to which leader (the program of an attempt). The daemon
// is a subreaper: whatever a trial forks stays below the daemon, and an orphan becomes its child.
// An orphan is told by its session, its process group, its mark in the environment, or by where it
// was seen before. One that has shed all of these can only be of a leader that is older than
// itself: it is taken for that one's where there is one, and killed where there is none. Not
// thread-safe.
class ProcessForest {
 public:
  using Identity = std::pair<pid_t, uint64_t>;
  // What it has seen, for the program that takes this one's place.
  struct Past {
    bool all_children_are_ours = false;
    std::map<Identity, pid_t> seen;  // leader of every descendant
  };

  // `variable` = `mark` of a leader stands in the environment of its tree.
  explicit ProcessForest(std::string variable);

  void AddLeader(pid_t leader, std::string mark);
  void RemoveLeader(pid_t leader);
  Past past() const { return {all_children_are_ours_, seen_}; }
  void set_past(Past past);
  // Looks at all processes, remembers where each belongs, and reaps orphans that have ended.
  void Refresh();
  // Live processes of the leader's tree, the leader included, as of the last Refresh.
  const std::vector<ProcessInfo>& Members(pid_t leader) const;
  // Whether there were live orphans that could be of several leaders, or of none.
  bool has_strays() const { return has_strays_; }

 private:
  pid_t LeaderOf(const ProcessInfo& process, const std::map<pid_t, ProcessInfo>& all, pid_t self);
  pid_t LeaderOfUnmarked(const ProcessInfo& orphan, const std::map<pid_t, ProcessInfo>& all);

  std::string variable_;
  // Whether all children are of trials. Not so for the first process of a container, which adopts
  // strangers, nor for one that had children before it became the daemon.
  bool all_children_are_ours_;
  bool has_strays_ = false;
  std::map<pid_t, std::string> leaders_;
  std::map<Identity, pid_t> seen_;  // leader of every descendant
  std::map<pid_t, std::vector<ProcessInfo>> members_;
};

// SIGKILLs every process for which `ours` holds until none is left, for at most `ms_max`. Returns
// how many were killed; DEADLINE_EXCEEDED names one that would not go.
StatusOr<int> KillMatching(const std::function<bool(const ProcessInfo&)>& ours, int64_t ms_max);

}  // namespace tunesmith::worker
