// WatchSweep: a snapshot, then what changed.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/rpc/edge.h"
#include "server/rpc/stream.h"
#include "server/runtime/loop.h"
#include "tunesmith/v1/tuning_service.pb.h"

namespace tunesmith::rpc {

// One watcher. It pulls: a message is made only when the one before is written and the interval has passed, from the
// state as it is then. So a slow reader costs one message of memory, gets each changed trial once, and a new snapshot
// if it is so late that the list of changes no longer reaches back to it.
//
//   snapshot (in chunks) -> [ changes (in chunks) ]* -> OK once the sweep has ended | NOT_FOUND once it is deleted
//
// Loop thread only, but for what WriterStream does.
class WatchStream final : public WriterStream<v1::WatchSweepResponse> {
 public:
  WatchStream(Edge* edge, SweepId sweep, Duration interval);

  // Sends what is due. Returns when to look again if nothing happens until then; nullopt once the stream is over.
  std::optional<Time> Observe(const Controller& controller, Time now);
  void set_sweep(SweepId sweep) { sweep_ = sweep; }

 private:
  void OnDrained() override;
  // Finds out what is to be sent. False if nothing is.
  bool Begin(const Controller& controller, const Sweep& sweep, v1::WatchSweepResponse* message);
  // Adds trials up to the size of a chunk. True if there are more.
  bool AddTrials(const State& state, const Sweep& sweep, v1::WatchSweepResponse* message);

  Edge* const edge_;
  SweepId sweep_;
  const Duration interval_;
  Time due_;                         // not before
  bool started_ = false;
  uint64_t cursor_ = 0;              // all changes up to this revision are sent or in hand
  uint64_t seen_revision_ = 0;       // of the whole state, when it was last looked at
  uint64_t seen_topology_ = 0;
  uint64_t workers_sent_ = 0;        // fingerprint
  // In hand: trials [next_, end_) of a snapshot, or todo_[next_, end_).
  bool in_hand_ = false;
  bool snapshot_ = false;
  std::vector<uint32_t> todo_;
  size_t next_ = 0;
  size_t end_ = 0;
};

// All watchers, called by the loop after every batch.
class WatchHub : public Observer {
 public:
  // Any thread: a new watcher, which the library deletes through the registry.
  grpc::ServerWriteReactor<v1::WatchSweepResponse>* Open(Edge* edge, const v1::WatchSweepRequest& request);
  Time Observe(const Controller& controller, Time now) override;

 private:
  std::vector<std::shared_ptr<WatchStream>> watchers_;  // loop thread only
};

}  // namespace tunesmith::rpc
