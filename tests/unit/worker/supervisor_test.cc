// Real processes: what they do to be seen, and what they do to stay.
#include "worker/process/supervisor.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <functional>

#include "worker/process/files.h"

namespace tunesmith::worker {
namespace {

// Parameter: control groups, or only sessions, marks and parents.
class SupervisorTest : public testing::TestWithParam<bool> {
 protected:
  SupervisorTest() {
    char folder[] = "/tmp/tunesmith-supervisor-test-XXXXXX";
    dir_ = mkdtemp(folder);
    agent_.OnWelcome(Seconds(3600), {}, Now());
  }
  ~SupervisorTest() override {
    supervisor_.reset();
    std::filesystem::remove_all(dir_);
  }

  void Create() { ASSERT_TRUE(TryCreate().ok()); }
  Status TryCreate() {
    options_.state_dir = dir_;
    options_.instance = instance_;
    options_.use_cgroups = GetParam();
    options_.inherited_env = {{"PATH", "/usr/bin:/bin"}};
    auto created = Supervisor::Create(options_, &agent_, Now());
    if (!created.ok()) return created.status();
    supervisor_ = *std::move(created);
    return OkStatus();
  }

  static Time Now() {
    timespec t = {};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return Time{t.tv_sec * 1000 + t.tv_nsec / 1'000'000};
  }

