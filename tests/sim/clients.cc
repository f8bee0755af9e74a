#include "tests/sim/clients.h"

#include <utility>

namespace tunesmith::sim {

namespace {

Parameter UniformParameter(const std::string& name) {
  Parameter parameter;
  parameter.name = name;
  parameter.distribution = Distribution::kUniform;
  parameter.hi = 1;
  return parameter;
}

Parameter ChoiceParameter(const std::string& name, int64_t values, Distribution distribution) {
  Parameter parameter;
  parameter.name = name;
  parameter.distribution = distribution;
  for (int64_t i = 0; i < values; ++i) parameter.options.emplace_back(i);
  return parameter;
}

// Several objectives, requirements and constraints, from a stream of their own.
void DrawOutcomes(const SimOptions& options, int number, SweepSpec* spec) {
  constexpr uint64_t kStreamOutcomes = 0x6f757463;
  Rng rng = Rng::ForLabels({options.seed, kStreamOutcomes, static_cast<uint64_t>(number)});
  if (rng.Below(4) == 0) {
    spec->search.objectives = {{"loss", Goal::kMin}, {"accuracy", Goal::kMax}};
    if (spec->scheduler.metric.empty() && spec->scheduler.type != "fifo") spec->scheduler.metric = "loss";
  }
  if (rng.Below(4) == 0) spec->search.require = {"accuracy >= 0.5", "loss < 0.8"};
  if (rng.Below(4) != 0) return;
  spec->constraints = {spec->parameters[0].name == "lr" ? "lr < 0.3 or lr > 0.4" : "width + depth <= 5 and width != 3"};
  if (spec->parameters[0].name != "lr" && spec->parameters[0].options.size() < 4) spec->constraints = {"width < 3"};
}

// Turns some sweeps with asha into ones with brackets whose trials wait for each other.
void DrawHyperBand(const SimOptions& options, int number, SweepSpec* spec) {
  constexpr uint64_t kStreamHyperBand = 0x68797062;
  Rng rng = Rng::ForLabels({options.seed, kStreamHyperBand, static_cast<uint64_t>(number)});
  if (spec->scheduler.type != "asha" || spec->ask_tell || rng.Below(2) == 0) return;
  spec->scheduler.type = "hyperband";
  spec->scheduler.promotion = false;
  spec->budget.trials = rng.IntInclusive(1, 24);
  switch (rng.Below(4)) {
    case 0: spec->scheduler.compat_ray = true; break;
    case 1:
      if (spec->search.type == "tpe" && spec->repeats == 1) spec->scheduler.type = "bohb";
      break;
    case 2:
      spec->scheduler.grace_period = 2;
      spec->scheduler.stop_last_trials = rng.Below(2) == 0;
      break;
    default: break;
  }
}

// Turns some sweeps with one objective into ones whose trials take over from each other.
void DrawPbt(const SimOptions& options, int number, SweepSpec* spec) {
  constexpr uint64_t kStreamPbt = 0x706274;
  Rng rng = Rng::ForLabels({options.seed, kStreamPbt, static_cast<uint64_t>(number)});
  const bool suits = !spec->ask_tell && spec->repeats == 1 && spec->parameters[0].name == "lr";
  if (!suits || rng.Below(3) != 0) return;
  const SchedulerSpec before = spec->scheduler;
  spec->scheduler = {.type = "pbt", .metric = before.metric, .goal = before.goal};
  if (!spec->search.objectives.empty()) spec->scheduler.metric = "loss";
  spec->scheduler.max_t = rng.IntInclusive(4, 20);
  PbtOptions& pbt = spec->scheduler.pbt;
  pbt.perturbation_interval = rng.IntInclusive(1, 4);
  pbt.burn_in_period = rng.IntInclusive(0, 4);
  pbt.quantile_fraction = rng.Uniform(0.2, 0.5);
  pbt.synch = rng.Below(3) == 0;
  spec->scheduler.compat_ray = rng.Below(3) == 0;
  if (spec->scheduler.compat_ray) pbt.mutations = {{.name = "lr"}};
}

void DrawStop(const SimOptions& options, int number, SweepSpec* spec) {
  constexpr uint64_t kStreamStop = 0x73746f70;
  Rng rng = Rng::ForLabels({options.seed, kStreamStop, static_cast<uint64_t>(number)});
  if (rng.Below(4) == 0) spec->stop.max_steps = rng.IntInclusive(1, 6);
  if (rng.Below(4) == 0) {
    spec->stop.plateau = PlateauSpec{.metric = rng.Below(2) == 0 ? "" : "accuracy",
                                     .std = rng.Uniform(0.001, 0.1),
                                     .num_results = static_cast<int32_t>(rng.IntInclusive(2, 4)),
                                     .grace_period = static_cast<int32_t>(rng.IntInclusive(0, 5))};
  }
  if (rng.Below(6) == 0 && spec->search.objectives.empty()) spec->stop.target = rng.Uniform(0, 0.3);
  const bool gpus = spec->resources.gpus > 0 && !spec->ask_tell;
  if (rng.Below(4) == 0 && gpus) spec->budget.gpu_hours = rng.Uniform(0.001, 0.1);
}

ShareSpec DrawShare(Rng* rng) {
  ShareSpec share;
  share.priority = static_cast<int32_t>(rng->IntInclusive(-1, 1));
  share.weight = rng->Uniform(0.2, 5);
  share.preemptible = static_cast<Preemptible>(rng->Below(3));
  return share;
}

// The first machine has all of it.
void DrawRequests(const SimOptions& options, int number, SweepSpec* spec) {
  if (spec->ask_tell) return;
  constexpr uint64_t kStreamRequests = 0x72657173;
  Rng rng = Rng::ForLabels({options.seed, kStreamRequests, static_cast<uint64_t>(number)});
  ResourceSpec& resources = spec->resources;
  if (resources.gpus > 0 && rng.Below(3) == 0) resources.gpu_memory_bytes = rng.IntInclusive(1, 3) << 33;
  if (rng.Below(4) == 0) resources.labels["zone"] = "a";
  if (rng.Below(8) == 0) resources.labels["disk"] = "ssd";
  if (rng.Below(3) == 0) resources.placement = Placement::kSpread;
}

}  // namespace

SweepSpec DrawSweep(const SimOptions& options, int number) {
  constexpr uint64_t kStreamSweep = 0x73776565;
  Rng rng = Rng::ForLabels({options.seed, kStreamSweep, static_cast<uint64_t>(number)});
  const auto coin = [&](double p) { return rng.Uniform() < p; };
  SweepSpec spec;
  spec.name = "sweep";
  spec.parameters = {UniformParameter("lr")};
  spec.search.metric = "loss";
  spec.search.seed = rng.NextU64() >> 1;
  spec.budget.trials = rng.IntInclusive(1, options.trials_max);
  switch (rng.Below(3)) {
    case 0: spec.search.type = "random"; break;
    case 1:
      spec.search.type = "tpe";
      spec.search.options = {{"startup_trials", Value(int64_t{3})}};
      break;
    default:
      // A space that may be smaller than the budget.
      spec.search.type = coin(0.5) ? "grid" : "random";
      spec.parameters = {ChoiceParameter("width", rng.IntInclusive(1, 4), Distribution::kChoice),
                         ChoiceParameter("depth", rng.IntInclusive(1, 3), Distribution::kChoice)};
      break;
  }
  if (coin(0.6)) {
    spec.scheduler.type = "asha";
    spec.scheduler.max_t = rng.IntInclusive(3, 9);
    spec.scheduler.reduction_factor = static_cast<double>(rng.IntInclusive(2, 4));
    if (coin(0.3)) spec.scheduler.metric = "accuracy", spec.scheduler.goal = Goal::kMax;
  }
  if (coin(0.25)) {
    spec.ask_tell = true;
  } else {
    spec.program.command = {"/usr/bin/python3", "train.py", "${args}"};
    const double gpus[] = {0, 0, 0.5, 1, 2};
    spec.resources.gpus = gpus[rng.Below(5)];
    spec.resources.gpus_optional = coin(0.3);
    spec.resources.cpus = static_cast<int32_t>(rng.IntInclusive(1, 2));
  }
  constexpr int64_t kFewTrials = 14;
  const int64_t scale = std::max<int64_t>(1, options.trials_max / kFewTrials);
  if (coin(0.3)) spec.budget.max_parallel = static_cast<int32_t>(rng.IntInclusive(1, 3) * scale);
  if (coin(0.2)) spec.budget.failures = rng.IntInclusive(1, 4);
  if (coin(0.2)) spec.budget.wall_ms = rng.IntInclusive(10'000, 400'000);
  spec.retry.failed = static_cast<int32_t>(rng.Below(3));
  spec.retry.lost = static_cast<int32_t>(rng.IntInclusive(0, 8));
  spec.stop_grace_ms = rng.IntInclusive(500, 10'000);
  if (coin(0.3) && spec.parameters[0].name == "lr") spec.points = {{{"lr", 0.5}}, {}};
  DrawOutcomes(options, number, &spec);
  constexpr uint64_t kStreamPromotion = 0x70726f6d;
  Rng promotion = Rng::ForLabels({options.seed, kStreamPromotion, static_cast<uint64_t>(number)});
  spec.scheduler.promotion = spec.scheduler.type == "asha" && !spec.ask_tell && promotion.Below(2) == 0;
  if (coin(0.2)) spec.repeats = static_cast<int32_t>(rng.IntInclusive(2, 3));
  DrawHyperBand(options, number, &spec);
  constexpr uint64_t kStreamShare = 0x7368617265;
  Rng share = Rng::ForLabels({options.seed, kStreamShare, static_cast<uint64_t>(number)});
  if (share.Below(2) == 0) spec.share = DrawShare(&share);
  DrawPbt(options, number, &spec);
  DrawStop(options, number, &spec);
  DrawRequests(options, number, &spec);
  return spec;
}

void Operator::Start(std::vector<std::string> workers) {
  workers_ = std::move(workers);
  to_create_ = options_->sweeps;
  for (int i = 0; i < options_->sweeps; ++i) {
    world_->After(world_->Between(Duration{0}, Duration{options_->faults_for.ms / 3}), [this, i] { Create(i); });
  }
  ActLater();
}

void Operator::Create(int number) {
  CreateSweep command;
  command.spec = DrawSweep(*options_, number);
  command.request_id = "create-" + std::to_string(number);
  command.drawn_seed = options_->seed;
  controller_->Call(command, [this, number, spec = command.spec](std::optional<Reply> reply) {
    if (!reply) {
      world_->After(Seconds(1), [this, number] { Create(number); });
      return;
    }
    if (!reply->status.ok()) return world_->Fail("a drawn sweep was refused: " + Message(reply->status));
    --to_create_;
    created_.insert(reply->sweep);
    if (on_created_) on_created_(reply->sweep, spec);
  });
}

void Operator::ActLater() {
  if (options_->user_action_every.ms == 0 || resting_) return;
  world_->After(world_->Draw(options_->user_action_every), [this] {
    if (resting_) return;
    Act();
    ActLater();
  });
}

void Operator::Act() {
  using Operation = ControlSweep::Operation;
  const auto ignore = [](const std::optional<Reply>&) {};
  if (world_->Chance(0.25)) {
    const std::string& worker = workers_[world_->rng().Below(workers_.size())];
    return controller_->Call(DrainWorker{worker, world_->Chance(0.5), world_->Chance(0.5)}, ignore);
  }
  if (created_.empty()) return;
  auto sweep = created_.begin();
  std::advance(sweep, static_cast<ptrdiff_t>(world_->rng().Below(created_.size())));
  if (world_->Chance(0.3)) {
    return controller_->Call(StopTrial{{*sweep, static_cast<uint32_t>(world_->rng().Below(8))}}, ignore);
  }
  if (world_->Chance(0.25)) {
    const ShareSpec share = DrawShare(&world_->rng());
    UpdateSweep update{.sweep = *sweep, .priority = share.priority, .weight = share.weight};
    if (world_->Chance(0.3)) update.preemptible = share.preemptible;
    if (world_->Chance(0.3)) update.max_parallel = static_cast<int32_t>(world_->rng().Below(4));
    return controller_->Call(update, ignore);
  }
  // Stopping and deleting are rare, so that something is left to see.
  const Operation operations[] = {Operation::kPause, Operation::kPause,  Operation::kResume, Operation::kResume,
                                  Operation::kPause, Operation::kResume, Operation::kStop,   Operation::kDelete,
                                  Operation::kForceDelete};
  const Operation operation = operations[world_->rng().Below(std::size(operations))];
  controller_->Call(ControlSweep{*sweep, operation}, [this, operation, id = *sweep](std::optional<Reply> reply) {
    if (operation == Operation::kForceDelete && reply && reply->status.ok()) deleted_.insert(id);
  });
}

void Operator::Repeat(const Command& command) {
  ++to_heal_;
  controller_->Call(command, [this, command](std::optional<Reply> reply) {
    --to_heal_;
    if (!reply) Repeat(command);
  });
}

void Operator::Heal() {
  for (const std::string& worker : workers_) Repeat(DrainWorker{worker, false, false});
  for (const SweepId sweep : created_) Repeat(ControlSweep{sweep, ControlSweep::Operation::kResume});
}

void AskClient::Later(Duration delay, std::function<void()> action) {
  world_->After(delay, [this, life = life_, action = std::move(action)] {
    if (life_ == life) action();
  });
}

void AskClient::Ask() {
  AskTrials command{sweep_, name_, static_cast<int32_t>(world_->rng().IntInclusive(1, 3)), 15'000};
  controller_->Call(command, [this, life = life_](std::optional<Reply> reply) {
    if (life_ != life) return;
    if (!reply) return Later(Seconds(1), [this] { Ask(); });
    if (!reply->status.ok() || reply->finished) {
      // Deleted, or there will never be another.
      if (reply->asked.empty()) {
        done_ = true;
        return;
      }
    }
    if (reply->asked.empty()) return Later(world_->Between(Seconds(1), Seconds(3)), [this] { Ask(); });
    holding_ = reply->asked.size();
    for (const AttemptRef& ref : reply->asked) {
      const uint64_t steps = static_cast<uint64_t>(world_->rng().IntInclusive(1, 6));
      const Trial* trial = checker_->durable().FindTrial(ref.attempt.trial);
      // What it reported before it vanished keeps its sequences.
      const uint64_t from = trial == nullptr ? 0 : trial->attempts.at(ref.attempt.number - 1).sequence;
      Later(world_->Between(Milliseconds(100), Seconds(3)),
            [this, ref, from, steps] { Report(ref, from + 1, from + steps); });
    }
  });
}

void AskClient::Report(AttemptRef ref, uint64_t sequence, uint64_t steps) {
  if (options_->trial_crashes > 0 && world_->Chance(0.02)) return Vanish();
  ReportTrial command{ref.attempt.trial, ref.epoch, sequence, 0, {}};
  const double loss = 1.0 / static_cast<double>(sequence + 1) + 0.1 * static_cast<double>(ref.attempt.trial.number % 5);
  command.metrics = {{"loss", loss}, {"accuracy", 1 - loss}};
  WorkerRecord record;
  record.ref = ref;
  record.sequence = sequence;
  record.kind = WorkerRecord::Kind::kMeasured;
  record.metrics = command.metrics;
  checker_->OnTold(record);
  controller_->Call(command, [this, life = life_, ref, sequence, steps](std::optional<Reply> reply) {
    if (reply && reply->status.ok()) checker_->OnReportAnswered(ref.attempt, sequence);
    if (life_ != life) return;
    if (!reply) return Later(Seconds(1), [this, ref, sequence, steps] { Report(ref, sequence, steps); });
    if (!reply->status.ok()) return Next();  // the lease is lost, or the sweep is gone
    const bool over = reply->verdict.action == Action::kStop || sequence >= steps;
    Later(world_->Between(Milliseconds(100), Seconds(3)), [this, ref, sequence, steps, over] {
      if (over) return Complete(ref, world_->Chance(options_->trial_crashes));
      Report(ref, sequence + 1, steps);
    });
  });
}

void AskClient::Complete(AttemptRef ref, bool failed) {
  CompleteTrial command{ref.attempt.trial, ref.epoch, failed ? "it went wrong" : ""};
  controller_->Call(command, [this, life = life_, ref, failed](std::optional<Reply> reply) {
    if (life_ != life) return;
    if (!reply) return Later(Seconds(1), [this, ref, failed] { Complete(ref, failed); });
    Next();
  });
}

void AskClient::Next() {
  if (--holding_ == 0) Ask();
}

void AskClient::Vanish() {
  ++life_;
  world_->Log([&] { return "client " + name_ + " vanishes"; });
  // What it held is then nobody's until the lease runs out.
  if (world_->Chance(0.4)) name_ += "'";
  Later(world_->Between(Seconds(1), Seconds(60)), [this] { Ask(); });
}

}  // namespace tunesmith::sim
