#include "client/api/live_sweep.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "client/api/convert.h"
#include "client/api/origin.h"
#include "client/exit_codes.h"
#include "client/format.h"
#include "client/json_object.h"
#include "common/text.h"
#include "search/space/value.h"

namespace tunesmith {
namespace {

constexpr size_t kEndedForEta = 3;
constexpr size_t kFailureTrialsShown = 5;
constexpr size_t kBestPointsMax = 1024;  // thinned above: a screen has a few hundred columns

bool IsActive(const v1::Trial& trial) {
  return trial.state() == v1::Trial::RUNNING || trial.state() == v1::Trial::STOPPING;
}

ViewGoal GoalOf(v1::Goal goal) { return goal == v1::GOAL_MAX ? ViewGoal::kMax : ViewGoal::kMin; }

std::string Upper(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return text;
}

std::vector<std::pair<std::string, ViewValue>> ViewParams(
    const google::protobuf::RepeatedPtrField<v1::NamedValue>& parameters) {
  std::vector<std::pair<std::string, ViewValue>> values;
  for (const v1::NamedValue& parameter : parameters) {
    values.emplace_back(parameter.name(), ViewValueOf(parameter.value()));
  }
  return values;
}

std::optional<int64_t> MaxStepOf(const v1::SweepSpec& spec) {
  const int64_t max_t = MaxTOf(SchedulerOf(spec.scheduler()));
  const int64_t max_steps = spec.stop().max_steps();
  if (max_t > 0 && max_steps > 0) return std::min(max_t, max_steps);
  return max_t + max_steps > 0 ? std::optional(max_t + max_steps) : std::nullopt;
}

std::vector<std::string> ParameterColumns(const v1::SweepSpec& spec) {
  std::vector<std::string> names(spec.parameter_columns().begin(), spec.parameter_columns().end());
  if (!names.empty()) return names;
  for (const v1::ParameterSpec& parameter : spec.parameters()) {
    if (!parameter.has_constant()) names.push_back(parameter.name());
  }
  return names;
}

// The metrics that were asked for; else those that steer the sweep, then others as they appeared.
std::vector<std::string> MetricColumns(const v1::Sweep& sweep) {
  std::vector<std::string> names(sweep.spec().metric_columns().begin(),
                                 sweep.spec().metric_columns().end());
  if (!names.empty()) return names;
  const auto add = [&](const std::string& name) {
    if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end())
      names.push_back(name);
  };
  add(sweep.spec().search().metric());
  for (const v1::Objective& objective : sweep.spec().search().metrics()) add(objective.metric());
  add(sweep.spec().scheduler().metric());
  for (const std::string& name : sweep.metric_names()) add(name);
  return names;
}

std::string SchedulerText(const v1::SchedulerSpec& scheduler) {
  if (scheduler.type() == "pbt") return "pbt every " + std::to_string(scheduler.pbt().perturbation_interval());
  if (scheduler.type() != "asha" && scheduler.type() != "hyperband" && scheduler.type() != "bohb") {
    return scheduler.type();
  }
  const SchedulerOptions options = SchedulerOf(scheduler);
  return scheduler.type() + (scheduler.promotion() ? " promotion " : " ") + ShortNumber(options.grace_period, 4) +
         ".." + std::to_string(MaxTOf(options)) + " by " + ShortNumber(ReductionFactorOf(options), 4);
}

// The controller counts trials that are being stopped among the running ones.
std::vector<std::pair<RowState, int64_t>> CountsOf(const v1::Sweep::Counts& counts,
                                                   int64_t stopping) {
  return {{RowState::kRunning, std::max<int64_t>(0, counts.running() - stopping)},
          {RowState::kStopping, stopping},
          {RowState::kCompleted, counts.completed()},
          {RowState::kStopped, counts.stopped()},
          {RowState::kPaused, counts.paused()},
          {RowState::kWaiting, counts.pending()},
          {RowState::kFailed, counts.failed()},
          {RowState::kCancelled, counts.cancelled()}};
}

int64_t EndedOf(const v1::Sweep::Counts& counts) {
  return counts.completed() + counts.stopped() + counts.failed() + counts.cancelled();
}

// Failures of one cause differ in numbers and paths only by accident; the first line says enough.
std::string CauseOf(const v1::Trial& trial) {
  const std::string line = FirstLine(trial.state_reason());
  return line.empty() ? "no reason given" : line;
}

std::vector<std::pair<std::string, double>> MetricsOf(const v1::Trial& trial) {
  std::vector<std::pair<std::string, double>> metrics;
  for (const v1::MetricValue& metric : trial.last_metrics())
    metrics.emplace_back(metric.name(), metric.value());
  return metrics;
}

ProgressEvent TrialEvent(ProgressEvent::Kind kind, const v1::Trial& trial, int64_t now_ms) {
  ProgressEvent event;
  event.kind = kind;
  event.time_ms = now_ms;
  event.trial = trial.number();
  if (!trial.attempts().empty()) event.attempt = trial.attempts().rbegin()->number();
  event.state = RowStateOf(trial.state());
  event.step = trial.last_step();
  return event;
}

std::string SweepText(const v1::Sweep& sweep) {
  const std::string word = StateWord(sweep.state());
  std::string text = Upper(word);
  // "PAUSED by a user"
  if (sweep.state_reason().rfind(word, 0) == 0) {
    return text + sweep.state_reason().substr(word.size());
  }
  if (!sweep.state_reason().empty()) text += ": " + sweep.state_reason();
  return text;
}

}  // namespace

