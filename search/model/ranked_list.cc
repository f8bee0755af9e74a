#include "search/model/ranked_list.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tunesmith::model {

size_t RankedList::Block(Entry entry) const {
  const auto it = std::partition_point(blocks_.begin(), blocks_.end(),
                                       [&](const std::vector<Entry>& block) { return block.back() < entry; });
  return static_cast<size_t>(it - blocks_.begin());
}

void RankedList::Insert(Entry entry) {
  ++size_;
  if (blocks_.empty()) {
    blocks_.push_back({entry});
    return;
  }
  const size_t b = std::min(Block(entry), blocks_.size() - 1);
  std::vector<Entry>& block = blocks_[b];
  block.insert(std::lower_bound(block.begin(), block.end(), entry), entry);
  if (block.size() <= kBlockMax) return;
  const auto half = block.begin() + static_cast<ptrdiff_t>(block.size() / 2);
  std::vector<Entry> upper(half, block.end());
  block.erase(half, block.end());
  block.shrink_to_fit();
  blocks_.insert(blocks_.begin() + static_cast<ptrdiff_t>(b) + 1, std::move(upper));
}

void RankedList::Erase(Entry entry) {
  const size_t b = Block(entry);
  std::vector<Entry>& block = blocks_[b];
  block.erase(std::lower_bound(block.begin(), block.end(), entry));
  if (block.empty()) blocks_.erase(blocks_.begin() + static_cast<ptrdiff_t>(b));
  --size_;
}

size_t RankedList::CountBelow(Entry entry) const {
  const size_t b = Block(entry);
  size_t count = 0;
  for (size_t i = 0; i < b; ++i) count += blocks_[i].size();
  if (b == blocks_.size()) return count;
  const std::vector<Entry>& block = blocks_[b];
  return count + static_cast<size_t>(std::lower_bound(block.begin(), block.end(), entry) - block.begin());
}

double RankedList::MidRank(double value) const {
  const size_t below = CountBelow({value, 0});
  constexpr uint32_t kLast = std::numeric_limits<uint32_t>::max();
  const Entry last{value, kLast};
  size_t through = CountBelow(last);
  // CountBelow leaves out a trial with the greatest number of all.
  const size_t b = Block(last);
  if (b < blocks_.size() && std::binary_search(blocks_[b].begin(), blocks_[b].end(), last)) ++through;
  return (static_cast<double>(below) + static_cast<double>(through)) / 2;
}

RankedList::Entry RankedList::At(size_t index) const {
  for (const std::vector<Entry>& block : blocks_) {
    if (index < block.size()) return block[index];
    index -= block.size();
  }
  return blocks_.back().back();
}

double RankedList::Quantile(double rank) const {
  const double place = std::clamp(rank, 0.0, static_cast<double>(size_ - 1));
  const auto low = static_cast<size_t>(place);
  const double a = At(low).value;
  const double b = At(std::min(low + 1, size_ - 1)).value;
  const double share = place - static_cast<double>(low);
  if (share == 0 || a == b) return a;
  return std::isfinite(b - a) ? a + share * (b - a) : (1 - share) * a + share * b;
}

std::vector<RankedList::Entry> RankedList::First(size_t limit) const {
  std::vector<Entry> out;
  out.reserve(std::min(limit, size_));
  for (const std::vector<Entry>& block : blocks_) {
    for (const Entry& entry : block) {
      if (out.size() == limit) return out;
      out.push_back(entry);
    }
  }
  return out;
}

}  // namespace tunesmith::model
