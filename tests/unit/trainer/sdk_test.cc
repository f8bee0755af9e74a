#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "worker/sdk/trial.h"

namespace tunesmith {
namespace {

// TUNESMITH_CHECKPOINT_DIR, new and empty.
struct CheckpointFolder {
  CheckpointFolder() {
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
    setenv("TUNESMITH_CHECKPOINT_DIR", path.c_str(), 1);
  }
  ~CheckpointFolder() {
    unsetenv("TUNESMITH_CHECKPOINT_DIR");
    std::filesystem::remove_all(path);
  }
  // Of the files in it, hidden ones too.
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path)) names.push_back(entry.path().filename());
    return names;
  }
  const std::string path = testing::TempDir() + "sdk-checkpoints-" + std::to_string(getpid());
};

// A daemon's end of the channel beside a Trial that was started with the other end.
class SdkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    daemon_ = ends[0];
    setenv("TUNESMITH_CHANNEL", std::to_string(ends[1]).c_str(), 1);
    internal::sigterm_seen = 0;
  }
  void TearDown() override {
    trial_.reset();
    HangUp();
    unsetenv("TUNESMITH_CHANNEL");
    signal(SIGTERM, SIG_DFL);
  }

  Trial& Start(TrialOptions options = {}) { return trial_.emplace(options); }
  void Say(const std::string& text) {
    ASSERT_EQ(write(daemon_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  // Reads until `lines` whole lines have arrived.
  std::string Hear(int lines) {
    std::string all;
    char c;
    while (lines > 0 && read(daemon_, &c, 1) == 1) {
      all += c;
      if (c == '\n') --lines;
    }
    return all;
  }
  void HangUp() {
    if (daemon_ >= 0) close(daemon_);
    daemon_ = -1;
  }

  int daemon_ = -1;
  std::optional<Trial> trial_;
};

TEST_F(SdkTest, AReportIsOneLineOfJson) {
  Start().Report(3, {{"loss", 0.42}, {"accuracy", 0.91}}, "epoch-3");
  EXPECT_EQ(Hear(1),
            "{\"type\":\"report\",\"step\":3,\"metrics\":{\"loss\":0.42,\"accuracy\":0.91},"
            "\"checkpoint\":\"epoch-3\"}\n");
}

TEST_F(SdkTest, WithoutAStepTheNextOneIsReported) {
  Trial& trial = Start();
  trial.Report({{"loss", 1}});
  trial.Report({{"loss", 1}});
  Hear(1);
  EXPECT_EQ(Hear(1), "{\"type\":\"report\",\"step\":2,\"metrics\":{\"loss\":1}}\n");
}

TEST_F(SdkTest, NanAndInfinityAreWrittenAsStrings) {
  const double inf = std::numeric_limits<double>::infinity();
  Start().Report(1, {{"a", std::nan("")}, {"b", inf}, {"c", -inf}});
  EXPECT_NE(Hear(1).find("{\"a\":\"nan\",\"b\":\"inf\",\"c\":\"-inf\"}"), std::string::npos);
}

TEST_F(SdkTest, EveryDoubleReadsBackAsItself) {
  for (double value : {0.1, 1.0 / 3, 1e-300, 5e-324, 123456789.123456789, -0.0, 1e22}) {
    EXPECT_EQ(std::strtod(internal::JsonNumber(value).c_str(), nullptr), value);
  }
}

TEST_F(SdkTest, TextIsEscapedAndInvalidBytesAreReplaced) {
  Start().Note("a \"b\"\n\\ \x01 \xc3\xa9 \xff\xe2\x82 \xed\xa0\x80");
  EXPECT_EQ(Hear(1),
            "{\"type\":\"note\",\"text\":\"a \\\"b\\\"\\u000a\\\\ \\u0001 \xc3\xa9 ??? ???\"}\n");
}

TEST_F(SdkTest, AReasonOfFailureIsSent) {
  Start().Failed("no data");
  EXPECT_EQ(Hear(1), "{\"type\":\"failed\",\"reason\":\"no data\"}\n");
}

TEST_F(SdkTest, AStopThatHasArrivedIsReturnedByTheNextReport) {
  Trial& trial = Start();
  EXPECT_FALSE(trial.Report(1, {{"loss", 1}}).stop);
  Say("{\"type\":\"verdict\",\"step\":1,\"action\":\"stop\",\"reason\":\"rung 1: 3rd of 4\"}\n");
  const Verdict verdict = trial.Report(2, {{"loss", 1}});
  EXPECT_TRUE(verdict.stop);
  EXPECT_EQ(verdict.reason, "rung 1: 3rd of 4");
}

TEST_F(SdkTest, AStopMayComeUnaskedAndInPieces) {
  Trial& trial = Start();
  Say("{\"type\":\"verdict\",\"act");
  EXPECT_FALSE(trial.ShouldStop());
  Say("ion\":\"stop\",\"reason\":\"stopped by a person\"}\n");
  EXPECT_TRUE(trial.ShouldStop());
  EXPECT_EQ(trial.StopReason(), "stopped by a person");
}

TEST_F(SdkTest, EveryEscapeOfAReasonIsRead) {
  Trial& trial = Start();
  Say(R"({"type":"verdict","step":1,"action":"stop","reason":"a\r\n\t\b\f\"\\\/\u001b"})"
      "\n");
  EXPECT_TRUE(trial.ShouldStop());
  EXPECT_EQ(trial.StopReason(), "a\r\n\t\b\f\"\\/\x1b");
}