  // Drives everything until `done` holds; false after `seconds`.
  bool RunUntil(const std::function<bool()>& done, int seconds = 30) {
    const Time end = Now() + Seconds(seconds);
    while (Now() < end) {
      const Time now = Now();
      supervisor_->Run(now);
      agent_.Tick(now);
      Carry(now);
      for (RecordPtr& record : agent_.TakeRecords(100'000)) {
        if (acking_) agent_.OnAck(record->key, record->sequence, now);
        records_.push_back(std::move(record));
      }
      Carry(now);
      if (done()) return true;
      const Time deadline =
          std::min({agent_.NextDeadline(), supervisor_->NextDeadline(), now + Milliseconds(50)});
      pollfd fd{supervisor_->fd(), POLLIN, 0};
      poll(&fd, 1, static_cast<int>(std::max<int64_t>(0, deadline.ms - now.ms)));
    }
    return false;
  }
  void Carry(Time now) {
    for (auto outputs = agent_.TakeOutputs(); !outputs.empty(); outputs = agent_.TakeOutputs()) {
      for (Output& output : outputs) {
        if (auto* spawn = std::get_if<Spawn>(&output)) {
          supervisor_->Start(spawn->assignment, now);
        } else if (const auto* find = std::get_if<FindResume>(&output)) {
          agent_.OnResumeFound(find->assignment->key, {}, now);
        } else if (const auto* signal = std::get_if<SignalTree>(&output)) {
          supervisor_->SignalTree(signal->key, signal->kill, now);
        } else if (const auto* tell = std::get_if<TellTrial>(&output)) {
          supervisor_->Tell(tell->key, tell->step, tell->stop, tell->reason);
        }
      }
    }
  }

  static AttemptKey Key(uint64_t epoch) {
    return {{{SweepId(1), static_cast<uint32_t>(epoch)}, 1}, LeaseEpoch(epoch)};
  }
  std::shared_ptr<Assignment> Script(uint64_t epoch, const std::string& script) {
    auto assignment = std::make_shared<Assignment>();
    assignment->key = Key(epoch);
    assignment->sweep_id = "digits";
    assignment->command = {"sh", "-c", script};
    assignment->stop_grace = Milliseconds(400);
    assignment->metrics = {"loss"};
    return assignment;
  }
  std::shared_ptr<Assignment> Python(uint64_t epoch, const std::string& code) {
    auto assignment = Script(epoch, "");
    assignment->command = {"python3", "-c", code};
    return assignment;
  }
  void Start(std::shared_ptr<const Assignment> assignment) {
    agent_.OnAssign(std::move(assignment), Now());
  }

  const Ended* EndOf(uint64_t epoch) const {
    for (const RecordPtr& record : records_) {
      const auto* ended = std::get_if<Ended>(&record->kind);
      if (ended != nullptr && record->key == Key(epoch)) return ended;
    }
    return nullptr;
  }
  bool RunToEnd(uint64_t epoch, int seconds = 30) {
    return RunUntil([&] { return EndOf(epoch) != nullptr; }, seconds);
  }
  std::vector<Measured> MeasuredOf(uint64_t epoch) const {
    std::vector<Measured> all;
    for (const RecordPtr& record : records_) {
      const auto* measured = std::get_if<Measured>(&record->kind);
      if (measured != nullptr && record->key == Key(epoch)) all.push_back(*measured);
    }
    return all;
  }
  std::string LogOf(uint64_t epoch, int64_t* dropped = nullptr) const {
    std::string text;
    for (const RecordPtr& record : records_) {
      const auto* log = std::get_if<LogChunk>(&record->kind);
      if (log == nullptr || record->key != Key(epoch)) continue;
      text += log->data;
      if (dropped != nullptr) *dropped += log->dropped_bytes;
    }
    return text;
  }
  // Live processes that were started with this word in their environment.
  static int CountMarked(const std::string& word) {
    int count = 0;
    for (const ProcessInfo& process : ReadAllProcesses()) {
      count +=
          process.state != 'Z' && ReadEnvironmentOf(process.pid, "SUPERVISOR_TEST") == word ? 1 : 0;
    }
    return count;
  }
  std::string Mark(Assignment* assignment) {
    const std::string word =
        std::to_string(getpid()) + "-" + std::to_string(assignment->key.epoch.value);
    assignment->env["SUPERVISOR_TEST"] = word;
    return word;
  }

  std::string dir_;
  const std::string instance_ = "test" + std::to_string(getpid());
  SupervisorOptions options_;
  Agent agent_;
  std::unique_ptr<Supervisor> supervisor_;
  std::vector<RecordPtr> records_;
  bool acking_ = true;
};

INSTANTIATE_TEST_SUITE_P(Trees, SupervisorTest, testing::Bool(), [](const auto& tree) {
  return tree.param ? "WithCgroups" : "WithoutCgroups";
});

TEST_P(SupervisorTest, ProgramGetsItsContractAndIsHeard) {
  Create();
  auto assignment =
      Script(1,
             "echo \"epoch=1 loss=0.5\"; echo err >&2; cat $TUNESMITH_CONFIG; "
             "echo $TUNESMITH_SWEEP $TUNESMITH_TRIAL $TUNESMITH_ATTEMPT $TUNESMITH_SEED "
             "$TUNESMITH_CPUS $OMP_NUM_THREADS [$CUDA_VISIBLE_DEVICES] $TUNESMITH_MAX_STEP "
             "[$TUNESMITH_RESUME_FROM]; test -d $TUNESMITH_CHECKPOINT_DIR && echo folder; "
             "test -e /dev/fd/$TUNESMITH_CHANNEL && echo channel");
  assignment->parameters = {{"lr", "0.1", "0.1"}};
  assignment->seed = 77;
  assignment->cpus = 3;
  assignment->max_step = 9;
  assignment->devices = {"GPU-a", "GPU-b"};
  Start(assignment);
  ASSERT_TRUE(RunToEnd(1));
  EXPECT_EQ(EndOf(1)->exit_code, 0);
  ASSERT_EQ(MeasuredOf(1).size(), 1u);
  const std::string log = LogOf(1);
  for (const char* part :
       {"err\n", "\"lr\": 0.1", "digits 1 1 77 3 3 [GPU-a,GPU-b] 9 []", "folder", "channel"}) {
    EXPECT_NE(log.find(part), std::string::npos) << part << " in " << log;
  }
}

TEST_P(SupervisorTest, NothingOfTheDaemonLeaksIntoTheProgram) {
  Create();
  Start(Script(1, "echo loss=0.5; sleep 0.2"));
  Start(Script(2, "ls /proc/self/fd | wc -l; echo loss=0.5"));
  ASSERT_TRUE(RunToEnd(1) && RunToEnd(2));
  // 0, 1, 2, the channel, and the folder that ls itself reads.
  EXPECT_EQ(LogOf(2).substr(0, 2), "5\n") << LogOf(2);
}

TEST_P(SupervisorTest, GrandchildrenThatHideAreEndedWithTheStop) {
  Create();
  auto assignment = Script(1,
                           "trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 300 & sleep 300' & "
                           "(env -i SUPERVISOR_TEST=$SUPERVISOR_TEST setsid sleep 300 &) ; "
                           "echo loss=1; wait");
  const std::string word = Mark(assignment.get());
  Start(assignment);
  ASSERT_TRUE(RunUntil([&] { return CountMarked(word) >= 4 && MeasuredOf(1).size() == 1; }));
  agent_.OnStop(Key(1), "enough", false, Now());
  ASSERT_TRUE(RunToEnd(1));
  EXPECT_EQ(CountMarked(word), 0);
  EXPECT_TRUE(EndOf(1)->stop_requested);
  EXPECT_EQ(EndOf(1)->signal, SIGKILL);
}

TEST_P(SupervisorTest, OrphanThatShedEveryMarkEndsWithTheTrialsThatCanHaveStartedIt) {
  Create();
  Start(Script(1, "echo loss=1; sleep 300"));
  Start(Script(2, "echo loss=1; sleep 300"));
  auto assignment = Script(
      3, "(env -i SUPERVISOR_TEST=$SUPERVISOR_TEST setsid sleep 300 &); echo loss=1; sleep 300");
  const std::string word = Mark(assignment.get());
  Start(assignment);
  ASSERT_TRUE(RunUntil([&] { return MeasuredOf(3).size() == 1 && CountMarked(word) >= 2; }));
  for (uint64_t epoch : {1, 2, 3}) agent_.OnStop(Key(epoch), "enough", false, Now());
  ASSERT_TRUE(RunToEnd(1) && RunToEnd(2) && RunToEnd(3));
  EXPECT_TRUE(RunUntil([&] { return CountMarked(word) == 0; }));
}

TEST_P(SupervisorTest, ProgramThatLeavesChildrenBehindEndsWithThem) {
  Create();
  auto assignment = Script(1, "echo loss=1; setsid sleep 300 & sleep 0.2; exit 3");
  const std::string word = Mark(assignment.get());
  Start(assignment);
  ASSERT_TRUE(RunToEnd(1));
  EXPECT_EQ(EndOf(1)->exit_code, 3);
  EXPECT_EQ(CountMarked(word), 0);
}

TEST_P(SupervisorTest, TermIsHeardByAWrappedProgramThatThenSavesItsWork) {
  Create();
  // The shell dies of TERM at once; its child uses the grace.
  Start(Script(1,
               "sh -c 'trap \"sleep 0.2; echo epoch=9 loss=0.1; exit 0\" TERM; echo loss=1; while "
               ":; do sleep 0.05; "
               "done' & wait"));
  ASSERT_TRUE(RunUntil([&] { return MeasuredOf(1).size() == 1; }));
  agent_.OnStop(Key(1), "enough", false, Now());
  ASSERT_TRUE(RunToEnd(1));
  ASSERT_EQ(MeasuredOf(1).size(), 2u);
  EXPECT_EQ(MeasuredOf(1)[1].step, 9);
}

TEST_P(SupervisorTest, ProgramsThatCannotStartSayWhy) {
  Create();
  ASSERT_TRUE(WriteFile(dir_ + "/plain.txt", "hello").ok());
  ASSERT_TRUE(WriteFile(dir_ + "/no-interpreter", "#!/no/such/interpreter\n").ok());
  ASSERT_TRUE(WriteFile(dir_ + "/binary", std::string("\x01\x02\x03\x00", 4)).ok());
  chmod((dir_ + "/no-interpreter").c_str(), 0755);
  chmod((dir_ + "/binary").c_str(), 0755);
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"no-such-program"}, "no such program on this worker"},
      {{"/no/such/program"}, "No such file"},
      {{dir_ + "/plain.txt"}, "make it executable"},
      {{dir_ + "/no-interpreter"}, "interpreter"},
      {{dir_ + "/binary"}, "neither a program"},
      {{dir_}, "is a directory"},
      {{"echo", "x${args}"}, "element of its own"},
      {{"echo", "${lr"}, "no closing }"},
  };
  uint64_t epoch = 0;
  for (const auto& [command, reason] : cases) {
    auto assignment = Script(++epoch, "");
    assignment->command = command;
    Start(assignment);
    ASSERT_TRUE(RunToEnd(epoch));
    EXPECT_TRUE(EndOf(epoch)->start_failed);
    EXPECT_NE(EndOf(epoch)->reason.find(reason), std::string::npos) << EndOf(epoch)->reason;
  }
  auto assignment = Script(++epoch, "true");
  assignment->workdir = "/no/such/folder";
  Start(assignment);
  ASSERT_TRUE(RunToEnd(epoch));
  EXPECT_NE(EndOf(epoch)->reason.find("/no/such/folder"), std::string::npos)
      << EndOf(epoch)->reason;
  auto builtin = Script(++epoch, "");
  builtin->builtin = "mlp";
  Start(builtin);
  ASSERT_TRUE(RunToEnd(epoch));
  EXPECT_NE(EndOf(epoch)->reason.find("--trainer"), std::string::npos) << EndOf(epoch)->reason;
}

