#include "server/core/warm_start.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "common/limits.h"
#include "common/text.h"
#include "server/core/repeats.h"
#include "server/core/state.h"

namespace tunesmith {

namespace {

std::vector<std::string> SweepIds(const State& state) {
  std::vector<std::string> ids;
  for (const auto& [number, sweep] : state.sweeps()) ids.push_back(sweep->id);
  return ids;
}

// What a sweep has to give, in the order in which its points ended; why not, if it is nothing.
std::vector<WarmStarted> Collect(const Sweep& from, const Space& space, std::string* why) {
  std::vector<WarmStarted> trials;
  size_t with_value = 0;
  std::vector<uint32_t> left(from.trials.size() / RepeatsOf(from), RepeatsOf(from));
  for (const uint32_t number : from.finished) {
    const uint32_t first = FirstOf(from, number);
    if (--left[first / RepeatsOf(from)] > 0) continue;
    // No one point has led to what a trial reached that took over from another one.
    if (from.trials[first].Exploited()) continue;
    const auto observed = PointObservation(from, first);
    if (!observed || observed->outcome == Outcome::kFailed || !std::isfinite(observed->value)) continue;
    if (observed->violation > 0) continue;
    ++with_value;
    auto point = MapPoint(*from.space, from.trials[first].point, space);
    if (point) trials.push_back({SweepId(), from.id, first, *std::move(point), observed->value});
  }
  if (trials.empty()) {
    *why = with_value == 0 ? "sweep " + from.id + " has no trial that ended with a value"
                           : "no trial of sweep " + from.id + " fits these parameters";
  }
  return trials;
}

// Half of the limit for the best, the rest for the latest; the order stays.
void Limit(Goal goal, std::vector<WarmStarted>* trials) {
  const size_t limit = kWarmStartTrialsMax;
  if (trials->size() <= limit) return;
  std::vector<size_t> order(trials->size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return Better(goal, (*trials)[a].value, (*trials)[b].value);
  });
  std::vector<bool> kept(trials->size());
  for (size_t i = 0; i < limit / 2; ++i) kept[order[i]] = true;
  for (size_t i = trials->size(), n = limit / 2; i-- > 0 && n < limit;) {
    if (kept[i]) continue;
    kept[i] = true;
    ++n;
  }
  size_t next = 0;
  std::erase_if(*trials, [&](const WarmStarted&) { return !kept[next++]; });
}

}  // namespace

std::optional<Point> MapPoint(const Space& from, const Point& point, const Space& to) {
  Point mapped(to.size());
  // Whether a value is missing because the earlier space said nothing about it.
  std::vector<bool> unknown(to.size());
  bool any = false;
  for (const size_t i : to.SampleOrder()) {
    const Parameter& parameter = to.parameters()[i];
    const bool open = std::any_of(parameter.when.begin(), parameter.when.end(),
                                  [&](const Condition& c) { return unknown[c.parent]; });
    if (!open && !to.Active(i, mapped)) continue;
    if (parameter.distribution == Distribution::kConstant) {
      if (!open) mapped[i] = parameter.options[0];
      continue;
    }
    const auto index = from.Find(parameter.name);
    if (!index || !IsActive(point[*index])) {
      unknown[i] = true;
      continue;
    }
    auto value = to.Typed(i, point[*index]);
    if (!value) return std::nullopt;
    mapped[i] = *std::move(value);
    any = true;
  }
  if (!any || !to.Feasible(mapped)) return std::nullopt;
  return mapped;
}

std::vector<WarmStarted> CollectEarlier(const State& state, const SweepSpec& spec, const Space& space,
                                        Problems* problems) {
  std::vector<WarmStarted> all;
  for (const std::string& id : spec.search.warm_start) {
    const Sweep* from = state.FindSweep(id);
    if (from == nullptr) {
      const std::string closest = ClosestWord(id, SweepIds(state));
      problems->push_back({"search.warm_start", "there is no sweep \"" + ValidUtf8(id.substr(0, 60)) + "\"",
                           closest.empty() ? "name a sweep of this controller; tunesmith ls lists them"
                                           : "did you mean \"" + closest + "\"?"});
      continue;
    }
    if (!from->goals.empty()) {
      problems->push_back({"search.warm_start", "sweep " + id + " has several objectives, so its trials have no order",
                           "leave it out"});
      continue;
    }
    const Goal goal = from->spec->search.goal;
    if (goal != spec.search.goal) {
      problems->push_back({"search.warm_start",
                           std::string("sweep ") + id + " follows the other goal: it " +
                               (goal == Goal::kMin ? "minimises " : "maximises ") + from->spec->search.metric,
                           "leave it out, or let both follow a metric with the same goal"});
      continue;
    }
    std::string why;
    std::vector<WarmStarted> trials = Collect(*from, space, &why);
    if (trials.empty()) {
      problems->push_back({"search.warm_start", why, "leave it out"});
      continue;
    }
    all.insert(all.end(), std::make_move_iterator(trials.begin()), std::make_move_iterator(trials.end()));
  }
  Limit(spec.search.goal, &all);
  return all;
}

}  // namespace tunesmith
