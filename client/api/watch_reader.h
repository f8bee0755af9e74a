// Reads a watch on a thread of its own, so that the main thread can wait for it together with
// signals and time.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "client/api/client.h"
#include "common/status.h"

namespace tunesmith {

// All methods: the thread that made it. The destructor cancels the call and joins the thread.
class WatchReader {
 public:
  explicit WatchReader(std::unique_ptr<WatchStream> stream);
  ~WatchReader();
  WatchReader(const WatchReader&) = delete;
  WatchReader& operator=(const WatchReader&) = delete;

  // An eventfd: readable when Take has something new.
  int fd() const { return event_fd_; }
  // What has come since the last call. `end` is set once the stream has ended and all of it has
  // been taken.
  std::vector<v1::WatchSweepResponse> Take(std::optional<Status>* end);

 private:
  void Read();
  void Notify();

  std::unique_ptr<WatchStream> stream_;
  int event_fd_;
  std::mutex mutex_;
  std::condition_variable space_;
  std::deque<v1::WatchSweepResponse> waiting_;  // guarded by mutex_
  std::optional<Status> end_;                   // guarded by mutex_
  bool closing_ = false;                        // guarded by mutex_
  std::jthread thread_;
};

}  // namespace tunesmith
