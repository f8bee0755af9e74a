#include "worker/checkpoints/mover.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <optional>
#include <system_error>

#include "common/log.h"
#include "common/sha256.h"
#include "common/text.h"
#include "worker/checkpoints/ledger.h"
#include "worker/process/files.h"
#include "worker/process/trial_folder.h"

namespace tunesmith::worker {
namespace fs = std::filesystem;

namespace {

constexpr std::chrono::seconds kTryAgain{1};

bool CountsFromZero(const AttemptPaths& paths) { return access(FromZeroMark(paths).c_str(), F_OK) == 0; }

// Whether the controller has the report of its step.
bool WasRecorded(const Assignment& assignment, const Checkpoint& checkpoint) {
  return assignment.last_step < 0 || checkpoint.step <= assignment.last_step;
}

// Fills in bytes and digest.
Status Measure(const AttemptPaths& paths, Checkpoint* checkpoint) {
  Sha256 sha256;
  int64_t bytes = 0;
  TS_RETURN_IF_ERROR(PackCheckpoint(paths.checkpoint_dir, checkpoint->name, CountsFromZero(paths),
                                    [&](std::string_view block) {
                                      sha256.Add(block);
                                      bytes += static_cast<int64_t>(block.size());
                                      return OkStatus();
                                    }));
  checkpoint->bytes = bytes;
  checkpoint->sha256 = sha256.Hex();
  return OkStatus();
}

std::string SizeText(int64_t bytes) {
  return bytes < 1'000'000 ? std::to_string((bytes + 999) / 1000) + " kB"
                           : ShortText(static_cast<double>(bytes) / 1e6) + " MB";
}

// False if `stop` came first.
bool Sleep(const std::stop_token& stop, std::chrono::milliseconds time) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock<std::mutex> lock(mutex);
  never.wait_for(lock, stop, time, [] { return false; });
  return !stop.stop_requested();
}

// A file that goes when it is no longer needed.
class TemporaryFile {
 public:
  static StatusOr<TemporaryFile> Make(const std::string& prefix) {
    std::string path = prefix + "-XXXXXX";
    const int fd = mkostemp(path.data(), O_CLOEXEC);
    if (fd < 0) return ErrnoStatus(errno, "cannot write " + path);
    return TemporaryFile(std::move(path), fd);
  }
  TemporaryFile(TemporaryFile&& other) noexcept
      : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}
  ~TemporaryFile() {
    if (fd_ < 0) return;
    close(fd_);
    unlink(path_.c_str());
  }
  const std::string& path() const { return path_; }
  Status Append(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = write(fd_, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return ErrnoStatus(errno, "cannot write " + path_);
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return OkStatus();
  }

 private:
  TemporaryFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  std::string path_;
  int fd_;
};

}  // namespace

// --- resuming

std::vector<ResumeFinder::Candidate> ResumeFinder::Candidates(const Assignment& assignment,
                                                              const std::vector<Checkpoint>& local) {
  std::vector<Candidate> all;
  for (const Checkpoint& one : local) {
    if (WasRecorded(assignment, one)) all.push_back({one, true});
  }
  for (const Checkpoint& one : assignment.checkpoints) all.push_back({one, false});
  // The newest first; of two alike the one that is here already.
  std::stable_sort(all.begin(), all.end(), [](const Candidate& a, const Candidate& b) {
    return OlderCheckpoint(b.checkpoint, a.checkpoint);
  });
  return all;
}

Resume ResumeFinder::Find(const Assignment& assignment, const std::stop_token& stop) const {
  Resume resume;
  const AttemptPaths paths = PathsOf(trials_root_, assignment);
  const Status prepared = PrepareTrialFolder(assignment, paths);
  if (!prepared.ok()) return resume;  // starting it will say so
  const Ledger ledger(LedgerPath(paths));
  const auto note = [](const Status& written) {
    if (!written.ok()) Log(LogLevel::kWarning, "ledger_not_written", {{"reason", Message(written)}});
  };
  const auto forget = [&](const Checkpoint& gone) {
    note(ledger.Remove(gone));
    if (gone.name.empty()) return;
    const Status removed = RemoveAll(paths.checkpoint_dir + "/" + gone.name);
    if (!removed.ok()) Log(LogLevel::kWarning, "checkpoint_not_removed", {{"reason", Message(removed)}});
  };
  std::string passed_over;
  bool any = false;
  Checkpoint chosen;
  for (const Candidate& candidate : Candidates(assignment, ledger.Read())) {
    any = true;
    const std::string of = "the checkpoint of step " + std::to_string(candidate.checkpoint.step);
    if (candidate.local) {
      Checkpoint now = candidate.checkpoint;
      const Status read = Measure(paths, &now);
      if (read.ok() && now == candidate.checkpoint) {
        if (!passed_over.empty()) resume.note = passed_over + "resumes from " + of;
      } else {
        // Programs may remove or replace what they have named; only what is there and different is damaged.
        if (read.ok()) passed_over += of + " is damaged on this worker; ";
        forget(candidate.checkpoint);
        continue;
      }
    } else {
      const Status fetched = Fetch(assignment, candidate.checkpoint, paths, stop);
      if (stop.stop_requested()) return resume;
      if (!fetched.ok()) {
        passed_over += of + " cannot be had from the controller (" + Message(fetched) + "); ";
        continue;
      }
      note(ledger.Add(candidate.checkpoint));
      resume.note = passed_over + "resumes from " + of + ", fetched from the controller (" +
                    SizeText(candidate.checkpoint.bytes) + ")";
    }
    chosen = candidate.checkpoint;
    break;
  }
  if (any && chosen.step == 0) resume.note = passed_over + "begins anew";
  resume.step = chosen.step;
  resume.name = chosen.name;
  // Programs look for the newest themselves: what the controller has not heard of must not be there.
  for (const Checkpoint& one : ledger.Read()) {
    if (!WasRecorded(assignment, one) || (chosen.step > 0 && OlderCheckpoint(chosen, one))) forget(one);
  }
  return resume;
}

