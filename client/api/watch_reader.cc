#include "client/api/watch_reader.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <utility>

#include "common/check.h"

namespace tunesmith {
namespace {

// A screen shows ten states a second; above this the call is left to wait, and the controller folds
// its deltas.
constexpr size_t kMessagesWaitingMax = 64;

}  // namespace

WatchReader::WatchReader(std::unique_ptr<WatchStream> stream)
    : stream_(std::move(stream)), event_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  TS_CHECK(event_fd_ >= 0, "eventfd failed");
  thread_ = std::jthread([this] { Read(); });
}

WatchReader::~WatchReader() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closing_ = true;
  }
  space_.notify_all();
  stream_->Cancel();
  thread_.join();
  ::close(event_fd_);
}

void WatchReader::Notify() {
  const uint64_t one = 1;
  // It fails only if it is readable already.
  [[maybe_unused]] const ssize_t count = ::write(event_fd_, &one, sizeof one);
}

void WatchReader::Read() {
  v1::WatchSweepResponse response;
  while (stream_->Read(&response)) {
    std::unique_lock<std::mutex> lock(mutex_);
    space_.wait(lock, [this] { return closing_ || waiting_.size() < kMessagesWaitingMax; });
    if (closing_) break;
    waiting_.push_back(std::move(response));
    response.Clear();
    lock.unlock();
    Notify();
  }
  Status status = stream_->Finish();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    end_ = std::move(status);
  }
  Notify();
}

std::vector<v1::WatchSweepResponse> WatchReader::Take(std::optional<Status>* end) {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(event_fd_, &count, sizeof count);
  std::vector<v1::WatchSweepResponse> responses;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (v1::WatchSweepResponse& response : waiting_) responses.push_back(std::move(response));
    waiting_.clear();
    *end = end_;
  }
  space_.notify_all();
  return responses;
}

}  // namespace tunesmith
