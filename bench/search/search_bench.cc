// Measures how well searchers search: bench/search/README.md says how to run it and what the
// numbers mean.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bench/search/functions.h"
#include "bench/search/lcbench.h"
#include "bench/search/runs.h"
#include "bench/search/statistics.h"
#include "bench/search/tables.h"
#include "bench/search/task.h"

namespace tunesmith::bench {
namespace {

constexpr const char* kUsage = R"(search_bench [options]
  --data FOLDER       tasks on data: *.tab and lcbench.net there; without it only the functions run
  --searchers A,B     searchers to run, each TYPE or TYPE:OPTION=VALUE:OPTION=VALUE  [random,tpe]
  --against A         the searcher of the list that the others are compared with  [the first]
  --trials N          trials of every run  [200]
  --seeds N           runs of every searcher on every task  [10]
  --first-seed N      [1]
  --workers N         trials that run at a time  [1]
  --threads N         runs that are computed at a time  [1]
  --tasks A,B         only tasks whose name or family starts so
  --per-task          also the regret task by task
  --reference         search long for median and optimum of every task, print them, and do nothing else
)";

struct Options {
  std::string data;
  std::vector<std::string> searchers = {"random", "tpe"}, tasks;
  std::string against;
  uint32_t trials = 200, seeds = 10, first_seed = 1, workers = 1, threads = 1;
  bool per_task = false, reference = false;
};

std::vector<std::string> Split(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    if (end > 0) parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

bool ReadOptions(int argc, char** argv, Options* o) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--per-task") {
      o->per_task = true;
      continue;
    }
    if (flag == "--reference") {
      o->reference = true;
      continue;
    }
    if (i + 1 == argc) {
      std::fprintf(stderr, "%s needs a value, or is no option\n%s", argv[i], kUsage);
      return false;
    }
    const std::string value = argv[++i];
    const auto number = static_cast<uint32_t>(std::strtoul(value.c_str(), nullptr, 10));
    uint32_t* target = flag == "--trials"       ? &o->trials
                       : flag == "--seeds"      ? &o->seeds
                       : flag == "--first-seed" ? &o->first_seed
                       : flag == "--workers"    ? &o->workers
                       : flag == "--threads"    ? &o->threads
                                                : nullptr;
    if (target != nullptr && number > 0) {
      *target = number;
    } else if (flag == "--data") {
      o->data = value;
    } else if (flag == "--searchers") {
      o->searchers = Split(value);
    } else if (flag == "--tasks") {
      o->tasks = Split(value);
    } else if (flag == "--against") {
      o->against = value;
    } else {
      std::fprintf(stderr, "%s %s: no such option, or not a number above 0\n%s", argv[i - 1],
                   argv[i], kUsage);
      return false;
    }
  }
  return true;
}

bool LoadTasks(const Options& o, std::vector<Task>* tasks) {
  Problems problems;
  if (!o.data.empty()) {
    std::error_code error;
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(o.data, error))
      files.push_back(entry.path().string());
    std::sort(files.begin(), files.end());
    for (const std::string& file : files) {
      if (file.ends_with(".tab")) LoadTable(file, tasks, &problems);
      if (file.ends_with("lcbench.net")) LoadLcbench(file, tasks, &problems);
    }
    if (tasks->empty() && problems.empty())
      problems.push_back({o.data, "no *.tab and no lcbench.net there", ""});
  }
  for (Task& task : Functions()) tasks->push_back(std::move(task));
  if (!o.tasks.empty()) {
    std::erase_if(*tasks, [&](const Task& task) {
      return std::none_of(o.tasks.begin(), o.tasks.end(), [&](const std::string& start) {
        return task.name.starts_with(start) || task.family.starts_with(start);
      });
    });
    if (tasks->empty()) problems.push_back({"--tasks", "no task has such a name", ""});
  }
  for (const Problem& p : problems) {
    std::fprintf(stderr, "%s: %s; %s\n", p.field.c_str(), p.message.c_str(), p.hint.c_str());
  }
  return problems.empty();
}

// runs[searcher][task][seed].
using Runs = std::vector<std::vector<std::vector<Run>>>;

