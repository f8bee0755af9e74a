// Tables of runs: means by family, ranks, and who wins against whom.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "bench/search/task.h"

namespace tunesmith::bench {

// regret[searcher][task][seed], all after the same number of trials (or the same part of a budget).
using Regrets = std::vector<std::vector<std::vector<double>>>;

struct Wins {
  size_t wins = 0, ties = 0, losses = 0;
  double Share() const;  // of all pairs, ties half; in percent
};

// The pairs (task, seed) in which `a` has the smaller regret than `b`. Regrets within 1e-9 are a tie.
Wins CompareRuns(const Regrets& regrets, size_t a, size_t b, const std::vector<size_t>& tasks);

// Mean rank among all searchers (1 is best, ties share) over the tasks and seeds.
double MeanRank(const Regrets& regrets, size_t searcher, const std::vector<size_t>& tasks);

// Mean over the tasks and their seeds.
double MeanRegret(const Regrets& regrets, size_t searcher, const std::vector<size_t>& tasks);

// Prints one table: a line per searcher with the mean regret of every family, of all data tasks and of all functions,
// the mean ranks there, and the wins against searcher `against` (none if it is out of range).
void PrintTable(const std::string& title, const std::vector<Task>& tasks, const std::vector<std::string>& searchers,
                const Regrets& regrets, size_t against);

// Prints a line per task with every searcher's mean regret and share of wins against searcher `against`.
void PrintTasks(const std::vector<Task>& tasks, const std::vector<std::string>& searchers, const Regrets& regrets,
                size_t against);

}  // namespace tunesmith::bench
