// A controller with daemons and clients in words: steps are checked for the invariants, points come at once, and at the
// end the journal must replay to the same state.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "server/core/controller.h"

namespace tunesmith {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

inline Parameter UniformParameter(const std::string& name) {
  Parameter parameter;
  parameter.name = name;
  parameter.distribution = Distribution::kUniform;
  parameter.lo = 0;
  parameter.hi = 1;
  return parameter;
}

inline Parameter GridParameter(const std::string& name, int64_t values) {
  Parameter parameter;
  parameter.name = name;
  parameter.distribution = Distribution::kGrid;
  for (int64_t i = 0; i < values; ++i) parameter.options.push_back(i);
  return parameter;
}

// A sweep that Validate accepts: one rate in [0, 1), the least loss, no early stopping, one CPU a trial.
inline SweepSpec SpecOf(const std::string& name, int64_t trials) {
  SweepSpec spec;
  spec.name = name;
  spec.program.command = {"/bin/true", "${args}"};
  spec.parameters = {UniformParameter("lr")};
  spec.search.type = "random";
  spec.search.metric = "loss";
  spec.search.seed = 7;
  spec.budget.trials = trials;
  return spec;
}

// Rungs at 1, 2, 4 of 8; of two trials at a rung the worse one stops.
inline SweepSpec AshaSpecOf(const std::string& name, int64_t trials) {
  SweepSpec spec = SpecOf(name, trials);
  spec.scheduler.type = "asha";
  spec.scheduler.max_t = 8;
  spec.scheduler.grace_period = 1;
  spec.scheduler.reduction_factor = 2;
  return spec;
}

// Each report is judged, where two others have come as far.
inline SweepSpec MedianSpecOf(const std::string& name, int64_t trials) {
  SweepSpec spec = SpecOf(name, trials);
  spec.scheduler.type = "median";
  spec.scheduler.min_samples_required = 2;
  return spec;
}

inline AttemptExit ExitCode(int32_t code, const std::string& reason = "") {
  AttemptExit exit;
  exit.exit_code = code;
  exit.reason = reason;
  return exit;
}

// Of a program that left because it was told to.
inline AttemptExit StoppedExit() {
  AttemptExit exit = ExitCode(0);
  exit.signal = 15;
  exit.stop_requested = true;
  return exit;
}

inline AttemptExit LostExit() {
  AttemptExit exit;
  exit.lost = true;
  return exit;
}

inline AttemptExit StartFailure(const std::string& reason) {
  AttemptExit exit;
  exit.start_failed = true;
  exit.reason = reason;
  return exit;
}

class CoreTest : public ::testing::Test {
 protected:
  using Operation = ControlSweep::Operation;

