#include "server/rpc/outbox.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace tunesmith::rpc {
namespace {

// A library that checks what a real one only punishes.
struct FakeWire {
  using Final = std::string;
  std::vector<int> written;
  std::vector<bool> hints;
  std::vector<std::string> finals;
  const int* outstanding = nullptr;

  void StartWrite(const int* message, bool more_follows) {
    EXPECT_EQ(outstanding, nullptr) << "a second write was begun";
    EXPECT_TRUE(finals.empty()) << "a write after Finish";
    outstanding = message;
    written.push_back(*message);
    hints.push_back(more_follows);
  }
  void Finish(const std::string& final) {
    EXPECT_EQ(outstanding, nullptr) << "Finish with a write outstanding";
    EXPECT_TRUE(finals.empty()) << "a second Finish";
    finals.push_back(final);
  }
  static std::string SlowReader(size_t limit) { return "slow " + std::to_string(limit); }
  static std::string WriteFailed() { return "write failed"; }
};

struct Harness {
  FakeWire wire;
  Outbox<int, FakeWire> outbox{&wire, 3};
  bool Done(bool ok = true) {
    wire.outstanding = nullptr;
    return outbox.OnWriteDone(ok);
  }
};

using Finals = std::vector<std::string>;

TEST(OutboxTest, WritesOneMessageAtATimeInOrderAndHintsWhatFollows) {
  Harness h;
  EXPECT_TRUE(h.outbox.Push(1));
  EXPECT_TRUE(h.outbox.Push(2));
  EXPECT_TRUE(h.outbox.Push(3));
  EXPECT_EQ(h.wire.written, std::vector<int>{1});
  h.Done();
  h.Done();
  EXPECT_EQ(h.wire.written, (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(h.wire.hints, (std::vector<bool>{false, true, false}));
  h.Done();
  EXPECT_TRUE(h.wire.finals.empty());
}

TEST(OutboxTest, AFullQueueClosesTheStreamOnceTheOutstandingWriteIsDone) {
  Harness h;
  EXPECT_TRUE(h.outbox.Push(1));
  EXPECT_TRUE(h.outbox.Push(2));
  EXPECT_TRUE(h.outbox.Push(3));
  EXPECT_FALSE(h.outbox.Push(4));
  EXPECT_FALSE(h.outbox.Push(5));
  EXPECT_TRUE(h.wire.finals.empty());
  h.Done();
  EXPECT_EQ(h.wire.written, std::vector<int>{1});
  EXPECT_EQ(h.wire.finals, Finals{"slow 3"});
}

TEST(OutboxTest, TheFirstStatusWinsAndFinishIsCalledOnce) {
  Harness h;
  h.outbox.Close("first");
  h.outbox.Close("second");
  h.outbox.CloseAfterQueue("third");
  EXPECT_FALSE(h.outbox.Push(1));
  EXPECT_EQ(h.wire.finals, Finals{"first"});
  EXPECT_TRUE(h.wire.written.empty());
  EXPECT_TRUE(h.outbox.closed());
}

TEST(OutboxTest, CloseAfterQueueSendsWhatIsQueued) {
  Harness h;
  h.outbox.Push(1);
  h.outbox.Push(2);
  h.outbox.CloseAfterQueue("done");
  EXPECT_FALSE(h.outbox.Push(3));
  h.Done();
  EXPECT_TRUE(h.wire.finals.empty());
  h.Done();
  EXPECT_EQ(h.wire.written, (std::vector<int>{1, 2}));
  EXPECT_EQ(h.wire.finals, Finals{"done"});
}

TEST(OutboxTest, CloseDropsWhatCloseAfterQueueLeft) {
  Harness h;
  h.outbox.Push(1);
  h.outbox.Push(2);
  h.outbox.CloseAfterQueue("done");
  h.outbox.Close("cancelled");
  h.Done();
  EXPECT_EQ(h.wire.written, std::vector<int>{1});
  EXPECT_EQ(h.wire.finals, Finals{"done"});
}

TEST(OutboxTest, AFailedWriteFinishesTheStream) {
  Harness h;
  h.outbox.Push(1);
  h.outbox.Push(2);
  h.Done(false);
  EXPECT_EQ(h.wire.written, std::vector<int>{1});
  EXPECT_EQ(h.wire.finals, Finals{"write failed"});
}

TEST(OutboxTest, SaysWhenAllIsWrittenToWhoeverAsked) {
  Harness h;
  EXPECT_TRUE(h.outbox.ReadyOrNotify());
  h.outbox.Push(1);
  h.outbox.Push(2);
  EXPECT_FALSE(h.outbox.ReadyOrNotify());
  EXPECT_FALSE(h.Done()) << "one more is queued";
  EXPECT_TRUE(h.Done());
  h.outbox.Push(3);
  EXPECT_FALSE(h.Done()) << "nobody has asked since";
}

TEST(OutboxTest, ReadsAreNotBegunAfterFinish) {
  Harness h;
  int reads = 0;
  h.outbox.UnlessFinished([&] { ++reads; });
  h.outbox.Push(1);
  h.outbox.Close("x");
  h.outbox.UnlessFinished([&] { ++reads; });  // closing, but the call is still there
  h.Done();
  h.outbox.UnlessFinished([&] { ++reads; });
  EXPECT_EQ(reads, 2);
}

// A library whose reactions come on a thread of its own, as gRPC's do.
class ThreadedWire {
 public:
  using Final = std::string;
  // Reactions run from now on.
  void Begin(Outbox<int, ThreadedWire>* outbox) {
    thread_ = std::thread([this, outbox] { Run(outbox); });
  }
  // All that was written, once the stream is finished.
  std::vector<int> WaitForFinish() {
    thread_.join();
    return seen_;
  }

  void StartWrite(const int* message, bool) {
    const std::lock_guard<std::mutex> lock(mutex_);
    EXPECT_EQ(outstanding_, nullptr);
    EXPECT_FALSE(finished_);
    outstanding_ = message;
    wake_.notify_all();
  }
  void Finish(const std::string&) {
    const std::lock_guard<std::mutex> lock(mutex_);
    EXPECT_EQ(outstanding_, nullptr);
    EXPECT_FALSE(finished_);
    finished_ = true;
    wake_.notify_all();
  }
  static std::string SlowReader(size_t) { return "slow"; }
  static std::string WriteFailed() { return "failed"; }

 private:
  void Run(Outbox<int, ThreadedWire>* outbox) {
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return outstanding_ != nullptr || finished_; });
      if (finished_) return;
      seen_.push_back(*outstanding_);
      outstanding_ = nullptr;
      lock.unlock();
      outbox->OnWriteDone(true);
      lock.lock();
    }
  }
  std::mutex mutex_;
  std::condition_variable wake_;
  const int* outstanding_ = nullptr;
  bool finished_ = false;
  std::vector<int> seen_;
  std::thread thread_;
};

TEST(OutboxTest, ManyThreadsMayPushAndCloseAtOnce) {
  constexpr int kThreads = 4;
  constexpr int kEach = 200;
  for (int round = 0; round < 50; ++round) {
    const bool close_midway = round % 2 == 1;
    std::atomic<int> accepted{0};
    ThreadedWire wire;
    Outbox<int, ThreadedWire> outbox(&wire, kThreads * kEach);
    wire.Begin(&outbox);
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kEach; ++i) {
          if (outbox.Push(t * kEach + i)) ++accepted;
          if (close_midway && t == 0 && i == kEach / 2) outbox.Close("closed");
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    outbox.CloseAfterQueue("end");
    const std::vector<int> seen = wire.WaitForFinish();
    if (!close_midway) {
      EXPECT_EQ(static_cast<int>(seen.size()), kThreads * kEach);
    }
    EXPECT_LE(static_cast<int>(seen.size()), accepted.load());
    // Each thread's messages keep their order.
    std::vector<int> last(kThreads, -1);
    for (const int message : seen) {
      EXPECT_GT(message, last[static_cast<size_t>(message / kEach)]);
      last[static_cast<size_t>(message / kEach)] = message;
    }
  }
}

}  // namespace
}  // namespace tunesmith::rpc
