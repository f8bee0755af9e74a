#include "server/rpc/worker_session.h"

#include <algorithm>
#include <utility>

#include "common/limits.h"
#include "common/log.h"
#include "server/rpc/convert.h"

namespace tunesmith::rpc {
namespace {

google::protobuf::ArenaOptions ArenaOf(std::array<char, 4096>* block) {
  google::protobuf::ArenaOptions options;
  options.initial_block = block->data();
  options.initial_block_size = block->size();
  options.max_block_size = 256 << 10;
  return options;
}

}  // namespace

SessionStream::SessionStream(Edge* edge, SessionHub* hub, SessionId id)
    : edge_(edge), hub_(hub), id_(id), arena_(ArenaOf(&first_block_)), outbox_(&wire_, kSessionQueueMax) {}

void SessionStream::ReadMore() {
  {
    const std::lock_guard<std::mutex> lock(read_mutex_);
    if (reading_ || in_flight_ >= kSessionMessagesInFlight) return;
    reading_ = true;
    arena_.Reset();
    message_ = google::protobuf::Arena::CreateMessage<v1::WorkerMessage>(&arena_);
  }
  outbox_.UnlessFinished([this] { StartRead(message_); });
}

void SessionStream::OnReadDone(bool ok) {
  if (!ok) return outbox_.Close(grpc::Status::OK);  // the daemon has said all, or is gone
  const Status status = Take(message_);
  if (!status.ok()) return Close(status, "SESSION_INVALID");
  {
    const std::lock_guard<std::mutex> lock(read_mutex_);
    reading_ = false;
  }
  ReadMore();
}

Status SessionStream::Take(v1::WorkerMessage* message) {
  if (message->kind_case() == v1::WorkerMessage::kHello) return TakeHello(message->hello());
  if (!greeted_) return InvalidArgument("the first message of a session must be hello");
  switch (message->kind_case()) {
    case v1::WorkerMessage::kHeartbeat:
      edge_->loop()->Post(WorkerHeartbeat{id_, message->heartbeat().draining()});
      return OkStatus();
    case v1::WorkerMessage::kHeldDevices: {
      WorkerDevices command;
      command.session = id_;
      TS_RETURN_IF_ERROR(HeldFromProto(message->held_devices(), &command.held));
      PostCounted(std::move(command));
      return OkStatus();
    }
    case v1::WorkerMessage::kRecords: {
      WorkerRecords command;
      command.session = id_;
      TS_RETURN_IF_ERROR(RecordsFromProto(message->mutable_records(), &command.records));
      PostCounted(std::move(command));
      return OkStatus();
    }
    default:
      return InvalidArgument("a message must hold hello, heartbeat, held_devices or records");
  }
}

Status SessionStream::TakeHello(const v1::Hello& hello) {
  if (greeted_) return InvalidArgument("hello is the first message of a session, and only that");
  TS_ASSIGN_OR_RETURN(WorkerHello greeting, HelloFromProto(hello));
  greeted_ = true;
  Log(LogLevel::kInfo, "worker_connected",
      {{"worker", greeting.name}, {"session", id_.value}, {"cpus", greeting.cpus},
       {"devices", uint64_t{greeting.devices.size()}}, {"attempts", uint64_t{greeting.attempts.size()}}});
  PostCounted(WorkerConnected{id_, std::move(greeting)});
  return OkStatus();
}

void SessionStream::PostCounted(Command command) {
  {
    const std::lock_guard<std::mutex> lock(read_mutex_);
    ++in_flight_;
  }
  edge_->loop()->Post(std::move(command), [self = shared_from_this()](const Reply&, const Controller&) {
    {
      const std::lock_guard<std::mutex> lock(self->read_mutex_);
      --self->in_flight_;
    }
    self->ReadMore();
  });
}

void SessionStream::OnDone() {
  if (greeted_) {
    Log(LogLevel::kInfo, "worker_disconnected", {{"session", id_.value}});
    edge_->loop()->Post(WorkerDisconnected{id_});
  }
  hub_->Remove(id_);
  edge_->streams()->Remove(this);  // may delete this
}

grpc::ServerBidiReactor<v1::WorkerMessage, v1::ControllerMessage>* SessionHub::Open(Edge* edge) {
  const SessionId id(++last_session_);
  auto stream = std::make_shared<SessionStream>(edge, this, id);
  SessionStream* reactor = stream.get();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    sessions_[id.value] = stream;
  }
  if (const Refusal refusal = edge->Register(stream); !refusal.status.ok()) {
    stream->Close(refusal.status, refusal.reason);
  } else {
    stream->Start();
  }
  return reactor;
}

