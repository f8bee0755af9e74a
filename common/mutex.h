// std::mutex with clang's thread-safety annotations (leveldb's way), so that `clang -Wthread-safety` proves the
// GUARDED_BY lines. Not absl::Mutex: the thread sanitizer cannot see into Debian's build of it.
#pragma once

#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define TS_ANNOTATE_(x) __attribute__((x))
#else
#define TS_ANNOTATE_(x)
#endif
#define TS_GUARDED_BY(mutex) TS_ANNOTATE_(guarded_by(mutex))
#define TS_REQUIRES(mutex) TS_ANNOTATE_(requires_capability(mutex))

namespace tunesmith {

class TS_ANNOTATE_(capability("mutex")) Mutex {
 public:
  void Lock() TS_ANNOTATE_(acquire_capability()) { mutex_.lock(); }
  void Unlock() TS_ANNOTATE_(release_capability()) { mutex_.unlock(); }
  std::mutex& native() { return mutex_; }

 private:
  std::mutex mutex_;
};

class TS_ANNOTATE_(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) TS_ANNOTATE_(acquire_capability(mutex)) : lock_(mutex->native()) {}
  ~MutexLock() TS_ANNOTATE_(release_capability()) = default;
  // For condition variables: std::condition_variable::wait(lock.native(), ...).
  std::unique_lock<std::mutex>& native() { return lock_; }

 private:
  std::unique_lock<std::mutex> lock_;
};

}  // namespace tunesmith
