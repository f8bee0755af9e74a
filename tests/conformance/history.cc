#include "tests/conformance/history.h"

#include <cmath>
#include <limits>
#include <map>
#include <string>

#include "common/rng.h"
#include "server/core/controller.h"

namespace tunesmith {

namespace {

class HistoryMaker {
 public:
  explicit HistoryMaker(const HistoryOptions& options) : options_(options), rng_(options.seed) {}

  std::vector<std::vector<Event>> Make() {
    Connect();
    Create();
    for (int i = 0; i < options_.steps; ++i) {
      now_ = now_ + Milliseconds(rng_.IntInclusive(0, 700));
      Act();
      if (Chance(0.3)) commits_.emplace_back();
    }
    return std::move(commits_);
  }

 private:
  bool Chance(double p) { return rng_.Uniform() < p; }
  const State& state() const { return controller_.state(); }

  void Step(const Command& command) {
    Output output;
    controller_.Step(command, 0, now_, &output);
    for (Event& event : output.events) commits_.back().push_back(std::move(event));
    for (Effect& effect : output.effects) {
      const auto* request = std::get_if<RequestSuggestion>(&effect);
      if (request == nullptr) continue;
      Suggestion suggestion;
      suggestion.exhausted = Chance(0.01);
      Rng point = Rng::ForLabels({options_.seed, request->sweep.value, request->trial});
      const Sweep* sweep = state().FindSweep(request->sweep);
      if (sweep == nullptr) continue;
      if (!suggestion.exhausted) suggestion.point = sweep->space->Sample(&point);
      suggestion.origin = SomeOrigin();
      Step(SuggestionReady{request->sweep, request->trial, suggestion});
    }
  }

  Origin SomeOrigin() {
    Origin origin;
    origin.kind = static_cast<Origin::Kind>(rng_.Below(static_cast<uint64_t>(Origin::Kind::kRepeat) + 1));
    if (origin.kind != Origin::Kind::kModel) return origin;
    origin.judge = static_cast<Origin::Judge>(rng_.Below(static_cast<uint64_t>(Origin::Judge::kCmaes) + 1));
    const double predicted[] = {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
                                -0.0, 17, rng_.Normal()};
    origin.predicted = predicted[rng_.Below(5)];
    origin.rank = rng_.NextU32();
    origin.of = rng_.NextU32();
    return origin;
  }

  void Act() {
    switch (rng_.Below(20)) {
      case 0: return Create();
      case 1: return Connect();
      case 2: return Step(Tick{});
      case 3: return Control();
      case 4: return Drain();
      case 5: return Ask();
      case 6: return Chance(0.5) ? StopOne() : Update();
      case 7:
        if (Chance(0.2)) now_ = now_ + Seconds(25);  // leases run out
        return Step(Tick{});
      default: return Run();
    }
  }

  // Urgent sweeps make others make room.
  void Update() {
    if (state().sweeps().empty()) return;
    auto sweep = state().sweeps().begin();
    std::advance(sweep, static_cast<ptrdiff_t>(rng_.Below(state().sweeps().size())));
    UpdateSweep update{.sweep = sweep->first};
    if (Chance(0.7)) update.priority = static_cast<int32_t>(rng_.IntInclusive(-3, 3));
    if (Chance(0.3)) update.weight = rng_.Uniform(0.1, 10);
    if (Chance(0.3)) update.preemptible = static_cast<Preemptible>(rng_.Below(3));
    if (Chance(0.3)) update.max_parallel = static_cast<int32_t>(rng_.Below(4));
    Step(update);
  }

  static Parameter Options(const std::string& name, Distribution distribution, std::vector<Value> options) {
    Parameter parameter;
    parameter.name = name;
    parameter.distribution = distribution;
    parameter.options = std::move(options);
    return parameter;
  }

