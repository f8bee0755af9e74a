#include "client/api/convert.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <limits>
#include <utility>

#include "client/api/lineage.h"
#include "client/api/origin.h"
#include "client/argv.h"
#include "client/format.h"
#include "client/json_object.h"
#include "common/text.h"
#include "spec/sweep_spec.h"
#include "spec/template.h"
#include "spec/wire.h"

namespace tunesmith {
namespace {

std::string Lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text.empty() ? "unknown" : text;
}

constexpr std::array kTrialStates = {v1::Trial::PENDING,  v1::Trial::RUNNING,   v1::Trial::PAUSED,
                                     v1::Trial::STOPPING, v1::Trial::COMPLETED, v1::Trial::STOPPED,
                                     v1::Trial::FAILED,   v1::Trial::CANCELLED};

void AddTime(const char* name, const google::protobuf::Timestamp& time, bool present,
             JsonObject* object) {
  if (present) {
    object->Text(name, TimeText(time, true));
  } else {
    object->Null(name);
  }
}

std::string MetricsJson(const google::protobuf::RepeatedPtrField<v1::MetricValue>& metrics) {
  JsonObject object;
  for (const v1::MetricValue& metric : metrics) object.Number(metric.name(), metric.value());
  return object.Finish();
}

std::string CountsJson(const v1::Sweep::Counts& counts) {
  JsonObject object;
  object.Integer("pending", counts.pending()).Integer("running", counts.running());
  object.Integer("paused", counts.paused()).Integer("completed", counts.completed());
  object.Integer("stopped", counts.stopped()).Integer("failed", counts.failed());
  object.Integer("cancelled", counts.cancelled()).Integer("measurements", counts.measurements());
  object.Integer("attempts_lost", counts.attempts_lost()).Integer("target", counts.target());
  return object.Finish();
}

std::string RungsJson(const v1::Sweep& sweep) {
  JsonList list;
  for (const v1::Sweep::Rung& rung : sweep.rungs()) {
    JsonObject object;
    object.Integer("bracket", rung.bracket()).Number("milestone", rung.milestone());
    object.Integer("recorded", rung.recorded()).Integer("stopped", rung.stopped());
    object.Integer("promoted", rung.promoted()).Integer("waiting", rung.waiting());
    if (rung.has_cutoff()) {
      object.Number("cutoff", rung.cutoff());
    } else {
      object.Null("cutoff");
    }
    list.Raw(object.Finish());
  }
  return list.Finish();
}

std::string AttemptJson(const v1::Attempt& attempt) {
  JsonObject object;
  object.Integer("attempt", attempt.number()).Text("state", StateWord(attempt.state()));
  object.Text("reason", attempt.reason()).Text("worker", attempt.worker());
  JsonList devices;
  for (const std::string& device : attempt.devices()) devices.Text(device);
  object.Raw("devices", devices.Finish());
  AddTime("start_time", attempt.start_time(), attempt.has_start_time(), &object);
  AddTime("end_time", attempt.end_time(), attempt.has_end_time(), &object);
  if (attempt.has_exit_code()) {
    object.Integer("exit_code", attempt.exit_code());
  } else {
    object.Null("exit_code");
  }
  object.Integer("signal", attempt.signal()).Bool("out_of_memory", attempt.out_of_memory());
  return object.Finish();
}

std::optional<SweepSpec> PlainSpec(const v1::SweepSpec& spec) {
  Problems problems;
  StatusOr<SweepSpec> read = SweepSpecFromWire(spec.SerializeAsString(), &problems);
  if (!read.ok() || !problems.empty()) return std::nullopt;
  return *std::move(read);
}

Point PlainPoint(const SweepSpec& spec,
                 const google::protobuf::RepeatedPtrField<v1::NamedValue>& parameters) {
  std::vector<std::pair<std::string, Value>> values;
  for (const v1::NamedValue& parameter : parameters)
    values.emplace_back(parameter.name(), ValueOf(parameter.value()));
  return PointOf(spec, values);
}

std::string SpecJson(const v1::SweepSpec& spec) {
  const std::optional<SweepSpec> read = PlainSpec(spec);
  return read.has_value() ? SweepSpecToJson(*read) : "null";
}

}  // namespace

std::string FirstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

std::string StateWord(v1::Sweep::State state) { return Lower(v1::Sweep::State_Name(state)); }
std::string StateWord(v1::Trial::State state) { return Lower(v1::Trial::State_Name(state)); }
std::string StateWord(v1::Device::State state) { return Lower(v1::Device::State_Name(state)); }
std::string StateWord(v1::Attempt::State state) { return Lower(v1::Attempt::State_Name(state)); }
std::string StateWord(v1::Worker::State state) { return Lower(v1::Worker::State_Name(state)); }
std::string ActionWord(v1::Verdict::Action action) {
  return Lower(v1::Verdict::Action_Name(action));
}

