#include "search/tpe/history.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "common/exact_math.h"
#include "common/rng.h"
#include "search/pareto/pareto.h"
#include "search/registry.h"

namespace tunesmith::tpe {

History::History(uint64_t seed, std::vector<Goal> goals)
    : seed_(seed), goals_(std::move(goals)), fronts_(goals_.size(), kBelowMax + 1) {}

void History::AddEarlier(const Codes& codes, double value) {
  if (!std::isfinite(value) || goals_.size() > 1) return;
  EarlierRecord record;
  record.codes.assign(codes.begin(), codes.end());
  record.loss = goals_[0] == Goal::kMin ? value : -value;
  const auto number = static_cast<uint32_t>(earlier_.size());
  record.key = Rng::ForLabels({seed_, number, kStreamReservoir, 1}).Uniform();
  // Equal ones in the order in which they came.
  const auto place = std::upper_bound(earlier_.begin(), earlier_.end(), record.loss,
                                      [](double loss, const EarlierRecord& other) { return loss < other.loss; });
  earlier_.insert(place, std::move(record));
  earlier_order_.push_back(number);
  std::sort(earlier_order_.begin(), earlier_order_.end(),
            [&](uint32_t a, uint32_t b) { return earlier_[a].key < earlier_[b].key; });
}

void History::AddEarlierBelow(size_t below, Groups* groups, double* weight_sum) const {
  if (below == 0) return;
  // Weights as Below gives them, among the earlier trials: of their values only the order counts beside the others.
  const double outside = earlier_[std::min(below, earlier_.size() - 1)].loss;
  const double range = outside - earlier_[0].loss;
  for (size_t k = 0; k < below; ++k) {
    const bool comparable = range > 0 && std::isfinite(range);
    const double weight = comparable ? std::max(1e-12, (outside - earlier_[k].loss) / range) : 1;
    groups->below.push_back({earlier_[k].codes.data(), weight});
    *weight_sum += weight;
  }
}

void History::AddEarlierAbove(size_t below, size_t above, Groups* groups) const {
  for (const uint32_t k : earlier_order_) {
    if (above == 0 || groups->above.size() >= kAboveMax) return;
    if (k < below) continue;
    groups->above.push_back({earlier_[k].codes.data(), 1});
    --above;
  }
}

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
  Rank(observation);
  // What falls out of the sample and of the best can never come back: later trials only push further.
  if (finished_.size() <= kAboveMax + kBelowMax) return;
  const uint32_t last = std::prev(finished_.end())->second;
  finished_.erase(std::prev(finished_.end()));
  records_[last].sampled = false;
  DropIfUnused(last);
}

void History::Rank(const Observation& observation) {
  if (observation.outcome == Outcome::kFailed) return;
  std::vector<double> losses;
  AppendLosses(goals_.size() > 1 ? observation.values : std::vector<double>{observation.value}, goals_,
               &losses);
  if (!std::all_of(losses.begin(), losses.end(), [](double x) { return std::isfinite(x); })) return;
  ++ranked_;
  below_wanted_ = 0;
  const bool feasible = observation.violation <= 0;  // NaN is not
  const double violation = feasible                            ? 0
                           : std::isnan(observation.violation) ? HUGE_VAL
                                                               : observation.violation;
  if (goals_.size() == 1) {
    AddPlace({violation, losses[0], observation.trial});
  } else if (feasible) {
    AddToFronts(observation.trial, std::move(losses));
  } else {
    AddPlace({violation, 0, observation.trial});
  }
}

void History::AddPlace(const Place& place) {
  records_[place.trial].best = true;
  best_.insert(place);
  if (best_.size() <= kBelowMax + 1) return;
  const uint32_t last = std::prev(best_.end())->trial;
  best_.erase(std::prev(best_.end()));
  records_[last].best = false;
  DropIfUnused(last);
}

void History::AddToFronts(uint32_t trial, std::vector<double> losses) {
  records_[trial].best = true;
  for (const uint32_t dropped : fronts_.Add(trial, std::move(losses))) {
    records_[dropped].best = false;
    DropIfUnused(dropped);
  }
}

