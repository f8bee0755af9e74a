#include "spec/wire.h"

#include <algorithm>
#include <cmath>

#include "common/text.h"
#include "spec/json_value.h"
#include "tunesmith/v1/sweep.pb.h"

namespace tunesmith {
namespace {

namespace pb = tunesmith::v1;

void ToWire(const Value& value, pb::ParameterValue* out) {
  if (const auto* b = std::get_if<bool>(&value)) out->set_bool_value(*b);
  if (const auto* i = std::get_if<int64_t>(&value)) out->set_int_value(*i);
  if (const auto* d = std::get_if<double>(&value)) out->set_double_value(*d);
  if (const auto* s = std::get_if<std::string>(&value)) out->set_string_value(*s);
  if (const auto* j = std::get_if<JsonValue>(&value)) out->set_json_value(j->text);
}

// Text that is not JSON stays as it is: Validate refuses it.
Value FromWire(const pb::ParameterValue& value) {
  switch (value.kind_case()) {
    case pb::ParameterValue::kBoolValue:
      return value.bool_value();
    case pb::ParameterValue::kIntValue:
      return static_cast<int64_t>(value.int_value());
    case pb::ParameterValue::kDoubleValue:
      return value.double_value();
    case pb::ParameterValue::kStringValue:
      return value.string_value();
    case pb::ParameterValue::kJsonValue:
      return JsonValue{CanonicalJson(value.json_value()).value_or(value.json_value())};
    case pb::ParameterValue::KIND_NOT_SET:
      break;
  }
  return {};
}

pb::Goal ToWire(Goal goal) { return goal == Goal::kMin ? pb::GOAL_MIN : pb::GOAL_MAX; }

template <typename List>
void ToWire(const std::vector<std::pair<std::string, Value>>& values, List* out) {
  for (const auto& [name, value] : values) {
    auto* item = out->Add();
    item->set_name(name);
    ToWire(value, item->mutable_value());
  }
}

template <typename List>
std::vector<std::pair<std::string, Value>> NamedFromWire(const List& list) {
  std::vector<std::pair<std::string, Value>> values;
  for (const auto& item : list) values.emplace_back(item.name(), FromWire(item.value()));
  return values;
}

void ToWire(int64_t ms, google::protobuf::Duration* out) {
  out->set_seconds(ms / 1000);
  out->set_nanos(static_cast<int32_t>(ms % 1000) * 1'000'000);
}

int64_t MsFromWire(const google::protobuf::Duration& duration, const std::string& field,
                   Problems* problems) {
  constexpr int64_t kSecondsMax = 315'576'000'000;  // the message's own limit, ten thousand years
  if (std::abs(duration.seconds()) > kSecondsMax || std::abs(duration.nanos()) >= 1'000'000'000) {
    problems->push_back({field, "the duration is out of range",
                         "use seconds within ten thousand years and nanos below 10^9"});
    return 0;
  }
  return duration.seconds() * 1000 + duration.nanos() / 1'000'000;
}

pb::ParameterSpec::Range* MutableRange(Distribution distribution, pb::ParameterSpec* out) {
  switch (distribution) {
    case Distribution::kUniform:
      return out->mutable_uniform();
    case Distribution::kQUniform:
      return out->mutable_quniform();
    case Distribution::kLogUniform:
      return out->mutable_loguniform();
    case Distribution::kQLogUniform:
      return out->mutable_qloguniform();
    case Distribution::kRandInt:
      return out->mutable_randint();
    case Distribution::kQRandInt:
      return out->mutable_qrandint();
    case Distribution::kLogRandInt:
      return out->mutable_lograndint();
    case Distribution::kQLogRandInt:
      return out->mutable_qlograndint();
    default:
      return nullptr;
  }
}

void DistributionToWire(const Parameter& p, pb::ParameterSpec* out) {
  if (p.distribution == Distribution::kConstant) {
    auto* constant = out->mutable_constant();
    if (!p.options.empty()) ToWire(p.options[0], constant);
  } else if (HasOptions(p.distribution)) {
    auto* values =
        p.distribution == Distribution::kGrid ? out->mutable_grid() : out->mutable_choice();
    for (const Value& value : p.options) ToWire(value, values->add_values());
  } else if (auto* range = MutableRange(p.distribution, out)) {
    range->set_lo(p.lo);
    range->set_hi(p.hi);
    range->set_q(p.q);
  } else {
    auto* normal =
        p.distribution == Distribution::kQNormal ? out->mutable_qnormal() : out->mutable_normal();
    normal->set_mean(p.mean);
    normal->set_sd(p.sd);
    normal->set_q(p.q);
  }
}

void ToWire(const Parameter& p, const std::vector<Parameter>& all, pb::ParameterSpec* out) {
  out->set_name(p.name);
  DistributionToWire(p, out);
  for (const Condition& c : p.when) {
    auto* condition = out->add_when();
    condition->set_parameter(c.on.empty() && c.parent < all.size() ? all[c.parent].name : c.on);
    condition->set_op(static_cast<pb::ParameterSpec::Condition::Op>(static_cast<int>(c.op) + 1));
    for (const Value& value : c.values) ToWire(value, condition->add_values());
  }
}

void RangeFromWire(Distribution distribution, const pb::ParameterSpec::Range& range,
                   Parameter* out) {
  out->distribution = distribution;
  out->lo = range.lo();
  out->hi = range.hi();
  const std::string_view name = DistributionName(distribution);
  out->q = name.front() == 'q' ? range.q() : 0;
}

void NormalFromWire(Distribution distribution, const pb::ParameterSpec::Normal& normal,
                    Parameter* out) {
  out->distribution = distribution;
  out->mean = normal.mean();
  out->sd = normal.sd();
  out->q = distribution == Distribution::kQNormal ? normal.q() : 0;
}

void OptionsFromWire(Distribution distribution, const pb::ParameterSpec::Values& values,
                     Parameter* out) {
  out->distribution = distribution;
  for (const auto& value : values.values()) out->options.push_back(FromWire(value));
}

// False if no distribution is set.
bool DistributionFromWire(const pb::ParameterSpec& in, Parameter* out) {
  using Spec = pb::ParameterSpec;
  using D = Distribution;
  switch (in.distribution_case()) {
    case Spec::kConstant:
      out->options = {FromWire(in.constant())};
      return true;
    case Spec::kChoice:
      OptionsFromWire(D::kChoice, in.choice(), out);
      return true;
    case Spec::kGrid:
      OptionsFromWire(D::kGrid, in.grid(), out);
      return true;
    case Spec::kUniform:
      RangeFromWire(D::kUniform, in.uniform(), out);
      return true;
    case Spec::kQuniform:
      RangeFromWire(D::kQUniform, in.quniform(), out);
      return true;
    case Spec::kLoguniform:
      RangeFromWire(D::kLogUniform, in.loguniform(), out);
      return true;
    case Spec::kQloguniform:
      RangeFromWire(D::kQLogUniform, in.qloguniform(), out);
      return true;
    case Spec::kRandint:
      RangeFromWire(D::kRandInt, in.randint(), out);
      return true;
    case Spec::kQrandint:
      RangeFromWire(D::kQRandInt, in.qrandint(), out);
      return true;
    case Spec::kLograndint:
      RangeFromWire(D::kLogRandInt, in.lograndint(), out);
      return true;
    case Spec::kQlograndint:
      RangeFromWire(D::kQLogRandInt, in.qlograndint(), out);
      return true;
    case Spec::kNormal:
      NormalFromWire(D::kNormal, in.normal(), out);
      return true;
    case Spec::kQnormal:
      NormalFromWire(D::kQNormal, in.qnormal(), out);
      return true;
    case Spec::DISTRIBUTION_NOT_SET:
      break;
  }
  return false;
}

void ParametersFromWire(const pb::SweepSpec& in, SweepSpec* out, Problems* problems) {
  for (const auto& item : in.parameters()) {
    Parameter& p = out->parameters.emplace_back();
    p.name = item.name();
    if (!DistributionFromWire(item, &p)) {
      problems->push_back({"parameters." + p.name, "the parameter has no distribution",
                           "set one, such as uniform or choice"});
    }
    for (const auto& condition : item.when()) {
      const int op = static_cast<int>(condition.op()) - 1;
      if (op < 0 || op > static_cast<int>(Condition::Op::kGreaterEqual)) {
        problems->push_back({"parameters." + p.name + ".when", "the condition has no comparison",
                             "set op, such as IN"});
        continue;
      }
      Condition& c = p.when.emplace_back();
      c.on = condition.parameter();
      c.op = static_cast<Condition::Op>(op);
      for (const auto& value : condition.values()) c.values.push_back(FromWire(value));
    }
  }
  std::vector<std::string> names;
  for (const Parameter& p : out->parameters) names.push_back(p.name);
  for (Parameter& p : out->parameters) {
    for (Condition& c : p.when) {
      const auto parent = std::find(names.begin(), names.end(), c.on);
      if (!c.on.empty() && parent != names.end()) {
        c.parent = static_cast<size_t>(parent - names.begin());
        continue;
      }
      const std::string closest = ClosestWord(c.on, names);
      problems->push_back({"parameters." + p.name + ".when",
                           "there is no parameter \"" + c.on + "\"",
                           closest.empty() ? "name a parameter of this sweep"
                                           : "did you mean \"" + closest + "\"?"});
    }
  }
}

void ToWire(const ProgramSpec& program, pb::ProgramSpec* out) {
  for (const std::string& word : program.command) out->add_command(word);
  out->set_args(static_cast<pb::ProgramSpec::ArgStyle>(static_cast<int>(program.args) + 1));
  out->set_workdir(program.workdir);
  for (const auto& [name, value] : program.env) (*out->mutable_env())[name] = value;
  out->set_builtin(program.builtin);
  ToWire(program.options, out->mutable_options());
}

void FromWire(const pb::ProgramSpec& in, ProgramSpec* out, Problems* problems) {
  out->command.assign(in.command().begin(), in.command().end());
  if (in.args() > pb::ProgramSpec::NONE || in.args() < 0) {
    problems->push_back(
        {"args", "there is no argument style number " + std::to_string(in.args()), "use GNU"});
  } else if (in.args() != pb::ProgramSpec::ARG_STYLE_UNSPECIFIED) {
    out->args = static_cast<ArgStyle>(static_cast<int>(in.args()) - 1);
  }
  out->workdir = in.workdir();
  for (const auto& [name, value] : in.env()) out->env.emplace_back(name, value);
  std::sort(out->env.begin(), out->env.end());  // a protobuf map has no order
  out->builtin = in.builtin();
  out->options = NamedFromWire(in.options());
}

void ToWire(const PbtOptions& pbt, pb::SchedulerSpec::Pbt* out) {
  out->set_perturbation_interval(pbt.perturbation_interval);
  out->set_burn_in_period(pbt.burn_in_period);
  out->set_quantile_fraction(pbt.quantile_fraction);
  out->set_resample_probability(pbt.resample_probability);
  for (const double factor : pbt.perturbation_factors) out->add_perturbation_factors(factor);
  for (const Mutation& mutation : pbt.mutations) {
    auto* message = out->add_mutations();
    message->mutable_values()->set_name(mutation.name);
    if (mutation.from != Mutation::From::kOwn) DistributionToWire(mutation.values, message->mutable_values());
    message->set_list(mutation.from == Mutation::From::kList);
  }
  out->set_synch(pbt.synch);
}

void FromWire(const pb::SchedulerSpec::Pbt& in, PbtOptions* out, Problems* problems) {
  out->perturbation_interval = in.perturbation_interval();
  out->burn_in_period = in.burn_in_period();
  if (in.has_quantile_fraction()) out->quantile_fraction = in.quantile_fraction();
  if (in.has_resample_probability()) out->resample_probability = in.resample_probability();
  if (in.perturbation_factors_size() > 0) {
    out->perturbation_factors.assign(in.perturbation_factors().begin(), in.perturbation_factors().end());
  }
  for (const auto& message : in.mutations()) {
    Mutation& mutation = out->mutations.emplace_back();
    mutation.name = message.values().name();
    const bool own = !DistributionFromWire(message.values(), &mutation.values);
    mutation.values.name = own ? "" : mutation.name;
    if (!own) mutation.from = message.list() ? Mutation::From::kList : Mutation::From::kDistribution;
    if (message.list() && (own || mutation.values.distribution != Distribution::kChoice)) {
      problems->push_back({"scheduler.mutations." + mutation.name, "the list has no values", "set choice"});
    }
  }
  out->synch = in.synch();
}

void ToWire(const SchedulerSpec& s, pb::SchedulerSpec* out) {
  out->set_type(s.type);
  out->set_metric(s.metric);
  if (!s.metric.empty()) out->set_goal(ToWire(s.goal));
  out->set_max_t(s.max_t);
  out->set_grace_period(s.grace_period);
  if (s.reduction_factor) out->set_reduction_factor(*s.reduction_factor);
  out->set_brackets(s.brackets);
  out->set_min_samples_required(s.min_samples_required);
  out->set_stop_last_trials(s.stop_last_trials);
  out->set_promotion(s.promotion);
  out->set_compat_ray(s.compat_ray);
  if (s.pbt != PbtOptions()) ToWire(s.pbt, out->mutable_pbt());
}

// A goal that is not set is never guessed, but for the scheduler's, which follows the searcher's on
// the same metric.
void GoalFromWire(pb::Goal in, const std::string& field, Goal* out, Problems* problems) {
  if (in == pb::GOAL_MIN || in == pb::GOAL_MAX) {
    *out = in == pb::GOAL_MIN ? Goal::kMin : Goal::kMax;
  } else {
    problems->push_back(
        {field, "is a small or a large value good?", "set the goal to GOAL_MIN or GOAL_MAX"});
  }
}

void FromWire(const pb::SearchSpec& in, SearchSpec* out, Problems* problems) {
  if (!in.type().empty()) out->type = in.type();
  out->metric = in.metric();
  for (int i = 0; i < in.metrics_size(); ++i) {
    Objective& objective = out->objectives.emplace_back();
    objective.metric = in.metrics(i).metric();
    GoalFromWire(in.metrics(i).goal(), "search.metrics[" + std::to_string(i) + "]", &objective.goal,
                 problems);
  }
  if (!out->objectives.empty() && out->metric.empty()) {
    out->metric = out->objectives[0].metric;
    out->goal = out->objectives[0].goal;
  } else if (!out->metric.empty()) {
    GoalFromWire(in.goal(), "search.mode", &out->goal, problems);
  }
  if (in.has_seed()) out->seed = in.seed();
  out->options = NamedFromWire(in.options());
  out->require.assign(in.require().begin(), in.require().end());
  out->warm_start.assign(in.warm_start().begin(), in.warm_start().end());
}

// The goal of an objective with this name.
std::optional<Goal> GoalOf(const SearchSpec& search, const std::string& metric) {
  if (metric == search.metric) return search.goal;
  for (const Objective& objective : search.objectives) {
    if (objective.metric == metric) return objective.goal;
  }
  return std::nullopt;
}

void FromWire(const pb::SchedulerSpec& in, const SearchSpec& search, pb::Goal search_goal,
              SchedulerSpec* out, Problems* problems) {
  if (!in.type().empty()) out->type = in.type();
  out->metric = in.metric();
  if (out->metric.empty()) {
    if (in.goal() != pb::GOAL_UNSPECIFIED && in.goal() != search_goal) {
      problems->push_back({"scheduler.mode",
                           "the scheduler follows the searcher's metric, but the other way",
                           "name the scheduler's own metric too"});
    }
  } else if (GoalOf(search, out->metric) && in.goal() == pb::GOAL_UNSPECIFIED) {
    out->goal = *GoalOf(search, out->metric);
  } else {
    GoalFromWire(in.goal(), "scheduler.mode", &out->goal, problems);
  }
  out->max_t = in.max_t();
  if (in.has_grace_period()) out->grace_period = in.grace_period();
  if (in.has_reduction_factor()) out->reduction_factor = in.reduction_factor();
  if (in.has_brackets()) out->brackets = in.brackets();
  if (in.has_min_samples_required()) out->min_samples_required = in.min_samples_required();
  if (in.has_stop_last_trials()) out->stop_last_trials = in.stop_last_trials();
  out->promotion = in.promotion();
  out->compat_ray = in.compat_ray();
  if (in.has_pbt()) FromWire(in.pbt(), &out->pbt, problems);
}

void ToWireLimits(const SweepSpec& spec, pb::SweepSpec* out) {
  auto* budget = out->mutable_budget();
  budget->set_trials(spec.budget.trials);
  if (spec.budget.wall_ms != 0) ToWire(spec.budget.wall_ms, budget->mutable_wall());
  budget->set_failures(spec.budget.failures);
  budget->set_max_parallel(spec.budget.max_parallel);
  budget->set_gpu_hours(spec.budget.gpu_hours);
  out->set_repeats(spec.repeats);
  if (spec.share != ShareSpec{}) {
    auto* share = out->mutable_share();
    share->set_priority(spec.share.priority);
    share->set_weight(spec.share.weight);
    share->set_preemptible(spec.share.preemptible == Preemptible::kAlways  ? pb::SweepSpec::Share::ALWAYS
                           : spec.share.preemptible == Preemptible::kNever ? pb::SweepSpec::Share::NEVER
                                                                           : pb::SweepSpec::Share::CHECKPOINT);
  }
  auto* resources = out->mutable_resources();
  resources->set_gpus(spec.resources.gpus);
  resources->set_gpus_optional(spec.resources.gpus_optional);
  resources->set_cpus(spec.resources.cpus);
  resources->set_gpu_memory_bytes(spec.resources.gpu_memory_bytes);
  for (const auto& [key, value] : spec.resources.labels) (*resources->mutable_labels())[key] = value;
  if (spec.resources.placement == Placement::kSpread) resources->set_placement(pb::ResourceSpec::SPREAD);
  if (spec.resources.ranks != 1) resources->set_ranks(spec.resources.ranks);
  out->mutable_retry()->set_failed(spec.retry.failed);
  out->mutable_retry()->set_lost(spec.retry.lost);
  ToWire(spec.stop_grace_ms, out->mutable_stop_grace());
  if (spec.checkpoints != CheckpointSpec()) {
    auto* checkpoints = out->mutable_checkpoints();
    checkpoints->set_store(spec.checkpoints.store);
    checkpoints->set_keep_best(spec.checkpoints.keep_best);
    checkpoints->set_keep_stopped(spec.checkpoints.keep_stopped);
    checkpoints->set_max_bytes(spec.checkpoints.max_bytes);
  }
  if (spec.stop == StopSpec{}) return;
  auto* stop = out->mutable_stop();
  stop->set_max_steps(spec.stop.max_steps);
  if (spec.stop.target) stop->set_target(*spec.stop.target);
  if (!spec.stop.plateau) return;
  auto* plateau = stop->mutable_plateau();
  plateau->set_metric(spec.stop.plateau->metric);
  plateau->set_std(spec.stop.plateau->std);
  plateau->set_num_results(spec.stop.plateau->num_results);
  plateau->set_grace_period(spec.stop.plateau->grace_period);
}

void FromWireLimits(const pb::SweepSpec& in, SweepSpec* out, Problems* problems) {
  out->budget.trials = in.budget().trials();
  if (in.budget().has_wall())
    out->budget.wall_ms = MsFromWire(in.budget().wall(), "budget.wall", problems);
  out->budget.failures = in.budget().failures();
  out->budget.max_parallel = in.budget().max_parallel();
  out->budget.gpu_hours = in.budget().gpu_hours();
  out->stop.max_steps = in.stop().max_steps();
  if (in.stop().has_target()) out->stop.target = in.stop().target();
  if (in.stop().has_plateau()) {
    const auto& plateau = in.stop().plateau();
    PlateauSpec& own = out->stop.plateau.emplace();
    own.metric = plateau.metric();
    if (plateau.has_std()) own.std = plateau.std();
    if (plateau.has_num_results()) own.num_results = plateau.num_results();
    if (plateau.has_grace_period()) own.grace_period = plateau.grace_period();
  }
  if (in.has_repeats()) out->repeats = in.repeats();
  out->share.priority = in.share().priority();
  if (in.share().has_weight()) out->share.weight = in.share().weight();
  switch (in.share().preemptible()) {
    case pb::SweepSpec::Share::PREEMPTIBLE_UNSPECIFIED:
    case pb::SweepSpec::Share::CHECKPOINT: break;
    case pb::SweepSpec::Share::NEVER: out->share.preemptible = Preemptible::kNever; break;
    case pb::SweepSpec::Share::ALWAYS: out->share.preemptible = Preemptible::kAlways; break;
    default:
      problems->push_back({"preemptible", std::to_string(in.share().preemptible()) + " is no known value",
                           "set CHECKPOINT, NEVER or ALWAYS"});
  }
  out->resources.gpus = in.resources().gpus();
  out->resources.gpus_optional = in.resources().gpus_optional();
  if (in.resources().ranks() != 0) out->resources.ranks = in.resources().ranks();
  out->resources.cpus = in.resources().has_cpus() ? in.resources().cpus() : std::max(1, out->resources.ranks);
  out->resources.gpu_memory_bytes = in.resources().gpu_memory_bytes();
  out->resources.labels.insert(in.resources().labels().begin(), in.resources().labels().end());
  if (in.resources().placement() == pb::ResourceSpec::SPREAD) out->resources.placement = Placement::kSpread;
  if (in.retry().has_failed()) out->retry.failed = in.retry().failed();
  if (in.retry().has_lost()) out->retry.lost = in.retry().lost();
  const auto& checkpoints = in.checkpoints();
  if (checkpoints.has_store()) out->checkpoints.store = checkpoints.store();
  if (checkpoints.has_keep_best()) out->checkpoints.keep_best = checkpoints.keep_best();
  out->checkpoints.keep_stopped = checkpoints.keep_stopped();
  out->checkpoints.max_bytes = checkpoints.max_bytes();
  if (in.has_stop_grace()) out->stop_grace_ms = MsFromWire(in.stop_grace(), "stop.grace", problems);
}

void CollectFromWire(const pb::SweepSpec& in, SweepSpec* out, Problems* problems) {
  for (int i = 0; i < in.collect_size(); ++i) {
    const auto& rule = in.collect(i);
    if (rule.kind() < pb::CollectRule::AUTO || rule.kind() > pb::CollectRule::REGEX) {
      problems->push_back({"collect[" + std::to_string(i) + "]", "the rule has no kind",
                           "set AUTO, JSON or REGEX"});
      continue;
    }
    const bool regex = rule.kind() == pb::CollectRule::REGEX;
    out->collect.push_back({static_cast<CollectRule::Kind>(static_cast<int>(rule.kind()) - 1),
                            regex ? rule.regex() : ""});
  }
}

}  // namespace

std::string SweepSpecToWire(const SweepSpec& spec) {
  pb::SweepSpec out;
  out.set_name(spec.name);
  ToWire(spec.program, out.mutable_program());
  for (const Parameter& p : spec.parameters) ToWire(p, spec.parameters, out.add_parameters());
  for (const std::string& constraint : spec.constraints) out.add_constraints(constraint);
  auto* search = out.mutable_search();
  search->set_type(spec.search.type);
  search->set_metric(spec.search.metric);
  search->set_goal(ToWire(spec.search.goal));
  if (spec.search.seed) search->set_seed(*spec.search.seed);
  for (const std::string& id : spec.search.warm_start) search->add_warm_start(id);
  ToWire(spec.search.options, search->mutable_options());
  for (const std::string& text : spec.search.require) search->add_require(text);
  for (const Objective& objective : spec.search.objectives) {
    auto* item = search->add_metrics();
    item->set_metric(objective.metric);
    item->set_goal(ToWire(objective.goal));
  }
  ToWire(spec.scheduler, out.mutable_scheduler());
  ToWireLimits(spec, &out);
  for (const CollectRule& rule : spec.collect) {
    auto* item = out.add_collect();
    item->set_kind(static_cast<pb::CollectRule::Kind>(static_cast<int>(rule.kind) + 1));
    item->set_regex(rule.regex);
  }
  for (const auto& point : spec.points) ToWire(point, out.add_points()->mutable_values());
  for (const std::string& column : spec.parameter_columns) out.add_parameter_columns(column);
  for (const std::string& column : spec.metric_columns) out.add_metric_columns(column);
  out.set_ask_tell(spec.ask_tell);
  return out.SerializeAsString();
}

StatusOr<SweepSpec> SweepSpecFromWire(std::string_view bytes, Problems* problems) {
  pb::SweepSpec in;
  if (!in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return InvalidArgument("the bytes are not a tunesmith.v1.SweepSpec message");
  }
  SweepSpec out;
  out.name = in.name();
  FromWire(in.program(), &out.program, problems);
  ParametersFromWire(in, &out, problems);
  out.constraints.assign(in.constraints().begin(), in.constraints().end());
  FromWire(in.search(), &out.search, problems);
  FromWire(in.scheduler(), out.search, in.search().goal(), &out.scheduler, problems);
  FromWireLimits(in, &out, problems);
  CollectFromWire(in, &out, problems);
  for (const auto& point : in.points()) out.points.push_back(NamedFromWire(point.values()));
  out.parameter_columns.assign(in.parameter_columns().begin(), in.parameter_columns().end());
  out.metric_columns.assign(in.metric_columns().begin(), in.metric_columns().end());
  out.ask_tell = in.ask_tell();
  return out;
}

}  // namespace tunesmith
