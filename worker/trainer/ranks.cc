#include "worker/trainer/ranks.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <torch/version.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#ifdef USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

#include "common/text.h"
#include "worker/trainer/peer_processes.h"

namespace tunesmith::trainer {
namespace {

// LibTorch 2 calls Backend what was ProcessGroup before.
#if TORCH_VERSION_MAJOR >= 2
using Group = c10d::Backend;
#else
using Group = c10d::ProcessGroup;
#endif
using Milliseconds = std::chrono::milliseconds;

constexpr Milliseconds kLookAgain{20};  // between looks for ranks that come up or have ended
constexpr int kLooksForEnded = 50;
constexpr char kDoNext[] =
    "; look at the output of the other ranks for the first cause, then start all of them again: they resume from rank "
    "0's newest checkpoint";

// The address of this machine from which packets to `address` leave: the only one that Gloo has to listen on.
StatusOr<std::string> LocalAddressTowards(const std::string& address, uint16_t port) {
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_DGRAM;  // connecting it sends nothing
  addrinfo* found = nullptr;
  const int failed = getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (failed != 0) {
    return InvalidArgument("MASTER_ADDR is '" + ValidUtf8(address) + "', which is no address: " + gai_strerror(failed));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, freeaddrinfo);
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    const int fd = socket(at->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) continue;
    sockaddr_storage local = {};
    socklen_t length = sizeof local;
    char text[NI_MAXHOST] = "";
    const bool known =
        connect(fd, at->ai_addr, at->ai_addrlen) == 0 &&
        getsockname(fd, reinterpret_cast<sockaddr*>(&local), &length) == 0 &&
        getnameinfo(reinterpret_cast<sockaddr*>(&local), length, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0;
    close(fd);
    if (known) return std::string(text);
  }
  return Unavailable("no network of this machine leads to MASTER_ADDR " + ValidUtf8(address));
}

std::vector<uint8_t> Bytes(const std::string& text) { return {text.begin(), text.end()}; }
std::string Text(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

// LibTorch's messages end with a stack trace that helps no user.
std::string Plain(const std::exception& e) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&e);
  std::string text = torch_error != nullptr ? torch_error->what_without_backtrace() : e.what();
  return ValidUtf8(text.substr(0, text.find('\n')));
}

class Pending final : public Ranks::PendingSum {
 public:
  using OnError = std::function<void(const std::string&)>;
  // `tensors` lives as long as the work, which refers to it.
  Pending(std::unique_ptr<std::vector<torch::Tensor>> tensors, c10::intrusive_ptr<c10d::Work> work, OnError on_error)
      : tensors_(std::move(tensors)), work_(std::move(work)), on_error_(std::move(on_error)) {}
  void Wait() override {
    try {
      work_->wait();
    } catch (const std::exception& e) {
      on_error_(Plain(e));
    }
  }

 private:
  std::unique_ptr<std::vector<torch::Tensor>> tensors_;
  c10::intrusive_ptr<c10d::Work> work_;
  OnError on_error_;
};

}  // namespace

struct Ranks::Link {
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<Group> group;
  std::string backend;
  std::vector<std::string> marks;  // by rank
};

Ranks::Ranks(const RankPlace& place, torch::Device device)
    : place_(place), device_(device), link_(std::make_unique<Link>()) {}

Ranks::~Ranks() = default;

StatusOr<std::unique_ptr<Ranks>> Ranks::Meet(const RankPlace& place, double timeout_s, torch::Device device) {
  std::unique_ptr<Ranks> ranks(new Ranks(place, device));
  try {
    TS_RETURN_IF_ERROR(ranks->Connect(timeout_s));
  } catch (const std::exception& e) {
    const std::string where = place.address + ":" + std::to_string(place.port);
    const std::string who = "rank " + std::to_string(place.rank) + " of " + std::to_string(place.size);
    return Unavailable(who + " could not join the others through " + where + " (MASTER_ADDR, MASTER_PORT) within " +
                       DoubleText(timeout_s) + " s: " + Plain(e) +
                       "; check that all ranks run, with the same two variables, and that the port is free on rank "
                       "0's machine; peer_timeout sets the time");
  }
  return ranks;
}

