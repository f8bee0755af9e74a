#include "server/rpc/log_stream.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/limits.h"

namespace tunesmith::rpc {
namespace {

constexpr size_t kMessagesQueuedMax = 4;  // a chunk is read when the one before is written
constexpr std::chrono::milliseconds kLookAgain{200};

}  // namespace

grpc::ServerWriteReactor<v1::ReadLogsResponse>* LogStream::Open(Edge* edge, const v1::ReadLogsRequest& request) {
  auto stream = std::make_shared<LogStream>(edge, request);
  LogStream* reactor = stream.get();
  if (const Refusal refusal = edge->Register(stream); !refusal.status.ok()) {
    stream->Close(refusal.status, refusal.reason);
  } else if (request.tail_bytes() < 0) {
    stream->Close(InvalidArgument("tail_bytes: must not be negative; 0 = all that is kept"), "TAIL_INVALID");
  } else {
    stream->AskLoop();
  }
  return reactor;
}

LogStream::LogStream(Edge* edge, const v1::ReadLogsRequest& request)
    : WriterStream(edge->streams(), kMessagesQueuedMax),
      edge_(edge),
      sweep_id_(request.sweep()),
      trial_(request.trial()),
      asked_attempt_(request.attempt()),
      follow_(request.follow()),
      tail_bytes_(request.tail_bytes()) {}

void LogStream::AskLoop() {
  const bool taken = edge_->loop()->Read(
      [self = shared_from_this()](const Controller& controller, Time) { self->Find(controller); });
  if (!taken) Close(Edge::Draining().status, Edge::Draining().reason);
}

void LogStream::Find(const Controller& controller) {
  const Sweep* sweep = attempt_ ? controller.state().FindSweep(attempt_->trial.sweep)
                                : controller.state().FindSweep(sweep_id_);
  if (sweep == nullptr) {
    const Refusal missing = Edge::SweepNotFound(controller, sweep_id_);
    return Close(missing.status, missing.reason);
  }
  const Trial* trial = sweep->Find(trial_);
  if (trial == nullptr) {
    const Refusal missing = Edge::TrialNotFound(*sweep, trial_);
    return Close(missing.status, missing.reason);
  }
  if (!attempt_) {
    const auto last = static_cast<uint32_t>(trial->attempts.size());
    if (asked_attempt_ > last) {
      return Close(NotFound("trial " + std::to_string(trial_) + " of " + sweep->id + " has " + std::to_string(last) +
                            " attempts, not " + std::to_string(asked_attempt_)),
                   "ATTEMPT_NOT_FOUND");
    }
    if (last == 0) {  // it has not started: there is nothing to read yet
      if (!follow_ || IsTerminal(trial->state)) return outbox().CloseAfterQueue(grpc::Status::OK);
      return LookAgainLater();
    }
    attempt_ = AttemptId{{sweep->number, trial_}, asked_attempt_ == 0 ? last : asked_attempt_};
  }
  ended_ = IsTerminal(trial->attempts[attempt_->number - 1].state);
  ReadSoon();
}

void LogStream::ReadSoon() {
  if (!edge_->side()->Post([self = shared_from_this()] { self->ReadChunk(); })) {
    Close(Edge::Busy().status, Edge::Busy().reason);
  }
}

void LogStream::ReadChunk() {
  if (outbox().closed()) return;
  if (!offset_) {
    offset_ = tail_bytes_ == 0 ? 0 : std::max<int64_t>(0, edge_->logs()->Size(*attempt_) - tail_bytes_);
  }
  StatusOr<LogChunk> chunk = edge_->logs()->Read(*attempt_, *offset_, kStreamChunkBytes);
  if (!chunk.ok()) return Close(chunk.status(), "LOG_UNREADABLE");
  offset_ = chunk->next_offset;
  if (!chunk->data.empty()) {
    v1::ReadLogsResponse message;
    message.set_attempt(attempt_->number);
    message.set_data(std::move(chunk->data));
    if (!outbox().Push(std::move(message))) return;
  }
  if (!chunk->at_end) {
    if (outbox().ReadyOrNotify()) ReadSoon();
    return;
  }
  if (ended_ || !follow_) return outbox().CloseAfterQueue(grpc::Status::OK);
  LookAgainLater();
}

void LogStream::LookAgainLater() {
  if (!edge_->side()->PostAfter(kLookAgain, [self = shared_from_this()] {
        if (!self->outbox().closed()) self->AskLoop();
      })) {
    Close(Edge::Busy().status, Edge::Busy().reason);
  }
}

}  // namespace tunesmith::rpc