RowState RowStateOf(v1::Trial::State state) {
  switch (state) {
    case v1::Trial::RUNNING:
      return RowState::kRunning;
    case v1::Trial::PAUSED:
      return RowState::kPaused;
    case v1::Trial::STOPPING:
      return RowState::kStopping;
    case v1::Trial::COMPLETED:
      return RowState::kCompleted;
    case v1::Trial::STOPPED:
      return RowState::kStopped;
    case v1::Trial::FAILED:
      return RowState::kFailed;
    case v1::Trial::CANCELLED:
      return RowState::kCancelled;
    default:
      return RowState::kWaiting;
  }
}

BestView BestViewOf(const v1::Sweep& sweep) {
  return {sweep.best_trial(), sweep.best_value(), ViewParams(sweep.best_parameters()),
          sweep.best_repeats()};
}

int ExitCodeOf(const v1::Sweep& sweep) {
  if (sweep.counts().completed() + sweep.counts().stopped() == 0) return kExitNoSuccess;
  return sweep.state() == v1::Sweep::SUCCEEDED ? kExitOk : kExitError;
}

ProgressEvent NoticeEvent(const std::string& text, int64_t now_ms) {
  ProgressEvent event;
  event.kind = ProgressEvent::Kind::kNotice;
  event.time_ms = now_ms;
  event.text = text;
  return event;
}

bool LiveSweep::ended() const { return HasEnded(sweep_); }

std::vector<ProgressEvent> LiveSweep::Apply(const v1::WatchSweepResponse& response,
                                            int64_t now_ms) {
  std::vector<ProgressEvent> events;
  if (response.snapshot()) {
    snapshot_ = true;
    in_snapshot_.clear();
  }
  // What the trials mean depends on the sweep.
  const bool first = sweep_.id().empty() && response.has_sweep();
  if (first) ApplySweep(response.sweep(), now_ms, &events);
  // Later trials come first: a new best names a trial whose start has been told.
  for (const v1::Trial& trial : response.trials()) ApplyTrial(trial, now_ms, &events);
  if (!first && response.has_sweep()) ApplySweep(response.sweep(), now_ms, &events);
  if (!response.workers().empty()) ApplyWorkers(response, now_ms, &events);
  if (response.snapshot_complete()) {
    std::erase_if(trials_, [&](const auto& entry) { return !in_snapshot_.contains(entry.first); });
    snapshot_ = false;
    ready_ = true;
    CountAllTrials();
  }
  active_ = 0;
  stopping_ = 0;
  for (const auto& [number, trial] : trials_) {
    if (IsActive(trial)) ++active_;
    if (trial.state() == v1::Trial::STOPPING) ++stopping_;
  }
  parallel_max_ = std::max(parallel_max_, active_);
  return events;
}

