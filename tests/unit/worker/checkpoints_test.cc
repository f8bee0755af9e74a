// Packing, the ledger, finding what to resume from, and the threads that move copies.
#include <gtest/gtest.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>

#include "common/sha256.h"
#include "worker/checkpoints/archive.h"
#include "worker/checkpoints/ledger.h"
#include "worker/checkpoints/mover.h"
#include "worker/process/trial_folder.h"

namespace tunesmith::worker {
namespace {

namespace fs = std::filesystem;

std::string Digest(const std::string& bytes) {
  Sha256 sha256;
  sha256.Add(bytes);
  return sha256.Hex();
}

std::string Content(const fs::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class FolderTest : public ::testing::Test {
 protected:
  FolderTest() {
    std::string name = ::testing::TempDir() + "tunesmith_checkpoints_XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
  }
  ~FolderTest() override { fs::remove_all(root_); }
  static void Write(const fs::path& path, const std::string& content) {
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::trunc) << content;
  }
  static StatusOr<std::string> Pack(const fs::path& folder, const std::string& name, bool from_zero = false) {
    std::string bytes;
    TS_RETURN_IF_ERROR(PackCheckpoint(folder, name, from_zero, [&](std::string_view block) {
      bytes += block;
      return OkStatus();
    }));
    return bytes;
  }

  fs::path root_;
};

// --- archives

TEST_F(FolderTest, AFolderComesBackAsItWas) {
  Write(root_ / "a/epoch-3/model.pt", std::string(1'000'000, 'm'));
  Write(root_ / "a/epoch-3/sub/empty", "");
  Write(root_ / "a/epoch-2/model.pt", "older");
  fs::create_directory(root_ / "a/epoch-3/nothing");
  fs::create_symlink("model.pt", root_ / "a/epoch-3/latest");
  fs::create_symlink("/etc/passwd", root_ / "a/epoch-3/outside");
  const auto bytes = Pack(root_ / "a", "epoch-3");
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  Write(root_ / "packed.tar", *bytes);
  Write(root_ / "b/epoch-3/model.pt", "torn");
  const auto unpacked = UnpackCheckpoint(root_ / "packed.tar", root_ / "b");
  ASSERT_TRUE(unpacked.ok()) << unpacked.status();
  EXPECT_FALSE(unpacked->from_zero);
  EXPECT_EQ(Content(root_ / "b/epoch-3/model.pt"), std::string(1'000'000, 'm'));
  EXPECT_TRUE(fs::exists(root_ / "b/epoch-3/sub/empty"));
  EXPECT_TRUE(fs::is_directory(root_ / "b/epoch-3/nothing"));
  EXPECT_EQ(fs::read_symlink(root_ / "b/epoch-3/latest"), "model.pt");
  EXPECT_FALSE(fs::exists(fs::symlink_status(root_ / "b/epoch-3/outside")));
  EXPECT_FALSE(fs::exists(root_ / "b/epoch-2"));
}

TEST_F(FolderTest, TheSameFilesGiveTheSameBytes) {
  for (const char* folder : {"a", "b"}) {
    for (const char* name : {"z", "y", "x/1"}) Write(root_ / folder / name, name);
  }
  fs::last_write_time(root_ / "b/z", fs::file_time_type::clock::now() - std::chrono::hours(1));
  EXPECT_EQ(*Pack(root_ / "a", ""), *Pack(root_ / "b", ""));
  Write(root_ / "b/z", "Z");
  EXPECT_NE(*Pack(root_ / "a", ""), *Pack(root_ / "b", ""));
}

TEST_F(FolderTest, TheWholeFolderAndTheMark) {
  Write(root_ / "a/model", "m");
  const auto bytes = Pack(root_ / "a", "", true);
  Write(root_ / "packed.tar", *bytes);
  const auto unpacked = UnpackCheckpoint(root_ / "packed.tar", root_ / "b");
  ASSERT_TRUE(unpacked.ok());
  EXPECT_TRUE(unpacked->from_zero);
  EXPECT_EQ(std::distance(fs::directory_iterator(root_ / "b"), fs::directory_iterator()), 1);
}

TEST_F(FolderTest, WhatCannotBePackedIsSaid) {
  fs::create_directory(root_ / "a");
  EXPECT_EQ(Pack(root_ / "a", "gone").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(Pack(root_ / "a", "").status().code(), StatusCode::kNotFound) << "empty";
  EXPECT_EQ(Pack(root_ / "a", "../a").status().code(), StatusCode::kInvalidArgument);
}

TEST_F(FolderTest, NamesStayInTheFolder) {
  const std::string folder = root_ / "a";
  EXPECT_EQ(*CheckpointName(folder, "epoch-3"), "epoch-3");
  EXPECT_EQ(*CheckpointName(folder, "./x/../epoch-3/"), "epoch-3");
  EXPECT_EQ(*CheckpointName(folder, folder + "/sub/epoch-3"), "sub/epoch-3");
  EXPECT_EQ(*CheckpointName(folder, folder), "");
  for (const std::string bad : {"", "..", "../b", "x/../../b", "/etc/passwd"}) {
    const auto name = CheckpointName(folder, bad);
    EXPECT_EQ(name.status().code(), StatusCode::kInvalidArgument) << bad;
  }
}

TEST_F(FolderTest, ADamagedArchiveIsSaidAndWritesNothingOutside) {
  Write(root_ / "a/model", std::string(5000, 'm'));
  const std::string good = *Pack(root_ / "a", "model");
  std::string short_one = good.substr(0, 3000);
  Write(root_ / "packed.tar", short_one);
  EXPECT_EQ(UnpackCheckpoint(root_ / "packed.tar", root_ / "b").status().code(), StatusCode::kDataLoss);
  std::string escaping = good;
  escaping.replace(0, 6, std::string("../x\0\0", 6));  // the name; the checksum of the header no longer fits either
  Write(root_ / "packed.tar", escaping);
  EXPECT_FALSE(UnpackCheckpoint(root_ / "packed.tar", root_ / "b").ok());
  EXPECT_FALSE(fs::exists(root_ / "x"));
  EXPECT_FALSE(UnpackCheckpoint(root_ / "not there", root_ / "b").ok());
}

// --- the ledger

TEST_F(FolderTest, TheLedgerKeepsWhatItIsToldAndPassesOverWhatItCannotRead) {
  const Ledger ledger(root_ / "ledger");
  EXPECT_TRUE(ledger.Read().empty());
  const Checkpoint old{1, 5, "five", 10, Digest("5")};
  const Checkpoint newer{2, 3, "a b  c", 11, Digest("3")};
  const Checkpoint whole{2, 4, "", 1, Digest("")};
  for (const Checkpoint& one : {newer, whole, old}) ASSERT_TRUE(ledger.Add(one).ok());
  EXPECT_EQ(ledger.Read(), (std::vector<Checkpoint>{old, newer, whole}));
  std::ofstream(root_ / "ledger", std::ios::app) << "1 7 torn";
  EXPECT_EQ(ledger.Read().size(), 3u);
  const Checkpoint again{2, 9, "five", 12, Digest("9")};
  ASSERT_TRUE(ledger.Add(again).ok());
  EXPECT_EQ(ledger.Read(), (std::vector<Checkpoint>{newer, whole, again})) << "the old one was written over";
  ASSERT_TRUE(ledger.Remove(whole).ok());
  EXPECT_EQ(ledger.Read(), (std::vector<Checkpoint>{newer, again}));
}

// --- resuming

// The controller's store, in memory.
class FakeStore : public CheckpointTransport {
 public:
  Status Put(const AttemptKey& key, Checkpoint* checkpoint, const std::function<Status(const ByteSink&)>& produce,
             const std::stop_token&) override {
    std::string bytes;
    const Status produced = produce([&](std::string_view block) {
      bytes += block;
      return OkStatus();
    });
    std::unique_lock lock(mutex_);
    ++puts_;
    changed_.notify_all();
    if (unavailable_puts_ > 0) {
      --unavailable_puts_;
      return Unavailable("no controller");
    }
    if (!produced.ok()) return produced;
    checkpoint->bytes = static_cast<int64_t>(bytes.size());
    checkpoint->sha256 = Digest(bytes);
    stored_[{checkpoint->attempt, checkpoint->step}] = bytes;
    return OkStatus();
  }
  Status Get(const TrialId&, const Checkpoint& checkpoint, const ByteSink& sink, const std::stop_token& stop) override {
    std::unique_lock lock(mutex_);
    ++gets_;
    changed_.notify_all();
    if (hang_) {
      changed_.wait(lock, stop, [] { return false; });
      return MakeStatus(StatusCode::kCancelled, "cancelled");
    }
    const auto found = stored_.find({checkpoint.attempt, checkpoint.step});
    if (found == stored_.end()) return NotFound("the controller does not keep this checkpoint any more");
    return sink(found->second);
  }
  template <typename Condition>
  void Await(Condition condition) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return condition(*this); });
  }

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<std::pair<uint32_t, int64_t>, std::string> stored_;
  int puts_ = 0, gets_ = 0, unavailable_puts_ = 0;
  bool hang_ = false;
};

