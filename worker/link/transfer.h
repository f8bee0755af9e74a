// Checkpoints to and from the controller, and what becomes of them, over a connection of their own: what is large must
// not delay heartbeats and verdicts.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "worker/checkpoints/leftovers.h"
#include "worker/checkpoints/mover.h"
#include "worker/link/link.h"

namespace tunesmith::worker {

class GrpcTransport : public CheckpointTransport {
 public:
  // INVALID_ARGUMENT or NOT_FOUND if the TLS files cannot be used.
  static StatusOr<std::unique_ptr<GrpcTransport>> Create(const LinkOptions& options);

  Status Put(const AttemptKey& key, Checkpoint* checkpoint, const std::function<Status(const ByteSink&)>& produce,
             const std::stop_token& stop) override;
  Status Get(const TrialId& trial, const Checkpoint& checkpoint, const ByteSink& sink,
             const std::stop_token& stop) override;
  // As ReviewFiles.
  StatusOr<UnneededFiles> Review(const std::string& controller_id, const std::vector<KeptFiles>& kept,
                                 const std::stop_token& stop);

 private:
  explicit GrpcTransport(const std::shared_ptr<grpc::Channel>& channel) : stub_(v1::WorkerService::NewStub(channel)) {}
  const std::unique_ptr<v1::WorkerService::Stub> stub_;
};

}  // namespace tunesmith::worker