void LiveSweep::ApplySweep(const v1::Sweep& sweep, int64_t now_ms,
                           std::vector<ProgressEvent>* events) {
  const bool first = sweep_.id().empty();
  const bool state_changed = first || sweep.state() != sweep_.state();
  // A reason that comes and goes with every trial is told once.
  const bool waits_anew = sweep.state() == v1::Sweep::ACTIVE && !sweep.waiting_reason().empty() &&
                          sweep.waiting_reason() != waiting_told_;
  const bool best_changed = sweep.has_best_trial() &&
                            (!sweep_.has_best_trial() || sweep.best_value() != sweep_.best_value());
  std::vector<uint32_t> joined;
  for (const uint32_t trial : sweep.pareto_trials()) {
    if (!first && !OnFront(sweep_, trial)) joined.push_back(trial);
  }
  sweep_ = sweep;
  ProgressEvent event = NoticeEvent("", now_ms);
  for (const uint32_t number : joined) {
    const auto trial = trials_.find(number);
    if (trial == trials_.end()) continue;
    ProgressEvent news = TrialEvent(ProgressEvent::Kind::kNewBest, trial->second, now_ms);
    for (const v1::MetricValue& value : trial->second.objectives())
      news.metrics.emplace_back(value.name(), value.value());
    news.params = ViewParams(trial->second.parameters());
    events->push_back(std::move(news));
  }
  if (best_changed && !first) {
    event.kind = ProgressEvent::Kind::kNewBest;
    event.trial = sweep.best_trial();
    event.step = sweep.best_step();
    event.metrics = {{ObjectiveOf(sweep.spec()), sweep.best_value()}};
    event.params = ViewParams(sweep.best_parameters());
    events->push_back(event);
  }
  if (state_changed) {
    event.kind = ProgressEvent::Kind::kSweep;
    event.text = SweepText(sweep);
    if (first && EndedOf(sweep.counts()) > 0) {
      event.text += " (" + std::to_string(EndedOf(sweep.counts())) + " of " +
                    std::to_string(sweep.counts().target()) + " trials have ended)";
    }
    events->push_back(event);
  }
  if (!waits_anew) return;
  waiting_told_ = sweep.waiting_reason();
  events->push_back(NoticeEvent("waiting: " + waiting_told_, now_ms));
}

void LiveSweep::ApplyTrial(const v1::Trial& trial, int64_t now_ms,
                           std::vector<ProgressEvent>* events) {
  if (snapshot_) in_snapshot_.insert(trial.number());
  const auto known = trials_.find(trial.number());
  const bool is_new = known == trials_.end();
  const v1::Trial before = is_new ? v1::Trial() : known->second;
  trials_[trial.number()] = trial;
  const bool just_ended = HasEnded(trial) && !HasEnded(before);
  if (just_ended && !snapshot_) CountTrial(trial);
  // What had ended before anyone watched is no news.
  if (!ready_) return;
  const uint32_t attempt = trial.attempts().empty() ? 0 : trial.attempts().rbegin()->number();
  const uint32_t attempt_before =
      before.attempts().empty() ? 0 : before.attempts().rbegin()->number();
  if (attempt > attempt_before) {
    ProgressEvent event = TrialEvent(ProgressEvent::Kind::kTrialStarted, trial, now_ms);
    event.where = WhereOf(trial);
    event.params = ViewParams(trial.parameters());
    events->push_back(std::move(event));
  }
  if (!HasEnded(trial) && trial.last_step() > before.last_step()) {
    ProgressEvent event = TrialEvent(ProgressEvent::Kind::kReport, trial, now_ms);
    event.max_step = MaxStepOf(sweep_.spec());
    event.metrics = MetricsOf(trial);
    events->push_back(std::move(event));
  }
  if (just_ended) {
    ProgressEvent event = TrialEvent(ProgressEvent::Kind::kTrialEnded, trial, now_ms);
    event.max_step = MaxStepOf(sweep_.spec());
    event.metrics = MetricsOf(trial);
    event.text = trial.state_reason();
    events->push_back(std::move(event));
  }
}

