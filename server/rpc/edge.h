// What every service needs: the way into the loop, and the rules of all calls in one place.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "server/core/controller.h"
#include "server/journal/journal.h"
#include "server/rpc/registry.h"
#include "server/rpc/reply.h"
#include "server/rpc/side_thread.h"
#include "server/runtime/checkpoint_store.h"
#include "server/runtime/log_store.h"
#include "server/runtime/loop.h"
#include "tunesmith/v1/sweep.pb.h"

namespace tunesmith::rpc {

// A status with its stable reason.
struct Refusal {
  Status status;
  std::string reason;
};

// Loop thread only: sweep specs as messages, which are large, needed often, and never change.
class SpecCache {
 public:
  const v1::SweepSpec& Get(const Sweep& sweep);

 private:
  struct Entry {
    std::shared_ptr<const SweepSpec> of;  // a sweep that is updated gets another
    v1::SweepSpec spec;
  };
  std::map<SweepId, Entry> specs_;
  size_t bytes_ = 0;
};

// Thread-safe where not said otherwise. Outlives all calls.
class Edge {
 public:
  enum class Phase { kStarting, kServing, kDraining };

  Edge(Loop* loop, Journal* journal, const LogStore* logs, CheckpointStore* checkpoints);

  Loop* loop() { return loop_; }
  Journal* journal() { return journal_; }
  const LogStore* logs() { return logs_; }
  CheckpointStore* checkpoints() { return checkpoints_; }
  Registry* streams() { return &streams_; }
  SideThread* side() { return &side_; }
  // For what takes a second of pure work, so that no log and no spec waits behind it.
  SideThread* insights() { return &insights_; }
  // For the files of checkpoints, which can be large.
  SideThread* transfers() { return &transfers_; }
  void set_phase(Phase phase) { phase_.store(phase); }

  // OK while calls are taken.
  Refusal Admit() const;
  // Takes a new stream in, which is the library's from then on. If the answer is not OK it must be closed with that.
  Refusal Register(std::shared_ptr<LiveStream> stream);
  static Refusal Draining();
  static Refusal Busy();

  // Loop thread. The sweep and its spec, as users see them.
  void RenderSweep(const Controller& controller, const Sweep& sweep, v1::Sweep* out);
  // Loop thread. NOT_FOUND with the closest id there is.
  static Refusal SweepNotFound(const Controller& controller, const std::string& id);
  static Refusal TrialNotFound(const Sweep& sweep, uint32_t number);

  template <typename Response>
  using SharedReply = std::shared_ptr<UnaryReply<Response>>;

  // Answers a call by `read(controller, reply)` on the loop thread.
  template <typename Response, typename ReadFn>
  grpc::ServerUnaryReactor* Read(grpc::CallbackServerContext* context, Response* response, ReadFn read) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    auto reply = std::make_shared<UnaryReply<Response>>(reactor, response);
    if (Refuse(Admit(), reply.get())) return reactor;
    if (!loop_->Read(
            [reply, read = std::move(read)](const Controller& controller, Time) { read(controller, reply); })) {
      Refuse(Draining(), reply.get());
    }
    return reactor;
  }

  // Read of one sweep: `read(controller, sweep, reply)`.
  template <typename Response, typename ReadFn>
  grpc::ServerUnaryReactor* ReadSweep(grpc::CallbackServerContext* context, const std::string& id,
                                      Response* response, ReadFn read) {
    return Read(context, response,
                [id, read = std::move(read)](const Controller& controller, const SharedReply<Response>& reply) {
                  const Sweep* sweep = controller.state().FindSweep(id);
                  if (sweep == nullptr) {
                    Refuse(SweepNotFound(controller, id), reply.get());
                    return;
                  }
                  read(controller, *sweep, reply);
                });
  }

  // Posts the command that `make(SweepId)` gives for the sweep `id`, and answers by `render(answer, controller, reply)`
  // on the loop thread once it is durable; refusals of the core are answered here.
  template <typename Response, typename MakeFn, typename RenderFn>
  grpc::ServerUnaryReactor* CommandSweep(grpc::CallbackServerContext* context, const std::string& id,
                                         Response* response, MakeFn make, RenderFn render) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    auto reply = std::make_shared<UnaryReply<Response>>(reactor, response);
    if (Refuse(Admit(), reply.get())) return reactor;
    auto command = std::make_shared<SweepCommand>();
    command->id = id;
    command->make = std::move(make);
    command->refuse = [reply](const Refusal& refusal, const Problems& problems) {
      reply->Finish(refusal.status, refusal.reason, problems);
    };
    command->render = [reply, render = std::move(render)](const Reply& answer, const Controller& controller) {
      render(answer, controller, reply);
    };
    Run(std::move(command));
    return reactor;
  }

  template <typename Response>
  static bool Refuse(const Refusal& refusal, UnaryReply<Response>* reply) {
    if (refusal.status.ok()) return false;
    reply->Finish(refusal.status, refusal.reason);
    return true;
  }

 private:
  struct SweepCommand {
    std::string id;
    std::function<Command(SweepId)> make;
    std::function<void(const Reply&, const Controller&)> render;
    std::function<void(const Refusal&, const Problems&)> refuse;
  };
  void Run(std::shared_ptr<SweepCommand> command);
  void Post(std::shared_ptr<SweepCommand> command, SweepId sweep);
  SweepId Cached(const std::string& id) const;
  void Remember(const std::string& id, SweepId sweep);

  Loop* const loop_;
  Journal* const journal_;
  const LogStore* const logs_;
  CheckpointStore* const checkpoints_;
  Registry streams_;
  std::atomic<Phase> phase_{Phase::kStarting};
  SpecCache specs_;  // loop thread only

  mutable std::mutex mutex_;
  // Numbers of sweeps by id, so that most commands need one turn of the loop and not two. An id may be reused after a
  // deletion and a number never is, so a stale entry is refused by the core and then looked up again.
  std::unordered_map<std::string, SweepId> numbers_;  // guarded by mutex_

  SideThread side_, insights_, transfers_;  // last: their tasks use all of the above
};

}  // namespace tunesmith::rpc
