#include "tests/sim/simulation.h"

#include <deque>
#include <memory>
#include <vector>

#include "tests/sim/clients.h"
#include "tests/sim/controller_node.h"
#include "tests/sim/daemon.h"

namespace tunesmith::sim {

namespace {

class Simulation {
 public:
  Simulation(const SimOptions& options, bool log)
      : options_(options),
        world_(options.seed, log),
        checker_(&world_),
        network_(&world_, &options_),
        controller_(&world_, &options_, &network_, &checker_),
        operator_(&world_, &options_, &controller_) {}

  SimResult Run() {
    world_.Log([&] { return "seed " + std::to_string(options_.seed) + ": " + Describe(options_); });
    const Time begin = world_.now();
    StartAll();
    const Time heal_at = begin + options_.faults_for;
    const Time end_by = heal_at + options_.heal_within;
    world_.After(options_.faults_for, [this] { Heal(); });
    while (!(healed_ && Finished()) && world_.RunNext()) {
      if (world_.now() > end_by) world_.Fail("not finished in time: " + WhatIsLeft());
    }
    SimResult result;
    if (world_.failure().empty()) CheckEnd(&result);
    result.failure = world_.failure();
    result.trace_hash = world_.trace_hash();
    result.steps = world_.events_run();
    result.faults = world_.faults();
    result.virtual_ms = (world_.now() - begin).ms;
    return result;
  }

 private:
  void StartAll() {
    std::vector<std::string> names;
    for (int i = 0; i < options_.workers; ++i) {
      // The first of every so many has all that any sweep can ask for.
      constexpr int kFullMachineEvery = 16;
      Daemon::Machine machine{"worker" + std::to_string(i), 2, 2, {24, 24}, {{"zone", "a"}, {"disk", "ssd"}}};
      constexpr uint64_t kStreamMachine = 0x6d616368;
      Rng rng = Rng::ForLabels({options_.seed, kStreamMachine, static_cast<uint64_t>(i)});
      if (i % kFullMachineEvery != 0) {
        machine.gpu_gib = {rng.IntInclusive(1, 3) * 8, rng.IntInclusive(1, 3) * 8};
        machine.labels = {{"zone", rng.Below(2) == 0 ? "a" : "b"}};

        machine.cpus = static_cast<int32_t>(world_.rng().IntInclusive(1, 4));
        machine.gpus = static_cast<int>(world_.rng().Below(3));
      }
      names.push_back(machine.name);
      daemons_.push_back(std::make_unique<Daemon>(&world_, &options_, &network_, &controller_, &checker_, machine));
    }
    operator_.set_on_created([this](SweepId sweep, const SweepSpec& spec) {
      if (!spec.ask_tell) return;
      for (int i = 0; i < options_.ask_clients; ++i) {
        clients_.push_back(std::make_unique<AskClient>(&world_, &options_, &controller_, &checker_, sweep,
                                                       "client" + std::to_string(i)));
        clients_.back()->Start();
      }
    });
    controller_.Start();
    for (const auto& daemon : daemons_) daemon->Start();
    operator_.Start(names);
    Every(options_.controller_crash_every, [this] { controller_.DieSoon(); });
    Every(options_.controller_restart_every, [this] { controller_.RestartSoon(); });
    Every(options_.store_full_every, [this] { controller_.FillStore(world_.Between(Seconds(5), Seconds(60))); });
    for (const auto& daemon : daemons_) {
      Daemon* d = daemon.get();
      Every(options_.break_every, [this, d] { network_.Break(d->client()); });
      Every(options_.partition_every,
            [this, d] { network_.Partition(d->client(), world_.Between(Milliseconds(500), options_.partition_max)); });
      Every(options_.one_way_every, [this, d] {
        network_.LoseOneWay(d->client(), world_.Chance(0.5),
                            world_.Between(Milliseconds(500), options_.partition_max));
      });
      Every(options_.stall_every, [this, d] {
        network_.Stall(d->client(), world_.Chance(0.3), world_.Between(Milliseconds(500), options_.partition_max));
      });
      Every(options_.worker_restart_every, [d] { d->Restart(); });
      Every(options_.spool_full_every, [this, d] { d->FillSpool(world_.Between(Seconds(5), Seconds(60))); });
      Every(options_.clock_jump_every, [d] { d->JumpClock(); });
      Every(options_.worker_crash_every, [this, d] {
        if (d->alive()) world_.Count("worker crashes");
        d->Crash(options_.worker_loses_spool && world_.Chance(0.5));
        world_.After(world_.Between(Milliseconds(100), Seconds(40)), [d] { d->Start(); });
      });
    }
  }

