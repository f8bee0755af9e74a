// Runs seeds of the simulation, each twice: what failed, and whether the second run was the first to the last bit.
//
//   tunesmith-sim --from 1 --count 200     seeds 1 to 200
//   tunesmith-sim --file seeds.txt         the seeds listed there (a number a line, # begins a comment; "plain" after
//                                          it is as the flag, "fleet" is --workers 100)
//   tunesmith-sim --seed 17 --log          one seed, once, with its full log
//   ... --plain                            only with the faults that the simulation had at first
//   ... --workers 100                      with a fleet of so many machines
//   tunesmith-sim --hour --workers 1000    a simulated hour of a fleet, and how long it took
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <string>
#include <vector>

#include "tests/sim/simulation.h"

namespace tunesmith::sim {
namespace {

// For the one message of a run that a failed check of the core ends.
volatile uint64_t running_seed = 0;

void SayWhichSeed(int) {
  std::fprintf(stderr, "aborted in seed %llu\n", static_cast<unsigned long long>(running_seed));
}

int Usage() {
  std::fprintf(stderr,
               "usage: tunesmith-sim [--from N --count N] [--file SEEDS] [--seed N [--log]] [--workers N] [--hour]\n"
               "                     [--plain]\n");
  return 2;
}

constexpr int kFleetWorkers = 100;  // of a known seed that is a fleet's

struct KnownSeed {
  uint64_t seed = 0;
  bool plain = false;  // without the faults that were added later, so that it is what it was when it failed
  bool fleet = false;
};

bool ReadSeeds(const std::string& path, std::vector<KnownSeed>* seeds) {
  std::ifstream file(path);
  if (!file) {
    std::fprintf(stderr, "cannot read %s\n", path.c_str());
    return false;
  }
  for (std::string line; std::getline(file, line);) {
    line = line.substr(0, line.find('#'));
    if (line.find_first_of("0123456789") == std::string::npos) continue;
    seeds->push_back({std::strtoull(line.c_str(), nullptr, 10), line.find("plain") != std::string::npos,
                      line.find("fleet") != std::string::npos});
  }
  return true;
}

// True if the seed holds.
bool RunTwice(const SimOptions& options, SimResult* sum) {
  const uint64_t seed = options.seed;
  running_seed = seed;
  const SimResult first = RunSimulation(options, false);
  sum->steps += first.steps;
  sum->virtual_ms += first.virtual_ms;
  for (const auto& [fault, count] : first.faults) sum->faults[fault] += count;
  std::string failure = first.failure;
  if (failure.empty() && RunSimulation(options, false).trace_hash != first.trace_hash) {
    failure = "two runs of the same seed differ";
  }
  if (failure.empty()) return true;
  std::printf("seed %llu FAILED: %s\n  %s\n  see it: tunesmith-sim --seed %llu --log\n",
              static_cast<unsigned long long>(seed), failure.c_str(), Describe(options).c_str(),
              static_cast<unsigned long long>(seed));
  return false;
}

// Until the hour is over and all has ended; by this process's own CPU time, since the machine may be shared.
int RunHour(const SimOptions& options, bool log) {
  running_seed = options.seed;
  const std::clock_t before = std::clock();
  const SimResult result = RunSimulation(options, log);
  const double seconds = static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
  std::printf("%s: %d workers, %.2f virtual hours in %.1f s of CPU; %llu steps, %llu events, trace %016llx\n",
              result.failure.empty() ? "held" : result.failure.c_str(), options.workers,
              static_cast<double>(result.virtual_ms) / 3.6e6, seconds, static_cast<unsigned long long>(result.steps),
              static_cast<unsigned long long>(result.events), static_cast<unsigned long long>(result.trace_hash));
  return result.failure.empty() ? 0 : 1;
}

int Main(int argc, char** argv) {
  std::signal(SIGABRT, SayWhichSeed);
  uint64_t from = 1;
  uint64_t count = 0;
  bool log = false;
  bool hour = false;
  int workers = 0;
  bool plain = false;
  std::vector<KnownSeed> seeds;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    const auto next = [&]() -> const char* { return i + 1 < argc ? argv[++i] : "0"; };
    if (flag == "--from") {
      from = std::strtoull(next(), nullptr, 10);
    } else if (flag == "--count") {
      count = std::strtoull(next(), nullptr, 10);
    } else if (flag == "--seed") {
      seeds.push_back({std::strtoull(next(), nullptr, 10)});
    } else if (flag == "--file") {
      if (!ReadSeeds(next(), &seeds)) return 2;
    } else if (flag == "--workers") {
      workers = static_cast<int>(std::strtol(next(), nullptr, 10));
    } else if (flag == "--hour") {
      hour = true;
    } else if (flag == "--plain") {
      plain = true;
    } else if (flag == "--log") {
      log = true;
    } else {
      return Usage();
    }
  }
  for (uint64_t i = 0; i < count; ++i) seeds.push_back({from + i});
  if (seeds.empty() && hour) seeds.push_back({1});
  if (seeds.empty() || workers < 0) return Usage();
  const auto options_of = [&](const KnownSeed& known) {
    const Faults faults = plain || known.plain ? Faults::kFirst : Faults::kAll;
    if (hour) return FleetHour(known.seed, workers > 0 ? workers : 1'000);
    const int fleet = known.fleet ? kFleetWorkers : workers;
    return fleet > 0 ? DrawFleet(known.seed, fleet, faults) : DrawOptions(known.seed, faults);
  };
  if (hour) return RunHour(options_of(seeds[0]), log);
  if (log) {
    const SimResult result = RunSimulation(options_of(seeds[0]), true);
    std::printf("%s (%llu steps, %llu events, trace %016llx)\n",
                result.failure.empty() ? "held" : result.failure.c_str(), static_cast<unsigned long long>(result.steps),
                static_cast<unsigned long long>(result.events), static_cast<unsigned long long>(result.trace_hash));
    return result.failure.empty() ? 0 : 1;
  }
  size_t failed = 0;
  SimResult sum;
  for (const KnownSeed& seed : seeds) failed += RunTwice(options_of(seed), &sum) ? 0 : 1;
  std::printf("%zu seeds, %zu failed; %llu steps in %.1f virtual hours\n", seeds.size(), failed,
              static_cast<unsigned long long>(sum.steps), static_cast<double>(sum.virtual_ms) / 3.6e6);
  for (const auto& [fault, times] : sum.faults) {
    std::printf("%12llu  %s\n", static_cast<unsigned long long>(times), fault.c_str());
  }
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace tunesmith::sim

int main(int argc, char** argv) { return tunesmith::sim::Main(argc, argv); }
