#include "server/rpc/sweep_service.h"

#include <random>

#include "common/limits.h"
#include "server/rpc/convert.h"
#include "server/rpc/importance.h"
#include "server/rpc/page_token.h"
#include "spec/wire.h"

namespace tunesmith::rpc {
namespace {

constexpr size_t kRequestIdBytesMax = 64;  // the contract's

uint64_t DrawSeed() {
  std::random_device device;
  return uint64_t{device()} << 32U | device();
}

}  // namespace

grpc::ServerUnaryReactor* SweepServiceImpl::CreateSweep(grpc::CallbackServerContext* context,
                                                        const v1::CreateSweepRequest* request, v1::Sweep* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  auto reply = std::make_shared<UnaryReply<v1::Sweep>>(reactor, response);
  if (Edge::Refuse(edge_->Admit(), reply.get())) return reactor;
  // A spec may hold a hundred thousand choices: converting it is not for a gRPC thread. The request lives until the
  // reply is given.
  if (!edge_->side()->Post([this, request, reply] { Create(*request, reply); })) {
    Edge::Refuse(Edge::Busy(), reply.get());
  }
  return reactor;
}

void SweepServiceImpl::Create(const v1::CreateSweepRequest& request, const Edge::SharedReply<v1::Sweep>& reply) {
  if (!request.has_spec()) {
    return reply->Finish(InvalidArgument("spec: is missing"), "SWEEP_INVALID", {{"spec", "is missing", ""}});
  }
  if (request.request_id().size() > kRequestIdBytesMax) {
    return reply->Finish(InvalidArgument("request_id: must have at most " + std::to_string(kRequestIdBytesMax) +
                                         " bytes"),
                         "REQUEST_ID_INVALID");
  }
  Problems problems;
  StatusOr<SweepSpec> spec = SweepSpecFromWire(request.spec().SerializeAsString(), &problems);
  if (!spec.ok()) return reply->Finish(spec.status(), "SWEEP_INVALID");
  if (!problems.empty()) {
    std::string message = problems[0].field + ": " + problems[0].message;
    if (problems.size() > 1) message += " (and " + std::to_string(problems.size() - 1) + " more)";
    return reply->Finish(InvalidArgument(message), "SWEEP_INVALID", problems);
  }
  tunesmith::CreateSweep command;
  command.request_id = request.request_id();
  command.validate_only = request.validate_only();
  command.drawn_seed = DrawSeed();
  command.spec = std::move(*spec);
  if (command.validate_only) *reply->response()->mutable_spec() = SpecToProto(command.spec);
  edge_->loop()->Post(std::move(command), [this, reply](const Reply& answer, const Controller& controller) {
    if (!answer.status.ok()) return reply->Finish(answer.status, answer.reason, answer.problems);
    if (answer.sweep) {
      const Sweep* sweep = controller.state().FindSweep(answer.sweep);
      if (sweep == nullptr) return reply->Finish(NotFound("the sweep was deleted at once"), "SWEEP_NOT_FOUND");
      edge_->RenderSweep(controller, *sweep, reply->response());
    }
    reply->Ok();
  });
}

grpc::ServerUnaryReactor* SweepServiceImpl::GetSweep(grpc::CallbackServerContext* context,
                                                     const v1::GetSweepRequest* request, v1::Sweep* response) {
  return edge_->ReadSweep(context, request->sweep(), response,
                          [this](const Controller& controller, const Sweep& sweep, const auto& reply) {
                            edge_->RenderSweep(controller, sweep, reply->response());
                            reply->Ok();
                          });
}

grpc::ServerUnaryReactor* SweepServiceImpl::ListSweeps(grpc::CallbackServerContext* context,
                                                       const v1::ListSweepsRequest* request,
                                                       v1::ListSweepsResponse* response) {
  constexpr uint64_t kKind = 1;
  const uint64_t key = ListKey({kKind});
  bool present = false;
  const StatusOr<PagePosition> after = DecodePageToken(request->page_token(), key, &present);
  const StatusOr<size_t> size = PageSize(request->page_size());
  if (!after.ok() || !size.ok()) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(after.ok() ? ToGrpc(size.status(), "PAGE_SIZE_INVALID")
                               : ToGrpc(after.status(), "PAGE_TOKEN_INVALID"));
    return reactor;
  }
  return edge_->Read(context, response,
                     [this, key, present, limit = *size, after = *after](const Controller& controller,
                                                                         const auto& reply) {
    const auto& sweeps = controller.state().sweeps();
    auto it = std::make_reverse_iterator(present ? sweeps.lower_bound(SweepId(after.major)) : sweeps.end());
    v1::ListSweepsResponse* out = reply->response();
    size_t bytes = 0;
    for (; it != sweeps.rend() && static_cast<size_t>(out->sweeps_size()) < limit && bytes < kReplyBytesMax; ++it) {
      v1::Sweep* sweep = out->add_sweeps();
      edge_->RenderSweep(controller, *it->second, sweep);
      bytes += sweep->ByteSizeLong();
      if (bytes > kReplyBytesMax && out->sweeps_size() > 1) {
        out->mutable_sweeps()->RemoveLast();
        break;
      }
    }
    if (it != sweeps.rend() && out->sweeps_size() > 0) {
      out->set_next_page_token(EncodePageToken(key, {std::prev(it)->first.value, 0}));
    }
    reply->Ok();
  });
}

