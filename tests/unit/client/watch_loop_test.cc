#include "client/commands/watch_loop.h"

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <thread>

#include <gtest/gtest.h>

#include "client/api/connection.h"
#include "client/commands/report.h"
#include "tests/unit/client/fake_controller.h"
#include "tests/unit/client/messages.h"

namespace tunesmith {
namespace {

class WatchLoopTest : public testing::Test {
 protected:
  WatchLoopTest() : file_(std::tmpfile()), out_(::fileno(file_)) {}
  ~WatchLoopTest() override { std::fclose(file_); }

  WatchResult Watch(int64_t timeout_ms = 0, std::function<std::string()> interrupt = nullptr) {
    settings_.server = fake_.address();
    settings_.unicode = true;
    auto connection = Connection::Open(settings_, Need::kServer);
    EXPECT_TRUE(connection.ok());
    return WatchToEnd(connection->get(), settings_, {"digits", timeout_ms, std::move(interrupt)},
                      &out_);
  }

  std::string Written() {
    out_.Flush();
    std::rewind(file_);
    std::string text(1 << 16, '\0');
    text.resize(std::fread(text.data(), 1, text.size(), file_));
    return text;
  }

  static v1::Sweep Ended() {
    auto sweep = MakeSweep("digits", v1::Sweep::SUCCEEDED, 1);
    sweep.set_state_reason("all 1 trials have ended");
    sweep.mutable_counts()->set_completed(1);
    sweep.set_best_trial(0);
    sweep.set_best_value(0.5);
    return sweep;
  }

  FakeController fake_;
  Settings settings_;
  std::FILE* file_;
  Output out_;
};

TEST_F(WatchLoopTest, PrintsAPlainLinePerEventAndTheSummaryAndReturnsZero) {
  fake_.watches = {{{Snapshot(MakeSweep("digits", v1::Sweep::ACTIVE, 1), {}),
                     Delta({MakeTrial(0, v1::Trial::RUNNING)}),
                     Delta({MakeTrial(0, v1::Trial::COMPLETED, 9, 0.5)}), Delta(Ended())},
                    grpc::Status::OK}};
  const WatchResult result = Watch();
  EXPECT_EQ(result.end, WatchResult::End::kEnded);
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.trials_ended, 1);
  const std::string text = Written();
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_NE(text.find("lab-01"), std::string::npos) << text;
  EXPECT_NE(text.find("SUCCEEDED"), std::string::npos) << text;
  EXPECT_NE(text.find("tunesmith --server " + fake_.address() + " export digits -o csv"),
            std::string::npos)
      << text;
}

TEST_F(WatchLoopTest, WritesTheSweepOnceInJson) {
  settings_.format = OutputFormat::kJson;
  fake_.watches = {{{Snapshot(Ended(), {})}, grpc::Status::OK}};
  EXPECT_EQ(Watch().exit_code, 0);
  const std::string text = Written();
  EXPECT_EQ(text.rfind("{\"sweep\":\"digits\",\"state\":\"succeeded\"", 0), 0u) << text;
  EXPECT_EQ(text.find('\n'), text.size() - 1);
}

TEST_F(WatchLoopTest, ConnectsAgainWhenTheControllerGoesAway) {
  fake_.watches = {
      {{Snapshot(MakeSweep("digits", v1::Sweep::ACTIVE, 1), {})},
       {grpc::StatusCode::UNAVAILABLE, "draining"}},
      {{Snapshot(Ended(), {MakeTrial(0, v1::Trial::COMPLETED, 9, 0.5)})}, grpc::Status::OK}};
  EXPECT_EQ(Watch().exit_code, 0);
  EXPECT_EQ(fake_.calls("WatchSweep"), 2);
}

TEST_F(WatchLoopTest, EndsWithAnErrorWhenTheSweepIsDeleted) {
  fake_.watches = {{{Snapshot(MakeSweep("digits", v1::Sweep::ACTIVE), {})},
                    {grpc::StatusCode::NOT_FOUND, "gone"}}};
  const WatchResult result = Watch();
  EXPECT_EQ(result.end, WatchResult::End::kLost);
  EXPECT_EQ(result.exit_code, 1);
}

TEST_F(WatchLoopTest, EndsAtTheTimeoutWithItsOwnCode) {
  fake_.watches = {
      {{Snapshot(MakeSweep("digits", v1::Sweep::ACTIVE), {})}, grpc::Status::OK, true}};
  const WatchResult result = Watch(50);
  EXPECT_EQ(result.end, WatchResult::End::kTimeout);
  EXPECT_EQ(result.exit_code, 124);
}

TEST_F(WatchLoopTest, DetachesOnAnInterruptWhereNothingIsToBeStopped) {
  fake_.watches = {
      {{Snapshot(MakeSweep("digits", v1::Sweep::ACTIVE), {})}, grpc::Status::OK, true}};
  std::jthread presser([&] {
    while (fake_.calls("WatchSweep") == 0) std::this_thread::yield();
    ::kill(::getpid(), SIGINT);
  });
  const WatchResult result = Watch();
  EXPECT_EQ(result.end, WatchResult::End::kInterrupted);
  EXPECT_EQ(result.exit_code, 130);
}

TEST_F(WatchLoopTest, StopsALocalSweepOnTheFirstInterruptAndWaitsForItsTrials) {
  fake_.watches = {
      {{Snapshot(MakeSweep("digits", v1::Sweep::ACTIVE), {MakeTrial(0, v1::Trial::RUNNING)})},
       grpc::Status::OK,
       true}};
  int stops = 0;
  std::jthread presser([&] {
    while (fake_.calls("WatchSweep") == 0) std::this_thread::yield();
    ::kill(::getpid(), SIGINT);
  });
  // The trial never leaves, so a second one is needed.
  const WatchResult result = Watch(0, [&] {
    ++stops;
    ::kill(::getpid(), SIGINT);
    return std::string("stopping");
  });
  EXPECT_EQ(stops, 1);
  EXPECT_EQ(result.end, WatchResult::End::kInterrupted);
  EXPECT_TRUE(result.hurry);
}

TEST(ParseDuration, ReadsUnitsAndRefusesTheRest) {
  EXPECT_EQ(ParseDuration("90"), 90'000);
  EXPECT_EQ(ParseDuration("90s"), 90'000);
  EXPECT_EQ(ParseDuration("1h30m"), 5'400'000);
  EXPECT_EQ(ParseDuration("2d"), 172'800'000);
  for (const char* text : {"", "0", "m", "5x", "-3", "1.5h", "99999999999s"}) {
    EXPECT_EQ(ParseDuration(text), std::nullopt) << text;
  }
}

TEST(ParseBytes, ReadsUnitsAndRefusesTheRest) {
  EXPECT_EQ(ParseBytes("4096"), 4096);
  EXPECT_EQ(ParseBytes("64k"), 65536);
  EXPECT_EQ(ParseBytes("2M"), 2097152);
  for (const char* text : {"", "0", "k", "5x", "-3"})
    EXPECT_EQ(ParseBytes(text), std::nullopt) << text;
}

}  // namespace
}  // namespace tunesmith
