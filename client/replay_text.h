// What a replay has found, for people and for programs. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "client/output.h"
#include "client/replay.h"
#include "schedulers/scheduler.h"

namespace tunesmith {

// What the replay was of, in the words of the sweep.
struct ReplayNames {
  std::string sweep;
  std::string run_scheduler;  // type: "fifo"
  std::string scheduler;      // the one that is tried
  std::string metric;         // of the one that is tried
  Goal goal = Goal::kMin;
  std::string objective;      // the searcher's metric
  Goal objective_goal = Goal::kMin;
  double gpus = 0;            // of each trial; 0: they ran on CPUs
  bool finished = true;       // the sweep has ended
  uint64_t reports = 0;
  std::vector<std::string> states;  // of the trials in the run, by number: "stopped"
};

// Run and replay side by side, and what became of the best trial.
std::vector<std::string> ReplaySummary(const ReplayResult& result, const ReplayNames& names);
// One object with everything but the trials.
std::string ReplaySummaryJson(const ReplayResult& result, const ReplayNames& names);

// For people; in CSV the columns are those of the JSON objects.
std::vector<Column> ReplayColumns(const ReplayNames& names, bool for_people);
std::vector<std::string> ReplayCells(const ReplayResult& result, const ReplayNames& names, uint32_t trial,
                                     bool for_people);
std::string ReplayTrialJson(const ReplayResult& result, const ReplayNames& names, uint32_t trial);

}  // namespace tunesmith
