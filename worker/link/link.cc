#include "worker/link/link.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/limits.h"
#include "worker/process/files.h"

namespace tunesmith::worker {
namespace {

constexpr int kKeepaliveMs = 25'000;
constexpr int kKeepaliveTimeoutMs =
    10'000;  // also the longest that sent bytes may stay unconfirmed by the peer
constexpr int kConnectMsMax = 5'000;

StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeCredentials(const LinkOptions& options) {
  if (options.tls_ca.empty() && options.tls_certificate.empty() && options.tls_key.empty()) {
    return grpc::InsecureChannelCredentials();
  }
  if (options.tls_certificate.empty() != options.tls_key.empty()) {
    return InvalidArgument("--tls-cert and --tls-key are given together or not at all");
  }
  grpc::SslCredentialsOptions ssl;
  if (!options.tls_ca.empty()) {
    TS_ASSIGN_OR_RETURN(ssl.pem_root_certs, ReadFile(options.tls_ca));
  }
  if (!options.tls_certificate.empty()) {
    TS_ASSIGN_OR_RETURN(ssl.pem_cert_chain, ReadFile(options.tls_certificate));
    TS_ASSIGN_OR_RETURN(ssl.pem_private_key, ReadFile(options.tls_key));
  }
  return grpc::SslCredentials(ssl);
}

}  // namespace

StatusOr<std::shared_ptr<grpc::Channel>> OpenChannel(const LinkOptions& options, bool own_connection) {
  TS_ASSIGN_OR_RETURN(auto credentials, MakeCredentials(options));
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, static_cast<int>(options.backoff_min.ms));
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, static_cast<int>(options.backoff_max.ms));
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectMsMax);
  if (own_connection) arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(options.controller, credentials, arguments);
}

StatusOr<std::unique_ptr<Link>> Link::Start(LinkOptions options) {
  TS_ASSIGN_OR_RETURN(auto channel, OpenChannel(options, false));
  std::unique_ptr<Link> link(new Link(std::move(options), std::move(channel)));
  link->reader_ = std::jthread([raw = link.get()] { raw->RunReader(); });
  link->writer_ = std::jthread([raw = link.get()] { raw->RunWriter(); });
  return link;
}

Link::Link(LinkOptions options, std::shared_ptr<grpc::Channel> channel)
    : options_(std::move(options)),
      channel_(std::move(channel)),
      stub_(v1::WorkerService::NewStub(channel_)) {}

Link::~Link() {
  {
    MutexLock lock(&mutex_);
    stopped_ = true;
    if (context_ != nullptr) context_->TryCancel();
  }
  changed_.notify_all();
  reader_.join();
  writer_.join();
}

std::vector<Link::Event> Link::TakeEvents() {
  std::vector<Event> events;
  {
    MutexLock lock(&mutex_);
    events = std::exchange(events_, {});
  }
  changed_.notify_all();
  return events;
}

void Link::Send(uint64_t session, v1::WorkerMessage message) {
  {
    MutexLock lock(&mutex_);
    if (session != session_) return;
    outgoing_.push_back(std::move(message));
  }
  changed_.notify_all();
}

// `bounded`: waits while the loop is behind, so that the controller feels it instead of this
// process's memory.
void Link::AddEvent(Event event, bool bounded) {
  {
    MutexLock lock(&mutex_);
    if (bounded) {
      changed_.wait(lock.native(), [&] { return stopped_ || events_.size() < kSessionQueueMax; });
    }
    events_.push_back(std::move(event));
  }
  options_.wake();
}

void Link::RunReader() {
  Rng jitter(options_.jitter_seed);
  Duration backoff = options_.backoff_min;
  for (uint64_t session = 1;; ++session) {
    Status status;
    const bool talked = RunStream(session, &status);
    if (talked) backoff = options_.backoff_min;
    // Half fixed, half random: daemons that lost the same controller do not return at the same
    // instant.
    const Duration wait{backoff.ms / 2 + jitter.IntInclusive(0, backoff.ms / 2)};
    backoff = std::min(options_.backoff_max, Duration{backoff.ms * 2});
    AddEvent(Closed{session, status, wait}, false);
    if (!WaitForNextTry(wait)) return;
  }
}

// False when the link is to stop. A controller that refuses is asked again after the wait; one that
// cannot be reached is asked as soon as the channel, which tries on its own, has reached it.
bool Link::WaitForNextTry(Duration wait) {
  constexpr auto kSlice = std::chrono::milliseconds(100);
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(wait.ms);
  const bool reachable = channel_->GetState(false) == GRPC_CHANNEL_READY;
  while (std::chrono::steady_clock::now() < end) {
    {
      MutexLock lock(&mutex_);
      if (stopped_) return false;
      if (reachable) {
        return !changed_.wait_until(lock.native(), end, [&] { return stopped_; });
      }
    }
    if (channel_->WaitForConnected(std::chrono::system_clock::now() + kSlice)) break;
  }
  MutexLock lock(&mutex_);
  return !stopped_;
}

bool Link::RunStream(uint64_t session, Status* status) {
  grpc::ClientContext context;
  {
    MutexLock lock(&mutex_);
    if (stopped_) return false;
    context_ = &context;
  }
  const auto stream = stub_->Session(&context);
  {
    MutexLock lock(&mutex_);
    session_ = session;
    stream_ = stream.get();
    outgoing_.clear();
  }
  AddEvent(Opened{session}, false);
  bool talked = false;
  for (v1::ControllerMessage message; stream->Read(&message); message.Clear()) {
    talked = true;
    AddEvent(Received{session, std::move(message)}, true);
  }
  {
    MutexLock lock(&mutex_);
    session_ = 0;
    stream_ = nullptr;
    changed_.wait(lock.native(), [&] { return !writing_; });
  }
  const grpc::Status end = stream->Finish();
  *status = MakeStatus(static_cast<StatusCode>(end.error_code()), end.error_message());
  MutexLock lock(&mutex_);
  context_ = nullptr;
  return talked;
}

void Link::RunWriter() {
  while (true) {
    v1::WorkerMessage message;
    Stream* stream = nullptr;
    uint64_t session = 0;
    {
      MutexLock lock(&mutex_);
      changed_.wait(lock.native(),
                    [&] { return stopped_ || (stream_ != nullptr && !outgoing_.empty()); });
      if (stopped_) return;
      stream = stream_;
      session = session_;
      message = std::move(outgoing_.front());
      outgoing_.pop_front();
      writing_ = true;
    }
    // Fails only when the stream is over; the reader sees that too.
    const bool written = stream->Write(message);
    bool drained = false;
    {
      MutexLock lock(&mutex_);
      writing_ = false;
      drained = written && outgoing_.empty() && session == session_;
    }
    changed_.notify_all();
    if (drained) AddEvent(Drained{session}, false);
  }
}

}  // namespace tunesmith::worker
