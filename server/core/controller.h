// The controller as a pure state machine: Step(command, now) -> {events, effects, replies}. No clock, no I/O, no
// threads. The caller makes the events durable BEFORE any effect or reply of the same step leaves.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "common/limits.h"
#include "common/time.h"
#include "server/core/command.h"
#include "server/core/effect.h"
#include "server/core/event.h"
#include "server/core/fit.h"
#include "server/core/live_worker.h"
#include "server/core/state.h"

namespace tunesmith {

// What a step did. Cleared and filled again by the caller's loop.
struct Output {
  std::vector<Event> events;
  std::vector<Effect> effects;
  std::vector<std::pair<uint64_t, Reply>> replies;  // (token of the command, answer)
};

// See Controller::UseOfLeftovers.
enum class LeftoverUse : uint8_t {
  kNone,           // the sweep is deleted
  kNoCheckpoints,  // nothing will go on from there, and the sweep keeps none for people
  kAll,
};

struct ControllerOptions {
  int64_t lease_ms = kLeaseMs;
};

// Loop thread only.
class Controller {
 public:
  explicit Controller(ControllerOptions options = {}) : options_(options) {}

  // Recovery: replays one journaled event. Call FinishRecovery once after the last.
  void Replay(const Event& event) { state_.Apply(event); }
  // Rebuilds what the journal does not hold: searchers are started and told the history, leases get a new term.
  void FinishRecovery(Time now, Output* out);

  // `token` is not 0 if somebody waits for an answer; exactly one reply with it is given, now or in a later step.
  // `now` never goes back (earlier times are taken as the latest one seen).
  void Step(const Command& command, uint64_t token, Time now, Output* out);

  const State& state() const { return state_; }
  const std::map<WorkerId, LiveWorker>& live_workers() const { return live_; }
  // Why trials are left and none runs, in words; "" if some run or nothing is left.
  std::string WaitingReason(const Sweep& sweep) const;
  // Why a trial is where it is and what happens next, in words, the decisive fact first: what stopped it, what it waits
  // for and by how much each worker misses, what became of its attempts.
  std::vector<std::string> WhyTrial(const Sweep& sweep, uint32_t number) const;
  // Whether a checkpoint of the attempt would be kept: NOT_FOUND, or FAILED_PRECONDITION, which says why not.
  Status TakesCheckpoint(const AttemptRef& ref) const;
  // What a worker needs of the files that the trial has left there, when no attempt of it is open on that worker.
  LeftoverUse UseOfLeftovers(const TrialId& id) const;
  // Grows when a worker comes, goes or changes.
  uint64_t topology() const { return topology_; }
  // Records that carried a stale epoch.
  uint64_t stale_records() const { return stale_records_; }
  // "" if all invariants hold, else the first that does not.
  std::string CheckInvariants() const;

 private:
  struct Ask {
    uint64_t token = 0;
    std::string client_id;
    int32_t count = 1;
    int64_t lease_ms = 0;
  };
  // Of one sweep; not durable.
  struct SweepWork {
    uint32_t suggestions_outstanding = 0;  // points requested and not yet answered
    size_t points_used = 0;                // user's points turned into trials
    std::deque<Ask> asks;
    std::map<uint32_t, Time> ask_deadlines;  // trial -> end of its client's lease
    struct Ended {
      int64_t good = 0;
      int64_t bad = 0;
    };
    std::map<WorkerId, Ended> ended;  // attempts that did well there, or failed by the program
    uint32_t failures_in_row = 0;     // of the sweep's attempts, wherever they ran
    Time held_until;                  // other sweeps go first until then
  };

  // --- one per command (sweep_commands.cc, worker_commands.cc, ask_commands.cc)
  void Handle(const CreateSweep& command);
  void Handle(const ControlSweep& command);
  void Handle(const UpdateSweep& command);
  void Handle(const StopTrial& command);
  void Handle(const SuggestionReady& command);
  void Handle(const WorkerConnected& command);
  void Handle(const WorkerDisconnected& command);
  void Handle(const WorkerHeartbeat& command);
  void Handle(const WorkerDevices& command);
  void Handle(const WorkerRecords& command);
  void Handle(const CheckpointArrived& command);
  void Handle(const DrainWorker& command);
  void Handle(const AskTrials& command);
  void Handle(const ReportTrial& command);
  void Handle(const RenewTrial& command);
  void Handle(const CompleteTrial& command);
  void Handle(const Tick& command);

  // --- what the searcher is told
  StartSearcher SearcherFor(const Sweep& sweep) const;
  // The `index`th rung of its bracket, which a trial has reached. Nothing where points are repeated: a searcher hears
  // of the mean alone.
  void TellRung(const Sweep& sweep, uint32_t number, size_t index);
  void TellEnd(const Sweep& sweep, uint32_t first);  // of a point all of whose trials have ended
  void TellHistory(const Sweep& sweep);  // to a new searcher

