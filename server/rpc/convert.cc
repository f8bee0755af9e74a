#include "server/rpc/convert.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "common/check.h"
#include "common/limits.h"
#include "common/text.h"
#include "schedulers/scheduler.h"
#include "server/core/repeats.h"
#include "spec/wire.h"

namespace tunesmith::rpc {
namespace {

v1::Sweep::State SweepStateToProto(SweepState state) {
  switch (state) {
    case SweepState::kActive: return v1::Sweep::ACTIVE;
    case SweepState::kPaused: return v1::Sweep::PAUSED;
    case SweepState::kStopping: return v1::Sweep::STOPPING;
    case SweepState::kSucceeded: return v1::Sweep::SUCCEEDED;
    case SweepState::kFailed: return v1::Sweep::FAILED;
    case SweepState::kCancelled: return v1::Sweep::CANCELLED;
  }
  return v1::Sweep::STATE_UNSPECIFIED;
}

v1::Trial::State TrialStateToProto(TrialState state) {
  switch (state) {
    case TrialState::kPending: return v1::Trial::PENDING;
    case TrialState::kRunning: return v1::Trial::RUNNING;
    case TrialState::kPaused: return v1::Trial::PAUSED;
    case TrialState::kStopping: return v1::Trial::STOPPING;
    case TrialState::kCompleted: return v1::Trial::COMPLETED;
    case TrialState::kStopped: return v1::Trial::STOPPED;
    case TrialState::kFailed: return v1::Trial::FAILED;
    case TrialState::kCancelled: return v1::Trial::CANCELLED;
  }
  return v1::Trial::STATE_UNSPECIFIED;
}

v1::Attempt::State AttemptStateToProto(AttemptState state) {
  switch (state) {
    case AttemptState::kStarting: return v1::Attempt::STARTING;
    case AttemptState::kRunning: return v1::Attempt::RUNNING;
    case AttemptState::kStopping: return v1::Attempt::STOPPING;
    case AttemptState::kSucceeded: return v1::Attempt::SUCCEEDED;
    case AttemptState::kFailed: return v1::Attempt::FAILED;
    case AttemptState::kLost: return v1::Attempt::LOST;
    case AttemptState::kCancelled: return v1::Attempt::CANCELLED;
    case AttemptState::kPreempted: return v1::Attempt::PREEMPTED;
  }
  return v1::Attempt::STATE_UNSPECIFIED;
}

v1::Verdict::Action ActionToProto(Action action) {
  switch (action) {
    case Action::kContinue: return v1::Verdict::CONTINUE;
    case Action::kStop: return v1::Verdict::STOP;
    case Action::kPause: return v1::Verdict::PAUSE;
  }
  return v1::Verdict::ACTION_UNSPECIFIED;
}

v1::Device::State DeviceStateToProto(DeviceState state) {
  switch (state) {
    case DeviceState::kReady: return v1::Device::READY;
    case DeviceState::kReturning: return v1::Device::RETURNING;
    case DeviceState::kQuarantined: return v1::Device::QUARANTINED;
  }
  return v1::Device::STATE_UNSPECIFIED;
}

v1::ProgramSpec::ArgStyle ArgStyleToProto(ArgStyle style) {
  switch (style) {
    case ArgStyle::kGnu: return v1::ProgramSpec::GNU;
    case ArgStyle::kSpaced: return v1::ProgramSpec::SPACED;
    case ArgStyle::kHydra: return v1::ProgramSpec::HYDRA;
    case ArgStyle::kSingleDash: return v1::ProgramSpec::SINGLE_DASH;
    case ArgStyle::kNone: return v1::ProgramSpec::NONE;
  }
  return v1::ProgramSpec::ARG_STYLE_UNSPECIFIED;
}

v1::CollectRule::Kind CollectKindToProto(CollectRule::Kind kind) {
  switch (kind) {
    case CollectRule::Kind::kAuto: return v1::CollectRule::AUTO;
    case CollectRule::Kind::kJson: return v1::CollectRule::JSON;
    case CollectRule::Kind::kRegex: return v1::CollectRule::REGEX;
  }
  return v1::CollectRule::KIND_UNSPECIFIED;
}

void FillNamedValue(const std::string& name, const Value& value, v1::NamedValue* out) {
  out->set_name(name);
  FillValue(value, out->mutable_value());
}

void FillMetrics(const std::vector<SlotValue>& metrics, const std::vector<std::string>& names,
                 google::protobuf::RepeatedPtrField<v1::MetricValue>* out) {
  out->Reserve(static_cast<int>(metrics.size()));
  for (const SlotValue& metric : metrics) {
    if (metric.slot >= names.size()) continue;  // named after the names were read; the next read has it
    v1::MetricValue* one = out->Add();
    one->set_name(names[metric.slot]);
    one->set_value(metric.value);
  }
}

void FillAttempt(const State& state, const Attempt& attempt, uint32_t number, v1::Attempt* out) {
  out->set_number(number);
  out->set_state(AttemptStateToProto(attempt.state));
  out->set_lease_epoch(attempt.epoch.value);
  if (attempt.worker) {
    const auto worker = state.workers().find(attempt.worker);
    if (worker != state.workers().end()) out->set_worker(worker->second.name);
  } else {
    out->set_worker(attempt.client);
  }
  for (const std::string& device : attempt.devices) out->add_devices(device);
  FillTime(attempt.start, out->mutable_start_time());
  if (IsTerminal(attempt.state)) FillTime(attempt.end, out->mutable_end_time());
  if (attempt.exit == nullptr) {
    if (attempt.state == AttemptState::kSucceeded && attempt.worker) out->set_exit_code(0);
    return;
  }
  if (attempt.exit->exit_code) out->set_exit_code(*attempt.exit->exit_code);
  out->set_signal(attempt.exit->signal);
  out->set_out_of_memory(attempt.exit->out_of_memory);
  out->set_reason(attempt.exit->reason);
}

v1::Origin::Kind OriginKindToProto(Origin::Kind kind) {
  switch (kind) {
    case Origin::Kind::kUnknown: return v1::Origin::KIND_UNSPECIFIED;
    case Origin::Kind::kUser: return v1::Origin::USER;
    case Origin::Kind::kStart: return v1::Origin::START;
    case Origin::Kind::kPrior: return v1::Origin::PRIOR;
    case Origin::Kind::kModel: return v1::Origin::MODEL;
    case Origin::Kind::kGrid: return v1::Origin::GRID;
    case Origin::Kind::kRepeat: return v1::Origin::REPEAT;
  }
  return v1::Origin::KIND_UNSPECIFIED;
}

v1::Origin::Judge JudgeToProto(Origin::Judge judge) {
  switch (judge) {
    case Origin::Judge::kNone: return v1::Origin::JUDGE_UNSPECIFIED;
    case Origin::Judge::kTpe: return v1::Origin::TPE;
    case Origin::Judge::kGp: return v1::Origin::GP;
    case Origin::Judge::kForest: return v1::Origin::FOREST;
    case Origin::Judge::kCmaes: return v1::Origin::CMAES;
  }
  return v1::Origin::JUDGE_UNSPECIFIED;
}

void FillOrigin(const Trial& trial, v1::Trial* out) {
  if (trial.origin.kind == Origin::Kind::kUnknown) return;
  v1::Origin* origin = out->mutable_origin();
  origin->set_kind(OriginKindToProto(trial.origin.kind));
  origin->set_judge(JudgeToProto(trial.origin.judge));
  if (!std::isnan(trial.origin.predicted)) origin->set_predicted(trial.origin.predicted);
  origin->set_rank(trial.origin.rank);
  origin->set_of(trial.origin.of);
  if (trial.repeat_of) origin->set_repeat_of(*trial.repeat_of);
}

// Where the trials run: as the newest placed one does.
const char* DeviceOf(const Sweep& sweep) {
  if (sweep.spec->ask_tell) return "";
  const auto word = [](const Trial& trial) { return trial.attempts.back().devices.empty() ? "cpu" : "gpu"; };
  if (!sweep.live.empty()) return word(sweep.trials[*sweep.live.rbegin()]);
  for (const Trial& trial : sweep.trials) {
    if (!trial.attempts.empty()) return word(trial);
  }
  return "";
}

}  // namespace

void FillTime(Time time, google::protobuf::Timestamp* out) {
  out->set_seconds(time.ms / 1000);
  out->set_nanos(static_cast<int32_t>(time.ms % 1000) * 1'000'000);
}

void FillValue(const Value& value, v1::ParameterValue* out) {
  struct Visitor {
    v1::ParameterValue* out;
    void operator()(std::monostate) const {}
    void operator()(bool v) const { out->set_bool_value(v); }
    void operator()(int64_t v) const { out->set_int_value(v); }
    void operator()(double v) const { out->set_double_value(v); }
    void operator()(const std::string& v) const { out->set_string_value(v); }
    void operator()(const JsonValue& v) const { out->set_json_value(v.text); }
  };
  std::visit(Visitor{out}, value);
}

void FillParameters(const SweepSpec& spec, const Point& point,
                    google::protobuf::RepeatedPtrField<v1::NamedValue>* out) {
  out->Reserve(static_cast<int>(point.size()));
  for (size_t i = 0; i < point.size() && i < spec.parameters.size(); ++i) {
    if (IsActive(point[i])) FillNamedValue(spec.parameters[i].name, point[i], out->Add());
  }
}

v1::SweepSpec SpecToProto(const SweepSpec& spec) {
  v1::SweepSpec proto;
  TS_CHECK(proto.ParseFromString(SweepSpecToWire(spec)), "a spec that we wrote can be read");
  return proto;
}

void FillSweep(const Controller& controller, const Sweep& sweep, v1::Sweep* out) {
  out->set_id(sweep.id);
  out->set_state(SweepStateToProto(sweep.state));
  out->set_state_reason(sweep.reason);
  FillTime(sweep.created, out->mutable_create_time());
  if (IsTerminal(sweep.state)) FillTime(sweep.ended, out->mutable_end_time());
  const auto count = [&](TrialState state) { return sweep.counts[static_cast<size_t>(state)]; };
  v1::Sweep::Counts* counts = out->mutable_counts();
  counts->set_pending(count(TrialState::kPending));
  counts->set_running(count(TrialState::kRunning) + count(TrialState::kStopping));
  counts->set_paused(count(TrialState::kPaused));
  counts->set_completed(count(TrialState::kCompleted));
  counts->set_stopped(count(TrialState::kStopped));
  counts->set_failed(count(TrialState::kFailed));
  counts->set_cancelled(count(TrialState::kCancelled));
  counts->set_measurements(sweep.measurements);
  counts->set_attempts_lost(sweep.attempts_lost);
  counts->set_target(sweep.target);
  if (sweep.best_trial) {
    const Trial& best = sweep.trials[*sweep.best_trial];
    out->set_best_trial(*sweep.best_trial);
    if (const auto mean = RepeatsOf(sweep) > 1 ? BestMeanOf(sweep, *sweep.best_trial) : std::nullopt) {
      out->set_best_value(mean->value);
      out->set_best_repeats(mean->of);
    } else {
      out->set_best_value(best.best_value);
      out->set_best_step(best.best_step);
    }
    FillParameters(*sweep.spec, best.point, out->mutable_best_parameters());
  }
  out->mutable_pareto_trials()->Add(sweep.pareto.begin(), sweep.pareto.end());
  for (const RungStatus& rung : sweep.scheduler->Rungs()) {
    v1::Sweep::Rung* one = out->add_rungs();
    one->set_bracket(rung.bracket);
    one->set_milestone(rung.milestone);
    one->set_recorded(rung.recorded);
    one->set_stopped(rung.stopped);
    one->set_promoted(rung.promoted);
    one->set_waiting(rung.waiting);
    if (rung.cutoff) one->set_cutoff(*rung.cutoff);
  }
  for (const std::string& name : sweep.metric_names) out->add_metric_names(name);
  for (const auto& [from, trials] : sweep.warm_started) {
    v1::Sweep::WarmStart* one = out->add_warm_start();
    one->set_sweep(from);
    one->set_trials(trials);
  }
  out->set_seed(sweep.seed);
  out->set_waiting_reason(controller.WaitingReason(sweep));
  out->set_device(DeviceOf(sweep));
  out->set_revision(sweep.revision);
}

void FillCheckpoint(const StoredCheckpoint& checkpoint, v1::Checkpoint* out) {
  out->set_attempt(checkpoint.attempt);
  out->set_step(checkpoint.step);
  out->set_name(checkpoint.name);
  out->set_bytes(checkpoint.bytes);
  out->set_sha256(checkpoint.sha256);
  if (!std::isnan(checkpoint.value)) out->set_value(checkpoint.value);
}

// Lists leave the parameters out.
void FillExploit(const SweepSpec& spec, const Exploit& exploit, bool parameters, v1::Exploit* out) {
  out->set_donor(exploit.donor);
  out->set_donor_attempt(exploit.donor_attempt);
  out->set_step(exploit.step);
  out->set_left_step(exploit.left_step);
  out->set_attempt(exploit.attempt);
  FillTime(exploit.time, out->mutable_time());
  if (!parameters) return;
  FillParameters(spec, exploit.donor_point, out->mutable_donor_parameters());
  FillParameters(spec, exploit.point, out->mutable_parameters());
  FillParameters(spec, exploit.left_point, out->mutable_left_parameters());
}

void FillTrial(const State& state, const Sweep& sweep, uint32_t number, Attempts attempts, v1::Trial* out) {
  const Trial& trial = sweep.trials[number];
  out->set_sweep(sweep.id);
  out->set_number(number);
  FillParameters(*sweep.spec, trial.point, out->mutable_parameters());
  out->set_state(TrialStateToProto(trial.state));
  if (trial.reason.empty() && IsDecision(trial.stop_verdict)) {
    out->set_state_reason(
        ExplainVerdict(*sweep.spec, trial.stop_verdict));
  } else {
    out->set_state_reason(trial.reason);
  }
  FillTime(trial.created, out->mutable_create_time());
  if (trial.started.ms != 0) FillTime(trial.started, out->mutable_start_time());
  if (IsTerminal(trial.state)) FillTime(trial.ended, out->mutable_end_time());
  out->set_last_step(trial.last_step);
  FillMetrics(trial.last_metrics, sweep.metric_names, out->mutable_last_metrics());
  if (trial.has_best) {
    out->set_best_value(trial.best_value);
    out->set_best_step(trial.best_step);
  }
  out->mutable_curve()->Add(trial.curve.begin(), trial.curve.end());
  out->set_measurements(trial.measurements);
  const size_t size = trial.attempts.size();
  for (size_t i = attempts == Attempts::kAll || size == 0 ? 0 : size - 1; i < size; ++i) {
    FillAttempt(state, trial.attempts[i], static_cast<uint32_t>(i) + 1, out->add_attempts());
  }
  out->set_bracket(trial.bracket);
  out->set_revision(trial.revision);
  out->set_from_user(trial.from_user);
  FillOrigin(trial, out);
  if (trial.lineage != nullptr) {
    for (const Exploit& exploit : trial.lineage->exploits) {
      FillExploit(*sweep.spec, exploit, attempts == Attempts::kAll, out->add_lineage());
    }
  }
  const auto& stored = trial.StoredCheckpoints();
  for (auto one = stored.rbegin(); one != stored.rend(); ++one) FillCheckpoint(*one, out->add_checkpoints());
  if (trial.measurements > 0 || IsTerminal(trial.state)) out->set_violation(ViolationOf(sweep, trial));
  for (size_t i = 0; i < sweep.goals.size(); ++i) {
    if ((trial.watched_seen >> i & 1U) == 0) continue;
    v1::MetricValue* metric = out->add_objectives();
    metric->set_name(sweep.watched_names[i]);
    metric->set_value(trial.watched[i]);
  }
}

void FillWorker(const Controller& controller, WorkerId id, v1::Worker* out) {
  const WorkerIdentity& identity = controller.state().workers().at(id);
  out->set_name(identity.name);
  out->set_state_reason(identity.reason);
  const auto live = controller.live_workers().find(id);
  const bool online = live != controller.live_workers().end() && live->second.session;
  if (identity.quarantined) {
    out->set_state(v1::Worker::QUARANTINED);
  } else if (!online) {
    out->set_state(v1::Worker::OFFLINE);
  } else if (identity.drained || live->second.draining) {
    out->set_state(v1::Worker::DRAINING);
    if (!identity.drained) out->set_state_reason("the daemon is going away");
  } else {
    out->set_state(v1::Worker::ONLINE);
  }
  if (live == controller.live_workers().end()) return;
  const LiveWorker& worker = live->second;
  out->set_host(worker.info.host);
  out->set_version(worker.info.version);
  out->set_cpus(worker.info.cpus);
  out->set_cpus_used(worker.cpus_used);
  for (size_t i = 0; i < worker.info.devices.size(); ++i) {
    const DeviceInfo& device = worker.info.devices[i];
    v1::Device* one = out->add_devices();
    one->set_uuid(device.uuid);
    one->set_name(device.name);
    one->set_index(device.index);
    one->set_memory_bytes(device.memory_bytes);
    one->set_used(worker.device_used[i]);
    one->set_state(DeviceStateToProto(device.state));
    one->set_state_reason(device.state_reason);
  }
  for (const auto& [key, value] : worker.info.labels) (*out->mutable_labels())[key] = value;
  if (worker.connected.ms != 0) FillTime(worker.connected, out->mutable_connect_time());
  FillTime(worker.last_seen, out->mutable_last_seen_time());
  for (const auto& [attempt, sequence] : worker.attempts) {
    const Sweep* sweep = controller.state().FindSweep(attempt.trial.sweep);
    if (sweep == nullptr) continue;
    out->add_running(sweep->id + "/" + std::to_string(attempt.trial.number) + "#" + std::to_string(attempt.number));
  }
}

void FillVerdict(const Verdict& verdict, const std::string& text, v1::Verdict* out) {
  out->set_action(ActionToProto(verdict.action));
  if (IsDecision(verdict)) out->set_reason(text);
  out->set_bracket(verdict.bracket);
  out->set_milestone(verdict.milestone);
  out->set_value(verdict.value);
  if (verdict.has_cutoff) out->set_cutoff(verdict.cutoff);
  out->set_rank(verdict.rank);
  out->set_peers(verdict.peers);
}

void FillMeasurement(const StoredMeasurement& stored, const std::vector<std::string>& metric_names,
                     const SweepSpec& spec, v1::Measurement* out) {
  out->set_trial(stored.attempt.trial.number);
  out->set_attempt(stored.attempt.number);
  out->set_sequence(stored.sequence);
  out->set_step(stored.step);
  FillTime(stored.time, out->mutable_time());
  FillMetrics(stored.metrics, metric_names, out->mutable_metrics());
  if (IsDecision(stored.verdict)) {
    FillVerdict(stored.verdict, ExplainVerdict(spec, stored.verdict),
                out->mutable_verdict());
  }
  out->set_checkpoint(stored.checkpoint);
}

void FillRef(const AttemptRef& ref, v1::AttemptRef* out) {
  out->set_sweep(ref.attempt.trial.sweep.value);
  out->set_trial(ref.attempt.trial.number);
  out->set_attempt(ref.attempt.number);
  out->set_epoch(ref.epoch.value);
}

void FillAssign(const SendAssign& assign, v1::Assign* out) {
  const SweepSpec& spec = *assign.spec;
  FillRef(assign.ref, out->mutable_attempt());
  out->set_sweep_id(assign.sweep_id);
  v1::ProgramSpec* program = out->mutable_program();
  for (const std::string& word : spec.program.command) program->add_command(word);
  program->set_args(ArgStyleToProto(spec.program.args));
  program->set_workdir(spec.program.workdir);
  for (const auto& [name, value] : spec.program.env) (*program->mutable_env())[name] = value;
  program->set_builtin(spec.program.builtin);
  for (const auto& [name, value] : spec.program.options) FillNamedValue(name, value, program->add_options());
  FillParameters(spec, assign.point, out->mutable_parameters());
  for (const CollectRule& rule : spec.collect) {
    v1::CollectRule* one = out->add_collect();
    one->set_kind(CollectKindToProto(rule.kind));
    one->set_regex(rule.regex);
  }
  out->set_seed(assign.seed);
  out->set_stop_grace_ms(spec.stop_grace_ms);
  out->set_max_step(LastStepOf(spec));
  out->set_cpus(spec.resources.cpus);
  out->set_ranks(spec.resources.ranks);
  for (const std::string& device : assign.devices) out->add_device_uuids(device);
  out->set_gpus(assign.devices.empty() ? 0 : spec.resources.gpus);
  out->set_resume(assign.resume);
  for (const StoredCheckpoint& checkpoint : assign.checkpoints) FillCheckpoint(checkpoint, out->add_checkpoints());
  out->set_last_step(assign.last_step);
  out->set_store_checkpoints(spec.checkpoints.store);
  out->set_first_attempt(assign.first_attempt);
  std::vector<std::string> metrics = {spec.search.metric, SchedulerMetric(spec)};
  for (const Objective& objective : spec.search.objectives) metrics.push_back(objective.metric);
  for (const std::string& text : spec.search.require) {
    std::string why, hint;
    if (const auto requirement = ParseRequirement(text, &why, &hint)) metrics.push_back(requirement->metric);
  }
  for (size_t i = 0; i < metrics.size(); ++i) {
    const auto here = metrics.begin() + static_cast<std::ptrdiff_t>(i);
    if (std::find(metrics.begin(), here, metrics[i]) == here) out->add_metrics(metrics[i]);
  }
}

void FillAnswer(const AttemptAnswer& answer, v1::AttemptAnswer* out) {
  FillRef(answer.ref, out->mutable_attempt());
  switch (answer.kind) {
    case AttemptAnswer::Kind::kAdopt: out->set_answer(v1::AttemptAnswer::ADOPT); break;
    case AttemptAnswer::Kind::kKill: out->set_answer(v1::AttemptAnswer::KILL); break;
    case AttemptAnswer::Kind::kForget: out->set_answer(v1::AttemptAnswer::FORGET); break;
  }
  out->set_acked(answer.acked);
  out->set_reason(answer.reason);
}

namespace {

AttemptRef RefFromProto(const v1::AttemptRef& ref) {
  return {{{SweepId(ref.sweep()), ref.trial()}, ref.attempt()}, LeaseEpoch(ref.epoch())};
}

Status BadField(const std::string& field, const std::string& what) { return InvalidArgument(field + ": " + what); }

Status CheckName(const std::string& field, const std::string& name) {
  if (!name.empty() && name.size() <= kNameBytesMax) return OkStatus();
  return BadField(field, "must have 1 to " + std::to_string(kNameBytesMax) + " bytes");
}

std::string RecordField(int index, const std::string& field) {
  return "records[" + std::to_string(index) + "]." + field;
}

// At most `limit` bytes, cut between characters. The text is valid UTF-8, as every string of a parsed message.
std::string CutText(std::string text, size_t limit) {
  if (text.size() <= limit) return text;
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xC0U) == 0x80U) --limit;
  text.resize(limit);
  return text;
}

