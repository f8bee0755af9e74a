// How a command reaches a controller: the configured one, or this machine's own state under a
// LocalStack.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "client/api/client.h"
#include "client/local/local_stack.h"
#include "client/settings.h"
#include "common/status.h"

namespace tunesmith {

// What a command needs where no server is configured.
enum class Need {
  kState,   // this machine's own state; a controller is started briefly if none runs
  kServer,  // a controller that runs: that of a `tunesmith run` in progress, else kDefaultServer
  kRun,     // this machine's own controller, with a worker to come
};

// Main thread only, but client() is thread-safe between calls of Reconnect.
class Connection {
 public:
  // No call is made to a configured server yet. NOT_FOUND: kState, and there is no state.
  static StatusOr<std::unique_ptr<Connection>> Open(const Settings& settings, Need need);

  Client& client() { return *client_; }
  // Null if a server is configured.
  LocalStack* local() { return local_.get(); }
  // The same server again; a local one may have a new address, or be started anew by us.
  Status Reconnect();
  // "tunesmith" or "tunesmith --server ADDRESS": how to come back in a later command.
  std::string Program() const;

 private:
  explicit Connection(const Settings& settings) : settings_(settings) {}
  Status Connect(const std::string& address);

  Settings settings_;
  std::unique_ptr<LocalStack> local_;
  std::unique_ptr<Client> client_;
  bool server_from_flag_ = false;
};

// The sweep with this id, or the only one whose id starts with it. NOT_FOUND names the closest ids.
StatusOr<v1::Sweep> ResolveSweep(Client* client, const std::string& text);

}  // namespace tunesmith
