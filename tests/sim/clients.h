// People and programs that use the controller: one who creates sweeps and interferes with them, and those who ask for
// trials and run them themselves.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "tests/sim/checker.h"
#include "tests/sim/controller_node.h"
#include "tests/sim/options.h"
#include "tests/sim/world.h"

namespace tunesmith::sim {

// A sweep of the run, drawn from the seed and its number.
SweepSpec DrawSweep(const SimOptions& options, int number);

class Operator {
 public:
  Operator(World* world, const SimOptions* options, ControllerNode* controller)
      : world_(world), options_(options), controller_(controller) {}

  // Creates the sweeps over the first third of the run, each until it is answered.
  void Start(std::vector<std::string> workers);
  // Interferes no more.
  void Rest() { resting_ = true; }
  // Ends what it has begun: resumes and takes drained workers back, until that is answered.
  void Heal();
  // All sweeps were created and nothing is left to say.
  bool done() const { return to_create_ == 0 && to_heal_ == 0; }
  const std::set<SweepId>& created() const { return created_; }
  // Sweeps whose forced deletion was answered: they must be gone in the end.
  const std::set<SweepId>& deleted() const { return deleted_; }
  void set_on_created(std::function<void(SweepId, const SweepSpec&)> f) { on_created_ = std::move(f); }

 private:
  void Create(int number);
  void ActLater();
  void Act();
  void Repeat(const Command& command);

  World* world_;
  const SimOptions* options_;
  ControllerNode* controller_;
  std::vector<std::string> workers_;
  std::set<SweepId> created_;
  std::set<SweepId> deleted_;
  std::function<void(SweepId, const SweepSpec&)> on_created_;
  int to_create_ = 0;
  int to_heal_ = 0;
  bool resting_ = false;
};

// A notebook: asks, reports, completes; tries again when no answer comes; may vanish with all that it holds.
class AskClient {
 public:
  AskClient(World* world, const SimOptions* options, ControllerNode* controller, Checker* checker, SweepId sweep,
            std::string name)
      : world_(world),
        options_(options),
        controller_(controller),
        checker_(checker),
        sweep_(sweep),
        name_(std::move(name)) {}

  void Start() { Ask(); }
  bool done() const { return done_; }

 private:
  void Later(Duration delay, std::function<void()> action);
  void Ask();
  void Report(AttemptRef ref, uint64_t sequence, uint64_t steps);
  void Complete(AttemptRef ref, bool failed);
  void Next();
  void Vanish();

  World* world_;
  const SimOptions* options_;
  ControllerNode* controller_;
  Checker* checker_;
  SweepId sweep_;
  std::string name_;
  uint64_t life_ = 0;
  size_t holding_ = 0;
  bool done_ = false;
};

}  // namespace tunesmith::sim
