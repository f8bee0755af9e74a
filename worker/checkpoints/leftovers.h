// What trials have left on this machine's disk, and when that goes.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "common/ids.h"
#include "common/limits.h"
#include "common/mutex.h"
#include "common/status.h"

namespace tunesmith::worker {

// What a daemon keeps of one sweep.
struct KeptFiles {
  SweepId sweep;
  std::vector<uint32_t> with_checkpoints;  // trials that have some here
};

// What a controller says of it.
struct UnneededFiles {
  std::vector<SweepId> sweeps;       // all that is here
  std::vector<TrialId> checkpoints;  // the checkpoints of these trials
};

// Asks the controller of this id. Waits; CANCELLED when the token says so.
using ReviewFiles = std::function<StatusOr<UnneededFiles>(const std::string& controller_id,
                                                          const std::vector<KeptFiles>& kept, const std::stop_token&)>;

// Removes what the controller whose trials they were says nobody needs: what sweeps left that are deleted, and
// checkpoints of trials that were stopped early. The files of other controllers stay. Thread-safe; one thread of its
// own.
class Leftovers {
 public:
  // `trials_root`: the folder of PathsOf. `named_max`: sweeps and trials that one call of `review` names.
  Leftovers(std::string trials_root, ReviewFiles review, size_t named_max = kReviewedTrialsMax);
  // Drops what is not done.
  ~Leftovers();
  Leftovers(const Leftovers&) = delete;
  Leftovers& operator=(const Leftovers&) = delete;

  // Asks and removes, soon. What `open` names is left alone: attempts of these trials are not over here. A call before
  // the last one was begun takes its place.
  void Look(const std::string& controller_id, std::set<TrialId> open);

  // The same at once, on this thread.
  void LookNow(const std::string& controller_id, const std::set<TrialId>& open, const std::stop_token& stop) const;

 private:
  struct Job {
    std::string controller_id;
    std::set<TrialId> open;
  };
  void Run(const std::stop_token& stop);

  const std::string trials_root_;
  const ReviewFiles review_;
  const size_t named_max_;
  Mutex mutex_;
  std::condition_variable_any changed_;
  std::optional<Job> next_ TS_GUARDED_BY(mutex_);
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace tunesmith::worker
