#include "client/api/details.h"

#include <algorithm>
#include <utility>

#include "client/api/convert.h"
#include "client/api/lineage.h"
#include "client/api/origin.h"
#include "client/format.h"
#include "client/json_object.h"
#include "client/output.h"
#include "common/text.h"

namespace tunesmith {
namespace {

constexpr size_t kLabelWidth = 12;

// "label       text", lines of `text` below each other; nothing for an empty text.
void AddField(const std::string& label, const std::string& text, std::vector<std::string>* lines) {
  if (text.empty()) return;
  std::string rest = text;
  std::string name = label;
  while (true) {
    const size_t end = rest.find('\n');
    name.resize(std::max(kLabelWidth, name.size() + 1), ' ');
    lines->push_back(name + CleanText(rest.substr(0, end), true));
    if (end == std::string::npos) return;
    rest = rest.substr(end + 1);
    name.clear();
  }
}

void AddTable(const std::string& title, const std::vector<Column>& columns,
              const std::vector<std::vector<std::string>>& rows, const DetailOptions& options,
              std::vector<std::string>* lines) {
  if (rows.empty()) return;
  lines->push_back("");
  lines->push_back(title);
  for (const std::string& line : AlignedTable(columns, rows, true, 0, options.unicode))
    lines->push_back("  " + line);
}

std::string StateText(const std::string& state, const std::string& reason) {
  if (reason.rfind(state, 0) == 0) return reason;  // "paused by a user"
  return reason.empty() ? state : state + ": " + reason;
}

// "#1, #4, #7 and 12 more".
std::string FrontText(const v1::Sweep& sweep) {
  constexpr int kShown = 12;
  std::vector<std::string> numbers;
  for (int i = 0; i < std::min(kShown, sweep.pareto_trials_size()); ++i)
    numbers.push_back("#" + std::to_string(sweep.pareto_trials(i)));
  std::string text = Join(numbers, ", ");
  if (sweep.pareto_trials_size() > kShown)
    text += " and " + std::to_string(sweep.pareto_trials_size() - kShown) + " more";
  return text.empty() ? "no trial yet" : text;
}

std::string GoalText(const v1::SweepSpec& spec) {
  return ObjectiveOf(spec) + (IsMaximised(spec) ? " (max)" : " (min)");
}

std::string CountsText(const v1::Sweep& sweep) {
  const v1::Sweep::Counts& counts = sweep.counts();
  const std::pair<int64_t, const char*> kinds[] = {
      {counts.completed(), "completed"}, {counts.stopped(), "stopped early"},
      {counts.failed(), "failed"},       {counts.cancelled(), "cancelled"},
      {counts.running(), "running"},     {counts.paused(), "paused"},
      {counts.pending(), "waiting"}};
  std::vector<std::string> parts;
  for (const auto& [count, name] : kinds) {
    if (count > 0) parts.push_back(std::to_string(count) + " " + name);
  }
  std::string text = parts.empty() ? "none yet" : Join(parts, ", ");
  if (counts.target() > 0) text += " of " + std::to_string(counts.target());
  if (counts.measurements() > 0)
    text += "; " + std::to_string(counts.measurements()) + " measurements";
  if (counts.attempts_lost() > 0)
    text += "; " + std::to_string(counts.attempts_lost()) + " attempts lost";
  return text;
}

// "0.981 at step 9 of trial 12"; "0.978, the mean of 3 of the trials 12 to 14".
std::string BestText(const v1::Sweep& sweep) {
  const std::string value = ShortNumber(sweep.best_value(), 8);
  const std::string number = std::to_string(sweep.best_trial());
  if (sweep.best_repeats() == 0)
    return value + " at step " + std::to_string(sweep.best_step()) + " of trial " + number;
  const int64_t last = int64_t{sweep.best_trial()} + sweep.spec().repeats() - 1;
  return value + ", the mean of " + std::to_string(sweep.best_repeats()) + " of the trials " + number +
         " to " + std::to_string(last);
}

// "60 trials of digits, 1 trial of old".
std::string WarmStartText(const v1::Sweep& sweep) {
  std::vector<std::string> parts;
  for (const v1::Sweep::WarmStart& one : sweep.warm_start()) {
    parts.push_back(std::to_string(one.trials()) + (one.trials() == 1 ? " trial of " : " trials of ") +
                    one.sweep());
  }
  return Join(parts, ", ");
}

std::string ValueTextOf(const v1::ParameterValue& value) { return ValueText(ValueOf(value)); }

std::string RangeText(const char* name, const v1::ParameterSpec::Range& range, bool quantised) {
  std::string text =
      std::string(name) + "(" + ShortNumber(range.lo(), 12) + ", " + ShortNumber(range.hi(), 12);
  if (quantised) text += ", q=" + ShortNumber(range.q(), 12);
  return text + ")";
}

std::string NormalText(const char* name, const v1::ParameterSpec::Normal& normal, bool quantised) {
  std::string text = std::string(name) + "(" + ShortNumber(normal.mean(), 12) + ", " +
                     ShortNumber(normal.sd(), 12);
  if (quantised) text += ", q=" + ShortNumber(normal.q(), 12);
  return text + ")";
}

std::string ValuesText(const char* name, const v1::ParameterSpec::Values& values) {
  constexpr int kShown = 12;
  std::vector<std::string> parts;
  for (int i = 0; i < std::min(values.values_size(), kShown); ++i)
    parts.push_back(ValueTextOf(values.values(i)));
  if (values.values_size() > kShown)
    parts.push_back("... " + std::to_string(values.values_size()) + " in all");
  return std::string(name) + "(" + Join(parts, ", ") + ")";
}

std::string DistributionText(const v1::ParameterSpec& parameter) {
  switch (parameter.distribution_case()) {
    case v1::ParameterSpec::kConstant:
      return ValueTextOf(parameter.constant());
    case v1::ParameterSpec::kChoice:
      return ValuesText("choice", parameter.choice());
    case v1::ParameterSpec::kGrid:
      return ValuesText("grid", parameter.grid());
    case v1::ParameterSpec::kUniform:
      return RangeText("uniform", parameter.uniform(), false);
    case v1::ParameterSpec::kQuniform:
      return RangeText("quniform", parameter.quniform(), true);
    case v1::ParameterSpec::kLoguniform:
      return RangeText("loguniform", parameter.loguniform(), false);
    case v1::ParameterSpec::kQloguniform:
      return RangeText("qloguniform", parameter.qloguniform(), true);
    case v1::ParameterSpec::kRandint:
      return RangeText("randint", parameter.randint(), false);
    case v1::ParameterSpec::kQrandint:
      return RangeText("qrandint", parameter.qrandint(), true);
    case v1::ParameterSpec::kLograndint:
      return RangeText("lograndint", parameter.lograndint(), false);
    case v1::ParameterSpec::kQlograndint:
      return RangeText("qlograndint", parameter.qlograndint(), true);
    case v1::ParameterSpec::kNormal:
      return NormalText("normal", parameter.normal(), false);
    case v1::ParameterSpec::kQnormal:
      return NormalText("qnormal", parameter.qnormal(), true);
    case v1::ParameterSpec::DISTRIBUTION_NOT_SET:
      break;
  }
  return "?";
}

std::string ConditionText(const v1::ParameterSpec::Condition& condition) {
  static constexpr const char* kOps[] = {"?", "in", "not in", "<", "<=", ">", ">="};
  const int op = condition.op();
  std::vector<std::string> values;
  for (const v1::ParameterValue& value : condition.values()) values.push_back(ValueTextOf(value));
  const bool one = values.size() == 1;
  if (one && op == v1::ParameterSpec::Condition::IN)
    return condition.parameter() + " = " + values[0];
  if (one && op == v1::ParameterSpec::Condition::NOT_IN)
    return condition.parameter() + " != " + values[0];
  const std::string list = one ? values[0] : "(" + Join(values, ", ") + ")";
  return condition.parameter() + " " + (op >= 0 && op <= 6 ? kOps[op] : "?") + " " + list;
}

std::string ElapsedText(bool has_start, const google::protobuf::Timestamp& start, bool has_end,
                        const google::protobuf::Timestamp& end, int64_t now_ms) {
  const auto elapsed = ElapsedMs(has_start, start, has_end, end, now_ms);
  return elapsed.has_value() ? BriefDuration(*elapsed) : "";
}

std::string ProgramText(const v1::ProgramSpec& program) {
  if (program.builtin().empty())
    return Join({program.command().begin(), program.command().end()}, " ");
  std::vector<std::string> options;
  for (const v1::NamedValue& option : program.options()) {
    options.push_back(option.name() + "=" + ValueTextOf(option.value()));
  }
  return "built-in " + program.builtin() + (options.empty() ? "" : " (" + Join(options, " ") + ")");
}

std::string MetricText(const google::protobuf::RepeatedPtrField<v1::MetricValue>& metrics) {
  std::vector<std::string> parts;
  for (const v1::MetricValue& metric : metrics)
    parts.push_back(metric.name() + "=" + ShortNumber(metric.value(), 5));
  return Join(parts, " ");
}

std::string AttemptEnd(const v1::Attempt& attempt) {
  std::vector<std::string> parts;
  if (!attempt.reason().empty())
    parts.push_back(attempt.reason().substr(0, attempt.reason().find('\n')));
  if (attempt.out_of_memory()) parts.push_back("out of memory");
  if (parts.empty() && attempt.signal() != 0)
    parts.push_back("signal " + std::to_string(attempt.signal()));
  if (parts.empty() && attempt.has_exit_code())
    parts.push_back("exit code " + std::to_string(attempt.exit_code()));
  return Join(parts, "; ");
}

std::vector<std::vector<std::string>> ParameterRows(
    const google::protobuf::RepeatedPtrField<v1::NamedValue>& all) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::NamedValue& parameter : all)
    rows.push_back({parameter.name(), ValueTextOf(parameter.value())});
  return rows;
}

}  // namespace

