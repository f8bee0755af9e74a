// WorkerService.PutCheckpoint and GetCheckpoint: copies of checkpoints, in chunks. Files are read and written on the
// transfer thread.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "server/rpc/edge.h"
#include "server/rpc/stream.h"
#include "server/runtime/checkpoint_store.h"
#include "tunesmith/v1/worker_service.pb.h"

namespace tunesmith::rpc {

//   header --loop: would it be kept?--> chunks --> trailer --> durable --loop: kept--> answered
//
// The next message is read when the one before is written: a slow disk slows the sender. Its steps follow one another,
// on whichever thread; no two run at once, but for a cancellation.
class PutCheckpointStream final : public grpc::ServerReadReactor<v1::PutCheckpointRequest>,
                                  public LiveStream,
                                  public std::enable_shared_from_this<PutCheckpointStream> {
 public:
  // Any thread: a new stream, which the library deletes through the registry.
  static grpc::ServerReadReactor<v1::PutCheckpointRequest>* Open(Edge* edge);

  explicit PutCheckpointStream(Edge* edge) : edge_(edge) {}
  void CloseWith(const Status& status) override { End(status, ""); }

 private:
  void OnReadDone(bool ok) override;
  void OnCancel() override { End(MakeStatus(StatusCode::kCancelled, "the sender is gone"), ""); }
  void OnDone() override { edge_->streams()->Remove(this); }

  void ReadMore();
  void TakeHeader();
  void TakeChunk();    // transfer thread
  void TakeTrailer();  // transfer thread
  void Tell();
  // The first one counts.
  void End(const Status& status, const std::string& reason);

  Edge* const edge_;
  v1::PutCheckpointRequest message_;
  CheckpointArrived arrived_;
  std::unique_ptr<CheckpointStore::Incoming> incoming_;
  bool greeted_ = false;
  std::mutex mutex_;
  bool ended_ = false;  // guarded by mutex_
};

class GetCheckpointStream final : public WriterStream<v1::GetCheckpointResponse>,
                                  public std::enable_shared_from_this<GetCheckpointStream> {
 public:
  static grpc::ServerWriteReactor<v1::GetCheckpointResponse>* Open(Edge* edge, const v1::GetCheckpointRequest& request);

  GetCheckpointStream(Edge* edge, const v1::GetCheckpointRequest& request);

 private:
  void OnDrained() override { ReadSoon(); }
  void ReadSoon();
  void ReadChunk();  // transfer thread

  Edge* const edge_;
  const TrialId trial_;
  const uint32_t attempt_;
  const int64_t step_;
  int64_t offset_ = 0;
};

}  // namespace tunesmith::rpc
