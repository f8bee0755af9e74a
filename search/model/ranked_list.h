// Numbers in order, with their ranks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tunesmith::model {

// Entries (value, trial) in ascending order, equal values by trial, over blocks of bounded size: insertion, removal and
// rank cost O(sqrt n) steps of a sequential scan, which is microseconds for a million. Values are not NaN.
class RankedList {
 public:
  struct Entry {
    double value = 0;
    uint32_t trial = 0;
    friend bool operator<(const Entry& a, const Entry& b) {
      return a.value != b.value ? a.value < b.value : a.trial < b.trial;
    }
    friend bool operator==(const Entry&, const Entry&) = default;
  };

  void Insert(Entry entry);
  // The entry must be there.
  void Erase(Entry entry);

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // Entries below the value and half of the equal ones: in (0, size) for a value that is in the list.
  double MidRank(double value) const;
  // The value at a rank in [0, size - 1], between neighbours by linear interpolation. Not empty.
  double Quantile(double rank) const;
  // The first `limit` entries.
  std::vector<Entry> First(size_t limit) const;

 private:
  static constexpr size_t kBlockMax = 512;
  size_t Block(Entry entry) const;  // the one where the entry belongs
  size_t CountBelow(Entry entry) const;
  Entry At(size_t index) const;

  std::vector<std::vector<Entry>> blocks_;  // none is empty
  size_t size_ = 0;
};

}  // namespace tunesmith::model
