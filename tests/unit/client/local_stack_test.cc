#include "client/local/local_stack.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

namespace tunesmith {
namespace {

// Shell scripts stand for the daemons: what is tested is who starts, joins, restarts and ends them.
constexpr char kServer[] = R"(#!/bin/sh
while [ $# -gt 0 ]; do
  case "$1" in --port-file) file=$2; shift ;; esac
  shift
done
trap 'echo server got TERM; exit 0' TERM
echo "$FAKE_ADDRESS" > "$file.new" && mv "$file.new" "$file"
while :; do sleep 0.02; done
)";
constexpr char kStubbornWorker[] = R"(#!/bin/sh
trap 'echo worker got TERM; exit 0' TERM
echo "worker $*"
while :; do sleep 0.02; done
)";

class LocalStackTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "tunesmith-local-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    root_ = name;
    // Somebody who accepts connections, as a server would.
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(listener_, 16), 0);
    socklen_t size = sizeof address;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    address_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    ::setenv("FAKE_ADDRESS", address_.c_str(), 1);
  }

  void TearDown() override {
    ::close(listener_);
    std::filesystem::remove_all(root_);
  }

  void Install(const std::string& program, const std::string& script) {
    std::filesystem::create_directories(root_ + "/bin");
    const std::string path = root_ + "/bin/" + program;
    std::ofstream(path) << script;
    ::chmod(path.c_str(), 0755);
  }

  LocalStack::Options OptionsOf(bool with_worker, int64_t timeout_ms = 20'000) const {
    return {root_ + "/home", root_ + "/bin", with_worker, timeout_ms};
  }

  std::string Read(const std::string& name) const {
    std::ifstream in(root_ + "/home/" + name);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
  }

  std::string root_, address_;
  int listener_ = -1;
};

TEST_F(LocalStackTest, StartsTheServerTakesItsAddressFromTheFileAndEndsItByTerm) {
  Install("tunesmith-server", kServer);
  LocalStack stack(OptionsOf(true));
  const auto address = stack.Ensure();
  ASSERT_TRUE(address.ok()) << address.status();
  EXPECT_EQ(*address, address_);
  EXPECT_TRUE(stack.owner());
  EXPECT_EQ(LocalStack::RunningAddress(root_ + "/home"), address_);
  stack.Stop([] { return false; });
  EXPECT_NE(Read("server.log").find("server got TERM"), std::string::npos);
  EXPECT_EQ(LocalStack::RunningAddress(root_ + "/home"), "");
}

TEST_F(LocalStackTest, JoinsTheControllerOfAnotherRunAndTakesOverWhenItHasEnded) {
  Install("tunesmith-server", kServer);
  LocalStack first(OptionsOf(true)), second(OptionsOf(true));
  ASSERT_TRUE(first.Ensure().ok());
  const auto joined = second.Ensure();
  ASSERT_TRUE(joined.ok()) << joined.status();
  EXPECT_EQ(*joined, address_);
  EXPECT_FALSE(second.owner());
  first.Stop([] { return false; });
  ASSERT_TRUE(second.Ensure().ok());
  EXPECT_TRUE(second.owner());
}

TEST_F(LocalStackTest, DoesNotRunOnAControllerThatOnlyReads) {
  Install("tunesmith-server", kServer);
  LocalStack reader(OptionsOf(false));
  ASSERT_TRUE(reader.Ensure().ok());
  LocalStack second_reader(OptionsOf(false));
  EXPECT_TRUE(second_reader.Ensure().ok());
  LocalStack run(OptionsOf(true, 100));
  EXPECT_EQ(run.Ensure().status().code(), StatusCode::kUnavailable);
}

TEST_F(LocalStackTest, SaysWhatTheLogOfAFailedServerSays) {
  Install("tunesmith-server", "#!/bin/sh\necho 'the journal is damaged' >&2\nexit 3\n");
  LocalStack stack(OptionsOf(true));
  const Status status = stack.Ensure().status();
  EXPECT_NE(Message(status).find("exit code 3"), std::string::npos) << Message(status);
  EXPECT_NE(Message(status).find("the journal is damaged"), std::string::npos) << Message(status);
  EXPECT_FALSE(stack.owner());
}

TEST_F(LocalStackTest, SaysWhichProgramIsMissing) {
  LocalStack stack(OptionsOf(true));
  const Status status = stack.Ensure().status();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_NE(Message(status).find("tunesmith-server"), std::string::npos);
}

TEST_F(LocalStackTest, RefusesAFolderThatCannotBeMade) {
  Install("tunesmith-server", kServer);
  std::ofstream(root_ + "/home") << "a file";
  LocalStack stack(OptionsOf(true));
  EXPECT_FALSE(stack.Ensure().ok());
}

