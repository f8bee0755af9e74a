// A disk that is full while the file TUNESMITH_TEST_FULL exists, for whatever is written below
// TUNESMITH_TEST_FULL_UNDER. Loaded into a program before its libraries (LD_PRELOAD).
#include <dlfcn.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

bool IsFull(int fd) {
  const char* flag = std::getenv("TUNESMITH_TEST_FULL");
  const char* under = std::getenv("TUNESMITH_TEST_FULL_UNDER");
  if (flag == nullptr || under == nullptr || access(flag, F_OK) != 0) return false;
  char link[64];
  char path[4096];
  std::snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  const ssize_t size = readlink(link, path, sizeof(path) - 1);
  if (size <= 0) return false;
  path[size] = 0;
  return std::strncmp(path, under, std::strlen(under)) == 0;
}

template <typename Function>
Function* Real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

ssize_t write(int fd, const void* data, size_t size) {
  static auto* const real = Real<ssize_t(int, const void*, size_t)>("write");
  if (fd > 2 && IsFull(fd)) return errno = ENOSPC, -1;
  return real(fd, data, size);
}

ssize_t pwrite64(int fd, const void* data, size_t size, off64_t offset) {
  static auto* const real = Real<ssize_t(int, const void*, size_t, off64_t)>("pwrite64");
  if (IsFull(fd)) return errno = ENOSPC, -1;
  return real(fd, data, size, offset);
}

ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) { return pwrite64(fd, data, size, offset); }

}  // extern "C"
