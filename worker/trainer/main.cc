// tunesmith-trainer: one trial with a built-in trainable. Started by a worker daemon it follows the
// trial contract; by hand it takes --config and --set and prints a line an epoch.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "common/status.h"
#include "worker/sdk/trial.h"
#include "worker/trainer/datasets.h"
#include "worker/trainer/file_bytes.h"
#include "worker/trainer/options.h"
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

int Run(const std::string& config_path, const std::vector<std::string>& settings, Trial& trial) {
  std::string config;
  if (!config_path.empty()) {
    auto read = ReadFileBytes(config_path, kConfigBytesMax);
    if (!read.ok()) return Fail(trial, read.status(), kExitUsage);
    config = *std::move(read);
    if (config.empty()) {
      return Fail(trial, InvalidArgument(config_path + " is empty; a JSON object is needed"),
                  kExitUsage);
    }
  }
  const auto options = ParseOptions(
      config, settings, {.epochs = static_cast<int64_t>(trial.max_step()), .seed = trial.seed()});
  if (!options.ok()) return Fail(trial, options.status(), kExitUsage);
  for (const std::string& note : options->notes) {
    std::cout << note << std::endl;
    trial.Note(note);
  }
  std::error_code error;
  const DataPlaces places{Environment("TUNESMITH_DATA_DIR"),
                          std::filesystem::read_symlink(kProgram, error).parent_path().string()};
  auto data = LoadDataset(*options, places);
  if (!data.ok()) return Fail(trial, data.status(), kExitFailed);
  const Status trained = Train(*options, *std::move(data), trial);
  if (!trained.ok()) return Fail(trial, trained, kExitFailed);
  return 0;
}

int Main(int argc, char** argv) {
  CLI::App app(
      "Trains a built-in model and reports loss and accuracy on held-out data each epoch.");
  app.footer(OptionsHelp() + "Exit codes: 0 done or asked to leave, 1 failed, 2 wrong options.");
  std::string config_path;
  std::vector<std::string> settings;
  app.add_option("--config", config_path, "JSON file of options (default: $TUNESMITH_CONFIG)");
  app.add_option("--set", settings, "name=value, wins over the file; may be repeated")
      ->allow_extra_args(false);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : kExitUsage;
  }
  Trial trial({.report_wait_ms = kVerdictWaitMs});
  if (config_path.empty()) config_path = trial.config_path();
  return Run(config_path, settings, trial);
}

}  // namespace
}  // namespace tunesmith::trainer

int main(int argc, char** argv) {
  tunesmith::trainer::StartAgainWithPassiveThreads(argv, tunesmith::Trial::cpus());
  return tunesmith::trainer::Main(argc, argv);
}
