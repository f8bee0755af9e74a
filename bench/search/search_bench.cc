// Measures how well searchers search: README.md here says how to run it and what the numbers mean.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench/search/asha.h"
#include "bench/search/functions.h"
#include "bench/search/kept_runs.h"
#include "bench/search/lcbench.h"
#include "bench/search/options.h"
#include "bench/search/peer.h"
#include "bench/search/runs.h"
#include "bench/search/statistics.h"
#include "bench/search/tables.h"
#include "bench/search/task.h"
#include "common/text.h"

namespace tunesmith::bench {
namespace {

void Print(const Problems& problems) {
  for (const Problem& p : problems) {
    std::fprintf(stderr, "%s: %s%s%s\n", p.field.c_str(), p.message.c_str(),
                 p.hint.empty() ? "" : "; ", p.hint.c_str());
  }
}

// Empty after a message if there is nothing to run on.
std::vector<Task> LoadTasks(const Options& o) {
  std::vector<Task> tasks;
  Problems problems;
  if (!o.data.empty()) {
    std::error_code error;
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(o.data, error)) {
      files.push_back(entry.path().string());
    }
    std::sort(files.begin(), files.end());
    for (const std::string& file : files) {
      if (file.ends_with(".tab")) LoadTable(file, &tasks, &problems);
      if (file.ends_with("lcbench.net")) LoadLcbench(file, &tasks, &problems);
    }
    if (tasks.empty() && problems.empty()) {
      problems.push_back({"--data " + o.data, "no *.tab and no lcbench.net there", ""});
    }
  }
  for (Task& task : Functions()) tasks.push_back(std::move(task));
  std::erase_if(tasks, [&](const Task& task) {
    return (o.asha && task.loss_at == nullptr) ||
           (!o.tasks.empty() &&
            std::none_of(o.tasks.begin(), o.tasks.end(), [&](const std::string& start) {
              return task.name.starts_with(start) || task.family.starts_with(start);
            }));
  });
  if (tasks.empty() && problems.empty()) {
    problems.push_back({"--tasks",
                        o.asha ? "no task with learning curves (lcbench) is left"
                               : "no task has such a name or family",
                        ""});
  }
  Print(problems);
  if (!problems.empty()) tasks.clear();
  return tasks;
}

// All runs of the bench, on several threads.
class Bench {
 public:
  Bench(const Options& options, const std::vector<Task>& tasks, KeptRuns* kept)
      : options_(options), tasks_(tasks), kept_(*kept) {
    for (size_t searcher = 0; searcher < options.searchers.size(); ++searcher) {
      runs_.emplace_back(tasks.size(), std::vector<Run>(options.seeds));
      for (size_t task = 0; task < tasks.size(); ++task) {
        for (size_t seed = 0; seed < options.seeds; ++seed) jobs_.push_back({searcher, task, seed});
      }
    }
  }

  // runs[searcher][task][seed].
  using Runs = std::vector<std::vector<std::vector<Run>>>;

  // nullptr after a message if a searcher could not run.
  const Runs* Go() {
    std::vector<std::thread> threads;
    for (uint32_t t = 1; t < options_.threads; ++t) threads.emplace_back([this] { Work(); });
    Work();
    for (std::thread& thread : threads) thread.join();
    return good_ ? &runs_ : nullptr;
  }

 private:
  struct Job {
    size_t searcher, task, seed;
  };

  void Work() {
    std::unique_ptr<OptunaPeer> peer;  // of this thread, once it is needed
    for (size_t j = next_++; j < jobs_.size() && good_; j = next_++) {
      const Job& job = jobs_[j];
      Problems problems;
      runs_[job.searcher][job.task][job.seed] = Do(job, &peer, &problems);
      if (problems.empty()) continue;
      if (good_.exchange(false)) {
        std::fprintf(stderr, "%s on %s: ", options_.searchers[job.searcher].c_str(),
                     tasks_[job.task].name.c_str());
        Print(problems);
      }
    }
  }

  Run Do(const Job& job, std::unique_ptr<OptunaPeer>* peer, Problems* problems) {
    const Task& task = tasks_[job.task];
    SearcherOptions options = ParseSearcher(options_.searchers[job.searcher]);
    options.seed = options_.first_seed + job.seed;
    options.trials = options_.asha ? 0 : options_.trials;
    if (options.type != "optuna") {
      const auto searcher = MakeSearcher(options, task.space, problems);
      return searcher == nullptr ? Run() : Search(task, options.seed, searcher.get());
    }
    const std::string key = Key(job);
    if (const auto kept = kept_.Find(key)) return *kept;
    if (*peer == nullptr) *peer = OptunaPeer::Start(options_.python, problems);
    if (*peer == nullptr) return {};
    const auto study = (*peer)->NewStudy(options, task.space, problems);
    if (study == nullptr) return {};
    Run run = Search(task, options.seed, study.get());
    run.cpu_seconds = (*peer)->CpuSeconds();
    if ((*peer)->failed()) {
      problems->push_back({options_.python, "the process ended too early", "its message is above"});
      return {};
    }
    kept_.Keep(key, run);
    return run;
  }

