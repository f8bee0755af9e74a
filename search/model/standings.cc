#include "search/model/standings.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tunesmith::model {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

}  // namespace

void Standings::Leave(uint32_t trial) {
  const auto it = placed_.find(trial);
  if (it == placed_.end()) return;
  const RankedList::Entry entry{it->second.value, trial};
  if (it->second.rung == kBad) {
    bad_.Erase(entry);
  } else {
    rungs_[it->second.rung].here.Erase(entry);
  }
}

void Standings::Put(uint32_t trial, int64_t rung, double value) {
  Leave(trial);
  placed_[trial] = {rung, value};
  if (rung == kBad) {
    bad_.Insert({value, trial});
    return;
  }
  rungs_[rung].reached.Insert({value, trial});
  rungs_[rung].here.Insert({value, trial});
}

void Standings::Reach(uint32_t trial, int64_t rung, double loss) {
  const auto it = placed_.find(trial);
  if (it != placed_.end() && (it->second.rung == kBad || it->second.rung >= rung)) return;
  Put(trial, std::clamp<int64_t>(rung, 0, kCompleted - 1), std::isfinite(loss) ? loss : kInfinity);
}

void Standings::Stop(uint32_t trial, double loss) {
  if (!std::isfinite(loss)) return Fail(trial);
  if (!Has(trial)) Complete(trial, loss);
}

void Standings::Complete(uint32_t trial, double loss) {
  if (!std::isfinite(loss)) return Fail(trial);
  Put(trial, kCompleted, loss);
}

void Standings::Violate(uint32_t trial, double violation) {
  Put(trial, kBad, std::min(violation, std::numeric_limits<double>::max()));
}

void Standings::Fail(uint32_t trial) { Put(trial, kBad, kInfinity); }

// Trials that have failed since count at the rungs that they reached, but not so that one comes before a good one.
double Standings::GoodQuantile(double rank) const {
  return std::min(rank, static_cast<double>(good()) - 0.5) / static_cast<double>(count());
}

void Standings::ReplaceCompleted(const std::vector<RankedList::Entry>& losses) {
  Rung& completed = rungs_[kCompleted];
  completed = {};
  for (const RankedList::Entry& entry : losses) {
    placed_[entry.trial] = {kCompleted, entry.value};
    completed.reached.Insert(entry);
    completed.here.Insert(entry);
  }
}

double Standings::Quantile(uint32_t trial) const {
  const Place place = placed_.at(trial);
  if (place.rung != kBad) return GoodQuantile(rungs_.at(place.rung).reached.MidRank(place.value));
  return (static_cast<double>(good()) + bad_.MidRank(place.value)) / static_cast<double>(count());
}

std::vector<Standings::Placed> Standings::Best(size_t limit) const {
  std::vector<Placed> out;
  for (auto it = rungs_.rbegin(); it != rungs_.rend(); ++it) {  // the furthest first, which a stable sort keeps
    for (const RankedList::Entry& e : it->second.here.First(limit)) {
      out.push_back({e.trial, GoodQuantile(it->second.reached.MidRank(e.value))});
    }
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const Placed& a, const Placed& b) { return a.quantile < b.quantile; });
  if (out.size() > limit) out.resize(limit);
  for (const RankedList::Entry& e : bad_.First(limit - out.size())) out.push_back({e.trial, Quantile(e.trial)});
  return out;
}

double Standings::LossAt(double quantile) const {
  const auto completed = rungs_.find(kCompleted);
  if (completed == rungs_.end() || completed->second.reached.empty()) return std::nan("");
  // Midranks are half a place above places counted from 0.
  return completed->second.reached.Quantile(quantile * static_cast<double>(count()) - 0.5);
}

}  // namespace tunesmith::model
