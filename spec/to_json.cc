// SweepSpecToJson: the sweep file that says the same, so that it can be edited and submitted again.
#include <cmath>

#include "common/json_text.h"
#include "common/text.h"
#include "spec/reader.h"
#include "spec/sweep_spec.h"

namespace tunesmith {
namespace {

// Writes {"a":1,...}; a key begins with the comma that it needs.
class Writer {
 public:
  void Open(char bracket) {
    out_ += bracket;
    fresh_ = true;
  }
  void Close(char bracket) {
    out_ += bracket;
    fresh_ = false;
  }
  void Comma() {
    if (!fresh_) out_ += ',';
    fresh_ = false;
  }
  void Key(std::string_view key) {
    Comma();
    AppendJsonString(key, &out_);
    out_ += ':';
  }
  void OpenKey(std::string_view key, char bracket) {
    Key(key);
    Open(bracket);
  }
  void Text(std::string_view key, std::string_view text) {
    Key(key);
    AppendJsonString(text, &out_);
  }
  void Integer(std::string_view key, int64_t value) {
    Key(key);
    out_ += std::to_string(value);
  }
  void Bool(std::string_view key, bool value) {
    Key(key);
    out_ += value ? "true" : "false";
  }
  void Number(std::string_view key, double value) {
    Key(key);
    AppendNumber(value);
  }
  // Whole numbers without ".0", as a person writes bounds.
  void AppendNumber(double value) {
    if (value == std::floor(value) && std::fabs(value) < 0x1p53) {
      out_ += std::to_string(static_cast<int64_t>(value));
    } else {
      AppendJsonDouble(value, &out_);
    }
  }
  void AppendValue(const Value& value) { AppendValueJson(value, &out_); }
  void Texts(std::string_view key, const std::vector<std::string>& texts) {
    OpenKey(key, '[');
    for (const std::string& text : texts) {
      Comma();
      AppendJsonString(text, &out_);
    }
    Close(']');
  }
  void Raw(std::string_view text) { out_ += text; }
  std::string Take() { return std::move(out_); }

