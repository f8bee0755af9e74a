#include "bench/search/options.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace tunesmith::bench {
namespace {

constexpr const char* kUsage = R"(search_bench [options]
  --data FOLDER       tasks on data: *.tab and lcbench.net there; without it only the functions run
  --searchers A,B     searchers to run, each TYPE or TYPE:OPTION=VALUE:OPTION=VALUE; the type optuna
                      is Optuna's TPESampler and has its options  [random,tpe]
  --against A         the searcher of the list that the others are compared with  [the first]
  --tasks A,B         only tasks whose name or family starts so
  --trials N          trials of every run  [200]
  --seeds N           runs of every searcher on every task  [20]
  --first-seed N      [1]
  --workers N         trials that run at a time  [1; 8 with --asha]
  --threads N         runs that are computed at a time  [1]
  --asha TYPE         early stopping, on tasks with learning curves: promotion or stopping
  --budget N          of a run with --asha, in epochs  [4160]
  --by-seconds        with --asha: an epoch takes as long as the task says, not one unit of time
  --peer-results FILE keeps the runs of optuna, and uses those that are there
  --python PROGRAM    that has optuna  [/usr/bin/python3]
  --per-task          also regret and share of wins task by task
  --reference         search long for median and optimum of every task, print them, and do nothing else
)";

std::vector<std::string> Split(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    if (end > 0) parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

// Whether `value` is a whole number from 1 to 10^9.
bool ReadNumber(const std::string& value, uint32_t* number) {
  const char* end = value.data() + value.size();
  return std::from_chars(value.data(), end, *number).ptr == end && *number > 0 &&
         *number <= 1'000'000'000;
}

std::nullopt_t Refuse(const std::string& what) {
  std::fprintf(stderr, "search_bench: %s\n%s", what.c_str(), kUsage);
  return std::nullopt;
}

}  // namespace

std::optional<Options> ReadOptions(int argc, char** argv) {
  Options o;
  AshaOptions asha;
  std::string against;
  uint32_t workers = 0, budget = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--help") {
      std::fputs(kUsage, stdout);
      std::exit(0);
    }
    if (flag == "--per-task" || flag == "--reference" || flag == "--by-seconds") {
      (flag == "--per-task"    ? o.per_task
       : flag == "--reference" ? o.reference
                               : asha.by_seconds) = true;
      continue;
    }
    if (i + 1 == argc) return Refuse(flag + " is no option, or needs a value");
    const std::string value = argv[++i];
    uint32_t* number = flag == "--trials"       ? &o.trials
                       : flag == "--seeds"      ? &o.seeds
                       : flag == "--first-seed" ? &o.first_seed
                       : flag == "--workers"    ? &workers
                       : flag == "--threads"    ? &o.threads
                       : flag == "--budget"     ? &budget
                                                : nullptr;
    std::string* text = flag == "--data"           ? &o.data
                        : flag == "--against"      ? &against
                        : flag == "--peer-results" ? &o.peer_results
                        : flag == "--python"       ? &o.python
                                                   : nullptr;
    std::vector<std::string>* list = flag == "--searchers" ? &o.searchers
                                     : flag == "--tasks"   ? &o.tasks
                                                           : nullptr;
    if (number != nullptr) {
      if (!ReadNumber(value, number))
        return Refuse(flag + " " + value + ": not a whole number above 0");
    } else if (text != nullptr) {
      *text = value;
    } else if (list != nullptr) {
      *list = Split(value);
    } else if (flag == "--asha" && (value == "promotion" || value == "stopping")) {
      asha.type =
          value == "promotion" ? AshaOptions::Type::kPromotion : AshaOptions::Type::kStopping;
      o.asha = asha;
    } else if (flag == "--asha") {
      return Refuse("--asha " + value + ": use promotion or stopping");
    } else {
      return Refuse(flag + " is no option");
    }
  }
  if (o.searchers.empty()) return Refuse("--searchers names none");
  if (!against.empty()) {
    const auto found = std::find(o.searchers.begin(), o.searchers.end(), against);
    if (found == o.searchers.end())
      return Refuse("--against " + against + ": not among --searchers");
    o.against = static_cast<size_t>(found - o.searchers.begin());
  }
  if (workers > 0) o.workers = asha.workers = workers;
  if (budget > 0) asha.budget = budget;
  if (o.asha) {
    asha.type = o.asha->type;
    o.asha = asha;
    o.workers = asha.workers;
  } else if (budget > 0 || asha.by_seconds) {
    return Refuse("--budget and --by-seconds go with --asha");
  }
  return o;
}

}  // namespace tunesmith::bench
