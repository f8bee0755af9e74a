#include "server/journal/memory_journal.h"

#include <algorithm>
#include <string>

#include "common/check.h"

namespace tunesmith {

void MemoryDisk::Crash(Tail tail) {
  for (Commit& commit : unsynced_) {
    if (tail == Tail::kLose) continue;
    if (tail == Tail::kTear) commit.events.erase(commit.events.begin() + commit.events.size() / 2, commit.events.end());
    durable_.push_back(std::move(commit));
  }
  unsynced_.clear();
  die_at_ = fail_at_ = UINT64_MAX;
}

void MemoryDisk::DamageCommit(size_t index) {
  TS_CHECK(index < durable_.size(), "no such commit");
  durable_[index].events.clear();
}

MemoryJournal::MemoryJournal(MemoryDisk* disk) : disk_(disk) {
  auto& commits = disk_->durable_;
  TS_CHECK(disk_->unsynced_.empty(), "say what the crash left (MemoryDisk::Crash) before the disk is opened again");
  // A torn commit can only be the last one. It was never acknowledged, so it is dropped.
  if (!commits.empty() && commits.back().events.size() != commits.back().promised) commits.pop_back();
  for (size_t i = 0; i < commits.size(); ++i) {
    if (commits[i].events.size() != commits[i].promised) {
      opened_ = DataLoss("commit " + std::to_string(i) + " of the journal is damaged");
      return;
    }
    Index(commits[i]);
  }
}

Status MemoryJournal::Replay(const std::function<void(const Event&)>& apply) {
  TS_RETURN_IF_ERROR(opened_);
  for (const auto& commit : disk_->durable_) {
    for (const Event& event : commit.events) apply(event);
  }
  return OkStatus();
}

Status MemoryJournal::Append(const std::vector<Event>& events) {
  TS_RETURN_IF_ERROR(opened_);
  TS_RETURN_IF_ERROR(error_);
  const uint64_t number = disk_->appends_++;
  if (number == disk_->fail_at_) {
    return ResourceExhausted("the disk is full");
  }
  MemoryDisk::Commit commit{events.size(), events};
  if (number == disk_->die_at_) {
    disk_->unsynced_.push_back(std::move(commit));
    return error_ = MakeStatus(StatusCode::kAborted, "the process died while it committed");
  }
  if (events.empty()) return OkStatus();
  disk_->durable_.push_back(std::move(commit));
  Index(disk_->durable_.back());
  return OkStatus();
}

void MemoryJournal::Index(const MemoryDisk::Commit& commit) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const Event& event : commit.events) {
    ++position_;
    if (const auto* measured = std::get_if<Measured>(&event)) {
      measurements_[measured->attempt.trial.sweep].push_back({position_, measured->attempt, measured->sequence,
                                                              measured->step, measured->time, measured->metrics,
                                                              measured->checkpoint, measured->verdict});
    } else if (const auto* deleted = std::get_if<SweepDeleted>(&event)) {
      measurements_.erase(deleted->sweep);
    }
  }
}

StatusOr<std::vector<StoredMeasurement>> MemoryJournal::ReadMeasurements(SweepId sweep, std::optional<uint32_t> trial,
                                                                         uint64_t after, size_t limit) {
  TS_RETURN_IF_ERROR(opened_);
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<StoredMeasurement> rows;
  const auto found = measurements_.find(sweep);
  if (found == measurements_.end()) return rows;
  const auto& all = found->second;
  auto row = std::upper_bound(all.begin(), all.end(), after,
                              [](uint64_t position, const StoredMeasurement& m) { return position < m.position; });
  for (; row != all.end() && rows.size() < limit; ++row) {
    if (!trial || row->attempt.trial.number == *trial) rows.push_back(*row);
  }
  return rows;
}

}  // namespace tunesmith