std::vector<std::string> SweepDetails(const v1::Sweep& sweep, const DetailOptions& options) {
  std::vector<std::string> lines;
  const v1::SweepSpec& spec = sweep.spec();
  AddField("sweep", sweep.id(), &lines);
  AddField("state", StateText(StateWord(sweep.state()), sweep.state_reason()), &lines);
  if (sweep.state() == v1::Sweep::ACTIVE) AddField("waits", sweep.waiting_reason(), &lines);
  AddField("trials", CountsText(sweep), &lines);
  AddField("objective", ObjectivesText(spec), &lines);
  AddField("require", Join({spec.search().require().begin(), spec.search().require().end()}, "\n"),
           &lines);
  if (spec.repeats() > 1)
    AddField("repeats", std::to_string(spec.repeats()) + " trials of each point; their mean counts", &lines);
  if (HasSeveralObjectives(spec)) AddField("front", FrontText(sweep), &lines);
  if (sweep.has_best_trial()) {
    AddField("best", BestText(sweep), &lines);
    AddField("", ParametersText(sweep.best_parameters(), 0), &lines);
    AddField("", CommandOf(sweep, sweep.best_trial(), sweep.best_parameters()), &lines);
  }
  AddField("program", ProgramText(spec.program()), &lines);
  AddField("folder", spec.program().workdir(), &lines);
  AddField("search", spec.search().type() + ", seed " + std::to_string(sweep.seed()), &lines);
  AddField("warm start", WarmStartText(sweep), &lines);
  const v1::SweepSpec::Share& share = spec.share();
  if (share.priority() != 0 || (share.has_weight() && share.weight() != 1)) {
    AddField("share", "priority " + std::to_string(share.priority()) + ", weight " +
                          ShortText(share.has_weight() ? share.weight() : 1), &lines);
  }
  AddField("scheduler", spec.scheduler().type() + (spec.scheduler().promotion() ? ", promotion" : ""), &lines);
  AddField("device", sweep.device(), &lines);
  AddField("created", TimeText(sweep.create_time(), sweep.has_create_time()), &lines);
  AddField("ended", TimeText(sweep.end_time(), sweep.has_end_time()), &lines);
  AddField("time",
           ElapsedText(sweep.has_create_time(), sweep.create_time(), sweep.has_end_time(),
                       sweep.end_time(), options.now_ms),
           &lines);
  std::vector<std::vector<std::string>> parameters;
  for (const v1::ParameterSpec& parameter : spec.parameters()) {
    std::vector<std::string> when;
    for (const auto& condition : parameter.when()) when.push_back(ConditionText(condition));
    parameters.push_back({parameter.name(), DistributionText(parameter), Join(when, " and ")});
  }
  AddTable("parameters", {{"name"}, {"distribution"}, {"when"}}, parameters, options, &lines);
  std::vector<std::vector<std::string>> constraints;
  for (const std::string& constraint : spec.constraints()) constraints.push_back({constraint});
  AddTable("constraints", {{"all have to hold"}}, constraints, options, &lines);
  const bool pauses = Pauses(SchedulerOf(spec.scheduler()));
  std::vector<std::vector<std::string>> rungs;
  for (const v1::Sweep::Rung& rung : sweep.rungs()) {
    rungs.push_back({std::to_string(rung.bracket()), ShortNumber(rung.milestone(), 6),
                     std::to_string(rung.recorded()),
                     std::to_string(pauses ? rung.promoted() : rung.stopped()),
                     rung.has_cutoff() ? ShortNumber(rung.cutoff(), 6) : ""});
  }
  AddTable(
      "rungs",
      {{"bracket", true},
       {"step", true},
       {"reached", true},
       {pauses ? "went on" : "stopped", true},
       {"cutoff", true}},
      rungs, options, &lines);
  return lines;
}

