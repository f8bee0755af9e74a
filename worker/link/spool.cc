#include "worker/link/spool.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "worker/link/convert.h"
#include "worker/process/files.h"

namespace tunesmith::worker {
namespace {

constexpr int64_t kCutBytesMin = 1 << 20;  // smaller files are not worth cutting

std::string Frame(const v1::Record& record) {
  std::string body;
  record.SerializeToString(&body);
  const auto length = static_cast<uint32_t>(body.size());
  std::string frame(sizeof length, '\0');
  std::memcpy(frame.data(), &length, sizeof length);
  return frame + body;
}

}  // namespace

StatusOr<Spool> Spool::Open(const std::string& folder) {
  TS_RETURN_IF_ERROR(MakeFolder(folder));
  return Spool(folder);
}

Spool::Spool(Spool&& other) noexcept
    : folder_(std::move(other.folder_)),
      files_(std::exchange(other.files_, {})),
      missing_(std::exchange(other.missing_, {})) {}

Spool::~Spool() {
  for (auto& [key, file] : files_) close(file.fd);
}

StatusOr<std::map<AttemptKey, Spool::Left>> Spool::Load() const {
  std::map<AttemptKey, Left> all;
  DIR* listing = opendir(folder_.c_str());
  if (listing == nullptr) return ErrnoStatus(errno, "cannot read " + folder_);
  while (const dirent* entry = readdir(listing)) {
    const auto key = ParseKeyText(entry->d_name);
    if (!key.has_value()) continue;
    const auto bytes = ReadFile(folder_ + "/" + entry->d_name);
    if (!bytes.ok()) continue;
    Left& left = all[*key];
    for (size_t at = 0; at + sizeof(uint32_t) <= bytes->size();) {
      uint32_t length = 0;
      std::memcpy(&length, bytes->data() + at, sizeof length);
      at += sizeof length;
      v1::Record message;
      if (length > bytes->size() - at ||
          !message.ParseFromArray(bytes->data() + at, static_cast<int>(length)))
        break;
      at += length;
      if (message.sequence() <= left.last_sequence) break;
      left.last_sequence = message.sequence();
      const auto record = FromProto(message);
      if (record.ok()) left.records.push_back(*record);
    }
  }
  closedir(listing);
  return all;
}

StatusOr<Spool::File*> Spool::FileOf(const AttemptKey& key) {
  const auto it = files_.find(key);
  if (it != files_.end()) return &it->second;
  const std::string path = PathOf(key);
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus(errno, "cannot write " + path);
  // Not empty where this program has taken another's place.
  const off_t bytes = lseek(fd, 0, SEEK_END);
  return &(files_[key] = File{fd, std::max<int64_t>(0, bytes), 0});
}

Status Spool::Write(File* file, const std::string& bytes) {
  size_t written = 0;
  while (written < bytes.size()) {
    const ssize_t n = write(file->fd, bytes.data() + written, bytes.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int error = errno;
      // No torn frame in the middle: what comes after it would be lost.
      [[maybe_unused]] const int cut = ftruncate(file->fd, file->bytes);
      return ErrnoStatus(error, "cannot write the spool");
    }
    written += static_cast<size_t>(n);
  }
  file->bytes += static_cast<int64_t>(bytes.size());
  return OkStatus();
}

Status Spool::Append(const Record& record) {
  if (const auto missing = missing_.find(record.key); missing != missing_.end()) {
    missing->second = record.sequence;
    return ResourceExhausted("the spool lacks an earlier record of the attempt, which is not acknowledged yet");
  }
  const StatusOr<File*> file = FileOf(record.key);
  const Status written = file.ok() ? Write(*file, Frame(ToProto(record))) : file.status();
  if (written.ok()) {
    (*file)->last_sequence = record.sequence;
  } else {
    missing_[record.key] = record.sequence;
  }
  return written;
}

void Spool::OnAck(const AttemptKey& key, uint64_t sequence) {
  const auto missing = missing_.find(key);
  if (missing != missing_.end() && sequence >= missing->second) missing_.erase(missing);
  const auto it = files_.find(key);
  if (it == files_.end() || it->second.bytes < kCutBytesMin || sequence < it->second.last_sequence)
    return;
  File& file = it->second;
  if (ftruncate(file.fd, 0) != 0) return;
  file.bytes = 0;
  v1::Record mark;  // of no kind: where the numbers go on
  *mark.mutable_attempt() = ToProto(key);
  mark.set_sequence(file.last_sequence);
  // Without the mark the end of the attempt would be numbered anew; the controller's answer
  // corrects that.
  [[maybe_unused]] const Status written = Write(&file, Frame(mark));
}

void Spool::Remove(const AttemptKey& key) {
  missing_.erase(key);
  const auto it = files_.find(key);
  if (it != files_.end()) {
    close(it->second.fd);
    files_.erase(it);
  }
  unlink(PathOf(key).c_str());
}

}  // namespace tunesmith::worker
