#include "worker/agent/agent.h"

#include <gtest/gtest.h>

#include "common/rng.h"

namespace tunesmith::worker {
namespace {

AttemptKey Key(uint64_t epoch, uint32_t trial = 0, uint32_t attempt = 1) {
  return {{{SweepId(1), trial}, attempt}, LeaseEpoch(epoch)};
}

std::shared_ptr<const Assignment> Assign(const AttemptKey& key,
                                         std::vector<std::string> devices = {}) {
  auto assignment = std::make_shared<Assignment>();
  assignment->key = key;
  assignment->stop_grace = Seconds(10);
  assignment->metrics = {"loss"};
  assignment->devices = std::move(devices);
  return assignment;
}

Report LossReport(double loss, std::optional<int64_t> step = std::nullopt, bool channel = false) {
  return {step, {{"loss", loss}}, "", channel};
}

class AgentTest : public testing::Test {
 protected:
  void Welcome(std::vector<AttemptAnswer> answers = {}) {
    agent_.OnWelcome(Seconds(20), answers, now_);
  }
  void Run(const AttemptKey& key) {
    agent_.OnAssign(Assign(key), now_);
    agent_.OnStarted(key, 100, false, now_);
  }
  void Advance(Duration by) {
    now_ = now_ + by;
    agent_.Tick(now_);
  }
  template <typename T>
  std::vector<T> Take() {
    std::vector<T> found;
    for (Output& output : agent_.TakeOutputs()) {
      if (auto* wanted = std::get_if<T>(&output)) found.push_back(*wanted);
    }
    return found;
  }
  // The Ended among the records that are to be sent.
  std::optional<Ended> EndSent() {
    std::optional<Ended> ended;
    for (const RecordPtr& record : agent_.TakeRecords(100'000)) {
      if (const auto* e = std::get_if<Ended>(&record->kind)) ended = *e;
    }
    return ended;
  }

  Agent agent_;
  Time now_{1'000'000};
};

class ResumingAgentTest : public AgentTest {
 protected:
  // One that was assigned and waits to be told what it resumes from.
  void AssignResuming(const AttemptKey& key) {
    auto assignment = std::make_shared<Assignment>(*Assign(key));
    assignment->resume = true;
    agent_.OnAssign(std::move(assignment), now_);
  }
};

TEST_F(ResumingAgentTest, ALaterAttemptStartsOnceItIsKnownWhatItResumesFrom) {
  Welcome();
  AssignResuming(Key(1, 0, 2));
  EXPECT_EQ(Take<Spawn>().size(), 0u);
  AssignResuming(Key(2, 1, 2));
  ASSERT_EQ(Take<FindResume>().size(), 1u);
  agent_.OnResumeFound(Key(1, 0, 2), {5, "step-5", "fetched"}, now_);
  const auto spawned = Take<Spawn>();
  ASSERT_EQ(spawned.size(), 1u);
  EXPECT_EQ(spawned[0].assignment->resume_step, 5);
  EXPECT_EQ(spawned[0].assignment->resume_name, "step-5");
  const auto records = agent_.TakeRecords(10);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(std::get<LogChunk>(records[0]->kind).data, "[tunesmith: fetched]\n") << "in the trial's own log";
  agent_.OnResumeFound(Key(1, 0, 2), {7, "step-7", ""}, now_);
  EXPECT_EQ(Take<Spawn>().size(), 0u) << "once";
}

// Devices on which something of an ended attempt is left.
class HeldDevicesTest : public AgentTest {};

TEST_F(HeldDevicesTest, WhatWasLeasedBeforeTheControllerKnewWaitsForTheMemory) {
  Welcome();
  agent_.OnDevices({{"a", false, "4 GiB"}}, now_);
  agent_.OnAssign(Assign(Key(1), {"a"}), now_);
  agent_.OnAssign(Assign(Key(2, 1), {"b"}), now_);
  const auto spawned = Take<Spawn>();
  ASSERT_EQ(spawned.size(), 1u);
  EXPECT_EQ(spawned[0].assignment->key, Key(2, 1));
  agent_.OnDevices({}, now_);
  EXPECT_EQ(Take<Spawn>().size(), 1u);
}

TEST_F(HeldDevicesTest, OnAQuarantinedDeviceItIsLostToRunElsewhere) {
  Welcome();
  agent_.OnDevices({{"a", false, "4 GiB"}}, now_);
  agent_.OnAssign(Assign(Key(1), {"b", "a"}), now_);
  EXPECT_FALSE(EndSent().has_value());
  agent_.OnDevices({{"a", true, "4 GiB"}}, now_);
  const auto ended = EndSent();
  ASSERT_TRUE(ended.has_value());
  EXPECT_TRUE(ended->lost);
  EXPECT_EQ(ended->reason, "a is quarantined: 4 GiB");
  EXPECT_TRUE(Take<Spawn>().empty());
  agent_.OnAssign(Assign(Key(2, 1), {"a"}), now_);
  EXPECT_TRUE(EndSent()->lost) << "also what comes later";
}

TEST_F(HeldDevicesTest, EachChangeIsToldOnce) {
  const uint64_t before = agent_.devices_version();
  agent_.OnDevices({{"a", false, "4 GiB"}}, now_);
  const uint64_t after = agent_.devices_version();
  EXPECT_GT(after, before);
  agent_.OnDevices({{"a", false, "4 GiB"}}, now_);
  EXPECT_EQ(agent_.devices_version(), after);
  agent_.OnDevices({}, now_);
  EXPECT_GT(agent_.devices_version(), after);
}

TEST_F(ResumingAgentTest, ADeviceThatIsHeldMeanwhileIsWaitedForBeforeItStarts) {
  Welcome();
  auto assignment = std::make_shared<Assignment>(*Assign(Key(1, 0, 2), {"a"}));
  assignment->resume = true;
  agent_.OnAssign(std::move(assignment), now_);
  ASSERT_EQ(Take<FindResume>().size(), 1u);
  agent_.OnDevices({{"a", false, "4 GiB"}}, now_);
  agent_.OnResumeFound(Key(1, 0, 2), {5, "step-5", ""}, now_);
  EXPECT_TRUE(Take<Spawn>().empty());
  agent_.OnDevices({}, now_);
  const auto spawned = Take<Spawn>();
  ASSERT_EQ(spawned.size(), 1u) << "and it is not looked for again";
  EXPECT_EQ(spawned[0].assignment->resume_step, 5);
}

TEST_F(ResumingAgentTest, OneThatIsStoppedMeanwhileNeverStarts) {
  Welcome();
  AssignResuming(Key(1, 0, 2));
  agent_.OnStop(Key(1, 0, 2), "a user", false, now_);
  EXPECT_EQ(Take<CancelFind>().size(), 1u);
  const auto ended = EndSent();
  ASSERT_TRUE(ended.has_value());
  EXPECT_TRUE(ended->stop_requested);
  agent_.OnResumeFound(Key(1, 0, 2), {5, "step-5", ""}, now_);
  EXPECT_EQ(Take<Spawn>().size(), 0u);
}

TEST_F(ResumingAgentTest, WhatTheControllerForgetsMeanwhileIsForgotten) {
  Welcome();
  AssignResuming(Key(1, 0, 2));
  agent_.OnDisconnected(now_);
  Welcome({{Key(1, 0, 2), AttemptAnswer::Kind::kForget, 0, "fenced off"}});
  EXPECT_EQ(agent_.open(), 0u);
  EXPECT_EQ(Take<CancelFind>().size(), 1u);
}

TEST_F(AgentTest, ANamedCheckpointIsSavedUnderItsStep) {
  Welcome();
  Run(Key(1));
  Report report = LossReport(0.5, 3);
  report.checkpoint = "epoch-3";
  agent_.OnReport(Key(1), report, now_);
  const auto saves = Take<SaveCheckpoint>();
  ASSERT_EQ(saves.size(), 1u);
  EXPECT_EQ(saves[0].step, 3);
  EXPECT_EQ(saves[0].name, "epoch-3");
  agent_.OnStop(Key(1), "paused", false, now_);
  agent_.OnTreeGone(Key(1), {.signal = 15}, now_);
  EXPECT_EQ(Take<SaveCheckpoint>().size(), 0u) << "the program names them itself";
}

TEST_F(AgentTest, WhatAProgramLeavesWithoutNamingItIsSavedIfItMayGoOn) {
  Welcome();
  for (const bool fails : {false, true}) {
    const AttemptKey key = Key(fails ? 2 : 1, fails ? 1 : 0);
    Run(key);
    agent_.OnReport(key, LossReport(0.5, 3), now_);
    agent_.OnTreeGone(key, {.exit_code = fails ? 1 : 0}, now_);
    const auto saves = Take<SaveCheckpoint>();
    ASSERT_EQ(saves.size(), fails ? 1u : 0u);
    if (fails) EXPECT_EQ(saves[0].name, "");
    if (fails) EXPECT_EQ(saves[0].step, 3);
  }
}

TEST_F(AgentTest, RecordsAreNumberedStoredAndSentUntilAcknowledged) {
  Welcome();
  Run(Key(1));
  agent_.OnReport(Key(1), LossReport(0.5), now_);
  EXPECT_EQ(Take<Store>().size(), 2u);
  auto records = agent_.TakeRecords(10);
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0]->sequence, 1u);
  EXPECT_EQ(records[1]->sequence, 2u);
  EXPECT_TRUE(agent_.TakeRecords(10).empty()) << "sent once in a session";

