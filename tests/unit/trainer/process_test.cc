// The real program as a daemon starts it: a channel, an environment, files.
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tunesmith::trainer {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string FileText(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// One run of the trainer and the daemon's end of its channel.
class TrainerRun {
 public:
  using Environment = std::map<std::string, std::string>;

  TrainerRun(const std::string& directory, const std::string& config, Environment environment,
             std::vector<std::string> arguments = {}, bool channel = true)
      : out_(directory + "/out"), err_(directory + "/err") {
    int ends[2] = {-1, -1};
    if (channel) {
      EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
      fcntl(ends[0], F_SETFD, FD_CLOEXEC);
      environment["TUNESMITH_CHANNEL"] = std::to_string(ends[1]);
    }
    if (!config.empty()) {
      environment["TUNESMITH_CONFIG"] = directory + "/config.json";
      std::ofstream(directory + "/config.json") << config;
    }
    environment.try_emplace("TUNESMITH_CPUS", "1");
    environment.try_emplace("TUNESMITH_SEED", "7");
    daemon_ = ends[0];
    pid_ = fork();
    if (pid_ == 0) {
      for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
      dup2(open(out_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
      dup2(open(err_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
      std::vector<char*> argv = {const_cast<char*>(TRAINER_PROGRAM)};
      for (std::string& argument : arguments) argv.push_back(argument.data());
      argv.push_back(nullptr);
      execv(TRAINER_PROGRAM, argv.data());
      _exit(127);
    }
    if (channel) close(ends[1]);
  }
  ~TrainerRun() {
    HangUp();
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }
  TrainerRun(const TrainerRun&) = delete;
  TrainerRun& operator=(const TrainerRun&) = delete;

  // The next line on the channel; nullopt at its end.
  std::optional<std::string> NextLine() {
    std::string line;
    char c;
    while (daemon_ >= 0 && read(daemon_, &c, 1) == 1) {
      if (c == '\n') return line;
      line += c;
    }
    return std::nullopt;
  }
  // Reads up to the report of `step`; false when the channel ends first.
  bool AwaitReport(int step) {
    const std::string start = "{\"type\":\"report\",\"step\":" + std::to_string(step) + ",";
    while (const auto line = NextLine()) {
      lines_.push_back(*line);
      if (line->starts_with(start)) return true;
    }
    return false;
  }
  void Say(const std::string& line) {
    EXPECT_EQ(write(daemon_, line.data(), line.size()), static_cast<ssize_t>(line.size()));
  }
  void Signal(int number) { kill(pid_, number); }
  void HangUp() {
    if (daemon_ >= 0) close(daemon_);
    daemon_ = -1;
  }
  // Reads the channel to its end and gives the exit code, or minus the signal.
  int Wait() {
    while (const auto line = NextLine()) lines_.push_back(*line);
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  // Step -> metrics as sent. A step that is reported twice must be reported the same.
  std::map<int, std::string> Reports() const {
    std::map<int, std::string> reports;
    for (const std::string& line : lines_) {
      int step = 0;
      if (std::sscanf(line.c_str(), "{\"type\":\"report\",\"step\":%d", &step) != 1) continue;
      const size_t at = line.find("\"metrics\":");
      reports[step] = line.substr(at, line.find('}') - at);
    }
    return reports;
  }
  std::string Lines() const {
    std::string all;
    for (const std::string& line : lines_) all += line + "\n";
    return all;
  }
  std::string Out() const { return FileText(out_); }
  std::string Err() const { return FileText(err_); }
  pid_t pid() const { return pid_; }

 private:
  std::string out_;
  std::string err_;
  int daemon_ = -1;
  pid_t pid_ = -1;
  std::vector<std::string> lines_;
};

class TrainerProcessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "trainer-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    first_ = directory_ + "/first";
    second_ = directory_ + "/second";
    fs::create_directories(first_);
    fs::create_directories(second_);
  }
  void TearDown() override { fs::remove_all(directory_); }

  static std::set<std::string> Names(const std::string& directory) {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(directory)) {
      names.insert(entry.path().filename().string());
    }
    return names;
  }

  std::string directory_;
  std::string first_;   // checkpoints of one run
  std::string second_;  // and of another
};

// Random at every step: dropout, momentum, shuffling. Small, but an epoch lasts long enough to be
// interrupted in.
constexpr char kLively[] =
    R"({"dataset": "synthetic", "samples": 8000, "features": 32, "noise": 3, "hidden": [64, 32],
        "dropout": 0.3, "optimizer": {"type": "sgd", "momentum": 0.9}, "lr": 0.02,
        "batch_size": 16, "epochs": 6})";

constexpr char kStop[] =
    "{\"type\":\"verdict\",\"step\":2,\"action\":\"stop\",\"reason\":\"rung 2: 4th of 5\"}\n";

TEST_F(TrainerProcessTest, ByHandItPrintsALineAnEpochAndLearns) {
  TrainerRun run(directory_, "", {}, {"--set", "epochs=3", "--set", "lr=0.005"}, false);
  EXPECT_EQ(run.Wait(), 0) << run.Err();
  EXPECT_THAT(run.Out(), HasSubstr("running on "));
  const size_t at = run.Out().find("epoch=3 loss=");
  ASSERT_NE(at, std::string::npos) << run.Out();
  EXPECT_GT(std::strtod(run.Out().c_str() + run.Out().find("accuracy=", at) + 9, nullptr), 0.9);
}

TEST_F(TrainerProcessTest, EveryEpochIsReportedWithItsCheckpointAndTwoAreKept) {
  TrainerRun run(directory_, R"({"NUM_EPOCH": 4, "LearningRate": 0.001, "BatchSize": 64})",
                 {{"TUNESMITH_CHECKPOINT_DIR", first_}});
  EXPECT_EQ(run.Wait(), 0) << run.Err();
  EXPECT_EQ(run.Reports().size(), 4u);
  EXPECT_THAT(run.Lines(),
              AllOf(HasSubstr("\"note\",\"text\":\"running on"), HasSubstr("\"loss\":"),
                    HasSubstr("\"accuracy\":"), HasSubstr("\"train_loss\":"),
                    HasSubstr("\"checkpoint\":\"epoch-4.ckpt\"")));
  EXPECT_THAT(run.Out(), Not(HasSubstr("epoch=")));
  EXPECT_EQ(Names(first_),
            (std::set<std::string>{"epoch-3.ckpt", "epoch-4.ckpt"}));
}

TEST_F(TrainerProcessTest, ARunThatWasKilledAndResumedGivesTheSameNumbers) {
  TrainerRun whole(directory_, kLively, {{"TUNESMITH_CHECKPOINT_DIR", first_}});
  ASSERT_EQ(whole.Wait(), 0) << whole.Err();
  ASSERT_EQ(whole.Reports().size(), 6u);

  TrainerRun killed(directory_, kLively, {{"TUNESMITH_CHECKPOINT_DIR", second_}});
  ASSERT_TRUE(killed.AwaitReport(2));
  killed.Signal(SIGKILL);
  EXPECT_EQ(killed.Wait(), -SIGKILL);

  TrainerRun left(directory_, kLively,
                  {{"TUNESMITH_CHECKPOINT_DIR", second_}, {"TUNESMITH_RESUME_FROM", second_}});
  ASSERT_TRUE(left.AwaitReport(4));
  left.Signal(SIGTERM);  // most likely in the midst of epoch 5
  EXPECT_EQ(left.Wait(), 0) << left.Err();
  EXPECT_THAT(left.Lines(), AllOf(HasSubstr("resumed from epoch-"), HasSubstr("SIGTERM")));

  TrainerRun last(directory_, kLively,
                  {{"TUNESMITH_CHECKPOINT_DIR", second_}, {"TUNESMITH_RESUME_FROM", second_}});
  EXPECT_EQ(last.Wait(), 0) << last.Err();
  EXPECT_THAT(last.Lines(), HasSubstr("resumed from epoch-"));
  EXPECT_GE(last.Reports().begin()->first, 4);  // the one that it resumed from, said again

  std::map<int, std::string> pieced = killed.Reports();
  for (const TrainerRun* run : {&left, &last}) {
    for (const auto& [step, metrics] : run->Reports()) pieced[step] = metrics;
  }
  EXPECT_EQ(pieced, whole.Reports());
}

TEST_F(TrainerProcessTest, ADamagedCheckpointFallsBackToTheOneBefore) {
  TrainerRun whole(directory_, kLively, {{"TUNESMITH_CHECKPOINT_DIR", first_}});
  ASSERT_EQ(whole.Wait(), 0) << whole.Err();
  fs::resize_file(first_ + "/epoch-6.ckpt", fs::file_size(first_ + "/epoch-6.ckpt") - 1);
  TrainerRun again(directory_, kLively,
                   {{"TUNESMITH_CHECKPOINT_DIR", second_}, {"TUNESMITH_RESUME_FROM", first_}});
  EXPECT_EQ(again.Wait(), 0) << again.Err();
  EXPECT_THAT(again.Lines(), AllOf(HasSubstr("epoch-6.ckpt is cut"), HasSubstr("epoch-5.ckpt")));
  EXPECT_EQ(again.Reports().size(), 2u);
  EXPECT_EQ(again.Reports()[5], whole.Reports()[5]);
  EXPECT_EQ(again.Reports()[6], whole.Reports()[6]);
}

TEST_F(TrainerProcessTest, WhatItResumesFromIsReportedAgainAlsoWhenNothingIsLeftToTrain) {
  TrainerRun whole(directory_, kLively, {{"TUNESMITH_CHECKPOINT_DIR", first_}});
  ASSERT_EQ(whole.Wait(), 0) << whole.Err();
  TrainerRun again(directory_, kLively,
                   {{"TUNESMITH_CHECKPOINT_DIR", first_}, {"TUNESMITH_RESUME_FROM", first_}});
  EXPECT_EQ(again.Wait(), 0) << again.Err();
  EXPECT_EQ(again.Reports().size(), 1u);
  EXPECT_EQ(again.Reports()[6], whole.Reports()[6]);
}

TEST_F(TrainerProcessTest, ACheckpointOfAnotherModelIsRefused) {
  TrainerRun narrow(directory_, R"({"hidden": 8, "epochs": 1})",
                    {{"TUNESMITH_CHECKPOINT_DIR", first_}});
  ASSERT_EQ(narrow.Wait(), 0) << narrow.Err();
  TrainerRun wide(directory_, R"({"hidden": 16, "epochs": 2})",
                  {{"TUNESMITH_CHECKPOINT_DIR", second_}, {"TUNESMITH_RESUME_FROM", first_}});
  EXPECT_EQ(wide.Wait(), 1);
  EXPECT_THAT(wide.Err(), AllOf(HasSubstr("mlp 64-8-10"), HasSubstr("mlp 64-16-10")));
}

TEST_F(TrainerProcessTest, OtherOptionsOfTheOptimiserTakeEffectOnResume) {
  const std::string base =
      R"({"dataset": "synthetic", "hidden": 8, "optimizer": "sgd", "seed": 1, )";
  TrainerRun first(directory_, base + R"("lr": 0.1, "epochs": 1})",
                   {{"TUNESMITH_CHECKPOINT_DIR", first_}});
  ASSERT_EQ(first.Wait(), 0) << first.Err();
  std::vector<std::string> second_scores;
  for (const char* lr : {"0.1", "0.0001"}) {
    TrainerRun run(directory_, base + "\"lr\": " + lr + ", \"epochs\": 2}",
                   {{"TUNESMITH_RESUME_FROM", first_}});
    EXPECT_EQ(run.Wait(), 0) << run.Err();
    second_scores.push_back(run.Reports()[2]);
  }
  EXPECT_NE(second_scores[0], second_scores[1]);
}

TEST_F(TrainerProcessTest, AStopIsObeyedWithACheckpoint) {
  TrainerRun run(directory_, R"({"dataset": "synthetic", "samples": 4000, "epochs": 100000})",
                 {{"TUNESMITH_CHECKPOINT_DIR", first_}});
  ASSERT_TRUE(run.AwaitReport(2));
  run.Say(kStop);
  EXPECT_EQ(run.Wait(), 0) << run.Err();
  EXPECT_THAT(run.Lines(), HasSubstr("rung 2: 4th of 5"));
  EXPECT_GE(Names(first_).size(), 2u);
}

TEST_F(TrainerProcessTest, ADaemonThatIsGoneEndsTheTrialQuietly) {
  TrainerRun run(directory_, R"({"dataset": "synthetic", "samples": 4000, "epochs": 100000})", {});
  ASSERT_TRUE(run.AwaitReport(1));
  run.HangUp();
  EXPECT_EQ(run.Wait(), 0) << run.Err();
}

TEST_F(TrainerProcessTest, ALossThatIsNotFiniteIsReportedNotACrash) {
  TrainerRun run(directory_, R"({"optimizer": "sgd", "momentum": 0.99, "lr": 1000, "epochs": 3})",
                 {{"TUNESMITH_CHECKPOINT_DIR", first_}});
  EXPECT_EQ(run.Wait(), 0) << run.Err();
  EXPECT_EQ(run.Reports().size(), 3u);
  EXPECT_THAT(run.Reports()[3], HasSubstr("\"loss\":\"nan\""));
}

TEST_F(TrainerProcessTest, AWrongOptionIsToldOnStderrAndOnTheChannel) {
  TrainerRun run(directory_, R"({"learning_rat": 0.1, "epochs": "five"})", {});
  EXPECT_EQ(run.Wait(), 2);
  EXPECT_THAT(run.Err(), AllOf(HasSubstr("did you mean 'learning_rate'"), HasSubstr("\"five\"")));
  EXPECT_THAT(run.Lines(), AllOf(HasSubstr("{\"type\":\"failed\""), HasSubstr("learning_rat")));
}

TEST_F(TrainerProcessTest, AConfigurationThatIsNotThereOrEmptyIsRefused) {
  TrainerRun absent(directory_, "", {{"TUNESMITH_CONFIG", directory_ + "/none.json"}});
  EXPECT_EQ(absent.Wait(), 2);
  EXPECT_THAT(absent.Err(), HasSubstr("none.json"));
  TrainerRun empty(directory_, "", {{"TUNESMITH_CONFIG", "/dev/null"}});
  EXPECT_EQ(empty.Wait(), 2);
}

TEST_F(TrainerProcessTest, ACheckpointThatCannotBeWrittenIsSaidAndTrainingGoesOn) {
  TrainerRun run(directory_, R"({"epochs": 2})",
                 {{"TUNESMITH_CHECKPOINT_DIR", directory_ + "/none"}});
  EXPECT_EQ(run.Wait(), 0) << run.Err();
  EXPECT_EQ(run.Reports().size(), 2u);
  EXPECT_THAT(run.Lines(), AllOf(HasSubstr("no checkpoint: "), Not(HasSubstr("\"checkpoint\":"))));
}

// Threads of a process that have used a tenth of a second of CPU or more: LibTorch also keeps one
// that never works.
size_t ComputingThreads(pid_t pid) {
  size_t count = 0;
  for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
    const std::string stat = FileText(entry.path().string() + "/stat");
    long user_ticks = 0;
    long system_ticks = 0;
    EXPECT_EQ(std::sscanf(stat.c_str() + stat.rfind(')') + 2,
                          "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &user_ticks,
                          &system_ticks),
              2);
    if (10 * (user_ticks + system_ticks) >= sysconf(_SC_CLK_TCK)) ++count;
  }
  return count;
}

TEST_F(TrainerProcessTest, ThreadsFollowTheLease) {
  for (const size_t cpus : {1, 2}) {
    TrainerRun run(directory_,
                   R"({"dataset": "synthetic", "samples": 4000, "epochs": 100000, "hidden": 512,
                       "batch_size": 1024, "device": "cpu"})",
                   {{"TUNESMITH_CPUS", std::to_string(cpus)}});
    ASSERT_TRUE(run.AwaitReport(30));
    EXPECT_EQ(ComputingThreads(run.pid()), cpus);
    const std::string environment = FileText("/proc/" + std::to_string(run.pid()) + "/environ");
    EXPECT_EQ(environment.find("OMP_WAIT_POLICY=passive") != std::string::npos, cpus > 1);
    run.Say(kStop);
    EXPECT_EQ(run.Wait(), 0) << run.Err();
  }
}

