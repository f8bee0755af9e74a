// Random sweeps that pass Validate, in the form that a reader gives them (fields that mean nothing
// are at defaults).
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "common/rng.h"
#include "common/text.h"
#include "spec/json_value.h"
#include "spec/sweep_spec.h"

namespace tunesmith {

class RandomSpec {
 public:
  explicit RandomSpec(uint64_t seed) : rng_(seed) {}

  void Pbt(SweepSpec* spec) {
    if (spec->ask_tell || rng_.Below(3) != 0) return;
    spec->repeats = 1;
    spec->checkpoints.store = true;
    SchedulerSpec& scheduler = spec->scheduler;
    scheduler = {.type = "pbt", .metric = "m", .max_t = static_cast<int64_t>(rng_.Below(100))};
    PbtOptions& pbt = scheduler.pbt;
    pbt.perturbation_interval = 1 + static_cast<int64_t>(rng_.Below(100));
    if (Coin()) pbt.burn_in_period = static_cast<int64_t>(rng_.Below(100));
    if (Coin()) pbt.quantile_fraction = rng_.Uniform() / 2;
    if (Coin()) pbt.resample_probability = rng_.Uniform();
    if (Coin()) pbt.perturbation_factors = {2, 0.5, rng_.Uniform() + 0.001};
    pbt.synch = Coin();
    for (const Parameter& p : spec->parameters) {
      if (p.distribution == Distribution::kConstant) continue;
      Mutation& mutation = pbt.mutations.emplace_back();
      mutation.name = p.name;
      if (Coin() || p.distribution == Distribution::kGrid) continue;
      mutation.values = p;
      mutation.values.when.clear();
      mutation.from = p.distribution == Distribution::kChoice ? Mutation::From::kList : Mutation::From::kDistribution;
    }
    if (pbt.mutations.empty()) scheduler = {};
  }

