// Moves checkpoints between this machine and the controller, beside the daemon's loop: gives away copies of what trials
// write, and fetches what an attempt resumes from.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/mutex.h"
#include "common/status.h"
#include "worker/agent/agent.h"
#include "worker/checkpoints/archive.h"
#include "worker/process/launch_plan.h"

namespace tunesmith::worker {

// The way to the controller's store. Thread-safe; calls wait until they are done, or the token asks them to stop
// (CANCELLED).
class CheckpointTransport {
 public:
  virtual ~CheckpointTransport() = default;
  // Sends what `produce` gives to its sink, and fills in bytes and digest. UNAVAILABLE: try again later. Any other
  // error of the transport is an answer: FAILED_PRECONDITION and NOT_FOUND say that nobody wants it. An error of
  // `produce` is handed on.
  virtual Status Put(const AttemptKey& key, Checkpoint* checkpoint,
                     const std::function<Status(const ByteSink&)>& produce, const std::stop_token& stop) = 0;
  // NOT_FOUND if the controller has it no more.
  virtual Status Get(const TrialId& trial, const Checkpoint& checkpoint, const ByteSink& sink,
                     const std::stop_token& stop) = 0;
};

// Finds what an attempt resumes from. Waits for the transport; runs on a thread of the mover, and in tests.
class ResumeFinder {
 public:
  // `trials_root`: the folder of PathsOf.
  ResumeFinder(std::string trials_root, CheckpointTransport* transport)
      : trials_root_(std::move(trials_root)), transport_(transport) {}
  // The newest whole checkpoint, of this machine's own and of those that the assignment names, lies in the trial's
  // folder afterwards, and none that is newer. Damaged ones are passed over, and the note says so.
  Resume Find(const Assignment& assignment, const std::stop_token& stop) const;

 private:
  struct Candidate {
    Checkpoint checkpoint;
    bool local = false;
  };
  static std::vector<Candidate> Candidates(const Assignment& assignment, const std::vector<Checkpoint>& local);
  // Tries again for as long as the controller cannot be reached.
  Status Fetch(const Assignment& assignment, const Checkpoint& checkpoint, const AttemptPaths& paths,
               const std::stop_token& stop) const;

  const std::string trials_root_;
  CheckpointTransport* const transport_;
};

// Thread-safe. Two threads: one gives copies away, the newest of each attempt; one finds what to resume from.
class CheckpointMover {
 public:
  // `wake` is called on a thread of the mover when TakeResumes has something.
  CheckpointMover(std::string trials_root, CheckpointTransport* transport, std::function<void()> wake);
  // Drops what is not done.
  ~CheckpointMover();
  CheckpointMover(const CheckpointMover&) = delete;
  CheckpointMover& operator=(const CheckpointMover&) = delete;

  // Reads it, notes its digest beside the folder, and gives a copy to the controller if the assignment says so. A newer
  // one of the same attempt that comes before it is begun takes its place.
  void Save(const SaveCheckpoint& save);
  void Find(std::shared_ptr<const Assignment> assignment);
  // Nobody waits for the answer to Find any more.
  void CancelFind(const AttemptKey& key);
  std::vector<std::pair<AttemptKey, Resume>> TakeResumes();
  // Whether copies are still on their way.
  bool saving() const;
  // Those: the program that takes this one's place begins them anew.
  std::vector<SaveCheckpoint> Unsaved() const;

 private:
  void RunSaver(const std::stop_token& stop);
  void RunFinder(const std::stop_token& stop);
  // On this machine alone.
  void NoteHere(const SaveCheckpoint& save) const;
  // False: try again later.
  bool SaveOne(const SaveCheckpoint& save, const std::stop_token& stop);

  const std::string trials_root_;
  CheckpointTransport* const transport_;
  const std::function<void()> wake_;
  const ResumeFinder finder_;

  mutable Mutex mutex_;
  std::condition_variable_any changed_;
  std::map<AttemptKey, SaveCheckpoint> saves_ TS_GUARDED_BY(mutex_);
  AttemptKey last_saved_ TS_GUARDED_BY(mutex_);
  bool saving_ TS_GUARDED_BY(mutex_) = false;
  SaveCheckpoint saving_now_ TS_GUARDED_BY(mutex_);  // meaningful while saving_
  std::deque<std::shared_ptr<const Assignment>> finds_ TS_GUARDED_BY(mutex_);
  AttemptKey finding_ TS_GUARDED_BY(mutex_);
  std::stop_source find_stop_ TS_GUARDED_BY(mutex_);  // of the one in progress
  std::vector<std::pair<AttemptKey, Resume>> resumes_ TS_GUARDED_BY(mutex_);
  std::jthread saver_, finder_thread_;  // last: they use all of the above
};

}  // namespace tunesmith::worker