std::string Idx(std::initializer_list<uint32_t> sizes, const std::string& data) {
  std::string out{0, 0, 8, static_cast<char>(sizes.size())};
  for (uint32_t size : sizes) {
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(size >> shift & 0xff);
  }
  return out + data;
}

// Two kinds of images, dark and bright: anything that learns tells them apart.
TEST_F(TrainerProcessTest, LenetLearnsFromMnistAndFromCifarFiles) {
  const std::string cifar = directory_ + "/cifar";
  fs::create_directories(cifar);
  std::string images;
  std::string labels;
  std::string records;
  for (int i = 0; i < 64; ++i) {
    const char label = static_cast<char>(i % 2);
    const char pixel = static_cast<char>(label == 0 ? 20 + i : 160 + i);
    labels += label;
    images += std::string(28 * 28, pixel);
    records += label + std::string(3072, pixel);
  }
  for (const char* part : {"train", "t10k"}) {
    const std::string start = first_ + "/" + part;
    std::ofstream(start + "-images-idx3-ubyte") << Idx({64, 28, 28}, images);
    std::ofstream(start + "-labels-idx1-ubyte") << Idx({64}, labels);
  }
  for (int i = 1; i <= 5; ++i) {
    std::ofstream(cifar + "/data_batch_" + std::to_string(i) + ".bin") << records;
  }
  std::ofstream(cifar + "/test_batch.bin") << records;
  for (const auto& [dataset, data] : {std::pair{"mnist", first_}, {"cifar10", cifar}}) {
    TrainerRun run(directory_,
                   std::string(R"({"model": "lenet", "epochs": 4, "batch_size": 8, "dataset": ")") +
                       dataset + R"(", "data": ")" + data + "\"}",
                   {});
    EXPECT_EQ(run.Wait(), 0) << run.Err();
    EXPECT_THAT(run.Reports()[4], HasSubstr("\"accuracy\":1,")) << run.Lines();
  }
}

