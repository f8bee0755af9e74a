// The controller and the worker of one machine, under this program: what `tunesmith run` uses where
// no controller is configured. The state lies in one folder, which one program at a time owns;
// others join its controller.
//
//   Ensure() -> owner:  the folder's lock is ours, the server is our child
//            -> guest:  another program has the lock; its server's address is in the folder
//
// The server child holds the lock too, so that the folder is never taken over while an orphaned one
// still writes to it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "client/local/child_process.h"
#include "common/status.h"

namespace tunesmith {

// The folder of the running executable.
std::string ExecutableFolder();

// Main thread only. The destructor stops what it started.
class LocalStack {
 public:
  struct Options {
    std::string data_dir;
    std::string program_dir;  // where tunesmith-server and tunesmith-worker lie
    // False: only to read the state. Then joining anyone will do, and no worker can be started.
    bool with_worker = false;
    int64_t start_timeout_ms = 30'000;
  };
  explicit LocalStack(Options options);
  ~LocalStack();
  LocalStack(const LocalStack&) = delete;
  LocalStack& operator=(const LocalStack&) = delete;

  // Whether there is any state in the folder yet.
  static bool HasState(const std::string& data_dir);
  // The controller of a `tunesmith run` that uses the folder now; "" if there is none.
  static std::string RunningAddress(const std::string& data_dir);

  // Starts the controller, or joins the one that runs. The address may differ from the last one.
  // Blocks until it serves; errors say what its log says.
  StatusOr<std::string> Ensure();
  bool owner() const { return lock_fd_ >= 0; }

  // Starts the worker, now if owner, else when this becomes the owner. Its name at the controller
  // is kWorkerName.
  static constexpr char kWorkerName[] = "local";
  Status StartWorker();
  // Starts a worker that has ended again, with growing pauses. What there is to tell, or "".
  std::string WatchWorker();

  // Asks the worker to stop what runs and to leave; Stop waits for it.
  void DismissWorker();

  // Ends the worker, then the controller: TERM, then KILL where `hurry` says so or the time is
  // over.
  void Stop(const std::function<bool()>& hurry);
  std::string server_log() const { return options_.data_dir + "/server.log"; }
  std::string worker_log() const { return options_.data_dir + "/worker.log"; }
  void TestOnlyKillServer();

 private:
  bool TryLock();
  void Unlock();
  StatusOr<std::string> StartServer();
  StatusOr<std::string> ServeAt(const std::string& listen);
  std::string ReadAddress() const;
  bool HolderHasWorker() const;
  std::string address_file() const { return options_.data_dir + "/address"; }
  static void End(std::unique_ptr<ChildProcess>* child, int64_t grace_ms,
                  const std::function<bool()>& hurry);

  Options options_;
  int lock_fd_ = -1;
  std::string address_;
  std::unique_ptr<ChildProcess> server_;
  std::unique_ptr<ChildProcess> worker_;
  bool wants_worker_ = false;
  int worker_restarts_ = 0;
  int64_t worker_restart_at_ms_ = 0;  // 0 = it is not due
};

}  // namespace tunesmith
