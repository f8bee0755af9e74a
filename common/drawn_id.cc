#include "common/drawn_id.h"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>

namespace tunesmith {
namespace {

constexpr size_t kIdDigits = 16;

}  // namespace

std::string RandomHex(size_t bytes) {
  std::string random(bytes, '\0');
  for (size_t got = 0; got < bytes;) {
    const ssize_t n = getrandom(random.data() + got, bytes - got, 0);
    if (n > 0) got += static_cast<size_t>(n);
  }
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char c : random) {
    const auto byte = static_cast<unsigned char>(c);
    text += {kDigits[byte >> 4], kDigits[byte & 15]};
  }
  return text;
}

StatusOr<std::string> IdInFile(const std::string& path) {
  std::string id;
  if (std::ifstream(path) >> id && id.size() == kIdDigits &&
      id.find_first_not_of("0123456789abcdef") == std::string::npos) {
    return id;
  }
  id = RandomHex(kIdDigits / 2);
  const std::string temporary = path + ".new";
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus(errno, "cannot write " + path);
  const bool written = write(fd, id.data(), id.size()) == static_cast<ssize_t>(id.size()) && fsync(fd) == 0;
  const int error = errno;
  close(fd);
  if (!written) {
    unlink(temporary.c_str());
    return ErrnoStatus(error, "cannot write " + path);
  }
  if (std::rename(temporary.c_str(), path.c_str()) != 0) return ErrnoStatus(errno, "cannot write " + path);
  return id;
}

}  // namespace tunesmith
