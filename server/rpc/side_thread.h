// A thread for what may block or take long: reading measurements and logs, converting large specs. gRPC has only two
// threads for all its reactions, and the loop has one, so neither does such work.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

namespace tunesmith::rpc {

// Thread-safe. Tasks run one after the other, by time and then in the order in which they were given.
class SideThread {
 public:
  explicit SideThread(size_t limit);
  // Finishes the task in progress and drops the others.
  ~SideThread();

  // False, and the task is dropped, if `limit` tasks wait.
  bool Post(std::function<void()> task) { return PostAfter(std::chrono::milliseconds(0), std::move(task)); }
  bool PostAfter(std::chrono::milliseconds delay, std::function<void()> task);

 private:
  using Clock = std::chrono::steady_clock;
  void Run();

  const size_t limit_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::multimap<Clock::time_point, std::function<void()>> tasks_;  // guarded by mutex_
  bool stopping_ = false;                                          // guarded by mutex_
  std::thread thread_;
};

}  // namespace tunesmith::rpc