TEST_F(SdkTest, AStopIsFinal) {
  Trial& trial = Start();
  Say("{\"type\":\"verdict\",\"step\":1,\"action\":\"stop\",\"reason\":\"weak\"}\n"
      "{\"type\":\"verdict\",\"step\":2,\"action\":\"continue\"}\n");
  EXPECT_TRUE(trial.ShouldStop());
  EXPECT_EQ(trial.StopReason(), "weak");
}

TEST_F(SdkTest, LinesThatAreNotVerdictsAreIgnored) {
  Trial& trial = Start();
  Say("garbage\n{\"type\":\"hello\",\"action\":\"stop\"}\n{\"x\":{\"type\":\"verdict\",\"action\":"
      "\"stop\"}}\n\n{\"type\":\"verdict\",\"action\":\"continue\",\"note\":\"stop\"}\n");
  EXPECT_FALSE(trial.ShouldStop());
}

TEST_F(SdkTest, AnEndlessLineDoesNotGrowTheBufferForever) {
  Trial& trial = Start();
  for (int i = 0; i < 64; ++i) {
    Say(std::string(4096, 'x'));
    EXPECT_FALSE(trial.ShouldStop());
  }
  Say("\n{\"type\":\"verdict\",\"action\":\"stop\"}\n");
  EXPECT_TRUE(trial.ShouldStop());
}

TEST_F(SdkTest, ReportCanWaitForItsOwnVerdict) {
  Trial& trial = Start({.report_wait_ms = -1});
  std::jthread daemon([this] {
    Hear(1);
    Say("{\"type\": \"verdict\", \"step\": 7, \"action\": \"stop\", \"reason\": \"caf\\u00e9\"}\n");
  });
  const Verdict verdict = trial.Report(7, {{"loss", 1}});
  EXPECT_TRUE(verdict.stop);
  EXPECT_EQ(verdict.reason, "caf\xc3\xa9");
}

TEST_F(SdkTest, WaitingEndsAtItsLimit) {
  Trial& trial = Start({.report_wait_ms = 30});
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(trial.Report(1, {{"loss", 1}}).stop);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(30));
}

TEST_F(SdkTest, ADaemonThatIsGoneMeansLeaveAndIsNoSignal) {
  Trial& trial = Start({.report_wait_ms = -1});
  HangUp();
  EXPECT_TRUE(trial.Report(1, {{"loss", 1}}).stop);  // SIGPIPE would end the test program
  EXPECT_EQ(trial.StopReason(), "the worker daemon is gone");
  EXPECT_TRUE(trial.Report(2, {{"loss", 1}}).stop);
}

TEST_F(SdkTest, AVerdictSentJustBeforeTheEndIsStillHeard) {
  Trial& trial = Start();
  Say("{\"type\":\"verdict\",\"action\":\"stop\",\"reason\":\"last word\"}\n");
  HangUp();
  EXPECT_TRUE(trial.Report(1, {{"loss", 1}}).stop);
  EXPECT_EQ(trial.StopReason(), "last word");
}