  CoreTest() { controller_ = std::make_unique<Controller>(ControllerOptions{.lease_ms = 20'000}); }

  void TearDown() override {
    State replayed;
    for (const Event& event : journal_) replayed.Apply(event);
    EXPECT_EQ(replayed.Hash(), state().Hash()) << "the journal does not give the state back";
  }

  // --- steps

  // The answer to a command, which must come in the same step.
  Reply Do(Command command) {
    const uint64_t token = Send(std::move(command));
    EXPECT_TRUE(answers_.contains(token)) << "the command was not answered";
    return answers_[token];
  }

  // For commands whose answer may come later: look for it in Answer(token).
  uint64_t Send(Command command) {
    const uint64_t token = next_token_++;
    Step(std::move(command), token);
    return token;
  }
  std::optional<Reply> AnswerTo(uint64_t token) const {
    const auto it = answers_.find(token);
    return it == answers_.end() ? std::nullopt : std::optional(it->second);
  }

  // For commands that nobody waits for.
  void Post(Command command) { Step(std::move(command), 0); }

  void Advance(Duration duration) {
    now_ = now_ + duration;
    Post(Tick{});
  }

  // The controller dies and is recovered from the journal. Daemons must connect again.
  void Restart() {
    controller_ = std::make_unique<Controller>(ControllerOptions{.lease_ms = 20'000});
    for (const Event& event : journal_) controller_->Replay(event);
    held_suggestions_.clear();
    Output output;
    controller_->FinishRecovery(now_, &output);
    Take(std::move(output));
    AnswerSuggestions();
  }

  // --- users

  SweepId Create(const SweepSpec& spec) {
    const Reply reply = Do(CreateSweep{spec, "", 11, false});
    EXPECT_TRUE(reply.status.ok()) << reply.status;
    return reply.sweep;
  }
  Reply Control(SweepId sweep, Operation operation) { return Do(ControlSweep{sweep, operation}); }

  // --- daemons

  SessionId Connect(const std::string& name, int32_t cpus = 1, int gpus = 0, const std::string& boot_id = "boot-1",
                    std::vector<AttemptRef> attempts = {}) {
    WorkerConnected connected;
    connected.session = SessionId(next_session_++);
    connected.hello.name = name;
    connected.hello.boot_id = boot_id;
    connected.hello.reconnects = !boots_.insert({name, boot_id}).second;
    connected.hello.cpus = cpus;
    for (int i = 0; i < gpus; ++i) {
      connected.hello.devices.push_back({name + "-gpu" + std::to_string(i), "card", i, int64_t{8} << 30});
    }
    connected.hello.attempts = std::move(attempts);
    Post(connected);
    return connected.session;
  }

  WorkerRecord RecordOf(const AttemptRef& ref, WorkerRecord::Kind kind) {
    WorkerRecord record;
    record.ref = ref;
    record.sequence = ++sequences_[ref];
    record.time = now_;
    record.kind = kind;
    return record;
  }
  WorkerRecord StartedOf(const AttemptRef& ref) { return RecordOf(ref, WorkerRecord::Kind::kStarted); }
  WorkerRecord MeasuredOf(const AttemptRef& ref, int64_t step, std::vector<NamedMetric> metrics) {
    WorkerRecord record = RecordOf(ref, WorkerRecord::Kind::kMeasured);
    record.step = step;
    record.metrics = std::move(metrics);
    return record;
  }
  WorkerRecord EndedOf(const AttemptRef& ref, const AttemptExit& exit) {
    WorkerRecord record = RecordOf(ref, WorkerRecord::Kind::kEnded);
    record.exit = exit;
    return record;
  }

  void Started(SessionId session, const AttemptRef& ref) { Post(WorkerRecords{session, {StartedOf(ref)}}); }
  void Report(SessionId session, const AttemptRef& ref, int64_t step, double loss) {
    Post(WorkerRecords{session, {MeasuredOf(ref, step, {{"loss", loss}})}});
  }
  void Ended(SessionId session, const AttemptRef& ref, const AttemptExit& exit) {
    Post(WorkerRecords{session, {EndedOf(ref, exit)}});
  }
  // Reports, and if that pauses or stops the trial, ends it as the daemon would.
  void ReportAndLeave(SessionId session, SweepId id, uint32_t number, int64_t step, double loss) {
    const AttemptRef ref = RefOf(id, number);
    Report(session, ref, step, loss);
    if (TrialOf(id, number).state == TrialState::kStopping) Ended(session, ref, StoppedExit());
  }
  // One report, then a good end.
  void Finish(SessionId session, const AttemptRef& ref, double loss) {
    Report(session, ref, 1, loss);
    Ended(session, ref, ExitCode(0));
  }

  // --- what is seen

  const State& state() const { return controller_->state(); }
  const Sweep& SweepOf(SweepId id) const {
    const Sweep* sweep = state().FindSweep(id);
    if (sweep == nullptr) ADD_FAILURE() << "no sweep " << id.value;
    return *sweep;
  }
  const Trial& TrialOf(SweepId id, uint32_t number) const {
    const Trial* trial = state().FindTrial({id, number});
    if (trial == nullptr) ADD_FAILURE() << "no trial " << number;
    return *trial;
  }
  // The last attempt of a trial.
  AttemptRef RefOf(SweepId id, uint32_t number) const {
    const Trial& trial = TrialOf(id, number);
    return {{{id, number}, static_cast<uint32_t>(trial.attempts.size())},
            trial.attempts.empty() ? LeaseEpoch() : trial.attempts.back().epoch};
  }
  std::vector<TrialState> States(SweepId id) const {
    std::vector<TrialState> states;
    for (const Trial& trial : SweepOf(id).trials) states.push_back(trial.state);
    return states;
  }
  size_t Running(SweepId id) const { return SweepOf(id).live.size(); }

  // Effects of one kind since the last call of this for any kind took them away.
  template <typename E>
  std::vector<E> TakeEffects() {
    std::vector<E> found;
    std::vector<Effect> others;
    for (Effect& effect : effects_) {
      if (E* e = std::get_if<E>(&effect)) {
        found.push_back(std::move(*e));
      } else {
        others.push_back(std::move(effect));
      }
    }
    effects_ = std::move(others);
    return found;
  }

  // Points are then given by hand, with GiveSuggestion.
  void HoldSuggestions() { hold_suggestions_ = true; }
  const std::vector<RequestSuggestion>& held_suggestions() const { return held_suggestions_; }
  // Answers the oldest request.
  void GiveSuggestion(bool exhausted = false) {
    ASSERT_FALSE(held_suggestions_.empty());
    const RequestSuggestion request = held_suggestions_.front();
    held_suggestions_.erase(held_suggestions_.begin());
    Post(SuggestionReady{request.sweep, request.trial, SuggestionFor(request, exhausted)});
  }

  std::unique_ptr<Controller> controller_;
  Time now_{1'700'000'000'000};
  std::vector<Event> journal_;
  std::vector<Effect> effects_;

 private:
  Suggestion SuggestionFor(const RequestSuggestion& request, bool exhausted) const {
    Suggestion suggestion;
    suggestion.exhausted = exhausted;
    if (exhausted) return suggestion;
    Rng rng = Rng::ForLabels({request.sweep.value, request.trial});
    suggestion.point = SweepOf(request.sweep).space->Sample(&rng);
    return suggestion;
  }

  void Step(Command command, uint64_t token) {
    Output output;
    controller_->Step(command, token, now_, &output);
    Take(std::move(output));
    AnswerSuggestions();
  }

  void Take(Output output) {
    for (Event& event : output.events) journal_.push_back(std::move(event));
    for (auto& [token, reply] : output.replies) {
      EXPECT_TRUE(answers_.emplace(token, std::move(reply)).second) << "answered twice";
    }
    for (Effect& effect : output.effects) {
      if (const auto* request = std::get_if<RequestSuggestion>(&effect)) held_suggestions_.push_back(*request);
      effects_.push_back(std::move(effect));
    }
    EXPECT_EQ(controller_->CheckInvariants(), "");
  }

  void AnswerSuggestions() {
    while (!hold_suggestions_ && !held_suggestions_.empty()) GiveSuggestion();
  }

  bool hold_suggestions_ = false;
  std::vector<RequestSuggestion> held_suggestions_;
  std::map<uint64_t, Reply> answers_;
  std::map<AttemptRef, uint64_t> sequences_;
  std::set<std::pair<std::string, std::string>> boots_;  // of daemons, by name
  uint64_t next_token_ = 1;
  uint64_t next_session_ = 1;
};

}  // namespace tunesmith
