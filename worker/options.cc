#include "worker/options.h"

#include <sched.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "common/limits.h"
#include "worker/process/hand_on.h"
#include "worker/process/replace.h"

namespace tunesmith::worker {
namespace {

constexpr int kExitUsage = 2;

int UsableCpus() {
  cpu_set_t mine;
  CPU_ZERO(&mine);
  return sched_getaffinity(0, sizeof mine, &mine) == 0 ? CPU_COUNT(&mine) : 1;
}

std::string HostName() {
  char name[256] = "";
  return gethostname(name, sizeof name - 1) == 0 && name[0] != 0 ? name : "worker";
}

std::string DefaultStateDir() {
  if (const char* state = std::getenv("XDG_STATE_HOME"); state != nullptr && state[0] == '/') {
    return std::string(state) + "/tunesmith/worker";
  }
  const char* home = std::getenv("HOME");
  return home != nullptr && home[0] == '/' ? std::string(home) + "/.local/state/tunesmith/worker"
                                           : "/var/lib/tunesmith/worker";
}

std::string BesideThisProgram(const char* name) {
  std::error_code error;
  return (std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / name).string();
}

// "" or what is wrong.
std::string CheckController(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (text.compare(0, 5, "unix:") == 0) return "";
  const std::string port = colon == std::string::npos ? "" : text.substr(colon + 1);
  if (colon == 0 || port.empty() || port.size() > 5 ||
      port.find_first_not_of("0123456789") != std::string::npos || std::stoi(port) < 1 ||
      std::stoi(port) > 65535) {
    return "\"" + text + "\" is not HOST:PORT; for example 127.0.0.1:7070";
  }
  return "";
}

}  // namespace

std::variant<DaemonOptions, int> ParseDaemonOptions(int argc, char** argv) {
  DaemonOptions options;
  std::vector<std::string> labels;
  double drain_seconds = 0;
  double gpu_release_seconds = static_cast<double>(options.gpu_release_ms) / 1000;
  bool no_cgroups = false;
  int take_over_format = kHandOnFormat;
  CLI::App app("Runs the trials that a tunesmith-server sends to this machine.");
  app.footer(
      "Signals: SIGTERM or SIGINT drains (see --drain-timeout) and leaves; a second one kills what "
      "runs. SIGHUP starts the program anew, which may be a newer one by then; trials run on (with "
      "--parent-death it drains).\n"
      "Exit codes: 0 left after a drain, 1 cannot run, 2 wrong options.");
  app.add_option("--controller", options.controller, "HOST:PORT of tunesmith-server")
      ->capture_default_str();
  app.add_option("--name", options.name,
                 "unique among the controller's workers (default: the host name)");
  app.add_option("--state-dir", options.state_dir,
                 "where trials and the spool live (default: ~/.local/state/tunesmith/worker)");
  app.add_option("--cpus", options.cpus,
                 "CPU slots to offer (default: the CPUs this process may use)")
      ->check(CLI::Range(1, 65536));
  app.add_option("--gpus", options.gpus, "auto, none, or indices or UUIDs: 0,1")
      ->capture_default_str();
  app.add_option("--gpu-release", gpu_release_seconds,
                 "seconds that a GPU's memory may take to come back after a trial; then the GPU is "
                 "quarantined until it does")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  app.add_option("--nvml-library", options.nvml_library, "the driver's management library")
      ->capture_default_str();
  app.add_option("--label", labels, "KEY=VALUE, may be repeated")->allow_extra_args(false);
  app.add_option("--trainer", options.trainer,
                 "program of the built-in trainables (default: tunesmith-trainer beside this one)");
  app.add_option("--drain-timeout", drain_seconds,
                 "seconds that running attempts may go on after SIGTERM; then they are stopped, to "
                 "run again elsewhere")
      ->check(CLI::Range(0.0, 1e9))
      ->capture_default_str();
  app.add_option("--tls-ca", options.tls_ca,
                 "PEM file: the controller's certificate must be of this authority");
  app.add_option("--tls-cert", options.tls_certificate, "PEM file: this worker's certificate");
  app.add_option("--tls-key", options.tls_key, "PEM file: its private key");
  app.add_flag("--parent-death", options.parent_death,
               "drain, as after SIGTERM, when the process that started this one ends");
  app.add_flag("--no-cgroups", no_cgroups, "tell process trees by sessions and marks only");
  app.add_flag("--verbose", options.verbose, "log more");
  const CLI::Option* const can_take_over =
      app.add_option("--can-take-over", take_over_format,
                     "check the options, and whether this program can take over the trials of one that hands "
                     "them on in this format; then leave");
  try {
    app.parse(argc, argv);
    for (const std::string& label : labels) {
      const size_t equals = label.find('=');
      if (equals == std::string::npos || equals == 0) {
        throw CLI::ValidationError("--label", "\"" + label + "\" is not KEY=VALUE");
      }
      options.labels[label.substr(0, equals)] = label.substr(equals + 1);
    }
    if (const std::string wrong = CheckController(options.controller); !wrong.empty()) {
      throw CLI::ValidationError("--controller", wrong);
    }
    if (options.name.size() > kNameBytesMax) {
      throw CLI::ValidationError("--name",
                                 "has more than " + std::to_string(kNameBytesMax) + " bytes");
    }
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : kExitUsage;
  }
  if (can_take_over->count() > 0) {
    if (take_over_format == kHandOnFormat) return 0;
    std::cerr << "tunesmith-worker " << TUNESMITH_VERSION << " takes over trials in format " << kHandOnFormat
              << " alone, not in format " << take_over_format << "\n";
    return 1;
  }
  options.program = OwnProgram(argv[0]);
  options.arguments.assign(argv, argv + argc);
  if (options.name.empty()) options.name = HostName();
  if (options.state_dir.empty()) options.state_dir = DefaultStateDir();
  if (options.cpus == 0) options.cpus = UsableCpus();
  if (options.trainer.empty()) options.trainer = BesideThisProgram("tunesmith-trainer");
  options.trainer = std::filesystem::absolute(options.trainer).string();
  options.ranks_starter = BesideThisProgram("tunesmith-ranks");
  options.state_dir = std::filesystem::absolute(options.state_dir).string();
  options.drain_timeout_ms = static_cast<int64_t>(drain_seconds * 1000);
  options.gpu_release_ms = static_cast<int64_t>(gpu_release_seconds * 1000);
  options.use_cgroups = !no_cgroups;
  return options;
}

}  // namespace tunesmith::worker