 private:
  std::string out_;
  bool fresh_ = true;
};

const char* GoalText(Goal goal) { return goal == Goal::kMin ? "min" : "max"; }

void WriteValues(const std::vector<Value>& values, Writer* w) {
  w->Open('[');
  for (const Value& value : values) {
    w->Comma();
    w->AppendValue(value);
  }
  w->Close(']');
}

void WriteNamed(const std::vector<std::pair<std::string, Value>>& values, Writer* w) {
  for (const auto& [name, value] : values) {
    w->Key(name);
    w->AppendValue(value);
  }
}

void WriteNumbers(std::initializer_list<double> numbers, Writer* w) {
  w->Open('[');
  for (const double number : numbers) {
    w->Comma();
    w->AppendNumber(number);
  }
  w->Close(']');
}

// One condition is {"parent": {"in": [...]}}; several are a list of such, since a parent may come
// twice.
void WriteWhen(const Parameter& parameter, const std::vector<Parameter>& all, Writer* w) {
  if (parameter.when.empty()) return;
  w->Key("when");
  const bool list = parameter.when.size() > 1;
  if (list) w->Open('[');
  for (const Condition& c : parameter.when) {
    if (list) w->Comma();
    w->Open('{');
    w->Key(c.on.empty() && c.parent < all.size() ? all[c.parent].name : c.on);
    const bool membership = c.op == Condition::Op::kIn || c.op == Condition::Op::kNotIn;
    if (c.op == Condition::Op::kIn && c.values.size() == 1 &&
        !std::holds_alternative<JsonValue>(c.values[0])) {
      w->AppendValue(c.values[0]);
    } else {
      w->Open('{');
      w->Key(OperatorText(c.op));
      if (membership) {
        WriteValues(c.values, w);
      } else if (!c.values.empty()) {
        w->AppendValue(c.values[0]);
      } else {
        w->Raw("null");
      }
      w->Close('}');
    }
    w->Close('}');
  }
  if (list) w->Close(']');
}

void WriteParameter(const Parameter& p, const std::vector<Parameter>& all, Writer* w) {
  w->OpenKey(p.name, '{');
  w->Key(DistributionName(p.distribution));
  switch (p.distribution) {
    case Distribution::kConstant:
      if (p.options.empty()) {
        w->Raw("null");
      } else {
        w->AppendValue(p.options[0]);
      }
      break;
    case Distribution::kChoice:
    case Distribution::kGrid:
      WriteValues(p.options, w);
      break;
    case Distribution::kUniform:
    case Distribution::kLogUniform:
    case Distribution::kRandInt:
    case Distribution::kLogRandInt:
      WriteNumbers({p.lo, p.hi}, w);
      break;
    case Distribution::kQUniform:
    case Distribution::kQLogUniform:
    case Distribution::kQRandInt:
    case Distribution::kQLogRandInt:
      WriteNumbers({p.lo, p.hi, p.q}, w);
      break;
    case Distribution::kNormal:
      WriteNumbers({p.mean, p.sd}, w);
      break;
    case Distribution::kQNormal:
      WriteNumbers({p.mean, p.sd, p.q}, w);
      break;
  }
  WriteWhen(p, all, w);
  w->Close('}');
}

void WriteProgram(const ProgramSpec& program, Writer* w) {
  if (!program.command.empty()) w->Texts("command", program.command);
  if (!program.builtin.empty() || !program.options.empty()) {
    w->OpenKey("trainable", '{');
    w->Text("builtin", program.builtin);
    WriteNamed(program.options, w);
    w->Close('}');
  }
  if (program.args != ArgStyle::kGnu) w->Text("args", ArgStyleName(program.args));
  if (!program.workdir.empty()) w->Text("workdir", program.workdir);
  if (program.env.empty()) return;
  w->OpenKey("env", '{');
  for (const auto& [name, value] : program.env) w->Text(name, value);
  w->Close('}');
}

void WriteSearch(const SearchSpec& search, Writer* w) {
  w->OpenKey("search", '{');
  w->Text("type", search.type);
  if (search.objectives.empty()) {
    if (!search.metric.empty()) w->Text("metric", search.metric);
    w->Text("mode", GoalText(search.goal));
  } else {
    w->OpenKey("metrics", '[');
    for (const Objective& objective : search.objectives) {
      w->Comma();
      w->Open('{');
      w->Text("name", objective.metric);
      w->Text("mode", GoalText(objective.goal));
      w->Close('}');
    }
    w->Close(']');
  }
  if (!search.require.empty()) w->Texts("require", search.require);
  if (search.seed) {
    w->Key("seed");
    w->Raw(std::to_string(*search.seed));
  }
  if (!search.warm_start.empty()) w->Texts("warm_start", search.warm_start);
  WriteNamed(search.options, w);
  w->Close('}');
}

void WritePbt(const PbtOptions& pbt, Writer* w) {
  const PbtOptions defaults;
  if (pbt.perturbation_interval != 0) w->Integer("perturbation_interval", pbt.perturbation_interval);
  if (pbt.burn_in_period != 0) w->Integer("burn_in_period", pbt.burn_in_period);
  if (pbt.quantile_fraction != defaults.quantile_fraction) w->Number("quantile_fraction", pbt.quantile_fraction);
  if (pbt.resample_probability != defaults.resample_probability) {
    w->Number("resample_probability", pbt.resample_probability);
  }
  if (pbt.perturbation_factors != defaults.perturbation_factors) {
    w->OpenKey("perturbation_factors", '[');
    for (const double factor : pbt.perturbation_factors) {
      w->Comma();
      w->AppendNumber(factor);
    }
    w->Close(']');
  }
  if (!pbt.mutations.empty()) {
    w->OpenKey("mutations", '{');
    for (const Mutation& mutation : pbt.mutations) {
      if (mutation.from == Mutation::From::kOwn) {
        w->Key(mutation.name);
        w->Raw("null");
      } else if (mutation.from == Mutation::From::kList) {
        w->Key(mutation.name);
        WriteValues(mutation.values.options, w);
      } else {
        WriteParameter(mutation.values, {}, w);
      }
    }
    w->Close('}');
  }
  if (pbt.synch) w->Bool("synch", true);
}

void WriteScheduler(const SchedulerSpec& s, Writer* w) {
  const SchedulerSpec defaults;
  w->OpenKey("scheduler", '{');
  w->Text("type", s.type);
  if (!s.metric.empty()) {
    w->Text("metric", s.metric);
    w->Text("mode", GoalText(s.goal));
  }
  if (s.max_t != 0) w->Integer("max_t", s.max_t);
  if (s.grace_period != defaults.grace_period) w->Number("grace_period", s.grace_period);
  if (s.reduction_factor) w->Number("reduction_factor", *s.reduction_factor);
  if (s.brackets != defaults.brackets) w->Integer("brackets", s.brackets);
  if (s.min_samples_required != defaults.min_samples_required)
    w->Integer("min_samples_required", s.min_samples_required);
  if (s.stop_last_trials != defaults.stop_last_trials)
    w->Bool("stop_last_trials", s.stop_last_trials);
  WritePbt(s.pbt, w);
  if (s.promotion) w->Text("variant", "promotion");
  if (s.compat_ray) w->Text("compat", "ray");
  w->Close('}');
}

void WriteLimits(const SweepSpec& spec, Writer* w) {
  w->OpenKey("budget", '{');
  w->Integer("trials", spec.budget.trials);
  if (spec.budget.wall_ms != 0) w->Text("wall", DurationText(spec.budget.wall_ms));
  if (spec.budget.failures != 0) w->Integer("failures", spec.budget.failures);
  if (spec.budget.max_parallel != 0) w->Integer("max_parallel", spec.budget.max_parallel);
  if (spec.budget.gpu_hours != 0) w->Number("gpu_hours", spec.budget.gpu_hours);
  w->Close('}');
  const ShareSpec& share = spec.share;
  if (share.priority != 0) w->Integer("priority", share.priority);
  if (share.weight != 1) w->Number("weight", share.weight);
  if (share.preemptible != Preemptible::kCheckpoint) w->Text("preemptible", PreemptibleName(share.preemptible));
  if (spec.repeats != 1) w->Integer("repeats", spec.repeats);
  w->OpenKey("resources", '{');
  w->Number("gpus", spec.resources.gpus);
  if (spec.resources.gpus_optional) w->Bool("gpus_optional", true);
  w->Integer("cpus", spec.resources.cpus);
  if (spec.resources.gpu_memory_bytes != 0) w->Text("gpu_memory", SizeText(spec.resources.gpu_memory_bytes));
  if (!spec.resources.labels.empty()) {
    w->OpenKey("labels", '{');
    for (const auto& [key, value] : spec.resources.labels) w->Text(key, value);
    w->Close('}');
  }
  if (spec.resources.placement == Placement::kSpread) w->Text("placement", "spread");
  if (spec.resources.ranks != 1) w->Integer("ranks", spec.resources.ranks);
  w->Close('}');
  w->OpenKey("retry", '{');
  w->Integer("failed", spec.retry.failed);
  w->Integer("lost", spec.retry.lost);
  w->Close('}');
  const CheckpointSpec& checkpoints = spec.checkpoints;
  if (checkpoints != CheckpointSpec()) {
    w->OpenKey("checkpoints", '{');
    if (!checkpoints.store) w->Bool("store", false);
    if (!checkpoints.keep_best) w->Bool("keep_best", false);
    if (checkpoints.keep_stopped) w->Bool("keep_stopped", true);
    if (checkpoints.max_bytes != 0) w->Number("max_gb", static_cast<double>(checkpoints.max_bytes) / 1e9);
    w->Close('}');
  }
  w->OpenKey("stop", '{');
  w->Text("grace", DurationText(spec.stop_grace_ms));
  if (spec.stop.max_steps != 0) w->Integer("max_steps", spec.stop.max_steps);
  if (spec.stop.plateau) {
    const PlateauSpec& plateau = *spec.stop.plateau;
    w->OpenKey("plateau", '{');
    if (!plateau.metric.empty()) w->Text("metric", plateau.metric);
    w->Number("std", plateau.std);
    w->Integer("num_results", plateau.num_results);
    w->Integer("grace_period", plateau.grace_period);
    w->Close('}');
  }
  if (spec.stop.target) w->Number("target", *spec.stop.target);
  w->Close('}');
}

void WriteCollect(const std::vector<CollectRule>& rules, Writer* w) {
  if (rules.empty()) return;
  w->OpenKey("collect", '[');
  for (const CollectRule& rule : rules) {
    w->Comma();
    if (rule.kind != CollectRule::Kind::kRegex) {
      w->Raw(rule.kind == CollectRule::Kind::kJson ? "\"json\"" : "\"auto\"");
      continue;
    }
    w->Open('{');
    w->Text("regex", rule.regex);
    w->Close('}');
  }
  w->Close(']');
}

}  // namespace

std::string SweepSpecToJson(const SweepSpec& spec) {
  Writer w;
  w.Open('{');
  w.Text("name", spec.name);
  WriteProgram(spec.program, &w);
  w.OpenKey("parameters", '{');
  for (const Parameter& p : spec.parameters) WriteParameter(p, spec.parameters, &w);
  w.Close('}');
  if (!spec.constraints.empty()) w.Texts("constraints", spec.constraints);
  WriteSearch(spec.search, &w);
  WriteScheduler(spec.scheduler, &w);
  WriteLimits(spec, &w);
  WriteCollect(spec.collect, &w);
  if (!spec.points.empty()) {
    w.OpenKey("points", '[');
    for (const auto& point : spec.points) {
      w.Comma();
      w.Open('{');
      WriteNamed(point, &w);
      w.Close('}');
    }
    w.Close(']');
  }
  if (!spec.parameter_columns.empty() || !spec.metric_columns.empty()) {
    w.OpenKey("report", '{');
    if (!spec.parameter_columns.empty()) w.Texts("parameters", spec.parameter_columns);
    if (!spec.metric_columns.empty()) w.Texts("metrics", spec.metric_columns);
    w.Close('}');
  }
  if (spec.ask_tell) w.Bool("ask_tell", true);
  w.Close('}');
  return w.Take();
}

}  // namespace tunesmith
