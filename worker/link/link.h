// The daemon's stream to the controller: connects, reconnects, reads and writes on threads of its
// own.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "common/mutex.h"
#include "common/rng.h"
#include "common/status.h"
#include "common/time.h"
#include "tunesmith/v1/worker_service.grpc.pb.h"

namespace tunesmith::worker {

struct LinkOptions {
  std::string controller;  // host:port
  // PEM files. A CA alone: the controller must show a certificate of it. With certificate and key
  // the daemon shows its own. All empty: plain text.
  std::string tls_ca, tls_certificate, tls_key;
  Duration backoff_min = Milliseconds(200);
  Duration backoff_max = Milliseconds(10'000);
  uint64_t jitter_seed = 1;
  // Called on a thread of the link after an event was added: must only wake the loop.
  std::function<void()> wake;
};

// A channel to the controller. With `own_connection` it shares its connection with no other channel.
// INVALID_ARGUMENT or NOT_FOUND if the TLS files cannot be used.
StatusOr<std::shared_ptr<grpc::Channel>> OpenChannel(const LinkOptions& options, bool own_connection);

// Thread-safe. Streams are numbered; what is said about or to one that is closed is dropped.
class Link {
 public:
  struct Opened {
    uint64_t session = 0;
  };
  struct Received {
    uint64_t session = 0;
    v1::ControllerMessage message;
  };
  // The queue is empty: the next message would go out at once.
  struct Drained {
    uint64_t session = 0;
  };
  struct Closed {
    uint64_t session = 0;
    Status status;
    Duration next_try;
  };
  using Event = std::variant<Opened, Received, Drained, Closed>;

  // Starts connecting. INVALID_ARGUMENT or NOT_FOUND if the TLS files cannot be used.
  static StatusOr<std::unique_ptr<Link>> Start(LinkOptions options);
  // Ends the stream.
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  std::vector<Event> TakeEvents();
  void Send(uint64_t session, v1::WorkerMessage message);

 private:
  using Stream = grpc::ClientReaderWriter<v1::WorkerMessage, v1::ControllerMessage>;

  Link(LinkOptions options, std::shared_ptr<grpc::Channel> channel);
  void RunReader();
  void RunWriter();
  bool WaitForNextTry(Duration wait);
  // Whether a message ever came.
  bool RunStream(uint64_t session, Status* status);
  void AddEvent(Event event, bool bounded);

  const LinkOptions options_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::WorkerService::Stub> stub_;

  Mutex mutex_;
  std::condition_variable changed_;
  std::vector<Event> events_ TS_GUARDED_BY(mutex_);
  std::deque<v1::WorkerMessage> outgoing_ TS_GUARDED_BY(mutex_);
  uint64_t session_ TS_GUARDED_BY(mutex_) = 0;  // of the open stream; 0 = none
  Stream* stream_ TS_GUARDED_BY(mutex_) = nullptr;
  grpc::ClientContext* context_ TS_GUARDED_BY(mutex_) = nullptr;
  bool writing_ TS_GUARDED_BY(mutex_) = false;
  bool stopped_ TS_GUARDED_BY(mutex_) = false;
  std::jthread reader_;
  std::jthread writer_;
};

}  // namespace tunesmith::worker