// False if a searcher cannot be made.
bool RunAll(const Options& o, const std::vector<Task>& tasks, Runs* runs) {
  struct Job {
    size_t searcher, task, seed;
  };
  std::vector<Job> jobs;
  for (size_t searcher = 0; searcher < o.searchers.size(); ++searcher) {
    runs->emplace_back(tasks.size(), std::vector<Run>(o.seeds));
    for (size_t task = 0; task < tasks.size(); ++task) {
      for (size_t seed = 0; seed < o.seeds; ++seed) jobs.push_back({searcher, task, seed});
    }
  }
  std::atomic<size_t> next = 0;
  std::atomic<bool> good = true;
  const auto work = [&] {
    for (size_t j = next++; j < jobs.size() && good; j = next++) {
      const Job& job = jobs[j];
      const uint64_t seed = o.first_seed + job.seed;
      SearcherOptions options = ParseSearcher(o.searchers[job.searcher]);
      options.seed = seed;
      options.trials = o.trials;
      Problems problems;
      const auto searcher = MakeSearcher(options, tasks[job.task].space, &problems);
      if (searcher == nullptr) {
        if (good.exchange(false)) {
          std::fprintf(stderr, "%s on %s: %s: %s; %s\n", o.searchers[job.searcher].c_str(),
                       tasks[job.task].name.c_str(), problems.front().field.c_str(),
                       problems.front().message.c_str(), problems.front().hint.c_str());
        }
        return;
      }
      (*runs)[job.searcher][job.task][job.seed] =
          RunSearch(tasks[job.task], seed, o.trials, o.workers, searcher.get());
    }
  };
  std::vector<std::thread> threads;
  for (uint32_t t = 1; t < o.threads; ++t) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  return good;
}

Regrets RegretsAfter(const Runs& runs, uint32_t trials) {
  Regrets regrets;
  for (const auto& of_searcher : runs) {
    auto& by_task = regrets.emplace_back();
    for (const auto& of_task : of_searcher) {
      auto& by_seed = by_task.emplace_back();
      for (const Run& run : of_task) by_seed.push_back(run.regret[trials - 1]);
    }
  }
  return regrets;
}

void PrintCost(const Options& o, const Runs& runs) {
  std::printf("\n%-24s %12s %14s\n", "cost", "CPU seconds", "ms per trial");
  for (size_t s = 0; s < runs.size(); ++s) {
    double seconds = 0, trials = 0;
    for (const auto& of_task : runs[s]) {
      for (const Run& run : of_task) {
        seconds += run.cpu_seconds;
        trials += run.trials;
      }
    }
    std::printf("%-24s %12.2f %14.4f\n", o.searchers[s].c_str(), seconds,
                1000 * seconds / std::max(1.0, trials));
  }
}

int Main(int argc, char** argv) {
  Options o;
  if (!ReadOptions(argc, argv, &o)) return 2;
  std::vector<Task> tasks;
  if (!LoadTasks(o, &tasks)) return 2;
  if (o.reference) {
    for (Task& task : tasks) {
      Calibrate(100'001, false, &task);
      std::printf("%-28s median %.10g optimum %.10g\n", task.name.c_str(), task.median,
                  task.optimum);
    }
    return 0;
  }
  const auto against =
      static_cast<size_t>(std::find(o.searchers.begin(), o.searchers.end(),
                                    o.against.empty() ? o.searchers.front() : o.against) -
                          o.searchers.begin());
  if (against == o.searchers.size()) {
    std::fprintf(stderr, "--against %s: not among --searchers\n", o.against.c_str());
    return 2;
  }
  Runs runs;
  if (!RunAll(o, tasks, &runs)) return 1;
  std::vector<uint32_t> checkpoints;
  for (const uint32_t n : {50U, 100U, 200U, o.trials}) {
    if (n <= o.trials && (checkpoints.empty() || n > checkpoints.back())) checkpoints.push_back(n);
  }
  for (const uint32_t n : checkpoints) {
    PrintTable("after " + std::to_string(n) + " trials, " + std::to_string(o.workers) +
                   " at a time; " + std::to_string(o.seeds) + " seeds; won against " +
                   o.searchers[against],
               tasks, o.searchers, RegretsAfter(runs, n), against);
  }
  if (o.per_task) PrintTasks(tasks, o.searchers, RegretsAfter(runs, o.trials));
  PrintCost(o, runs);
  return 0;
}

}  // namespace
}  // namespace tunesmith::bench

int main(int argc, char** argv) { return tunesmith::bench::Main(argc, argv); }
