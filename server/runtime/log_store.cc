#include "server/runtime/log_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "common/limits.h"
#include "common/log.h"

namespace tunesmith {

namespace {

// A file descriptor that closes itself.
class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }
  bool ok() const { return fd_ >= 0; }

 private:
  int fd_;
};

int64_t FileSize(int fd) {
  struct stat info {};
  return fstat(fd, &info) == 0 ? static_cast<int64_t>(info.st_size) : 0;
}

}  // namespace

std::string LogStore::Path(const AttemptId& attempt) const {
  return folder_ + "/" + std::to_string(attempt.trial.sweep.value) + "/" + std::to_string(attempt.trial.number) + "-" +
         std::to_string(attempt.number) + ".log";
}

void LogStore::Deliver(Effect effect) {
  if (const auto* gone = std::get_if<DeleteLogs>(&effect)) {
    std::error_code ignored;
    std::filesystem::remove_all(folder_ + "/" + std::to_string(gone->sweep.value), ignored);
    return;
  }
  const auto* append = std::get_if<AppendLog>(&effect);
  if (append == nullptr) return;
  const std::string path = Path(append->attempt);
  int fd = open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 && errno == ENOENT) {
    std::error_code ignored;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
    fd = open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  }
  const File file(fd);
  const auto lost = lost_.find(append->attempt);
  const int64_t dropped = append->dropped_bytes + (lost == lost_.end() ? 0 : lost->second);
  std::string text;
  if (dropped > 0) text = "\n[... " + std::to_string(dropped) + " bytes are not kept here ...]\n";
  text += append->data;
  if (!file.ok() || FileSize(file.fd()) >= kForwardedLogBytesMax + static_cast<int64_t>(kTrialLineBytesMax)) return;
  // Logs are not worth stopping for: what a full disk swallows is counted, and said where the log goes on.
  if (write(file.fd(), text.data(), text.size()) == static_cast<ssize_t>(text.size())) {
    if (lost != lost_.end()) lost_.erase(lost);
  } else {
    Log(LogLevel::kWarning, "log_not_kept", {{"file", path}, {"error", std::generic_category().message(errno)}});
    lost_[append->attempt] = dropped + static_cast<int64_t>(append->data.size());
  }
}

int64_t LogStore::Size(const AttemptId& attempt) const {
  const File file(open(Path(attempt).c_str(), O_RDONLY | O_CLOEXEC));
  return file.ok() ? FileSize(file.fd()) : 0;
}

StatusOr<LogChunk> LogStore::Read(const AttemptId& attempt, int64_t offset, size_t limit) const {
  LogChunk chunk;
  chunk.next_offset = offset;
  chunk.at_end = true;
  const File file(open(Path(attempt).c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.ok()) {
    if (errno == ENOENT) return chunk;
    return ErrnoStatus(errno, "cannot read the log");
  }
  chunk.data.resize(limit);
  const ssize_t got = pread(file.fd(), chunk.data.data(), limit, offset);
  if (got < 0) return ErrnoStatus(errno, "cannot read the log");
  chunk.data.resize(static_cast<size_t>(got));
  chunk.next_offset = offset + got;
  chunk.at_end = chunk.next_offset >= FileSize(file.fd());
  return chunk;
}

}  // namespace tunesmith