  // Every kind of value, names in any script, conditions.
  std::vector<Parameter> Parameters() {
    Parameter rate;
    rate.name = "rate";
    rate.distribution = Distribution::kLogUniform;
    rate.lo = 1e-5;
    rate.hi = 0.1;
    Parameter width;
    width.name = "Breite/größe";
    width.distribution = Distribution::kRandInt;
    width.lo = -3;
    width.hi = 4096;
    Parameter momentum;
    momentum.name = "momentum";
    momentum.distribution = Distribution::kUniform;
    momentum.lo = 0.5;
    momentum.hi = 0.99;
    momentum.when = {{0, Condition::Op::kIn, {Value(std::string("sgd"))}, "optimizer"}};
    return {
        rate,
        width,
        Options("optimizer", Distribution::kChoice,
                {std::string("sgd"), std::string("it's \"quoted\"\n\t\\"), std::string()}),
        Options("mixed", Distribution::kChoice, {true, int64_t{1}, 2.5, JsonValue{"[0.9,0.99]"}, JsonValue{"null"}}),
        Options("fixed", Distribution::kConstant, {int64_t{9'007'199'254'740'993}}),
        momentum};
  }

  void Create() {
    CreateSweep command;
    SweepSpec& spec = command.spec;
    spec.name = "sweep";
    spec.parameters = Parameters();
    spec.search.type = Chance(0.5) ? "tpe" : "random";
    spec.search.metric = "loss";
    if (Chance(0.2)) spec.search.require = {"loss < 0.7", "löss > -1e300"};
    if (Chance(0.2)) spec.constraints = {"rate < 0.9 or not rate < 0.95"};
    spec.budget.trials = rng_.IntInclusive(1, 12);
    if (Chance(0.5)) {
      spec.scheduler.type = "asha";
      spec.scheduler.max_t = 9;
      spec.scheduler.reduction_factor = 2.5;
      spec.scheduler.brackets = static_cast<int32_t>(rng_.IntInclusive(1, 2));
    } else if (Chance(0.5)) {
      spec.scheduler.type = "median";
      spec.scheduler.min_samples_required = 1;
      spec.scheduler.compat_ray = Chance(0.5);
    }
    if (Chance(0.3)) {
      spec.ask_tell = true;
    } else {
      spec.program.command = {"/usr/bin/python3", "träin.py", "${args}", "a b", "\"$$\""};
      spec.program.env = {{"NAME", "välue ${rate}"}};
      spec.resources.gpus = Chance(0.5) ? 0 : 0.3;
      spec.resources.gpus_optional = true;
      if (Chance(0.3)) spec.budget.wall_ms = 60'000;
    }
    spec.scheduler.promotion = spec.scheduler.type == "asha" && !spec.ask_tell && Chance(0.5);
    if (spec.scheduler.type == "asha" && !spec.ask_tell && !spec.scheduler.promotion && Chance(0.7)) {
      spec.scheduler = {};
      spec.scheduler.type = "hyperband";
      spec.scheduler.max_t = 4;
      spec.scheduler.reduction_factor = 2;
      spec.scheduler.compat_ray = Chance(0.3);
    }
    if (Chance(0.3)) spec.points = {{{"rate", 0.01}}};
    if (Chance(0.2)) spec.stop.max_steps = rng_.IntInclusive(2, 6);
    if (Chance(0.2)) spec.stop.plateau = PlateauSpec{.metric = "", .std = 0.5, .num_results = 2, .grace_period = 2};
    if (Chance(0.2)) spec.stop.target = 0.05;
    if (Chance(0.2) && spec.resources.gpus > 0) spec.budget.gpu_hours = 0.005;
    spec.retry.failed = static_cast<int32_t>(rng_.Below(3));
    if (Chance(0.3)) spec.repeats = static_cast<int32_t>(rng_.IntInclusive(2, 3));
    if (!spec.ask_tell && spec.repeats == 1 && Chance(0.3)) {
      spec.scheduler = {.type = "pbt"};
      spec.scheduler.pbt.perturbation_interval = 1;
      spec.scheduler.pbt.quantile_fraction = 0.5;
      spec.scheduler.pbt.synch = Chance(0.3);
    }
    if (const Sweep* from = state().FindSweep(Pick()); from != nullptr && from->best_trial && Chance(0.7)) {
      spec.search.warm_start = {from->id};
    }
    command.request_id = Chance(0.5) ? "" : "request " + std::to_string(rng_.NextU32());
    command.drawn_seed = rng_.NextU64();  // above 2^63 too
    Step(command);
  }

  void Connect() {
    const auto number = rng_.Below(3);
    WorkerConnected command;
    command.session = SessionId(++last_session_);
    command.hello.name = "wörker " + std::to_string(number);
    command.hello.boot_id = Chance(0.7) ? "boot" : "boot " + std::to_string(last_session_);
    command.hello.cpus = 3;
    if (number == 0) command.hello.devices = {{"GPU-0", "card", 0, 1}, {"GPU-1", "card", 1, 1}};
    if (Chance(0.7)) {
      for (const auto& [id, worker] : controller_.live_workers()) {
        if (state().workers().at(id).name != command.hello.name) continue;
        for (const auto& [attempt, sequence] : worker.attempts) {
          command.hello.attempts.push_back({attempt, state().FindTrial(attempt.trial)->attempts.back().epoch});
        }
      }
    }
    Step(command);
  }

  // A random sweep; none if there is none.
  SweepId Pick() {
    if (state().sweeps().empty()) return SweepId();
    auto it = state().sweeps().begin();
    std::advance(it, static_cast<ptrdiff_t>(rng_.Below(state().sweeps().size())));
    return it->first;
  }

  void Control() {
    using Operation = ControlSweep::Operation;
    const Operation without[] = {Operation::kPause, Operation::kResume, Operation::kResume, Operation::kStop};
    const Operation with[] = {Operation::kPause, Operation::kResume, Operation::kDelete, Operation::kForceDelete};
    Step(ControlSweep{Pick(), options_.deletions ? with[rng_.Below(4)] : without[rng_.Below(4)]});
  }

  void Drain() { Step(DrainWorker{"wörker " + std::to_string(rng_.Below(3)), Chance(0.3), false}); }
  void StopOne() { Step(StopTrial{{Pick(), static_cast<uint32_t>(rng_.Below(6))}}); }

  std::vector<NamedMetric> Metrics() {
    const double specials[] = {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
                               -std::numeric_limits<double>::infinity(), -0.0, 5e-324,
                               std::numeric_limits<double>::max()};
    std::vector<NamedMetric> metrics = {{"loss", Chance(0.2) ? specials[rng_.Below(6)] : rng_.Uniform(0, 2)}};
    // More names than have a column of their own.
    for (uint64_t i = rng_.Below(14); i > 0; --i) metrics.push_back({"mé\"tric" + std::to_string(i), rng_.Normal()});
    return metrics;
  }

  void Ask() {
    const SweepId id = Pick();
    const Sweep* sweep = state().FindSweep(id);
    if (sweep == nullptr || !sweep->spec->ask_tell) return;
    if (sweep->live.empty() || Chance(0.3)) return Step(AskTrials{id, "clïent", 2, 20'000});
    const uint32_t number = *sweep->live.begin();
    const Attempt& attempt = sweep->trials[number].attempts.back();
    if (Chance(0.2)) return Step(CompleteTrial{{id, number}, attempt.epoch, Chance(0.3) ? "it's \"broken\"" : ""});
    Step(ReportTrial{{id, number}, attempt.epoch, attempt.sequence + 1, 0, Metrics()});
  }

  // A worker says something about an attempt of its own.
  void Run() {
    std::vector<std::pair<SessionId, AttemptId>> attempts;
    for (const auto& [id, worker] : controller_.live_workers()) {
      if (!worker.session) continue;
      for (const auto& [attempt, sequence] : worker.attempts) attempts.emplace_back(worker.session, attempt);
    }
    if (attempts.empty()) return;
    const auto& [session, id] = attempts[rng_.Below(attempts.size())];
    const Attempt& attempt = state().FindTrial(id.trial)->attempts.back();
    WorkerRecord record;
    record.ref = {id, attempt.epoch};
    record.sequence = attempt.sequence + 1 + rng_.Below(2);
    record.time = now_;
    switch (rng_.Below(8)) {
      case 0: record.kind = WorkerRecord::Kind::kStarted; break;
      case 1:
        record.kind = WorkerRecord::Kind::kEnded;
        record.exit.exit_code = static_cast<int32_t>(rng_.Below(3));
        record.exit.out_of_memory = Chance(0.1);
        record.exit.start_failed = Chance(0.1);
        record.exit.lost = Chance(0.1);
        record.exit.stop_requested = Chance(0.5);
        if (Chance(0.3)) record.exit.exit_code.reset(), record.exit.signal = 9;
        if (Chance(0.5)) record.exit.reason = "Traceback:\n  'größe' \"x\"";
        break;
      default:
        record.kind = WorkerRecord::Kind::kMeasured;
        record.metrics = Metrics();
        if (Chance(0.2)) record.checkpoint = "step-1/чек.pt";
        if (Chance(0.2)) record.step = rng_.IntInclusive(1, 9);
        if (Chance(0.2)) {
          const int64_t step = rng_.IntInclusive(1, 9);
          Step(CheckpointArrived{
              record.ref, {id.number, step, "step 1/чек.pt", rng_.IntInclusive(1, 1 << 30), std::string(64, 'f')}});
        }
        break;
    }
    Step(WorkerRecords{session, {record}});
  }

  HistoryOptions options_;
  Rng rng_;
  Controller controller_;
  Time now_{1'700'000'000'000};
  uint64_t last_session_ = 0;
  std::vector<std::vector<Event>> commits_{1};
};

}  // namespace

std::vector<std::vector<Event>> MakeHistory(const HistoryOptions& options) { return HistoryMaker(options).Make(); }

}  // namespace tunesmith
