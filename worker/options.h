// Command line of tunesmith-worker.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "common/limits.h"

namespace tunesmith::worker {

struct DaemonOptions {
  std::string controller = "127.0.0.1:7070";
  std::string name;       // default: the host name
  std::string state_dir;  // default: $XDG_STATE_HOME/tunesmith/worker
  int cpus = 0;           // default: CPUs that the daemon may run on
  std::string gpus = "auto";
  std::string nvml_library = "libnvidia-ml.so.1";
  // How long the memory of an ended attempt may take to come back before its GPU is quarantined.
  int64_t gpu_release_ms = kDeviceReleaseMsMax;
  std::map<std::string, std::string> labels;
  std::string trainer;  // default: tunesmith-trainer beside this program
  std::string ranks_starter;  // tunesmith-ranks beside this program
  // After SIGTERM, how long running attempts may go on before they are stopped and reported lost.
  int64_t drain_timeout_ms = 0;
  std::string tls_ca, tls_certificate, tls_key;
  bool parent_death = false;  // drain, as after SIGTERM, when the parent process ends
  bool use_cgroups = true;
  bool verbose = false;
  // For the program that takes this one's place after SIGHUP.
  std::string program;
  std::vector<std::string> arguments;  // the program's name first
};

// The options with defaults filled in, or the exit code after help or an error was printed.
std::variant<DaemonOptions, int> ParseDaemonOptions(int argc, char** argv);

}  // namespace tunesmith::worker
