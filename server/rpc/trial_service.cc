#include "server/rpc/trial_service.h"

#include <algorithm>
#include <optional>

#include "common/limits.h"
#include "server/rpc/convert.h"
#include "server/rpc/log_stream.h"
#include "server/rpc/trial_lists.h"

namespace tunesmith::rpc {
namespace {

// Answers with the trial as it is after a command.
auto RenderTrial(uint32_t number, std::string id) {
  return [number, id = std::move(id)](const Reply&, const Controller& controller, const auto& reply) {
    const Sweep* sweep = controller.state().FindSweep(id);
    if (sweep == nullptr || sweep->Find(number) == nullptr) {
      return reply->Finish(NotFound("the sweep was deleted meanwhile"), "SWEEP_NOT_FOUND");
    }
    FillTrial(controller.state(), *sweep, number, Attempts::kAll, reply->response());
    reply->Ok();
  };
}

grpc::ServerUnaryReactor* RefuseAtOnce(grpc::CallbackServerContext* context, const Status& status,
                                       const std::string& reason) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(status, reason));
  return reactor;
}

// What a page of measurements is made of, taken on the loop thread for the side thread.
struct MeasurementList {
  SweepId sweep;
  std::shared_ptr<const SweepSpec> spec;
  std::vector<std::string> metric_names;
  std::optional<uint32_t> trial;
  uint64_t after = 0;
  size_t limit = 0;
  uint64_t list_key = 0;
};

void ReadMeasurementPage(Journal* journal, const MeasurementList& list,
                         UnaryReply<v1::ListMeasurementsResponse>* reply) {
  // One more than asked for tells whether there is a next page.
  const auto rows = journal->ReadMeasurements(list.sweep, list.trial, list.after, list.limit + 1);
  if (!rows.ok()) return reply->Finish(rows.status(), "JOURNAL_UNREADABLE");
  v1::ListMeasurementsResponse* out = reply->response();
  size_t bytes = 0;
  size_t added = 0;
  for (; added < rows->size() && added < list.limit; ++added) {
    v1::Measurement* one = out->add_measurements();
    FillMeasurement((*rows)[added], list.metric_names, *list.spec, one);
    bytes += one->ByteSizeLong();
    if (bytes > kReplyBytesMax && added > 0) {
      out->mutable_measurements()->RemoveLast();
      break;
    }
  }
  if (added < rows->size()) out->set_next_page_token(EncodePageToken(list.list_key, {(*rows)[added - 1].position, 0}));
  reply->Ok();
}

}  // namespace

grpc::ServerUnaryReactor* TrialServiceImpl::GetTrial(grpc::CallbackServerContext* context,
                                                     const v1::GetTrialRequest* request, v1::Trial* response) {
  return edge_->ReadSweep(
      context, request->sweep(), response,
      [number = request->trial()](const Controller& controller, const Sweep& sweep, const auto& reply) {
        if (sweep.Find(number) == nullptr) {
          Edge::Refuse(Edge::TrialNotFound(sweep, number), reply.get());
          return;
        }
        FillTrial(controller.state(), sweep, number, Attempts::kAll, reply->response());
        for (std::string& fact : controller.WhyTrial(sweep, number)) reply->response()->add_why(std::move(fact));
        reply->Ok();
      });
}

grpc::ServerUnaryReactor* TrialServiceImpl::ListTrials(grpc::CallbackServerContext* context,
                                                       const v1::ListTrialsRequest* request,
                                                       v1::ListTrialsResponse* response) {
  std::string reason;
  const StatusOr<TrialPage> page = TrialPageOf(*request, &reason);
  if (!page.ok()) return RefuseAtOnce(context, page.status(), reason);
  return edge_->ReadSweep(context, request->sweep(), response,
                          [page = *page](const Controller& controller, const Sweep& sweep, const auto& reply) {
                            FillTrialPage(controller.state(), sweep, page, reply->response());
                            reply->Ok();
                          });
}

grpc::ServerUnaryReactor* TrialServiceImpl::ListMeasurements(grpc::CallbackServerContext* context,
                                                             const v1::ListMeasurementsRequest* request,
                                                             v1::ListMeasurementsResponse* response) {
  const StatusOr<size_t> limit = PageSize(request->page_size());
  if (!limit.ok()) return RefuseAtOnce(context, limit.status(), "PAGE_SIZE_INVALID");
  std::optional<uint32_t> trial;
  if (request->has_trial()) trial = request->trial();
  return edge_->ReadSweep(
      context, request->sweep(), response,
      [this, trial, limit = *limit, token = request->page_token()](const Controller&, const Sweep& sweep,
                                                                   const auto& reply) {
        if (trial && sweep.Find(*trial) == nullptr) {
          Edge::Refuse(Edge::TrialNotFound(sweep, *trial), reply.get());
          return;
        }
        constexpr uint64_t kKind = 3;
        MeasurementList list;
        list.list_key = ListKey({kKind, sweep.number.value, trial ? uint64_t{*trial} + 1 : 0});
        bool present = false;
        const StatusOr<PagePosition> after = DecodePageToken(token, list.list_key, &present);
        if (!after.ok()) return reply->Finish(after.status(), "PAGE_TOKEN_INVALID");
        list.sweep = sweep.number;
        list.spec = sweep.spec;
        list.metric_names = sweep.metric_names;
        list.trial = trial;
        list.after = after->major;
        list.limit = limit;
        const bool taken = edge_->side()->Post([journal = edge_->journal(), list = std::move(list), reply] {
          ReadMeasurementPage(journal, list, reply.get());
        });
        if (!taken) Edge::Refuse(Edge::Busy(), reply.get());
      });
}