  // --- lifecycle
  void Emit(Event event);
  void Effect_(Effect effect) { out_->effects.push_back(std::move(effect)); }
  void Answer(Reply reply);
  void Refuse(Status status, std::string reason, Problems problems = {});
  void AnswerTo(uint64_t token, Reply reply);
  const Sweep* NeedSweep(SweepId id);        // refuses with SWEEP_NOT_FOUND
  void BeginStop(const Sweep& sweep, SweepState end, const std::string& reason, bool delete_when_ended = false);
  void StopOneTrial(const Sweep& sweep, uint32_t number, const std::string& reason);
  void EndTrial(const Sweep& sweep, uint32_t number, TrialState state, const std::string& reason);
  // The processes of the live attempt are gone: what becomes of the trial.
  void FinishAttempt(const AttemptRef& ref, uint64_t sequence, const AttemptExit& exit, Time time);
  // The same for one that was to pause.
  void FinishPause(const Sweep& sweep, uint32_t number, AttemptEnded event);
  // What is still to come in the sweep, for its scheduler.
  Outlook OutlookOf(const Sweep& sweep) const;
  // Puts in the queue what the scheduler lets go on, and ends what it stops; where nothing else is left to run, also
  // what it says nothing about.
  void JudgePaused(SweepId sweep);
  void JudgeOnePaused(const Sweep& sweep, const PausedVerdict& next);
  void LoseAttempt(const AttemptRef& ref, const std::string& why);

  // --- taking over from another trial (exploits.cc)
  // What the scheduler has to know of others to judge a report of the trial.
  void AddOutlook(const Sweep& sweep, uint32_t number, TrialReport* report) const;
  // The trial, which is paused or about to be, takes over from one of its donors; or that none can give is recorded.
  void ExploitOne(const Sweep& sweep, const PausedVerdict& next);
  // A trial that was to take over ends instead.
  void DropDueExploit(const Sweep& sweep, uint32_t number);
  void MaybeFinishSweep(SweepId sweep);
  void DropSweep(SweepId sweep);
  // Records one measurement and gives the verdict.
  Verdict Measure(const AttemptRef& ref, uint64_t sequence, int64_t step, const std::vector<NamedMetric>& metrics,
                  const std::string& checkpoint, Time time);
  // Ends the sweep if its target has been reached by that trial, or its GPU hours are used up.
  void StopIfReached(const Sweep& sweep, uint32_t number, const Verdict& verdict);
  void StopIfUsedUp(const Sweep& sweep);
  bool IsCurrent(const AttemptRef& ref) const;
  void HandleRecord(SessionId session, const WorkerRecord& record);
  Time Clamp(Time reported, const AttemptRef& ref) const;
  void ReleasePlace(const Attempt& attempt, const AttemptId& id);
  // Anew, from its attempts and devices.
  void CountPlaces(LiveWorker* worker) const;
  static void OccupyPlace(LiveWorker* worker, const Attempt& attempt);
  static void VacatePlace(LiveWorker* worker, const Attempt& attempt);
  // Whether nothing was ever heard of the trial's live attempt, which the worker's daemon does not list, and it can run
  // there.
  bool NeverArrived(const LiveWorker& worker, const Trial& trial) const;

  // --- among sweeps (fair_share.cc)
  void Dispatch();
  // The least one gets the next place: starved or not, since when, priority, share of the workers by weight, number.
  using ShareKey = std::tuple<bool, int64_t, int64_t, double, SweepId>;
  ShareKey ShareKeyOf(const Sweep& sweep, int64_t promised) const;  // as if so many more of its trials ran
  // It has work, and nothing of it has run for kStarvedMs.
  bool IsStarved(const Sweep& sweep) const;
  // Chooses for each starved sweep a worker on which nothing else starts until it has its place, and finds those where
  // trials are making room.
  void KeepFree(const std::vector<const Sweep*>& active);
  bool IsKeptFree(const Sweep& sweep, WorkerId worker) const;  // for another sweep
  // Gives places to pending trials, and asks the searchers for points for what is left, one place after the other.
  void Share(const std::vector<const Sweep*>& active, int32_t lowest);
  // Whether a trial has room on a worker not before `from` (on `bound`, if given): as which attempt.
  bool Fits(const Sweep& sweep, WorkerId from, WorkerId bound, Attempt* attempt) const;

  // --- making room (preemption.cc)
  class WhatIf;  // what_if.h
  struct Victim {
    const Sweep* sweep = nullptr;
    uint32_t trial = 0;
  };
  // Ends attempts of sweeps of lower priority, as few as will do, so that what the others have pending can run.
  // `lowest`: the lowest priority of what runs.
  void PreemptBelow(const std::vector<const Sweep*>& active, int32_t lowest);
  std::vector<Victim> VictimsFor(int32_t priority) const;  // in the order in which they would go
  // Those whose going makes room on one worker (`bound`, if given) for a trial; empty if there is no way.
  std::vector<Victim> CheapestRoom(const Sweep& sweep, WorkerId bound, const std::vector<Victim>& victims);
  void Preempt(const Victim& victim, const Sweep& winner);
  int64_t PlacesOfLower(const Sweep& sweep);  // that sweeps of lower priority would give up for it

