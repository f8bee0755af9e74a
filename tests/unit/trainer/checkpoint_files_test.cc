#include "worker/trainer/checkpoint_files.h"

#include <filesystem>
#include <fstream>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tunesmith::trainer {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CheckpointFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "ckpt-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { fs::remove_all(directory_); }
  std::string Path(const Progress& progress) { return directory_ + "/" + CheckpointName(progress); }

  std::string directory_;
};

TEST_F(CheckpointFilesTest, WhatWasWrittenIsRead) {
  const std::string payload("any bytes \0\xff\n", 13);
  ASSERT_TRUE(WriteCheckpoint(directory_, {3, 0}, payload).ok());
  EXPECT_EQ(*ReadCheckpoint(directory_, {3, 0}), payload);
  EXPECT_TRUE(fs::exists(directory_ + "/epoch-3.ckpt"));
}

TEST_F(CheckpointFilesTest, TheNewestComesFirstByNumber) {
  for (const Progress& p : {Progress{2, 0}, {10, 0}, {9, 5}, {9, 0}, {9, 40}}) {
    ASSERT_TRUE(WriteCheckpoint(directory_, p, "x").ok());
  }
  for (const char* other : {"epoch-.ckpt", "epoch-11.ckpt.tmp", "epoch-011.ckpt", "epoch--3.ckpt",
                            "epoch-11-batch-0.ckpt", "epoch-12.ckpt.bak", "notes.txt"}) {
    std::ofstream(directory_ + "/" + other) << "x";
  }
  EXPECT_THAT(ListCheckpoints(directory_),
              ElementsAre(Progress{10, 0}, Progress{9, 40}, Progress{9, 5}, Progress{9, 0},
                          Progress{2, 0}));
  EXPECT_THAT(ListCheckpoints(directory_ + "/none"), ElementsAre());
}

TEST_F(CheckpointFilesTest, EveryCutAndEveryFlippedByteIsNoticed) {
  ASSERT_TRUE(WriteCheckpoint(directory_, {1, 0}, "payload of a checkpoint").ok());
  std::ifstream in(Path({1, 0}), std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(in)), {});
  for (size_t i = 0; i < whole.size(); ++i) {
    std::ofstream(Path({2, 0}), std::ios::binary) << whole.substr(0, i);
    EXPECT_EQ(ReadCheckpoint(directory_, {2, 0}).status().code(), StatusCode::kDataLoss) << i;
    std::string flipped = whole;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x10);
    std::ofstream(Path({3, 0}), std::ios::binary) << flipped;
    EXPECT_EQ(ReadCheckpoint(directory_, {3, 0}).status().code(), StatusCode::kDataLoss) << i;
  }
}

TEST_F(CheckpointFilesTest, PruningKeepsTheNewestAndClearsLeftovers) {
  for (int64_t epoch = 1; epoch <= 4; ++epoch) {
    ASSERT_TRUE(WriteCheckpoint(directory_, {epoch, 0}, "x").ok());
  }
  std::ofstream(directory_ + "/123.ckpt.tmp") << "half";
  std::ofstream(directory_ + "/mine.txt") << "not ours";
  PruneCheckpoints(directory_, 2);
  std::set<std::string> left;
  for (const auto& entry : fs::directory_iterator(directory_)) {
    left.insert(entry.path().filename().string());
  }
  EXPECT_THAT(left, ElementsAre("epoch-3.ckpt", "epoch-4.ckpt", "mine.txt"));
}

TEST_F(CheckpointFilesTest, AFolderThatIsNotThereIsAnErrorWithItsPath) {
  const Status status = WriteCheckpoint(directory_ + "/none", {1, 0}, "x");
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(Message(status), HasSubstr(directory_ + "/none"));
}

}  // namespace
}  // namespace tunesmith::trainer