void SessionHub::Remove(SessionId id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  sessions_.erase(id.value);
}

std::shared_ptr<SessionStream> SessionHub::Find(SessionId id) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto it = sessions_.find(id.value);
  return it == sessions_.end() ? nullptr : it->second;
}

void SessionHub::Send(SessionId id, v1::ControllerMessage message) const {
  if (const auto session = Find(id)) session->Send(std::move(message));
}

void SessionHub::Deliver(Effect effect) {
  v1::ControllerMessage message;
  if (const auto* ack = std::get_if<SendAck>(&effect)) {
    FillRef(ack->ref, message.mutable_ack()->mutable_attempt());
    message.mutable_ack()->set_sequence(ack->sequence);
    Send(ack->session, std::move(message));
  } else if (const auto* verdict = std::get_if<SendVerdict>(&effect)) {
    v1::VerdictFor* out = message.mutable_verdict();
    FillRef(verdict->ref, out->mutable_attempt());
    out->set_step(verdict->step);
    out->set_sequence(verdict->sequence);
    FillVerdict(verdict->verdict, verdict->text, out->mutable_verdict());
    Send(verdict->session, std::move(message));
  } else if (const auto* assign = std::get_if<SendAssign>(&effect)) {
    FillAssign(*assign, message.mutable_assign());
    Send(assign->session, std::move(message));
  } else if (const auto* stop = std::get_if<SendStop>(&effect)) {
    FillRef(stop->ref, message.mutable_stop()->mutable_attempt());
    message.mutable_stop()->set_reason(stop->reason);
    message.mutable_stop()->set_now(stop->now);
    Send(stop->session, std::move(message));
  } else if (const auto* welcome = std::get_if<SendWelcome>(&effect)) {
    v1::Welcome* out = message.mutable_welcome();
    out->set_session(welcome->session.value);
    constexpr int64_t kHeartbeatsPerLease = 10;
    out->set_heartbeat_ms(std::clamp<int64_t>(lease_ms_ / kHeartbeatsPerLease, 1, kHeartbeatMs));
    out->set_lease_ms(lease_ms_);
    out->set_controller_id(controller_id_);
    for (const AttemptAnswer& answer : welcome->attempts) FillAnswer(answer, out->add_attempts());
    Send(welcome->session, std::move(message));
  } else if (const auto* drain = std::get_if<SendDrain>(&effect)) {
    message.mutable_drain()->set_stop_running(drain->stop_running);
    Send(drain->session, std::move(message));
  } else if (const auto* close = std::get_if<CloseSession>(&effect)) {
    if (const auto session = Find(close->session)) session->Close(close->status, "SESSION_CLOSED");
  }
}

// --- one call

grpc::ServerUnaryReactor* WorkerServiceImpl::ReviewLeftovers(grpc::CallbackServerContext* context,
                                                             const v1::ReviewLeftoversRequest* request,
                                                             v1::ReviewLeftoversResponse* response) {
  return edge_->Read(context, response, [this, request](const Controller& controller, const auto& reply) {
    if (request->controller_id() != hub_->controller_id()) {
      return reply->Finish(FailedPrecondition("the files are of controller " + request->controller_id() +
                                              "; this one is " + hub_->controller_id()),
                           "OTHER_CONTROLLER");
    }
    size_t asked = 0;
    for (const v1::TrialsOfSweep& of : request->kept()) asked += 1 + static_cast<size_t>(of.trials_size());
    if (asked > kReviewedTrialsMax) {
      return reply->Finish(InvalidArgument("kept: at most " + std::to_string(kReviewedTrialsMax) +
                                           " sweeps and trials in one call; ask several times"),
                           "TOO_MANY_TRIALS");
    }
    for (const v1::TrialsOfSweep& of : request->kept()) {
      const SweepId sweep(of.sweep());
      if (controller.UseOfLeftovers({sweep, 0}) == LeftoverUse::kNone) {
        reply->response()->add_deleted_sweeps(sweep.value);
        continue;
      }
      v1::TrialsOfSweep unneeded;
      for (const uint32_t trial : of.trials()) {
        if (controller.UseOfLeftovers({sweep, trial}) == LeftoverUse::kNoCheckpoints) unneeded.add_trials(trial);
      }
      if (unneeded.trials().empty()) continue;
      unneeded.set_sweep(sweep.value);
      *reply->response()->add_without_checkpoints() = std::move(unneeded);
    }
    reply->Ok();
  });
}

}  // namespace tunesmith::rpc
