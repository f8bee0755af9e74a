#include "bench/search/runs.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <limits>
#include <queue>

#include "bench/search/cpu_clock.h"

namespace tunesmith::bench {
namespace {

constexpr uint64_t kStreamNoise = 1, kStreamDuration = 2;

Value ParseValue(const std::string& text) {
  int64_t integer = 0;
  double real = 0;
  const char* end = text.data() + text.size();
  if (std::from_chars(text.data(), end, integer).ptr == end) return integer;
  if (std::from_chars(text.data(), end, real).ptr == end) return real;
  if (text == "true" || text == "false") return text == "true";
  return text;
}

}  // namespace

SearcherOptions ParseSearcher(const std::string& text) {
  SearcherOptions options;
  size_t at = std::min(text.find(':'), text.size());
  options.type = text.substr(0, at);
  while (at < text.size()) {
    const size_t next = std::min(text.find(':', at + 1), text.size());
    const std::string option = text.substr(at + 1, next - at - 1);
    const size_t equals = std::min(option.find('='), option.size());
    options.options.emplace_back(
        option.substr(0, equals),
        equals < option.size() ? ParseValue(option.substr(equals + 1)) : Value(true));
    at = next;
  }
  return options;
}

Run RunSearch(const Task& task, uint64_t seed, uint32_t trials, uint32_t workers,
              Searcher* searcher) {
  struct Finish {
    double time, seconds;
    uint32_t trial;
    bool operator>(const Finish& other) const {
      return time != other.time ? time > other.time : trial > other.trial;
    }
  };
  std::priority_queue<Finish, std::vector<Finish>, std::greater<>> running;
  std::vector<Point> points;
  Run run;
  double now = 0, best_seen = std::numeric_limits<double>::infinity(), regret = kNothing;
  bool exhausted = false;

  const auto launch = [&] {
    const auto trial = static_cast<uint32_t>(points.size());
    Suggestion suggestion;
    {
      const CpuClock clock(&run.cpu_seconds);
      suggestion = searcher->Suggest(trial);
      if (!suggestion.exhausted) searcher->Add(trial, suggestion.point);
    }
    exhausted = suggestion.exhausted;
    if (exhausted) return;
    double seconds = 1;
    if (task.seconds_at) {
      seconds = task.seconds_at(suggestion.point, task.max_epochs);
    } else if (workers > 1) {
      seconds = std::pow(3, Rng::ForLabels({seed, trial, kStreamDuration}).Uniform());
    }
    running.push({now + seconds, seconds, trial});
    points.push_back(std::move(suggestion.point));
  };

  while (run.regret.size() < trials) {
    while (!exhausted && running.size() < workers && points.size() < trials) launch();
    if (running.empty()) {  // nothing is left to try
      run.regret.resize(trials, regret);
      break;
    }
    const Finish finish = running.top();
    running.pop();
    now = finish.time;
    const double loss = task.loss(points[finish.trial]);
    double seen = loss;
    if (task.noise > 0) {
      seen += task.noise * Rng::ForLabels({seed, finish.trial, kStreamNoise}).Normal();
    }
    if (seen < best_seen) {
      best_seen = seen;
      regret = Regret(task, loss);
    }
    run.regret.push_back(regret);
    ++run.trials;
    ++run.full_length;
    run.epochs += task.max_epochs;
    const CpuClock clock(&run.cpu_seconds);
    searcher->Observe({.trial = finish.trial,
                       .outcome = std::isnan(seen) ? Outcome::kFailed : Outcome::kCompleted,
                       .value = seen,
                       .step = task.max_epochs,
                       .seconds = finish.seconds});
  }
  return run;
}

}  // namespace tunesmith::bench
