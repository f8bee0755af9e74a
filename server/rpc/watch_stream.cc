#include "server/rpc/watch_stream.h"

#include <algorithm>
#include <utility>

#include "common/limits.h"
#include "common/rng.h"
#include "server/rpc/convert.h"

namespace tunesmith::rpc {
namespace {

constexpr size_t kMessagesQueuedMax = 4;  // a watcher makes one when the one before is written
constexpr Duration kIntervalDefault{100};
constexpr Duration kIntervalMax{60'000};

// Changes when a worker comes, goes or changes, or when what runs on one does.
uint64_t Fingerprint(const Controller& controller) {
  uint64_t hash = Mix64(controller.topology());
  for (const auto& [id, worker] : controller.live_workers()) {
    hash = Mix64(hash ^ Mix64(id.value) ^ static_cast<uint64_t>(worker.cpus_used));
    for (const auto& [attempt, sequence] : worker.attempts) {
      hash = Mix64(hash ^ attempt.trial.sweep.value ^ uint64_t{attempt.trial.number} << 32U ^ attempt.number);
    }
  }
  for (const auto& [id, identity] : controller.state().workers()) {
    hash = Mix64(hash ^ (identity.drained ? 1U : 0U) ^ (identity.quarantined ? 2U : 0U));
  }
  return hash;
}

}  // namespace

WatchStream::WatchStream(Edge* edge, SweepId sweep, Duration interval)
    : WriterStream(edge->streams(), kMessagesQueuedMax), edge_(edge), sweep_(sweep), interval_(interval) {}

// The loop may be idle: a turn of it calls Observe. The stream may be over by then, so nothing of it is kept.
void WatchStream::OnDrained() { edge_->loop()->Read([](const Controller&, Time) {}); }

std::optional<Time> WatchStream::Observe(const Controller& controller, Time now) {
  if (outbox().closed()) return std::nullopt;
  const Sweep* sweep = controller.state().FindSweep(sweep_);
  if (sweep == nullptr) {
    Close(NotFound("the sweep was deleted"), "SWEEP_NOT_FOUND");
    return std::nullopt;
  }
  if (!in_hand_) {
    const bool same = seen_revision_ == controller.state().revision() && seen_topology_ == controller.topology();
    if (started_ && same) return kTimeNever;
    if (now < due_) return due_;
  }
  if (!outbox().ReadyOrNotify()) return kTimeNever;
  v1::WatchSweepResponse message;
  if (!in_hand_ && !Begin(controller, *sweep, &message)) {
    due_ = now + interval_;
    return kTimeNever;
  }
  in_hand_ = AddTrials(controller.state(), *sweep, &message);
  if (snapshot_ && !in_hand_) message.set_snapshot_complete(true);
  outbox().Push(std::move(message));
  if (in_hand_) return outbox().ReadyOrNotify() ? now : kTimeNever;
  snapshot_ = false;
  todo_.clear();
  due_ = now + interval_;
  if (!IsTerminal(sweep->state) || sweep->revision != cursor_) return due_;
  outbox().CloseAfterQueue(grpc::Status::OK);
  return std::nullopt;
}

bool WatchStream::Begin(const Controller& controller, const Sweep& sweep, v1::WatchSweepResponse* message) {
  seen_revision_ = controller.state().revision();
  seen_topology_ = controller.topology();
  const uint64_t workers = Fingerprint(controller);
  const bool workers_changed = !started_ || workers != workers_sent_;
  if (started_ && sweep.revision == cursor_ && !workers_changed) return false;
  snapshot_ = !started_ || cursor_ < sweep.changes_floor;
  next_ = 0;
  if (snapshot_) {
    message->set_snapshot(true);
    end_ = sweep.trials.size();
  } else {
    auto change = std::upper_bound(sweep.changes.begin(), sweep.changes.end(), cursor_,
                                   [](uint64_t revision, const auto& entry) { return revision < entry.first; });
    for (; change != sweep.changes.end(); ++change) todo_.push_back(change->second);
    std::sort(todo_.begin(), todo_.end());
    todo_.erase(std::unique(todo_.begin(), todo_.end()), todo_.end());
    end_ = todo_.size();
  }
  started_ = true;
  cursor_ = sweep.revision;
  edge_->RenderSweep(controller, sweep, message->mutable_sweep());
  if (workers_changed || snapshot_) {
    workers_sent_ = workers;
    for (const auto& [id, worker] : controller.live_workers()) FillWorker(controller, id, message->add_workers());
  }
  return true;
}

bool WatchStream::AddTrials(const State& state, const Sweep& sweep, v1::WatchSweepResponse* message) {
  size_t bytes = message->ByteSizeLong();  // the sweep may be large
  for (; next_ < end_ && bytes < kStreamChunkBytes; ++next_) {
    v1::Trial* trial = message->add_trials();
    FillTrial(state, sweep, snapshot_ ? static_cast<uint32_t>(next_) : todo_[next_], Attempts::kLast, trial);
    bytes += trial->ByteSizeLong();
  }
  return next_ < end_;
}

grpc::ServerWriteReactor<v1::WatchSweepResponse>* WatchHub::Open(Edge* edge, const v1::WatchSweepRequest& request) {
  const auto& asked = request.min_interval();
  const Duration interval = request.has_min_interval()
                                ? Duration{std::clamp<int64_t>(asked.seconds(), -1, kIntervalMax.ms) * 1000 +
                                           asked.nanos() / 1'000'000}
                                : kIntervalDefault;
  auto stream = std::make_shared<WatchStream>(edge, SweepId(), interval);
  WatchStream* reactor = stream.get();
  if (const Refusal refusal = edge->Register(stream); !refusal.status.ok()) {
    stream->Close(refusal.status, refusal.reason);
  } else if (interval > kIntervalMax || interval < Duration{0}) {
    stream->Close(InvalidArgument("min_interval: must be 0 to 60 s"), "MIN_INTERVAL_INVALID");
  } else {
    const bool taken = edge->loop()->Read([this, stream, id = request.sweep()](const Controller& controller, Time) {
      const Sweep* sweep = controller.state().FindSweep(id);
      if (sweep == nullptr) {
        const Refusal missing = Edge::SweepNotFound(controller, id);
        return stream->Close(missing.status, missing.reason);
      }
      stream->set_sweep(sweep->number);
      watchers_.push_back(stream);
    });
    if (!taken) stream->Close(Edge::Draining().status, Edge::Draining().reason);
  }
  return reactor;
}

Time WatchHub::Observe(const Controller& controller, Time now) {
  Time next = kTimeNever;
  size_t kept = 0;
  for (size_t i = 0; i < watchers_.size(); ++i) {
    const std::optional<Time> again = watchers_[i]->Observe(controller, now);
    if (!again) continue;
    next = std::min(next, *again);
    if (kept != i) watchers_[kept] = std::move(watchers_[i]);
    ++kept;
  }
  watchers_.resize(kept);
  return next;
}

}  // namespace tunesmith::rpc
