#include "worker/link/spool.h"

#include <gtest/gtest.h>

#include <signal.h>
#include <sys/resource.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>

#include "worker/process/files.h"

namespace tunesmith::worker {
namespace {

class SpoolTest : public testing::Test {
 protected:
  SpoolTest() {
    char folder[] = "/tmp/tunesmith-spool-test-XXXXXX";
    dir_ = mkdtemp(folder);
  }
  ~SpoolTest() override { std::filesystem::remove_all(dir_); }
  static AttemptKey Key(uint64_t epoch) { return {{{SweepId(1), 2}, 3}, LeaseEpoch(epoch)}; }
  static Record Loss(uint64_t sequence, double loss, uint64_t epoch = 1) {
    return {Key(epoch), sequence, Time{123},
            Measured{static_cast<int64_t>(sequence), {{"loss", loss}}, "c", std::nullopt}};
  }
  std::string dir_;
};

TEST_F(SpoolTest, GivesBackWhatWasWritten) {
  {
    auto spool = Spool::Open(dir_);
    ASSERT_TRUE(spool.ok());
    const Record records[] = {
        {Key(1), 1, Time{5}, Started{99}},
        Loss(2, std::numeric_limits<double>::quiet_NaN()),
        {Key(1), 3, Time{6}, LogChunk{std::string("\xff\x00z", 3), 7}},
        {Key(1), 4, Time{7}, Ended{.exit_code = 3, .reason = "x", .lost = true}}};
    for (const Record& record : records) ASSERT_TRUE(spool->Append(record).ok());
    ASSERT_TRUE(spool->Append(Loss(1, 2.0, 9)).ok());
    spool->Remove(Key(9));
  }
  const auto left = Spool::Open(dir_)->Load();
  ASSERT_TRUE(left.ok());
  ASSERT_EQ(left->size(), 1u);
  const auto& records = left->at(Key(1)).records;
  ASSERT_EQ(records.size(), 4u);
  EXPECT_EQ(std::get<Started>(records[0]->kind).pid, 99);
  EXPECT_TRUE(std::isnan(std::get<Measured>(records[1]->kind).metrics[0].value));
  EXPECT_EQ(std::get<LogChunk>(records[2]->kind).data, std::string("\xff\x00z", 3));
  EXPECT_EQ(std::get<Ended>(records[3]->kind).exit_code, 3);
  EXPECT_TRUE(std::get<Ended>(records[3]->kind).lost);
}

TEST_F(SpoolTest, TornFileGivesWhatIsWhole) {
  {
    auto spool = Spool::Open(dir_);
    for (uint64_t i = 1; i <= 3; ++i) ASSERT_TRUE(spool->Append(Loss(i, 1)).ok());
  }
  const std::string path = dir_ + "/" + KeyText(Key(1));
  const std::string whole = *ReadFile(path);
  for (size_t size = 0; size <= whole.size(); ++size) {
    ASSERT_TRUE(WriteFile(path, whole.substr(0, size)).ok());
    const auto left = Spool::Open(dir_)->Load();
    ASSERT_TRUE(left.ok());
    EXPECT_EQ(left->at(Key(1)).records.size(), size / (whole.size() / 3));
  }
}

TEST_F(SpoolTest, AcknowledgedFileIsCutAndRemembersItsNumber) {
  const std::string path = dir_ + "/" + KeyText(Key(1));
  {
    auto spool = Spool::Open(dir_);
    const std::string big(300'000, 'x');
    for (uint64_t i = 1; i <= 5; ++i)
      ASSERT_TRUE(spool->Append({Key(1), i, Time{1}, LogChunk{big, 0}}).ok());
    spool->OnAck(Key(1), 4);
    EXPECT_GT(std::filesystem::file_size(path), 1'000'000u);
    spool->OnAck(Key(1), 5);
    EXPECT_LT(std::filesystem::file_size(path), 100u);
    auto left = spool->Load();
    EXPECT_TRUE(left->at(Key(1)).records.empty());
    EXPECT_EQ(left->at(Key(1)).last_sequence, 5u);
    ASSERT_TRUE(spool->Append(Loss(6, 1)).ok());
  }
  const auto left = Spool::Open(dir_)->Load();
  ASSERT_EQ(left->at(Key(1)).records.size(), 1u);
  EXPECT_EQ(left->at(Key(1)).last_sequence, 6u);
}

// Files of this process may grow to so many bytes: what is written beyond fails, as on a full disk.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) {
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

// A daemon that starts again would give the controller step 4 without 3, which nobody could make good any more.
TEST_F(SpoolTest, AFullDiskLeavesNoHole) {
  auto spool = Spool::Open(dir_);
  ASSERT_TRUE(spool->Append(Loss(1, 1)).ok());
  ASSERT_TRUE(spool->Append(Loss(2, 1)).ok());
  {
    const FullDisk full(8);
    EXPECT_FALSE(spool->Append(Loss(3, 1)).ok());
    // Not even a file of it.
    EXPECT_FALSE(spool->Append(Loss(1, 1, 9)).ok());
  }
  EXPECT_FALSE(spool->Append(Loss(4, 1)).ok());
  EXPECT_FALSE(spool->Append(Loss(2, 1, 9)).ok());
  spool->OnAck(Key(1), 3);  // 4 is missing still
  EXPECT_FALSE(spool->Append(Loss(5, 1)).ok());
  auto left = Spool::Open(dir_)->Load();
  ASSERT_EQ(left->at(Key(1)).records.size(), 2u);
  EXPECT_EQ(left->at(Key(1)).last_sequence, 2u);
  EXPECT_EQ(left->count(Key(9)) == 0 ? 0 : left->at(Key(9)).records.size(), 0u);

  // The controller has what the file lacks.
  spool->OnAck(Key(1), 5);
  EXPECT_TRUE(spool->Append(Loss(6, 1)).ok());
  left = Spool::Open(dir_)->Load();
  ASSERT_EQ(left->at(Key(1)).records.size(), 3u);
  EXPECT_EQ(left->at(Key(1)).records.back()->sequence, 6u);
  spool->Remove(Key(9));
  EXPECT_TRUE(spool->Append(Loss(1, 1, 9)).ok());
}

}  // namespace
}  // namespace tunesmith::worker
