// The crashable twin: what it keeps, loses and says when its disk fails.
#include "server/journal/memory_journal.h"

#include <gtest/gtest.h>

namespace tunesmith {
namespace {

std::vector<Event> Names(const std::vector<std::string>& names) {
  std::vector<Event> events;
  for (const std::string& name : names) events.emplace_back(WorkerRegistered{WorkerId(1), name});
  return events;
}

std::vector<std::string> Replay(MemoryDisk* disk) {
  MemoryJournal journal(disk);
  std::vector<std::string> names;
  const Status status = journal.Replay([&](const Event& e) { names.push_back(std::get<WorkerRegistered>(e).name); });
  EXPECT_TRUE(status.ok()) << status;
  return names;
}

TEST(MemoryJournalTest, ADeathInACommitLosesItKeepsItOrTearsItAsTold) {
  using Tail = MemoryDisk::Tail;
  for (const auto& [tail, kept] : {std::pair{Tail::kLose, false}, {Tail::kTear, false}, {Tail::kKeep, true}}) {
    MemoryDisk disk;
    {
      MemoryJournal journal(&disk);
      ASSERT_TRUE(journal.Append(Names({"a"})).ok());
      disk.DieAtAppend(0);
      EXPECT_EQ(journal.Append(Names({"b", "c", "d"})).code(), StatusCode::kAborted);
      EXPECT_FALSE(journal.Append(Names({"e"})).ok()) << "the error is sticky";
    }
    disk.Crash(tail);
    const std::vector<std::string> expected =
        kept ? std::vector<std::string>{"a", "b", "c", "d"} : std::vector<std::string>{"a"};
    EXPECT_EQ(Replay(&disk), expected);
    // What is appended after the recovery is there at the next one.
    ASSERT_TRUE(MemoryJournal(&disk).Append(Names({"f"})).ok());
    EXPECT_EQ(Replay(&disk).back(), "f");
  }
}

TEST(MemoryJournalTest, WhatAFullDiskDidNotTakeMayBeTriedAgain) {
  MemoryDisk disk;
  {
    MemoryJournal journal(&disk);
    disk.FailAtAppend(1);
    EXPECT_TRUE(journal.Append(Names({"a"})).ok());
    EXPECT_EQ(journal.Append(Names({"b"})).code(), StatusCode::kResourceExhausted);
    EXPECT_EQ(Replay(&disk), std::vector<std::string>{"a"});
    EXPECT_TRUE(journal.Append(Names({"b"})).ok());
  }
  EXPECT_EQ(Replay(&disk), (std::vector<std::string>{"a", "b"}));
}

TEST(MemoryJournalTest, ADamagedCommitIsDataLossAndNotSilence) {
  MemoryDisk disk;
  {
    MemoryJournal journal(&disk);
    ASSERT_TRUE(journal.Append(Names({"a"})).ok());
    ASSERT_TRUE(journal.Append(Names({"b"})).ok());
  }
  disk.DamageCommit(0);
  MemoryJournal journal(&disk);
  EXPECT_EQ(journal.Replay([](const Event&) {}).code(), StatusCode::kDataLoss);
  EXPECT_EQ(journal.Append(Names({"c"})).code(), StatusCode::kDataLoss);
  EXPECT_EQ(journal.ReadMeasurements(SweepId(1), std::nullopt, 0, 1).status().code(), StatusCode::kDataLoss);
}

}  // namespace
}  // namespace tunesmith