Status ResumeFinder::Fetch(const Assignment& assignment, const Checkpoint& checkpoint, const AttemptPaths& paths,
                           const std::stop_token& stop) const {
  for (;;) {
    TS_ASSIGN_OR_RETURN(TemporaryFile file, TemporaryFile::Make(paths.checkpoint_dir + ".fetched"));
    Sha256 sha256;
    const Status got = transport_->Get(
        assignment.key.id.trial, checkpoint,
        [&](std::string_view block) {
          sha256.Add(block);
          return file.Append(block);
        },
        stop);
    if (got.code() == StatusCode::kUnavailable && Sleep(stop, kTryAgain)) continue;
    TS_RETURN_IF_ERROR(got);
    if (sha256.Hex() != checkpoint.sha256) return DataLoss("its bytes are not those that were stored");
    TS_ASSIGN_OR_RETURN(const Unpacked unpacked, UnpackCheckpoint(file.path(), paths.checkpoint_dir));
    return unpacked.from_zero ? WriteFile(FromZeroMark(paths), "") : OkStatus();
  }
}

// --- the two threads

CheckpointMover::CheckpointMover(std::string trials_root, CheckpointTransport* transport, std::function<void()> wake)
    : trials_root_(trials_root),
      transport_(transport),
      wake_(std::move(wake)),
      finder_(std::move(trials_root), transport),
      saver_([this](const std::stop_token& stop) { RunSaver(stop); }),
      finder_thread_([this](const std::stop_token& stop) { RunFinder(stop); }) {}

CheckpointMover::~CheckpointMover() {
  saver_.request_stop();
  finder_thread_.request_stop();
  {
    MutexLock lock(&mutex_);
    find_stop_.request_stop();
  }
}

void CheckpointMover::Save(const SaveCheckpoint& save) {
  {
    MutexLock lock(&mutex_);
    saves_[save.assignment->key] = save;
  }
  changed_.notify_all();
}

void CheckpointMover::Find(std::shared_ptr<const Assignment> assignment) {
  {
    MutexLock lock(&mutex_);
    finds_.push_back(std::move(assignment));
  }
  changed_.notify_all();
}

void CheckpointMover::CancelFind(const AttemptKey& key) {
  MutexLock lock(&mutex_);
  std::erase_if(finds_, [&](const auto& assignment) { return assignment->key == key; });
  if (finding_ == key) find_stop_.request_stop();
}

std::vector<std::pair<AttemptKey, Resume>> CheckpointMover::TakeResumes() {
  MutexLock lock(&mutex_);
  return std::exchange(resumes_, {});
}

bool CheckpointMover::saving() const {
  MutexLock lock(&mutex_);
  return saving_ || !saves_.empty();
}

std::vector<SaveCheckpoint> CheckpointMover::Unsaved() const {
  MutexLock lock(&mutex_);
  std::vector<SaveCheckpoint> unsaved;
  for (const auto& [key, save] : saves_) unsaved.push_back(save);
  // One that is newer takes its place.
  if (saving_ && saves_.count(saving_now_.assignment->key) == 0) unsaved.push_back(saving_now_);
  return unsaved;
}

