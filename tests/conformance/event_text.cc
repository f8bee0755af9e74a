#include "tests/conformance/event_text.h"

#include <cstdio>

namespace tunesmith {

namespace {

std::string Text(uint64_t x) { return std::to_string(x); }
std::string Text(const std::string& text) { return '"' + text + '"'; }

// Exact, NaN included.
std::string Text(double x) {
  if (x != x) return "nan";
  char buffer[40];
  std::snprintf(buffer, sizeof buffer, "%a", x);
  return buffer;
}

std::string Text(Time time) { return "@" + std::to_string(time.ms); }
std::string Text(const TrialId& id) { return Text(id.sweep.value) + "/" + Text(uint64_t{id.number}); }
std::string Text(const AttemptId& id) { return Text(id.trial) + "#" + Text(uint64_t{id.number}); }

std::string Text(const Point& point) {
  std::string text = "[";
  // The alternative counts: 1 and 1.0 are handed to programs as different words.
  for (const Value& value : point) text += Text(uint64_t{value.index()}) + ":" + ValueJson(value) + " ";
  return text + "]";
}

// A verdict's zeros have no sign: a journal may leave out a verdict that equals Verdict{}.
std::string Text(const Verdict& v) {
  return "verdict(" + Text(static_cast<uint64_t>(v.action)) + " " + ReasonName(v.reason) + " " +
         std::to_string(v.bracket) + " " + Text(v.milestone) + " " + Text(uint64_t{v.recorded}) + " " +
         Text(v.value + 0.0) + " " + Text(v.cutoff + 0.0) + " " + Text(uint64_t{v.has_cutoff}) + " " +
         Text(uint64_t{v.rank}) + " " + Text(uint64_t{v.peers}) + ")";
}

std::string Text(const AttemptExit& e) {
  return "exit(" + (e.exit_code ? std::to_string(*e.exit_code) : "-") + " " + std::to_string(e.signal) + " " +
         Text(uint64_t{e.out_of_memory}) + Text(uint64_t{e.start_failed}) + Text(uint64_t{e.stop_requested}) +
         Text(uint64_t{e.lost}) + " " + Text(e.reason) + ")";
}

struct Describer {
  std::string operator()(const SweepCreated& e) const {
    return "sweep_created " + Text(e.sweep.value) + " " + Text(e.id) + " " + Text(e.request_id) + " " + Text(e.seed) +
           " " + Text(e.time) + " " + SweepSpecToJson(e.spec);
  }
  std::string operator()(const SweepChanged& e) const {
    return "sweep_changed " + Text(e.sweep.value) + " " + Name(e.state) + " " + Name(e.becomes) + " " +
           Text(e.reason) + " " + Text(uint64_t{e.delete_when_ended}) + " " + Text(e.time);
  }
  std::string operator()(const SweepUpdated& e) const {
    return "sweep_updated " + Text(e.sweep.value) + " " + std::to_string(e.share.priority) + " " +
           Text(e.share.weight) + " " + PreemptibleName(e.share.preemptible) + " " + std::to_string(e.max_parallel) +
           " " + Text(e.time);
  }
  std::string operator()(const SweepDeleted& e) const {
    return "sweep_deleted " + Text(e.sweep.value) + " " + Text(e.last_epoch.value);
  }
  std::string operator()(const SpaceExhausted& e) const { return "space_exhausted " + Text(e.sweep.value); }
  std::string operator()(const TrialCreated& e) const {
    return "trial_created " + Text(e.trial) + " " + Text(e.point) + " " + std::to_string(e.bracket) + " " +
           Text(uint64_t{e.from_user}) + " " + Text(e.time) + " " + Name(e.origin.kind) + " " + Name(e.origin.judge) +
           " " + Text(e.origin.predicted) + " " + Text(uint64_t{e.origin.rank}) + "/" + Text(uint64_t{e.origin.of}) +
           " " + (e.repeat_of ? Text(uint64_t{*e.repeat_of}) : "-");
  }
  std::string operator()(const AttemptLeased& e) const {
    std::string text = "attempt_leased " + Text(e.attempt) + " epoch " + Text(e.epoch.value) + " worker " +
                       Text(e.worker.value) + " " + Text(e.client) + " " + std::to_string(e.lease_ms) + " " +
                       std::to_string(e.cpus) + " " + Text(e.gpus) + " " + Text(e.time);
    for (const std::string& device : e.devices) text += " " + Text(device);
    return text;
  }
  std::string operator()(const AttemptRunning& e) const {
    return "attempt_running " + Text(e.attempt) + " " + Text(e.sequence) + " " + Text(e.time);
  }
  std::string operator()(const MetricNamed& e) const {
    return "metric_named " + Text(e.sweep.value) + " " + Text(uint64_t{e.slot}) + " " + Text(e.name);
  }
  std::string operator()(const Measured& e) const {
    std::string text = "measured " + Text(e.attempt) + " " + Text(e.sequence) + " step " + std::to_string(e.step) +
                       " " + Text(e.time) + " " + Text(e.checkpoint) + " " + Text(e.verdict);
    for (const SlotValue& metric : e.metrics) text += " " + Text(uint64_t{metric.slot}) + "=" + Text(metric.value);
    return text;
  }
  std::string operator()(const PausedJudged& e) const {
    return "paused_judged " + Text(e.trial) + " " + Text(e.verdict) + " " + Text(e.time);
  }
  std::string operator()(const TrialStopping& e) const {
    return "trial_stopping " + Text(e.trial) + " " + Text(e.reason) + " " + Text(e.time) + " " +
           Text(uint64_t{e.preempts});
  }
  std::string operator()(const AttemptEnded& e) const {
    return "attempt_ended " + Text(e.attempt) + " " + Text(e.sequence) + " " + Name(e.state) + " " + Text(e.exit) +
           " " + Text(uint64_t{e.requeue}) + " " + Text(e.time);
  }
  std::string operator()(const TrialEnded& e) const {
    return "trial_ended " + Text(e.trial) + " " + Name(e.state) + " " + Text(e.reason) + " " +
           Text(e.final_verdict) + " " + Text(e.time);
  }
  std::string operator()(const WarmStarted& e) const {
    return "warm_started " + Text(e.sweep.value) + " " + Text(e.from) + " " + Text(uint64_t{e.trial}) + " " +
           Text(e.point) + " " + Text(e.value);
  }
  std::string operator()(const CheckpointStored& e) const {
    const StoredCheckpoint& c = e.checkpoint;
    return "checkpoint_stored " + Text(e.trial) + " #" + Text(uint64_t{c.attempt}) + " step " +
           std::to_string(c.step) + " " + Text(c.name) + " " + std::to_string(c.bytes) + " " + Text(c.sha256) + " " +
           Text(e.time);
  }
  std::string operator()(const CheckpointDropped& e) const {
    return "checkpoint_dropped " + Text(e.trial) + " #" + Text(uint64_t{e.attempt}) + " step " +
           std::to_string(e.step);
  }
  std::string operator()(const TrialExploited& e) const {
    return "trial_exploited " + Text(e.trial) + " donor " + Text(uint64_t{e.donor}) + " #" +
           Text(uint64_t{e.from.attempt}) + " step " + std::to_string(e.from.step) + " " + Text(e.from.name) + " " +
           std::to_string(e.from.bytes) + " " + Text(e.from.sha256) + " " + Text(e.point) + " " + Text(e.verdict) +
           " " + Text(e.time);
  }
  std::string operator()(const WorkerRegistered& e) const {
    return "worker_registered " + Text(e.worker.value) + " " + Text(e.name);
  }
  std::string operator()(const WorkerDrained& e) const {
    return "worker_drained " + Text(e.worker.value) + " " + Text(uint64_t{e.drained}) + Text(uint64_t{e.quarantine}) +
           " " + Text(e.reason);
  }
};

}  // namespace

std::string EventText(const Event& event) { return std::visit(Describer{}, event); }

}  // namespace tunesmith
