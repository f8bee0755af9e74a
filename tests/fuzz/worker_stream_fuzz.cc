// What worker daemons say to the controller: bytes of WorkerMessage, through the conversions of the RPC layer, into the
// real core. Up to four streams at once, by three sweeps (asha, its promotion variant, median) with a searcher each.
// After every message the invariants hold; at the end the journal gives the same state back.
//
// The input is a list of frames: [what][length, two bytes, little endian][that many bytes of a message]. Of `what`:
//   bits 0-1  which stream
//   bit 2     the stream is closed before
//   bit 3     0.3 s pass before; bits 3 and 4: 30 s, longer than a lease
//   bit 5     attempts are replaced by ones that the worker really has, and sequences by ones that come next, so that
//             a fuzzer need not guess epochs
//   bit 6     the controller is killed before, and recovers from its journal
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "search/searcher.h"
#include "server/core/controller.h"
#include "server/rpc/convert.h"
#include "tests/fuzz/bytes.h"
#include "tests/fuzz/check.h"

namespace tunesmith {
namespace {

class World {
 public:
  World() {
    Create("asha", "asha", false);
    Create("promotion", "asha", true);
    Create("median", "median", false);
  }

  void TakeFrame(Bytes* in) {
    const uint8_t what = in->Byte();
    Stream& stream = streams_[what & 3];
    if (what & 4) Close(&stream);
    if (what & 8) {
      now_ = now_ + (what & 16 ? Seconds(30) : Milliseconds(300));
      Step(Tick{});
    }
    if (what & 64) Restart();
    const size_t size = in->Number(2);
    const std::string_view bytes = in->Text(size);
    v1::WorkerMessage message;
    // gRPC ends a stream whose bytes are no message.
    if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return Close(&stream);
    if (what & 32) UseRealAttempts(stream, &message);
    if (!Take(&stream, &message).ok()) Close(&stream);
  }

  void Finish() {
    for (Stream& stream : streams_) Close(&stream);
    State replayed;
    for (const Event& event : journal_) replayed.Apply(event);
    CheckEqual(replayed.Hash(), controller_->state().Hash(), "the state that the journal gives back");
  }

 private:
  struct Stream {
    SessionId id;           // none: not open
    bool greeted = false;
    std::string worker;
  };

  // As SessionStream::Take.
  Status Take(Stream* stream, v1::WorkerMessage* message) {
    if (!stream->id) *stream = {.id = SessionId(++last_session_)};
    const SessionId id = stream->id;
    if (message->kind_case() == v1::WorkerMessage::kHello) {
      if (stream->greeted) return InvalidArgument("hello is the first message of a session, and only that");
      TS_ASSIGN_OR_RETURN(WorkerHello hello, rpc::HelloFromProto(message->hello()));
      stream->greeted = true;
      stream->worker = hello.name;
      Step(WorkerConnected{id, std::move(hello)});
      return OkStatus();
    }
    if (!stream->greeted) return InvalidArgument("the first message of a session must be hello");
    switch (message->kind_case()) {
      case v1::WorkerMessage::kHeartbeat:
        Step(WorkerHeartbeat{id, message->heartbeat().draining()});
        return OkStatus();
      case v1::WorkerMessage::kHeldDevices: {
        WorkerDevices command{id, {}};
        TS_RETURN_IF_ERROR(rpc::HeldFromProto(message->held_devices(), &command.held));
        Step(command);
        return OkStatus();
      }
      case v1::WorkerMessage::kRecords: {
        WorkerRecords command;
        command.session = id;
        TS_RETURN_IF_ERROR(rpc::RecordsFromProto(message->mutable_records(), &command.records));
        Step(command);
        return OkStatus();
      }
      default: return InvalidArgument("a message must hold hello, heartbeat, held_devices or records");
    }
  }

  void Close(Stream* stream) {
    if (stream->greeted) Step(WorkerDisconnected{stream->id});
    *stream = {};
  }

  void UseRealAttempts(const Stream& stream, v1::WorkerMessage* message) {
    const std::string name = message->has_hello() ? message->hello().name() : stream.worker;
    const auto live = controller_->live_workers().find(controller_->state().FindWorker(name));
    if (live == controller_->live_workers().end() || live->second.attempts.empty()) return;
    const auto& attempts = live->second.attempts;
    const auto use = [&](v1::AttemptRef* ref) -> uint64_t {
      const auto it = std::next(attempts.begin(), static_cast<ptrdiff_t>(ref->epoch() % attempts.size()));
      const Trial* trial = controller_->state().FindTrial(it->first.trial);
      if (trial == nullptr || trial->attempts.empty()) return 0;
      rpc::FillRef({it->first, trial->attempts.back().epoch}, ref);
      return it->second;
    };
    if (message->has_hello()) {
      for (auto& ref : *message->mutable_hello()->mutable_attempts()) use(&ref);
    } else if (message->has_records()) {
      std::map<std::string, uint64_t> next;
      for (auto& record : *message->mutable_records()->mutable_records()) {
        const uint64_t seen = use(record.mutable_attempt());
        uint64_t& sequence = next.try_emplace(record.attempt().SerializeAsString(), seen).first->second;
        sequence += record.sequence() % 3;  // the same again, the next one, or one with a gap
        record.set_sequence(std::max<uint64_t>(1, sequence));
      }
    }
  }

