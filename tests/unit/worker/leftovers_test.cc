// What goes of the files that trials leave on a worker's disk, and what stays.
#include "worker/checkpoints/leftovers.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <mutex>

#include "common/drawn_id.h"
#include "worker/checkpoints/ledger.h"
#include "worker/process/files.h"
#include "worker/process/trial_folder.h"

namespace tunesmith::worker {
namespace {

namespace fs = std::filesystem;

class LeftoversTest : public ::testing::Test {
 protected:
  LeftoversTest() {
    std::string name = ::testing::TempDir() + "tunesmith_leftovers_XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
  }
  ~LeftoversTest() override { fs::remove_all(root_); }

  static Assignment Of(uint64_t sweep, uint32_t trial, const std::string& name, const std::string& controller) {
    Assignment assignment;
    assignment.key = {{{SweepId(sweep), trial}, 1}, LeaseEpoch(1)};
    assignment.sweep_id = name;
    assignment.seed = 7;
    assignment.controller = controller;
    return assignment;
  }
  // What one attempt leaves: its output, and a checkpoint that is noted. The trial's folder.
  std::string Ran(uint64_t sweep, uint32_t trial, const std::string& controller = "ours",
                  const std::string& name = "digits") {
    const Assignment assignment = Of(sweep, trial, name, controller);
    const AttemptPaths paths = PathsOf(root_, assignment);
    EXPECT_TRUE(PrepareTrialFolder(assignment, paths).ok());
    EXPECT_TRUE(MakeFolder(paths.workdir).ok());
    EXPECT_TRUE(WriteFile(paths.output, "loss=1\n").ok());
    EXPECT_TRUE(WriteFile(paths.checkpoint_dir + "/step-1", "weights").ok());
    EXPECT_TRUE(WriteFile(FromZeroMark(paths), "").ok());
    EXPECT_TRUE(Ledger(LedgerPath(paths)).Add({1, 1, "step-1", 7, std::string(64, '0')}).ok());
    return fs::path(paths.checkpoint_dir).parent_path();
  }
  Leftovers Keeper(size_t named_max = 100) {
    const auto review = [this](const std::string& controller, const std::vector<KeptFiles>& kept,
                               const std::stop_token&) -> StatusOr<UnneededFiles> {
      const std::lock_guard lock(mutex_);
      EXPECT_EQ(controller, "ours");
      calls_.push_back(kept);
      changed_.notify_all();
      if (!answers_) return Unavailable("no controller");
      return unneeded_;
    };
    return Leftovers(root_, review, named_max);
  }
  void Look(const std::set<TrialId>& open = {}) { Keeper().LookNow("ours", open, {}); }