grpc::ServerWriteReactor<v1::ReadLogsResponse>* TrialServiceImpl::ReadLogs(grpc::CallbackServerContext*,
                                                                           const v1::ReadLogsRequest* request) {
  return LogStream::Open(edge_, *request);
}

grpc::ServerUnaryReactor* TrialServiceImpl::StopTrial(grpc::CallbackServerContext* context,
                                                      const v1::StopTrialRequest* request, v1::Trial* response) {
  const uint32_t number = request->trial();
  return edge_->CommandSweep(
      context, request->sweep(), response,
      [number](SweepId sweep) { return tunesmith::StopTrial{{sweep, number}}; },
      RenderTrial(number, request->sweep()));
}

grpc::ServerUnaryReactor* TrialServiceImpl::AskTrials(grpc::CallbackServerContext* context,
                                                      const v1::AskTrialsRequest* request,
                                                      v1::AskTrialsResponse* response) {
  tunesmith::AskTrials command;
  command.client_id = request->client_id();
  command.count = request->count() == 0 ? 1 : request->count();
  if (request->has_lease()) {
    constexpr int64_t kSecondsMax = INT64_MAX / 2000;
    command.lease_ms = std::clamp(request->lease().seconds(), -kSecondsMax, kSecondsMax) * 1000 +
                       request->lease().nanos() / 1'000'000;
  }
  return edge_->CommandSweep(
      context, request->sweep(), response,
      [command](SweepId sweep) {
        tunesmith::AskTrials made = command;
        made.sweep = sweep;
        return made;
      },
      [](const Reply& answer, const Controller& controller, const auto& reply) {
        v1::AskTrialsResponse* out = reply->response();
        for (const AttemptRef& ref : answer.asked) {
          const Sweep* sweep = controller.state().FindSweep(ref.attempt.trial.sweep);
          if (sweep == nullptr || sweep->Find(ref.attempt.trial.number) == nullptr) continue;
          v1::AskTrialsResponse::Asked* asked = out->add_trials();
          FillTrial(controller.state(), *sweep, ref.attempt.trial.number, Attempts::kLast, asked->mutable_trial());
          asked->set_attempt(ref.attempt.number);
          asked->set_lease_epoch(ref.epoch.value);
        }
        out->set_no_trial_reason(answer.text);
        out->set_finished(answer.finished);
        reply->Ok();
      });
}

grpc::ServerUnaryReactor* TrialServiceImpl::ReportTrial(grpc::CallbackServerContext* context,
                                                        const v1::ReportTrialRequest* request,
                                                        v1::Verdict* response) {
  tunesmith::ReportTrial command;
  command.trial.number = request->trial();
  command.epoch = LeaseEpoch(request->lease_epoch());
  command.sequence = request->sequence();
  command.step = request->step();
  if (command.step < 0) {
    return RefuseAtOnce(context, InvalidArgument("step: must be 1 or more, or 0 for the last one plus 1"),
                        "REPORT_INVALID");
  }
  if (const Status status = MetricsFromProto(request->metrics(), &command.metrics); !status.ok()) {
    return RefuseAtOnce(context, status, "REPORT_INVALID");
  }
  return edge_->CommandSweep(
      context, request->sweep(), response,
      [command = std::move(command)](SweepId sweep) {
        tunesmith::ReportTrial made = command;
        made.trial.sweep = sweep;
        return made;
      },
      [](const Reply& answer, const Controller&, const auto& reply) {
        FillVerdict(answer.verdict, answer.text, reply->response());
        reply->Ok();
      });
}

grpc::ServerUnaryReactor* TrialServiceImpl::RenewTrial(grpc::CallbackServerContext* context,
                                                       const v1::RenewTrialRequest* request,
                                                       v1::RenewTrialResponse* response) {
  const uint32_t number = request->trial();
  const LeaseEpoch epoch(request->lease_epoch());
  return edge_->CommandSweep(
      context, request->sweep(), response,
      [number, epoch](SweepId sweep) { return tunesmith::RenewTrial{{sweep, number}, epoch}; },
      [](const Reply& answer, const Controller&, const auto& reply) {
        reply->response()->set_stop(answer.stop);
        reply->response()->set_reason(answer.text);
        reply->Ok();
      });
}

grpc::ServerUnaryReactor* TrialServiceImpl::CompleteTrial(grpc::CallbackServerContext* context,
                                                          const v1::CompleteTrialRequest* request,
                                                          v1::Trial* response) {
  constexpr size_t kFailureBytesMax = 2'000;
  if (request->failure().size() > kFailureBytesMax) {
    return RefuseAtOnce(context, InvalidArgument("failure: must have at most " + std::to_string(kFailureBytesMax) +
                                                 " bytes"),
                        "COMPLETE_INVALID");
  }
  tunesmith::CompleteTrial command;
  command.trial.number = request->trial();
  command.epoch = LeaseEpoch(request->lease_epoch());
  command.failure = request->failure();
  return edge_->CommandSweep(
      context, request->sweep(), response,
      [command](SweepId sweep) {
        tunesmith::CompleteTrial made = command;
        made.trial.sweep = sweep;
        return made;
      },
      RenderTrial(request->trial(), request->sweep()));
}

}  // namespace tunesmith::rpc