void LiveSweep::ApplyWorkers(const v1::WatchSweepResponse& response, int64_t now_ms,
                             std::vector<ProgressEvent>* events) {
  for (const v1::Worker& worker : response.workers()) {
    const auto known = std::find_if(workers_.begin(), workers_.end(),
                                    [&](const v1::Worker& w) { return w.name() == worker.name(); });
    const bool news = known == workers_.end() || known->state() != worker.state();
    if (!news || !ready_) continue;
    ProgressEvent event = NoticeEvent("", now_ms);
    event.kind = ProgressEvent::Kind::kWorker;
    event.text = worker.name() + " is " + StateWord(worker.state());
    if (!worker.state_reason().empty()) event.text += ": " + worker.state_reason();
    events->push_back(std::move(event));
  }
  workers_.assign(response.workers().begin(), response.workers().end());
}

void LiveSweep::CountAllTrials() {
  ended_ = 0;
  ended_ms_ = 0;
  best_so_far_.clear();
  best_value_.reset();
  points_.clear();
  std::vector<const v1::Trial*> ended;
  for (const auto& [number, trial] : trials_) {
    if (HasEnded(trial)) ended.push_back(&trial);
  }
  std::stable_sort(ended.begin(), ended.end(), [](const v1::Trial* a, const v1::Trial* b) {
    return MsOf(a->end_time()) < MsOf(b->end_time());
  });
  for (const v1::Trial* trial : ended) CountTrial(*trial);
}

void LiveSweep::CountTrial(const v1::Trial& trial) {
  const auto elapsed = ElapsedMs(trial.has_start_time(), trial.start_time(), trial.has_end_time(),
                                 trial.end_time(), 0);
  if (elapsed.has_value() && trial.has_end_time()) {
    ++ended_;
    ended_ms_ += *elapsed;
  }
  if (const auto value = JudgedValue(trial)) {
    const bool better = !best_value_.has_value() || (IsMaximised(sweep_.spec()) ? *value > *best_value_
                                                                                : *value < *best_value_);
    if (better) best_value_ = *value;
  }
  if (best_value_.has_value()) RecordBest();
}

std::optional<double> LiveSweep::JudgedValue(const v1::Trial& trial) {
  if (HasSeveralObjectives(sweep_.spec())) return std::nullopt;
  const bool has_value = trial.has_best_value() && std::isfinite(trial.best_value());
  const uint32_t repeats =
      sweep_.spec().has_repeats() ? static_cast<uint32_t>(std::max(1, sweep_.spec().repeats())) : 1;
  if (repeats == 1)
    return has_value && trial.violation() <= 0 ? std::optional(trial.best_value()) : std::nullopt;
  PointSum& point = points_[trial.number() / repeats];
  ++point.ended;
  const bool counts =
      trial.state() == v1::Trial::COMPLETED || trial.state() == v1::Trial::STOPPED;
  if (has_value && counts) {
    point.sum += trial.best_value();
    ++point.values;
    point.meets = point.meets && trial.violation() <= 0;
  }
  if (point.ended < repeats || point.values == 0 || !point.meets) return std::nullopt;
  return point.sum / point.values;
}