  std::string root_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::vector<KeptFiles>> calls_;
  UnneededFiles unneeded_;
  bool answers_ = true;
};

TEST_F(LeftoversTest, OfADeletedSweepAllGoesWithItsFolder) {
  const std::string first = Ran(3, 0), second = Ran(3, 1), other = Ran(4, 0);
  unneeded_.sweeps = {SweepId(3)};
  Look();
  EXPECT_FALSE(fs::exists(first));
  EXPECT_FALSE(fs::exists(second));
  EXPECT_FALSE(fs::exists(fs::path(first).parent_path()));
  EXPECT_TRUE(fs::exists(other + "/checkpoints/step-1"));
  ASSERT_EQ(calls_.size(), 1u);
  ASSERT_EQ(calls_[0].size(), 2u);
  EXPECT_EQ(calls_[0][0].sweep, SweepId(3));
  EXPECT_EQ(calls_[0][0].with_checkpoints, (std::vector<uint32_t>{0, 1}));
}

TEST_F(LeftoversTest, OfAStoppedTrialTheCheckpointsGoAndItsOutputStays) {
  const std::string stopped = Ran(3, 0), kept = Ran(3, 1);
  unneeded_.checkpoints = {{SweepId(3), 0}};
  Look();
  EXPECT_FALSE(fs::exists(stopped + "/checkpoints"));
  EXPECT_FALSE(fs::exists(stopped + "/checkpoints.saved")) << "or what is gone would be taken for a resume";
  EXPECT_FALSE(fs::exists(stopped + "/checkpoints.from-zero"));
  EXPECT_TRUE(fs::exists(stopped + "/attempt-1/output.log"));
  EXPECT_TRUE(fs::exists(kept + "/checkpoints/step-1"));
  // It is still known whose the rest is, for the day on which the sweep is deleted.
  unneeded_ = {};
  Look();
  ASSERT_EQ(calls_.size(), 2u);
  EXPECT_EQ(calls_[1][0].with_checkpoints, (std::vector<uint32_t>{1}));
  unneeded_.sweeps = {SweepId(3)};
  Look();
  EXPECT_FALSE(fs::exists(stopped));
}

TEST_F(LeftoversTest, WhatIsOpenOrOfAnotherControllerIsNeitherAskedForNorTouched) {
  const std::string open = Ran(3, 0), theirs = Ran(3, 1, "theirs"), unknown = Ran(3, 2, "");
  const std::string namesake = Ran(3, 0, "theirs", "other");
  ASSERT_TRUE(WriteFile(root_ + "/3-digits/notes", "").ok());
  ASSERT_TRUE(MakeFolder(root_ + "/notes/7").ok());
  unneeded_.sweeps = {SweepId(3)};
  unneeded_.checkpoints = {{SweepId(3), 0}, {SweepId(3), 1}, {SweepId(3), 2}};
  Look({{SweepId(3), 0}});
  EXPECT_TRUE(calls_.empty());
  for (const std::string& folder : {open, theirs, unknown, namesake}) {
    EXPECT_TRUE(fs::exists(folder + "/checkpoints/step-1")) << folder;
  }
  Look();
  EXPECT_FALSE(fs::exists(open));
  for (const std::string& folder : {theirs, unknown, namesake}) {
    EXPECT_TRUE(fs::exists(folder + "/checkpoints/step-1")) << folder;
  }
  EXPECT_TRUE(fs::exists(root_ + "/3-digits/notes"));
  EXPECT_TRUE(fs::exists(root_ + "/notes/7"));
}

TEST_F(LeftoversTest, WithoutAnAnswerAllStays) {
  const std::string folder = Ran(3, 0);
  unneeded_.sweeps = {SweepId(3)};
  answers_ = false;
  Look();
  EXPECT_TRUE(fs::exists(folder + "/checkpoints/step-1"));
  answers_ = true;
  Look();
  EXPECT_FALSE(fs::exists(folder));
}

TEST_F(LeftoversTest, ManyAreAskedForInSeveralCalls) {
  for (uint32_t trial = 0; trial < 20; ++trial) Ran(trial < 15 ? 3 : 4, trial);
  Keeper(8).LookNow("ours", {}, {});
  std::vector<TrialId> asked;
  for (const auto& kept : calls_) {
    size_t named = 0;
    for (const KeptFiles& files : kept) {
      named += 1 + files.with_checkpoints.size();
      for (const uint32_t trial : files.with_checkpoints) asked.push_back({files.sweep, trial});
    }
    EXPECT_LE(named, 8u);
  }
  EXPECT_EQ(calls_.size(), 4u);
  ASSERT_EQ(asked.size(), 20u);
  for (uint32_t trial = 0; trial < 20; ++trial) {
    EXPECT_EQ(asked[trial], (TrialId{SweepId(trial < 15 ? 3 : 4), trial}));
  }
}

TEST_F(LeftoversTest, ItLooksOnAThreadOfItsOwn) {
  const std::string folder = Ran(3, 0), other = Ran(4, 0);
  unneeded_.sweeps = {SweepId(3)};
  Leftovers keeper = Keeper();
  const auto look = [&](size_t calls) {
    keeper.Look("ours", {});
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return calls_.size() == calls; });
  };
  look(1);
  look(2);  // begun when the first one was over
  EXPECT_FALSE(fs::exists(folder));
  EXPECT_TRUE(fs::exists(other));
}

TEST_F(LeftoversTest, OnlyTheSameControllersTrialIsResumedAndWhatAnOlderDaemonNotedIsTakenOver) {
  const std::string folder = Ran(3, 0);
  Assignment assignment = Of(3, 0, "digits", "ours");
  assignment.resume = true;
  const auto resumes_as = [&](const std::string& owner) {
    EXPECT_TRUE(WriteFile(folder + "/checkpoints.owner", owner).ok());
    EXPECT_TRUE(PrepareTrialFolder(assignment, PathsOf(root_, assignment)).ok());
    EXPECT_EQ(ControllerOf(folder), "ours");
    return fs::exists(folder + "/checkpoints/step-1");
  };
  EXPECT_TRUE(resumes_as("7\nours"));
  EXPECT_TRUE(resumes_as("7")) << "written before controllers had ids";
  EXPECT_FALSE(resumes_as("7\ntheirs")) << "of the same name and seed";
}

TEST_F(LeftoversTest, AnIdStaysWhatItIs) {
  const auto id = IdInFile(root_ + "/id");
  ASSERT_TRUE(id.ok());
  EXPECT_EQ(id->size(), 16u);
  EXPECT_EQ(id->find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(*IdInFile(root_ + "/id"), *id);
  EXPECT_NE(*IdInFile(root_ + "/other"), *id);
  ASSERT_TRUE(WriteFile(root_ + "/id", "torn").ok());
  EXPECT_EQ(IdInFile(root_ + "/id")->size(), 16u);
  EXPECT_EQ(IdInFile(root_ + "/not/there").status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace tunesmith::worker