Status Ranks::Connect(double timeout_s) {
  timeout_s_ = timeout_s;
  const Milliseconds timeout(std::max<int64_t>(1, static_cast<int64_t>(timeout_s * 1000)));
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  std::string local;
  TS_ASSIGN_OR_RETURN(local, LocalAddressTowards(place_.address, place_.port));

  c10d::TCPStoreOptions store_options;
  store_options.port = place_.port;
  store_options.isServer = place_.rank == 0 && !place_.store_is_there;
  store_options.waitWorkers = false;  // below, where the missing ones can be named
  store_options.timeout = timeout;
  link_->store = c10::make_intrusive<c10d::TCPStore>(place_.address, store_options);
  if (!place_.store_prefix.empty()) {
    link_->store = c10::make_intrusive<c10d::PrefixStore>(place_.store_prefix, link_->store);
  }

  const auto key = [](int rank) { return "tunesmith/rank/" + std::to_string(rank); };
  if (link_->store->add(key(place_.rank) + "/count", 1) > 1) {
    return FailedPrecondition("two processes have RANK=" + std::to_string(place_.rank) + " at " + place_.address + ":" +
                              std::to_string(place_.port) + "; give every process its own, and every run its own port");
  }
  link_->store->set(key(place_.rank), Bytes(ProcessMark()));
  std::vector<std::string> missing;
  for (bool late = false; !late; std::this_thread::sleep_for(missing.empty() ? Milliseconds(0) : kLookAgain)) {
    late = std::chrono::steady_clock::now() > deadline;
    missing.clear();
    for (int rank = 0; rank < place_.size; ++rank) {
      if (!link_->store->check({key(rank)})) missing.push_back(std::to_string(rank));
    }
    if (missing.empty()) break;
  }
  if (!missing.empty()) {
    return Unavailable("rank " + std::to_string(place_.rank) + " of " + std::to_string(place_.size) + " waited " +
                       DoubleText(timeout_s) + " s at " + place_.address + ":" + std::to_string(place_.port) +
                       " and rank " + Join(missing, ", ") +
                       " did not come; start every rank with the same MASTER_ADDR, MASTER_PORT and WORLD_SIZE, or "
                       "raise peer_timeout");
  }
  for (int rank = 0; rank < place_.size; ++rank) link_->marks.push_back(Text(link_->store->get(key(rank))));

#ifdef USE_C10D_NCCL
  if (device_.is_cuda()) {
    setenv("NCCL_BLOCKING_WAIT", "1", 0);  // a wait that ends at the timeout, and throws
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = timeout;
    link_->group = c10::make_intrusive<c10d::ProcessGroupNCCL>(link_->store, place_.rank, place_.size, options);
    link_->backend = "nccl";
    return OkStatus();
  }
#endif
  auto options = c10d::ProcessGroupGloo::Options::create(timeout);
  const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
  options->devices.push_back(interface != nullptr && *interface != 0
                                 ? c10d::ProcessGroupGloo::createDeviceForInterface(interface)
                                 : c10d::ProcessGroupGloo::createDeviceForHostname(local));
  link_->group = c10::make_intrusive<c10d::ProcessGroupGloo>(link_->store, place_.rank, place_.size, options);
  link_->backend = "gloo";
  return OkStatus();
}

std::string Ranks::backend() const { return link_->backend; }

void Ranks::Lost(const char* during, const std::string& why) {
  std::vector<std::string> ended;
  // A process that dies closes its connections a moment before it counts as ended.
  for (int looks = 0; looks < kLooksForEnded && ended.empty(); ++looks) {
    if (looks > 0) std::this_thread::sleep_for(kLookAgain);
    for (int rank = 0; rank < place_.size; ++rank) {
      if (StateOf(link_->marks[static_cast<size_t>(rank)]) == PeerState::kEnded) ended.push_back(std::to_string(rank));
    }
  }
  // The group's destructor would wait for what can no longer come.
  link_->group.release();
  link_->store.release();
  throw RankError("rank " + std::to_string(place_.rank) + " of " + std::to_string(place_.size) +
                  " lost the others during " + during + ": " +
                  (ended.empty() ? "no rank of this machine has ended, so one is stuck, slower than peer_timeout (" +
                                       DoubleText(timeout_s_) + " s), or lost on another machine"
                                 : "the process of rank " + Join(ended, ", ") + " has ended") +
                  " (" + why + ")" + kDoNext);
}