void History::DropIfUnused(uint32_t trial) {
  const auto it = records_.find(trial);
  if (!it->second.best && !it->second.sampled && !it->second.running) records_.erase(it);
}

void History::Below(size_t wanted, std::vector<uint32_t>* members, std::vector<double>* weights) const {
  if (goals_.size() > 1) {
    if (below_wanted_ != wanted) {
      below_.clear();
      BelowOfFronts(wanted, &below_);
      below_wanted_ = wanted;
    }
    *members = below_;
    weights->assign(members->size(), 1);
    return;
  }
  auto it = best_.begin();
  for (; members->size() < wanted; ++it) members->push_back(it->trial);
  // Expected improvement over the best trial outside, scaled by the group's whole improvement. Feasible trials cannot
  // be compared with infeasible ones like that.
  const Place& outside = it != best_.end() ? *it : *std::prev(it);
  const double range = outside.loss - best_.begin()->loss;
  const bool comparable = range > 0 && std::isfinite(range) && outside.violation == 0;
  for (auto member = best_.begin(); member != it; ++member) {
    weights->push_back(comparable ? std::max(1e-12, (outside.loss - member->loss) / range) : 1);
  }
}

void History::BelowOfFronts(size_t wanted, std::vector<uint32_t>* members) const {
  for (const auto& rank : fronts_.ranks()) {
    if (members->size() + rank.size() > wanted) {
      for (const uint32_t trial : Cut(rank, wanted - members->size())) members->push_back(trial);
      return;
    }
    for (const Fronts::Member& member : rank) members->push_back(member.id);
  }
  for (auto it = best_.begin(); it != best_.end() && members->size() < wanted; ++it)
    members->push_back(it->trial);
}

// `wanted` trials of a rank that together dominate much.
std::vector<uint32_t> History::Cut(const std::vector<Fronts::Member>& rank, size_t wanted) const {
  // Of a large rank a sample does: exact volumes in many dimensions are dear.
  const size_t most = goals_.size() == 2 ? 512 : 64;
  std::vector<std::pair<double, size_t>> sample;
  for (size_t k = 0; k < rank.size(); ++k) sample.emplace_back(records_.at(rank[k].id).key, k);
  if (sample.size() > most) {
    std::sort(sample.begin(), sample.end());
    sample.resize(most);
    std::sort(sample.begin(), sample.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  }
  std::vector<double> losses;
  for (const auto& [key, k] : sample) losses.insert(losses.end(), rank[k].losses.begin(), rank[k].losses.end());
  const std::vector<double> reference = ScaleToUnit(&losses, goals_.size());
  std::vector<uint32_t> chosen =
      SelectByHypervolume({losses.data(), sample.size(), goals_.size()}, reference.data(), wanted);
  for (uint32_t& k : chosen) k = rank[sample[k].second].id;
  return chosen;
}

Groups History::Split() const {
  Groups groups;
  const size_t earlier = (earlier_.size() * kEarlierFade + (kEarlierFade + ranked_) / 2) / (kEarlierFade + ranked_);
  const size_t known = ranked_ + earlier;
  const auto wanted = std::min(static_cast<size_t>(std::ceil(0.15 * static_cast<double>(known))), kBelowMax);
  // Earlier trials cannot be compared with these: the same share of both is good.
  const size_t below = (wanted * ranked_ + known / 2) / known;
  const size_t earlier_below = std::min(wanted - below, earlier);
  std::vector<uint32_t> members;
  std::vector<double> weights;
  if (below > 0) Below(below, &members, &weights);
  double sum = 0;
  for (size_t k = 0; k < members.size(); ++k) {
    groups.below.push_back({records_.at(members[k]).codes.data(), weights[k]});
    sum += weights[k];
  }
  AddEarlierBelow(earlier_below, &groups, &sum);
  groups.below_prior_weight = sum / static_cast<double>(groups.below.size());

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
  AddEarlierAbove(earlier_below, earlier - earlier_below, &groups);
  return groups;
}

}  // namespace tunesmith::tpe
