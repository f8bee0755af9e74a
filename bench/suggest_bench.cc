// Milliseconds per suggestion of the TPE searcher after n finished trials, for spaces of 20
// parameters. suggest_bench [largest n, default 100000]
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "search/searcher.h"

namespace {

using namespace tunesmith;  // NOLINT: a program of one page

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

double Ms(std::chrono::steady_clock::duration d) {
  return std::chrono::duration<double, std::milli>(d).count();
}

// Median milliseconds of Suggest, and mean of Add with Observe, over a few further trials after
// `n`.
struct Cost {
  double suggest = 0, tell = 0;
};
Cost Measure(Searcher* searcher, uint32_t n) {
  constexpr uint32_t kTrials = 51;
  std::vector<double> times;
  double tell = 0;
  for (uint32_t t = n; t < n + kTrials; ++t) {
    const auto start = std::chrono::steady_clock::now();
    const Suggestion s = searcher->Suggest(t);
    const auto asked = std::chrono::steady_clock::now();
    searcher->Add(t, s.point);
    searcher->Observe(
        {.trial = t, .outcome = Outcome::kCompleted, .value = Loss(s.point), .step = 1});
    tell += Ms(std::chrono::steady_clock::now() - asked);
    times.push_back(Ms(asked - start));
  }
  std::nth_element(times.begin(), times.begin() + kTrials / 2, times.end());
  return {times[kTrials / 2], tell / kTrials};
}

}  // namespace

int main(int argc, char** argv) {
  const uint32_t largest =
      argc > 1 ? static_cast<uint32_t>(std::strtoul(argv[1], nullptr, 10)) : 100'000;
  std::printf("%-12s %8s %11s %9s %10s %9s\n", "space", "trials", "suggest ms", "tell ms",
              "x previous", "of limit");
  for (const char* kind : {"real", "mixed", "discrete", "conditional"}) {
    Problems problems;
    const auto space = Space::Create(Parameters(kind), &problems);
    const auto searcher = MakeSearcher({}, *space, &problems);
    if (searcher == nullptr) return 1;
    Rng rng(1);
    uint32_t n = 0;
    double previous = 0;
    for (uint32_t next = 100; next <= largest; next *= 10) {
      for (; n < next; ++n) {
        const Point point = space->Sample(&rng);
        searcher->Add(n, point);
        searcher->Observe(
            {.trial = n, .outcome = Outcome::kCompleted, .value = Loss(point), .step = 1});
      }
      const Cost cost = Measure(searcher.get(), n);
      n += 51;
      const double limit =
          next <= 1'000 ? 0.5 : 3.0 * next / 10'000;  // ms; linear from 3 ms at 10,000
      std::printf("%-12s %8u %11.3f %9.4f %10.2f %8.0f%%\n", kind, next, cost.suggest, cost.tell,
                  previous > 0 ? cost.suggest / previous : 1.0, 100 * cost.suggest / limit);
      previous = cost.suggest;
    }
  }
  return 0;
}