TEST_F(TrainerProcessTest, LenetNeedsImages) {
  TrainerRun run(directory_, R"({"model": "lenet", "dataset": "synthetic", "features": 20})", {});
  EXPECT_EQ(run.Wait(), 1);
  EXPECT_THAT(run.Err(), HasSubstr("use model mlp"));
}

TEST_F(TrainerProcessTest, LenetLearnsTheDigits) {
  TrainerRun run(directory_, R"({"builtin": "lenet", "epochs": 3, "lr": 0.003})", {});
  EXPECT_EQ(run.Wait(), 0) << run.Err();
  EXPECT_THAT(run.Lines(), HasSubstr("lenet 64-c16-c32-120-84-10"));
  const std::string last = run.Reports()[3];
  EXPECT_GT(std::strtod(last.c_str() + last.find("accuracy\":") + 10, nullptr), 0.85) << last;
}

TEST_F(TrainerProcessTest, HelpListsTheOptionsAndAWrongFlagIsRefused) {
  TrainerRun help(directory_, "", {}, {"--help"}, false);
  EXPECT_EQ(help.Wait(), 0);
  EXPECT_THAT(help.Out(), AllOf(HasSubstr("weight_decay"), HasSubstr("Exit codes")));
  TrainerRun wrong(directory_, "", {}, {"--lr", "0.1"}, false);
  EXPECT_EQ(wrong.Wait(), 2);
}

}  // namespace
}  // namespace tunesmith::trainer
