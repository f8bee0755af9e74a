#include "worker/process/files.h"

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <system_error>

namespace tunesmith::worker {
namespace fs = std::filesystem;

Status MakeFolder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return ErrnoStatus(error.value(), "cannot make the folder " + path);
  return OkStatus();
}

Status WriteFile(const std::string& path, std::string_view content) {
  const std::string temporary = path + ".new";
  FILE* file = std::fopen(temporary.c_str(), "we");
  if (file == nullptr) return ErrnoStatus(errno, "cannot write " + path);
  const bool written = std::fwrite(content.data(), 1, content.size(), file) == content.size();
  const int error = errno;
  if ((std::fclose(file) != 0) || !written) {
    std::remove(temporary.c_str());
    return ErrnoStatus(error, "cannot write " + path);
  }
  if (std::rename(temporary.c_str(), path.c_str()) != 0)
    return ErrnoStatus(errno, "cannot write " + path);
  return OkStatus();
}

StatusOr<std::string> ReadFile(const std::string& path) {
  std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "re"), std::fclose);
  if (file == nullptr) return ErrnoStatus(errno, "cannot read " + path);
  std::string content;
  char buffer[1 << 14];
  for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, file.get())) > 0;)
    content.append(buffer, n);
  if (std::ferror(file.get()) != 0) return ErrnoStatus(errno, "cannot read " + path);
  return content;
}

bool IsEmptyFolder(const std::string& path) {
  std::error_code error;
  const auto it = fs::directory_iterator(path, error);
  return error || it == fs::directory_iterator();
}

Status RemoveAll(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) return ErrnoStatus(error.value(), "cannot remove " + path);
  return OkStatus();
}

}  // namespace tunesmith::worker