AttemptExit ExitFromProto(v1::Record::Ended* ended) {
  constexpr size_t kReasonBytesMax = 2'000;  // the contract's
  AttemptExit exit;
  if (ended->has_exit_code()) exit.exit_code = ended->exit_code();
  exit.signal = ended->signal();
  exit.out_of_memory = ended->out_of_memory();
  exit.start_failed = ended->start_failed();
  exit.stop_requested = ended->stop_requested();
  exit.lost = ended->lost();
  exit.reason = CutText(std::move(*ended->mutable_reason()), kReasonBytesMax);
  return exit;
}

Status FillRecord(v1::Record* record, int index, WorkerRecord* out) {
  out->ref = RefFromProto(record->attempt());
  if (!out->ref.attempt.trial.sweep || out->ref.attempt.number == 0 || !out->ref.epoch) {
    return BadField(RecordField(index, "attempt"), "must name sweep, attempt and epoch");
  }
  out->sequence = record->sequence();
  if (out->sequence == 0) return BadField(RecordField(index, "sequence"), "must be 1, 2, ... within the attempt");
  out->time = Time{record->time_ms()};
  switch (record->kind_case()) {
    case v1::Record::kStarted:
      out->kind = WorkerRecord::Kind::kStarted;
      return OkStatus();
    case v1::Record::kMeasured: {
      out->kind = WorkerRecord::Kind::kMeasured;
      v1::Record::Measured* measured = record->mutable_measured();
      out->step = measured->step();
      if (out->step < 0) {
        return BadField(RecordField(index, "measured.step"), "must be 1 or more, or 0 for the last one plus 1");
      }
      if (const Status status = MetricsFromProto(measured->metrics(), &out->metrics); !status.ok()) {
        return BadField(RecordField(index, "measured"), Message(status));
      }
      if (measured->checkpoint().size() > kCheckpointNameBytesMax) {
        return BadField(RecordField(index, "measured.checkpoint"),
                        "must have at most " + std::to_string(kCheckpointNameBytesMax) + " bytes");
      }
      out->checkpoint = std::move(*measured->mutable_checkpoint());
      return OkStatus();
    }
    case v1::Record::kLog:
      out->kind = WorkerRecord::Kind::kLog;
      out->data = std::move(*record->mutable_log()->mutable_data());
      out->dropped_bytes = std::max<int64_t>(0, record->log().dropped_bytes());
      return OkStatus();
    case v1::Record::kEnded:
      out->kind = WorkerRecord::Kind::kEnded;
      out->exit = ExitFromProto(record->mutable_ended());
      return OkStatus();
    case v1::Record::KIND_NOT_SET:
      break;
  }
  return BadField(RecordField(index, "kind"), "is missing: started, measured, log or ended");
}

}  // namespace

