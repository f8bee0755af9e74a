#include "server/rpc/side_thread.h"

#include <pthread.h>

#include <utility>

namespace tunesmith::rpc {

SideThread::SideThread(size_t limit) : limit_(limit), thread_([this] { Run(); }) {}

SideThread::~SideThread() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

bool SideThread::PostAfter(std::chrono::milliseconds delay, std::function<void()> task) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_ || tasks_.size() >= limit_) return false;
    tasks_.emplace(Clock::now() + delay, std::move(task));
  }
  wake_.notify_all();
  return true;
}

void SideThread::Run() {
  pthread_setname_np(pthread_self(), "ts-side");
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopping_) {
    if (tasks_.empty()) {
      wake_.wait(lock);
      continue;
    }
    const auto first = tasks_.begin();
    if (first->first > Clock::now()) {
      wake_.wait_until(lock, first->first);
      continue;
    }
    std::function<void()> task = std::move(first->second);
    tasks_.erase(first);
    lock.unlock();
    task();
    task = nullptr;  // what it holds may post or lock in its destructor
    lock.lock();
  }
}

}  // namespace tunesmith::rpc
