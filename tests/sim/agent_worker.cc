// The daemon's own agent behind the simulator's seam: the code that runs in production.
#include "common/limits.h"
#include "tests/sim/worker_model.h"
#include "worker/agent/agent.h"

namespace tunesmith::sim {

namespace {

worker::AttemptKey KeyOf(const AttemptRef& ref) { return {ref.attempt, ref.epoch}; }
AttemptRef RefOf(const worker::AttemptKey& key) { return {key.id, key.epoch}; }

WorkerRecord FromAgent(const worker::Record& record) {
  WorkerRecord out;
  out.ref = RefOf(record.key);
  out.sequence = record.sequence;
  out.time = record.time;
  if (std::holds_alternative<worker::Started>(record.kind)) {
    out.kind = WorkerRecord::Kind::kStarted;
  } else if (const auto* measured = std::get_if<worker::Measured>(&record.kind)) {
    out.kind = WorkerRecord::Kind::kMeasured;
    out.step = measured->step;
    for (const NamedValue& metric : measured->metrics)
      out.metrics.push_back({metric.name, metric.value});
    out.checkpoint = measured->checkpoint;
  } else if (const auto* log = std::get_if<worker::LogChunk>(&record.kind)) {
    out.kind = WorkerRecord::Kind::kLog;
    out.data = log->data;
    out.dropped_bytes = log->dropped_bytes;
  } else {
    const auto& ended = std::get<worker::Ended>(record.kind);
    out.kind = WorkerRecord::Kind::kEnded;
    out.exit = {ended.exit_code,      ended.signal, ended.out_of_memory, ended.start_failed,
                ended.stop_requested, ended.lost,   ended.reason};
  }
  return out;
}

worker::RecordPtr ToAgent(const WorkerRecord& record) {
  worker::Record out{KeyOf(record.ref), record.sequence, record.time, {}};
  switch (record.kind) {
    case WorkerRecord::Kind::kStarted:
      out.kind = worker::Started{};
      break;
    case WorkerRecord::Kind::kMeasured: {
      worker::Measured measured{record.step, {}, record.checkpoint, std::nullopt};
      for (const NamedMetric& metric : record.metrics)
        measured.metrics.push_back({metric.name, metric.value});
      out.kind = std::move(measured);
      break;
    }
    case WorkerRecord::Kind::kLog:
      out.kind = worker::LogChunk{record.data, record.dropped_bytes};
      break;
    case WorkerRecord::Kind::kEnded: {
      const AttemptExit& exit = record.exit;
      out.kind =
          worker::Ended{exit.exit_code, exit.signal,         exit.out_of_memory, exit.start_failed,
                        exit.reason,    exit.stop_requested, exit.lost};
      break;
    }
  }
  return std::make_shared<const worker::Record>(std::move(out));
}

class AgentWorker : public WorkerModel {
 public:
  void Restore(const AttemptRef& ref, const std::vector<WorkerRecord>& records, Time) override {
    std::vector<worker::RecordPtr> left;
    for (const WorkerRecord& record : records) left.push_back(ToAgent(record));
    agent_.Restore(KeyOf(ref), std::move(left), records.empty() ? 0 : records.back().sequence);
  }

  std::vector<AttemptRef> HelloAttempts() const override {
    std::vector<AttemptRef> refs;
    for (const worker::AttemptKey& key : agent_.HelloAttempts()) refs.push_back(RefOf(key));
    return refs;
  }
  void OnMessage(const ToWorker& message, Time now) override {
    std::visit([&](const auto& m) { On(m, now); }, message);
  }
  void OnDisconnected(Time now) override { agent_.OnDisconnected(now); }
  std::vector<WorkerRecord> TakeRecords(size_t max) override {
    std::vector<WorkerRecord> records;
    for (const worker::RecordPtr& record : agent_.TakeRecords(max))
      records.push_back(FromAgent(*record));
    return records;
  }
  bool draining() const override { return agent_.draining(); }
  void Leave(Time now) override { agent_.StopAll("the worker was asked to leave", false, now); }
  bool Full(const AttemptRef& ref) const override { return agent_.Full(KeyOf(ref)); }

