#include "worker/checkpoints/ledger.h"

#include <algorithm>
#include <mutex>
#include <sstream>

#include "worker/process/files.h"

namespace tunesmith::worker {

namespace {

constexpr size_t kNotedMax = 64;

// One for all ledgers: they are changed seldom, and never for long.
std::mutex& ChangeMutex() {
  static std::mutex mutex;
  return mutex;
}

}  // namespace

// A line: attempt, step, bytes, SHA-256, and to its end the name.
std::vector<Checkpoint> Ledger::Read() const {
  std::vector<Checkpoint> checkpoints;
  const auto text = ReadFile(path_);
  if (!text.ok()) return checkpoints;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    Checkpoint checkpoint;
    if (!(words >> checkpoint.attempt >> checkpoint.step >> checkpoint.bytes >> checkpoint.sha256)) continue;
    if (checkpoint.sha256.size() != 64) continue;
    words.get();
    std::getline(words, checkpoint.name);
    checkpoints.push_back(std::move(checkpoint));
  }
  std::stable_sort(checkpoints.begin(), checkpoints.end(), OlderCheckpoint);
  return checkpoints;
}

Status Ledger::Add(const Checkpoint& checkpoint) const {
  if (checkpoint.name.find('\n') != std::string::npos) return OkStatus();  // it would be two lines
  const std::lock_guard<std::mutex> lock(ChangeMutex());
  std::vector<Checkpoint> all = Read();
  std::erase_if(all, [&](const Checkpoint& other) {
    return other.name == checkpoint.name || (other.attempt == checkpoint.attempt && other.step == checkpoint.step);
  });
  all.insert(std::upper_bound(all.begin(), all.end(), checkpoint, OlderCheckpoint), checkpoint);
  if (all.size() > kNotedMax) all.erase(all.begin());
  return Write(all);
}

Status Ledger::Remove(const Checkpoint& checkpoint) const {
  const std::lock_guard<std::mutex> lock(ChangeMutex());
  std::vector<Checkpoint> all = Read();
  return std::erase(all, checkpoint) == 0 ? OkStatus() : Write(all);
}

Status Ledger::Write(const std::vector<Checkpoint>& checkpoints) const {
  std::ostringstream text;
  for (const Checkpoint& one : checkpoints) {
    text << one.attempt << ' ' << one.step << ' ' << one.bytes << ' ' << one.sha256 << ' ' << one.name << '\n';
  }
  return WriteFile(path_, text.str());
}

}  // namespace tunesmith::worker