  SweepSpec Make() {
    SweepSpec spec;
    spec.name = "s" + std::to_string(rng_.Below(1000));
    Parameters(&spec);
    Constraints(&spec);
    Program(&spec);
    spec.search.type = OneOf({"tpe", "random"});
    spec.search.metric = OneOf({"loss", "val/acc", "größe: 1", "true", "1"});
    spec.search.goal = Coin() ? Goal::kMax : Goal::kMin;
    if (rng_.Below(3) == 0) {
      spec.search.objectives = {{spec.search.metric, spec.search.goal}};
      for (const char* other : {"a:min", "b", "c c"}) {
        if (Coin()) spec.search.objectives.push_back({other, Coin() ? Goal::kMax : Goal::kMin});
      }
      if (spec.search.objectives.size() < 2) spec.search.objectives.clear();
    }
    if (Coin()) spec.search.require = {"loss 3 <= " + DoubleText(Number()), "`größe`>=-1"};
    if (Coin()) spec.search.seed = rng_.NextU64() | (Coin() ? 1ULL << 63U : 0);
    if (spec.search.type == "tpe" && Coin()) {
      spec.search.options.emplace_back("startup_trials", static_cast<int64_t>(1 + rng_.Below(20)));
    }
    if (spec.search.type == "tpe" && Coin()) {
      spec.search.options.emplace_back("compat", std::string("hyperopt"));
      spec.search.options.emplace_back("gamma", 0.3);
    }
    if (spec.search.objectives.empty() && Coin())
      spec.search.warm_start = {OneOf({"digits", "digits-2", "1", "größe"}), "old"};
    Scheduler(spec.ask_tell, &spec.scheduler);
    spec.budget.trials = 1 + static_cast<int64_t>(rng_.Below(1000));
    if (Coin())
      spec.budget.wall_ms = static_cast<int64_t>(rng_.Below(Coin() ? 1'000'000'000 : 100)) * 60'000;
    if (Coin()) spec.budget.wall_ms = static_cast<int64_t>(rng_.Below(1'000'000'000));
    spec.budget.failures = static_cast<int64_t>(rng_.Below(10));
    if (Coin()) spec.repeats = 1 + static_cast<int32_t>(rng_.Below(100));
    spec.budget.max_parallel = static_cast<int32_t>(rng_.Below(10));
    spec.resources.gpus = Coin() ? static_cast<double>(rng_.Below(8)) : rng_.Uniform();
    spec.resources.gpus_optional = Coin();
    spec.resources.cpus = 1 + static_cast<int32_t>(rng_.Below(8));
    if (Coin()) {
      spec.share = {static_cast<int32_t>(rng_.Below(2'000'001)) - 1'000'000, 1e-6 + rng_.Uniform(),
                    static_cast<Preemptible>(rng_.Below(3))};
    }
    if (spec.resources.gpus > 0 && !spec.ask_tell && Coin()) {
      spec.resources.gpu_memory_bytes = static_cast<int64_t>(rng_.Below(uint64_t{1} << (1 + rng_.Below(50))));
    }
    if (!spec.ask_tell && Coin())
      spec.resources.labels = {{"zone", "größe"}, {"rack", OneOf({"7", "true", "", "a b"})}};
    if (!spec.ask_tell && Coin()) spec.resources.placement = Placement::kSpread;
    spec.retry = {static_cast<int32_t>(rng_.Below(4)), static_cast<int32_t>(rng_.Below(9))};
    if (Coin()) {
      spec.checkpoints = {Coin(), Coin(), Coin(), Coin() ? 0 : 1 + static_cast<int64_t>(rng_.Below(1'000'000'000'000))};
    }
    const bool may_limit = spec.resources.gpus > 0 && !spec.ask_tell;
    if (may_limit && Coin()) spec.budget.gpu_hours = 1 + std::fabs(std::fmod(Number(), 100.0));
    if (Coin()) spec.stop.max_steps = 1 + static_cast<int64_t>(rng_.Below(1000));
    if (spec.search.objectives.empty() && Coin()) spec.stop.target = Number();
    if (Coin()) {
      PlateauSpec& plateau = spec.stop.plateau.emplace();
      if (Coin()) plateau.metric = "loss 2";
      plateau.std = 1e-6 + std::fabs(std::fmod(Number(), 1.0));
      plateau.num_results = 2 + static_cast<int32_t>(rng_.Below(9));
      plateau.grace_period = static_cast<int32_t>(rng_.Below(9));
    }
    spec.stop_grace_ms = static_cast<int64_t>(rng_.Below(86'400'000));
    if (Coin()) spec.collect.push_back({CollectRule::Kind::kJson, ""});
    if (Coin())
      spec.collect.push_back(
          {CollectRule::Kind::kRegex, R"(epoch (?P<step>\d+).*"loss'= (?P<loss>\S+)\t#)"});
    if (Coin()) spec.collect.push_back({CollectRule::Kind::kAuto, ""});
    Pbt(&spec);
    Points(&spec);
    for (const Parameter& p : spec.parameters) {
      if (Coin()) spec.parameter_columns.push_back(p.name);
    }
    if (Coin()) spec.metric_columns = {"loss", "a b"};
    return spec;
  }

 private:
  bool Coin() { return rng_.Below(2) == 0; }
  std::string OneOf(const std::vector<std::string>& words) {
    return words[rng_.Below(words.size())];
  }
  // Any finite double: half of them of ordinary size, half of random bits.
  double Number() {
    if (Coin()) return std::round(rng_.Uniform(-100, 100) * 16) / 16;
    const double x = std::ldexp(rng_.Uniform(-1, 1), static_cast<int>(rng_.Below(600)) - 300);
    return x == 0 ? 0.0 : x;
  }

  Value RandomValue() {
    switch (rng_.Below(6)) {
      case 0:
        return Coin();
      case 1:
        return static_cast<int64_t>(rng_.NextU64());
      case 2:
        return Number();
      case 3:
        return OneOf({"sgd",
                      "1e-5",
                      "no",
                      "",
                      " x ",
                      "# no comment",
                      "a: b",
                      "null",
                      "~",
                      "//",
                      "\"q\"",
                      "'",
                      "\\n",
                      "tab\tnew\nline\x01",
                      "한글 \xF0\x9F\x98\x80",
                      "0x1F",
                      "{a}",
                      "[",
                      "- a",
                      "\x7f",
                      "\xC2\x85"});
      case 4:
        return JsonValue{
            OneOf({"null", "[]", "{}", "[0.9,0.999]", R"({"a":[1,{"b":null}],"c":"x, y"})",
                   "[[1,2],[true]]", "[1e-05,1e+30,-0.0,9223372036854775807]"})};
      default:
        return "w" + std::to_string(rng_.Below(1'000'000));
    }
  }

  std::vector<Value> DistinctValues() {
    std::vector<Value> values;
    const size_t wanted = 1 + rng_.Below(6);
    while (values.size() < wanted) {
      const Value candidate = RandomValue();
      bool seen = false;
      for (const Value& value : values) seen = seen || SameValue(value, candidate);
      if (!seen) values.push_back(candidate);
    }
    return values;
  }

  void Domain(Parameter* p) {
    p->distribution = static_cast<Distribution>(rng_.Below(13));
    const double a = Number(), width = std::fabs(Number()) + std::fabs(a) + 1;
    const double q = static_cast<double>(1 + rng_.Below(9)) / (Coin() ? 1 : 1000);
    const double k = static_cast<double>(1 + rng_.Below(50)),
                 n = static_cast<double>(1 + rng_.Below(50));
    const bool normal =
        p->distribution == Distribution::kNormal || p->distribution == Distribution::kQNormal;
    if (HasOptions(p->distribution)) {
      p->options = DistinctValues();
      if (p->distribution == Distribution::kConstant) p->options.resize(1);
    } else if (normal) {
      p->mean = Number() / 1e100;
      p->sd = 0.5 + std::fabs(Number()) / 1e100;
      if (p->distribution == Distribution::kQNormal)
        *p = {p->name, p->distribution, 0, 0, q, n, k, {}, {}};
    } else if (IsInteger(p->distribution)) {
      p->lo = k * 5;
      p->hi = (k + n) * 5;
      if (DistributionName(p->distribution).front() == 'q') p->q = Coin() ? 1 : 5;
    } else if (DistributionName(p->distribution).front() == 'q') {
      p->lo = k * q;
      p->hi = (k + n) * q;
      p->q = q;
    } else {
      p->lo = IsLog(p->distribution) ? std::fabs(a) + 1e-300 : a;
      p->hi = p->lo + width;
    }
  }

  // A parent with a few values, compared with one of them.
  void When(const SweepSpec& spec, Parameter* p) {
    for (size_t i = 0; i < spec.parameters.size() && p->when.size() < 2; ++i) {
      const Parameter& parent = spec.parameters[i];
      if (!HasOptions(parent.distribution) || parent.distribution == Distribution::kConstant ||
          Coin())
        continue;
      Condition c;
      c.parent = i;
      c.on = parent.name;
      c.values = {parent.options[rng_.Below(parent.options.size())]};
      if (Coin() && parent.options.size() > 1) c.op = Condition::Op::kNotIn;
      if (Coin() && c.op == Condition::Op::kIn) c.values = parent.options;
      p->when.push_back(c);
    }
  }

  void Parameters(SweepSpec* spec) {
    const size_t count = rng_.Below(8);
    for (size_t i = 0; i < count; ++i) {
      Parameter p;
      p.name = OneOf({"lr", "a/b", "choice", "when", "x y", "größe", "1", "a.b", "true", "type"}) +
               std::to_string(i);
      Domain(&p);
      if (Coin()) When(*spec, &p);
      spec->parameters.push_back(p);
    }
  }

  // Met by every point, whatever the parameter is.
  void Constraints(SweepSpec* spec) {
    for (const Parameter& p : spec->parameters) {
      if (Coin()) continue;
      const std::string name = "`" + p.name + "`";
      spec->constraints.push_back(Coin() ? name + OneOf({" == ", "==\t", " ==\n"}) + name
                                         : name + " in [" + name + ",] or not \"#'\" == '\\\\\"'");
    }
  }

  void Program(SweepSpec* spec) {
    if (rng_.Below(3) == 0) {
      spec->program.builtin = OneOf({"mlp", "lenet"});
      if (Coin())
        spec->program.options = {
            {"dataset", "digits"}, {"f", Number()}, {"hidden", JsonValue{"[64,32]"}}};
      return;
    }
    if (rng_.Below(4) == 0) {
      spec->ask_tell = true;
      return;
    }
    spec->program.command = {"python3", "a b.py",  "--x=$$5", "${trial}",
                             "",        "${args}", "'\"\\",   "//"};
    spec->program.args = static_cast<ArgStyle>(rng_.Below(5));
    if (Coin()) spec->program.workdir = "/tmp/a b";
    if (Coin()) spec->program.env = {{"A", ""}, {"B", "${seed} # 1"}, {"C", "no"}};
  }

  void Scheduler(bool ask_tell, SchedulerSpec* s) {
    s->type = OneOf({"fifo", "asha", "median", "hyperband"});
    if (ask_tell && s->type == "hyperband") s->type = "asha";
    if (Coin()) s->max_t = 1 + static_cast<int64_t>(rng_.Below(1000));
    if (s->type == "fifo") return;
    if (s->type == "median") s->min_samples_required = 1 + static_cast<int32_t>(rng_.Below(5));
    if (Coin()) {
      s->metric = "loss 2";
      s->goal = Coin() ? Goal::kMax : Goal::kMin;
    }
    s->promotion = s->type == "asha" && !ask_tell && Coin();
    s->compat_ray = !s->promotion && Coin();
    if (s->max_t > 3 && !(s->type == "hyperband" && s->compat_ray)) s->grace_period = s->compat_ray ? 1.5 : 2;
    if (Coin()) s->reduction_factor = 2 + std::fabs(std::fmod(Number(), 3.0));
    s->stop_last_trials = s->promotion || Coin();
  }

  void Points(SweepSpec* spec) {
    Problems problems;
    const auto space = Space::Create(spec->parameters, spec->constraints, &problems);
    if (!space) return;
    for (uint64_t i = 0; i < rng_.Below(3); ++i) {
      const Point point = space->Sample(&rng_);
      auto& named = spec->points.emplace_back();
      for (size_t k = 0; k < point.size(); ++k) {
        if (IsActive(point[k])) named.emplace_back(spec->parameters[k].name, point[k]);
      }
    }
  }

  Rng rng_;
};

}  // namespace tunesmith