  // Again and again with this mean, until the faults end. 0: never.
  void Every(Duration mean, std::function<void()> fault) {
    if (mean.ms == 0) return;
    world_.After(world_.Draw(mean), [this, mean, fault = std::move(fault)] {
      if (healed_) return;
      fault();
      Every(mean, fault);
    });
  }

  void Heal() {
    world_.Log([] { return std::string("--- faults end"); });
    healed_ = true;
    options_.reply_lost = options_.request_lost = options_.trial_start_fails = options_.inventory_lies = 0;
    operator_.Rest();
    controller_.StopFaults();
    network_.Heal();
    for (const auto& daemon : daemons_) daemon->Rest();
    // What was restarting comes back by itself; wait for the last one, then undo what users did.
    world_.After(Seconds(60), [this] {
      operator_.Heal();
      undone_ = true;
    });
  }

  bool Finished() const {
    if (!undone_ || !operator_.done() || !controller_.settled() || controller_.unanswered() > 0) return false;
    for (const auto& [id, sweep] : controller_.controller().state().sweeps()) {
      if (!IsTerminal(sweep->state)) return false;
    }
    for (const auto& daemon : daemons_) {
      if (!daemon->idle()) return false;
    }
    for (const auto& client : clients_) {
      if (!client->done()) return false;
    }
    return true;
  }

  std::string WhatIsLeft() const {
    std::string text;
    if (!operator_.done()) text += "the operator waits; ";
    if (!controller_.up()) return text + "the controller is down";
    text += std::to_string(controller_.unanswered()) + " unanswered commands; ";
    for (const auto& [id, sweep] : controller_.controller().state().sweeps()) {
      if (IsTerminal(sweep->state)) continue;
      text += "sweep " + std::to_string(id.value) + " " + Name(sweep->state) + " with " +
              std::to_string(sweep->trials.size()) + " of " + std::to_string(sweep->target) + " trials, " +
              std::to_string(sweep->pending.size()) + " pending, " + std::to_string(sweep->live.size()) + " live, " +
              controller_.controller().WaitingReason(*sweep) + "; ";
    }
    for (const auto& daemon : daemons_) {
      if (!daemon->idle()) text += daemon->name() + " is not idle; ";
    }
    for (const auto& client : clients_) {
      if (!client->done()) text += "a client is not done; ";
    }
    return text;
  }

  void CheckEnd(SimResult* result) {
    const Controller& controller = controller_.controller();
    const std::vector<Event> events = controller_.ReadJournal();
    result->events = events.size();
    checker_.OnEnd(events, controller);
    controller_.CheckCheckpoints();
    for (const auto& [id, sweep] : controller.state().sweeps()) {
      for (const Trial& trial : sweep->trials) {
        if (!IsTerminal(trial.state)) world_.Fail("a trial of an ended sweep has not ended");
      }
    }
    for (const SweepId id : operator_.deleted()) {
      if (controller.state().FindSweep(id) != nullptr) world_.Fail("a sweep is there whose deletion was answered");
    }
    for (const auto& [id, worker] : controller.live_workers()) {
      if (!worker.attempts.empty() || worker.cpus_used != 0) world_.Fail("a place is still taken though nothing runs");
      for (const double used : worker.device_used) {
        if (used != 0) world_.Fail("a device is still taken though nothing runs");
      }
    }
  }

  SimOptions options_;
  World world_;
  Checker checker_;
  Network network_;
  ControllerNode controller_;
  Operator operator_;
  std::vector<std::unique_ptr<Daemon>> daemons_;
  std::deque<std::unique_ptr<AskClient>> clients_;
  bool healed_ = false;
  bool undone_ = false;
};

}  // namespace

SimResult RunSimulation(const SimOptions& options, bool log) { return Simulation(options, log).Run(); }

}  // namespace tunesmith::sim
