// The loop thread while the journal's disk is full.
#include "server/runtime/loop.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <future>
#include <mutex>

#include "server/journal/memory_journal.h"

namespace tunesmith {
namespace {

Time Now() { return Time{1'700'000'000'000}; }

// Has no room while it is told so.
class FullJournal : public Journal {
 public:
  Status Replay(const std::function<void(const Event&)>& apply) override { return journal_.Replay(apply); }
  Status Append(const std::vector<Event>& events) override {
    std::lock_guard lock(mutex_);
    if (events.empty()) return OkStatus();
    ++tries_;
    changed_.notify_all();
    return full_ ? ResourceExhausted("no space left") : journal_.Append(events);
  }
  StatusOr<std::vector<StoredMeasurement>> ReadMeasurements(SweepId sweep, std::optional<uint32_t> trial,
                                                            uint64_t after, size_t limit) override {
    return journal_.ReadMeasurements(sweep, trial, after, limit);
  }

  void SetFull(bool full) {
    std::lock_guard lock(mutex_);
    full_ = full;
  }
  void WaitForTries(int tries) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return tries_ >= tries; });
  }

 private:
  MemoryDisk disk_;
  MemoryJournal journal_{&disk_};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool full_ = false;
  int tries_ = 0;
};

WorkerConnected WorkerNamed(const std::string& name, uint64_t session) {
  WorkerConnected connected;
  connected.session = SessionId(session);
  connected.hello.name = name;
  return connected;
}

class FullDiskTest : public ::testing::Test {
 protected:
  FullDiskTest() : loop_({}, &journal_, {}, Now) { EXPECT_TRUE(loop_.Start().ok()); }

  std::future<Reply> Ask(Command command) {
    auto answer = std::make_shared<std::promise<Reply>>();
    std::future<Reply> future = answer->get_future();
    loop_.Post(std::move(command), [answer](const Reply& reply, const Controller&) { answer->set_value(reply); });
    return future;
  }
  // Of a worker with that name; this one is answered once it is durable.
  std::future<Reply> Drain(const std::string& name) { return Ask(DrainWorker{name, true, false}); }

  FullJournal journal_;
  Loop loop_;
};

TEST_F(FullDiskTest, WhatIsPostedWaitsUntilThereIsRoom) {
  loop_.Post(WorkerNamed("w", 1));
  EXPECT_TRUE(Drain("w").get().status.ok());
  journal_.SetFull(true);
  std::future<Reply> taken = Ask(DrainWorker{"w", false, false});
  journal_.WaitForTries(3);  // the two before, and this one
  while (!loop_.full()) std::this_thread::yield();
  loop_.Post(WorkerNamed("w2", 2));  // what workers say is kept
  std::future<Reply> later = Drain("w2");
  EXPECT_EQ(taken.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  journal_.SetFull(false);
  EXPECT_TRUE(taken.get().status.ok());
  EXPECT_TRUE(later.get().status.ok());
  EXPECT_FALSE(loop_.full());
}

TEST_F(FullDiskTest, ItCanBeStoppedMeanwhile) {
  loop_.Post(WorkerNamed("w", 1));
  EXPECT_TRUE(Drain("w").get().status.ok());
  journal_.SetFull(true);
  std::future<Reply> taken = Ask(DrainWorker{"w", false, false});
  journal_.WaitForTries(3);
  loop_.Stop();
  EXPECT_EQ(taken.get().status.code(), StatusCode::kUnavailable);
}

}  // namespace
}  // namespace tunesmith
