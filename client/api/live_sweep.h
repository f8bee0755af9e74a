// A sweep as WatchSweep tells it: applies snapshots and deltas, says what happened, and fills the
// views that the screen is drawn from. Not thread-safe; no clock: time is an argument.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "client/summary.h"
#include "client/table.h"
#include "tunesmith/v1/tuning_service.pb.h"

namespace tunesmith {

struct ViewOptions {
  int64_t now_ms = 0;
  std::string controller = {};  // shown in the header; may be empty
  std::string notice = {};      // in place of the sweep's own waiting reason, if not empty
  std::vector<std::string> hints = {};
  size_t rows_max = 500;  // the running trials first, then the best
};

class LiveSweep {
 public:
  // What changed, in words. The first snapshot says only what the sweep is; later ones are compared
  // with what was known, so that a reconnect repeats nothing.
  std::vector<ProgressEvent> Apply(const v1::WatchSweepResponse& response, int64_t now_ms);

  // A whole snapshot has been applied.
  bool ready() const { return ready_; }
  bool ended() const;
  const v1::Sweep& sweep() const { return sweep_; }
  const std::map<uint32_t, v1::Trial>& trials() const { return trials_; }
  const std::vector<v1::Worker>& workers() const { return workers_; }
  // Trials with a live process.
  size_t active() const { return active_; }

  // Remaining trials x mean time of an ended trial / trials running at once; nullopt until 3 trials
  // have ended.
  std::optional<int64_t> EtaMs() const;

  SweepView View(const ViewOptions& options) const;
  SummaryView Summary(int64_t now_ms) const;

 private:
  void ApplySweep(const v1::Sweep& sweep, int64_t now_ms, std::vector<ProgressEvent>* events);
  void ApplyTrial(const v1::Trial& trial, int64_t now_ms, std::vector<ProgressEvent>* events);
  void ApplyWorkers(const v1::WatchSweepResponse& response, int64_t now_ms,
                    std::vector<ProgressEvent>* events);
  // Anew, in the order in which they ended: a snapshot has them by number.
  void CountAllTrials();
  void CountTrial(const v1::Trial& trial);
  // What an ended trial adds to the best so far: its best value; where points are repeated their
  // mean, once the last trial of a point has ended.
  std::optional<double> JudgedValue(const v1::Trial& trial);
  void RecordBest();
  std::vector<const v1::Trial*> RowTrials(size_t rows_max) const;
  TrialRow RowOf(const v1::Trial& trial, const SweepView& view, int64_t now_ms) const;
  std::string WhereOf(const v1::Trial& trial) const;
  void FillWorkers(SweepView* view) const;

  v1::Sweep sweep_;
  std::map<uint32_t, v1::Trial> trials_;
  std::vector<v1::Worker> workers_;
  bool ready_ = false;
  std::string waiting_told_;
  std::set<uint32_t> in_snapshot_;  // trials seen in the snapshot under way
  bool snapshot_ = false;
  size_t active_ = 0;
  int64_t stopping_ = 0;
  size_t parallel_max_ = 0;
  size_t ended_ = 0;
  int64_t ended_ms_ = 0;  // sum of the ended trials' times
  std::vector<double> best_so_far_;
  std::optional<double> best_value_;
  struct PointSum {
    uint32_t ended = 0, values = 0;
    bool meets = true;  // the requirements
    double sum = 0;
  };
  std::map<uint32_t, PointSum> points_;  // those that are repeated
};

// What the whole sweep did, as the exit code of a command that waited for it.
int ExitCodeOf(const v1::Sweep& sweep);

ProgressEvent NoticeEvent(const std::string& text, int64_t now_ms);
// {"type":"trial_started",...}: one event on one line.
std::string EventJson(const ProgressEvent& event, const std::string& sweep);

RowState RowStateOf(v1::Trial::State state);
BestView BestViewOf(const v1::Sweep& sweep);

}  // namespace tunesmith
