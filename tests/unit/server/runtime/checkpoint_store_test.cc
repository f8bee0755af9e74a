#include "server/runtime/checkpoint_store.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "common/sha256.h"

namespace tunesmith {
namespace {

namespace fs = std::filesystem;

const TrialId kTrial{SweepId(3), 4};

std::string Digest(const std::string& bytes) {
  Sha256 sha256;
  sha256.Add(bytes);
  return sha256.Hex();
}

class CheckpointStoreTest : public ::testing::Test {
 protected:
  CheckpointStoreTest() {
    std::string name = ::testing::TempDir() + "tunesmith_store_XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    store_.emplace(folder_, 0);
  }
  ~CheckpointStoreTest() override {
    store_.reset();
    fs::remove_all(folder_);
  }
  Status Put(uint32_t attempt, int64_t step, const std::string& bytes) {
    auto incoming = store_->Begin(kTrial, attempt, step);
    if (!incoming.ok()) return incoming.status();
    const size_t half = bytes.size() / 2;
    EXPECT_TRUE((*incoming)->Append(bytes.substr(0, half)).ok());
    EXPECT_TRUE((*incoming)->Append(bytes.substr(half)).ok());
    return (*incoming)->Commit(static_cast<int64_t>(bytes.size()), Digest(bytes));
  }
  size_t Files() const {
    size_t files = 0;
    for (const auto& entry : fs::recursive_directory_iterator(folder_)) files += entry.is_regular_file() ? 1 : 0;
    return files;
  }
  // What is given back by and by.
  void AwaitFiles(size_t files) {
    while (Files() != files) std::this_thread::yield();
  }