std::vector<std::string> TrialDetails(const v1::Sweep& sweep, const v1::Trial& trial,
                                      const std::vector<v1::Measurement>& measurements,
                                      const DetailOptions& options) {
  std::vector<std::string> lines;
  AddField("trial", std::to_string(trial.number()) + " of " + sweep.id(), &lines);
  AddField("state", StateText(StateWord(trial.state()), trial.state_reason()), &lines);
  AddField("point", OriginText(sweep, trial), &lines);
  if (HasSeveralObjectives(sweep.spec())) {
    AddField("objectives",
             MetricText(trial.objectives()) +
                 (OnFront(sweep, trial.number()) ? "; on the front: no other trial dominates it" : ""),
             &lines);
  }
  if (trial.violation() > 0) {
    AddField("infeasible",
             "it exceeds the requirements by " + ShortNumber(trial.violation(), 4) + ": " +
                 Join({sweep.spec().search().require().begin(), sweep.spec().search().require().end()}, ", "),
             &lines);
  }
  if (trial.has_best_value() && !HasSeveralObjectives(sweep.spec())) {
    AddField("best",
             GoalText(sweep.spec()) + " " + ShortNumber(trial.best_value(), 8) + " at step " +
                 std::to_string(trial.best_step()),
             &lines);
  }
  if (trial.measurements() > 0) {
    AddField("last",
             "step " + std::to_string(trial.last_step()) + " " + MetricText(trial.last_metrics()),
             &lines);
  }
  AddField("command", CommandOf(sweep, trial.number(), trial.parameters()), &lines);
  AddField("created", TimeText(trial.create_time(), trial.has_create_time()), &lines);
  AddField("time",
           ElapsedText(trial.has_start_time(), trial.start_time(), trial.has_end_time(),
                       trial.end_time(), options.now_ms),
           &lines);
  AddTable("parameters", {{"name"}, {"value"}}, ParameterRows(trial.parameters()), options, &lines);
  AddTable("taken over",
           {{"from trial", true}, {"step", true}, {"own step", true}, {"attempt", true}, {"changed"}},
           LineageRows(trial), options, &lines);
  std::vector<std::vector<std::string>> attempts;
  for (const v1::Attempt& attempt : trial.attempts()) {
    attempts.push_back({std::to_string(attempt.number()), StateWord(attempt.state()),
                        attempt.worker(), TimeText(attempt.start_time(), attempt.has_start_time()),
                        ElapsedText(attempt.has_start_time(), attempt.start_time(),
                                    attempt.has_end_time(), attempt.end_time(), options.now_ms),
                        AttemptEnd(attempt)});
  }
  AddTable("attempts", {{"#", true}, {"state"}, {"worker"}, {"start"}, {"time", true}, {"end"}},
           attempts, options, &lines);
  std::vector<std::vector<std::string>> kept;
  for (const v1::Checkpoint& checkpoint : trial.checkpoints()) {
    kept.push_back({std::to_string(checkpoint.step()), std::to_string(checkpoint.attempt()),
                    checkpoint.name().empty() ? "(the whole folder)" : checkpoint.name(),
                    ShortNumber(static_cast<double>(checkpoint.bytes()) / 1e6, 3) + " MB",
                    checkpoint.has_value() ? ShortNumber(checkpoint.value(), 6) : ""});
  }
  AddTable("checkpoints kept",
           {{"step", true}, {"attempt", true}, {"name"}, {"size", true}, {sweep.spec().search().metric(), true}}, kept,
           options, &lines);
  std::vector<std::vector<std::string>> rows;
  for (const v1::Measurement& measurement : measurements) {
    const v1::Verdict& verdict = measurement.verdict();
    std::string decided;
    if (measurement.has_verdict()) {
      decided =
          ActionWord(verdict.action()) + (verdict.reason().empty() ? "" : ": " + verdict.reason());
    }
    rows.push_back({std::to_string(measurement.step()), std::to_string(measurement.attempt()),
                    MetricText(measurement.metrics()), measurement.checkpoint(), decided});
  }
  AddTable("measurements",
           {{"step", true}, {"attempt", true}, {"metrics"}, {"checkpoint"}, {"verdict"}}, rows,
           options, &lines);
  return lines;
}