TEST_P(SupervisorTest, FailureTellsTheLastWordsOfTheProgram) {
  Create();
  Start(Python(1, "import nothing_of_this_name"));
  Start(Python(2, "raise MemoryError('no room')"));
  Start(Script(3, "kill -SEGV $$$$"));
  ASSERT_TRUE(RunToEnd(1) && RunToEnd(2) && RunToEnd(3));
  EXPECT_EQ(EndOf(1)->reason.substr(0, 70),
            "exit code 1: ModuleNotFoundError: No module named 'nothing_of_this_nam");
  EXPECT_FALSE(EndOf(1)->out_of_memory);
  EXPECT_TRUE(EndOf(2)->out_of_memory);
  EXPECT_EQ(EndOf(3)->signal, SIGSEGV);
}

TEST_P(SupervisorTest, StrangeMetricsAndBytesDoNoHarm) {
  Create();
  Start(Python(1,
               "import os, sys\n"
               "print('loss=nan'); print('loss=-inf'); print('loss=lots'); sys.stdout.flush()\n"
               "os.write(1, bytes(range(256)) * 300 + b'\\n')\n"
               "os.write(1, b'x' * 300000 + b'\\n')\n"
               "print('epoch=7 loss=0.5', end='')"));
  ASSERT_TRUE(RunToEnd(1));
  EXPECT_EQ(EndOf(1)->exit_code, 0);
  const auto measured = MeasuredOf(1);
  ASSERT_EQ(measured.size(), 3u);
  EXPECT_TRUE(std::isnan(measured[0].metrics[0].value));
  EXPECT_TRUE(std::isinf(measured[1].metrics[0].value));
  EXPECT_EQ(measured[2].step, 7);
}

