#include "worker/trainer/file_bytes.h"

#include <sys/stat.h>
#include <zlib.h>

#include <cerrno>

namespace tunesmith::trainer {
namespace {

constexpr unsigned kChunkBytes = 1 << 20;

}  // namespace

StatusOr<std::string> ReadFileBytes(const std::string& path, size_t bytes_max) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0) return ErrnoStatus(errno, "cannot read " + path);
  if (S_ISDIR(info.st_mode)) return InvalidArgument(path + " is a directory; a file is needed");
  const gzFile file = gzopen(path.c_str(), "rb");  // passes plain files through
  if (file == nullptr) return ErrnoStatus(errno, "cannot read " + path);
  gzbuffer(file, kChunkBytes);
  std::string bytes;
  int n = 0;
  do {
    const size_t size = bytes.size();
    bytes.resize(size + kChunkBytes);
    n = gzread(file, bytes.data() + size, kChunkBytes);
    bytes.resize(size + static_cast<size_t>(n > 0 ? n : 0));
  } while (n > 0 && bytes.size() <= bytes_max);
  int code = Z_OK;
  const std::string text = gzerror(file, &code);
  const int errno_value = errno;
  gzclose_r(file);
  if (n > 0) {
    return ResourceExhausted(path + " is larger than " + std::to_string(bytes_max) + " bytes");
  }
  if (code == Z_ERRNO) return ErrnoStatus(errno_value, "cannot read " + path);
  if (code != Z_OK && code != Z_STREAM_END) {
    return DataLoss(path + " is damaged or cut: " + text + "; fetch the file again");
  }
  return bytes;
}

bool FileExists(const std::string& path) {
  struct stat info = {};
  return stat(path.c_str(), &info) == 0 && !S_ISDIR(info.st_mode);
}

std::string FirstExisting(const std::vector<std::string>& directories,
                          const std::vector<std::string>& names) {
  for (const std::string& directory : directories) {
    for (const std::string& name : names) {
      if (FileExists(directory + "/" + name)) return directory + "/" + name;
    }
  }
  return "";
}

}  // namespace tunesmith::trainer
