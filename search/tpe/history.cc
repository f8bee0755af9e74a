#include "search/tpe/history.h"

#include <algorithm>
#include <cmath>

#include "common/exact_math.h"
#include "common/rng.h"
#include "search/registry.h"

namespace tunesmith::tpe {

void History::Add(uint32_t trial, const Codes& codes) {
  Record record;
  record.codes.assign(codes.begin(), codes.end());
  // Exponential keys with rate trial + 1: recent trials are likelier to stay, as in the linear
  // forgetting of TPE.
  Rng rng = Rng::ForLabels({seed_, trial, kStreamReservoir});
  record.key = -PortableLog(1 - rng.Uniform()) / (static_cast<double>(trial) + 1);
  const double key = record.key;
  if (records_.emplace(trial, std::move(record)).second) running_.emplace(key, trial);
}

void History::Forget(uint32_t trial) {
  const auto it = records_.find(trial);
  if (it == records_.end() || !it->second.running) return;
  running_.erase({it->second.key, trial});
  records_.erase(it);
}

void History::Observe(const Observation& observation) {
  const auto it = records_.find(observation.trial);
  if (it == records_.end() || !it->second.running) return;
  Record& record = it->second;
  record.running = false;
  running_.erase({record.key, observation.trial});
  record.sampled = true;
  finished_.emplace(record.key, observation.trial);
  if (observation.outcome != Outcome::kFailed && std::isfinite(observation.value)) {
    ++ranked_;
    record.loss = goal_ == Goal::kMin ? observation.value : -observation.value;
    record.best = true;
    best_.emplace(record.loss, observation.trial);
  }
  // What falls out of both can never come back: later trials only push further.
  if (finished_.size() > kAboveMax + kBelowMax) {
    const uint32_t last = std::prev(finished_.end())->second;
    finished_.erase(std::prev(finished_.end()));
    records_[last].sampled = false;
    DropIfUnused(last);
  }
  if (best_.size() > kBelowMax + 1) {
    const uint32_t last = std::prev(best_.end())->second;
    best_.erase(std::prev(best_.end()));
    records_[last].best = false;
    DropIfUnused(last);
  }
}

void History::DropIfUnused(uint32_t trial) {
  const auto it = records_.find(trial);
  if (!it->second.best && !it->second.sampled && !it->second.running) records_.erase(it);
}

Groups History::Split() const {
  Groups groups;
  const auto wanted = static_cast<size_t>(std::ceil(0.15 * static_cast<double>(ranked_)));
  const size_t below = std::min({wanted, kBelowMax, best_.size()});
  std::vector<uint32_t> members;
  auto it = best_.begin();
  for (; members.size() < below; ++it) members.push_back(it->second);
  // Expected improvement over the best trial outside, scaled by the group's whole improvement.
  const double outside = it != best_.end() ? it->first : std::prev(it)->first;
  const double range = outside - best_.begin()->first;
  double sum = 0;
  for (const uint32_t trial : members) {
    const Record& record = records_.at(trial);
    const bool comparable = range > 0 && std::isfinite(range);
    const double weight = comparable ? std::max(1e-12, (outside - record.loss) / range) : 1;
    groups.below.push_back({record.codes.data(), weight});
    sum += weight;
  }
  groups.below_prior_weight = sum / static_cast<double>(below);

  std::sort(members.begin(), members.end());
  const size_t finished = finished_.size() - std::min(finished_.size(), below);
  const size_t pending_seats = std::min(
      running_.size(), std::max(kAbovePendingMax, kAboveMax - std::min(kAboveMax, finished)));
  size_t taken = 0;
  for (auto r = running_.begin(); taken < pending_seats; ++r, ++taken) {
    groups.above.push_back({records_.at(r->second).codes.data(), 1});
  }
  for (const auto& [key, trial] : finished_) {
    if (groups.above.size() >= kAboveMax) break;
    if (std::binary_search(members.begin(), members.end(), trial)) continue;
    groups.above.push_back({records_.at(trial).codes.data(), 1});
  }
  return groups;
}

}  // namespace tunesmith::tpe
