// From an assignment to what execve needs: argv, environment, folders, the configuration file.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/status.h"
#include "worker/agent/types.h"

namespace tunesmith::worker {

// Folders and files of one attempt on this machine, all absolute.
struct AttemptPaths {
  std::string folder;          // the attempt's own: configuration, output
  std::string config;          // <folder>/config.json
  std::string output;          // <folder>/output.log
  std::string workdir;         // the program's, if the sweep names none: <folder>/work
  std::string checkpoint_dir;  // the trial's: the same for all its attempts
};
// `root`: where the daemon keeps trials. No path depends on text from the sweep but its id, and
// that only if it is a plain file name.
AttemptPaths PathsOf(const std::string& root, const Assignment& assignment);

struct LaunchPlan {
  std::vector<std::string> argv;  // argv[0] as the program sees it
  std::string executable;         // absolute path
  std::map<std::string, std::string> env;
  std::string workdir;
  std::string config_json;  // content of AttemptPaths::config
};

struct LaunchContext {
  std::map<std::string, std::string> inherited_env;
  std::string trainer;           // path of tunesmith-trainer, for built-in trainables
  bool has_checkpoints = false;  // the trial's folder is not empty
  std::string ranks_starter = "";  // path of tunesmith-ranks, for trials of several
};

// INVALID_ARGUMENT or NOT_FOUND says what cannot be started, why, and what to do instead. Reads the
// file system only to find the executable in PATH.
StatusOr<LaunchPlan> PlanLaunch(const Assignment& assignment, const AttemptPaths& paths,
                                const LaunchContext& context);

// One element of the command. ${args} must stand alone and is not handled here: INVALID_ARGUMENT.
StatusOr<std::string> ExpandText(const std::string& text, const Assignment& assignment,
                                 const AttemptPaths& paths);
// What ${args} stands for. Levels of nested names are joined by '.'; truth values are true and
// false.
std::vector<std::string> ExpandArgs(const Assignment& assignment);
// The configuration file: {"optimizer": {"momentum": 0.9}} for "optimizer/momentum". Where a level
// is a value itself
// ("optimizer" = "sgd" beside it), the full name is the key: {"optimizer": "sgd",
// "optimizer/momentum": 0.9}.
std::string ConfigJson(const Assignment& assignment);

// Mark of every process of an attempt in its environment: TUNESMITH_LEASE=<KeyText>.
inline constexpr char kLeaseVariable[] = "TUNESMITH_LEASE";

}  // namespace tunesmith::worker
