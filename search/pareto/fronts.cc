#include "search/pareto/fronts.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "search/pareto/pareto.h"

namespace tunesmith {

// Efficient non-domination level update (Li, Deb et al. 2014): the new point joins the first rank without a point that
// dominates it, and what it dominates there goes on to the next rank in the same way.
std::vector<uint32_t> Fronts::Add(uint32_t id, std::vector<double> losses) {
  const auto dominates = [&](const Member& a, const Member& b) {
    return Dominates(a.losses.data(), b.losses.data(), width_);
  };
  std::vector<Member> coming;
  coming.push_back({id, std::move(losses)});
  const auto dominated = [&](const std::vector<Member>& rank) {
    return std::any_of(rank.begin(), rank.end(), [&](const Member& m) { return dominates(m, coming[0]); });
  };
  auto r = static_cast<size_t>(std::partition_point(ranks_.begin(), ranks_.end(), dominated) - ranks_.begin());
  for (; !coming.empty() && r < ranks_max_; ++r) {
    if (r == ranks_.size()) ranks_.emplace_back();
    std::vector<Member>& rank = ranks_[r];
    const auto going = std::stable_partition(rank.begin(), rank.end(), [&](const Member& m) {
      return std::none_of(coming.begin(), coming.end(), [&](const Member& c) { return dominates(c, m); });
    });
    std::vector<Member> next(std::make_move_iterator(going), std::make_move_iterator(rank.end()));
    rank.erase(going, rank.end());
    const auto by_id = [](const Member& a, const Member& b) { return a.id < b.id; };
    const auto middle = static_cast<std::ptrdiff_t>(rank.size());
    std::move(coming.begin(), coming.end(), std::back_inserter(rank));
    std::inplace_merge(rank.begin(), rank.begin() + middle, rank.end(), by_id);
    coming = std::move(next);
  }
  std::vector<uint32_t> dropped;
  for (const Member& member : coming) dropped.push_back(member.id);
  return dropped;
}

}  // namespace tunesmith
