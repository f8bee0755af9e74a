// The one thread that owns the controller. Others post commands; it drains the mailbox, steps everything, makes the
// events durable in one transaction, and only then lets effects and replies go.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "common/status.h"
#include "common/time.h"
#include "server/core/controller.h"
#include "server/journal/journal.h"

namespace tunesmith {

// Where effects go. Called on the loop thread, must not block for long.
class EffectSink {
 public:
  virtual ~EffectSink() = default;
  virtual void Deliver(Effect effect) = 0;
};

// Watches the state: called on the loop thread after every batch and on every tick, when all it sees is durable.
class Observer {
 public:
  virtual ~Observer() = default;
  // Returns when it wants to be called again even if nothing happens (kTimeNever: need not be).
  virtual Time Observe(const Controller& controller, Time now) = 0;
};

struct LoopSinks {
  EffectSink* searchers = nullptr;  // StartSearcher ... ForgetTrial
  EffectSink* sessions = nullptr;   // SendWelcome ... CloseSession
  EffectSink* logs = nullptr;       // AppendLog, DeleteLogs
  Observer* observer = nullptr;     // may be nullptr
  EffectSink* checkpoints = nullptr;  // DropCheckpoint, DropCheckpoints, ShareCheckpoint
};

// What users are told while the disk is full.
inline constexpr const char* kDiskFullText =
    "the controller's disk is full; trials run on, and it takes new work by itself once there is room";

class Loop {
 public:
  // Runs on the loop thread once the command's events are durable.
  using Done = std::function<void(const Reply&, const Controller&)>;
  using ReadFn = std::function<void(const Controller&, Time now)>;

  // `clock` gives milliseconds since the Unix epoch.
  Loop(ControllerOptions options, Journal* journal, LoopSinks sinks, std::function<Time()> clock);
  ~Loop();

  // Replays the journal and starts the thread. What it returns is the number of replayed events.
  StatusOr<uint64_t> Start();

  // Thread-safe. After Stop has begun, `done` is called with UNAVAILABLE from the caller's thread.
  void Post(Command command, Done done = nullptr);
  // Thread-safe. Runs `read` on the loop thread, where all it sees is durable. False after Stop has begun: then it
  // never runs.
  bool Read(ReadFn read);

  // Finishes what was posted before, commits it, answers everybody, and joins the thread. Idempotent.
  void Stop();

  // While the journal's disk is full. What is posted waits until there is room, and is answered then: users are told
  // instead of asking. Thread-safe.
  bool full() const { return full_.load(); }

  // Set when the journal failed: the process must end, since what is in memory is not on disk.
  Status fatal_error() const;
  // Called once from the loop thread when the journal fails.
  void set_on_fatal(std::function<void(const Status&)> on_fatal) { on_fatal_ = std::move(on_fatal); }

 private:
  struct Item {
    Command command;
    Done done;
    ReadFn read;
  };
  void Run();
  bool RunBatch(std::vector<Item>* batch);
  // Tries to append again until there is room, or until Stop has begun: then it is full still. Other errors are the
  // journal's.
  Status WaitForRoom(Status full);
  void Release(Output* output);

  Controller controller_;
  Journal* journal_;
  LoopSinks sinks_;
  std::function<Time()> clock_;
  std::function<void(const Status&)> on_fatal_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Item> mailbox_;   // guarded by mutex_
  bool stopping_ = false;       // guarded by mutex_
  std::atomic<bool> full_{false};
  Status fatal_;                // guarded by mutex_

  // Loop thread only.
  Output output_;
  std::map<uint64_t, Done> waiting_;
  uint64_t next_token_ = 1;
  std::thread thread_;
};

}  // namespace tunesmith