std::optional<v1::Trial::State> TrialStateFromWord(const std::string& word) {
  for (const v1::Trial::State state : kTrialStates) {
    if (StateWord(state) == word) return state;
  }
  return std::nullopt;
}

std::vector<std::string> TrialStateWords() {
  std::vector<std::string> words;
  for (const v1::Trial::State state : kTrialStates) words.push_back(StateWord(state));
  return words;
}

bool HasEnded(const v1::Sweep& sweep) {
  return sweep.state() == v1::Sweep::SUCCEEDED || sweep.state() == v1::Sweep::FAILED ||
         sweep.state() == v1::Sweep::CANCELLED;
}

bool HasEnded(const v1::Trial& trial) {
  return trial.state() == v1::Trial::COMPLETED || trial.state() == v1::Trial::STOPPED ||
         trial.state() == v1::Trial::FAILED || trial.state() == v1::Trial::CANCELLED;
}

Value ValueOf(const v1::ParameterValue& value) {
  switch (value.kind_case()) {
    case v1::ParameterValue::kBoolValue:
      return value.bool_value();
    case v1::ParameterValue::kIntValue:
      return static_cast<int64_t>(value.int_value());
    case v1::ParameterValue::kDoubleValue:
      return value.double_value();
    case v1::ParameterValue::kStringValue:
      return value.string_value();
    case v1::ParameterValue::kJsonValue:
      return JsonValue{value.json_value()};
    case v1::ParameterValue::KIND_NOT_SET:
      break;
  }
  return std::monostate();
}

ViewValue ViewValueOf(const v1::ParameterValue& value) {
  switch (value.kind_case()) {
    case v1::ParameterValue::kBoolValue:
      return value.bool_value();
    case v1::ParameterValue::kIntValue:
      return static_cast<int64_t>(value.int_value());
    case v1::ParameterValue::kDoubleValue:
      return value.double_value();
    case v1::ParameterValue::kStringValue:
      return value.string_value();
    case v1::ParameterValue::kJsonValue:
      return value.json_value();
    case v1::ParameterValue::KIND_NOT_SET:
      break;
  }
  return std::monostate();
}

std::string ParametersText(const google::protobuf::RepeatedPtrField<v1::NamedValue>& parameters,
                           int digits) {
  std::vector<std::string> parts;
  for (const v1::NamedValue& parameter : parameters) {
    const Value value = ValueOf(parameter.value());
    if (!IsActive(value)) continue;
    const bool shorten = digits > 0 && std::holds_alternative<double>(value);
    parts.push_back(parameter.name() + "=" +
                    (shorten ? ShortNumber(std::get<double>(value), digits) : ValueText(value)));
  }
  return Join(parts, " ");
}

int64_t MsOf(const google::protobuf::Timestamp& time) {
  return time.seconds() * 1000 + time.nanos() / 1'000'000;
}

std::string TimeText(const google::protobuf::Timestamp& time, bool present) {
  if (!present) return "";
  const std::time_t seconds = time.seconds();
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[64];
  const size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  char fraction[16];
  std::snprintf(fraction, sizeof fraction, ".%03dZ", time.nanos() / 1'000'000 % 1000);
  return std::string(text, length) + fraction;
}

SchedulerOptions SchedulerOf(const v1::SchedulerSpec& scheduler) {
  SchedulerOptions options;
  options.type = scheduler.type();
  options.max_t = scheduler.max_t();
  if (scheduler.has_grace_period()) options.grace_period = scheduler.grace_period();
  if (scheduler.has_reduction_factor()) options.reduction_factor = scheduler.reduction_factor();
  options.promotion = scheduler.promotion();
  return options;
}

bool IsMaximised(const v1::SweepSpec& spec) { return spec.search().goal() == v1::GOAL_MAX; }
const std::string& ObjectiveOf(const v1::SweepSpec& spec) { return spec.search().metric(); }

bool HasSeveralObjectives(const v1::SweepSpec& spec) { return spec.search().metrics_size() > 1; }

std::string ObjectivesText(const v1::SweepSpec& spec) {
  if (!HasSeveralObjectives(spec))
    return ObjectiveOf(spec) + (IsMaximised(spec) ? " (max)" : " (min)");
  std::vector<std::string> parts;
  for (const v1::Objective& objective : spec.search().metrics()) {
    parts.push_back(objective.metric() + (objective.goal() == v1::GOAL_MAX ? " (max)" : " (min)"));
  }
  return Join(parts, ", ");
}