TEST_P(SupervisorTest, NeverReportingIsExplainedAtTheEnd) {
  Create();
  Start(Script(1, "echo hello"));
  Start(Script(2, "echo loss=much"));
  ASSERT_TRUE(RunToEnd(1) && RunToEnd(2));
  EXPECT_NE(EndOf(1)->reason.find("never reported loss"), std::string::npos);
  EXPECT_NE(EndOf(2)->reason.find("loss=much"), std::string::npos);
}

TEST_P(SupervisorTest, ProgressBarCountsOnceALine) {
  Create();
  Start(Python(1,
               "import sys\n"
               "for e in range(1, 4):\n"
               "  for i in range(50): sys.stdout.write(f'\\repoch {e}: {i*2}%|##  | {i}/50 "
               "[loss={1/(i+1)}, v=1]')\n"
               "  sys.stdout.write('\\n')\n"
               "for e in range(4, 6):\n"
               "  for i in range(50): sys.stdout.write(f'epoch={e} loss={1/(i+1)}\\r')\n"));
  ASSERT_TRUE(RunToEnd(1));
  const auto measured = MeasuredOf(1);
  ASSERT_EQ(measured.size(), 5u);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(measured[i].step, static_cast<int64_t>(i + 1));
    EXPECT_DOUBLE_EQ(measured[i].metrics[0].value, 0.02);
  }
}