TEST_F(SdkTest, ADaemonThatReadsSlowlyGetsEveryReportWhole) {
  constexpr int kReports = 20'000;  // several times what the socket and the trial's own buffer hold
  Trial& trial = Start();
  std::string heard;
  std::jthread daemon([this, &heard] { heard = Hear(kReports); });
  for (int step = 1; step <= kReports; ++step) {
    trial.Report(step, {{"loss", 0.5}, {"a_name_that_makes_the_line_longer", 1.0 / step}});
  }
  trial_.reset();  // sends the rest
  daemon.join();
  size_t at = 0;
  for (int step = 1; step <= kReports; ++step) {
    const std::string start = "{\"type\":\"report\",\"step\":" + std::to_string(step) + ",";
    ASSERT_EQ(heard.compare(at, start.size(), start), 0) << "step " << step;
    at = heard.find('\n', at) + 1;
  }
  EXPECT_EQ(at, heard.size());
}

TEST_F(SdkTest, ADaemonThatNeverReadsDoesNotStallTheFirstReports) {
  Trial& trial = Start();
  for (int step = 1; step <= 5'000; ++step) trial.Report(step, {{"loss", 0.5}});
  raise(SIGTERM);  // and a stop ends even a report that waits for room
  for (int step = 5'001; step <= 100'000; ++step) trial.Report(step, {{"loss", 0.5}});
  EXPECT_TRUE(trial.ShouldStop());
}

TEST_F(SdkTest, SigtermAsksToLeave) {
  Trial& trial = Start({.report_wait_ms = -1});
  EXPECT_FALSE(trial.ShouldStop());
  raise(SIGTERM);
  EXPECT_TRUE(trial.ShouldStop());
  EXPECT_TRUE(trial.Report(1, {{"loss", 1}}).stop);
}

TEST_F(SdkTest, ACheckpointIsThereOnlyWhenItIsWhole) {
  const CheckpointFolder folder;
  Trial& trial = Start();
  const std::string name = trial.SaveCheckpoint("epoch-1", [&](const std::string& path) {
    std::ofstream(path) << "weights";
    EXPECT_NE(path, folder.path + "/epoch-1");
    EXPECT_FALSE(std::filesystem::exists(folder.path + "/epoch-1"));
    return true;
  });
  EXPECT_EQ(name, "epoch-1");
  EXPECT_EQ(folder.Names(), std::vector<std::string>{"epoch-1"});
}

TEST_F(SdkTest, ACheckpointThatFailsIsSaidAndLeavesTheOlderOnes) {
  const CheckpointFolder folder;
  Trial& trial = Start();
  const auto write = [](const std::string& path) { return static_cast<bool>(std::ofstream(path) << "weights"); };
  EXPECT_EQ(trial.SaveCheckpoint("epoch-1", write), "epoch-1");
  testing::internal::CaptureStderr();
  EXPECT_EQ(trial.SaveCheckpoint("epoch-2", [&](const std::string& path) { return write(path) && false; }), "");
  EXPECT_EQ(trial.SaveCheckpoint("epoch-3", [](const std::string&) { return true; }), "");  // wrote nothing
  EXPECT_EQ(trial.SaveCheckpoint("no/such/folder", write), "");
  EXPECT_THROW(trial.SaveCheckpoint("epoch-4",
                                    [&](const std::string& path) -> bool {
                                      write(path);
                                      throw std::runtime_error("out of memory");
                                    }),
               std::runtime_error);
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("no checkpoint " + folder.path + "/epoch-3: No such file or directory"), std::string::npos);
  EXPECT_NE(Hear(3).find("\"note\""), std::string::npos);
  EXPECT_EQ(folder.Names(), std::vector<std::string>{"epoch-1"});
}

TEST_F(SdkTest, WithoutAFolderNoCheckpointIsWritten) {
  unsetenv("TUNESMITH_CHECKPOINT_DIR");
  EXPECT_EQ(Start().SaveCheckpoint("epoch-1", [](const std::string&) -> bool { throw std::logic_error("called"); }),
            "");
}

TEST_F(SdkTest, WrongParametersEndARunWithACodeOfTheirOwn) {
  unsetenv("TUNESMITH_CONFIG");
  testing::internal::CaptureStderr();
  EXPECT_EQ(tunesmith::Run([](Trial& trial) { trial.config().Number("lr"); }), 2);
  EXPECT_EQ(testing::internal::GetCapturedStderr().find("tunesmith: there is no parameter 'lr'"), 0u);
  EXPECT_EQ(Hear(1).find("{\"type\":\"failed\",\"reason\":\"there is no parameter 'lr'"), 0u);
}

