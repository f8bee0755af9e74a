// What a suggestion costs after n finished trials, for spaces of 20 parameters, and what a trial
// occupies in the searcher; beside Optuna in the same run if asked. CPU time of one thread.
#include <malloc.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bench/search/cpu_clock.h"
#include "bench/search/peer.h"
#include "bench/search/runs.h"
#include "common/text.h"
#include "search/searcher.h"

namespace tunesmith::bench {
namespace {

constexpr const char* kUsage = R"(suggest_bench [options]
  --searchers A,B   as in search_bench  [tpe, auto and gp, as far as there are]
  --spaces A,B      real, mixed, discrete, conditional  [mixed]
  --largest N       trials: 100, 1000, ... up to N  [100000]
  --optuna          also Optuna's TPESampler, up to 10000 trials (minutes)
)";

struct Options {
  std::vector<std::string> searchers, spaces = {"mixed"};
  uint32_t largest = 100'000;
  bool optuna = false;
};

std::vector<std::string> Split(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == ',') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

bool ReadOptions(int argc, char** argv, Options* o) {
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--optuna") {
      o->optuna = true;
    } else if (flag == "--searchers" && i + 1 < argc) {
      o->searchers = Split(argv[++i]);
    } else if (flag == "--spaces" && i + 1 < argc) {
      o->spaces = Split(argv[++i]);
    } else if (flag == "--largest" && i + 1 < argc) {
      o->largest = static_cast<uint32_t>(std::strtoul(argv[++i], nullptr, 10));
    } else {
      std::fprintf(stderr, "%s: no such option, or its value is missing\n%s", argv[i], kUsage);
      return false;
    }
  }
  if (o->searchers.empty()) {
    const std::vector<std::string> types = SearcherTypes();
    for (const char* type : {"tpe", "auto", "gp"}) {
      if (std::find(types.begin(), types.end(), type) != types.end())
        o->searchers.emplace_back(type);
    }
  }
  return true;
}

Parameter Range(int i, Distribution distribution, double lo, double hi) {
  Parameter p;
  p.name = "p" + std::to_string(i);
  p.distribution = distribution;
  p.lo = lo;
  p.hi = hi;
  return p;
}

Parameter Choice(int i, int values) {
  Parameter p;
  p.name = "p" + std::to_string(i);
  p.distribution = Distribution::kChoice;
  for (int v = 0; v < values; ++v) p.options.emplace_back(int64_t{v});
  return p;
}

// Twenty parameters: real, a mixture as in neural networks, integers and categories only, and half
// of them conditional.
std::vector<Parameter> Parameters(const std::string& kind) {
  std::vector<Parameter> out;
  for (int i = 0; i < 20; ++i) {
    if (kind == "real") {
      out.push_back(
          Range(i, i % 2 == 0 ? Distribution::kUniform : Distribution::kLogUniform, 1e-4, 1));
    } else if (kind == "discrete") {
      out.push_back(i % 3 == 0   ? Choice(i, 6)
                    : i % 3 == 1 ? Range(i, Distribution::kRandInt, 0, 12)
                                 : Range(i, Distribution::kLogRandInt, 1, 65));
    } else {
      out.push_back(i % 4 == 0   ? Range(i, Distribution::kUniform, 0, 1)
                    : i % 4 == 1 ? Range(i, Distribution::kLogUniform, 1e-5, 1)
                    : i % 4 == 2 ? Range(i, Distribution::kLogRandInt, 16, 1024)
                                 : Choice(i, 3));
    }
    if (kind == "conditional" && i % 2 == 0 && i > 3) {
      Condition c;
      c.parent = 3;
      c.values = {Value(int64_t{i % 3})};
      out.back().when = {c};
    }
  }
  return out;
}

double Loss(const Point& point) {
  double loss = 0;
  for (const Value& v : point) {
    if (IsActive(v)) loss += std::fabs(std::log(1e-3 + std::fabs(ValueNumber(v))) + 2);
  }
  return loss;
}

void Finish(Searcher* searcher, uint32_t trial, const Point& point) {
  searcher->Add(trial, point);
  searcher->Observe(
      {.trial = trial, .outcome = Outcome::kCompleted, .value = Loss(point), .step = 1});
}

// Random points, finished, from trial `from` up to `to`.
void Fill(const Space& space, uint32_t from, uint32_t to, Searcher* searcher) {
  Rng rng(from + 1);
  for (uint32_t trial = from; trial < to; ++trial) Finish(searcher, trial, space.Sample(&rng));
}

// Milliseconds.
struct Cost {
  double first = 0;  // of the first suggestion after the trials were added all at once
  double mean = 0, median = 0, slowest = 0;  // of a suggestion with Add, Observe and all fits
  double waiting = 0;  // mean of Suggest alone, with fits done before (Prepare)
};