void LiveSweep::RecordBest() {
  best_so_far_.push_back(*best_value_);
  if (best_so_far_.size() <= kBestPointsMax) return;
  for (size_t i = 0; i < best_so_far_.size() / 2; ++i) best_so_far_[i] = best_so_far_[2 * i + 1];
  best_so_far_.resize(best_so_far_.size() / 2);
}

std::optional<int64_t> LiveSweep::EtaMs() const {
  const int64_t target = sweep_.counts().target();
  if (ended_ < kEndedForEta || target == 0 || ended()) return std::nullopt;
  const int64_t remaining = std::max<int64_t>(0, target - EndedOf(sweep_.counts()));
  const double parallel =
      static_cast<double>(std::max<size_t>(1, active_ > 0 ? active_ : parallel_max_));
  const double mean_ms = static_cast<double>(ended_ms_) / static_cast<double>(ended_);
  return static_cast<int64_t>(static_cast<double>(remaining) * mean_ms / parallel);
}

std::string LiveSweep::WhereOf(const v1::Trial& trial) const {
  if (trial.attempts().empty()) return "";
  const v1::Attempt& attempt = *trial.attempts().rbegin();
  std::vector<std::string> indexes;
  for (const std::string& uuid : attempt.devices()) {
    for (const v1::Worker& worker : workers_) {
      if (worker.name() != attempt.worker()) continue;
      for (const v1::Device& device : worker.devices()) {
        if (device.uuid() == uuid) indexes.push_back(std::to_string(device.index()));
      }
    }
  }
  return indexes.empty() ? attempt.worker() : attempt.worker() + ":" + Join(indexes, ",");
}

TrialRow LiveSweep::RowOf(const v1::Trial& trial, const SweepView& view, int64_t now_ms) const {
  TrialRow row;
  row.number = trial.number();
  row.state = RowStateOf(trial.state());
  row.step = trial.last_step();
  row.max_step = MaxStepOf(sweep_.spec());
  for (const std::string& name : view.metric_columns) {
    std::optional<double> value;
    // The column of the objective ranks the trials, so it shows the value that they are ranked by.
    if (name == view.metric && trial.has_best_value()) {
      value = trial.best_value();
    } else {
      for (const v1::MetricValue& metric : trial.last_metrics()) {
        if (metric.name() == name) value = metric.value();
      }
    }
    row.metrics.push_back(value);
  }
  for (const std::string& name : view.param_columns) {
    ViewValue value;
    for (const v1::NamedValue& parameter : trial.parameters()) {
      if (parameter.name() == name) value = ViewValueOf(parameter.value());
    }
    row.params.push_back(std::move(value));
  }
  row.curve.assign(trial.curve().begin(), trial.curve().end());
  row.from = OriginWord(trial);
  row.where = WhereOf(trial);
  row.time_ms = ElapsedMs(trial.has_start_time(), trial.start_time(), trial.has_end_time(),
                          trial.end_time(), now_ms);
  const uint32_t attempt = trial.attempts().empty() ? 0 : trial.attempts().rbegin()->number();
  if (trial.state() == v1::Trial::PENDING && attempt > 0) {
    row.state_text = "retry " + std::to_string(attempt + 1);
    row.note = trial.attempts().rbegin()->reason();
    row.time_ms.reset();
  }
  if (trial.state() == v1::Trial::FAILED) row.note = CauseOf(trial);
  row.front = OnFront(sweep_, trial.number());
  if (row.note.empty() && HasEnded(trial) && trial.violation() > 0)
    row.note = "infeasible by " + ShortNumber(trial.violation(), 3);
  return row;
}

