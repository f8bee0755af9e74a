#include "worker/link/transfer.h"

#include <algorithm>
#include <string>
#include <utility>

#include "common/sha256.h"
#include "worker/link/convert.h"

namespace tunesmith::worker {
namespace {

constexpr size_t kChunkBytes = 256 << 10;

// A controller that goes away may end a call in several ways: all of them mean later.
Status FromGrpc(const grpc::Status& status, const std::stop_token& stop) {
  const bool cut = status.error_code() == grpc::StatusCode::CANCELLED && !stop.stop_requested();
  return MakeStatus(cut ? StatusCode::kUnavailable : static_cast<StatusCode>(status.error_code()),
                    status.error_message());
}

// Cancels the call when the token asks for it.
class Call {
 public:
  explicit Call(const std::stop_token& stop) : cancel_(stop, Cancel{&context_}) {}
  grpc::ClientContext* context() { return &context_; }

 private:
  struct Cancel {
    grpc::ClientContext* context;
    void operator()() const { context->TryCancel(); }
  };
  grpc::ClientContext context_;
  std::stop_callback<Cancel> cancel_;
};

}  // namespace

StatusOr<std::unique_ptr<GrpcTransport>> GrpcTransport::Create(const LinkOptions& options) {
  TS_ASSIGN_OR_RETURN(const auto channel, OpenChannel(options, /*own_connection=*/true));
  return std::unique_ptr<GrpcTransport>(new GrpcTransport(channel));
}

Status GrpcTransport::Put(const AttemptKey& key, Checkpoint* checkpoint,
                          const std::function<Status(const ByteSink&)>& produce, const std::stop_token& stop) {
  Call call(stop);
  v1::PutCheckpointResponse response;
  const auto writer = stub_->PutCheckpoint(call.context(), &response);
  v1::PutCheckpointRequest message;
  *message.mutable_header()->mutable_attempt() = ToProto(key);
  message.mutable_header()->set_step(checkpoint->step);
  message.mutable_header()->set_name(checkpoint->name);
  bool open = writer->Write(message);

  Sha256 sha256;
  int64_t bytes = 0;
  std::string chunk;
  const auto send = [&] {
    message.set_chunk(std::exchange(chunk, {}));
    open = open && writer->Write(message);
    return open;
  };
  Status produced;
  if (open) {
    produced = produce([&](std::string_view block) {
      sha256.Add(block);
      bytes += static_cast<int64_t>(block.size());
      while (!block.empty()) {
        const std::string_view part = block.substr(0, kChunkBytes - chunk.size());
        chunk.append(part);
        block.remove_prefix(part.size());
        if (chunk.size() == kChunkBytes && !send()) return Unavailable("the controller has closed the stream");
      }
      return OkStatus();
    });
  }
  if (produced.ok() && open && (chunk.empty() || send())) {
    message.mutable_trailer()->set_bytes(bytes);
    checkpoint->bytes = bytes;
    checkpoint->sha256 = sha256.Hex();
    message.mutable_trailer()->set_sha256(checkpoint->sha256);
    open = writer->Write(message) && writer->WritesDone();
  } else if (!produced.ok() && open) {
    call.context()->TryCancel();  // half of it is of no use
  }
  const grpc::Status end = writer->Finish();
  // Where the controller has refused, its words count; where the files could not be read, those of the reader.
  return !produced.ok() && (open || end.ok()) ? produced : FromGrpc(end, stop);
}

Status GrpcTransport::Get(const TrialId& trial, const Checkpoint& checkpoint, const ByteSink& sink,
                          const std::stop_token& stop) {
  Call call(stop);
  v1::GetCheckpointRequest request;
  request.set_sweep(trial.sweep.value);
  request.set_trial(trial.number);
  request.set_attempt(checkpoint.attempt);
  request.set_step(checkpoint.step);
  const auto reader = stub_->GetCheckpoint(call.context(), request);
  Status taken;
  for (v1::GetCheckpointResponse message; taken.ok() && reader->Read(&message);) taken = sink(message.chunk());
  if (!taken.ok()) call.context()->TryCancel();
  const grpc::Status end = reader->Finish();
  return taken.ok() ? FromGrpc(end, stop) : taken;
}

StatusOr<UnneededFiles> GrpcTransport::Review(const std::string& controller_id, const std::vector<KeptFiles>& kept,
                                              const std::stop_token& stop) {
  Call call(stop);
  v1::ReviewLeftoversRequest request;
  request.set_controller_id(controller_id);
  for (const KeptFiles& files : kept) {
    v1::TrialsOfSweep* of = request.add_kept();
    of->set_sweep(files.sweep.value);
    of->mutable_trials()->Assign(files.with_checkpoints.begin(), files.with_checkpoints.end());
  }
  v1::ReviewLeftoversResponse response;
  TS_RETURN_IF_ERROR(FromGrpc(stub_->ReviewLeftovers(call.context(), request, &response), stop));
  UnneededFiles unneeded;
  for (const uint64_t sweep : response.deleted_sweeps()) unneeded.sweeps.emplace_back(sweep);
  for (const v1::TrialsOfSweep& of : response.without_checkpoints()) {
    for (const uint32_t trial : of.trials()) unneeded.checkpoints.push_back({SweepId(of.sweep()), trial});
  }
  return unneeded;
}

}  // namespace tunesmith::worker
