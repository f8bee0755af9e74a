// The channel between a trial and its daemon, both ways. Whatever bytes the trial writes: every report that is
// understood becomes one record and is answered once, records are numbered without a gap, and what the daemon answers
// is understood by the C++ header. Whatever bytes the header reads: nothing may crash.
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>

#include "common/limits.h"
#include "common/text.h"
#include "tests/fuzz/check.h"
#include "worker/agent/agent.h"
#include "worker/process/line_parser.h"
#include "worker/process/output_splitter.h"
#include "worker/sdk/trial.h"

namespace tunesmith::worker {
namespace {

constexpr AttemptKey kKey{{{SweepId(1), 0}, 1}, LeaseEpoch(1)};

// The daemon's part without processes: what the supervisor and the link do with the agent.
class Daemon {
 public:
  Daemon() {
    agent_.OnWelcome(Seconds(20), {}, now_);
    auto assignment = std::make_shared<Assignment>();
    assignment->key = kKey;
    assignment->metrics = {"loss"};
    agent_.OnAssign(std::move(assignment), now_);
    agent_.OnStarted(kKey, 1, false, now_);
    Carry();
  }

  // One line of the trial.
  void TakeLine(std::string_view line) {
    now_ = now_ + Milliseconds(1);
    const auto parsed = ParseChannelLine(line);
    if (!parsed.ok()) {
      Check(!Message(parsed.status()).empty(), "a refusal says what is wrong");
      return;
    }
    if (parsed->kind != ChannelLine::Kind::kReport) return;
    Check(parsed->report.from_channel && !parsed->report.metrics.empty(), "a report holds something");
    Check(parsed->report.step.value_or(0) >= 0, "steps do not go below 0");
    agent_.OnReport(kKey, parsed->report, now_);
    ++reports_;
    Carry();
    // A verdict on some, before the acknowledgement.
    if (line.size() % 3 == 0) agent_.OnVerdict(kKey, sequence_, line.size() % 2 == 0, std::string(line));
    if (line.size() % 5 == 0) Acknowledge();
    Carry();
  }

  void End() {
    Acknowledge();
    CheckEqual(answers_, reports_, "answers to reports");
    agent_.OnTreeGone(kKey, ProcessEnd{.exit_code = 0}, now_);
    Carry();
    Acknowledge();
    CheckEqual(agent_.open(), size_t{0}, "attempts left");
  }

 private:
  void Acknowledge() {
    uint64_t last = 0;
    while (agent_.HasRecordsToSend()) {
      for (const RecordPtr& record : agent_.TakeRecords(kRecordsPerMessageMax)) last = record->sequence;
    }
    if (last > 0) agent_.OnAck(kKey, last, now_);
    Carry();
  }

  void Carry() {
    for (const Output& output : agent_.TakeOutputs()) {
      if (const auto* store = std::get_if<Store>(&output)) {
        CheckEqual(store->record->sequence, sequence_ + 1, "the number of a record");
        sequence_ = store->record->sequence;
      } else if (const auto* tell = std::get_if<TellTrial>(&output)) {
        ++answers_;
        CheckAnswer(*tell);
      }
    }
  }

  void CheckAnswer(const TellTrial& tell) {
    std::string line = VerdictLine(tell.step, tell.stop, tell.reason);
    CheckEqual(line.find('\n'), line.size() - 1, "the only line feed");
    line.pop_back();
    CheckEqual<std::string>(internal::FindField(line, "type"), "verdict", "type");
    CheckEqual(internal::FindField(line, "step"), std::to_string(tell.step), "step");
    CheckEqual<std::string>(internal::FindField(line, "action"), tell.stop ? "stop" : "continue", "action");
    if (ValidUtf8(tell.reason) == tell.reason) CheckEqual(internal::FindField(line, "reason"), tell.reason, "reason");
  }

  Agent agent_;
  Time now_{1'000};
  uint64_t sequence_ = 0;  // of the last record
  uint64_t reports_ = 0;
  uint64_t answers_ = 0;
};

}  // namespace
}  // namespace tunesmith::worker

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tunesmith;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  worker::Daemon daemon;
  worker::OutputSplitter splitter(kTrialLineBytesMax);
  const auto on_line = [&](std::string_view line, bool) {
    daemon.TakeLine(line);
    for (const char* key : {"type", "step", "action", "reason"}) (void)internal::FindField(std::string(line), key);
  };
  for (std::string_view rest = bytes; !rest.empty();) rest.remove_prefix(splitter.TakeLine(rest, on_line));
  splitter.Finish(on_line);
  daemon.End();
  return 0;
}
