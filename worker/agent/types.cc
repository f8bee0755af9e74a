#include "worker/agent/types.h"

#include <charconv>
#include <utility>

namespace tunesmith::worker {

std::string KeyText(const AttemptKey& key) {
  return std::to_string(key.id.trial.sweep.value) + '.' + std::to_string(key.id.trial.number) +
         '.' + std::to_string(key.id.number) + '.' + std::to_string(key.epoch.value);
}

std::optional<AttemptKey> ParseKeyText(std::string_view text) {
  uint64_t numbers[4] = {};
  const char* at = text.data();
  const char* const end = at + text.size();
  for (int i = 0; i < 4; ++i) {
    const auto [next, error] = std::from_chars(at, end, numbers[i]);
    if (error != std::errc() || (i < 3 ? next == end || *next != '.' : next != end))
      return std::nullopt;
    at = next + 1;
  }
  if (numbers[1] > UINT32_MAX || numbers[2] > UINT32_MAX) return std::nullopt;
  return AttemptKey{
      {{SweepId(numbers[0]), static_cast<uint32_t>(numbers[1])}, static_cast<uint32_t>(numbers[2])},
      LeaseEpoch(numbers[3])};
}

bool OlderCheckpoint(const Checkpoint& a, const Checkpoint& b) {
  return std::pair(a.attempt, a.step) < std::pair(b.attempt, b.step);
}

size_t RecordBytes(const Record& record) {
  size_t bytes = 64;
  if (const auto* measured = std::get_if<Measured>(&record.kind)) {
    bytes += measured->checkpoint.size();
    for (const NamedValue& metric : measured->metrics) bytes += metric.name.size() + 16;
  } else if (const auto* log = std::get_if<LogChunk>(&record.kind)) {
    bytes += log->data.size();
  } else if (const auto* ended = std::get_if<Ended>(&record.kind)) {
    bytes += ended->reason.size();
  }
  return bytes;
}

}  // namespace tunesmith::worker