grpc::ServerWriteReactor<v1::WatchSweepResponse>* SweepServiceImpl::WatchSweep(grpc::CallbackServerContext*,
                                                                               const v1::WatchSweepRequest* request) {
  return watches_->Open(edge_, *request);
}

template <typename Make>
grpc::ServerUnaryReactor* SweepServiceImpl::Change(grpc::CallbackServerContext* context, const std::string& id,
                                                   const Make& make, v1::Sweep* response) {
  return edge_->CommandSweep(
      context, id, response, make, [this](const Reply& answer, const Controller& controller, const auto& reply) {
        const Sweep* sweep = controller.state().FindSweep(answer.sweep);
        if (sweep == nullptr) return reply->Finish(NotFound("the sweep was deleted meanwhile"), "SWEEP_NOT_FOUND");
        edge_->RenderSweep(controller, *sweep, reply->response());
        reply->Ok();
      });
}

grpc::ServerUnaryReactor* SweepServiceImpl::Control(grpc::CallbackServerContext* context, const std::string& id,
                                                    ControlSweep::Operation operation, v1::Sweep* response) {
  return Change(
      context, id, [operation](SweepId sweep) { return ControlSweep{sweep, operation}; }, response);
}

grpc::ServerUnaryReactor* SweepServiceImpl::UpdateSweep(grpc::CallbackServerContext* context,
                                                        const v1::UpdateSweepRequest* request, v1::Sweep* response) {
  struct UpdateSweep command;
  if (request->has_priority()) command.priority = request->priority();
  if (request->has_weight()) command.weight = request->weight();
  if (request->has_max_parallel()) command.max_parallel = request->max_parallel();
  switch (request->preemptible()) {
    case v1::SweepSpec::Share::PREEMPTIBLE_UNSPECIFIED: break;
    case v1::SweepSpec::Share::CHECKPOINT: command.preemptible = Preemptible::kCheckpoint; break;
    case v1::SweepSpec::Share::NEVER: command.preemptible = Preemptible::kNever; break;
    case v1::SweepSpec::Share::ALWAYS: command.preemptible = Preemptible::kAlways; break;
    default: {
      grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
      const std::string what = std::to_string(request->preemptible()) + " is no known value";
      UnaryReply<v1::Sweep>(reactor, response)
          .Finish(InvalidArgument("preemptible: " + what), "SWEEP_INVALID",
                  {{"preemptible", what, "set CHECKPOINT, NEVER or ALWAYS"}});
      return reactor;
    }
  }
  return Change(
      context, request->sweep(),
      [command](SweepId sweep) mutable {
        command.sweep = sweep;
        return command;
      },
      response);
}

grpc::ServerUnaryReactor* SweepServiceImpl::StopSweep(grpc::CallbackServerContext* context,
                                                      const v1::StopSweepRequest* request, v1::Sweep* response) {
  return Control(context, request->sweep(), ControlSweep::Operation::kStop, response);
}

grpc::ServerUnaryReactor* SweepServiceImpl::PauseSweep(grpc::CallbackServerContext* context,
                                                       const v1::PauseSweepRequest* request, v1::Sweep* response) {
  return Control(context, request->sweep(), ControlSweep::Operation::kPause, response);
}

grpc::ServerUnaryReactor* SweepServiceImpl::ResumeSweep(grpc::CallbackServerContext* context,
                                                        const v1::ResumeSweepRequest* request, v1::Sweep* response) {
  return Control(context, request->sweep(), ControlSweep::Operation::kResume, response);
}

grpc::ServerUnaryReactor* SweepServiceImpl::DeleteSweep(grpc::CallbackServerContext* context,
                                                        const v1::DeleteSweepRequest* request,
                                                        v1::DeleteSweepResponse* response) {
  const auto operation =
      request->force() ? ControlSweep::Operation::kForceDelete : ControlSweep::Operation::kDelete;
  return edge_->CommandSweep(
      context, request->sweep(), response,
      [operation](SweepId sweep) { return ControlSweep{sweep, operation}; },
      [](const Reply&, const Controller&, const auto& reply) { reply->Ok(); });
}

grpc::ServerUnaryReactor* SweepServiceImpl::GetImportance(grpc::CallbackServerContext* context,
                                                          const v1::GetImportanceRequest* request,
                                                          v1::GetImportanceResponse* response) {
  return edge_->ReadSweep(
      context, request->sweep(), response,
      [this, context, metric = request->metric()](const Controller&, const Sweep& sweep, const auto& reply) {
        const StatusOr<size_t> objective = ObjectiveNamed(sweep, metric);
        if (!objective.ok()) return reply->Finish(objective.status(), "METRIC_INVALID");
        // The loop gives a copy of some trials; the model is fitted elsewhere.
        auto trials = std::make_shared<const ImportanceTrials>(TrialsForImportance(sweep, *objective));
        const bool taken = edge_->insights()->Post([this, context, trials, reply] {
          if (context->IsCancelled()) return reply->Finish(grpc::Status::CANCELLED);
          if (Edge::Refuse(edge_->Admit(), reply.get())) return;
          std::string reason;
          const Status status = FillImportance(*trials, &reason, reply->response());
          reply->Finish(status, reason);
        });
        if (!taken) {
          reply->Finish(ResourceExhausted("more than " + std::to_string(kInsightsQueuedMax) +
                                          " calls of this kind wait; try again in some seconds"),
                        "TOO_MANY_READS");
        }
      });
}

}  // namespace tunesmith::rpc