Status MetricsFromProto(const google::protobuf::RepeatedPtrField<v1::MetricValue>& metrics,
                        std::vector<NamedMetric>* out) {
  if (static_cast<size_t>(metrics.size()) > kMetricsPerMeasurementMax) {
    return BadField("metrics", "at most " + std::to_string(kMetricsPerMeasurementMax) + " in one measurement");
  }
  out->reserve(static_cast<size_t>(metrics.size()));
  for (int i = 0; i < metrics.size(); ++i) {
    if (const size_t size = metrics[i].name().size(); size == 0 || size > kNameBytesMax) {
      return CheckName("metrics[" + std::to_string(i) + "].name", metrics[i].name());
    }
    out->push_back({metrics[i].name(), metrics[i].value()});
  }
  return OkStatus();
}

namespace {

DeviceInfo DeviceFromProto(const v1::Device& device) {
  DeviceInfo out{device.uuid(), device.name(), device.index(), device.memory_bytes()};
  if (device.state() == v1::Device::RETURNING) out.state = DeviceState::kReturning;
  if (device.state() == v1::Device::QUARANTINED) out.state = DeviceState::kQuarantined;
  if (out.state == DeviceState::kReady) return out;
  out.state_reason = ValidUtf8(device.state_reason().substr(0, kEndReasonBytesMax));
  return out;
}

}  // namespace

