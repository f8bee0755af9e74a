// SQLite's write-ahead log under a writer that never pauses: it has its blocks from the start and begins anew once it
// is copied into the database, instead of growing.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "server/journal/sqlite_journal.h"

namespace tunesmith {
namespace {

class LogTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "tunesmith_log.XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Path() const { return (folder_ / "journal.db").string(); }
  std::string LogPath() const { return Path() + "-wal"; }

  // How often the log has begun anew: the checkpoint sequence number in its header (SQLite's file format, 4.1).
  uint32_t Rounds() const {
    std::ifstream log(LogPath(), std::ios::binary);
    unsigned char header[16] = {};
    log.read(reinterpret_cast<char*>(header), sizeof(header));
    return (uint32_t{header[12]} << 24) | (uint32_t{header[13]} << 16) | (uint32_t{header[14]} << 8) | header[15];
  }

  std::filesystem::path folder_;
};

constexpr size_t kNameBytes = 40'000;  // ten pages

std::vector<Event> Registered(uint64_t worker) {
  return {WorkerRegistered{WorkerId{worker}, std::string(kNameBytes, 'a' + static_cast<char>(worker % 26))}};
}

TEST_F(LogTest, BeginsAnewUnderAWriterThatNeverPauses) {
  auto journal = OpenSqliteJournal(Path());
  ASSERT_TRUE(journal.ok()) << journal.status();
  const auto before = std::filesystem::file_size(LogPath());
  EXPECT_GE(before, 16u << 20);
  ASSERT_TRUE((*journal)->Append(Registered(1)).ok());
  const uint32_t first = Rounds();
  uint64_t written = 1;
  constexpr uint64_t kMax = 4'000;  // 160 MB of log, of which a tenth is enough where the disk keeps up
  while (Rounds() == first && written < kMax) ASSERT_TRUE((*journal)->Append(Registered(++written)).ok());
  EXPECT_GT(Rounds(), first) << "after " << written << " commits";
}

TEST_F(LogTest, WhatFollowsItsLastRecordIsNoRecord) {
  auto journal = OpenSqliteJournal(Path());
  ASSERT_TRUE(journal.ok()) << journal.status();
  for (uint64_t worker = 1; worker <= 20; ++worker) ASSERT_TRUE((*journal)->Append(Registered(worker)).ok());
  // As a kill -9 leaves it.
  const std::filesystem::path left = folder_ / "left";
  std::filesystem::create_directory(left);
  std::filesystem::copy_file(Path(), left / "journal.db");
  std::filesystem::copy_file(LogPath(), left / "journal.db-wal");
  auto again = OpenSqliteJournal((left / "journal.db").string());
  ASSERT_TRUE(again.ok()) << again.status();
  std::vector<Event> events;
  ASSERT_TRUE((*again)->Replay([&](const Event& event) { events.push_back(event); }).ok());
  ASSERT_EQ(events.size(), 20u);
  EXPECT_EQ(std::get<WorkerRegistered>(events.back()).name, std::get<WorkerRegistered>(Registered(20)[0]).name);
}

}  // namespace
}  // namespace tunesmith