TEST_F(LocalStackTest, NeedsSomePlaceForTheState) {
  LocalStack stack({"", root_ + "/bin", true, 100});
  EXPECT_EQ(stack.Ensure().status().code(), StatusCode::kInvalidArgument);
}

TEST_F(LocalStackTest, StartsTheWorkerWithTheAddressAndEndsItFirst) {
  Install("tunesmith-server", kServer);
  Install("tunesmith-worker", kStubbornWorker);
  LocalStack stack(OptionsOf(true));
  ASSERT_TRUE(stack.Ensure().ok());
  ASSERT_TRUE(stack.StartWorker().ok());
  EXPECT_EQ(stack.WatchWorker(), "");
  // The trap is set before the line is written.
  while (Read("worker.log").find("worker --controller") == std::string::npos) ::usleep(1000);
  stack.Stop([] { return false; });
  EXPECT_NE(Read("worker.log").find("--controller " + address_ + " --name local --state-dir "),
            std::string::npos);
  EXPECT_NE(Read("worker.log").find("worker got TERM"), std::string::npos);
}

TEST_F(LocalStackTest, TellsThatTheWorkerHasEndedAndStartsItAgain) {
  Install("tunesmith-server", kServer);
  Install("tunesmith-worker", "#!/bin/sh\necho started\nexit 4\n");
  LocalStack stack(OptionsOf(true));
  ASSERT_TRUE(stack.Ensure().ok());
  ASSERT_TRUE(stack.StartWorker().ok());
  std::string news;
  while (news.empty()) news = stack.WatchWorker();
  EXPECT_NE(news.find("exit code 4"), std::string::npos) << news;
  const auto starts = [&] {
    const std::string log = Read("worker.log");
    size_t count = 0;
    for (size_t at = log.find("started"); at != std::string::npos; at = log.find("started", at + 1))
      ++count;
    return count;
  };
  while (starts() < 2) {
    stack.WatchWorker();
    ::usleep(1000);
  }
}

TEST_F(LocalStackTest, StartsAKilledServerAgainAtTheAddressThatTheWorkerKnows) {
  Install("tunesmith-server", std::string(kServer).insert(10, "echo \"args $*\"\n"));
  Install("tunesmith-worker", kStubbornWorker);
  LocalStack stack(OptionsOf(true));
  ASSERT_TRUE(stack.Ensure().ok());
  ASSERT_TRUE(stack.StartWorker().ok());
  stack.TestOnlyKillServer();
  const auto address = stack.Ensure();
  ASSERT_TRUE(address.ok()) << address.status();
  EXPECT_EQ(*address, address_);
  while (Read("server.log").find("--listen " + address_) == std::string::npos) ::usleep(1000);
  EXPECT_EQ(stack.WatchWorker(), "");
}

TEST_F(LocalStackTest, StartsItsWorkerWhenItTakesOver) {
  Install("tunesmith-server", kServer);
  Install("tunesmith-worker", kStubbornWorker);
  LocalStack first(OptionsOf(true)), second(OptionsOf(true));
  ASSERT_TRUE(first.Ensure().ok());
  ASSERT_TRUE(second.Ensure().ok());
  ASSERT_TRUE(second.StartWorker().ok());
  EXPECT_EQ(Read("worker.log"), "");
  first.Stop([] { return false; });
  ASSERT_TRUE(second.Ensure().ok());
  while (Read("worker.log").find("worker --controller") == std::string::npos) ::usleep(1000);
}

TEST_F(LocalStackTest, KillsAWorkerThatIgnoresTermWhenHurried) {
  Install("tunesmith-server", kServer);
  Install("tunesmith-worker",
          "#!/bin/sh\ntrap '' TERM\necho ready\nwhile :; do sleep 0.02; done\n");
  LocalStack stack(OptionsOf(true));
  ASSERT_TRUE(stack.Ensure().ok());
  ASSERT_TRUE(stack.StartWorker().ok());
  while (Read("worker.log").find("ready") == std::string::npos) ::usleep(1000);
  stack.Stop([] { return true; });  // returns: that is the test
}

TEST(ChildProcess, ShowsTheEndOfItsLogAndItsExitCode) {
  std::string log = (std::filesystem::temp_directory_path() / "tunesmith-child-XXXXXX").string();
  const int fd = ::mkstemp(log.data());
  ASSERT_GE(fd, 0);
  ::close(fd);
  auto child =
      ChildProcess::Start({{"/bin/sh", "-c", "echo one; echo two; echo three; exit 7"}, log});
  ASSERT_TRUE(child.ok());
  ASSERT_TRUE((*child)->WaitFor(20'000));
  EXPECT_EQ((*child)->EndText(), "exit code 7");
  EXPECT_EQ((*child)->LogTail(2), "two\nthree");
  EXPECT_EQ((*child)->LogTail(9), "one\ntwo\nthree");
  std::filesystem::remove(log);
}

}  // namespace
}  // namespace tunesmith