  void Create(const std::string& name, const std::string& scheduler, bool promotion) {
    CreateSweep command;
    SweepSpec& spec = command.spec;
    spec.name = name;
    spec.program.command = {"/bin/true", "${args}"};
    Parameter rate;
    rate.name = "rate";
    rate.distribution = Distribution::kUniform;
    rate.lo = 0;
    rate.hi = 1;
    spec.parameters = {rate};
    spec.search.type = promotion ? "tpe" : "random";
    spec.search.metric = "loss";
    spec.budget.trials = 12;
    spec.retry.lost = 2;
    spec.retry.failed = 1;
    spec.scheduler.type = scheduler;
    spec.scheduler.promotion = promotion;
    if (scheduler == "median") {
      spec.scheduler.min_samples_required = 1;
    } else {
      spec.scheduler.max_t = 4;
      spec.scheduler.grace_period = 1;
      spec.scheduler.reduction_factor = 2;
      spec.resources.gpus = promotion ? 0.5 : 0;
      spec.resources.gpus_optional = true;
    }
    Step(std::move(command));
  }

  void Restart() {
    for (Stream& stream : streams_) stream = {};
    searchers_.clear();
    effects_.clear();
    controller_ = std::make_unique<Controller>();
    for (const Event& event : journal_) controller_->Replay(event);
    Output output;
    controller_->FinishRecovery(now_, &output);
    Take(std::move(output));
  }

  void Step(const Command& command) {
    Output output;
    controller_->Step(command, 0, now_, &output);
    Take(std::move(output));
  }

  void Take(Output output) {
    journal_.insert(journal_.end(), output.events.begin(), output.events.end());
    const std::string broken = controller_->CheckInvariants();
    Check(broken.empty(), broken);
    for (Effect& effect : output.effects) effects_.push_back(std::move(effect));
    if (std::exchange(delivering_, true)) return;
    for (; !effects_.empty(); effects_.pop_front()) Deliver(effects_.front());
    delivering_ = false;
  }

  // The searchers, as the pool runs them; their answers come at once. What is for a session is only made.
  void Deliver(const Effect& effect) {
    if (const auto* start = std::get_if<StartSearcher>(&effect)) {
      Problems problems;
      searchers_[start->sweep] = MakeSearcher(start->options, *start->space, &problems);
    } else if (const auto* request = std::get_if<RequestSuggestion>(&effect)) {
      const auto searcher = searchers_.find(request->sweep);
      if (searcher == searchers_.end()) return;
      SuggestionReady ready{request->sweep, request->trial, searcher->second->Suggest(request->trial)};
      if (!ready.suggestion.exhausted) searcher->second->Add(request->trial, ready.suggestion.point);
      Step(ready);
    } else if (const auto* announce = std::get_if<AnnounceTrial>(&effect)) {
      searchers_.at(announce->sweep)->Add(announce->trial, announce->point);
    } else if (const auto* report = std::get_if<ReportRung>(&effect)) {
      searchers_.at(report->sweep)->Report(report->report);
    } else if (const auto* observe = std::get_if<ObserveTrial>(&effect)) {
      searchers_.at(observe->sweep)->Observe(observe->observation);
    } else if (const auto* forget = std::get_if<ForgetTrial>(&effect)) {
      searchers_.at(forget->sweep)->Forget(forget->trial);
    } else if (const auto* drop = std::get_if<DropSearcher>(&effect)) {
      searchers_.erase(drop->sweep);
    } else if (const auto* close = std::get_if<CloseSession>(&effect)) {
      for (Stream& stream : streams_) {
        if (stream.id == close->session) Close(&stream);
      }
    } else if (const auto* assign = std::get_if<SendAssign>(&effect)) {
      v1::Assign message;
      rpc::FillAssign(*assign, &message);
    }
  }

  std::unique_ptr<Controller> controller_ = std::make_unique<Controller>();
  std::map<SweepId, std::unique_ptr<Searcher>> searchers_;
  std::vector<Event> journal_;
  std::deque<Effect> effects_;  // in order; a step may come while they are delivered
  bool delivering_ = false;
  std::array<Stream, 4> streams_;
  uint64_t last_session_ = 0;
  Time now_{1'000'000};
};

}  // namespace
}  // namespace tunesmith

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr int kFramesMax = 200;
  tunesmith::Bytes in(data, size);
  tunesmith::World world;
  for (int i = 0; i < kFramesMax && !in.empty(); ++i) world.TakeFrame(&in);
  world.Finish();
  return 0;
}