  // --- placement (placement.cc)
  bool DispatchOne(const Sweep& sweep);  // the next of its pending trials that has room; false: none has
  void ServeAsks(const Sweep& sweep);
  void RequestSuggestions(const Sweep& sweep, int64_t wanted);  // for so many trials
  int64_t Creatable(const Sweep& sweep) const;  // trials that may still be created
  bool MoreToCome(const Sweep& sweep) const;    // trials that may still be created, or that points are awaited for
  void CreateUserPoints(const Sweep& sweep);
  // The trials that run the point: one, or as many as the sweep repeats it.
  void CreateTrials(const Sweep& sweep, const Point& point, const Origin& origin);
  // The worker that suits it best of those with room, and its devices; nullptr if none.
  LiveWorker* FindPlace(const Sweep& sweep, WorkerId* id, std::vector<size_t>* devices);
  // Whether the worker takes trials and has room for one more now; the devices for it.
  bool HasRoom(const Sweep& sweep, WorkerId id, const LiveWorker& worker, std::vector<size_t>* devices) const;
  // The worker on whose disk the trial's newest checkpoints lie, if it takes trials and could run this one, or was
  // heard of within its lease; else none.
  WorkerId HomeOf(const Sweep& sweep, const Trial& trial) const;
  // Its home, if the trial waits for room there, since its newest checkpoint is nowhere else.
  WorkerId BoundTo(const Sweep& sweep, const Trial& trial) const;
  int64_t FreePlaces(const Sweep& sweep) const;
  double GpusFor(const Sweep& sweep) const;  // after gpus_optional
  Request RequestOf(const Sweep& sweep) const;
  bool Accepts(WorkerId id, const LiveWorker& worker) const;
  void Lease(const Sweep& sweep, uint32_t trial, WorkerId worker, LiveWorker* live, const std::vector<size_t>& devices);
  // Sends the live attempt to the worker that has its lease. Repeating it does nothing there.
  void Assign(const Sweep& sweep, uint32_t trial, LiveWorker* worker);

  // --- failures (failures.cc)
  // The live attempt of a worker is about to end like this: what that says about its worker and its sweep.
  void NoteEnd(const AttemptRef& ref, const AttemptExit& exit);
  void MaybeQuarantine(WorkerId id, const LiveWorker& worker, const Sweep& sweep, const AttemptExit& exit);
  // Live attempts of the sweep on other workers that have come further than `progress`, at most kWitnessesMax.
  int64_t FurtherElsewhere(const Sweep& sweep, WorkerId id, int64_t progress) const;
  // Whether its attempts fail one after the other and another sweep wants places. For a while only: then it has its
  // share again.
  bool HeldBack(const Sweep& sweep) const;
  std::string HeldBackText(const Sweep& sweep) const;  // "" if it is not
  void EndHoldBacks();

  // --- checkpoints (checkpoints.cc)
  void DropCopy(const TrialId& trial, const StoredCheckpoint& checkpoint);
  // Drops the copies that the sweep's rules do not keep.
  void KeepByRules(const Sweep& sweep, uint32_t number);
  // Drops copies of ended trials, the first to end first, until at most `bytes` are left, if that is enough.
  void MakeRoom(const Sweep& sweep, int64_t bytes, uint32_t except);

  // --- reasons (why.cc)
  void WhyPending(const Sweep& sweep, uint32_t number, std::vector<std::string>* lines) const;
  void WhyAtRung(const Sweep& sweep, const Trial& trial, std::vector<std::string>* lines) const;
  void WhyTakenOver(const Sweep& sweep, const Trial& trial, std::vector<std::string>* lines) const;
  std::string AttemptText(const Trial& trial, size_t index) const;
  // Why the worker does not take a trial of the sweep now; "" if it would.
  std::string MissText(const Sweep& sweep, WorkerId id, const LiveWorker& worker) const;

  ControllerOptions options_;
  State state_;
  std::map<WorkerId, LiveWorker> live_;
  std::map<SessionId, WorkerId> sessions_;
  std::map<SweepId, SweepWork> work_;
  std::map<WorkerId, SweepId> kept_free_;  // for which starved sweep
  std::map<WorkerId, int32_t> preempted_on_;  // highest priority of what is making room there
  int64_t cpus_total_ = 0;                 // of the workers that take trials, at the last dispatch
  int64_t gpus_total_ = 0;
  Time now_;
  Output* out_ = nullptr;     // of the step in progress
  uint64_t token_ = 0;        // of the step in progress
  bool dispatch_ = false;     // something may have become placeable
  uint64_t stale_records_ = 0;
  uint64_t topology_ = 0;
};

}  // namespace tunesmith