class ResumeTest : public FolderTest {
 protected:
  ResumeTest() {
    assignment_.key = {{{SweepId(1), 0}, 2}, LeaseEpoch(5)};
    assignment_.sweep_id = "digits";
    assignment_.seed = 9;
    assignment_.resume = true;
    assignment_.last_step = 100;
    assignment_.store_checkpoints = true;
    paths_ = PathsOf(root_, assignment_);
    EXPECT_TRUE(PrepareTrialFolder(assignment_, paths_).ok());
  }
  fs::path In(const std::string& name) const { return fs::path(paths_.checkpoint_dir) / name; }
  // One that an earlier attempt made on this machine.
  Checkpoint Local(uint32_t attempt, int64_t step) {
    const std::string name = "step-" + std::to_string(step);
    Write(In(name), "content of " + std::to_string(attempt) + "/" + std::to_string(step));
    const std::string bytes = *Pack(paths_.checkpoint_dir, name);
    const Checkpoint checkpoint{attempt, step, name, static_cast<int64_t>(bytes.size()), Digest(bytes)};
    EXPECT_TRUE(Ledger(paths_.checkpoint_dir + ".saved").Add(checkpoint).ok());
    return checkpoint;
  }
  // One that the controller has, made elsewhere.
  Checkpoint Remote(uint32_t attempt, int64_t step, bool from_zero = false) {
    const std::string name = "step-" + std::to_string(step);
    Write(root_ / "elsewhere" / name, "content of " + std::to_string(attempt) + "/" + std::to_string(step));
    const std::string bytes = *Pack(root_ / "elsewhere", name, from_zero);
    store_.stored_[{attempt, step}] = bytes;
    Checkpoint checkpoint{attempt, step, name, static_cast<int64_t>(bytes.size()), Digest(bytes)};
    assignment_.checkpoints.push_back(checkpoint);
    return checkpoint;
  }
  Resume Find() { return ResumeFinder(root_, &store_).Find(assignment_, {}); }

