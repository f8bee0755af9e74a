#include "worker/process/process_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>

namespace tunesmith::worker {
namespace {

constexpr char kGroupPrefix[] = "tunesmith-trial-";

// "" if it cannot be read. Files of /proc and of control groups only.
std::string ReadSmallFile(const std::string& path, size_t bytes_max = 1 << 20) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return "";
  std::string text;
  char buffer[4096];
  for (ssize_t n; text.size() < bytes_max && (n = read(fd, buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<size_t>(n));
  }
  close(fd);
  return text;
}

bool WriteSmallFile(const std::string& path, const std::string& text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  close(fd);
  return written;
}

std::string FileName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// Mount point of the version 2 hierarchy, and this process's group in it.
std::string OwnGroup() {
  std::string mount;
  const std::string mounts = ReadSmallFile("/proc/self/mountinfo");
  for (size_t begin = 0, end; (end = mounts.find('\n', begin)) != std::string::npos;
       begin = end + 1) {
    const std::string line = mounts.substr(begin, end - begin);
    if (line.find(" - cgroup2 ") == std::string::npos) continue;
    char point[1024];
    if (std::sscanf(line.c_str(), "%*s %*s %*s %*s %1023s", point) == 1) mount = point;
  }
  if (mount.empty()) return "";
  const std::string groups = ReadSmallFile("/proc/self/cgroup");
  size_t begin = groups.rfind("0::");
  if (begin == std::string::npos || (begin > 0 && groups[begin - 1] != '\n')) return "";
  begin += 3;
  const std::string path = groups.substr(begin, groups.find('\n', begin) - begin);
  return mount + (path == "/" ? "" : path);
}

}  // namespace

std::optional<ProcessInfo> ReadProcess(pid_t pid) {
  const std::string text = ReadSmallFile("/proc/" + std::to_string(pid) + "/stat");
  const size_t name_end = text.rfind(')');  // the name may hold anything
  if (name_end == std::string::npos) return std::nullopt;
  ProcessInfo info;
  info.pid = pid;
  unsigned long long start = 0;
  if (std::sscanf(text.c_str() + name_end + 1,
                  " %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                  &info.state, &info.parent, &info.group, &info.session, &start) != 5) {
    return std::nullopt;
  }
  info.start_ticks = start;
  return info;
}

std::vector<ProcessInfo> ReadAllProcesses() {
  std::vector<ProcessInfo> processes;
  DIR* folder = opendir("/proc");
  if (folder == nullptr) return processes;
  while (const dirent* entry = readdir(folder)) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    if (const auto info = ReadProcess(static_cast<pid_t>(std::atoi(entry->d_name))))
      processes.push_back(*info);
  }
  closedir(folder);
  return processes;
}

std::string ReadEnvironmentOf(pid_t pid, const std::string& variable) {
  const std::string all = ReadSmallFile("/proc/" + std::to_string(pid) + "/environ", 4 << 20);
  const std::string prefix = variable + "=";
  for (size_t begin = 0; begin < all.size();) {
    const size_t end = std::min(all.find('\0', begin), all.size());
    if (all.compare(begin, prefix.size(), prefix) == 0) {
      return all.substr(begin + prefix.size(), end - begin - prefix.size());
    }
    begin = end + 1;
  }
  return "";
}

std::optional<int64_t> ReadOomKills() {
  const std::string text = ReadSmallFile("/proc/vmstat");
  const size_t at = text.find("\noom_kill ");
  if (at == std::string::npos) return std::nullopt;
  return std::atoll(text.c_str() + at + 10);
}

// --- control groups

Cgroups Cgroups::Open() {
  const std::string root = OwnGroup();
  if (root.empty()) return None();
  const Cgroups groups(root);
  // Whether a group can be made, be joined and be killed is found out by making one.
  const std::string trial = groups.Create("probe-" + std::to_string(getpid()));
  if (trial.empty()) return None();
  const bool usable = access((trial + "/cgroup.kill").c_str(), W_OK) == 0 &&
                      access((trial + "/cgroup.procs").c_str(), W_OK) == 0 &&
                      access((root + "/cgroup.procs").c_str(), W_OK) == 0;
  Remove(trial);
  return usable ? groups : None();
}

std::string Cgroups::Create(const std::string& name) const {
  if (root_.empty()) return "";
  const std::string path = root_ + "/" + kGroupPrefix + name;
  return mkdir(path.c_str(), 0755) == 0 ? path : "";
}

bool Cgroups::IsOurs(const std::string& group) {
  return FileName(group).compare(0, sizeof(kGroupPrefix) - 1, kGroupPrefix) == 0;
}

bool Cgroups::HasProcesses(const std::string& group) {
  return ReadSmallFile(group + "/cgroup.events").find("populated 1") != std::string::npos;
}

std::vector<pid_t> Cgroups::Processes(const std::string& group) {
  std::vector<pid_t> pids;
  const std::string text = ReadSmallFile(group + "/cgroup.procs");
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos;
       begin = end + 1) {
    pids.push_back(static_cast<pid_t>(std::atoi(text.c_str() + begin)));
  }
  return pids;
}

