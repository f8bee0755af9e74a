// The order in which the pending trials of a sweep get a place.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

namespace tunesmith {

struct Trial;

// Where a trial stands: the least one is next. The order is decided here and nowhere else:
//   1. the user's own points, by number: somebody wants to see them first;
//   2. trials that have run already and lost their place to machine trouble, or are tried again: the one that had come
//      furthest (highest step) first, so that work which is nearly done is done, then by number;
//   3. trials that the scheduler has promoted, the furthest first: what it knows of them beats what a searcher expects;
//   4. fresh trials, by number: the searcher gives the most promising point it knows first, and an older suggestion
//      was made with less knowledge, but also waits longer;
//   5. trials that take turns, the one that is furthest behind first, so that all of them get on alike.
struct QueuePlace {
  enum class Rank : uint8_t { kUser, kResumed, kPromoted, kFresh, kInTurn };
  Rank rank = Rank::kFresh;
  int64_t steps_before = 0;  // negated step: the further first; 0 where progress does not count; in turn: the step
  uint32_t number = 0;
  friend auto operator<=>(const QueuePlace&, const QueuePlace&) = default;
};
QueuePlace PlaceOf(const Trial& trial, uint32_t number);

// Pending trials in that order; a trial's place is what it was when it was put in.
class PendingQueue {
 public:
  void Insert(const Trial& trial, uint32_t number);
  void Erase(uint32_t number);

  bool empty() const { return order_.empty(); }
  size_t size() const { return order_.size(); }
  bool Contains(uint32_t number) const { return places_.contains(number); }
  uint32_t front() const { return order_.begin()->number; }  // not empty
  std::vector<uint32_t> Numbers() const;
  const std::set<QueuePlace>& order() const { return order_; }

 private:
  std::set<QueuePlace> order_;
  std::map<uint32_t, QueuePlace> places_;
};

}  // namespace tunesmith