std::vector<const v1::Trial*> LiveSweep::RowTrials(size_t rows_max) const {
  std::vector<const v1::Trial*> rows;
  rows.reserve(trials_.size());
  for (const auto& [number, trial] : trials_) rows.push_back(&trial);
  if (rows.size() <= rows_max) return rows;
  const bool maximised = IsMaximised(sweep_.spec());
  const auto before = [&](const v1::Trial* a, const v1::Trial* b) {
    if (IsActive(*a) != IsActive(*b)) return IsActive(*a);
    const bool front = OnFront(sweep_, a->number());
    if (front != OnFront(sweep_, b->number())) return front;
    if (a->violation() != b->violation()) return a->violation() < b->violation();
    if (a->has_best_value() != b->has_best_value()) return a->has_best_value();
    if (a->has_best_value() && a->best_value() != b->best_value()) {
      return maximised ? a->best_value() > b->best_value() : a->best_value() < b->best_value();
    }
    return a->number() > b->number();
  };
  std::partial_sort(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(rows_max), rows.end(),
                    before);
  rows.resize(rows_max);
  return rows;
}

void LiveSweep::FillWorkers(SweepView* view) const {
  for (const v1::Worker& worker : workers_) {
    WorkerView shown;
    shown.name = worker.name();
    if (worker.state() != v1::Worker::ONLINE) shown.state = StateWord(worker.state());
    if (worker.state() == v1::Worker::OFFLINE && worker.running().empty()) continue;
    shown.slots_total = worker.cpus();
    shown.slots_used = worker.cpus_used();
    for (const v1::Device& device : worker.devices()) {
      DeviceView one;
      one.name = std::to_string(device.index());
      one.busy = device.used() > 0;
      shown.devices.push_back(std::move(one));
    }
    view->workers.push_back(std::move(shown));
  }
}

SweepView LiveSweep::View(const ViewOptions& options) const {
  SweepView view;
  const v1::SweepSpec& spec = sweep_.spec();
  view.name = sweep_.id();
  view.state = Upper(StateWord(sweep_.state()));
  view.elapsed_ms = ElapsedMs(sweep_.has_create_time(), sweep_.create_time(), sweep_.has_end_time(),
                              sweep_.end_time(), options.now_ms)
                        .value_or(0);
  view.controller = options.controller;
  view.notice = !options.notice.empty() ? options.notice : ended() ? "" : sweep_.waiting_reason();
  view.done = EndedOf(sweep_.counts());
  if (sweep_.counts().target() > 0) view.total = sweep_.counts().target();
  view.eta_ms = EtaMs();
  view.counts = CountsOf(sweep_.counts(), stopping_);
  view.metric = ObjectiveOf(spec);
  view.goal = GoalOf(spec.search().goal());
  if (sweep_.has_best_trial()) view.best = BestViewOf(sweep_);
  if (HasSeveralObjectives(spec)) {
    for (const v1::Objective& objective : spec.search().metrics())
      view.objectives.emplace_back(objective.metric(), GoalOf(objective.goal()));
    view.front.assign(sweep_.pareto_trials().begin(), sweep_.pareto_trials().end());
  }
  view.best_so_far = best_so_far_;
  view.searcher = spec.search().type();
  view.scheduler = SchedulerText(spec.scheduler());
  view.rung_metric = spec.scheduler().metric();
  view.rung_goal =
      GoalOf(view.rung_metric.empty() ? spec.search().goal() : spec.scheduler().goal());
  const bool pauses = Pauses(SchedulerOf(spec.scheduler()));
  for (const v1::Sweep::Rung& rung : sweep_.rungs()) {
    const int64_t held = pauses ? rung.recorded() - rung.promoted() : rung.stopped();
    RungView shown{rung.bracket(), rung.milestone(), rung.recorded(), held, std::nullopt};
    if (rung.has_cutoff()) shown.cutoff = rung.cutoff();
    view.rungs.push_back(shown);
  }
  FillWorkers(&view);
  view.metric_columns = MetricColumns(sweep_);
  view.param_columns = ParameterColumns(spec);
  for (const v1::Trial* trial : RowTrials(options.rows_max))
    view.rows.push_back(RowOf(*trial, view, options.now_ms));
  view.hints = options.hints;
  return view;
}

