#include "server/core/queue.h"

#include "server/core/state.h"

namespace tunesmith {

QueuePlace PlaceOf(const Trial& trial, uint32_t number) {
  // ~x is -x - 1: it orders like -x and exists for every x.
  if (trial.promoted && trial.takes_turns) return {QueuePlace::Rank::kInTurn, trial.last_step, number};
  if (trial.promoted) return {QueuePlace::Rank::kPromoted, ~trial.last_step, number};
  if (trial.from_user) return {QueuePlace::Rank::kUser, 0, number};
  if (trial.attempts.empty()) return {QueuePlace::Rank::kFresh, 0, number};
  return {QueuePlace::Rank::kResumed, ~trial.last_step, number};
}

void PendingQueue::Insert(const Trial& trial, uint32_t number) {
  const QueuePlace place = PlaceOf(trial, number);
  if (places_.emplace(number, place).second) order_.insert(place);
}

void PendingQueue::Erase(uint32_t number) {
  const auto it = places_.find(number);
  if (it == places_.end()) return;
  order_.erase(it->second);
  places_.erase(it);
}

std::vector<uint32_t> PendingQueue::Numbers() const {
  std::vector<uint32_t> numbers;
  numbers.reserve(order_.size());
  for (const QueuePlace& place : order_) numbers.push_back(place.number);
  return numbers;
}

}  // namespace tunesmith