  agent_.OnDisconnected(now_);
  EXPECT_TRUE(agent_.TakeRecords(10).empty()) << "nothing without a session";
  Welcome({{Key(1), AttemptAnswer::Kind::kAdopt, 1, ""}});
  records = agent_.TakeRecords(10);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0]->sequence, 2u);
}

TEST_F(AgentTest, AttemptIsForgottenWhenItsEndIsAcknowledged) {
  Welcome();
  Run(Key(1));
  agent_.OnTreeGone(Key(1), {.exit_code = 0}, now_);
  EXPECT_EQ(agent_.HelloAttempts().size(), 1u);
  agent_.OnAck(Key(1), 2, now_);
  EXPECT_TRUE(agent_.HelloAttempts().empty());
  EXPECT_EQ(Take<Forget>().size(), 1u);
}

TEST_F(AgentTest, RepeatedAssignDoesNothing) {
  Welcome();
  Run(Key(1));
  agent_.OnAssign(Assign(Key(1)), now_);
  EXPECT_EQ(Take<Spawn>().size(), 1u);
}

TEST_F(AgentTest, StopGoesFromTermToKillAfterTheGrace) {
  Welcome();
  Run(Key(1));
  agent_.OnStop(Key(1), "worse than the others", false, now_);
  auto signals = Take<SignalTree>();
  ASSERT_EQ(signals.size(), 1u);
  EXPECT_FALSE(signals[0].kill);
  EXPECT_EQ(agent_.NextDeadline(), now_ + Seconds(10));
  Advance(Milliseconds(9'999));
  EXPECT_TRUE(Take<SignalTree>().empty());
  Advance(Milliseconds(1));
  signals = Take<SignalTree>();
  ASSERT_EQ(signals.size(), 1u);
  EXPECT_TRUE(signals[0].kill);
  agent_.OnTreeGone(Key(1), {.signal = 9}, now_);
  const auto ended = EndSent();
  ASSERT_TRUE(ended.has_value());
  EXPECT_TRUE(ended->stop_requested);
  EXPECT_FALSE(ended->lost);
  EXPECT_EQ(ended->reason, "worse than the others (killed after the grace period)");
}

TEST_F(AgentTest, StopAtOnceSkipsTheGrace) {
  Welcome();
  Run(Key(1));
  agent_.OnStop(Key(1), "cancelled", true, now_);
  const auto signals = Take<SignalTree>();
  ASSERT_EQ(signals.size(), 1u);
  EXPECT_TRUE(signals[0].kill);
}

TEST_F(AgentTest, StopTellsTheTrialFirst) {
  Welcome();
  Run(Key(1));
  agent_.TakeOutputs();
  agent_.OnStop(Key(1), "enough", false, now_);
  const auto outputs = agent_.TakeOutputs();
  ASSERT_EQ(outputs.size(), 2u);
  EXPECT_TRUE(std::get<TellTrial>(outputs[0]).stop);
  EXPECT_TRUE(std::holds_alternative<SignalTree>(outputs[1]));
}

TEST_F(AgentTest, ChildrenThatOutliveTheProgramGetAShortGrace) {
  Welcome();
  Run(Key(1));
  agent_.OnProgramExited(Key(1), now_);
  auto signals = Take<SignalTree>();
  ASSERT_EQ(signals.size(), 1u);
  EXPECT_FALSE(signals[0].kill);
  Advance(Milliseconds(kLeftoverGraceMs));
  signals = Take<SignalTree>();
  ASSERT_EQ(signals.size(), 1u);
  EXPECT_TRUE(signals[0].kill);
}

TEST_F(AgentTest, ChildrenOfAStoppedProgramKeepTheWholeGrace) {
  Welcome();
  Run(Key(1));
  agent_.OnStop(Key(1), "stop", false, now_);
  agent_.OnProgramExited(Key(1), now_);
  Take<SignalTree>();
  Advance(Milliseconds(9'999));
  EXPECT_TRUE(Take<SignalTree>().empty());
}

TEST_F(AgentTest, WithoutAConnectionForALeaseEverythingIsKilledAsLost) {
  Welcome();
  Run(Key(1));
  agent_.OnDisconnected(now_);
  Advance(Milliseconds(19'999));
  EXPECT_TRUE(Take<SignalTree>().empty());
  Advance(Milliseconds(1));
  const auto signals = Take<SignalTree>();
  ASSERT_EQ(signals.size(), 1u);
  EXPECT_TRUE(signals[0].kill);
  agent_.OnTreeGone(Key(1), {.signal = 9}, now_);
  Welcome({{Key(1), AttemptAnswer::Kind::kAdopt, 0, ""}});
  const auto ended = EndSent();
  ASSERT_TRUE(ended.has_value());
  EXPECT_TRUE(ended->lost);
  EXPECT_FALSE(ended->stop_requested);
  EXPECT_FALSE(agent_.draining());
}

TEST_F(AgentTest, ReconnectingInTimeKeepsEverythingRunning) {
  Welcome();
  Run(Key(1));
  agent_.OnDisconnected(now_);
  Advance(Seconds(19));
  Welcome({{Key(1), AttemptAnswer::Kind::kAdopt, 1, ""}});
  Advance(Seconds(100));
  EXPECT_TRUE(Take<SignalTree>().empty());
}

TEST_F(AgentTest, ForgottenAttemptIsKilledWithoutAReportAndItsDeviceWaits) {
  Welcome();
  agent_.OnAssign(Assign(Key(1, 0), {"GPU-a"}), now_);
  agent_.OnStarted(Key(1, 0), 100, false, now_);
  agent_.OnDisconnected(now_);
  Welcome({{Key(1, 0), AttemptAnswer::Kind::kForget, 0, "fenced off"}});
  EXPECT_TRUE(Take<SignalTree>().at(0).kill);
  EXPECT_TRUE(agent_.HelloAttempts().empty());
  agent_.OnReport(Key(1, 0), LossReport(1), now_);
  EXPECT_TRUE(agent_.TakeRecords(10).empty());

  agent_.OnAssign(Assign(Key(2, 1), {"GPU-a"}), now_);
  agent_.OnAssign(Assign(Key(3, 2), {"GPU-b"}), now_);
  auto spawned = Take<Spawn>();
  ASSERT_EQ(spawned.size(), 1u) << "only the free device";
  EXPECT_EQ(spawned[0].assignment->key, Key(3, 2));
  agent_.OnTreeGone(Key(1, 0), {.signal = 9}, now_);
  spawned = Take<Spawn>();
  ASSERT_EQ(spawned.size(), 1u);
  EXPECT_EQ(spawned[0].assignment->key, Key(2, 1));
}

TEST_F(AgentTest, NextAttemptOfATrialWaitsForTheLastOnesEnd) {
  Welcome();
  Run(Key(1, 5, 1));
  Take<Spawn>();
  agent_.OnAssign(Assign(Key(2, 5, 2)), now_);
  EXPECT_TRUE(Take<Spawn>().empty()) << "both would write into one checkpoint folder";
  agent_.OnTreeGone(Key(1, 5, 1), {.exit_code = 1}, now_);
  EXPECT_EQ(Take<Spawn>().size(), 1u);
}

TEST_F(AgentTest, WaitingAttemptCanBeStopped) {
  Welcome();
  Run(Key(1, 5, 1));
  agent_.OnAssign(Assign(Key(2, 5, 2)), now_);
  agent_.OnStop(Key(2, 5, 2), "cancelled", false, now_);
  const auto ended = EndSent();
  ASSERT_TRUE(ended.has_value());
  EXPECT_TRUE(ended->stop_requested);
}

TEST_F(AgentTest, LeavingStopsEverythingAsLostAndStartsNothing) {
  Welcome();
  Run(Key(1));
  agent_.StopAll("the worker was asked to leave", false, now_);
  EXPECT_FALSE(Take<SignalTree>().at(0).kill);
  agent_.OnAssign(Assign(Key(2, 1)), now_);
  EXPECT_TRUE(Take<Spawn>().empty());
  agent_.OnTreeGone(Key(1), {.exit_code = 0}, now_);
  int lost = 0;
  for (const RecordPtr& record : agent_.TakeRecords(10)) {
    const auto* ended = std::get_if<Ended>(&record->kind);
    lost += ended != nullptr && ended->lost ? 1 : 0;
  }
  EXPECT_EQ(lost, 2);
  EXPECT_EQ(agent_.running(), 0u);
}

TEST_F(AgentTest, SecondStopAllKills) {
  Welcome();
  Run(Key(1));
  agent_.StopAll("leave", false, now_);
  agent_.StopAll("leave at once", true, now_);
  const auto signals = Take<SignalTree>();
  ASSERT_EQ(signals.size(), 2u);
  EXPECT_TRUE(signals[1].kill);
}

TEST_F(AgentTest, ChannelReportsAreAnsweredByVerdictOrAcknowledgement) {
  Welcome();
  Run(Key(1));
  agent_.OnReport(Key(1), LossReport(0.5, 1, true), now_);
  agent_.OnReport(Key(1), LossReport(0.4, 2, true), now_);
  agent_.TakeOutputs();
  agent_.OnVerdict(Key(1), 3, true, "rank 7 of 9");
  agent_.OnAck(Key(1), 3, now_);
  const auto told = Take<TellTrial>();
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].step, 2);
  EXPECT_TRUE(told[0].stop);
  EXPECT_EQ(told[0].reason, "rank 7 of 9");
  EXPECT_EQ(told[1].step, 1);
  EXPECT_FALSE(told[1].stop);
}

// Else the controller would take a trial that it has paused for one that has come to its own end.
TEST_F(AgentTest, ATrialThatLeavesByItsVerdictBeforeTheStopComesWasAskedTo) {
  Welcome();
  Run(Key(1));
  agent_.OnReport(Key(1), LossReport(0.5, 1, true), now_);
  agent_.OnVerdict(Key(1), 2, true, "paused at rung 1");
  agent_.OnDisconnected(now_);  // the controller is killed
  agent_.OnTreeGone(Key(1), {.exit_code = 0}, now_);
  Welcome({{Key(1), AttemptAnswer::Kind::kKill, 2, "paused"}});
  const auto ended = EndSent();
  ASSERT_TRUE(ended.has_value());
  EXPECT_TRUE(ended->stop_requested);
  EXPECT_EQ(ended->reason, "paused at rung 1");
}

// Its verdict is durable, and the controller was killed before it could send it. With "continue" for its step first,
// the trial would report one step more.
TEST_F(AgentTest, ATrialThatIsToStopHearsThatBeforeItsStepIsAcknowledged) {
  Welcome();
  Run(Key(1));
  agent_.OnReport(Key(1), LossReport(0.5, 1, true), now_);
  agent_.OnDisconnected(now_);
  agent_.TakeOutputs();
  Welcome({{Key(1), AttemptAnswer::Kind::kKill, 2, "stopped early"}});
  const auto told = Take<TellTrial>();
  ASSERT_FALSE(told.empty());
  EXPECT_TRUE(told[0].stop);
  EXPECT_EQ(told[0].step, 1);
  EXPECT_EQ(told[0].reason, "stopped early");
}

TEST_F(AgentTest, StepsCountFromThePreviousOneAndFromOne) {
  Welcome();
  Run(Key(1));
  Run(Key(2, 1));
  agent_.OnReport(Key(1), LossReport(0.5), now_);
  agent_.OnReport(Key(1), LossReport(0.5, 5), now_);
  agent_.OnReport(Key(1), LossReport(0.5), now_);
  agent_.OnAssign(Assign(Key(3, 2)), now_);
  agent_.OnStarted(Key(3, 2), 100, true, now_);
  agent_.OnReport(Key(3, 2), LossReport(0.5, 3), now_);
  for (int64_t epoch : {0, 1, 2}) agent_.OnReport(Key(2, 1), LossReport(0.5, epoch), now_);
  std::vector<int64_t> first, from_zero, resumed;
  for (const RecordPtr& record : agent_.TakeRecords(100)) {
    const auto* measured = std::get_if<Measured>(&record->kind);
    if (measured == nullptr) continue;
    (record->key == Key(1)      ? first
     : record->key == Key(3, 2) ? resumed
                                : from_zero)
        .push_back(measured->step);
  }
  EXPECT_EQ(first, (std::vector<int64_t>{1, 5, 6}));
  EXPECT_EQ(from_zero, (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(resumed, (std::vector<int64_t>{4})) << "epoch 3 of a program that counts from 0";
}

TEST_F(AgentTest, TooManyMeasurementsEndTheTrialWithAReason) {
  agent_ = Agent({.measurements_max = 3});
  Welcome();
  Run(Key(1));
  for (int i = 0; i < 5; ++i) agent_.OnReport(Key(1), LossReport(1), now_);
  EXPECT_EQ(Take<SignalTree>().size(), 1u);
  agent_.OnTreeGone(Key(1), {.exit_code = 0}, now_);
  const auto ended = EndSent();
  ASSERT_TRUE(ended.has_value());
  EXPECT_FALSE(ended->exit_code.has_value()) << "a handled TERM is no success here";
  EXPECT_NE(ended->reason.find("more than 3 measurements"), std::string::npos);
}

TEST_F(AgentTest, UnacknowledgedRecordsHoldTheTrialBack) {
  agent_ = Agent({.unacked_records_max = 3});
  Welcome();
  Run(Key(1));
  agent_.OnReport(Key(1), LossReport(1), now_);
  EXPECT_FALSE(agent_.Full(Key(1)));
  agent_.OnReport(Key(1), LossReport(1), now_);
  EXPECT_TRUE(agent_.Full(Key(1)));
  agent_.OnAck(Key(1), 1, now_);
  EXPECT_FALSE(agent_.Full(Key(1)));
}

TEST_F(AgentTest, EndsAreExplained) {
  struct EndCase {
    ProcessEnd end;
    const char* reason;
    bool out_of_memory;
  };
  const EndCase cases[] = {
      {{.exit_code = 1, .stderr_tail = "ModuleNotFoundError: No module named 'x'"},
       "exit code 1: ModuleNotFoundError: No module named 'x'",
       false},
      {{.exit_code = 2, .failed_reason = "no data", .stderr_tail = "noise"},
       "exit code 2: no data",
       false},
      {{.exit_code = 3}, "exit code 3", false},
      {{.signal = 11}, "ended by signal 11 (SIGSEGV)", false},
      {{.signal = 9}, "ended by signal 9 (SIGKILL), which this worker did not send", false},
      {{.signal = 9, .memory_evidence = "the kernel says so"},
       "out of memory: the kernel says so",
       true},
      {{.exit_code = 0}, "ended well but never reported loss; print it as \"loss=0.5\"", false},
      {{.exit_code = 0, .hint = "\"loss=abc\" gives loss no number"},
       "ended well but never reported loss; \"loss=abc\" gives loss no number",
       false},
  };
  uint64_t epoch = 0;
  Welcome();
  for (const EndCase& c : cases) {
    ++epoch;
    Run(Key(epoch, static_cast<uint32_t>(epoch)));
    agent_.OnTreeGone(Key(epoch, static_cast<uint32_t>(epoch)), c.end, now_);
    const auto ended = EndSent();
    ASSERT_TRUE(ended.has_value());
    EXPECT_EQ(ended->reason.substr(0, std::string(c.reason).size()), c.reason) << ended->reason;
    EXPECT_EQ(ended->out_of_memory, c.out_of_memory);
  }
}

TEST_F(AgentTest, RestoredAttemptIsReportedLostAfterWhatTheControllerHas) {
  auto record = std::make_shared<const Record>(
      Record{Key(1), 4, now_, Measured{3, {{"loss", 1}}, "", std::nullopt}});
  agent_.Restore(Key(1), {record}, 4);
  EXPECT_EQ(agent_.HelloAttempts().size(), 1u);
  Welcome({{Key(1), AttemptAnswer::Kind::kAdopt, 6, ""}});
  const auto records = agent_.TakeRecords(10);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0]->sequence, 7u)
      << "else the controller would take the end for one that it has seen";
  EXPECT_TRUE(std::get<Ended>(records[0]->kind).lost);
}

TEST_F(AgentTest, WhatIsHandedOnGoesOnWhereItStood) {
  Welcome();
  Run(Key(1));
  agent_.OnReport(Key(1), LossReport(1, 0, true), now_);
  agent_.OnStop(Key(1), "worse than the others", false, now_);
  agent_.TakeRecords(10);
  agent_.TakeOutputs();
  Agent next;
  next.Adopt(agent_.Snapshot(now_));
  agent_ = std::move(next);
  EXPECT_TRUE(agent_.TakeRecords(10).empty()) << "there is no session yet";
  EXPECT_EQ(agent_.HelloAttempts(), std::vector<AttemptKey>{Key(1)});
  Welcome({{Key(1), AttemptAnswer::Kind::kAdopt, 1, ""}});
  // Counted from 0, numbered without a gap, and what was sent and not acknowledged is sent again.
  agent_.OnReport(Key(1), LossReport(2, 1, true), now_);
  const auto records = agent_.TakeRecords(10);
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[1]->sequence, 3u);
  EXPECT_EQ(std::get<Measured>(records[1]->kind).step, 2);
  agent_.TakeOutputs();
  agent_.OnAck(Key(1), 2, now_);
  const auto told = Take<TellTrial>();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].step, 0) << "the step as the trial counts";
  Advance(Seconds(10));
  const auto signals = Take<SignalTree>();
  ASSERT_EQ(signals.size(), 1u) << "the grace began before";
  EXPECT_TRUE(signals[0].kill);
  agent_.OnTreeGone(Key(1), {.signal = 9}, now_);
  const auto ended = EndSent();
  ASSERT_TRUE(ended.has_value());
  EXPECT_TRUE(ended->stop_requested);
  EXPECT_EQ(ended->reason, "worse than the others (killed after the grace period)");
}

TEST_F(AgentTest, TheLeaseRunsOutThoughTheOneThatWasConnectedHasHandedOn) {
  Welcome();
  Run(Key(1));
  agent_.TakeOutputs();
  Agent next;
  next.Adopt(agent_.Snapshot(now_));
  agent_ = std::move(next);
  EXPECT_EQ(agent_.NextDeadline(), now_ + Seconds(20));
  Advance(Seconds(20));
  EXPECT_EQ(Take<SignalTree>().size(), 1u);
}

TEST_F(AgentTest, WhatWasLookedForIsLookedForAnew) {
  Welcome();
  auto assignment = std::make_shared<Assignment>(*Assign(Key(1)));
  assignment->resume = true;
  agent_.OnAssign(assignment, now_);
  ASSERT_EQ(Take<FindResume>().size(), 1u);
  Agent next;
  next.Adopt(agent_.Snapshot(now_));
  agent_ = std::move(next);
  agent_.Tick(now_);
  EXPECT_EQ(Take<FindResume>().size(), 1u);
}

TEST_F(AgentTest, FloodInOneAttemptDoesNotDelayAnother) {
  Welcome();
  Run(Key(1, 0));
  Run(Key(2, 1));
  for (int i = 0; i < 5'000; ++i) agent_.OnReport(Key(1, 0), LossReport(1), now_);
  agent_.OnReport(Key(2, 1), LossReport(1), now_);
  int of_second = 0;
  for (const RecordPtr& record : agent_.TakeRecords(1'000))
    of_second += record->key == Key(2, 1) ? 1 : 0;
  EXPECT_EQ(of_second, 2);
}

// A controller and a machine that do everything wrong in every order; from one seed.
class AgentWorld {
 public:
  // `replaced`: now and then another agent takes this one's place.
  AgentWorld(uint64_t seed, bool replaced) : rng_(seed), replaced_(replaced) {}

  void Run() {
    for (int i = 0; i < 600; ++i) {
      now_ = now_ + Milliseconds(rng_.IntInclusive(0, 3'000));
      if (replaced_ && rng_.Below(20) == 0) Replace();
      Act();
      agent_.Tick(now_);
      Settle();
    }
    // The faults stop: everything must end.
    acks_get_lost_ = false;
    if (connected_) agent_.OnDisconnected(now_);
    connected_ = false;
    for (int i = 0; i < 200; ++i) {
      now_ = now_ + Seconds(1);
      if (!connected_) Connect();
      for (const auto& [key, state] : processes_) agent_.OnStop(key, "the end", false, now_);
      agent_.Tick(now_);
      Settle();
      Deliver(1'000);
      for (const AttemptKey& key : std::vector<AttemptKey>(dying_.begin(), dying_.end())) Die(key);
      Settle();
    }
    EXPECT_EQ(agent_.open(), 0u);
    EXPECT_TRUE(processes_.empty());
    for (const auto& [key, heard] : heard_) {
      if (fenced_.count(key) != 0) continue;
      EXPECT_EQ(heard.ends, 1) << KeyText(key);
    }
  }

 private:
  struct Heard {
    uint64_t last = 0;
    int ends = 0;
  };

  void Replace() {
    Agent next(kOptions);
    next.Adopt(agent_.Snapshot(now_));
    agent_ = std::move(next);
    connected_ = false;
  }

  void Connect() {
    std::vector<AttemptAnswer> answers;
    for (const AttemptKey& key : agent_.HelloAttempts()) {
      if (rng_.Below(10) == 0) fenced_.insert(key);
      answers.push_back(
          {key,
           fenced_.count(key) != 0 ? AttemptAnswer::Kind::kForget : AttemptAnswer::Kind::kAdopt,
           heard_[key].last, ""});
    }
    connected_ = true;
    agent_.OnWelcome(Seconds(20), answers, now_);
  }

  void Act() {
    switch (rng_.Below(9)) {
      case 0:
        if (connected_) {
          ++epoch_;
          const AttemptKey key =
              Key(epoch_, static_cast<uint32_t>(rng_.Below(5)), static_cast<uint32_t>(epoch_));
          heard_[key];
          agent_.OnAssign(Assign(key), now_);
        }
        return;
      case 1:
      case 2:
      case 3:
        if (const auto key = AnyProcess(); key.has_value() && !agent_.Full(*key)) {
          agent_.OnReport(*key, LossReport(1, std::nullopt, rng_.Below(2) == 0), now_);
        }
        return;
      case 4:
        if (connected_) Deliver(rng_.Below(20));
        return;
      case 5:
        if (const auto key = AnyProcess()) Die(*key);
        return;
      case 6:
        if (const auto key = AnyProcess(); key.has_value() && connected_) {
          agent_.OnStop(*key, "stop", rng_.Below(2) == 0, now_);
        }
        return;
      case 7:
        if (connected_) {
          agent_.OnDisconnected(now_);
          connected_ = false;
        } else {
          Connect();
        }
        return;
      default:
        if (const auto key = AnyProcess()) agent_.OnProgramExited(*key, now_);
        return;
    }
  }

  // The controller hears some records; its acknowledgement may be lost with the stream.
  void Deliver(uint64_t count) {
    for (RecordPtr& record : agent_.TakeRecords(count)) {
      Heard& heard = heard_[record->key];
      ASSERT_LE(record->sequence, heard.last + 1) << "a gap in " << KeyText(record->key);
      if (record->sequence <= heard.last) continue;
      ASSERT_EQ(heard.ends, 0) << "a record after the end of " << KeyText(record->key);
      heard.last = record->sequence;
      heard.ends += std::holds_alternative<Ended>(record->kind) ? 1 : 0;
      if (!acks_get_lost_ || rng_.Below(4) != 0) agent_.OnAck(record->key, heard.last, now_);
    }
  }

  std::optional<AttemptKey> AnyProcess() {
    if (processes_.empty()) return std::nullopt;
    auto it = processes_.begin();
    std::advance(it, static_cast<int>(rng_.Below(processes_.size())));
    return it->first;
  }

  void Die(const AttemptKey& key) {
    if (processes_.erase(key) == 0) return;
    dying_.erase(key);
    agent_.OnTreeGone(key, {.exit_code = static_cast<int32_t>(rng_.Below(2))}, now_);
  }

  void Settle() {
    for (auto outputs = agent_.TakeOutputs(); !outputs.empty(); outputs = agent_.TakeOutputs()) {
      for (const Output& output : outputs) {
        if (const auto* spawn = std::get_if<Spawn>(&output)) {
          const AttemptKey& key = spawn->assignment->key;
          ASSERT_EQ(processes_.count(key), 0u);
          for (const auto& [other, state] : processes_) {
            ASSERT_NE(other.id.trial, key.id.trial) << "two attempts of one trial at once";
          }
          if (rng_.Below(10) == 0) {
            agent_.OnStartFailed(key, "no such program", now_);
          } else {
            processes_[key] = true;
            agent_.OnStarted(key, 1, false, now_);
          }
        } else if (const auto* signal = std::get_if<SignalTree>(&output)) {
          if (signal->kill && processes_.count(signal->key) != 0) dying_.insert(signal->key);
        }
      }
    }
  }

  static constexpr AgentOptions kOptions{.unacked_records_max = 50};

  Rng rng_;
  const bool replaced_;
  Agent agent_{kOptions};
  Time now_{1};
  bool connected_ = false;
  bool acks_get_lost_ = true;
  uint64_t epoch_ = 0;
  std::map<AttemptKey, bool> processes_;
  std::set<AttemptKey> dying_;
  std::set<AttemptKey> fenced_;
  std::map<AttemptKey, Heard> heard_;
};

TEST(AgentPropertyTest, RecordsComeInOrderWithoutAGapAndEveryAttemptEndsOnce) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    AgentWorld(seed, false).Run();
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(AgentPropertyTest, TheSameHoldsForAgentsThatTakeEachOthersPlace) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    AgentWorld(seed, true).Run();
    if (testing::Test::HasFatalFailure()) return;
  }
}

// The same inputs to two agents, one of which is replaced before each of them: both want the same.
TEST(AgentPropertyTest, AReplacedAgentWantsWhatOneThatWasNotWants) {
  int kills = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed);
    Time now{1'000'000};
    Agent one, other;
    std::string wanted, wanted_of_other;
    std::set<AttemptKey> ours;
    std::map<AttemptKey, uint64_t> acked;
    const auto carry = [&](Agent* agent, std::string* words) {
      for (auto outputs = agent->TakeOutputs(); !outputs.empty(); outputs = agent->TakeOutputs()) {
        for (const Output& output : outputs) {
          *words += std::to_string(output.index()) + ":";
          if (const auto* spawn = std::get_if<Spawn>(&output)) {
            *words += KeyText(spawn->assignment->key);
            ours.insert(spawn->assignment->key);
            agent->OnStarted(spawn->assignment->key, 7, false, now);
          } else if (const auto* tell = std::get_if<TellTrial>(&output)) {
            *words += KeyText(tell->key) + "@" + std::to_string(tell->step) + (tell->stop ? tell->reason : "");
          } else if (const auto* signal = std::get_if<SignalTree>(&output)) {
            *words += KeyText(signal->key) + (signal->kill ? "KILL" : "TERM");
          } else if (const auto* store = std::get_if<Store>(&output)) {
            *words += KeyText(store->record->key) + "#" + std::to_string(store->record->sequence) + "." +
                      std::to_string(store->record->kind.index());
            if (const auto* m = std::get_if<Measured>(&store->record->kind)) *words += "s" + std::to_string(m->step);
            if (const auto* e = std::get_if<Ended>(&store->record->kind)) *words += e->reason;
          }
          *words += "\n";
        }
      }
    };
    std::vector<AttemptAnswer> answers;
    for (int i = 0; i < 200; ++i) {
      now = now + Milliseconds(rng.IntInclusive(0, 2'000));
      Agent next;
      next.Adopt(other.Snapshot(now));
      other = std::move(next);
      answers.clear();
      for (const AttemptKey& key : one.HelloAttempts()) {
        answers.push_back({key, AttemptAnswer::Kind::kAdopt, acked[key], ""});
      }
      const uint64_t action = rng.Below(7);
      const auto number = static_cast<uint32_t>(i + 1);
      AttemptKey key = Key(number, static_cast<uint32_t>(rng.Below(4)), number);
      if (action > 0 && !ours.empty()) {
        auto it = ours.begin();
        std::advance(it, static_cast<int>(rng.Below(ours.size())));
        key = *it;
      }
      const bool flag = rng.Below(2) == 0;
      const uint64_t sequence = acked[key] + rng.Below(4);
      for (Agent* agent : {&one, &other}) {
        // Whether it was replaced or only disconnected: it connects anew.
        agent->OnDisconnected(now);
        agent->OnWelcome(Seconds(20), answers, now);
        if (action == 0) agent->OnAssign(Assign(key), now);
        if (ours.count(key) != 0) {
          if (action == 1 || action == 2) {
            agent->OnReport(key, LossReport(1, flag ? std::nullopt : std::optional<int64_t>(i), flag), now);
          }
          if (action == 3) agent->OnVerdict(key, sequence, flag, "worse");
          if (action == 4) agent->OnAck(key, sequence, now);
          if (action == 5) agent->OnStop(key, "stop", flag, now);
          if (action == 6) agent->OnTreeGone(key, {.exit_code = flag ? 0 : 1}, now);
        }
        agent->Tick(now);
      }
      if (action == 4) acked[key] = std::max(acked[key], sequence);
      if (action == 6) ours.erase(key);
      carry(&one, &wanted);
      carry(&other, &wanted_of_other);
      ASSERT_EQ(wanted, wanted_of_other);
    }
    kills += wanted.find("KILL") != std::string::npos ? 1 : 0;
  }
  EXPECT_GT(kills, 100) << "graces ran out under replaced agents too";
}

TEST(KeyTextTest, ReadsBackWhatItWrites) {
  const AttemptKey key = Key(40, 12, 3);
  EXPECT_EQ(KeyText(key), "1.12.3.40");
  EXPECT_EQ(ParseKeyText("1.12.3.40"), key);
  for (const char* text : {"", "1.2.3", "1.2.3.4.5", "a.b.c.d", "1.2.3.4x", "1..3.4",
                           "1.99999999999.3.4", "-1.2.3.4"}) {
    EXPECT_EQ(ParseKeyText(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace tunesmith::worker
