// The command line of search_bench.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/search/asha.h"

namespace tunesmith::bench {

struct Options {
  std::string data;
  std::vector<std::string> searchers = {"random", "tpe"};
  size_t against = 0;              // index of the searcher that the others are compared with
  std::vector<std::string> tasks;  // starts of names or families; empty: all
  uint32_t trials = 200, seeds = 20, first_seed = 1, workers = 1, threads = 1;
  std::optional<AshaOptions> asha;
  std::string peer_results, python = "/usr/bin/python3";
  bool per_task = false, reference = false;
};

// nullopt after a message on stderr if the arguments make no sense.
std::optional<Options> ReadOptions(int argc, char** argv);

}  // namespace tunesmith::bench
