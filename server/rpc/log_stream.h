// ReadLogs: what an attempt has printed, and with `follow` what it will.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "server/rpc/edge.h"
#include "server/rpc/stream.h"
#include "tunesmith/v1/tuning_service.pb.h"

namespace tunesmith::rpc {

// Reads a chunk on the side thread, sends it, and reads the next one when it is written. At the end of what there is,
// a follower looks again after a while, until the loop has seen the attempt end BEFORE a look that found nothing more.
//
// Its steps follow one another, on whichever thread; no two run at once.
class LogStream final : public WriterStream<v1::ReadLogsResponse>, public std::enable_shared_from_this<LogStream> {
 public:
  // Any thread: a new stream, which the library deletes through the registry.
  static grpc::ServerWriteReactor<v1::ReadLogsResponse>* Open(Edge* edge, const v1::ReadLogsRequest& request);

  LogStream(Edge* edge, const v1::ReadLogsRequest& request);

 private:
  void OnDrained() override { ReadSoon(); }
  void AskLoop();                                  // finds the attempt and whether it has ended, then reads
  void Find(const Controller& controller);         // loop thread
  void ReadSoon();
  void ReadChunk();                                // side thread
  void LookAgainLater();

  Edge* const edge_;
  const std::string sweep_id_;
  const uint32_t trial_;
  const uint32_t asked_attempt_;   // 0 = the last one
  const bool follow_;
  const int64_t tail_bytes_;
  std::optional<AttemptId> attempt_;
  std::optional<int64_t> offset_;
  bool ended_ = false;
};

}  // namespace tunesmith::rpc
