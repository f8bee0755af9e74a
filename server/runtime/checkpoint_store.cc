#include "server/runtime/checkpoint_store.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include "common/log.h"

namespace tunesmith {
namespace fs = std::filesystem;

namespace {

std::string FileName(uint32_t attempt, int64_t step) {
  return std::to_string(attempt) + "-" + std::to_string(step) + ".tar";
}

Status MakeDurable(const std::string& folder) {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, "cannot open " + folder);
  const int failed = fsync(fd) != 0 ? errno : 0;
  close(fd);
  return failed == 0 ? OkStatus() : ErrnoStatus(failed, "cannot write " + folder);
}

// What keeps the journal from finding the disk full.
Status CheckRoom(const std::string& path, int64_t spare_bytes) {
  struct statvfs disk {};
  if (statvfs(path.c_str(), &disk) != 0) return OkStatus();
  if (static_cast<int64_t>(disk.f_bavail) * static_cast<int64_t>(disk.f_frsize) >= spare_bytes) return OkStatus();
  return ResourceExhausted("the controller's disk has less than " + std::to_string(spare_bytes >> 20) +
                           " MiB left; checkpoints stay on the worker");
}

Status WriteStatus(int error, const std::string& what) {
  if (error == ENOSPC || error == EDQUOT) return ResourceExhausted(what + ": the controller's disk is full");
  return ErrnoStatus(error, what);
}

}  // namespace

CheckpointStore::CheckpointStore(std::string folder, int64_t spare_bytes)
    : folder_(std::move(folder)), spare_bytes_(spare_bytes), emptier_([this](const std::stop_token& stop) {
        EmptyTrash(stop);
      }) {}

CheckpointStore::~CheckpointStore() = default;

void CheckpointStore::EmptyTrash(const std::stop_token& stop) {
  std::unique_lock<std::mutex> lock(mutex_);
  while (wake_.wait(lock, stop, [this] { return !trash_.empty(); })) {
    const std::string path = std::move(trash_.front());
    trash_.pop_front();
    lock.unlock();
    std::error_code ignored;  // what is left goes at the next start
    fs::remove_all(path, ignored);
    lock.lock();
  }
}

void CheckpointStore::Discard(const std::string& path) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::string folder = folder_ + "/trash";
  const std::string moved = folder + "/" + std::to_string(++discarded_);
  std::error_code error;
  fs::create_directories(folder, error);
  fs::rename(path, moved, error);
  if (error) return;  // it is not there
  trash_.push_back(moved);
  wake_.notify_one();
}

std::string CheckpointStore::TrialFolder(const TrialId& trial) const {
  return folder_ + "/" + std::to_string(trial.sweep.value) + "/" + std::to_string(trial.number);
}

std::string CheckpointStore::Path(const TrialId& trial, uint32_t attempt, int64_t step) const {
  return TrialFolder(trial) + "/" + FileName(attempt, step);
}

StatusOr<std::unique_ptr<CheckpointStore::Incoming>> CheckpointStore::Begin(const TrialId& trial, uint32_t attempt,
                                                                            int64_t step) {
  const std::string folder = TrialFolder(trial);
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return WriteStatus(error.value(), "cannot make the folder " + folder);
  TS_RETURN_IF_ERROR(CheckRoom(folder, spare_bytes_));
  std::string temporary = folder + "/incoming-XXXXXX";
  const int fd = mkostemp(temporary.data(), O_CLOEXEC);
  if (fd < 0) return WriteStatus(errno, "cannot write " + temporary);
  return std::unique_ptr<Incoming>(new Incoming(temporary, Path(trial, attempt, step), fd, spare_bytes_));
}

CheckpointStore::Incoming::~Incoming() {
  if (fd_ < 0) return;
  close(fd_);
  unlink(temporary_.c_str());
}