TEST_F(SdkTest, ARunThatIsDoneIsASuccess) {
  EXPECT_EQ(tunesmith::Run([](Trial& trial) { trial.Report(1, {{"loss", 1}}); }), 0);
  EXPECT_EQ(Hear(1), "{\"type\":\"report\",\"step\":1,\"metrics\":{\"loss\":1}}\n");
}

TEST_F(SdkTest, WhatARunThrowsIsTheReasonOfItsFailure) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(tunesmith::Run([](Trial&) { throw std::runtime_error("no data"); }), 1);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "tunesmith: training failed: no data\n");
  EXPECT_EQ(Hear(1), "{\"type\":\"failed\",\"reason\":\"training failed: no data\"}\n");
}

TEST_F(SdkTest, TheStackBehindAMessageOfLibTorchIsNoPartOfTheReason) {
  testing::internal::CaptureStderr();
  tunesmith::Run(
      [](Trial&) { throw std::runtime_error("shapes\ndiffer\nException raised from meta at x.cpp:73\nframe"); });
  EXPECT_NE(testing::internal::GetCapturedStderr().find("x.cpp:73\nframe"), std::string::npos);
  EXPECT_EQ(Hear(1), "{\"type\":\"failed\",\"reason\":\"training failed: shapes\\u000adiffer\"}\n");
}

TEST_F(SdkTest, TheChannelIsNotInheritedByChildren) {
  const int fd = std::atoi(getenv("TUNESMITH_CHANNEL"));
  Start();
  EXPECT_NE(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
}

TEST(SdkEnvironmentTest, WithoutAChannelReportsGoToStdout) {
  unsetenv("TUNESMITH_CHANNEL");
  Trial trial({.handle_sigterm = false});
  testing::internal::CaptureStdout();
  EXPECT_FALSE(trial.Report(3, {{"loss", 0.42}, {"accuracy", 0.91}}).stop);
  trial.Note("unseen");
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "epoch=3 loss=0.42 accuracy=0.91\n");
}

TEST(SdkEnvironmentTest, AChannelThatIsNoSocketIsSaidAndSurvived) {
  for (const char* value : {"999", "abc", "-1", ""}) {
    setenv("TUNESMITH_CHANNEL", value, 1);
    testing::internal::CaptureStderr();
    Trial trial({.handle_sigterm = false});
    EXPECT_FALSE(trial.attached());
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_EQ(said.find("TUNESMITH_CHANNEL=") != std::string::npos, *value != 0) << value;
  }
  unsetenv("TUNESMITH_CHANNEL");
}

TEST(SdkEnvironmentTest, TheLeaseAndTheNamesComeFromTheEnvironment) {
  setenv("TUNESMITH_CPUS", "3", 1);
  setenv("TUNESMITH_SEED", "18446744073709551615", 1);
  setenv("TUNESMITH_MAX_STEP", "27", 1);
  setenv("TUNESMITH_TRIAL", "x", 1);
  setenv("TUNESMITH_RESUME_STEP", "12", 1);
  setenv("TUNESMITH_RESUME_CHECKPOINT", "/checkpoints/epoch-12", 1);
  Trial trial({.handle_sigterm = false});
  EXPECT_EQ(trial.cpus(), 3);
  EXPECT_EQ(trial.seed(), 18446744073709551615u);
  EXPECT_EQ(trial.max_step(), 27u);
  EXPECT_EQ(trial.number(), 0u);
  EXPECT_EQ(trial.resume_step(), 12);
  EXPECT_EQ(trial.resume_checkpoint(), "/checkpoints/epoch-12");
  for (const char* name :
       {"TUNESMITH_CPUS", "TUNESMITH_SEED", "TUNESMITH_MAX_STEP", "TUNESMITH_TRIAL", "TUNESMITH_RESUME_STEP",
        "TUNESMITH_RESUME_CHECKPOINT"}) {
    unsetenv(name);
  }
  EXPECT_GE(trial.cpus(), 1);
}

}  // namespace
}  // namespace tunesmith
