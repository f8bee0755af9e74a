// What must hold at every moment, whatever breaks. It sees the world from outside: what trials reported, what became
// durable, what left the controller.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "server/core/controller.h"
#include "tests/sim/world.h"

namespace tunesmith::sim {

class Checker {
 public:
  explicit Checker(World* world) : world_(world) {}

  // A record exists for good from here on: it is in a daemon's spool.
  void OnStored(const WorkerRecord& record);
  // A client is going to report it, for the first time or again.
  void OnTold(const WorkerRecord& record) { stored_[record.ref.attempt].emplace(record.sequence, record); }

  // Records of the attempt from this sequence on were nowhere but in a daemon that has died.
  void OnGone(const AttemptRef& ref, uint64_t from);

  // Events became durable, in this order. Checked against the state before each.
  void OnDurable(const std::vector<Event>& events);
  // The controller dies while it commits so many events.
  void OnDying(size_t events) { dying_commit_ = events; }
  // The controller was recovered from `events`, the whole journal.
  void OnRecovered(const std::vector<Event>& events, const Controller& controller);
  // After every batch, once its events are durable. Without events only the invariants are looked at.
  void OnBatch(const Controller& controller, bool any_events);
  // The same with a replay of the whole journal; at the end.
  void OnEnd(const std::vector<Event>& events, const Controller& controller);

  // Effects that leave the controller.
  void OnWelcomeReleased(const SendWelcome& welcome);
  void OnAckReleased(const SendAck& ack);
  void OnVerdictReleased(const SendVerdict& verdict);
  // A client was told that its report is recorded.
  void OnReportAnswered(const AttemptId& attempt, uint64_t sequence);

  const State& durable() const { return durable_; }

 private:
  void Check(const Event& event);
  void Check(const Measured& event);
  void CheckTime(const AttemptId& attempt, Time time, const char* what);
  void CheckRecorded(const AttemptId& attempt, uint64_t up_to);

  World* world_;
  // Built from durable events alone and never thrown away: a controller that has never crashed.
  State durable_;
  uint64_t durable_events_ = 0;
  std::map<AttemptId, std::map<uint64_t, WorkerRecord>> stored_;
  // Those that a daemon took with it; a controller may have them all the same.
  std::map<AttemptId, std::map<uint64_t, WorkerRecord>> gone_;
  std::map<AttemptId, Time> times_;                       // the latest that is durable
  std::map<AttemptId, uint64_t> recorded_last_;           // highest sequence of a durable measurement
  std::map<AttemptId, std::set<uint64_t>> recorded_;
  std::map<AttemptId, uint64_t> checked_;                 // acknowledged and found
  std::set<AttemptId> fenced_;                            // lost by the controller's own decision
  std::set<TrialId> changed_in_commit_;                   // the newest one
  size_t dying_commit_ = 0;
  uint64_t batches_ = 0;
  std::map<std::pair<SessionId, AttemptRef>, uint64_t> acked_in_session_;
};

}  // namespace tunesmith::sim
