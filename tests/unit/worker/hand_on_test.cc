// What one program of a worker daemon hands on to the next.
#include "worker/process/hand_on.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <string>

namespace tunesmith::worker {
namespace {

AttemptKey Key() { return {{{SweepId(7), 3}, 2}, LeaseEpoch(11)}; }

HandOn Example() {
  HandOn hand_on;
  hand_on.boot_id = "boot";
  hand_on.wall_offset_ms = -5;
  hand_on.welcomed_ever = true;
  hand_on.lock_fd = 9;

  auto assignment = std::make_shared<Assignment>();
  assignment->key = Key();
  assignment->command = {"python3", "train.py", "\xff not UTF-8"};
  assignment->parameters = {{"lr", "0.1", "0.1"}};
  assignment->env = {{"A", "b"}};
  assignment->stop_grace = Duration{1'500};
  assignment->checkpoints = {{1, 4, "step-4", 100, "abc"}};
  assignment->gpus = 0.5;

  AttemptState attempt;
  attempt.assignment = assignment;
  attempt.phase = AttemptState::Phase::kRunning;
  attempt.cause = AttemptState::StopCause::kController;
  attempt.cause_reason = "rank 7 of 9";
  attempt.kill_at = Time{123'456};
  attempt.last_sequence = 5;
  const auto add = [&](uint64_t sequence, decltype(Record::kind) kind) {
    attempt.unacked.push_back(std::make_shared<const Record>(Record{Key(), sequence, Time{50}, std::move(kind)}));
  };
  add(2, Started{4'711});
  add(3, Measured{6, {{"loss", std::nan("")}, {"best", -std::numeric_limits<double>::infinity()}}, "step-6", 5});
  add(4, LogChunk{std::string("\0\xfe", 2), 17});
  Ended ended;
  ended.exit_code = 3;
  ended.reason = "gone";
  add(5, ended);
  attempt.metrics_seen = {"loss"};
  attempt.verdicts_delivered = {3};
  hand_on.agent.attempts[Key()] = attempt;

  TrialSnapshot trial;
  trial.state.assignment = assignment;
  trial.state.process.pid = 4'711;
  trial.state.process.pidfd = 20;
  trial.state.process.stdout_fd = 21;
  trial.state.process.channel_fd = 22;
  trial.state.log_fd = 23;
  trial.state.unparsed = "loss=0.";
  trial.state.channel_in = "{\"type\":";
  trial.splitter.partial = "epo\xe2";
  trial.stderr_tail = "Traceback";
  hand_on.processes.trials.push_back(trial);
  hand_on.not_spooled = {{Key(), 4}};
  return hand_on;
}

TEST(HandOnTest, ComesOutAsItWent) {
  const std::string bytes = EncodeHandOn(Example());
  const StatusOr<HandOn> read = DecodeHandOn(bytes);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->boot_id, "boot");
  EXPECT_EQ(read->wall_offset_ms, -5);
  EXPECT_TRUE(read->welcomed_ever);
  ASSERT_EQ(read->agent.attempts.count(Key()), 1u);
  const AttemptState& attempt = read->agent.attempts.at(Key());
  EXPECT_EQ(attempt.phase, AttemptState::Phase::kRunning);
  EXPECT_EQ(attempt.cause, AttemptState::StopCause::kController);
  EXPECT_EQ(attempt.kill_at, Time{123'456});
  EXPECT_EQ(attempt.assignment->command.at(2), "\xff not UTF-8");
  EXPECT_EQ(attempt.assignment->stop_grace, Duration{1'500});
  EXPECT_EQ(attempt.assignment->checkpoints, Example().agent.attempts.at(Key()).assignment->checkpoints);
  EXPECT_EQ(attempt.assignment->gpus, 0.5);
  ASSERT_EQ(attempt.unacked.size(), 4u);
  EXPECT_EQ(std::get<Started>(attempt.unacked[0]->kind).pid, 4'711);
  const Measured& measured = std::get<Measured>(attempt.unacked[1]->kind);
  EXPECT_EQ(attempt.unacked[1]->sequence, 3u);
  EXPECT_EQ(measured.step, 6);
  EXPECT_TRUE(std::isnan(measured.metrics.at(0).value));
  EXPECT_EQ(measured.metrics.at(1).value, -std::numeric_limits<double>::infinity());
  EXPECT_EQ(measured.channel_step, 5);
  EXPECT_EQ(std::get<LogChunk>(attempt.unacked[2]->kind).data, std::string("\0\xfe", 2));
  EXPECT_EQ(std::get<Ended>(attempt.unacked[3]->kind).exit_code, 3);
  EXPECT_EQ(attempt.verdicts_delivered, std::set<uint64_t>{3});
  ASSERT_EQ(read->processes.trials.size(), 1u);
  EXPECT_EQ(read->processes.trials[0].state.unparsed, "loss=0.");
  EXPECT_EQ(read->processes.trials[0].splitter.partial, "epo\xe2");
  EXPECT_EQ(read->not_spooled, Example().not_spooled);
  EXPECT_EQ(EncodeHandOn(*read), bytes);
}

TEST(HandOnTest, NamesEveryDescriptorThatMustStayOpen) {
  EXPECT_EQ(Example().Descriptors(), (std::vector<int>{9, 20, 21, 22, 23}));
}

TEST(HandOnTest, WhatIsCutShortOrNotItsOwnIsRefused) {
  const std::string bytes = EncodeHandOn(Example());
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(DecodeHandOn(std::string_view(bytes).substr(0, length)).ok()) << length;
  }
  EXPECT_FALSE(DecodeHandOn("garbage").ok());
}

TEST(HandOnTest, AnotherFormatIsNamed) {
  std::string bytes = EncodeHandOn(Example());
  const std::string name = "format";
  const size_t at = bytes.find(name);
  ASSERT_NE(at, std::string::npos);
  ASSERT_EQ(bytes.at(at + name.size()), static_cast<char>(kHandOnFormat));  // CBOR writes a small number as itself
  bytes.at(at + name.size()) = 9;
  const Status refused = DecodeHandOn(bytes).status();
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(Message(refused).find("format 9"), std::string::npos) << refused;
}

}  // namespace
}  // namespace tunesmith::worker
