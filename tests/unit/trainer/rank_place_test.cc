#include "worker/trainer/rank_place.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "worker/trainer/peer_processes.h"

namespace tunesmith::trainer {
namespace {

using ::testing::HasSubstr;
using Variables = std::map<std::string, std::string>;

const Variables kGood = {{"RANK", "3"},
                         {"WORLD_SIZE", "4"},
                         {"LOCAL_RANK", "1"},
                         {"LOCAL_WORLD_SIZE", "2"},
                         {"MASTER_ADDR", "::1"},
                         {"MASTER_PORT", "29500"}};

StatusOr<RankPlace> Read(Variables variables) {
  return ReadRankPlace([&](const char* name) { return variables[name]; });
}

std::string Refusal(const std::string& name, const std::string& value) {
  Variables variables = kGood;
  variables[name] = value;
  return Message(Read(variables).status());
}

TEST(RankPlaceTest, TheVariablesOfTorchrunAreRead) {
  const auto place = Read(kGood);
  ASSERT_TRUE(place.ok()) << Message(place.status());
  EXPECT_EQ(place->rank, 3);
  EXPECT_EQ(place->size, 4);
  EXPECT_EQ(place->local_rank, 1);
  EXPECT_EQ(place->local_size, 2);
  EXPECT_EQ(place->address, "::1");
  EXPECT_EQ(place->port, 29500);
  EXPECT_FALSE(place->store_is_there);
}

TEST(RankPlaceTest, AStoreOfTorchrunHasAPrefixForEachAttempt) {
  Variables variables = kGood;
  variables["TORCHELASTIC_USE_AGENT_STORE"] = "True";
  variables["TORCHELASTIC_RESTART_COUNT"] = "2";
  const auto place = Read(variables);
  ASSERT_TRUE(place.ok());
  EXPECT_TRUE(place->store_is_there);
  EXPECT_EQ(place->store_prefix, "/worker/attempt_2");
}

TEST(RankPlaceTest, WhatIsMissingOrWrongIsNamed) {
  EXPECT_THAT(Message(Read({}).status()),
              HasSubstr("no WORLD_SIZE, RANK, LOCAL_WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT"));
  EXPECT_THAT(Refusal("MASTER_PORT", ""), HasSubstr("no MASTER_PORT"));
  EXPECT_THAT(Refusal("MASTER_PORT", "65536"), HasSubstr("MASTER_PORT is '65536'"));
  EXPECT_THAT(Refusal("RANK", "-1"), HasSubstr("RANK is '-1'"));
  EXPECT_THAT(Refusal("RANK", "1x"), HasSubstr("RANK is '1x'"));
  EXPECT_THAT(Refusal("RANK", "4"), HasSubstr("ranks count from 0"));
  EXPECT_THAT(Refusal("LOCAL_RANK", "2"), HasSubstr("LOCAL_RANK is 2"));
  EXPECT_THAT(Refusal("LOCAL_WORLD_SIZE", "5"), HasSubstr("LOCAL_WORLD_SIZE 5"));
}

TEST(RankPlaceTest, SharesAreAllRowsInOrderAndDifferByOne) {
  for (int64_t rows = 0; rows < 20; ++rows) {
    for (int size = 1; size < 7; ++size) {
      int64_t at = 0;
      for (int rank = 0; rank < size; ++rank) {
        const RowShare share = ShareOf(rows, rank, size);
        EXPECT_EQ(share.begin, at);
        EXPECT_GE(share.end - share.begin, rows / size);
        EXPECT_LE(share.end - share.begin, rows / size + 1);
        at = share.end;
      }
      EXPECT_EQ(at, rows);
    }
  }
}

TEST(PeerProcessesTest, AProcessRunsUntilItIsKilledAlsoWhenNobodyHasAskedForItsExitCode) {
  int marks[2];
  ASSERT_EQ(pipe(marks), 0);
  const pid_t child = fork();
  if (child == 0) {
    const std::string mark = ProcessMark();
    if (write(marks[1], mark.data(), mark.size()) < 0) _exit(1);
    pause();
  }
  char text[256];
  const ssize_t length = read(marks[0], text, sizeof text);
  ASSERT_GT(length, 0);
  const std::string mark(text, static_cast<size_t>(length));
  EXPECT_EQ(StateOf(mark), PeerState::kRuns);
  kill(child, SIGKILL);
  siginfo_t info = {};
  waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);
  EXPECT_EQ(StateOf(mark), PeerState::kEnded);
  waitpid(child, nullptr, 0);
  EXPECT_EQ(StateOf(mark), PeerState::kEnded);
  EXPECT_EQ(StateOf("another-machine:pid:[1] 1 1"), PeerState::kElsewhere);
}

}  // namespace
}  // namespace tunesmith::trainer