constexpr char kChannelCode[] =
    "import os, socket, json\n"
    "s = socket.socket(fileno=int(os.environ['TUNESMITH_CHANNEL']))\n"
    "f = s.makefile('rw')\n"
    "def send(**m):\n"
    "  f.write(json.dumps(m) + '\\n'); f.flush()\n";

TEST_P(SupervisorTest, ChannelReportsGetVerdictsAndSilenceStdout) {
  Create();
  Start(Python(
      1,
      std::string(kChannelCode) +
          "for e in (1, 2):\n"
          "  send(type='report', step=e, metrics={'loss': 'nan', 'acc': 0.5}, checkpoint=f'e{e}')\n"
          "  print(f'epoch={e} loss=0.7', flush=True)\n"
          "  print('VERDICT ' + f.readline(), flush=True)\n"
          "send(type='note', text='a word')\n"
          "send(type='report', metrics={'loss': 'bad'})\n"
          "send(type='failed', reason='out of ideas')\n"
          "raise SystemExit(4)\n"));
  ASSERT_TRUE(RunToEnd(1));
  const auto measured = MeasuredOf(1);
  ASSERT_EQ(measured.size(), 2u) << "the lines on stdout are not reports any more";
  EXPECT_EQ(measured[1].checkpoint, "e2");
  EXPECT_EQ(measured[1].channel_step, 2);
  const std::string log = LogOf(1);
  EXPECT_NE(log.find("VERDICT {\"type\":\"verdict\",\"step\":2,\"action\":\"continue\""),
            std::string::npos)
      << log;
  EXPECT_NE(log.find("note: a word"), std::string::npos) << log;
  EXPECT_NE(log.find("metric loss is not a number"), std::string::npos) << log;
  EXPECT_EQ(EndOf(1)->reason, "exit code 4: out of ideas");
}

TEST_P(SupervisorTest, StopReachesAProgramThatWaitsOnItsChannel) {
  Create();
  auto assignment = Python(1, "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" +
                                  std::string(kChannelCode) +
                                  "send(type='report', step=1, metrics={'loss': 1})\n"
                                  "while 'stop' not in f.readline(): pass\n");
  assignment->stop_grace = Seconds(20);
  Start(assignment);
  ASSERT_TRUE(RunUntil([&] { return MeasuredOf(1).size() == 1; }));
  agent_.OnStop(Key(1), "worse", false, Now());
  ASSERT_TRUE(RunToEnd(1, 15));
  EXPECT_EQ(EndOf(1)->exit_code, 0);
}

TEST_P(SupervisorTest, FloodIsCappedAndDoesNotHoldUpAnotherTrial) {
  options_.log_bytes_max = 1 << 20;
  options_.forwarded_bytes_max = 256 << 10;
  options_.read_bytes_per_second_max = 2 << 20;
  Create();
  Start(Python(1,
               "import sys\n"
               "line = 'no metric here, only words and words and words\\n' * 2000\n"
               "for i in range(90): sys.stdout.write(line)\n"
               "print('the last line')\n"));
  Start(Python(2,
               "import time\n"
               "for e in range(1, 21): print(f'epoch={e} loss={time.time()}', flush=True); "
               "time.sleep(0.02)\n"));
  ASSERT_TRUE(RunToEnd(2));
  const bool flood_was_running = EndOf(1) == nullptr;
  ASSERT_TRUE(RunToEnd(1, 50));
  EXPECT_TRUE(flood_was_running);
  EXPECT_EQ(MeasuredOf(2).size(), 20u);
  int64_t dropped = 0;
  const std::string log = LogOf(1, &dropped);
  const int64_t written = 90LL * 2000 * 47 + 14;
  EXPECT_LE(log.size(), 256u << 10);
  EXPECT_EQ(static_cast<int64_t>(log.size()) + dropped, written);
  EXPECT_NE(log.find("the last line"), std::string::npos)
      << "the newest output is what people need";
  const auto kept = std::filesystem::file_size(dir_ + "/trials/1-digits/1/attempt-1/output.log");
  EXPECT_LT(kept, (1u << 20) + 100);
}