bool OnFront(const v1::Sweep& sweep, uint32_t trial) {
  const auto& front = sweep.pareto_trials();
  return std::binary_search(front.begin(), front.end(), trial);
}

std::optional<int64_t> ElapsedMs(bool has_start, const google::protobuf::Timestamp& start,
                                 bool has_end, const google::protobuf::Timestamp& end,
                                 int64_t now_ms) {
  if (!has_start) return std::nullopt;
  return std::max<int64_t>(0, (has_end ? MsOf(end) : now_ms) - MsOf(start));
}

std::string ParametersJson(const google::protobuf::RepeatedPtrField<v1::NamedValue>& parameters) {
  JsonObject object;
  for (const v1::NamedValue& parameter : parameters) {
    object.Raw(parameter.name(), ValueJson(ValueOf(parameter.value())));
  }
  return object.Finish();
}

std::string CommandOf(const v1::Sweep& sweep, uint32_t trial,
                      const google::protobuf::RepeatedPtrField<v1::NamedValue>& parameters) {
  const std::optional<SweepSpec> spec = PlainSpec(sweep.spec());
  if (!spec.has_value()) return "";
  return ShellCommand(ExpandCommand(*spec, PlainPoint(*spec, parameters),
                                    {{"sweep", sweep.id()}, {"trial", std::to_string(trial)}}));
}

std::string ArgsOf(const v1::Sweep& sweep,
                   const google::protobuf::RepeatedPtrField<v1::NamedValue>& parameters) {
  const std::optional<SweepSpec> spec = PlainSpec(sweep.spec());
  if (!spec.has_value()) return "";
  const ArgStyle style =
      spec->program.args == ArgStyle::kNone ? ArgStyle::kGnu : spec->program.args;
  return ShellCommand(ExpandArgs(style, spec->parameters, PlainPoint(*spec, parameters)));
}

std::string SweepJson(const v1::Sweep& sweep, bool with_spec) {
  JsonObject object;
  object.Text("sweep", sweep.id())
      .Text("state", StateWord(sweep.state()))
      .Text("reason", sweep.state_reason());
  AddTime("create_time", sweep.create_time(), sweep.has_create_time(), &object);
  AddTime("end_time", sweep.end_time(), sweep.has_end_time(), &object);
  object.Raw("trials", CountsJson(sweep.counts()));
  object.Text("metric", ObjectiveOf(sweep.spec()))
      .Text("goal", IsMaximised(sweep.spec()) ? "max" : "min");
  if (sweep.has_best_trial()) {
    JsonObject best;
    best.Integer("trial", sweep.best_trial())
        .Number("value", sweep.best_value())
        .Integer("step", sweep.best_step())
        .Integer("mean_of", std::max(1U, sweep.best_repeats()));
    best.Raw("parameters", ParametersJson(sweep.best_parameters()));
    object.Raw("best", best.Finish());
  } else {
    object.Null("best");
  }
  if (HasSeveralObjectives(sweep.spec())) {
    JsonList metrics;
    for (const v1::Objective& objective : sweep.spec().search().metrics()) {
      JsonObject one;
      one.Text("metric", objective.metric());
      metrics.Raw(one.Text("goal", objective.goal() == v1::GOAL_MAX ? "max" : "min").Finish());
    }
    JsonList front;
    for (const uint32_t trial : sweep.pareto_trials()) front.Raw(std::to_string(trial));
    object.Raw("metrics", metrics.Finish()).Raw("pareto_trials", front.Finish());
  }
  object.Raw("rungs", RungsJson(sweep)).Text("waiting_reason", sweep.waiting_reason());
  object.Text("device", sweep.device()).Integer("seed", sweep.seed());
  JsonList warm_start;
  for (const v1::Sweep::WarmStart& one : sweep.warm_start()) {
    JsonObject from;
    warm_start.Raw(from.Text("sweep", one.sweep()).Integer("trials", one.trials()).Finish());
  }
  object.Raw("warm_start", warm_start.Finish());
  if (with_spec) object.Raw("spec", SpecJson(sweep.spec()));
  return object.Finish();
}

