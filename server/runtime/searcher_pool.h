// Searchers run here, off the loop: one strand per sweep, so that its calls keep their order, over a few threads.
#pragma once

#include <condition_variable>
#include <deque>
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
  // `answer` gets SuggestionReady commands, on a pool thread.
  SearcherPool(int threads, std::function<void(Command)> answer);
  ~SearcherPool() override;  // drops what has not run

  void Deliver(Effect effect) override;

 private:
  struct Strand {
    std::unique_ptr<Searcher> searcher;
    std::deque<Effect> queue;
    bool running = false;   // a thread has it
    bool dropped = false;
  };
  void Run();
  static void Execute(Strand* strand, Effect effect, const std::function<void(Command)>& answer);

  std::function<void(Command)> answer_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<SweepId, std::shared_ptr<Strand>> strands_;  // guarded by mutex_
  std::deque<std::shared_ptr<Strand>> ready_;           // guarded by mutex_
  bool stopping_ = false;                               // guarded by mutex_
  std::vector<std::thread> threads_;
};

}  // namespace tunesmith