  Assignment assignment_;
  AttemptPaths paths_;
  FakeStore store_;
};

TEST_F(ResumeTest, TheNewestHereIsTakenWithoutAWord) {
  Local(1, 4);
  Local(1, 5);
  Remote(1, 5);
  const Resume resume = Find();
  EXPECT_EQ(resume.step, 5);
  EXPECT_EQ(resume.name, "step-5");
  EXPECT_EQ(resume.note, "");
  EXPECT_EQ(store_.gets_, 0);
}

TEST_F(ResumeTest, WhatALaterAttemptMadeElsewhereIsNewerAndTheRestGoes) {
  Local(1, 8);
  Local(1, 4);
  Remote(2, 6, true);
  const Resume resume = Find();
  EXPECT_EQ(resume.step, 6);
  EXPECT_EQ(resume.note, "resumes from the checkpoint of step 6, fetched from the controller (3 kB)");
  EXPECT_EQ(Content(In("step-6")), "content of 2/6");
  EXPECT_TRUE(fs::exists(FromZeroMark(paths_)));
  EXPECT_EQ(Find().step, 6);
  EXPECT_EQ(store_.gets_, 1) << "it is here now";
}

TEST_F(ResumeTest, WhatTheControllerHasNotHeardOfIsNotUsedAndGoes) {
  Local(1, 4);
  Local(1, 8);
  assignment_.last_step = 7;
  EXPECT_EQ(Find().step, 4);
  EXPECT_TRUE(fs::exists(In("step-4")));
  EXPECT_FALSE(fs::exists(In("step-8")));
}