Status HeldFromProto(const v1::HeldDevices& held, std::vector<DeviceInfo>* out) {
  if (static_cast<size_t>(held.devices_size()) > kDevicesPerWorkerMax) {
    return BadField("held_devices.devices", "at most " + std::to_string(kDevicesPerWorkerMax));
  }
  for (const v1::Device& device : held.devices()) out->push_back(DeviceFromProto(device));
  return OkStatus();
}

StatusOr<WorkerHello> HelloFromProto(const v1::Hello& hello) {
  TS_RETURN_IF_ERROR(CheckName("hello.name", hello.name()));
  TS_RETURN_IF_ERROR(CheckName("hello.boot_id", hello.boot_id()));
  if (hello.cpus() < 0 || hello.cpus() > kCpusPerWorkerMax) {
    return BadField("hello.cpus", "must be 0 to " + std::to_string(kCpusPerWorkerMax));
  }
  if (static_cast<size_t>(hello.devices_size()) > kDevicesPerWorkerMax) {
    return BadField("hello.devices", "at most " + std::to_string(kDevicesPerWorkerMax));
  }
  WorkerHello out;
  out.name = hello.name();
  out.boot_id = hello.boot_id();
  out.host = hello.host();
  out.version = hello.version();
  out.cpus = hello.cpus();
  out.draining = hello.draining();
  out.reconnects = hello.reconnects();
  std::set<std::string> uuids;
  for (int i = 0; i < hello.devices_size(); ++i) {
    const v1::Device& device = hello.devices(i);
    const std::string field = "hello.devices[" + std::to_string(i) + "].uuid";
    TS_RETURN_IF_ERROR(CheckName(field, device.uuid()));
    if (!uuids.insert(device.uuid()).second) return BadField(field, "is listed twice: " + device.uuid());
    out.devices.push_back(DeviceFromProto(device));
  }
  for (const auto& [key, value] : hello.labels()) out.labels[key] = value;
  out.attempts.reserve(static_cast<size_t>(hello.attempts_size()));
  std::set<AttemptRef> refs;
  for (const v1::AttemptRef& ref : hello.attempts()) {
    if (refs.insert(RefFromProto(ref)).second) out.attempts.push_back(RefFromProto(ref));
  }
  return out;
}

Status RecordsFromProto(v1::Records* records, std::vector<WorkerRecord>* out) {
  if (static_cast<size_t>(records->records_size()) > kRecordsPerMessageMax) {
    return BadField("records", "at most " + std::to_string(kRecordsPerMessageMax) + " in one message, not " +
                                   std::to_string(records->records_size()));
  }
  out->resize(static_cast<size_t>(records->records_size()));
  for (int i = 0; i < records->records_size(); ++i) {
    TS_RETURN_IF_ERROR(FillRecord(records->mutable_records(i), i, &(*out)[static_cast<size_t>(i)]));
  }
  return OkStatus();
}

}  // namespace tunesmith::rpc
