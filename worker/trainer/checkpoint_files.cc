#include "worker/trainer/checkpoint_files.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>

#include "worker/trainer/file_bytes.h"

namespace tunesmith::trainer {
namespace {

constexpr char kMagic[] =
    "TSCKPT1\n";  // the file: magic, 8 bytes of length, 4 of CRC-32 (little-endian), payload
constexpr size_t kMagicBytes = sizeof kMagic - 1;
constexpr size_t kHeaderBytes = kMagicBytes + 8 + 4;
constexpr char kTemporary[] = ".ckpt.tmp";

void AppendLittleEndian(uint64_t value, int bytes, std::string* out) {
  for (int i = 0; i < bytes; ++i) *out += static_cast<char>(value >> (8 * i) & 0xff);
}

uint64_t LittleEndian(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

uint64_t Checksum(std::string_view payload) {
  return crc32_z(0, reinterpret_cast<const Bytef*>(payload.data()), payload.size());
}

std::optional<Progress> ParseName(const std::string& name) {
  long long epoch = 0;
  long long batch = 0;
  if (std::sscanf(name.c_str(), "epoch-%lld-batch-%lld", &epoch, &batch) < 1) return std::nullopt;
  const Progress progress{epoch, batch};
  if (epoch < 0 || batch < 0 || CheckpointName(progress) != name) return std::nullopt;
  return progress;
}

Status WriteAll(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, "cannot write " + path);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return OkStatus();
}

Status SyncDirectory(const std::string& directory) {
  const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, "cannot open " + directory);
  const int failed = fsync(fd) != 0 ? errno : 0;
  close(fd);
  return failed != 0 ? ErrnoStatus(failed, "cannot sync " + directory) : OkStatus();
}

// Calls `take` with the name of every entry; a directory that cannot be read has none.
void ForEachName(const std::string& directory,
                 const std::function<void(const std::string&)>& take) {
  std::error_code error;
  for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end;
       at.increment(error)) {
    take(at->path().filename().string());
  }
}

}  // namespace

std::string CheckpointName(const Progress& progress) {
  std::string name = "epoch-" + std::to_string(progress.epoch);
  if (progress.batch > 0) name += "-batch-" + std::to_string(progress.batch);
  return name + ".ckpt";
}

std::vector<Progress> ListCheckpoints(const std::string& directory) {
  std::vector<Progress> found;
  ForEachName(directory, [&](const std::string& name) {
    if (const std::optional<Progress> progress = ParseName(name)) found.push_back(*progress);
  });
  std::sort(found.begin(), found.end(), std::greater<>());
  return found;
}

Status WriteCheckpoint(const std::string& directory, const Progress& progress,
                       std::string_view payload) {
  const std::string path = directory + "/" + CheckpointName(progress);
  const std::string temporary = directory + "/" + std::to_string(getpid()) + kTemporary;
  std::string header = kMagic;
  AppendLittleEndian(payload.size(), 8, &header);
  AppendLittleEndian(Checksum(payload), 4, &header);
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus(errno, "cannot write " + temporary);
  Status written = WriteAll(fd, header, temporary);
  if (written.ok()) written = WriteAll(fd, payload, temporary);
  if (written.ok() && fsync(fd) != 0) written = ErrnoStatus(errno, "cannot sync " + temporary);
  close(fd);
  if (written.ok() && rename(temporary.c_str(), path.c_str()) != 0) {
    written = ErrnoStatus(errno, "cannot rename to " + path);
  }
  if (!written.ok()) {
    unlink(temporary.c_str());
    return written;
  }
  return SyncDirectory(directory);
}

StatusOr<std::string> ReadCheckpoint(const std::string& directory, const Progress& progress) {
  const std::string path = directory + "/" + CheckpointName(progress);
  std::string bytes;
  TS_ASSIGN_OR_RETURN(bytes, ReadFileBytes(path));
  const std::string_view all = bytes;
  if (all.size() < kHeaderBytes || !all.starts_with(kMagic)) {
    return DataLoss(path + " is no checkpoint of this program, or is cut");
  }
  const std::string_view payload = all.substr(kHeaderBytes);
  if (LittleEndian(all.substr(kMagicBytes, 8)) != payload.size()) return DataLoss(path + " is cut");
  if (LittleEndian(all.substr(kMagicBytes + 8, 4)) != Checksum(payload)) {
    return DataLoss(path + " is damaged (its checksum is wrong)");
  }
  return std::string(payload);
}

void PruneCheckpoints(const std::string& directory, size_t keep) {
  const std::vector<Progress> all = ListCheckpoints(directory);
  for (size_t i = keep; i < all.size(); ++i) {
    unlink((directory + "/" + CheckpointName(all[i])).c_str());
  }
  std::vector<std::string> left;
  ForEachName(directory, [&](const std::string& name) {
    if (name.ends_with(kTemporary)) left.push_back(directory + "/" + name);
  });
  for (const std::string& path : left) unlink(path.c_str());
}

}  // namespace tunesmith::trainer
