#include "server/rpc/registry.h"

#include <string>
#include <utility>
#include <vector>

namespace tunesmith::rpc {

Status Registry::Add(std::shared_ptr<LiveStream> stream) {
  const std::lock_guard<std::mutex> lock(mutex_);
  LiveStream* key = stream.get();
  streams_.emplace(key, std::move(stream));
  if (draining_) return Unavailable("the controller is shutting down; connect again in a moment");
  if (streams_.size() > limit_) {
    return ResourceExhausted("more than " + std::to_string(limit_) + " streams are open; close some");
  }
  return OkStatus();
}

void Registry::Remove(LiveStream* stream) {
  std::shared_ptr<LiveStream> last;  // destroyed AFTER the lock is released
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto it = streams_.find(stream);
  if (it == streams_.end()) return;
  last = std::move(it->second);
  streams_.erase(it);
  if (streams_.empty()) empty_.notify_all();
}

void Registry::BeginDrain() {
  const std::lock_guard<std::mutex> lock(mutex_);
  draining_ = true;
}

void Registry::CloseAll(const Status& status) {
  std::vector<std::shared_ptr<LiveStream>> streams;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [key, stream] : streams_) streams.push_back(stream);
  }
  for (const auto& stream : streams) stream->CloseWith(status);
}

bool Registry::WaitEmpty(std::chrono::milliseconds timeout) {
  std::unique_lock<std::mutex> lock(mutex_);
  return empty_.wait_for(lock, timeout, [this] { return streams_.empty(); });
}

size_t Registry::size() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return streams_.size();
}

}  // namespace tunesmith::rpc
