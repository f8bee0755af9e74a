// The controller's process: the real core, the memory journal and real searchers, with the loop's order (step all,
// commit, release) in virtual time, and a death around any commit.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <tuple>
#include <vector>

#include "server/core/controller.h"
#include "server/journal/memory_journal.h"
#include "tests/sim/checker.h"
#include "tests/sim/network.h"
#include "tests/sim/options.h"
#include "tests/sim/world.h"

namespace tunesmith::sim {

class ControllerNode {
 public:
  // nullopt: the caller does not know whether the command was applied (no connection, a lost answer, a crash).
  using Answer = std::function<void(std::optional<Reply>)>;

  ControllerNode(World* world, const SimOptions* options, Network* network, Checker* checker);

  void Start();
  bool up() const { return controller_ != nullptr; }
  // Nothing is stepped and not yet durable.
  bool settled() const { return up() && !batch_running_; }
  // False if the process is down.
  bool Post(Command command);
  // A unary call over the network: the request, the answer, or neither may arrive.
  void Call(Command command, Answer answer);

  // A copy of a checkpoint has arrived whole: a file, then the command.
  void StoreCheckpoint(const AttemptRef& ref, const StoredCheckpoint& checkpoint);
  // Whether its file is there. It must be, if the state says so.
  bool HasCheckpoint(const TrialId& trial, const StoredCheckpoint& checkpoint);
  // Every copy that the state names is there, and no other.
  void CheckCheckpoints();

  // The process dies at its next commit, in one of the ways that the options allow, and comes back later.
  void DieSoon();
  // It ends in order at its next commit, with all that is to be said about it, and is back at once.
  void RestartSoon();
  // No copy of a checkpoint is taken for so long.
  void FillStore(Duration duration) { store_full_until_ = world_->now() + duration; }
  void StopFaults();

  const Controller& controller() const { return *controller_; }
  std::vector<Event> ReadJournal();
  // Commands that somebody still waits for.
  size_t unanswered() const { return answers_.size(); }

 private:
  struct Strand {
    std::unique_ptr<Searcher> searcher;
    std::deque<Effect> queue;
    bool running = false;
    std::set<uint32_t> announced;
  };
  enum class Death : uint8_t { kNone, kBeforeAppend, kInAppend, kInRelease, kDiskFull, kRestart };

  void Later(Duration delay, std::function<void()> action);  // unless the process has died meanwhile
  void TickLoop();
  void BeginBatch();
  void CommitBatch();
  void Release();
  void Crash(MemoryDisk::Tail tail, Duration down_max);
  void Recover();
  void Deliver(Effect effect);
  void ToSearcher(SweepId sweep, Effect effect);
  void RunSearcher(SweepId sweep);
  void Announce(Strand* strand, uint32_t trial, const Point& point);

  World* world_;
  const SimOptions* options_;
  Network* network_;
  Checker* checker_;
  using CheckpointKey = std::tuple<TrialId, uint32_t, int64_t>;
  void ShareAgain();
  static bool Lists(const State& state, const CheckpointKey& key);

  MemoryDisk disk_;
  std::set<CheckpointKey> checkpoints_;  // files; they outlive the process
  bool faults_ = true;
  Time store_full_until_;

  // Of one life of the process.
  uint64_t life_ = 0;
  std::unique_ptr<MemoryJournal> journal_;
  std::unique_ptr<Controller> controller_;
  std::vector<std::pair<Command, uint64_t>> mailbox_;
  bool batch_running_ = false;
  Output output_;
  Death death_ = Death::kNone;
  MemoryDisk::Tail tail_ = MemoryDisk::Tail::kLose;
  std::map<SweepId, Strand> strands_;
  std::map<uint64_t, Answer> answers_;
  std::map<uint64_t, CheckpointKey> arriving_;  // by the token of the command
  uint64_t next_token_ = 1;
};

}  // namespace tunesmith::sim