std::unique_ptr<Ranks::PendingSum> Ranks::StartSum(const torch::Tensor& tensor) {
  auto tensors = std::make_unique<std::vector<torch::Tensor>>(1, tensor);
  const auto lost = [this](const std::string& why) { Lost("a sum over ranks", why); };
  try {
    auto work = link_->group->allreduce(*tensors);
    return std::make_unique<Pending>(std::move(tensors), std::move(work), lost);
  } catch (const std::exception& e) {
    Lost("a sum over ranks", Plain(e));
  }
}

bool Ranks::Any(bool mine) {
  const torch::Tensor count = torch::full({1}, mine ? 1 : 0, torch::TensorOptions(torch::kLong).device(device_));
  Sum(count);
  return count.item<int64_t>() > 0;
}

void Ranks::Broadcast(const torch::Tensor& tensor) {
  std::vector<torch::Tensor> tensors = {tensor};
  try {
    link_->group->broadcast(tensors)->wait();
  } catch (const std::exception& e) {
    Lost("a broadcast from rank 0", Plain(e));
  }
}

std::string Ranks::Broadcast(const std::string& bytes) {
  const torch::Tensor size = torch::full({1}, static_cast<int64_t>(bytes.size()),
                                         torch::TensorOptions(torch::kLong).device(device_));
  Broadcast(size);
  torch::Tensor content = torch::empty({size.item<int64_t>()}, torch::kByte);
  if (place_.rank == 0) std::memcpy(content.data_ptr(), bytes.data(), bytes.size());
  content = content.to(device_);
  if (content.numel() > 0) Broadcast(content);
  content = content.cpu();
  return {static_cast<const char*>(content.data_ptr()), static_cast<size_t>(content.numel())};
}

void Ranks::DemandSame(const std::string& what, const std::string& text) {
  const std::string first = Broadcast(text);
  const torch::Tensor others =
      torch::zeros({place_.size}, torch::TensorOptions(torch::kLong).device(device_));
  if (text != first) others[place_.rank] = 1;
  Sum(others);
  if (text != first) {
    throw RankError("rank " + std::to_string(place_.rank) + " has other " + what + " ('" + text + "') than rank 0 ('" +
                    first + "'); start every rank with the same configuration and data");
  }
  const torch::Tensor counts = others.cpu();
  for (int rank = 0; rank < place_.size; ++rank) {
    if (counts[rank].item<int64_t>() == 0) continue;
    throw RankError("rank " + std::to_string(rank) + " has other " + what + " than rank 0 ('" + first +
                    "'); start every rank with the same configuration and data");
  }
}

uint64_t Ranks::DemandEqual(const std::vector<torch::Tensor>& tensors) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a, eight bytes a round
  for (const torch::Tensor& tensor : tensors) {
    const torch::Tensor bytes = tensor.detach().cpu().contiguous();
    const auto* at = static_cast<const char*>(bytes.data_ptr());
    for (size_t left = bytes.nbytes(); left > 0;) {
      uint64_t word = 0;
      const size_t taken = std::min(left, sizeof word);
      std::memcpy(&word, at, taken);
      hash = (hash ^ word) * 0x100000001b3;
      hash ^= hash >> 32;
      at += taken;
      left -= taken;
    }
  }
  const torch::Tensor hashes = torch::zeros({place_.size}, torch::TensorOptions(torch::kLong).device(device_));
  hashes[place_.rank] = static_cast<int64_t>(hash);
  Sum(hashes);
  const torch::Tensor all = hashes.cpu();
  std::vector<std::string> others;
  for (int rank = 1; rank < place_.size; ++rank) {
    if (all[rank].item<int64_t>() != all[0].item<int64_t>()) others.push_back(std::to_string(rank));
  }
  if (!others.empty()) {
    throw RankError("the parameters of rank " + Join(others, ", ") +
                    " differ from those of rank 0, so that the ranks train different models; run with other hardware "
                    "or libraries on no rank, and report this if they are all the same");
  }
  return hash;
}

}  // namespace tunesmith::trainer
