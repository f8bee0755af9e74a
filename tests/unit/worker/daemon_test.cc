// The real daemon program against a fake controller, with real trial processes.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/unit/worker/fake_controller.h"
#include "worker/process/files.h"
#include "worker/process/process_tree.h"

extern char** environ;

namespace tunesmith::worker {
namespace {

class DaemonTest : public testing::Test {
 protected:
  DaemonTest() {
    char folder[] = "/tmp/tunesmith-daemon-test-XXXXXX";
    dir_ = mkdtemp(folder);
  }
  ~DaemonTest() override {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
      // What it ran dies with it; wait, so that the folder can go.
      Eventually([] { return LiveTrials().empty(); });
    }
    std::filesystem::remove_all(dir_);
  }

  void StartDaemon(std::vector<std::string> more = {}) {
    std::vector<std::string> args = {TUNESMITH_WORKER_PROGRAM,
                                     "--controller",
                                     controller_.address(),
                                     "--name",
                                     "w1",
                                     "--state-dir",
                                     dir_ + "/state",
                                     "--cpus",
                                     "4",
                                     "--gpus",
                                     "none"};
    args.insert(args.end(), more.begin(), more.end());
    pid_ = Spawn(args, dir_ + "/daemon.log");
  }

  static pid_t Spawn(const std::vector<std::string>& args, const std::string& log) {
    std::vector<char*> argv;
    for (const std::string& arg : args) argv.push_back(const_cast<char*>(arg.c_str()));
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    pid_t pid = 0;
    EXPECT_EQ(posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
  }

  int WaitForExit() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  std::string DaemonLog() { return ReadFile(dir_ + "/daemon.log").value_or(""); }

  static bool Eventually(const std::function<bool()>& condition, int seconds = 20) {
    for (int i = 0; i < seconds * 50; ++i) {
      if (condition()) return true;
      poll(nullptr, 0, 20);
    }
    return false;
  }

  // Processes that carry this test's mark.
  static std::vector<pid_t> LiveTrials() {
    std::vector<pid_t> pids;
    for (const ProcessInfo& process : ReadAllProcesses()) {
      if (process.state != 'Z' && ReadEnvironmentOf(process.pid, "DAEMON_TEST") == Mark())
        pids.push_back(process.pid);
    }
    return pids;
  }
  static std::string Mark() { return std::to_string(getpid()); }

  v1::ControllerMessage Assign(uint64_t epoch, const std::string& script, uint32_t attempt = 1) {
    v1::ControllerMessage message;
    v1::Assign* assign = message.mutable_assign();
    assign->mutable_attempt()->set_sweep(1);
    assign->mutable_attempt()->set_trial(static_cast<uint32_t>(epoch));
    assign->mutable_attempt()->set_attempt(attempt);
    assign->mutable_attempt()->set_epoch(epoch);
    assign->set_sweep_id("digits");
    for (const char* word : {"sh", "-c"}) assign->mutable_program()->add_command(word);
    assign->mutable_program()->add_command(script);
    (*assign->mutable_program()->mutable_env())["DAEMON_TEST"] = Mark();
    assign->set_stop_grace_ms(500);
    assign->set_cpus(1);
    assign->add_metrics("loss");
    return message;
  }
  static v1::ControllerMessage StopOf(const v1::ControllerMessage& assign) {
    v1::ControllerMessage message;
    *message.mutable_stop()->mutable_attempt() = assign.assign().attempt();
    message.mutable_stop()->set_reason("worse than the others");
    return message;
  }
  bool Connected() {
    return controller_.WaitUntil(
        [&] { return !controller_.hellos.empty() && controller_.sessions_open > 0; });
  }
  bool Ended(uint64_t epoch, int seconds = 20) {
    return controller_.WaitUntil([&] { return controller_.EndOf(epoch) != nullptr; }, seconds);
  }

  std::string dir_;
  FakeController controller_;
  pid_t pid_ = 0;
};

TEST_F(DaemonTest, SaysWhoItIsRunsAnAttemptAndStreamsItsMeasurements) {
  StartDaemon({"--label", "rack=b7"});
  ASSERT_TRUE(Connected()) << DaemonLog();
  EXPECT_EQ(controller_.hellos[0].name(), "w1");
  EXPECT_EQ(controller_.hellos[0].cpus(), 4);
  EXPECT_EQ(controller_.hellos[0].labels().at("rack"), "b7");
  EXPECT_EQ(controller_.hellos[0].attempts_size(), 0);

  controller_.Send(Assign(7, "for e in 1 2 3; do echo \"epoch=$e loss=0.$e\"; done; echo bye >&2"));
  ASSERT_TRUE(Ended(7)) << DaemonLog();
  EXPECT_TRUE(controller_.faults.empty()) << controller_.faults[0];
  EXPECT_TRUE(controller_.records[7][0].has_started());
  const auto measured = controller_.MeasuredOf(7);
  ASSERT_EQ(measured.size(), 3u);
  EXPECT_EQ(measured[2].measured().step(), 3);
  EXPECT_EQ(measured[2].measured().metrics(0).name(), "loss");
  EXPECT_DOUBLE_EQ(measured[2].measured().metrics(0).value(), 0.3);
  EXPECT_EQ(controller_.EndOf(7)->exit_code(), 0);
  EXPECT_EQ(controller_.EndOf(7)->reason(), "");
  EXPECT_NE(controller_.LogOf(7).find("bye"), std::string::npos);
}

TEST_F(DaemonTest, TrialsRunOnThroughAControllerRestartAndNothingIsLost) {
  StartDaemon();
  ASSERT_TRUE(Connected());
  controller_.Send(
      Assign(1, "i=0; while [ $i -lt 150 ]; do i=$((i+1)); echo step=$i loss=1; sleep 0.01; done"));
  for (size_t reports : {10u, 40u, 70u}) {
    ASSERT_TRUE(controller_.WaitUntil([&] { return controller_.MeasuredOf(1).size() >= reports; }))
        << DaemonLog();
    controller_.Stop();
    poll(nullptr, 0, 100);
    controller_.StartAgain();
  }
  ASSERT_TRUE(Ended(1, 40)) << DaemonLog();
  EXPECT_GE(controller_.hellos.size(), 4u);
  EXPECT_EQ(controller_.hellos.back().attempts_size(), 1);
  EXPECT_EQ(controller_.hellos.back().boot_id(), controller_.hellos.front().boot_id());
  EXPECT_TRUE(controller_.faults.empty()) << controller_.faults[0];
  const auto measured = controller_.MeasuredOf(1);
  ASSERT_EQ(measured.size(), 150u);
  for (int i = 0; i < 150; ++i)
    ASSERT_EQ(measured[static_cast<size_t>(i)].measured().step(), i + 1);
  EXPECT_EQ(controller_.EndOf(1)->exit_code(), 0);
}

TEST_F(DaemonTest, ConnectsWhenTheControllerComesLater) {
  controller_.Stop();
  StartDaemon();
  ASSERT_TRUE(Eventually([&] { return DaemonLog().find("no_connection") != std::string::npos; }));
  controller_.StartAgain();
  EXPECT_TRUE(Connected());
}

TEST_F(DaemonTest, KilledDaemonTakesItsTrialsAlongAndTheNextOneReportsWhatWasMeasured) {
  controller_.set_acking(false);  // the records stay in the spool
  StartDaemon();
  ASSERT_TRUE(Connected());
  controller_.Send(
      Assign(1, "setsid sleep 300 & for i in 1 2 3; do echo step=$i loss=0.$i; done; sleep 300"));
  ASSERT_TRUE(controller_.WaitUntil([&] { return controller_.MeasuredOf(1).size() == 3; }))
      << DaemonLog();
  controller_.records.clear();  // a controller that was killed, too, and has nothing durable
  controller_.set_acking(true);
  kill(pid_, SIGKILL);
  EXPECT_EQ(WaitForExit(), 128 + SIGKILL);
  EXPECT_TRUE(Eventually([] { return LiveTrials().size() <= 2; }))
      << "the program itself dies with the daemon";

  StartDaemon();
  ASSERT_TRUE(Ended(1)) << DaemonLog();
  EXPECT_TRUE(LiveTrials().empty()) << "before it said hello";
  EXPECT_TRUE(controller_.EndOf(1)->lost());
  EXPECT_EQ(controller_.MeasuredOf(1).size(), 3u);
  EXPECT_TRUE(controller_.faults.empty()) << controller_.faults[0];
  EXPECT_NE(controller_.hellos.back().boot_id(), controller_.hellos.front().boot_id());
  EXPECT_TRUE(Eventually([&] { return IsEmptyFolder(dir_ + "/state/spool"); }));
}

TEST_F(DaemonTest, StopEndsTheWholeTreeAndSaysSo) {
  StartDaemon();
  ASSERT_TRUE(Connected());
  const auto assign = Assign(1,
                             "trap '' TERM; (setsid sh -c \"trap '' TERM; sleep 300\" &); echo "
                             "loss=1; sleep 300; sleep 300");
  controller_.Send(assign);
  ASSERT_TRUE(controller_.WaitUntil([&] { return controller_.MeasuredOf(1).size() == 1; }));
  controller_.Send(StopOf(assign));
  ASSERT_TRUE(Ended(1));
  EXPECT_TRUE(LiveTrials().empty());
  EXPECT_TRUE(controller_.EndOf(1)->stop_requested());
  EXPECT_EQ(controller_.EndOf(1)->reason(),
            "worse than the others (killed after the grace period)");
}

TEST_F(DaemonTest, WithoutAControllerForALeaseItKillsWhatRuns) {
  controller_.set_lease_ms(500);
  StartDaemon();
  ASSERT_TRUE(Connected());
  controller_.Send(Assign(1, "echo loss=1; sleep 300"));
  ASSERT_TRUE(controller_.WaitUntil([&] { return controller_.MeasuredOf(1).size() == 1; }));
  controller_.Stop();
  EXPECT_TRUE(Eventually([] { return LiveTrials().empty(); }));
  controller_.StartAgain();
  ASSERT_TRUE(Ended(1));
  EXPECT_TRUE(controller_.EndOf(1)->lost());
}

TEST_F(DaemonTest, FencedOffAttemptIsKilledWithoutAWord) {
  StartDaemon();
  ASSERT_TRUE(Connected());
  controller_.Send(Assign(1, "echo loss=1; sleep 300"));
  ASSERT_TRUE(controller_.WaitUntil([&] { return controller_.MeasuredOf(1).size() == 1; }));
  controller_.Stop();
  controller_.fenced_off[1] = true;
  controller_.StartAgain();
  EXPECT_TRUE(Eventually([] { return LiveTrials().empty(); })) << DaemonLog();
  EXPECT_EQ(controller_.EndOf(1), nullptr);
  EXPECT_TRUE(Eventually([&] { return IsEmptyFolder(dir_ + "/state/spool"); }));
}

TEST_F(DaemonTest, SigtermStopsWhatRunsReportsItLostAndLeaves) {
  StartDaemon();
  ASSERT_TRUE(Connected());
  controller_.Send(Assign(
      1, "trap 'echo step=5 loss=0.2; exit 0' TERM; echo loss=1; while :; do sleep 0.05; done"));
  ASSERT_TRUE(controller_.WaitUntil([&] { return controller_.MeasuredOf(1).size() == 1; }));
  kill(pid_, SIGTERM);
  EXPECT_EQ(WaitForExit(), 0) << DaemonLog();
  ASSERT_TRUE(Ended(1));
  EXPECT_TRUE(controller_.EndOf(1)->lost());
  EXPECT_TRUE(controller_.draining);
  EXPECT_EQ(controller_.MeasuredOf(1).size(), 2u) << "what it says on TERM counts";
}

TEST_F(DaemonTest, DrainTimeoutLetsRunningTrialsEnd) {
  StartDaemon({"--drain-timeout", "60"});
  ASSERT_TRUE(Connected());
  controller_.Send(Assign(1, "echo loss=1; sleep 0.7; echo step=2 loss=0.5"));
  ASSERT_TRUE(controller_.WaitUntil([&] { return controller_.MeasuredOf(1).size() == 1; }));
  kill(pid_, SIGTERM);
  ASSERT_TRUE(controller_.WaitUntil([&] { return controller_.draining; }));
  controller_.Send(Assign(2, "echo loss=1"));
  EXPECT_EQ(WaitForExit(), 0) << DaemonLog();
  ASSERT_TRUE(Ended(1) && Ended(2));
  EXPECT_EQ(controller_.EndOf(1)->exit_code(), 0);
  EXPECT_FALSE(controller_.EndOf(1)->lost());
  EXPECT_TRUE(controller_.EndOf(2)->lost()) << "nothing new starts";
}

TEST_F(DaemonTest, SecondSigtermKillsAtOnce) {
  StartDaemon({"--drain-timeout", "600"});
  ASSERT_TRUE(Connected());
  controller_.Send(Assign(1, "trap '' TERM; echo loss=1; sleep 300"));
  ASSERT_TRUE(controller_.WaitUntil([&] { return controller_.MeasuredOf(1).size() == 1; }));
  kill(pid_, SIGTERM);
  ASSERT_TRUE(controller_.WaitUntil([&] { return controller_.draining; }));
  kill(pid_, SIGTERM);
  EXPECT_EQ(WaitForExit(), 0);
  EXPECT_TRUE(LiveTrials().empty());
}

TEST_F(DaemonTest, OneDaemonPerStateFolder) {
  StartDaemon();
  ASSERT_TRUE(Connected());
  const pid_t first = pid_;
  StartDaemon();
  EXPECT_EQ(WaitForExit(), 1);
  pid_ = first;
  EXPECT_NE(DaemonLog().find("another tunesmith-worker (pid " + std::to_string(first) + ") uses"),
            std::string::npos)
      << DaemonLog();
}

TEST_F(DaemonTest, WrongOptionsAreExplained) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"--controller", "nowhere"}, "is not HOST:PORT"},
      {{"--controller", "host:99999"}, "is not HOST:PORT"},
      {{"--cpus", "0"}, "--cpus"},
      {{"--label", "x"}, "is not KEY=VALUE"},
      {{"--drain-timeout", "-1"}, "--drain-timeout"},
      {{"--what"}, "--what"},
  };
  for (const auto& [args, words] : cases) {
    std::vector<std::string> all = {TUNESMITH_WORKER_PROGRAM};
    all.insert(all.end(), args.begin(), args.end());
    pid_ = Spawn(all, dir_ + "/daemon.log");
    EXPECT_EQ(WaitForExit(), 2) << words;
    EXPECT_NE(DaemonLog().find(words), std::string::npos) << DaemonLog();
  }
  pid_ = Spawn({TUNESMITH_WORKER_PROGRAM, "--state-dir", dir_ + "/s", "--tls-ca", "/no/such.pem"},
               dir_ + "/daemon.log");
  EXPECT_EQ(WaitForExit(), 1);
  EXPECT_NE(DaemonLog().find("/no/such.pem"), std::string::npos);
  pid_ = Spawn({TUNESMITH_WORKER_PROGRAM, "--state-dir", dir_ + "/s", "--gpus", "7"},
               dir_ + "/daemon.log");
  EXPECT_EQ(WaitForExit(), 1);
  EXPECT_NE(DaemonLog().find("--gpus"), std::string::npos);
}

}  // namespace
}  // namespace tunesmith::worker