TEST_F(ResumeTest, DamagedOnesArePassedOverForTheOneBefore) {
  Local(1, 3);
  Local(1, 4);
  Remote(1, 5);
  store_.stored_[{1, 5}].back() = 'x';
  Write(In("step-4"), "torn");
  const Resume resume = Find();
  EXPECT_EQ(resume.step, 3);
  EXPECT_NE(resume.note.find("the checkpoint of step 5 cannot be had from the controller (its bytes are not those that "
                             "were stored); the checkpoint of step 4 is damaged on this worker; resumes from the "
                             "checkpoint of step 3"),
            std::string::npos)
      << resume.note;
  EXPECT_FALSE(fs::exists(In("step-4"))) << "or the program would take it";
}

TEST_F(ResumeTest, OnesThatTheProgramRemovedAreNoDamage) {
  Local(1, 3);
  Local(1, 4);
  fs::remove(In("step-4"));
  const Resume resume = Find();
  EXPECT_EQ(resume.step, 3);
  EXPECT_EQ(resume.note, "");
}

TEST_F(ResumeTest, WithoutAnyWholeOneItBeginsAnew) {
  Remote(1, 5);
  store_.stored_.clear();
  const Resume resume = Find();
  EXPECT_EQ(resume.step, 0);
  EXPECT_EQ(resume.note,
            "the checkpoint of step 5 cannot be had from the controller (the controller does not keep this checkpoint "
            "any more); begins anew");
  assignment_.checkpoints.clear();
  EXPECT_EQ(Find().note, "") << "a trial that never made any";
}

TEST_F(ResumeTest, ThoseOfAnotherTrialWithTheSameNameAreNotTaken) {
  Local(1, 4);
  assignment_.seed = 10;
  EXPECT_EQ(Find().step, 0);
  EXPECT_FALSE(fs::exists(In("step-4")));
}

TEST_F(ResumeTest, ATrialThatHasTakenOverFindsNothingOfItsOwnPast) {
  Local(1, 12);
  Remote(2, 10);  // the donor's, under the number of the attempt that is to come
  assignment_.first_attempt = 2;
  assignment_.last_step = 10;
  EXPECT_EQ(Find().step, 10);
  EXPECT_EQ(Content(In("step-10")), "content of 2/10");
  EXPECT_FALSE(fs::exists(In("step-12")));
  // A later attempt keeps what was made since.
  Local(2, 11);
  assignment_.key.id.number = 3;
  assignment_.last_step = 11;
  EXPECT_EQ(Find().step, 11);
  EXPECT_EQ(store_.gets_, 1);
  // It takes over once more, and cannot have that one.
  assignment_.first_attempt = 4;
  assignment_.key.id.number = 4;
  store_.stored_.clear();
  EXPECT_EQ(Find().step, 0) << "better anew than with weights of another past";
  EXPECT_FALSE(fs::exists(In("step-11")));
}

// --- the threads