  void OnResumeFound(const AttemptRef& ref, int64_t step, Time now) override {
    agent_.OnResumeFound(KeyOf(ref), {step, "checkpoint", step > 0 ? "resumes" : ""}, now);
  }
  void OnStarted(const AttemptRef& ref, Time now) override {
    agent_.OnStarted(KeyOf(ref), 1, false, now);
  }
  void OnStartFailed(const AttemptRef& ref, const std::string& reason, Time now) override {
    assigned_.erase(KeyOf(ref));
    agent_.OnStartFailed(KeyOf(ref), reason, now);
  }
  void OnReport(const AttemptRef& ref, int64_t step, const std::vector<NamedMetric>& metrics,
                const std::string& checkpoint, Time now) override {
    worker::Report report{step, {}, checkpoint, step % 2 == 0};
    for (const NamedMetric& metric : metrics) report.metrics.push_back({metric.name, metric.value});
    agent_.OnReport(KeyOf(ref), report, now);
  }
  void OnLog(const AttemptRef& ref, const std::string& line, Time now) override {
    agent_.OnLog(KeyOf(ref), line, 0, now);
  }
  void OnTreeGone(const AttemptRef& ref, int32_t exit_code, int32_t signal, Time now) override {
    worker::ProcessEnd end;
    if (signal == 0) end.exit_code = exit_code;
    end.signal = signal;
    assigned_.erase(KeyOf(ref));
    agent_.OnTreeGone(KeyOf(ref), end, now);
  }

  void OnDevices(const std::vector<DeviceInfo>& held, Time now) override {
    std::vector<worker::HeldDevice> devices;
    for (const DeviceInfo& one : held) {
      devices.push_back({one.uuid, one.state == DeviceState::kQuarantined, one.state_reason});
    }
    agent_.OnDevices(std::move(devices), now);
  }

  void Tick(Time now) override { agent_.Tick(now); }
  Time NextDeadline() const override { return agent_.NextDeadline(); }
  std::vector<WorkerAction> TakeActions() override {
    std::vector<WorkerAction> actions;
    for (const worker::Output& output : agent_.TakeOutputs()) {
      if (const auto* spawn = std::get_if<worker::Spawn>(&output)) {
        actions.push_back(Spawn{assigned_.at(spawn->assignment->key)});
      } else if (const auto* find = std::get_if<worker::FindResume>(&output)) {
        actions.push_back(FindResume{assigned_.at(find->assignment->key)});
      } else if (const auto* save = std::get_if<worker::SaveCheckpoint>(&output)) {
        if (!save->name.empty()) actions.push_back(SaveCheckpoint{RefOf(save->assignment->key), save->step});
      } else if (const auto* signal = std::get_if<worker::SignalTree>(&output)) {
        actions.push_back(Signal{RefOf(signal->key), signal->kill});
      } else if (const auto* store = std::get_if<worker::Store>(&output)) {
        actions.push_back(Store{FromAgent(*store->record)});
      } else if (const auto* forget = std::get_if<worker::Forget>(&output)) {
        assigned_.erase(forget->key);
        actions.push_back(Forget{RefOf(forget->key)});
      }
    }
    return actions;
  }
  size_t open() const override { return agent_.open(); }

 private:
  void On(const SendWelcome& m, Time now) {
    std::vector<worker::AttemptAnswer> answers;
    for (const AttemptAnswer& answer : m.attempts) {
      // The kinds are the same, in the same order.
      answers.push_back({KeyOf(answer.ref), static_cast<worker::AttemptAnswer::Kind>(answer.kind),
                         answer.acked, answer.reason});
    }
    agent_.OnWelcome(Milliseconds(kLeaseMs), answers, now);
  }
  void On(const SendAssign& m, Time now) {
    auto assignment = std::make_shared<worker::Assignment>();
    assignment->key = KeyOf(m.ref);
    assignment->stop_grace = Milliseconds(m.spec->stop_grace_ms);
    assignment->devices = m.devices;
    assignment->resume = m.resume;
    assignment->last_step = m.last_step;
    assignment->metrics = {m.spec->search.metric};
    assigned_.emplace(assignment->key, m);
    agent_.OnAssign(std::move(assignment), now);
  }
  void On(const SendStop& m, Time now) { agent_.OnStop(KeyOf(m.ref), m.reason, m.now, now); }
  void On(const SendAck& m, Time now) { agent_.OnAck(KeyOf(m.ref), m.sequence, now); }
  void On(const SendVerdict& m, Time) {
    agent_.OnVerdict(KeyOf(m.ref), m.sequence, m.verdict.action != Action::kContinue, m.text);
  }
  void On(const SendDrain& m, Time now) { agent_.OnDrain(m.stop_running, now); }

  // Small, so that a flood reaches it.
  static constexpr worker::AgentOptions kOptions{.unacked_records_max = kSimUnackedRecordsMax};
  worker::Agent agent_{kOptions};
  std::map<worker::AttemptKey, SendAssign> assigned_;
};

}  // namespace

std::unique_ptr<WorkerModel> MakeAgentWorker() { return std::make_unique<AgentWorker>(); }

}  // namespace tunesmith::sim
