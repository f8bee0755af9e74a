#include "server/runtime/searcher_pool.h"

#include <pthread.h>

#include <utility>
#include <variant>

#include "common/check.h"

namespace tunesmith {

namespace {

SweepId SweepOf(const Effect& effect) {
  return std::visit(
      [](const auto& e) -> SweepId {
        if constexpr (requires { e.sweep; }) {
          return e.sweep;
        } else {
          return SweepId();
        }
      },
      effect);
}

}  // namespace

SearcherPool::SearcherPool(int threads, std::function<void(Command)> answer, Factory make)
    : answer_(std::move(answer)), make_(std::move(make)), threads_max_(static_cast<size_t>(std::max(1, threads))) {
  for (size_t i = 0; i < threads_max_; ++i) {
    threads_.emplace_back([this] {
      pthread_setname_np(pthread_self(), "ts-search");
      Run();
    });
  }
}

SearcherPool::~SearcherPool() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void SearcherPool::Deliver(Effect effect) {
  const SweepId sweep = SweepOf(effect);
  std::lock_guard lock(mutex_);
  if (std::holds_alternative<DropSearcher>(effect)) {
    const auto it = strands_.find(sweep);
    if (it == strands_.end()) return;
    it->second->dropped = true;
    it->second->queue.clear();
    strands_.erase(it);
    return;
  }
  if (std::holds_alternative<StartSearcher>(effect)) strands_.emplace(sweep, std::make_shared<Strand>());
  const auto it = strands_.find(sweep);
  if (it == strands_.end()) return;  // of a sweep that has ended
  Strand& strand = *it->second;
  strand.queue.push_back(std::move(effect));
  if (strand.running || strand.queue.size() > 1) return;  // in the ready queue already, or in work
  ready_.push_back(it->second);
  wake_.notify_one();
}

void SearcherPool::Run() {
  Lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !ready_.empty() || MayPrepare(); });
    if (stopping_) return;
    if (ready_.empty()) {
      Prepare(&lock);
      continue;
    }
    const std::shared_ptr<Strand> strand = std::move(ready_.front());
    ready_.pop_front();
    RunStrand(strand, &lock);
  }
}

void SearcherPool::RunStrand(const std::shared_ptr<Strand>& strand, Lock* lock) {
  constexpr size_t kPerTurn = 64;  // then the next sweep has its turn
  strand->running = true;
  bool heard = false;
  for (size_t i = 0; i < kPerTurn && !strand->queue.empty() && !stopping_; ++i) {
    Effect effect = std::move(strand->queue.front());
    strand->queue.pop_front();
    heard = heard || !std::holds_alternative<StartSearcher>(effect);
    lock->unlock();
    Execute(strand.get(), std::move(effect));
    lock->lock();
  }
  strand->running = false;
  if (heard && !strand->dropped && !std::exchange(strand->unprepared, true)) unprepared_.push_back(strand);
  if (!strand->queue.empty()) ready_.push_back(strand);
  wake_.notify_one();
}

void SearcherPool::Prepare(Lock* lock) {
  const std::shared_ptr<Strand> strand = std::move(unprepared_.front());
  unprepared_.pop_front();
  strand->unprepared = false;
  // One that is at work is put here again when its turn is over.
  if (strand->dropped || strand->running || !strand->queue.empty()) return;
  strand->running = true;
  ++preparing_;
  lock->unlock();
  strand->searcher->Prepare();
  lock->lock();
  --preparing_;
  strand->running = false;
  if (!strand->queue.empty()) ready_.push_back(strand);
  wake_.notify_one();
}

void SearcherPool::Execute(Strand* strand, Effect effect) {
  if (auto* start = std::get_if<StartSearcher>(&effect)) {
    Problems problems;
    strand->searcher = make_(start->options, *start->space, &problems);
    TS_CHECK(strand->searcher != nullptr, "the options of a searcher are validated before the sweep is created");
  } else if (auto* request = std::get_if<RequestSuggestion>(&effect)) {
    SuggestionReady ready{request->sweep, request->trial, strand->searcher->Suggest(request->trial)};
    if (!ready.suggestion.exhausted) strand->searcher->Add(request->trial, ready.suggestion.point);
    answer_(std::move(ready));
  } else if (auto* announce = std::get_if<AnnounceTrial>(&effect)) {
    strand->searcher->Add(announce->trial, announce->point);
  } else if (auto* report = std::get_if<ReportRung>(&effect)) {
    strand->searcher->Report(report->report);
  } else if (auto* observe = std::get_if<ObserveTrial>(&effect)) {
    strand->searcher->Observe(observe->observation);
  } else if (auto* forget = std::get_if<ForgetTrial>(&effect)) {
    strand->searcher->Forget(forget->trial);
  }
}

}  // namespace tunesmith
