#include "worker/link/convert.h"

#include "common/json_text.h"
#include "common/text.h"

namespace tunesmith::worker {
namespace {

Argument ToArgument(const v1::NamedValue& named) {
  Argument argument{named.name(), "", ""};
  const v1::ParameterValue& value = named.value();
  switch (value.kind_case()) {
    case v1::ParameterValue::kBoolValue:
      argument.text = argument.json = value.bool_value() ? "true" : "false";
      break;
    case v1::ParameterValue::kIntValue:
      argument.text = argument.json = std::to_string(value.int_value());
      break;
    case v1::ParameterValue::kDoubleValue:
      argument.text = DoubleText(value.double_value());
      AppendJsonDouble(value.double_value(), &argument.json);
      break;
    case v1::ParameterValue::kStringValue:
      argument.text = value.string_value();
      AppendJsonString(value.string_value(), &argument.json);
      break;
    case v1::ParameterValue::kJsonValue:
      argument.text = argument.json = value.json_value();
      break;
    case v1::ParameterValue::KIND_NOT_SET:
      argument.json = "null";
      break;
  }
  return argument;
}

ArgStyle ToArgStyle(v1::ProgramSpec::ArgStyle style) {
  switch (style) {
    case v1::ProgramSpec::SPACED:
      return ArgStyle::kSpaced;
    case v1::ProgramSpec::HYDRA:
      return ArgStyle::kHydra;
    case v1::ProgramSpec::SINGLE_DASH:
      return ArgStyle::kSingleDash;
    case v1::ProgramSpec::NONE:
      return ArgStyle::kNone;
    default:
      return ArgStyle::kGnu;
  }
}

CollectRule::Kind ToRuleKind(v1::CollectRule::Kind kind) {
  switch (kind) {
    case v1::CollectRule::JSON:
      return CollectRule::Kind::kJson;
    case v1::CollectRule::REGEX:
      return CollectRule::Kind::kRegex;
    default:
      return CollectRule::Kind::kAuto;
  }
}

}  // namespace

AttemptKey FromProto(const v1::AttemptRef& ref) {
  return {{{SweepId(ref.sweep()), ref.trial()}, ref.attempt()}, LeaseEpoch(ref.epoch())};
}

v1::AttemptRef ToProto(const AttemptKey& key) {
  v1::AttemptRef ref;
  ref.set_sweep(key.id.trial.sweep.value);
  ref.set_trial(key.id.trial.number);
  ref.set_attempt(key.id.number);
  ref.set_epoch(key.epoch.value);
  return ref;
}

std::shared_ptr<const Assignment> FromProto(const v1::Assign& assign, const std::string& controller_id) {
  auto assignment = std::make_shared<Assignment>();
  const v1::ProgramSpec& program = assign.program();
  assignment->key = FromProto(assign.attempt());
  assignment->sweep_id = assign.sweep_id();
  assignment->controller = controller_id;
  assignment->command.assign(program.command().begin(), program.command().end());
  assignment->args = ToArgStyle(program.args());
  assignment->workdir = program.workdir();
  assignment->env.insert(program.env().begin(), program.env().end());
  assignment->builtin = program.builtin();
  for (const v1::NamedValue& option : program.options())
    assignment->options.push_back(ToArgument(option));
  for (const v1::NamedValue& parameter : assign.parameters()) {
    assignment->parameters.push_back(ToArgument(parameter));
  }
  for (const v1::CollectRule& rule : assign.collect()) {
    assignment->collect.push_back({ToRuleKind(rule.kind()), rule.regex()});
  }
  assignment->seed = assign.seed();
  assignment->stop_grace = Milliseconds(assign.stop_grace_ms());
  assignment->max_step = assign.max_step();
  assignment->cpus = assign.cpus();
  assignment->ranks = std::max(1, assign.ranks());
  assignment->devices.assign(assign.device_uuids().begin(), assign.device_uuids().end());
  assignment->gpus = assign.gpus();
  assignment->resume = assign.resume();
  assignment->metrics.assign(assign.metrics().begin(), assign.metrics().end());
  for (const v1::Checkpoint& one : assign.checkpoints()) {
    assignment->checkpoints.push_back({one.attempt(), one.step(), one.name(), one.bytes(), one.sha256()});
  }
  if (assign.has_last_step()) assignment->last_step = assign.last_step();
  assignment->store_checkpoints = assign.store_checkpoints();
  assignment->first_attempt = assign.first_attempt();
  return assignment;
}

std::vector<AttemptAnswer> FromProto(const v1::Welcome& welcome) {
  std::vector<AttemptAnswer> answers;
  for (const v1::AttemptAnswer& answer : welcome.attempts()) {
    AttemptAnswer::Kind kind = AttemptAnswer::Kind::kForget;
    if (answer.answer() == v1::AttemptAnswer::ADOPT) kind = AttemptAnswer::Kind::kAdopt;
    if (answer.answer() == v1::AttemptAnswer::KILL) kind = AttemptAnswer::Kind::kKill;
    answers.push_back({FromProto(answer.attempt()), kind, answer.acked(), answer.reason()});
  }
  return answers;
}

v1::Record ToProto(const Record& record) {
  v1::Record out;
  *out.mutable_attempt() = ToProto(record.key);
  out.set_sequence(record.sequence);
  out.set_time_ms(record.time.ms);
  if (const auto* started = std::get_if<Started>(&record.kind)) {
    out.mutable_started()->set_pid(started->pid);
  } else if (const auto* measured = std::get_if<Measured>(&record.kind)) {
    v1::Record::Measured* m = out.mutable_measured();
    m->set_step(measured->step);
    m->set_checkpoint(measured->checkpoint);
    for (const NamedValue& metric : measured->metrics) {
      v1::MetricValue* value = m->add_metrics();
      value->set_name(metric.name);
      value->set_value(metric.value);
    }
  } else if (const auto* log = std::get_if<LogChunk>(&record.kind)) {
    out.mutable_log()->set_data(log->data);
    out.mutable_log()->set_dropped_bytes(log->dropped_bytes);
  } else {
    const auto& ended = std::get<Ended>(record.kind);
    v1::Record::Ended* e = out.mutable_ended();
    if (ended.exit_code.has_value()) e->set_exit_code(*ended.exit_code);
    e->set_signal(ended.signal);
    e->set_out_of_memory(ended.out_of_memory);
    e->set_start_failed(ended.start_failed);
    e->set_reason(ValidUtf8(ended.reason));
    e->set_stop_requested(ended.stop_requested);
    e->set_lost(ended.lost);
  }
  return out;
}

StatusOr<RecordPtr> FromProto(const v1::Record& in) {
  Record record{FromProto(in.attempt()), in.sequence(), Time{in.time_ms()}, {}};
  switch (in.kind_case()) {
    case v1::Record::kStarted:
      record.kind = Started{in.started().pid()};
      break;
    case v1::Record::kMeasured: {
      Measured measured{in.measured().step(), {}, in.measured().checkpoint(), std::nullopt};
      for (const v1::MetricValue& metric : in.measured().metrics()) {
        measured.metrics.push_back({metric.name(), metric.value()});
      }
      record.kind = std::move(measured);
      break;
    }
    case v1::Record::kLog:
      record.kind = LogChunk{in.log().data(), in.log().dropped_bytes()};
      break;
    case v1::Record::kEnded: {
      const v1::Record::Ended& e = in.ended();
      Ended ended;
      if (e.has_exit_code()) ended.exit_code = e.exit_code();
      ended.signal = e.signal();
      ended.out_of_memory = e.out_of_memory();
      ended.start_failed = e.start_failed();
      ended.reason = e.reason();
      ended.stop_requested = e.stop_requested();
      ended.lost = e.lost();
      record.kind = std::move(ended);
      break;
    }
    case v1::Record::KIND_NOT_SET:
      return InvalidArgument("a record of no known kind");
  }
  return std::make_shared<const Record>(std::move(record));
}

}  // namespace tunesmith::worker