// Over `trials` further trials.
Cost Measure(Searcher* searcher, uint32_t n, uint32_t trials) {
  Cost cost;
  double seconds = 0;
  {
    const CpuClock clock(&seconds);
    searcher->Suggest(n);
  }
  cost.first = 1000 * seconds;
  std::vector<double> times;
  for (uint32_t t = n; t < n + trials; ++t) {
    double suggest = 0, rest = 0;
    Suggestion suggestion;
    {
      const CpuClock clock(&rest);
      searcher->Prepare();
    }
    {
      const CpuClock clock(&suggest);
      suggestion = searcher->Suggest(t);
    }
    const double loss = Loss(suggestion.point);
    {
      const CpuClock clock(&rest);
      searcher->Add(t, suggestion.point);
      searcher->Observe({.trial = t, .outcome = Outcome::kCompleted, .value = loss, .step = 1});
    }
    times.push_back(1000 * (suggest + rest));
    cost.mean += times.back() / trials;
    cost.waiting += 1000 * suggest / trials;
  }
  std::sort(times.begin(), times.end());
  cost.median = times[times.size() / 2];
  cost.slowest = times.back();
  return cost;
}

size_t HeapBytes() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

// What a suggestion may take; 0: no bar.
double Bar(const std::string& searcher, uint32_t trials) {
  if (searcher == "tpe") return trials <= 1'000 ? 0.3 : 0.5;
  if (searcher == "auto") return trials <= 1'000 ? 1.0 : 1.5;
  return 0;
}
constexpr double kBytesBar = 400;

// Milliseconds per trial of Optuna with its default options, by the number of trials. Prints them,
// and those of its multivariate variant.
// Empty if it does not run.
std::map<uint32_t, double> MeasureOptuna(const Space& space, uint32_t largest) {
  std::map<uint32_t, double> costs;
  Problems problems;
  const auto peer = OptunaPeer::Start("/usr/bin/python3", &problems);
  if (peer == nullptr) {
    std::printf("%s; %s\n", problems[0].message.c_str(), problems[0].hint.c_str());
    return costs;
  }
  for (const char* text : {"optuna:multivariate=true", "optuna"}) {
    const auto study = peer->NewStudy(ParseSearcher(text), space, &problems);
    if (study == nullptr) return costs;
    uint32_t n = 0;
    for (uint32_t next = 100; next <= std::min(largest, 10'000U); next *= 10) {
      Fill(space, n, next, study.get());
      n = next;
      study->Suggest(n);
      const uint32_t trials = next >= 10'000 ? 10 : 40;
      const double before = peer->CpuSeconds();
      Measure(study.get(), n, trials);
      // Measure asks once more than it finishes.
      costs[next] = 1000 * (peer->CpuSeconds() - before) / (trials + 1);
      n += trials;
      std::printf("%-28s %7u %10.3f\n", (text + (" " + peer->version())).c_str(), next,
                  costs[next]);
      std::fflush(stdout);
    }
  }
  return costs;
}

void MeasureSearcher(const std::string& text, const Space& space, uint32_t largest,
                     const std::map<uint32_t, double>& optuna) {
  Problems problems;
  const auto searcher = MakeSearcher(ParseSearcher(text), space, &problems);
  if (searcher == nullptr) {
    std::printf("%-28s %s: %s\n", text.c_str(), problems[0].field.c_str(),
                problems[0].message.c_str());
    return;
  }
  uint32_t n = 0, trials_before = 0;
  size_t bytes_before = 0;
  for (uint32_t next = 100; next <= largest; next *= 10) {
    Fill(space, n, next, searcher.get());
    n = next;
    const Cost cost = Measure(searcher.get(), n, 200);
    n += 200;
    std::printf("%-28s %7u %10.4f %9.4f %9.4f %9.4f %9.2f", text.c_str(), next, cost.mean,
                cost.median, cost.slowest, cost.waiting, cost.first);
    if (const double bar = Bar(text, next); bar > 0) {
      std::printf("   %.1f %3.0f%%", bar, 100 * cost.mean / bar);
    } else {
      std::printf("     -    -");
    }
    const size_t bytes = HeapBytes();
    std::string per_trial;
    if (next == 1'000) {
      bytes_before = bytes;
      trials_before = n;
    } else if (next > 1'000) {
      per_trial = std::to_string((bytes - bytes_before) / (n - trials_before));
    }
    std::printf(" %9s", per_trial.c_str());
    if (const auto peer = optuna.find(next); peer != optuna.end()) {
      std::printf(" %8.0fx", peer->second / cost.mean);
    }
    std::printf("\n");
    std::fflush(stdout);
  }
}

int Main(int argc, char** argv) {
  Options o;
  if (!ReadOptions(argc, argv, &o)) return 2;
  for (const std::string& kind : o.spaces) {
    Problems problems;
    const auto space = Space::Create(Parameters(kind), &problems);
    std::printf("\n20 parameters, %s; CPU milliseconds per suggestion with its observation\n",
                kind.c_str());
    std::map<uint32_t, double> optuna;
    if (o.optuna) optuna = MeasureOptuna(*space, o.largest);
    std::printf("%-28s %7s %10s %9s %9s %9s %9s %5s %4s %9s%s\n", "searcher", "trials", "mean",
                "median", "slowest", "waiting", "first", "bar", "", "B/trial",
                o.optuna ? "   optuna" : "");
    for (const std::string& text : o.searchers) MeasureSearcher(text, *space, o.largest, optuna);
  }
  std::printf(
      "\nmean, median, slowest: of 200 trials, fits of models included; waiting: with the fits "
      "done "
      "beforehand;\nfirst: the first suggestion after a restart; B/trial: bytes per trial in the "
      "searcher beyond 1,000 trials (bar %.0f)\n",
      kBytesBar);
  return 0;
}

}  // namespace
}  // namespace tunesmith::bench

int main(int argc, char** argv) { return tunesmith::bench::Main(argc, argv); }
