// Copies of checkpoints, as files: <folder>/<sweep>/<trial>/<attempt>-<step>.tar.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "common/sha256.h"
#include "common/status.h"
#include "server/runtime/loop.h"

namespace tunesmith {

// Deliver: loop thread. The rest: thread-safe.
class CheckpointStore : public EffectSink {
 public:
  // `spare_bytes`: of the disk, to be left free.
  explicit CheckpointStore(std::string folder, int64_t spare_bytes = int64_t{1} << 30);
  ~CheckpointStore() override;

  // A copy that is being written; nobody sees it before Commit. Destroyed without, it leaves nothing behind. One thread
  // at a time.
  class Incoming {
   public:
    ~Incoming();
    Incoming(const Incoming&) = delete;
    Incoming& operator=(const Incoming&) = delete;
    // RESOURCE_EXHAUSTED where the disk has no room left.
    Status Append(std::string_view bytes);
    // Makes it durable under its name, in the place of an earlier copy. DATA_LOSS if it is not what was announced.
    Status Commit(int64_t bytes, const std::string& sha256);
    int64_t bytes() const { return bytes_; }

   private:
    friend class CheckpointStore;
    Incoming(std::string temporary, std::string path, int fd, int64_t spare_bytes)
        : temporary_(std::move(temporary)), path_(std::move(path)), fd_(fd), spare_bytes_(spare_bytes) {}
    const std::string temporary_, path_;
    int fd_;
    const int64_t spare_bytes_;
    int64_t bytes_ = 0;
    Sha256 sha256_;
  };
  StatusOr<std::unique_ptr<Incoming>> Begin(const TrialId& trial, uint32_t attempt, int64_t step);

  // At most `limit` bytes from `offset`; "" at the end. NOT_FOUND if there is no such copy.
  StatusOr<std::string> Read(const TrialId& trial, uint32_t attempt, int64_t step, int64_t offset, size_t limit) const;

  // Gives the copy a second name, for another trial: what becomes of the one leaves the other alone. Durable when it
  // returns OK. NOT_FOUND if there is no such copy.
  Status Share(const ShareCheckpoint& share);
  // Fine if it is not there.
  void Remove(const TrialId& trial, uint32_t attempt, int64_t step);
  // Before anything else is done with it: finishes what the state says was shared, and removes what a controller that
  // was killed has left half done, or durable without being known.
  void RemoveUnknown(const State& state);

  void Deliver(Effect effect) override;

 private:
  std::string TrialFolder(const TrialId& trial) const;
  std::string Path(const TrialId& trial, uint32_t attempt, int64_t step) const;
  // Out of the way at once; the bytes are given back by and by, since that takes long where they are many.
  void Discard(const std::string& path);
  void EmptyTrash(const std::stop_token& stop);
  void ShareAgain(const State& state);

  const std::string folder_;
  const int64_t spare_bytes_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::deque<std::string> trash_;  // guarded by mutex_
  uint64_t discarded_ = 0;         // guarded by mutex_
  std::jthread emptier_;           // last: it uses all of the above
};

}  // namespace tunesmith