class MoverTest : public ResumeTest {
 protected:
  std::shared_ptr<const Assignment> Shared() { return std::make_shared<const Assignment>(assignment_); }
  // The answers to Find, when there are `count`.
  std::vector<std::pair<AttemptKey, Resume>> AwaitResumes(CheckpointMover* mover, size_t count) {
    std::vector<std::pair<AttemptKey, Resume>> all;
    std::unique_lock lock(mutex_);
    while (all.size() < count) {
      woken_.wait(lock, [this] { return std::exchange(awake_, false); });
      for (auto& one : mover->TakeResumes()) all.push_back(std::move(one));
    }
    return all;
  }
  void AwaitSaved(CheckpointMover* mover) {
    std::unique_lock lock(mutex_);
    while (mover->saving()) woken_.wait(lock, [this] { return std::exchange(awake_, false); });
  }
  std::function<void()> Waker() {
    return [this] {
      const std::lock_guard lock(mutex_);
      awake_ = true;
      woken_.notify_all();
    };
  }

  std::mutex mutex_;
  std::condition_variable woken_;
  bool awake_ = false;
};

TEST_F(MoverTest, ANamedCheckpointIsGivenAwayAndNoted) {
  Write(In("step-3"), "three");
  CheckpointMover mover(root_, &store_, Waker());
  mover.Save({Shared(), 3, paths_.checkpoint_dir + "/step-3"});
  AwaitSaved(&mover);
  EXPECT_EQ(store_.stored_.size(), 1u);
  const auto noted = Ledger(paths_.checkpoint_dir + ".saved").Read();
  ASSERT_EQ(noted.size(), 1u);
  EXPECT_EQ(noted[0].name, "step-3");
  EXPECT_EQ(noted[0].attempt, 2u);
  EXPECT_EQ(noted[0].sha256, Digest(store_.stored_.begin()->second));
}

TEST_F(MoverTest, WhileTheControllerIsAwayItIsTriedAgain) {
  Write(In("step-3"), "three");
  store_.unavailable_puts_ = 1;
  CheckpointMover mover(root_, &store_, Waker());
  mover.Save({Shared(), 3, "step-3"});
  AwaitSaved(&mover);
  EXPECT_EQ(store_.puts_, 2);
  EXPECT_EQ(store_.stored_.size(), 1u);
}

TEST_F(MoverTest, CopiesOfAPastThatIsOverAreNotMadeOfWhatIsThereNow) {
  Write(In("step-3"), "three");
  store_.unavailable_puts_ = 1'000'000;
  CheckpointMover mover(root_, &store_, Waker());
  mover.Save({Shared(), 3, ""});  // the whole folder, tried again and again
  store_.Await([](const FakeStore& store) { return store.puts_ >= 1; });
  Remote(3, 10);
  assignment_.key.id.number = 3;
  assignment_.first_attempt = 3;
  mover.Find(Shared());
  const auto resumes = AwaitResumes(&mover, 1);
  EXPECT_EQ(resumes[0].second.step, 10);
  AwaitSaved(&mover);
  const auto noted = Ledger(paths_.checkpoint_dir + ".saved").Read();
  ASSERT_EQ(noted.size(), 1u);
  EXPECT_EQ(noted[0].attempt, 3u);
}

TEST_F(MoverTest, OfASweepThatKeepsNoneItIsOnlyNoted) {
  Write(In("step-3"), "three");
  assignment_.store_checkpoints = false;
  CheckpointMover mover(root_, &store_, Waker());
  mover.Save({Shared(), 3, "step-3"});
  mover.Save({Shared(), 4, "never written"});
  AwaitSaved(&mover);
  EXPECT_EQ(store_.puts_, 0);
  EXPECT_LE(Ledger(paths_.checkpoint_dir + ".saved").Read().size(), 1u);
}

TEST_F(MoverTest, ACancelledSearchIsNotAnsweredAndTheNextOneIs) {
  Remote(1, 5);
  store_.hang_ = true;
  CheckpointMover mover(root_, &store_, Waker());
  mover.Find(Shared());
  store_.Await([](const FakeStore& store) { return store.gets_ == 1; });
  const AttemptKey first = assignment_.key;
  assignment_.checkpoints.clear();
  assignment_.key.id.number = 3;
  mover.Find(Shared());
  mover.CancelFind(first);
  const auto resumes = AwaitResumes(&mover, 1);
  EXPECT_EQ(resumes[0].first, assignment_.key);
}

}  // namespace
}  // namespace tunesmith::worker
