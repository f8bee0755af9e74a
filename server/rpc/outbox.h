// The sending side of one stream: one writer, one queue, one place that may finish it.
#pragma once

#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace tunesmith::rpc {

// Keeps the promises that a callback-API stream needs: at most one write outstanding, the written message untouched
// until it is done, exactly one Finish, never while a write is outstanding. The first status wins; after it nothing
// more is queued and what was queued but not begun is dropped.
//
//   open --Close--> closing --(no write outstanding)--> finished
//
// Wire gives the two calls and two statuses, and no more, so that this is tested without gRPC:
//   using Final = ...;
//   void StartWrite(const Message* message, bool more_follows);
//   void Finish(const Final& final);
//   static Final SlowReader(size_t limit);   // the queue is full
//   static Final WriteFailed();              // the peer is gone
// Both calls are made under the lock: what they trigger must arrive on another stack, as gRPC's reactions do.
//
// Thread-safe.
template <typename Message, typename Wire>
class Outbox {
 public:
  using Final = typename Wire::Final;

  Outbox(Wire* wire, size_t limit) : wire_(wire), limit_(limit) {}

  // False if the stream is closing; the message is dropped then. A full queue closes it.
  bool Push(Message message) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (final_) return false;
    if (queue_.size() >= limit_) {
      CloseLocked(Wire::SlowReader(limit_));
      return false;
    }
    queue_.push_back(std::move(message));
    Pump();
    return true;
  }

  // Sends what is queued, then finishes. Nothing can be pushed any more.
  void CloseAfterQueue(Final final) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (final_) return;
    final_.emplace(std::move(final));
    Pump();
  }

  // Finishes as soon as the outstanding write is done; what has not begun is dropped.
  void Close(Final final) {
    const std::lock_guard<std::mutex> lock(mutex_);
    CloseLocked(std::move(final));
  }

  // To be called from the reaction to a finished write. True if all is written and somebody has asked for it with
  // ReadyOrNotify.
  bool OnWriteDone(bool ok) {
    const std::lock_guard<std::mutex> lock(mutex_);
    in_flight_ = false;
    queue_.pop_front();
    if (!ok) {
      // Nothing can be sent any more, also not what CloseAfterQueue left.
      queue_.clear();
      CloseLocked(Wire::WriteFailed());
    }
    Pump();
    return !final_ && queue_.empty() && std::exchange(notify_, false);
  }

  // True if nothing waits to be written; else OnWriteDone will say when.
  bool ReadyOrNotify() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (queue_.empty()) return true;
    notify_ = true;
    return false;
  }

  // Runs `action` (a StartRead) unless the stream has been finished, which it cannot be meanwhile.
  template <typename Action>
  void UnlessFinished(Action&& action) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!finished_) action();
  }

  // Closing or finished.
  bool closed() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return final_.has_value();
  }

 private:
  void CloseLocked(Final final) {
    if (!final_) {
      final_.emplace(std::move(final));
    }
    while (queue_.size() > (in_flight_ ? 1U : 0U)) queue_.pop_back();
    Pump();
  }

  void Pump() {
    if (in_flight_ || finished_) return;
    if (!queue_.empty()) {
      in_flight_ = true;
      wire_->StartWrite(&queue_.front(), queue_.size() > 1);
    } else if (final_) {
      finished_ = true;
      wire_->Finish(*final_);
    }
  }

  Wire* const wire_;
  const size_t limit_;
  mutable std::mutex mutex_;
  std::deque<Message> queue_;   // guarded by mutex_, as all below; the front one may be with the library
  std::optional<Final> final_;
  bool in_flight_ = false;
  bool finished_ = false;
  bool notify_ = false;
};

}  // namespace tunesmith::rpc