Status CheckpointStore::Incoming::Append(std::string_view bytes) {
  // Now and then, since another program may fill the disk meanwhile.
  constexpr int64_t kLookEvery = 16 << 20;
  if (bytes_ / kLookEvery != (bytes_ + static_cast<int64_t>(bytes.size())) / kLookEvery) {
    TS_RETURN_IF_ERROR(CheckRoom(temporary_, spare_bytes_));
  }
  sha256_.Add(bytes);
  bytes_ += static_cast<int64_t>(bytes.size());
  while (!bytes.empty()) {
    const ssize_t n = write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return WriteStatus(errno, "cannot write " + temporary_);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return OkStatus();
}

Status CheckpointStore::Incoming::Commit(int64_t bytes, const std::string& sha256) {
  const std::string found = sha256_.Hex();
  if (bytes != bytes_ || sha256 != found) {
    return DataLoss("a checkpoint of " + std::to_string(bytes) + " bytes (SHA-256 " + sha256 + ") arrived as " +
                    std::to_string(bytes_) + " bytes (" + found + "); send it again");
  }
  if (fsync(fd_) != 0) return WriteStatus(errno, "cannot write " + temporary_);
  if (rename(temporary_.c_str(), path_.c_str()) != 0) return WriteStatus(errno, "cannot write " + path_);
  close(std::exchange(fd_, -1));
  return MakeDurable(fs::path(path_).parent_path());
}

StatusOr<std::string> CheckpointStore::Read(const TrialId& trial, uint32_t attempt, int64_t step, int64_t offset,
                                            size_t limit) const {
  const std::string path = Path(trial, attempt, step);
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return NotFound("the controller does not keep this checkpoint any more");
  if (fd < 0) return ErrnoStatus(errno, "cannot read " + path);
  std::string bytes(limit, '\0');
  const ssize_t n = pread(fd, bytes.data(), limit, offset);
  const int error = errno;
  close(fd);
  if (n < 0) return ErrnoStatus(error, "cannot read " + path);
  bytes.resize(static_cast<size_t>(n));
  return bytes;
}

void CheckpointStore::Remove(const TrialId& trial, uint32_t attempt, int64_t step) {
  Discard(Path(trial, attempt, step));
}

Status CheckpointStore::Share(const ShareCheckpoint& share) {
  const std::string from = Path(share.from, share.from_attempt, share.step);
  const std::string to = Path(share.to, share.to_attempt, share.step);
  std::error_code error;
  fs::create_directories(TrialFolder(share.to), error);
  if (error) return WriteStatus(error.value(), "cannot make the folder " + TrialFolder(share.to));
  if (link(from.c_str(), to.c_str()) != 0 && errno != EEXIST) {
    if (errno == ENOENT) return NotFound("the controller does not keep this checkpoint any more");
    return WriteStatus(errno, "cannot link " + to);
  }
  return MakeDurable(TrialFolder(share.to));
}

void CheckpointStore::ShareAgain(const State& state) {
  for (const auto& [id, sweep] : state.sweeps()) {
    for (uint32_t number = 0; number < sweep->trials.size(); ++number) {
      const auto& lineage = sweep->trials[number].lineage;
      if (lineage == nullptr) continue;
      const Exploit* last = lineage->due                ? &lineage->due->first
                            : lineage->exploits.empty() ? nullptr
                                                        : &lineage->exploits.back();
      if (last == nullptr) continue;
      // If the donor's is gone, this has been done, or was of no use any more.
      (void)Share({{id, last->donor}, last->donor_attempt, {id, number}, last->attempt, last->step});
    }
  }
}

void CheckpointStore::RemoveUnknown(const State& state) {
  std::error_code error;
  ShareAgain(state);
  std::set<std::string> known;
  for (const auto& [id, sweep] : state.sweeps()) {
    for (uint32_t number = 0; number < sweep->trials.size(); ++number) {
      for (const StoredCheckpoint& one : sweep->trials[number].StoredCheckpoints()) {
        known.insert(Path({id, number}, one.attempt, one.step));
      }
      const auto& lineage = sweep->trials[number].lineage;
      if (lineage != nullptr && lineage->due) {
        known.insert(Path({id, number}, lineage->due->second.attempt, lineage->due->second.step));
      }
    }
  }
  std::vector<fs::path> files, folders;
  for (auto entry = fs::recursive_directory_iterator(folder_, error); entry != fs::recursive_directory_iterator();
       entry.increment(error)) {
    if (error) break;
    (entry->is_directory(error) ? folders : files).push_back(entry->path());
  }
  int64_t removed = 0;
  for (const fs::path& file : files) {
    if (!known.contains(file.string())) removed += fs::remove(file, error) ? 1 : 0;
  }
  for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder) rmdir(folder->c_str());  // the empty ones
  for (const fs::path& file : files) known.erase(file.string());
  if (removed > 0) Log(LogLevel::kInfo, "checkpoints_removed", {{"unfinished", removed}});
  for (const std::string& missing : known) Log(LogLevel::kWarning, "checkpoint_is_gone", {{"file", missing}});
}

void CheckpointStore::Deliver(Effect effect) {
  if (const auto* one = std::get_if<DropCheckpoint>(&effect)) {
    Remove(one->trial, one->attempt, one->step);
  } else if (const auto* share = std::get_if<ShareCheckpoint>(&effect)) {
    const Status shared = Share(*share);
    if (!shared.ok()) Log(LogLevel::kError, "checkpoint_not_shared", {{"reason", Message(shared)}});
  } else if (const auto* all = std::get_if<DropCheckpoints>(&effect)) {
    Discard(folder_ + "/" + std::to_string(all->sweep.value));
  }
}

}  // namespace tunesmith
