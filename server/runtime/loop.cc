#include "server/runtime/loop.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/log.h"

namespace tunesmith {

namespace {

// Leases and budgets are looked at this often.
constexpr Duration kTickInterval{250};

bool IsForSearchers(const Effect& effect) {
  return std::holds_alternative<StartSearcher>(effect) || std::holds_alternative<DropSearcher>(effect) ||
         std::holds_alternative<RequestSuggestion>(effect) || std::holds_alternative<AnnounceTrial>(effect) ||
         std::holds_alternative<ReportRung>(effect) || std::holds_alternative<ObserveTrial>(effect) ||
         std::holds_alternative<ForgetTrial>(effect);
}

bool IsForLogs(const Effect& effect) {
  return std::holds_alternative<AppendLog>(effect) || std::holds_alternative<DeleteLogs>(effect);
}

bool IsForCheckpoints(const Effect& effect) {
  return std::holds_alternative<DropCheckpoint>(effect) || std::holds_alternative<DropCheckpoints>(effect) ||
         std::holds_alternative<ShareCheckpoint>(effect);
}

}  // namespace

Loop::Loop(ControllerOptions options, Journal* journal, LoopSinks sinks, std::function<Time()> clock)
    : controller_(options), journal_(journal), sinks_(sinks), clock_(std::move(clock)) {}

Loop::~Loop() { Stop(); }

StatusOr<uint64_t> Loop::Start() {
  uint64_t events = 0;
  TS_RETURN_IF_ERROR(journal_->Replay([&](const Event& event) {
    controller_.Replay(event);
    ++events;
  }));
  controller_.FinishRecovery(clock_(), &output_);
  TS_RETURN_IF_ERROR(journal_->Append(output_.events));
  Release(&output_);
  thread_ = std::thread([this] { Run(); });
  return events;
}

void Loop::Post(Command command, Done done) {
  {
    std::lock_guard lock(mutex_);
    if (!stopping_) {
      mailbox_.push_back({std::move(command), std::move(done), nullptr});
      if (mailbox_.size() == 1) wake_.notify_one();
      return;
    }
  }
  if (!done) return;
  Reply reply;
  reply.status = Unavailable("the controller is stopping; try again");
  reply.reason = "CONTROLLER_DRAINING";
  done(reply, controller_);
}

bool Loop::Read(ReadFn read) {
  std::lock_guard lock(mutex_);
  if (stopping_) return false;
  mailbox_.push_back({Tick{}, nullptr, std::move(read)});
  if (mailbox_.size() == 1) wake_.notify_one();
  return true;
}

void Loop::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

Status Loop::fatal_error() const {
  std::lock_guard lock(mutex_);
  return fatal_;
}

void Loop::Run() {
  pthread_setname_np(pthread_self(), "ts-loop");
  std::vector<Item> batch;
  Time next_tick = clock_() + kTickInterval;
  Time next_observation = kTimeNever;
  bool more_maintenance = true;
  bool stopping = false;
  while (!stopping) {
    {
      std::unique_lock lock(mutex_);
      const Time now = clock_();
      const Duration wait = std::min(next_tick, next_observation) - now;
      // With housekeeping left, only look whether there is anything to do first.
      const auto timeout = std::chrono::milliseconds(more_maintenance ? 0 : std::max<int64_t>(0, wait.ms));
      wake_.wait_for(lock, timeout, [this] { return stopping_ || !mailbox_.empty(); });
      stopping = stopping_;
      batch.swap(mailbox_);
    }
    if (batch.empty() && more_maintenance) more_maintenance = journal_->Maintain();
    const Time now = clock_();
    if (now >= next_tick) {
      batch.push_back({Tick{}, nullptr, nullptr});
      next_tick = now + kTickInterval;
      more_maintenance = true;
    }
    if (!RunBatch(&batch)) break;
    batch.clear();
    if (sinks_.observer != nullptr) next_observation = sinks_.observer->Observe(controller_, clock_());
  }
  // Whoever still waits (a program that asked for a trial) is told.
  Reply reply;
  reply.status = Unavailable("the controller is stopping; try again");
  reply.reason = "CONTROLLER_DRAINING";
  for (auto& [token, done] : waiting_) done(reply, controller_);
  waiting_.clear();
}

bool Loop::RunBatch(std::vector<Item>* batch) {
  const Time now = clock_();
  for (Item& item : *batch) {
    if (item.read) continue;
    uint64_t token = 0;
    if (item.done) {
      token = next_token_++;
      waiting_.emplace_hint(waiting_.end(), token, std::move(item.done));
    }
    controller_.Step(item.command, token, now, &output_);
  }
  Status durable = journal_->Append(output_.events);
  if (durable.code() == StatusCode::kResourceExhausted) durable = WaitForRoom(std::move(durable));
  if (full_) return false;  // stopped while it waited
  if (!durable.ok()) {
    Log(LogLevel::kError, "journal_failed", {{"error", Message(durable)}});
    {
      std::lock_guard lock(mutex_);
      fatal_ = durable;
      stopping_ = true;
    }
    if (on_fatal_) on_fatal_(durable);
    return false;
  }
  Release(&output_);
  for (Item& item : *batch) {
    if (item.read) item.read(controller_, now);
  }
  return true;
}

Status Loop::WaitForRoom(Status full) {
  constexpr std::chrono::milliseconds kTryAgainAfter{500};
  Log(LogLevel::kError, "disk_full",
      {{"what", "nothing new is taken until there is room for the journal; trials run on"}, {"error", Message(full)}});
  full_ = true;
  while (full.code() == StatusCode::kResourceExhausted) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, kTryAgainAfter, [this] { return stopping_; });
      if (stopping_) return full;
    }
    full = journal_->Append(output_.events);
  }
  full_ = false;
  if (full.ok()) Log(LogLevel::kInfo, "disk_has_room", {});
  return full;
}

void Loop::Release(Output* output) {
  for (Effect& effect : output->effects) {
    EffectSink* sink = IsForSearchers(effect)     ? sinks_.searchers
                       : IsForLogs(effect)        ? sinks_.logs
                       : IsForCheckpoints(effect) ? sinks_.checkpoints
                                                  : sinks_.sessions;
    if (sink != nullptr) sink->Deliver(std::move(effect));
  }
  for (const auto& [token, reply] : output->replies) {
    const auto it = waiting_.find(token);
    if (it == waiting_.end()) continue;
    const Done done = std::move(it->second);
    waiting_.erase(it);
    done(reply, controller_);
  }
  output->events.clear();
  output->effects.clear();
  output->replies.clear();
}

}  // namespace tunesmith