  std::string folder_;
  std::optional<CheckpointStore> store_;
};

const TrialId kOther{SweepId(3), 9};

TEST_F(CheckpointStoreTest, ASharedCopyOutlivesTheOneThatItCameFrom) {
  ASSERT_TRUE(Put(1, 10, "weights").ok());
  const ShareCheckpoint share{kTrial, 1, kOther, 2, 10};
  ASSERT_TRUE(store_->Share(share).ok());
  EXPECT_TRUE(store_->Share(share).ok()) << "doing it twice is fine";
  store_->Deliver(DropCheckpoint{kTrial, 1, 10});
  EXPECT_EQ(*store_->Read(kOther, 2, 10, 0, 100), "weights");
  ASSERT_TRUE(Put(1, 10, "others").ok());
  EXPECT_EQ(*store_->Read(kOther, 2, 10, 0, 100), "weights") << "a name of its own";
  EXPECT_EQ(store_->Share({kTrial, 7, kOther, 2, 11}).code(), StatusCode::kNotFound);
}

// The controller was killed after it had written down what is taken over, and before the store heard of it.
TEST_F(CheckpointStoreTest, WhatTheJournalSaysWasSharedIsSharedAtTheNextStart) {
  State state;
  SweepCreated created{SweepId(3), "s", "", {}, 1, Time{1}};
  created.spec.scheduler.type = "pbt";
  created.spec.scheduler.pbt.perturbation_interval = 1;
  state.Apply(created);
  for (uint32_t number = 0; number < 2; ++number) {
    const AttemptId attempt{{SweepId(3), number}, 1};
    state.Apply(TrialCreated{attempt.trial, {}, 0, false, Time{1}});
    state.Apply(AttemptLeased{attempt, LeaseEpoch(number + 1), WorkerId(1), "", 0, 1, 0, {}, Time{1}});
  }
  const StoredCheckpoint copy{1, 10, "", 7, Digest("weights")};
  const TrialId donor{SweepId(3), 0}, trial{SweepId(3), 1};
  state.Apply(CheckpointStored{donor, copy, Time{2}});
  Measured measured;
  measured.attempt = {trial, 1};
  measured.step = 1;
  measured.verdict = {.action = Action::kPause, .reason = Reason::kExploits, .milestone = 1, .recorded = true};
  state.Apply(measured);
  state.Apply(TrialExploited{trial, 0, copy, {}, {.reason = Reason::kExploits}, Time{3}});
  state.Apply(CheckpointDropped{donor, 1, 10});
  auto incoming = store_->Begin(donor, 1, 10);
  ASSERT_TRUE((*incoming)->Append("weights").ok() && (*incoming)->Commit(7, Digest("weights")).ok());
  store_->RemoveUnknown(state);
  EXPECT_EQ(Files(), 1u) << "the donor's is not known any more";
  EXPECT_EQ(*store_->Read(trial, 2, 10, 0, 100), "weights");
}

TEST(Sha256Test, KnownDigests) {
  EXPECT_EQ(Digest(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Digest("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");  // FIPS 180-4, B.1
}

TEST_F(CheckpointStoreTest, WhatIsPutIsReadInPieces) {
  ASSERT_TRUE(Put(1, 5, "0123456789").ok());
  EXPECT_EQ(*store_->Read(kTrial, 1, 5, 0, 4), "0123");
  EXPECT_EQ(*store_->Read(kTrial, 1, 5, 8, 4), "89");
  EXPECT_EQ(*store_->Read(kTrial, 1, 5, 10, 4), "");
  EXPECT_EQ(store_->Read(kTrial, 1, 6, 0, 4).status().code(), StatusCode::kNotFound);
}

TEST_F(CheckpointStoreTest, AnotherContentThanAnnouncedIsRefusedAndLeavesNothing) {
  {
    auto incoming = store_->Begin(kTrial, 1, 5);
    ASSERT_TRUE(incoming.ok());
    ASSERT_TRUE((*incoming)->Append("0123").ok());
    const Status status = (*incoming)->Commit(4, Digest("0124"));
    EXPECT_EQ(status.code(), StatusCode::kDataLoss);
    EXPECT_NE(Message(status).find("send it again"), std::string::npos);
  }
  EXPECT_EQ(Files(), 0u);
}

TEST_F(CheckpointStoreTest, WhatIsNotCommittedLeavesNothing) {
  { ASSERT_TRUE((*store_->Begin(kTrial, 1, 5))->Append("0123").ok()); }
  EXPECT_EQ(Files(), 0u);
}

TEST_F(CheckpointStoreTest, ASecondCopyTakesThePlaceOfTheFirst) {
  ASSERT_TRUE(Put(1, 5, "old").ok());
  ASSERT_TRUE(Put(1, 5, "newer").ok());
  EXPECT_EQ(*store_->Read(kTrial, 1, 5, 0, 100), "newer");
  EXPECT_EQ(Files(), 1u);
}

TEST_F(CheckpointStoreTest, DroppedOnesAreGoneAtOnceAndTheirBytesSoon) {
  ASSERT_TRUE(Put(1, 5, "five").ok());
  ASSERT_TRUE(Put(1, 6, "six").ok());
  store_->Deliver(DropCheckpoint{kTrial, 1, 5});
  store_->Deliver(DropCheckpoint{kTrial, 1, 4711});  // not there: fine
  EXPECT_FALSE(store_->Read(kTrial, 1, 5, 0, 4).ok());
  EXPECT_TRUE(store_->Read(kTrial, 1, 6, 0, 4).ok());
  ASSERT_TRUE(Put(1, 5, "again").ok());
  AwaitFiles(2);
  EXPECT_EQ(*store_->Read(kTrial, 1, 5, 0, 100), "again") << "what was dropped before does not take it along";
  store_->Deliver(DropCheckpoints{kTrial.sweep});
  AwaitFiles(0);
}

TEST_F(CheckpointStoreTest, AtTheStartWhatNobodyKnowsGoes) {
  ASSERT_TRUE(Put(1, 5, "known to nobody").ok());
  std::ofstream(folder_ + "/3/4/incoming-abc") << "half";
  store_->RemoveUnknown(State());
  EXPECT_EQ(Files(), 0u);
}

TEST_F(CheckpointStoreTest, AFullDiskIsSaidBeforeItIsFull) {
  CheckpointStore careful(folder_, int64_t{1} << 62);
  const auto incoming = careful.Begin(kTrial, 1, 5);
  EXPECT_EQ(incoming.status().code(), StatusCode::kResourceExhausted);
  EXPECT_NE(Message(incoming.status()).find("checkpoints stay on the worker"), std::string::npos);
}

}  // namespace
}  // namespace tunesmith
