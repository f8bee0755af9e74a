// All live streams, so that a drain can close them and wait until the last one is gone.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>

#include "common/status.h"

namespace tunesmith::rpc {

// A stream that somebody else may close.
class LiveStream {
 public:
  virtual ~LiveStream() = default;
  // Thread-safe, returns at once; the stream leaves the registry when the library is done with it.
  virtual void CloseWith(const Status& status) = 0;
};

// Owns every stream from its first to its last reaction. Thread-safe.
class Registry {
 public:
  explicit Registry(size_t limit) : limit_(limit) {}

  // Takes the stream in, also when the answer is not OK: then it must be closed with that status.
  Status Add(std::shared_ptr<LiveStream> stream);
  // For the last reaction (OnDone): drops the registry's share, which may delete the stream.
  void Remove(LiveStream* stream);

  // New streams are refused with UNAVAILABLE from now on.
  void BeginDrain();
  void CloseAll(const Status& status);
  // True if the last stream has left within the time.
  bool WaitEmpty(std::chrono::milliseconds timeout);
  size_t size() const;

 private:
  const size_t limit_;
  mutable std::mutex mutex_;
  std::condition_variable empty_;
  std::map<LiveStream*, std::shared_ptr<LiveStream>> streams_;  // guarded by mutex_
  bool draining_ = false;                                       // guarded by mutex_
};

}  // namespace tunesmith::rpc