std::vector<std::string> BestDetails(const v1::Sweep& sweep) {
  std::vector<std::string> lines;
  AddField("best", ObjectiveOf(sweep.spec()) + " " + BestText(sweep), &lines);
  for (const auto& row : ParameterRows(sweep.best_parameters()))
    AddField("", row[0] + " = " + row[1], &lines);
  AddField("command", CommandOf(sweep, sweep.best_trial(), sweep.best_parameters()), &lines);
  return lines;
}

std::string FrontJson(const v1::Sweep& sweep, const std::vector<v1::Trial>& front) {
  JsonObject object;
  object.Text("sweep", sweep.id());
  JsonObject goals;
  for (const v1::Objective& objective : sweep.spec().search().metrics())
    goals.Text(objective.metric(), objective.goal() == v1::GOAL_MAX ? "max" : "min");
  object.Raw("goals", goals.Finish());
  JsonList trials;
  for (const v1::Trial& trial : front) {
    JsonObject one;
    JsonObject values;
    for (const v1::MetricValue& value : trial.objectives()) values.Number(value.name(), value.value());
    one.Integer("trial", trial.number()).Raw("values", values.Finish());
    one.Raw("parameters", ParametersJson(trial.parameters()));
    const std::string command = CommandOf(sweep, trial.number(), trial.parameters());
    if (!command.empty()) one.Text("command", command);
    trials.Raw(one.Finish());
  }
  return object.Raw("trials", trials.Finish()).Finish();
}

std::string BestJson(const v1::Sweep& sweep) {
  JsonObject object;
  object.Text("sweep", sweep.id())
      .Integer("trial", sweep.best_trial())
      .Text("metric", ObjectiveOf(sweep.spec()));
  object.Text("goal", IsMaximised(sweep.spec()) ? "max" : "min")
      .Number("value", sweep.best_value());
  object.Integer("step", sweep.best_step())
      .Integer("mean_of", std::max(1U, sweep.best_repeats()))
      .Raw("parameters", ParametersJson(sweep.best_parameters()));
  const std::string command = CommandOf(sweep, sweep.best_trial(), sweep.best_parameters());
  if (!command.empty()) object.Text("command", command);
  return object.Finish();
}

}  // namespace tunesmith