TEST_P(SupervisorTest, ReportFloodIsHeldBackWithoutLosingAny) {
  agent_ = Agent({.unacked_records_max = 500});
  agent_.OnWelcome(Seconds(3600), {}, Now());
  options_.reports_per_second_max = 1'000'000;
  Create();
  acking_ = false;
  Start(Python(
      1, "import sys\nsys.stdout.write(''.join(f'step={i} loss=1\\n' for i in range(1, 30001)))"));
  RunUntil([&] { return agent_.Full(Key(1)); });
  ASSERT_FALSE(RunUntil([&] { return MeasuredOf(1).size() > 510; }, 1)) << "nothing more is read";
  acking_ = true;
  agent_.OnAck(Key(1), records_.back()->sequence, Now());
  ASSERT_TRUE(RunToEnd(1));
  const auto measured = MeasuredOf(1);
  ASSERT_EQ(measured.size(), 30'000u);
  for (size_t i = 0; i < measured.size(); ++i)
    ASSERT_EQ(measured[i].step, static_cast<int64_t>(i + 1));
}

TEST_P(SupervisorTest, EndlessReportsEndTheTrialWithAReason) {
  agent_ = Agent({.measurements_max = 2'000});
  agent_.OnWelcome(Seconds(3600), {}, Now());
  Create();
  Start(Script(1, "while :; do echo loss=1; done"));
  ASSERT_TRUE(RunToEnd(1));
  EXPECT_NE(EndOf(1)->reason.find("more than 2000 measurements"), std::string::npos)
      << EndOf(1)->reason;
  EXPECT_EQ(MeasuredOf(1).size(), 2'000u);
}

TEST_P(SupervisorTest, CheckpointsAreResumedFromByTheNextAttemptOnly) {
  Create();
  Start(Script(1, "echo epoch=0 loss=1; echo saved > $TUNESMITH_CHECKPOINT_DIR/state"));
  ASSERT_TRUE(RunToEnd(1));
  auto again = Script(1, "cat $TUNESMITH_RESUME_FROM/state; echo epoch=1 loss=1");
  again->key.id.number = 2;
  again->key.epoch = LeaseEpoch(2);
  again->resume = true;
  records_.clear();
  Start(again);
  ASSERT_TRUE(RunUntil([&] { return agent_.open() == 0; }));
  std::string log;
  for (const RecordPtr& record : records_) {
    if (const auto* chunk = std::get_if<LogChunk>(&record->kind)) log += chunk->data;
    const auto* measured = std::get_if<Measured>(&record->kind);
    EXPECT_TRUE(measured == nullptr || measured->step == 2) << "the trial counts from 0";
  }
  EXPECT_NE(log.find("saved"), std::string::npos) << log;
  auto foreign = std::make_shared<Assignment>(*again);
  foreign->key.id.number = 3;
  foreign->key.epoch = LeaseEpoch(3);
  foreign->seed = 99;
  foreign->command[2] = "echo \"[$TUNESMITH_RESUME_FROM]\"; echo loss=1";
  records_.clear();
  Start(foreign);
  ASSERT_TRUE(RunUntil([&] { return agent_.open() == 0; }));
  log.clear();
  for (const RecordPtr& record : records_) {
    if (const auto* chunk = std::get_if<LogChunk>(&record->kind)) log += chunk->data;
  }
  EXPECT_NE(log.find("[]"), std::string::npos) << log;
}

// A GPU whose memory and processes the test sets.
class FakeGpus : public GpuDriver {
 public:
  std::vector<Gpu> All() const override { return {{"GPU-a", "fake", 0, 1 << 30}}; }
  std::optional<int64_t> UsedBytes(const std::string&) const override { return used; }
  std::optional<std::vector<GpuProcess>> Processes(const std::string&) const override { return processes; }
  int64_t used = 0;
  std::vector<GpuProcess> processes;
};

TEST_P(SupervisorTest, TheEndCountsAtOnceAndTheDeviceWaitsForItsMemory) {
  FakeGpus gpus;
  options_.gpus = &gpus;
  options_.device_release = Seconds(100);
  Create();
  auto assignment = Script(1, "echo loss=1; sleep 0.1");
  assignment->devices = {"GPU-a"};
  Start(assignment);
  ASSERT_TRUE(RunUntil([&] { return MeasuredOf(1).size() == 1; }));
  gpus.used = 4LL << 30;
  ASSERT_TRUE(RunToEnd(1));
  EXPECT_EQ(supervisor_->running(), 0u);
  ASSERT_EQ(agent_.held_devices().size(), 1u);
  EXPECT_FALSE(agent_.held_devices()[0].quarantined);
  EXPECT_EQ(agent_.held_devices()[0].reason,
            "4 GiB of its memory are not back after all processes of digits/1#1 have ended");
  EXPECT_FALSE(IsEmptyFolder(dir_ + "/running")) << "a daemon that starts now must wait as well";
  // What was leased on it before the controller knew waits.
  auto next = Script(2, "echo loss=1");
  next->devices = {"GPU-a"};
  Start(next);
  EXPECT_FALSE(RunUntil([&] { return EndOf(2) != nullptr; }, 1));
  gpus.used = 1 << 20;
  EXPECT_TRUE(RunToEnd(2));
  EXPECT_TRUE(agent_.held_devices().empty());
  EXPECT_TRUE(IsEmptyFolder(dir_ + "/running"));
}

TEST_P(SupervisorTest, ADeviceWhoseMemoryDoesNotComeBackIsQuarantinedUntilItDoes) {
  FakeGpus gpus;
  options_.gpus = &gpus;
  options_.device_release = Milliseconds(200);
  Create();
  auto assignment = Script(1, "echo loss=1; sleep 0.1");
  assignment->devices = {"GPU-a"};
  Start(assignment);
  ASSERT_TRUE(RunUntil([&] { return MeasuredOf(1).size() == 1; }));
  gpus.used = 4LL << 30;
  gpus.processes = {{1999999999, 4LL << 30}};
  ASSERT_TRUE(RunToEnd(1));
  auto next = Script(2, "echo loss=1");
  next->devices = {"GPU-a"};
  Start(next);
  ASSERT_TRUE(RunToEnd(2));
  EXPECT_TRUE(EndOf(2)->lost) << "it runs elsewhere";
  ASSERT_EQ(agent_.held_devices().size(), 1u);
  EXPECT_TRUE(agent_.held_devices()[0].quarantined);
  EXPECT_NE(EndOf(2)->reason.find("; held by pid 1999999999 (4 GiB)"), std::string::npos) << EndOf(2)->reason;
  gpus.used = 0;
  EXPECT_TRUE(RunUntil([&] { return agent_.held_devices().empty(); }));
}

TEST_P(SupervisorTest, OnASharedDeviceItsOwnProcessesCount) {
  FakeGpus gpus;
  options_.gpus = &gpus;
  Create();
  auto assignment = Script(1, "sleep 0.3 & echo loss=1; wait");
  assignment->devices = {"GPU-a"};
  assignment->gpus = 0.5;
  Start(assignment);
  ASSERT_TRUE(RunUntil([&] { return MeasuredOf(1).size() == 1; }));
  gpus.used = 8LL << 30;
  gpus.processes = {{getpid(), 8LL << 30}};
  ASSERT_TRUE(RunToEnd(1));
  EXPECT_TRUE(agent_.held_devices().empty()) << "what others have says nothing of it";
  // The same with a process of its own that the driver still names.
  assignment = Script(2, "echo loss=1; sleep 0.1");
  assignment->devices = {"GPU-a"};
  assignment->gpus = 0.5;
  Start(assignment);
  ASSERT_TRUE(RunUntil([&] { return MeasuredOf(2).size() == 1; }));
  int64_t own = 0;
  for (const RecordPtr& record : records_) {
    const auto* started = std::get_if<Started>(&record->kind);
    if (started != nullptr && record->key == Key(2)) own = started->pid;
  }
  ASSERT_GT(own, 0);
  gpus.processes.push_back({own, std::nullopt});
  ASSERT_TRUE(RunToEnd(2));
  ASSERT_EQ(agent_.held_devices().size(), 1u);
  EXPECT_EQ(agent_.held_devices()[0].reason, "memory is still held by pid " + std::to_string(own) +
                                                 " after all processes of digits/2#1 have ended");
  gpus.processes.pop_back();
  EXPECT_TRUE(RunUntil([&] { return agent_.held_devices().empty(); }));
}

TEST_P(SupervisorTest, WhatAKilledDaemonLeftOnADeviceIsWaitedFor) {
  FakeGpus gpus;
  gpus.used = 1 << 30;
  options_.gpus = &gpus;
  options_.device_release = Seconds(100);
  const pid_t daemon = fork();
  if (daemon == 0) {
    Create();
    auto assignment = Script(1, "echo loss=1; sleep 300");
    assignment->devices = {"GPU-a"};
    Start(assignment);
    RunUntil([&] { return false; }, 60);
    _exit(0);
  }
  // Not merely until the folder has an entry: the note is first written beside its name.
  const std::string note = dir_ + "/running/1.1.1.1";
  const Time end = Now() + Seconds(20);
  while (access(note.c_str(), F_OK) != 0 && Now() < end) poll(nullptr, 0, 10);
  ASSERT_EQ(access(note.c_str(), F_OK), 0);
  kill(daemon, SIGKILL);
  waitpid(daemon, nullptr, 0);
  gpus.used = 3LL << 30;
  Create();
  ASSERT_EQ(agent_.held_devices().size(), 1u);
  EXPECT_EQ(agent_.held_devices()[0].reason,
            "2 GiB of its memory are not back after all processes of attempt 1.1.1.1 have ended");
  gpus.used = 1 << 30;
  EXPECT_TRUE(RunUntil([&] { return agent_.held_devices().empty(); }));
  EXPECT_TRUE(IsEmptyFolder(dir_ + "/running"));
}

TEST_P(SupervisorTest, WhatAKilledDaemonLeftIsEndedBeforeAnythingElse) {
  // A daemon in a process of its own, so that it can be killed.
  const std::string word = std::to_string(getpid()) + "-left";
  const pid_t daemon = fork();
  if (daemon == 0) {
    Create();
    auto assignment =
        Script(1, "setsid sh -c 'sleep 300 & sleep 300' & (setsid sleep 300 &) ; sleep 300");
    assignment->env["SUPERVISOR_TEST"] = word;
    Start(assignment);
    RunUntil([] { return false; }, 60);
    _exit(0);
  }
  const Time end = Now() + Seconds(20);
  while (CountMarked(word) < 5 && Now() < end) poll(nullptr, 0, 10);
  ASSERT_GE(CountMarked(word), 5);
  kill(daemon, SIGKILL);
  waitpid(daemon, nullptr, 0);
  Create();
  EXPECT_EQ(CountMarked(word), 0);
  EXPECT_GE(supervisor_->leftovers_killed(), 2);
  EXPECT_TRUE(IsEmptyFolder(dir_ + "/running"));
}

}  // namespace
}  // namespace tunesmith::worker