void Cgroups::Kill(const std::string& group) { WriteSmallFile(group + "/cgroup.kill", "1"); }

void Cgroups::Remove(const std::string& group) {
  if (!IsOurs(group)) return;
  // Groups that the trial itself made inside; a group has no files to delete.
  if (DIR* folder = opendir(group.c_str())) {
    while (const dirent* entry = readdir(folder)) {
      if (entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
      rmdir((group + "/" + entry->d_name).c_str());
    }
    closedir(folder);
  }
  rmdir(group.c_str());
}

// --- the forest

ProcessForest::ProcessForest(std::string variable) : variable_(std::move(variable)) {
  const pid_t self = getpid();
  const std::vector<ProcessInfo> all = ReadAllProcesses();
  all_children_are_ours_ =
      self != 1 && std::none_of(all.begin(), all.end(), [&](const auto& process) {
        return process.parent == self && process.state != 'Z';
      });
}

void ProcessForest::AddLeader(pid_t leader, std::string mark) {
  leaders_[leader] = std::move(mark);
}

void ProcessForest::set_past(Past past) {
  all_children_are_ours_ = past.all_children_are_ours;
  seen_ = std::move(past.seen);
}

void ProcessForest::RemoveLeader(pid_t leader) {
  leaders_.erase(leader);
  members_.erase(leader);
  std::erase_if(seen_, [&](const auto& entry) { return entry.second == leader; });
}

const std::vector<ProcessInfo>& ProcessForest::Members(pid_t leader) const {
  static const auto& none = *new std::vector<ProcessInfo>();
  const auto it = members_.find(leader);
  return it == members_.end() ? none : it->second;
}

// The leader, or 0 if the process is not a descendant of the daemon or cannot be told.
pid_t ProcessForest::LeaderOf(const ProcessInfo& process, const std::map<pid_t, ProcessInfo>& all,
                              pid_t self) {
  const ProcessInfo* top = &process;
  while (true) {
    if (leaders_.count(top->pid) != 0) return top->pid;
    const auto seen = seen_.find({top->pid, top->start_ticks});
    if (seen != seen_.end()) return seen->second;
    if (top->parent == self) break;
    const auto parent = all.find(top->parent);
    if (parent == all.end() || parent->first == top->pid) return 0;
    top = &parent->second;
  }
  // An orphan that the daemon has adopted.
  if (leaders_.count(top->session) != 0) return top->session;
  if (leaders_.count(top->group) != 0) return top->group;
  const std::string mark = ReadEnvironmentOf(top->pid, variable_);
  for (const auto& [leader, leader_mark] : leaders_) {
    if (leader_mark == mark) return leader;
  }
  return all_children_are_ours_ && top->state != 'Z' ? LeaderOfUnmarked(*top, all) : 0;
}

pid_t ProcessForest::LeaderOfUnmarked(const ProcessInfo& orphan,
                                      const std::map<pid_t, ProcessInfo>& all) {
  pid_t only = 0;
  int candidates = 0;
  for (const auto& [leader, mark] : leaders_) {
    const auto info = all.find(leader);
    // A leader that the walk did not see is newer than the walk.
    if (info == all.end() || info->second.start_ticks > orphan.start_ticks) continue;
    only = leader;
    ++candidates;
  }
  if (candidates == 0) kill(orphan.pid, SIGKILL);
  if (candidates != 1) has_strays_ = true;
  return candidates == 1 ? only : 0;
}

void ProcessForest::Refresh() {
  const pid_t self = getpid();
  std::map<pid_t, ProcessInfo> all;
  for (const ProcessInfo& process : ReadAllProcesses()) all[process.pid] = process;
  members_.clear();
  has_strays_ = false;
  std::map<Identity, pid_t> seen_now;
  for (const auto& [pid, process] : all) {
    const pid_t leader = LeaderOf(process, all, self);
    if (process.state == 'Z' || process.state == 'X') {
      // A leader stays unreaped until its whole tree is gone: its number stays its own so long.
      if (process.parent == self && leaders_.count(pid) == 0) waitpid(pid, nullptr, WNOHANG);
      continue;
    }
    if (leader == 0) continue;
    seen_now[{pid, process.start_ticks}] = leader;
    members_[leader].push_back(process);
  }
  seen_ = std::move(seen_now);
}

StatusOr<int> KillMatching(const std::function<bool(const ProcessInfo&)>& ours, int64_t ms_max) {
  std::set<pid_t> killed;
  constexpr int kPauseMs = 20;
  for (int64_t waited_ms = 0;; waited_ms += kPauseMs) {
    pid_t left = 0;
    for (const ProcessInfo& process : ReadAllProcesses()) {
      if (process.state == 'Z' || process.state == 'X' || process.pid == getpid() || !ours(process))
        continue;
      left = process.pid;
      if (kill(process.pid, SIGKILL) == 0) killed.insert(process.pid);
    }
    if (left == 0) return static_cast<int>(killed.size());
    if (waited_ms >= ms_max) {
      return MakeStatus(StatusCode::kDeadlineExceeded,
                        "process " + std::to_string(left) + " does not end though it was killed");
    }
    poll(nullptr, 0, kPauseMs);
  }
}

}  // namespace tunesmith::worker