std::string TrialJson(const v1::Trial& trial) {
  JsonObject object;
  object.Text("sweep", trial.sweep()).Integer("trial", trial.number());
  object.Text("state", StateWord(trial.state())).Text("reason", trial.state_reason());
  object.Raw("parameters", ParametersJson(trial.parameters()));
  if (trial.has_best_value()) {
    object.Number("best_value", trial.best_value()).Integer("best_step", trial.best_step());
  } else {
    object.Null("best_value").Null("best_step");
  }
  object.Integer("last_step", trial.last_step())
      .Raw("last_metrics", MetricsJson(trial.last_metrics()));
  if (!trial.objectives().empty()) object.Raw("objectives", MetricsJson(trial.objectives()));
  object.Number("violation", trial.violation());
  object.Integer("measurements", trial.measurements());
  AddTime("create_time", trial.create_time(), trial.has_create_time(), &object);
  AddTime("start_time", trial.start_time(), trial.has_start_time(), &object);
  AddTime("end_time", trial.end_time(), trial.has_end_time(), &object);
  JsonList attempts;
  for (const v1::Attempt& attempt : trial.attempts()) attempts.Raw(AttemptJson(attempt));
  object.Raw("attempts", attempts.Finish()).Integer("bracket", trial.bracket());
  object.Bool("from_user", trial.from_user());
  JsonList checkpoints;
  for (const v1::Checkpoint& checkpoint : trial.checkpoints()) {
    JsonObject one;
    one.Integer("step", checkpoint.step()).Integer("attempt", checkpoint.attempt()).Text("name", checkpoint.name());
    one.Integer("bytes", checkpoint.bytes()).Text("sha256", checkpoint.sha256());
    if (checkpoint.has_value()) {
      one.Number("value", checkpoint.value());
    } else {
      one.Null("value");
    }
    checkpoints.Raw(one.Finish());
  }
  object.Raw("checkpoints", checkpoints.Finish());
  if (!trial.lineage().empty()) object.Raw("lineage", LineageJson(trial));
  return object.Raw("origin", OriginJson(trial)).Finish();
}

std::string MeasurementJson(const v1::Measurement& measurement) {
  JsonObject object;
  object.Integer("trial", measurement.trial()).Integer("attempt", measurement.attempt());
  object.Integer("sequence", measurement.sequence()).Integer("step", measurement.step());
  AddTime("time", measurement.time(), measurement.has_time(), &object);
  object.Raw("metrics", MetricsJson(measurement.metrics()));
  if (measurement.has_verdict()) {
    const v1::Verdict& verdict = measurement.verdict();
    JsonObject decided;
    decided.Text("action", ActionWord(verdict.action())).Text("reason", verdict.reason());
    decided.Integer("bracket", verdict.bracket()).Number("milestone", verdict.milestone());
    decided.Number("value", verdict.value());
    if (verdict.has_cutoff()) {
      decided.Number("cutoff", verdict.cutoff());
    } else {
      decided.Null("cutoff");
    }
    decided.Integer("rank", verdict.rank()).Integer("peers", verdict.peers());
    object.Raw("verdict", decided.Finish());
  } else {
    object.Null("verdict");
  }
  return object.Text("checkpoint", measurement.checkpoint()).Finish();
}

std::string HeldDeviceText(const v1::Device& device) {
  const bool held = device.state() == v1::Device::RETURNING || device.state() == v1::Device::QUARANTINED;
  if (!held) return "";
  return "GPU " + std::to_string(device.index()) +
         (device.state() == v1::Device::QUARANTINED ? " is quarantined" : " waits for its memory") +
         (device.state_reason().empty() ? "" : ": " + device.state_reason());
}

std::string WorkerJson(const v1::Worker& worker) {
  JsonObject object;
  object.Text("worker", worker.name())
      .Text("host", worker.host())
      .Text("state", StateWord(worker.state()));
  object.Text("reason", worker.state_reason());
  object.Integer("cpus", worker.cpus()).Integer("cpus_used", worker.cpus_used());
  JsonList devices;
  for (const v1::Device& device : worker.devices()) {
    JsonObject one;
    one.Integer("index", device.index()).Text("uuid", device.uuid()).Text("name", device.name());
    one.Integer("memory_bytes", device.memory_bytes()).Number("used", device.used());
    devices.Raw(one.Text("state", StateWord(device.state())).Text("reason", device.state_reason()).Finish());
  }
  object.Raw("devices", devices.Finish());
  JsonList running;
  for (const std::string& attempt : worker.running()) running.Text(attempt);
  object.Raw("running", running.Finish());
  AddTime("connect_time", worker.connect_time(), worker.has_connect_time(), &object);
  AddTime("last_seen_time", worker.last_seen_time(), worker.has_last_seen_time(), &object);
  return object.Text("version", worker.version()).Finish();
}

}  // namespace tunesmith
