// Streams between daemons and the controller, as gRPC gives them: in order, delayed, cut at any moment, and each end
// learns of the cut in its own time, or never.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <variant>
#include <vector>

#include "server/core/command.h"
#include "tests/sim/options.h"
#include "tests/sim/worker_model.h"
#include "tests/sim/world.h"

namespace tunesmith::sim {

struct HeartbeatMessage {
  bool draining = false;
};
struct DevicesMessage {
  std::vector<DeviceInfo> held;
};
using ToController = std::variant<WorkerHello, HeartbeatMessage, DevicesMessage, std::vector<WorkerRecord>>;

// A daemon as the network sees it.
class StreamClient {
 public:
  virtual ~StreamClient() = default;
  virtual void OnConnected(SessionId session) = 0;
  virtual void OnConnectFailed() = 0;
  virtual void OnReceived(SessionId session, const ToWorker& message) = 0;
  virtual void OnClosed(SessionId session) = 0;
};

class Network {
 public:
  Network(World* world, const SimOptions* options) : world_(world), options_(options) {}

  // Where commands go; false if the controller is down.
  void set_controller(std::function<bool(Command)> post, std::function<bool()> up) {
    post_ = std::move(post);
    up_ = std::move(up);
  }
  int AddClient(StreamClient* client);

  // --- daemons
  void Connect(int client);
  void SendUp(SessionId session, ToController message);
  // The daemon's process is gone, and its end of the stream with it.
  void ClientDied(int client);
  // The client wants no more of this one of its streams.
  void Drop(SessionId session);

  // --- the controller
  void SendDown(SessionId session, ToWorker message);
  void CloseByController(SessionId session);
  void ControllerDied();

  // --- faults
  void Break(int client);
  void Partition(int client, Duration duration);
  void Heal();

  Duration Delay();

 private:
  struct Link {
    SessionId session;
    int client = 0;
    bool cut = false;             // nothing gets through any more
    bool client_knows = false;
    bool controller_knows = false;
    bool controller_met = false;  // the hello has arrived
    Time up_free;
    Time down_free;
  };
  Link* Find(SessionId session);
  Link* LinkOf(int client);  // the one that is not cut; nullptr if none
  // Cuts it; each end is told after its delay (negative: never).
  void Cut(Link* link, Duration client_notice, Duration controller_notice);
  void TellClient(SessionId session);
  void TellController(SessionId session);
  void Deliver(SessionId session, ToController message);

  World* world_;
  const SimOptions* options_;
  std::function<bool(Command)> post_;
  std::function<bool()> up_;
  std::vector<StreamClient*> clients_;
  std::vector<Time> partitioned_until_;
  std::map<SessionId, Link> links_;
  uint64_t last_session_ = 0;
};

}  // namespace tunesmith::sim
