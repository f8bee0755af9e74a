// Searchers run here, off the loop: one strand per sweep, so that its calls keep their order, over a few threads. What
// a searcher can do ahead of the next request (Searcher::Prepare) it does when nothing waits, on all threads but one.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "search/searcher.h"
#include "server/runtime/loop.h"

namespace tunesmith {

// Deliver is thread-safe and never blocks on a searcher.
class SearcherPool : public EffectSink {
 public:
  using Factory = std::function<std::unique_ptr<Searcher>(const SearcherOptions&, const Space&, Problems*)>;

  // `answer` gets SuggestionReady commands, on a pool thread.
  SearcherPool(int threads, std::function<void(Command)> answer, Factory make = MakeSearcher);
  ~SearcherPool() override;  // drops what has not run

  void Deliver(Effect effect) override;

 private:
  struct Strand {
    std::unique_ptr<Searcher> searcher;
    std::deque<Effect> queue;
    bool running = false;   // a thread has it
    bool dropped = false;
    bool unprepared = false;  // it has heard something since it last prepared
  };
  using Lock = std::unique_lock<std::mutex>;

  void Run();
  void RunStrand(const std::shared_ptr<Strand>& strand, Lock* lock);
  // Takes the oldest idle strand and lets it prepare.
  void Prepare(Lock* lock);
  bool MayPrepare() const { return !unprepared_.empty() && preparing_ < std::max<size_t>(1, threads_max_ - 1); }
  void Execute(Strand* strand, Effect effect);

  const std::function<void(Command)> answer_;
  const Factory make_;
  const size_t threads_max_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<SweepId, std::shared_ptr<Strand>> strands_;  // guarded by mutex_
  std::deque<std::shared_ptr<Strand>> ready_;           // guarded by mutex_
  std::deque<std::shared_ptr<Strand>> unprepared_;      // guarded by mutex_; looked at when nothing is ready
  size_t preparing_ = 0;                                // guarded by mutex_; threads
  bool stopping_ = false;                               // guarded by mutex_
  std::vector<std::thread> threads_;
};

}  // namespace tunesmith