SummaryView LiveSweep::Summary(int64_t now_ms) const {
  SummaryView view;
  view.name = sweep_.id();
  view.state = Upper(StateWord(sweep_.state()));
  view.elapsed_ms = ElapsedMs(sweep_.has_create_time(), sweep_.create_time(), sweep_.has_end_time(),
                              sweep_.end_time(), now_ms)
                        .value_or(0);
  view.counts = CountsOf(sweep_.counts(), stopping_);
  view.metric = ObjectiveOf(sweep_.spec());
  view.goal = GoalOf(sweep_.spec().search().goal());
  if (HasSeveralObjectives(sweep_.spec())) {
    view.front.assign(sweep_.pareto_trials().begin(), sweep_.pareto_trials().end());
    for (const v1::Objective& objective : sweep_.spec().search().metrics()) {
      view.objectives.push_back(objective.metric() +
                                (objective.goal() == v1::GOAL_MAX ? " (max)" : " (min)"));
    }
  }
  if (sweep_.has_best_trial()) {
    view.best = BestViewOf(sweep_);
    if (sweep_.best_repeats() == 0) view.best_step = sweep_.best_step();
    view.argv = CommandOf(sweep_, sweep_.best_trial(), sweep_.best_parameters());
  }
  for (const auto& [number, trial] : trials_) {
    if (trial.state() == v1::Trial::COMPLETED && trial.has_best_value() && trial.violation() <= 0 &&
        !view.first_value.has_value()) {
      view.first_value = trial.best_value();
    }
    if (trial.state() != v1::Trial::FAILED) continue;
    const std::string cause = CauseOf(trial);
    auto found = std::find_if(view.failures.begin(), view.failures.end(),
                              [&](const FailureCause& f) { return f.cause == cause; });
    if (found == view.failures.end())
      found = view.failures.insert(view.failures.end(), FailureCause{cause, 0, {}});
    ++found->count;
    if (found->trials.size() < kFailureTrialsShown) found->trials.push_back(number);
  }
  std::stable_sort(view.failures.begin(), view.failures.end(),
                   [](const FailureCause& a, const FailureCause& b) { return a.count > b.count; });
  return view;
}

std::string EventJson(const ProgressEvent& event, const std::string& sweep) {
  using Kind = ProgressEvent::Kind;
  JsonObject object;
  static constexpr const char* kTypes[] = {"sweep",    "trial_started", "report", "trial_ended",
                                           "new_best", "worker",        "notice"};
  object.Text("type", kTypes[static_cast<size_t>(event.kind)]);
  google::protobuf::Timestamp time;
  time.set_seconds(event.time_ms / 1000);
  time.set_nanos(static_cast<int32_t>(event.time_ms % 1000) * 1'000'000);
  object.Text("time", TimeText(time, true)).Text("sweep", sweep);
  const bool of_trial = event.kind == Kind::kTrialStarted || event.kind == Kind::kReport ||
                        event.kind == Kind::kTrialEnded || event.kind == Kind::kNewBest;
  if (!of_trial) return object.Text("text", event.text).Finish();
  object.Integer("trial", event.trial);
  if (event.kind == Kind::kTrialStarted)
    object.Integer("attempt", event.attempt).Text("where", event.where);
  if (event.kind == Kind::kTrialEnded)
    object.Text("state", RowStateWord(event.state)).Text("reason", event.text);
  if (event.kind != Kind::kTrialStarted) {
    object.Integer("step", event.step);
    JsonObject metrics;
    for (const auto& [name, value] : event.metrics) metrics.Number(name, value);
    object.Raw("metrics", metrics.Finish());
  }
  if (event.kind == Kind::kTrialStarted || event.kind == Kind::kNewBest) {
    JsonObject parameters;
    for (const auto& [name, value] : event.params) {
      Value plain;
      std::visit([&](const auto& v) { plain = v; }, value);
      parameters.Raw(name, ValueJson(plain));
    }
    object.Raw("parameters", parameters.Finish());
  }
  return object.Finish();
}

}  // namespace tunesmith
