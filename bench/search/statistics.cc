#include "bench/search/statistics.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace tunesmith::bench {
namespace {

constexpr double kTie = 1e-9;

struct Group {
  std::string name;
  std::vector<size_t> tasks;
};

// The families in order of appearance.
std::vector<Group> Families(const std::vector<Task>& tasks) {
  std::vector<Group> groups;
  for (size_t t = 0; t < tasks.size(); ++t) {
    auto group = std::find_if(groups.begin(), groups.end(),
                              [&](const Group& g) { return g.name == tasks[t].family; });
    if (group == groups.end()) group = groups.insert(groups.end(), {tasks[t].family, {}});
    group->tasks.push_back(t);
  }
  return groups;
}

// The tasks on data and the functions, where there are any.
std::vector<Group> Kinds(const std::vector<Task>& tasks) {
  std::vector<Group> kinds = {{"all data", {}}, {"all functions", {}}};
  for (size_t t = 0; t < tasks.size(); ++t) kinds[tasks[t].data ? 0 : 1].tasks.push_back(t);
  std::erase_if(kinds, [](const Group& g) { return g.tasks.empty(); });
  return kinds;
}

int Width(const std::string& name, int least) {
  return std::max(static_cast<int>(name.size()), least) + 2;
}

int NameWidth(const std::vector<std::string>& names) {
  int width = 10;
  for (const std::string& name : names) width = std::max(width, static_cast<int>(name.size()));
  return width;
}

}  // namespace

double Wins::Share() const {
  const size_t pairs = wins + ties + losses;
  return pairs == 0 ? 0
                    : 100 * (static_cast<double>(wins) + 0.5 * static_cast<double>(ties)) /
                          static_cast<double>(pairs);
}

Wins CompareRuns(const Regrets& regrets, size_t a, size_t b, const std::vector<size_t>& tasks) {
  Wins wins;
  for (const size_t t : tasks) {
    for (size_t s = 0; s < regrets[a][t].size(); ++s) {
      const double difference = regrets[a][t][s] - regrets[b][t][s];
      ++(std::fabs(difference) <= kTie ? wins.ties : difference < 0 ? wins.wins : wins.losses);
    }
  }
  return wins;
}

double MeanRank(const Regrets& regrets, size_t searcher, const std::vector<size_t>& tasks) {
  double sum = 0;
  size_t runs = 0;
  for (const size_t t : tasks) {
    for (size_t s = 0; s < regrets[searcher][t].size(); ++s, ++runs) {
      sum += 0.5;  // itself ties with itself
      for (const auto& other : regrets) {
        const double difference = other[t][s] - regrets[searcher][t][s];
        sum += std::fabs(difference) <= kTie ? 0.5 : difference < 0 ? 1 : 0;
      }
    }
  }
  return runs == 0 ? 0 : sum / static_cast<double>(runs);
}

double MeanRegret(const Regrets& regrets, size_t searcher, const std::vector<size_t>& tasks) {
  double sum = 0;
  for (const size_t t : tasks) {
    double of_task = 0;
    for (const double regret : regrets[searcher][t]) of_task += regret;
    sum += of_task / static_cast<double>(regrets[searcher][t].size());
  }
  return tasks.empty() ? 0 : sum / static_cast<double>(tasks.size());
}

void PrintTable(const std::string& title, const std::vector<Task>& tasks,
                const std::vector<std::string>& searchers, const Regrets& regrets, size_t against) {
  const std::vector<Group> families = Families(tasks), kinds = Kinds(tasks);
  const int name_width = NameWidth(searchers);
  std::printf("\n%s\n%-*s", title.c_str(), name_width, "regret");
  for (const Group& g : families) std::printf("%*s", Width(g.name, 6), g.name.c_str());
  for (const Group& g : kinds) std::printf("  | %s  rank", g.name.c_str());
  if (against < searchers.size()) {
    for (const Group& g : kinds) std::printf("  | %-23s", ("won of " + g.name.substr(4)).c_str());
  }
  std::printf("\n");
  for (size_t searcher = 0; searcher < searchers.size(); ++searcher) {
    std::printf("%-*s", name_width, searchers[searcher].c_str());
    for (const Group& g : families)
      std::printf("%*.2f", Width(g.name, 6), MeanRegret(regrets, searcher, g.tasks));
    for (const Group& g : kinds) {
      std::printf("  | %*.2f  %4.2f", static_cast<int>(g.name.size()),
                  MeanRegret(regrets, searcher, g.tasks), MeanRank(regrets, searcher, g.tasks));
    }
    if (against < searchers.size()) {
      for (const Group& g : kinds) {
        if (searcher == against) {
          std::printf("  | %-23s", "-");
          continue;
        }
        const Wins wins = CompareRuns(regrets, searcher, against, g.tasks);
        std::printf("  | %5.1f%% %5zu/%zu/%-4zu", wins.Share(), wins.wins, wins.ties, wins.losses);
      }
    }
    std::printf("\n");
  }
}

void PrintTasks(const std::vector<Task>& tasks, const std::vector<std::string>& searchers,
                const Regrets& regrets, size_t against) {
  constexpr int kLeast = 12;
  int name_width = 10;
  for (const Task& task : tasks) {
    name_width = std::max(name_width, static_cast<int>(task.name.size()));
  }
  std::printf("\n%-*s", name_width, "by task");
  for (const std::string& name : searchers) std::printf("%*s", Width(name, kLeast), name.c_str());
  std::printf("\n");
  for (size_t t = 0; t < tasks.size(); ++t) {
    std::printf("%-*s", name_width, tasks[t].name.c_str());
    for (size_t s = 0; s < searchers.size(); ++s) {
      const int width = Width(searchers[s], kLeast) - 6;
      std::printf("%*.2f", width, MeanRegret(regrets, s, {t}));
      if (s == against || against >= searchers.size()) {
        std::printf("%6s", "");
      } else {
        std::printf("%5.0f%%", CompareRuns(regrets, s, against, {t}).Share());
      }
    }
    std::printf("\n");
  }
}

}  // namespace tunesmith::bench