  Run Search(const Task& task, uint64_t seed, Searcher* searcher) const {
    if (options_.asha) return RunAsha(task, *options_.asha, searcher);
    return RunSearch(task, seed, options_.trials, options_.workers, searcher);
  }

  // All that a run depends on. Median and optimum stand for the definition of the task.
  std::string Key(const Job& job) const {
    const Task& task = tasks_[job.task];
    std::string key = options_.searchers[job.searcher] + " " + task.name + " " +
                      DoubleText(task.optimum) + " " + DoubleText(task.median) + " seed " +
                      std::to_string(options_.first_seed + job.seed) + " workers " +
                      std::to_string(options_.workers);
    if (!options_.asha) return key + " trials " + std::to_string(options_.trials);
    key += options_.asha->type == AshaOptions::Type::kPromotion ? " promotion" : " stopping";
    if (options_.asha->by_seconds) key += " by seconds";
    return key + " epochs " + std::to_string(options_.asha->budget);
  }

  const Options& options_;
  const std::vector<Task>& tasks_;
  KeptRuns& kept_;
  std::vector<Job> jobs_;
  Runs runs_;
  std::atomic<size_t> next_ = 0;
  std::atomic<bool> good_ = true;
};

Regrets RegretsAt(const Bench::Runs& runs, size_t at) {
  Regrets regrets;
  for (const auto& of_searcher : runs) {
    auto& by_task = regrets.emplace_back();
    for (const auto& of_task : of_searcher) {
      auto& by_seed = by_task.emplace_back();
      for (const Run& run : of_task) by_seed.push_back(run.regret[at - 1]);
    }
  }
  return regrets;
}

void PrintRegrets(const Options& o, const std::vector<Task>& tasks, const Bench::Runs& runs) {
  const std::string rest = std::to_string(o.workers) + " at a time; " + std::to_string(o.seeds) +
                           " seeds; won against " + o.searchers[o.against];
  std::vector<uint32_t> checkpoints = {25, 50, 75, 100};
  if (!o.asha) {
    checkpoints = {50, 100, 200, o.trials};
    std::erase_if(checkpoints, [&](uint32_t n) { return n > o.trials; });
    std::sort(checkpoints.begin(), checkpoints.end());
    checkpoints.erase(std::unique(checkpoints.begin(), checkpoints.end()), checkpoints.end());
  }
  for (const uint32_t n : checkpoints) {
    std::string title = "after " + std::to_string(n);
    title += o.asha ? " % of " + std::to_string(o.asha->budget) + " epochs, " : " trials, ";
    PrintTable(title + rest, tasks, o.searchers, RegretsAt(runs, n), o.against);
  }
  if (o.per_task) PrintTasks(tasks, o.searchers, RegretsAt(runs, checkpoints.back()), o.against);
}

void PrintCost(const Options& o, const Bench::Runs& runs) {
  std::printf("\n%-48s %12s %13s %11s %12s\n", "a run on average", "CPU seconds", "ms per trial",
              "trials", "full length");
  for (size_t s = 0; s < runs.size(); ++s) {
    double count = 0, seconds = 0, trials = 0, full = 0;
    for (const auto& of_task : runs[s]) {
      for (const Run& run : of_task) {
        ++count;
        seconds += run.cpu_seconds;
        trials += run.trials;
        full += run.full_length;
      }
    }
    std::printf("%-48s %12.3f %13.4f %11.1f %12.1f\n", o.searchers[s].c_str(), seconds / count,
                1000 * seconds / std::max(1.0, trials), trials / count, full / count);
  }
}

int Main(int argc, char** argv) {
  const auto options = ReadOptions(argc, argv);
  if (!options) return 2;
  std::vector<Task> tasks = LoadTasks(*options);
  if (tasks.empty()) return 2;
  if (options->reference) {
    for (Task& task : tasks) {
      const double stated = task.optimum;
      Calibrate(100'001, false, &task);
      std::printf("%-28s median %.10g, lowest found %.10g, stated optimum %.10g\n",
                  task.name.c_str(), task.median, task.optimum, stated);
    }
    return 0;
  }
  KeptRuns kept;
  Problems problems;
  if (!options->peer_results.empty()) kept.Load(options->peer_results, &problems);
  Print(problems);
  if (!problems.empty()) return 2;
  Bench bench(*options, tasks, &kept);
  const Bench::Runs* runs = bench.Go();
  if (runs == nullptr) return 1;
  PrintRegrets(*options, tasks, *runs);
  PrintCost(*options, *runs);
  return 0;
}

}  // namespace
}  // namespace tunesmith::bench

int main(int argc, char** argv) { return tunesmith::bench::Main(argc, argv); }
