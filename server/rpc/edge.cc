#include "server/rpc/edge.h"

#include <vector>

#include "common/limits.h"
#include "common/text.h"
#include "server/rpc/convert.h"

namespace tunesmith::rpc {

const v1::SweepSpec& SpecCache::Get(const Sweep& sweep) {
  const auto it = specs_.find(sweep.number);
  if (it != specs_.end() && it->second.of == sweep.spec) return it->second.spec;
  v1::SweepSpec spec = SpecToProto(*sweep.spec);
  bytes_ += spec.ByteSizeLong();
  if (bytes_ > kSpecCacheBytesMax || specs_.size() >= kSpecsCachedMax) {
    specs_.clear();
    bytes_ = spec.ByteSizeLong();
  }
  Entry& entry = specs_[sweep.number];
  entry = {sweep.spec, std::move(spec)};
  return entry.spec;
}

Edge::Edge(Loop* loop, Journal* journal, const LogStore* logs, CheckpointStore* checkpoints)
    : loop_(loop), journal_(journal), logs_(logs), checkpoints_(checkpoints), streams_(kStreamsMax),
      side_(kReadsQueuedMax), insights_(kInsightsQueuedMax), transfers_(kReadsQueuedMax) {}

Refusal Edge::Admit() const {
  switch (phase_.load()) {
    case Phase::kStarting:
      return {Unavailable("the controller is starting and reads its journal; try again"), "CONTROLLER_STARTING"};
    case Phase::kServing:
      if (loop_->full()) return {ResourceExhausted(kDiskFullText), "DISK_FULL"};
      return {OkStatus(), ""};
    case Phase::kDraining:
      break;
  }
  return Draining();
}

Refusal Edge::Register(std::shared_ptr<LiveStream> stream) {
  const Status added = streams_.Add(std::move(stream));
  return added.ok() ? Admit() : Refusal{added, "STREAM_REFUSED"};
}

Refusal Edge::Draining() {
  return {Unavailable("the controller is shutting down; try again"), "CONTROLLER_DRAINING"};
}

Refusal Edge::Busy() {
  return {ResourceExhausted("more than " + std::to_string(kReadsQueuedMax) + " reads wait; try again later"),
          "TOO_MANY_READS"};
}

void Edge::RenderSweep(const Controller& controller, const Sweep& sweep, v1::Sweep* out) {
  FillSweep(controller, sweep, out);
  *out->mutable_spec() = specs_.Get(sweep);
}

Refusal Edge::SweepNotFound(const Controller& controller, const std::string& id) {
  if (id.empty()) return {InvalidArgument("sweep: must be the id of a sweep"), "SWEEP_MISSING"};
  // The newest ones are the likely ones, and comparing with all would take long.
  constexpr size_t kCandidatesMax = 1'000;
  std::vector<std::string> ids;
  const auto& sweeps = controller.state().sweeps();
  for (auto it = sweeps.rbegin(); it != sweeps.rend() && ids.size() < kCandidatesMax; ++it) {
    ids.push_back(it->second->id);
  }
  std::string message = "no sweep named " + id.substr(0, kNameBytesMax);
  const std::string closest = ClosestWord(id, ids);
  if (!closest.empty()) message += "; did you mean " + closest + "?";
  return {NotFound(message), "SWEEP_NOT_FOUND"};
}

Refusal Edge::TrialNotFound(const Sweep& sweep, uint32_t number) {
  const std::string range = sweep.trials.empty() ? "it has none yet"
                                                 : "it has 0 to " + std::to_string(sweep.trials.size() - 1);
  return {NotFound("sweep " + sweep.id + " has no trial " + std::to_string(number) + "; " + range),
          "TRIAL_NOT_FOUND"};
}

SweepId Edge::Cached(const std::string& id) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto it = numbers_.find(id);
  return it == numbers_.end() ? SweepId() : it->second;
}

void Edge::Remember(const std::string& id, SweepId sweep) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (numbers_.size() >= kSweepsActiveMax) numbers_.clear();
  numbers_[id] = sweep;
}

void Edge::Run(std::shared_ptr<SweepCommand> command) {
  if (const SweepId sweep = Cached(command->id)) return Post(std::move(command), sweep);
  const bool taken = loop_->Read([this, command](const Controller& controller, Time) {
    const Sweep* sweep = controller.state().FindSweep(command->id);
    if (sweep == nullptr) return command->refuse(SweepNotFound(controller, command->id), {});
    Remember(command->id, sweep->number);
    Post(command, sweep->number);
  });
  if (!taken) command->refuse(Draining(), {});
}

void Edge::Post(std::shared_ptr<SweepCommand> command, SweepId number) {
  Command made = command->make(number);
  loop_->Post(std::move(made), [this, command, number](const Reply& answer, const Controller& controller) {
    if (answer.status.ok()) return command->render(answer, controller);
    if (answer.reason != "SWEEP_NOT_FOUND") {
      return command->refuse({answer.status, answer.reason}, answer.problems);
    }
    const Sweep* sweep = controller.state().FindSweep(command->id);
    if (sweep == nullptr || sweep->number == number) {
      return command->refuse(SweepNotFound(controller, command->id), {});
    }
    Remember(command->id, sweep->number);
    Post(command, sweep->number);
  });
}

}  // namespace tunesmith::rpc
