#include "worker/checkpoints/leftovers.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <iterator>
#include <map>
#include <system_error>
#include <utility>

#include "common/log.h"
#include "worker/process/files.h"
#include "worker/process/trial_folder.h"

namespace tunesmith::worker {
namespace fs = std::filesystem;

namespace {

// By trial; of two folders with the same number the sweep has had two names, on two controllers.
using Folders = std::multimap<TrialId, fs::path>;

// The number that the text begins with, if `end` follows it.
template <typename Number>
std::optional<Number> LeadingNumber(const std::string& text, char end) {
  Number number = 0;
  const char* const last = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), last, number);
  if (error != std::errc() || (rest != last && *rest != end)) return std::nullopt;
  return number;
}

// Of this controller's trials, without those that are open.
Folders List(const std::string& root, const std::string& controller_id, const std::set<TrialId>& open) {
  Folders folders;
  std::error_code error;
  for (auto sweep = fs::directory_iterator(root, error); !error && sweep != fs::directory_iterator();
       sweep.increment(error)) {
    const auto sweep_number = LeadingNumber<uint64_t>(sweep->path().filename().string(), '-');
    if (!sweep_number.has_value()) continue;
    std::error_code gone;
    for (auto trial = fs::directory_iterator(sweep->path(), gone); !gone && trial != fs::directory_iterator();
         trial.increment(gone)) {
      const auto number = LeadingNumber<uint32_t>(trial->path().filename().string(), '\0');
      if (!number.has_value()) continue;
      const TrialId id{SweepId(*sweep_number), *number};
      if (open.count(id) == 0 && ControllerOf(trial->path()) == controller_id) folders.emplace(id, trial->path());
    }
  }
  return folders;
}

void LogRemoval(const TrialId& id, const char* what, const Status& status) {
  const std::string trial = std::to_string(id.sweep.value) + "." + std::to_string(id.number);
  if (status.ok()) {
    Log(LogLevel::kDebug, "leftovers_removed", {{"trial", trial}, {"what", what}});
  } else {
    Log(LogLevel::kWarning, "leftovers_not_removed", {{"trial", trial}, {"what", what}, {"reason", Message(status)}});
  }
}

}  // namespace

Leftovers::Leftovers(std::string trials_root, ReviewFiles review, size_t named_max)
    : trials_root_(std::move(trials_root)),
      review_(std::move(review)),
      named_max_(named_max),
      thread_([this](const std::stop_token& stop) { Run(stop); }) {}

Leftovers::~Leftovers() { thread_.request_stop(); }

void Leftovers::Look(const std::string& controller_id, std::set<TrialId> open) {
  {
    MutexLock lock(&mutex_);
    next_ = {controller_id, std::move(open)};
  }
  changed_.notify_all();
}

void Leftovers::Run(const std::stop_token& stop) {
  while (true) {
    Job job;
    {
      MutexLock lock(&mutex_);
      changed_.wait(lock.native(), stop, [this] { return next_.has_value(); });
      if (stop.stop_requested()) return;
      job = *std::exchange(next_, std::nullopt);
    }
    LookNow(job.controller_id, job.open, stop);
  }
}

void Leftovers::LookNow(const std::string& controller_id, const std::set<TrialId>& open,
                        const std::stop_token& stop) const {
  const Folders folders = List(trials_root_, controller_id, open);
  std::vector<KeptFiles> kept;
  size_t named = 0;  // sweeps and trials in `kept`
  const auto ask = [&] {
    if (kept.empty()) return true;
    const auto unneeded = review_(controller_id, std::exchange(kept, {}), stop);
    named = 0;
    if (!unneeded.ok()) {
      Log(LogLevel::kDebug, "leftovers_not_reviewed", {{"reason", Message(unneeded.status())}});
      return false;  // the next look asks again
    }
    for (const SweepId& sweep : unneeded->sweeps) {
      const auto end = folders.lower_bound({SweepId(sweep.value + 1), 0});
      for (auto it = folders.lower_bound({sweep, 0}); it != end && !stop.stop_requested(); ++it) {
        LogRemoval(it->first, "all", RemoveTrialFolder(it->second));
      }
    }
    for (const TrialId& trial : unneeded->checkpoints) {
      const auto [begin, end] = folders.equal_range(trial);
      for (auto it = begin; it != end && !stop.stop_requested(); ++it) {
        LogRemoval(it->first, "checkpoints", RemoveCheckpoints(it->second));
      }
    }
    return true;
  };
  for (const auto& [id, folder] : folders) {
    if (stop.stop_requested() || (named + 2 > named_max_ && !ask())) return;
    if (kept.empty() || kept.back().sweep != id.sweep) {
      kept.push_back({id.sweep, {}});
      ++named;
    }
    if (IsEmptyFolder(CheckpointFolder(folder))) continue;
    kept.back().with_checkpoints.push_back(id.number);
    ++named;
  }
  ask();
}

}  // namespace tunesmith::worker
