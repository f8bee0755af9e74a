// tunesmith-trainer: one trial with a built-in trainable or a plug-in. Started by a worker daemon it
// follows the trial contract; by hand it takes --config and --set and prints a line an epoch.
#include <sys/mman.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/status.h"
#include "worker/sdk/trial.h"
#include "worker/trainer/datasets.h"
#include "worker/trainer/file_bytes.h"
#include "worker/trainer/load_plugin.h"
#include "worker/trainer/options.h"
#include "worker/trainer/rank_place.h"
#include "worker/trainer/training.h"

namespace tunesmith::trainer {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
// An epoch on small data is over before a verdict can arrive, and a stop should not come epochs
// late. Little enough not to be noticed when the controller is away.
constexpr int kVerdictWaitMs = 50;
constexpr char kProgram[] = "/proc/self/exe";

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

// OpenMP reads its settings while the program is being loaded: threads that wait must sleep, since
// spinning ones take the cores of other trials. A daemon sets this beforehand; else the program
// starts itself once more.
void StartAgainWithPassiveThreads(char** argv, int cpus) {
  if (cpus <= 1 || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  setenv("OMP_WAIT_POLICY", "passive", 1);
  setenv("OMP_NUM_THREADS", std::to_string(cpus).c_str(), 0);
  execv(kProgram, argv);
  std::cerr << "tunesmith-trainer: cannot start again: " << std::strerror(errno)
            << "; threads will spin\n";
}

int Fail(Trial& trial, const Status& status, int code) {
  std::cerr << "tunesmith-trainer: " << Message(status) << std::endl;
  trial.Failed(Message(status));
  return code;
}

// What the command line and the configuration say, and the place among ranks where the mode has some.
struct Orders {
  TrainerOptions options;
  std::optional<RankPlace> place;
};

StatusOr<std::string> ReadConfig(const std::string& path) {
  if (path.empty()) return std::string();
  TS_ASSIGN_OR_RETURN(std::string config, ReadFileBytes(path, kConfigBytesMax));
  if (config.empty()) return InvalidArgument(path + " is empty; a JSON object is needed");
  return config;
}

StatusOr<Orders> ReadOrders(const std::string& config_path, const std::vector<std::string>& settings) {
  TS_ASSIGN_OR_RETURN(const std::string config, ReadConfig(config_path));
  Orders orders;
  TS_ASSIGN_OR_RETURN(
      orders.options,
      ParseOptions(config, settings, {.epochs = static_cast<int64_t>(Trial::max_step()), .seed = Trial::seed()}));
  if (orders.options.mode == "ddp") {
    TS_ASSIGN_OR_RETURN(orders.place, ReadRankPlace(Environment));
  }
  return orders;
}

int Run(const StatusOr<Orders>& orders, Trial& trial) {
  if (!orders.ok()) return Fail(trial, orders.status(), kExitUsage);
  const bool speaks = !orders->place || orders->place->rank == 0;
  for (const std::string& note : orders->options.notes) {
    if (!speaks) break;
    std::cout << note << std::endl;
    trial.Note(note);
  }
  std::error_code error;
  const DataPlaces places{Environment("TUNESMITH_DATA_DIR"),
                          std::filesystem::read_symlink(kProgram, error).parent_path().string()};
  auto data = LoadDataset(orders->options, places);
  if (!data.ok()) return Fail(trial, data.status(), kExitFailed);
  const Status trained = Train(orders->options, orders->place, *std::move(data), trial);
  if (!trained.ok()) return Fail(trial, trained, kExitFailed);
  return 0;
}

// Makes TUNESMITH_CONFIG name what the command line says: a plug-in finds its parameters where every trial program
// does. With settings that is a file in memory, which goes with the process.
Status HandOverConfig(const std::string& config_path, const std::vector<std::string>& settings) {
  std::string path = config_path;
  if (!settings.empty()) {
    TS_ASSIGN_OR_RETURN(std::string config, ReadConfig(config_path));
    TS_ASSIGN_OR_RETURN(config, ConfigWithSettings(config, settings));
    const int fd = memfd_create("tunesmith-config", 0);
    if (fd < 0 || write(fd, config.data(), config.size()) != static_cast<ssize_t>(config.size())) {
      return ErrnoStatus(errno, "cannot hand the parameters over");
    }
    path = "/proc/self/fd/" + std::to_string(fd);
  }
  if (!path.empty()) setenv("TUNESMITH_CONFIG", path.c_str(), 1);
  return OkStatus();
}

// The plug-in makes a Trial of its own, which takes the channel; here is one only where it cannot be called.
int RunPlugin(const std::string& path, const std::string& config_path, const std::vector<std::string>& settings) {
  const Status given = HandOverConfig(config_path, settings);
  const auto plugin = given.ok() ? LoadPlugin(path) : StatusOr<const PluginStamp*>(given);
  if (plugin.ok()) return (*plugin)->train();
  Trial trial;
  return Fail(trial, plugin.status(), kExitUsage);
}

int Main(int argc, char** argv) {
  CLI::App app(
      "Trains a built-in model, and reports loss and accuracy on held-out data each epoch; or a plug-in's own.");
  app.footer(OptionsHelp() + "Exit codes: 0 done or asked to leave, 1 failed, 2 wrong options.");
  std::string config_path;
  std::string plugin;
  std::vector<std::string> settings;
  std::map<std::string, std::string> flags;
  bool check_ranks = false;
  app.add_option("--config", config_path, "JSON file of options (default: $TUNESMITH_CONFIG)");
  app.add_option("--set", settings, "name=value, wins over the file; may be repeated")
      ->allow_extra_args(false);
  CLI::Option* const plugin_option = app.add_option(
      "--plugin", plugin, "shared object with a trainable of its own (docs/cpp-sdk.md); options are what it reads");
  for (const char* name : {"mode", "devices", "batch-size", "batch-per-rank", "peer-timeout"}) {
    app.add_option(std::string("--") + name, flags[name], std::string("as --set ") + name + "=...")
        ->excludes(plugin_option);
  }
  app.add_flag("--check-ranks", check_ranks, "as --set check-ranks=yes")->excludes(plugin_option);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : kExitUsage;
  }
  if (config_path.empty()) config_path = Trial::config_path();
  if (!plugin_option->empty()) return RunPlugin(plugin, config_path, settings);
  for (const auto& [name, value] : flags) {
    if (!value.empty()) settings.push_back(name + "=" + value);
  }
  if (check_ranks) settings.push_back("check-ranks=yes");
  const auto orders = ReadOrders(config_path, settings);
  // Rank 0 alone talks to the daemon: others would take verdicts from the channel that they may all have inherited.
  if (orders.ok() && orders->place && orders->place->rank > 0) unsetenv("TUNESMITH_CHANNEL");
  Trial trial({.report_wait_ms = kVerdictWaitMs});
  return Run(orders, trial);
}

}  // namespace
}  // namespace tunesmith::trainer

int main(int argc, char** argv) {
  tunesmith::trainer::StartAgainWithPassiveThreads(argv, tunesmith::Trial::cpus());
  const int code = tunesmith::trainer::Main(argc, argv);
  // Threads of a broken group of ranks may still wait for a peer that is gone: end them with the process.
  std::cout.flush();
  std::fflush(nullptr);
  if (code != 0) std::_Exit(code);
  return code;
}
