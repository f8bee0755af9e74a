// The commands of the program: each does its work, writes data to stdout and all else to stderr,
// and returns an ExitCode.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "client/settings.h"
#include "spec/quick.h"

namespace tunesmith {

// A sweep as the user gives it: a file ("-": stdin), or flags.
struct SweepSource {
  std::string file;
  QuickFlags flags;
};

struct RunFlags {
  SweepSource source;
  std::string resume;  // continue this sweep instead
  bool detach = false;
  std::string timeout;  // "90s", "2h"
};
int RunCommand(const Settings& settings, const RunFlags& flags);
int SubmitCommand(const Settings& settings, const SweepSource& source);
int WatchCommand(const Settings& settings, const std::string& sweep, const std::string& timeout);

int ListCommand(const Settings& settings);
int ShowCommand(const Settings& settings, const std::string& sweep, std::optional<uint32_t> trial);
// Without a trial: all of the sweep, by cause.
int WhyCommand(const Settings& settings, const std::string& sweep, std::optional<uint32_t> trial);
int BestCommand(const Settings& settings, const std::string& sweep);
// `metric`: of several objectives the one that is meant; "" = the first.
int ImportanceCommand(const Settings& settings, const std::string& sweep, const std::string& metric);
int StopCommand(const Settings& settings, const std::string& sweep, std::optional<uint32_t> trial);
int PauseCommand(const Settings& settings, const std::vector<std::string>& sweeps);
int ResumeCommand(const Settings& settings, const std::vector<std::string>& sweeps);

struct SetFlags {
  std::string sweep;
  std::optional<int32_t> priority;
  std::optional<double> weight;
  std::optional<int32_t> max_parallel;
  std::string preemptible;  // "checkpoint", "never", "always"; "": as it is
};
int SetCommand(const Settings& settings, const SetFlags& flags);
int RemoveCommand(const Settings& settings, const std::vector<std::string>& sweeps, bool force);

struct TrialsFlags {
  std::string sweep;
  bool best_first = false;
  std::vector<std::string> states;
  int64_t limit = 0;  // 0 = all
};
int TrialsCommand(const Settings& settings, const TrialsFlags& flags);

struct LogsFlags {
  std::string sweep;
  uint32_t trial = 0;
  uint32_t attempt = 0;  // 0 = the last one
  bool follow = false;
  std::string tail;  // "4096", "64k"; "" = all that is kept
};
int LogsCommand(const Settings& settings, const LogsFlags& flags);

struct ExportFlags {
  std::string sweep;
  bool measurements = false;
  std::string out;  // "" or "-": stdout
};
int ExportCommand(const Settings& settings, const ExportFlags& flags);

int WorkersCommand(const Settings& settings);
int DrainCommand(const Settings& settings, const std::string& worker, bool stop_running);
int UndrainCommand(const Settings& settings, const std::string& worker);

int CheckCommand(const Settings& settings, const std::string& file);

struct SimulateFlags {
  std::string scheduler;  // file; "-": stdin
  std::string reports;    // file; "" or "-": stdin
};
int SimulateCommand(const Settings& settings, const SimulateFlags& flags);

struct ReplayFlags {
  std::string sweep;
  std::string scheduler;  // file; "-": stdin
  int64_t limit = 0;      // trials that are listed; 0 = all
};
int ReplayCommand(const Settings& settings, const ReplayFlags& flags);

}  // namespace tunesmith
