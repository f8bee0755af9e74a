#include "server/rpc/worker_admin_service.h"

#include <utility>
#include <vector>

#include "common/limits.h"
#include "common/text.h"
#include "server/rpc/convert.h"

namespace tunesmith::rpc {

// Names are registered for ever; those that were only seen by an earlier run of the controller and that nobody has
// drained are left out.
grpc::ServerUnaryReactor* WorkerAdminServiceImpl::ListWorkers(grpc::CallbackServerContext* context,
                                                              const v1::ListWorkersRequest*,
                                                              v1::ListWorkersResponse* response) {
  return edge_->Read(context, response, [](const Controller& controller, const auto& reply) {
    size_t bytes = 0;
    for (const auto& [id, identity] : controller.state().workers()) {
      if (controller.live_workers().count(id) == 0 && !identity.drained && !identity.quarantined) continue;
      v1::Worker* worker = reply->response()->add_workers();
      FillWorker(controller, id, worker);
      bytes += worker->ByteSizeLong();
      if (bytes > kReplyBytesMax) break;
    }
    reply->Ok();
  });
}

grpc::ServerUnaryReactor* WorkerAdminServiceImpl::Drain(grpc::CallbackServerContext* context,
                                                          tunesmith::DrainWorker command, v1::Worker* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  auto reply = std::make_shared<UnaryReply<v1::Worker>>(reactor, response);
  if (Edge::Refuse(edge_->Admit(), reply.get())) return reactor;
  const std::string name = command.worker;
  edge_->loop()->Post(std::move(command), [reply, name](const Reply& answer, const Controller& controller) {
    if (answer.status.ok()) {
      FillWorker(controller, answer.worker, reply->response());
      return reply->Ok();
    }
    if (answer.reason != "WORKER_NOT_FOUND") return reply->Finish(answer.status, answer.reason, answer.problems);
    std::vector<std::string> names;
    for (const auto& [id, identity] : controller.state().workers()) names.push_back(identity.name);
    const std::string closest = ClosestWord(name, names);
    reply->Finish(closest.empty() ? answer.status
                                  : NotFound(Message(answer.status) + "; did you mean " + closest + "?"),
                  answer.reason);
  });
  return reactor;
}

grpc::ServerUnaryReactor* WorkerAdminServiceImpl::DrainWorker(grpc::CallbackServerContext* context,
                                                              const v1::DrainWorkerRequest* request,
                                                              v1::Worker* response) {
  return Drain(context, {request->worker(), true, request->stop_running()}, response);
}

grpc::ServerUnaryReactor* WorkerAdminServiceImpl::UndrainWorker(grpc::CallbackServerContext* context,
                                                                const v1::UndrainWorkerRequest* request,
                                                                v1::Worker* response) {
  return Drain(context, {request->worker(), false, false}, response);
}

}  // namespace tunesmith::rpc
