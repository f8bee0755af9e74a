#include "server/rpc/checkpoint_streams.h"

#include <algorithm>
#include <utility>

#include "common/limits.h"
#include "server/rpc/convert.h"

namespace tunesmith::rpc {
namespace {

constexpr size_t kMessagesQueuedMax = 4;  // a chunk is read when the one before is written
constexpr size_t kChunkBytesMax = 1 << 20;

}  // namespace

grpc::ServerReadReactor<v1::PutCheckpointRequest>* PutCheckpointStream::Open(Edge* edge) {
  auto stream = std::make_shared<PutCheckpointStream>(edge);
  PutCheckpointStream* reactor = stream.get();
  if (const Refusal refusal = edge->Register(stream); !refusal.status.ok()) {
    stream->End(refusal.status, refusal.reason);
  } else {
    stream->ReadMore();
  }
  return reactor;
}

void PutCheckpointStream::End(const Status& status, const std::string& reason) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (std::exchange(ended_, true)) return;
  Finish(ToGrpc(status, reason));
}

void PutCheckpointStream::ReadMore() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!ended_) StartRead(&message_);
}

void PutCheckpointStream::OnReadDone(bool ok) {
  if (!ok) return End(InvalidArgument("the checkpoint ended without its trailer"), "CHECKPOINT_CUT_SHORT");
  const auto kind = message_.kind_case();
  if ((kind == v1::PutCheckpointRequest::kHeader) == greeted_ || kind == v1::PutCheckpointRequest::KIND_NOT_SET) {
    return End(InvalidArgument("a checkpoint is a header, chunks and a trailer, in this order"), "CHECKPOINT_INVALID");
  }
  if (kind == v1::PutCheckpointRequest::kHeader) return TakeHeader();
  const bool chunk = kind == v1::PutCheckpointRequest::kChunk;
  if (chunk && message_.chunk().size() > kChunkBytesMax) {
    return End(InvalidArgument("chunk: has more than 1 MiB; use smaller ones"), "CHECKPOINT_INVALID");
  }
  const bool taken = edge_->transfers()->Post(
      [self = shared_from_this(), chunk] { chunk ? self->TakeChunk() : self->TakeTrailer(); });
  if (!taken) End(Edge::Busy().status, Edge::Busy().reason);
}

void PutCheckpointStream::TakeHeader() {
  const v1::PutCheckpointRequest::Header& header = message_.header();
  const v1::AttemptRef& ref = header.attempt();
  greeted_ = true;
  arrived_.ref = {{{SweepId(ref.sweep()), ref.trial()}, ref.attempt()}, LeaseEpoch(ref.epoch())};
  arrived_.checkpoint.attempt = ref.attempt();
  arrived_.checkpoint.step = header.step();
  arrived_.checkpoint.name = header.name();
  if (header.step() < 1) return End(InvalidArgument("header.step: must be 1 or more"), "CHECKPOINT_INVALID");
  if (header.name().size() > kCheckpointNameBytesMax) {
    return End(InvalidArgument("header.name: has more than " + std::to_string(kCheckpointNameBytesMax) + " bytes"),
               "CHECKPOINT_INVALID");
  }
  const bool taken = edge_->loop()->Read([self = shared_from_this()](const Controller& controller, Time) {
    const Status status = controller.TakesCheckpoint(self->arrived_.ref);
    if (!status.ok()) return self->End(status, "CHECKPOINT_UNWANTED");
    self->ReadMore();
  });
  if (!taken) End(Edge::Draining().status, Edge::Draining().reason);
}

void PutCheckpointStream::TakeChunk() {
  if (incoming_ == nullptr) {
    auto begun = edge_->checkpoints()->Begin(arrived_.ref.attempt.trial, arrived_.ref.attempt.number,
                                             arrived_.checkpoint.step);
    if (!begun.ok()) return End(begun.status(), "CHECKPOINT_NO_ROOM");
    incoming_ = *std::move(begun);
  }
  const Status status = incoming_->Append(message_.chunk());
  if (!status.ok()) {
    incoming_.reset();
    return End(status, "CHECKPOINT_NO_ROOM");
  }
  ReadMore();
}

void PutCheckpointStream::TakeTrailer() {
  const v1::PutCheckpointRequest::Trailer& trailer = message_.trailer();
  if (incoming_ == nullptr) return End(InvalidArgument("the checkpoint is empty"), "CHECKPOINT_INVALID");
  const Status status = incoming_->Commit(trailer.bytes(), trailer.sha256());
  incoming_.reset();
  if (!status.ok()) return End(status, "CHECKPOINT_DAMAGED");
  arrived_.checkpoint.bytes = trailer.bytes();
  arrived_.checkpoint.sha256 = trailer.sha256();
  Tell();
}

void PutCheckpointStream::Tell() {
  edge_->loop()->Post(arrived_, [self = shared_from_this()](const Reply& reply, const Controller& controller) {
    if (!reply.status.ok() && reply.status.code() != StatusCode::kUnavailable) {
      // Not kept, unless an earlier copy of the same one is.
      const CheckpointArrived& arrived = self->arrived_;
      const Trial* trial = controller.state().FindTrial(arrived.ref.attempt.trial);
      const auto is_it = [&](const StoredCheckpoint& one) {
        return one.attempt == arrived.checkpoint.attempt && one.step == arrived.checkpoint.step;
      };
      const bool kept = trial != nullptr && std::any_of(trial->StoredCheckpoints().begin(),
                                                        trial->StoredCheckpoints().end(), is_it);
      if (!kept) {
        self->edge_->checkpoints()->Remove(arrived.ref.attempt.trial, arrived.checkpoint.attempt,
                                           arrived.checkpoint.step);
      }
    }
    self->End(reply.status, reply.reason);
  });
}

grpc::ServerWriteReactor<v1::GetCheckpointResponse>* GetCheckpointStream::Open(
    Edge* edge, const v1::GetCheckpointRequest& request) {
  auto stream = std::make_shared<GetCheckpointStream>(edge, request);
  GetCheckpointStream* reactor = stream.get();
  if (const Refusal refusal = edge->Register(stream); !refusal.status.ok()) {
    stream->Close(refusal.status, refusal.reason);
  } else {
    stream->ReadSoon();
  }
  return reactor;
}

GetCheckpointStream::GetCheckpointStream(Edge* edge, const v1::GetCheckpointRequest& request)
    : WriterStream(edge->streams(), kMessagesQueuedMax),
      edge_(edge),
      trial_{SweepId(request.sweep()), request.trial()},
      attempt_(request.attempt()),
      step_(request.step()) {}

void GetCheckpointStream::ReadSoon() {
  if (!edge_->transfers()->Post([self = shared_from_this()] { self->ReadChunk(); })) {
    Close(Edge::Busy().status, Edge::Busy().reason);
  }
}

void GetCheckpointStream::ReadChunk() {
  if (outbox().closed()) return;
  StatusOr<std::string> bytes = edge_->checkpoints()->Read(trial_, attempt_, step_, offset_, kStreamChunkBytes);
  if (!bytes.ok()) return Close(bytes.status(), "CHECKPOINT_UNREADABLE");
  if (bytes->empty()) return outbox().CloseAfterQueue(grpc::Status::OK);
  offset_ += static_cast<int64_t>(bytes->size());
  v1::GetCheckpointResponse message;
  message.set_chunk(*std::move(bytes));
  if (outbox().Push(std::move(message)) && outbox().ReadyOrNotify()) ReadSoon();
}

}  // namespace tunesmith::rpc
