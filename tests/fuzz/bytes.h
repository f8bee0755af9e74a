// Takes a fuzzer's input apart; what is behind its end reads as 0. Immutable input, one reader.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tunesmith {

class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }
  uint8_t Byte() {
    if (rest_.empty()) return 0;
    const auto byte = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return byte;
  }
  // Little endian.
  uint64_t Number(int bytes) {
    uint64_t number = 0;
    for (int i = 0; i < bytes; ++i) number |= uint64_t{Byte()} << (8 * i);
    return number;
  }
  std::string_view Text(size_t size) {
    const std::string_view text = rest_.substr(0, std::min(size, rest_.size()));
    rest_.remove_prefix(text.size());
    return text;
  }
  std::string_view Rest() { return Text(rest_.size()); }

 private:
  std::string_view rest_;
};

}  // namespace tunesmith