void CheckpointMover::RunFinder(const std::stop_token& stop) {
  while (true) {
    std::shared_ptr<const Assignment> assignment;
    std::stop_token one_stop;
    std::vector<SaveCheckpoint> pending;
    {
      MutexLock lock(&mutex_);
      changed_.wait(lock.native(), stop, [this] { return !finds_.empty(); });
      if (stop.stop_requested()) return;
      assignment = std::move(finds_.front());
      finds_.pop_front();
      finding_ = assignment->key;
      find_stop_ = std::stop_source();
      one_stop = find_stop_.get_token();
      // The folder is about to be emptied of what earlier attempts have left: their copies are of no more use.
      const auto is_past = [&](const AttemptKey& key) {
        return key.id.trial == assignment->key.id.trial && key.id.number < assignment->first_attempt;
      };
      changed_.wait(lock.native(), stop, [&] { return !saving_ || !is_past(saving_now_.assignment->key); });
      if (stop.stop_requested()) return;
      std::erase_if(saves_, [&](const auto& entry) { return is_past(entry.first); });
      for (const auto& [key, save] : saves_) pending.push_back(save);
      if (saving_) pending.push_back(saving_now_);
      std::erase_if(pending, [&](const SaveCheckpoint& save) {
        return save.assignment->key.id.trial != assignment->key.id.trial;
      });
    }
    // What is about to be given away counts too.
    for (const SaveCheckpoint& save : pending) NoteHere(save);
    const Resume resume = finder_.Find(*assignment, one_stop);
    {
      MutexLock lock(&mutex_);
      finding_ = {};
      if (!one_stop.stop_requested()) resumes_.emplace_back(assignment->key, resume);
    }
    wake_();
  }
}

void CheckpointMover::RunSaver(const std::stop_token& stop) {
  while (true) {
    SaveCheckpoint save;
    {
      MutexLock lock(&mutex_);
      changed_.wait(lock.native(), stop, [this] { return !saves_.empty(); });
      if (stop.stop_requested()) return;
      // In turn: an attempt that saves often must not keep others waiting.
      auto next = saves_.upper_bound(last_saved_);
      if (next == saves_.end()) next = saves_.begin();
      save = std::move(next->second);
      last_saved_ = next->first;
      saves_.erase(next);
      saving_ = true;
      saving_now_ = save;
    }
    const bool done = SaveOne(save, stop);
    {
      MutexLock lock(&mutex_);
      saving_ = false;
      if (!done) saves_.emplace(save.assignment->key, save);  // unless a newer one has come
    }
    changed_.notify_all();
    if (!done && !Sleep(stop, kTryAgain)) return;
    wake_();
  }
}

namespace {

void Say(const SaveCheckpoint& save, const Status& status) {
  Log(LogLevel::kInfo, "checkpoint_not_saved",
      {{"attempt", KeyText(save.assignment->key)}, {"step", save.step}, {"reason", Message(status)}});
}

// Where it lies; nullopt if it is not in the folder.
std::optional<Checkpoint> Locate(const SaveCheckpoint& save, const AttemptPaths& paths) {
  Checkpoint checkpoint{save.assignment->key.id.number, save.step, "", 0, ""};
  if (save.name.empty()) return checkpoint;
  auto name = CheckpointName(paths.checkpoint_dir, save.name);
  if (!name.ok()) {
    Say(save, name.status());
    return std::nullopt;
  }
  checkpoint.name = *std::move(name);
  return checkpoint;
}

}  // namespace

void CheckpointMover::NoteHere(const SaveCheckpoint& save) const {
  const AttemptPaths paths = PathsOf(trials_root_, *save.assignment);
  auto checkpoint = Locate(save, paths);
  if (!checkpoint) return;
  Status status = Measure(paths, &*checkpoint);
  if (status.ok()) status = Ledger(LedgerPath(paths)).Add(*checkpoint);
  // Removed already, or never written: nothing to save.
  if (!status.ok() && status.code() != StatusCode::kNotFound) Say(save, status);
}

bool CheckpointMover::SaveOne(const SaveCheckpoint& save, const std::stop_token& stop) {
  const Assignment& assignment = *save.assignment;
  const AttemptPaths paths = PathsOf(trials_root_, assignment);
  auto checkpoint = Locate(save, paths);
  if (!checkpoint) return true;
  if (assignment.store_checkpoints) {
    Status packed;
    const Status put = transport_->Put(
        assignment.key, &*checkpoint,
        [&](const ByteSink& sink) {
          packed = PackCheckpoint(paths.checkpoint_dir, checkpoint->name, CountsFromZero(paths), sink);
          return packed;
        },
        stop);
    if (put.code() == StatusCode::kUnavailable) return false;
    if (put.ok()) {
      const Status noted = Ledger(LedgerPath(paths)).Add(*checkpoint);
      if (!noted.ok()) Say(save, noted);
      return true;
    }
    if (packed.code() == StatusCode::kNotFound) return true;
    // Refused because nobody would use it: nothing that anybody should look into.
    if (put.code() != StatusCode::kFailedPrecondition && put.code() != StatusCode::kNotFound) Say(save, put);
  }
  NoteHere(save);
  return true;
}

}  // namespace tunesmith::worker
