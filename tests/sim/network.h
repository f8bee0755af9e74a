// Streams between daemons and the controller, as gRPC gives them: in order, delayed, cut at any moment, also in one
// direction alone, and each end learns of the cut in its own time, or never.
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
  // Nothing gets through any more from the daemon (`up`) or to it; the other direction goes on until an end notices.
  void LoseOneWay(int client, bool up, Duration duration);
  // One end does not read for so long: what is sent to it waits, and a controller that has too much of that closes.
  void Stall(int client, bool up, Duration duration);
  void Heal();

  Duration Delay();

 private:
  struct Link {
    SessionId session;
    int client = 0;
    bool cut = false;             // nothing gets through any more
    bool up_lost = false;         // nothing gets through in this direction
    bool down_lost = false;
    bool late = false;            // cut, but what the daemon had sent before still arrives
    size_t down_waiting = 0;      // messages that the daemon has not read
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
  void NoticeOneWay(SessionId session, bool by_client);

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
