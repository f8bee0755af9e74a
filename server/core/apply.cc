// The only mutators of durable state, one per event.
#include <algorithm>
#include <bit>
#include <cmath>

#include "common/check.h"
#include "common/limits.h"
#include "search/pareto/pareto.h"
#include "server/core/repeats.h"
#include "server/core/rules.h"
#include "server/core/state.h"

namespace tunesmith {

const char* Name(SweepState state) {
  switch (state) {
    case SweepState::kActive: return "active";
    case SweepState::kPaused: return "paused";
    case SweepState::kStopping: return "stopping";
    case SweepState::kSucceeded: return "succeeded";
    case SweepState::kFailed: return "failed";
    case SweepState::kCancelled: return "cancelled";
  }
  return "?";
}

const char* Name(TrialState state) {
  switch (state) {
    case TrialState::kPending: return "pending";
    case TrialState::kRunning: return "running";
    case TrialState::kPaused: return "paused";
    case TrialState::kStopping: return "stopping";
    case TrialState::kCompleted: return "completed";
    case TrialState::kStopped: return "stopped";
    case TrialState::kFailed: return "failed";
    case TrialState::kCancelled: return "cancelled";
  }
  return "?";
}

const char* Name(AttemptState state) {
  switch (state) {
    case AttemptState::kStarting: return "starting";
    case AttemptState::kRunning: return "running";
    case AttemptState::kStopping: return "stopping";
    case AttemptState::kSucceeded: return "succeeded";
    case AttemptState::kFailed: return "failed";
    case AttemptState::kLost: return "lost";
    case AttemptState::kCancelled: return "cancelled";
    case AttemptState::kPreempted: return "preempted";
  }
  return "?";
}

const char* Name(Origin::Kind kind) {
  switch (kind) {
    case Origin::Kind::kUnknown: return "unknown";
    case Origin::Kind::kUser: return "user";
    case Origin::Kind::kStart: return "start";
    case Origin::Kind::kPrior: return "prior";
    case Origin::Kind::kModel: return "model";
    case Origin::Kind::kGrid: return "grid";
    case Origin::Kind::kRepeat: return "repeat";
  }
  return "?";
}

const char* Name(Origin::Judge judge) {
  switch (judge) {
    case Origin::Judge::kNone: return "none";
    case Origin::Judge::kTpe: return "tpe";
    case Origin::Judge::kGp: return "gp";
    case Origin::Judge::kForest: return "forest";
    case Origin::Judge::kCmaes: return "cmaes";
  }
  return "?";
}

bool Better(Goal goal, double a, double b) {
  if (std::isnan(a)) return false;
  if (std::isnan(b)) return true;
  return goal == Goal::kMin ? a < b : a > b;
}

bool OlderCheckpoint(const StoredCheckpoint& a, const StoredCheckpoint& b) {
  return std::pair(a.attempt, a.step) < std::pair(b.attempt, b.step);
}

bool Trial::NewestIsStored() const {
  if (StoredCheckpoints().empty()) return false;
  const StoredCheckpoint& newest = checkpoints->stored.back();
  if (newest.step >= last_step) return true;
  if (checkpoints->named.empty()) return false;
  const TrialCheckpoints::Named& named = checkpoints->named.back();
  return std::pair(named.attempt, named.step) <= std::pair(newest.attempt, newest.step);
}

namespace {

constexpr size_t kChangesMax = 65'536;  // late changes kept per sweep for watchers

void SetState(Sweep* sweep, uint32_t number, TrialState state) {
  Trial& trial = sweep->trials[number];
  --sweep->counts[static_cast<size_t>(trial.state)];
  ++sweep->counts[static_cast<size_t>(state)];
  trial.state = state;
  if (trial.Preempting()) {
    sweep->preempting.insert(number);
  } else {
    sweep->preempting.erase(number);
  }
  if (state == TrialState::kPending) {
    sweep->pending.Insert(trial, number);
  } else {
    sweep->pending.Erase(number);
  }
  if (state == TrialState::kRunning || state == TrialState::kStopping) {
    sweep->live.insert(number);
  } else {
    sweep->live.erase(number);
  }
  if (state == TrialState::kPaused) {
    sweep->paused.insert(number);
  } else {
    sweep->paused.erase(number);
  }
}

// Keeps at most kCurvePointsMax points, evenly thinned, the last one always there.
void AddCurvePoint(Trial* trial, double value) {
  std::vector<double>& curve = trial->curve;
  const uint32_t index = trial->curve_reports++;
  // The last point is provisional unless it fell on the stride.
  const bool last_on_stride = index == 0 || (index - 1) % trial->curve_stride == 0;
  if (!curve.empty() && !last_on_stride) curve.pop_back();
  curve.push_back(value);
  if (curve.size() > kCurvePointsMax) {
    size_t kept = 0;
    for (size_t i = 0; i < curve.size(); i += 2) curve[kept++] = curve[i];
    curve.resize(kept);
    trial->curve_stride *= 2;
  }
}

void ConsiderBest(Sweep* sweep, uint32_t number) {
  const Trial& trial = sweep->trials[number];
  if (!trial.has_best || trial.state == TrialState::kFailed || !sweep->goals.empty()) return;
  if (ViolationOf(*sweep, trial) > 0) return;
  if (!sweep->best_trial || Better(sweep->spec->search.goal, trial.best_value,
                                   sweep->trials[*sweep->best_trial].best_value)) {
    sweep->best_trial = number;
  }
}

// Of points that are run several times, with the mean of their trials. All of them have ended: one lucky run is not the
// best.
void ConsiderBestPoint(Sweep* sweep, uint32_t first) {
  const auto mean = BestMeanOf(*sweep, first);
  if (!mean || !sweep->goals.empty()) return;
  if (PointObservation(*sweep, first)->violation > 0) return;  // a trial of it does not meet the requirements
  if (!sweep->best_trial ||
      Better(sweep->spec->search.goal, mean->value, BestMeanOf(*sweep, *sweep->best_trial)->value)) {
    sweep->best_trial = first;
  }
}

void RecomputeBest(Sweep* sweep) {
  sweep->best_trial.reset();
  for (uint32_t i = 0; i < sweep->trials.size(); ++i) ConsiderBest(sweep, i);
}

// With several objectives: what no other ended trial dominates, or no other point whose trials have all ended.
void ConsiderFront(Sweep* sweep, uint32_t number) {
  if (sweep->goals.empty()) return;
  if (RepeatsOf(*sweep) == 1) {
    const Trial& trial = sweep->trials[number];
    if (trial.state == TrialState::kFailed || ViolationOf(*sweep, trial) > 0) return;
  } else {
    const auto point = PointObservation(*sweep, number);
    if (!point || point->outcome == Outcome::kFailed || point->violation > 0) return;
  }
  const auto losses_of = [&](uint32_t other) {
    std::vector<double> losses;
    AppendLosses(RepeatsOf(*sweep) == 1 ? ObjectiveValues(*sweep, sweep->trials[other])
                                        : PointObservation(*sweep, other)->values,
                 sweep->goals, &losses);
    return losses;
  };
  const std::vector<double> losses = losses_of(number);
  if (std::any_of(losses.begin(), losses.end(), [](double x) { return std::isnan(x); })) return;
  std::vector<uint32_t> kept;
  for (const uint32_t other : sweep->pareto) {
    const std::vector<double> others = losses_of(other);
    if (Dominates(others.data(), losses.data(), losses.size())) return;
    if (!Dominates(losses.data(), others.data(), losses.size())) kept.push_back(other);
  }
  if (kept.size() >= kParetoTrialsMax) return;
  kept.insert(std::lower_bound(kept.begin(), kept.end(), number), number);
  sweep->pareto = std::move(kept);
}

void WatchMetrics(Sweep* sweep) {
  const SearchSpec& search = sweep->spec->search;
  for (const Objective& objective : search.objectives) {
    sweep->watched_names.push_back(objective.metric);
    sweep->goals.push_back(objective.goal);
  }
  for (const std::string& text : search.require) {
    std::string why, hint;
    auto requirement = ParseRequirement(text, &why, &hint);
    TS_CHECK(requirement.has_value(), "journaled sweep with an invalid requirement");
    sweep->watched_names.push_back(requirement->metric);
    sweep->requirements.push_back(std::move(*requirement));
  }
  sweep->watched_slots.resize(sweep->watched_names.size());
}

}  // namespace

struct State::Applier {
  State* state;

  Sweep& Get(SweepId id) {
    const auto it = state->sweeps_.find(id);
    TS_CHECK(it != state->sweeps_.end(), "event of an unknown sweep");
    return *it->second;
  }

  Trial& Get(Sweep* sweep, uint32_t number) {
    TS_CHECK(number < sweep->trials.size(), "event of an unknown trial");
    return sweep->trials[number];
  }

  Attempt& Get(Sweep* sweep, const AttemptId& id) {
    Trial& trial = Get(sweep, id.trial.number);
    TS_CHECK(id.number >= 1 && id.number <= trial.attempts.size(), "event of an unknown attempt");
    return trial.attempts[id.number - 1];
  }

  void Changed(Sweep* sweep) { sweep->revision = ++state->revision_; }

  void Changed(Sweep* sweep, uint32_t number) {
    Changed(sweep);
    sweep->trials[number].revision = sweep->revision;
    sweep->changes.emplace_back(sweep->revision, number);
    if (sweep->changes.size() > kChangesMax) {
      sweep->changes_floor = sweep->changes.front().first;
      sweep->changes.pop_front();
    }
  }

  void operator()(const SweepCreated& e) {
    auto sweep = std::make_unique<Sweep>();
    sweep->number = e.sweep;
    sweep->id = e.id;
    sweep->request_id = e.request_id;
    sweep->spec = std::make_shared<const SweepSpec>(e.spec);
    Problems problems;
    auto space = Space::Create(e.spec.parameters, e.spec.constraints, &problems);
    TS_CHECK(space.has_value(), "journaled sweep with an invalid space");
    sweep->space = std::make_shared<const Space>(std::move(*space));
    WatchMetrics(sweep.get());
    sweep->seed = e.seed;
    sweep->scheduler = MakeScheduler(SchedulerOptionsOf(e.spec, e.seed), &problems);
    TS_CHECK(sweep->scheduler != nullptr, "journaled sweep with an invalid scheduler");
    sweep->created = sweep->idle_since = e.time;
    const uint64_t cells = sweep->space->GridCells();
    const auto trials = static_cast<uint64_t>(std::max<int64_t>(e.spec.budget.trials, 0));
    const auto repeats = static_cast<uint64_t>(e.spec.repeats);
    const uint64_t points = std::min<uint64_t>(cells > 1 && e.spec.search.type != "grid" ? trials * cells : trials,
                                               static_cast<uint64_t>(kTrialsPerSweepMax) / repeats);
    sweep->target = static_cast<int64_t>(points * repeats);
    state->last_sweep_ = std::max(state->last_sweep_, e.sweep);
    state->by_id_[e.id] = e.sweep;
    if (!e.request_id.empty()) state->by_request_[e.request_id] = e.sweep;
    Changed(sweep.get());
    state->sweeps_[e.sweep] = std::move(sweep);
  }

  void operator()(const SweepChanged& e) {
    Sweep& sweep = Get(e.sweep);
    if (sweep.state == SweepState::kPaused && e.state == SweepState::kActive) sweep.idle_since = e.time;
    sweep.state = e.state;
    sweep.becomes = e.becomes;
    sweep.delete_when_ended = e.delete_when_ended;
    sweep.reason = e.reason;
    if (IsTerminal(e.state)) {
      sweep.ended = e.time;
      sweep.earlier = {};
    }
    Changed(&sweep);
  }

  void operator()(const SweepUpdated& e) {
    Sweep& sweep = Get(e.sweep);
    SweepSpec spec = *sweep.spec;
    spec.share = e.share;
    spec.budget.max_parallel = e.max_parallel;
    sweep.spec = std::make_shared<const SweepSpec>(std::move(spec));
    Changed(&sweep);
  }

  void operator()(const SweepDeleted& e) {
    Sweep& sweep = Get(e.sweep);
    state->by_id_.erase(sweep.id);
    if (!sweep.request_id.empty()) state->by_request_.erase(sweep.request_id);
    state->sweeps_.erase(e.sweep);
    state->last_epoch_ = std::max(state->last_epoch_, e.last_epoch);
    ++state->revision_;
  }

  void operator()(const SpaceExhausted& e) {
    Sweep& sweep = Get(e.sweep);
    sweep.exhausted = true;
    Changed(&sweep);
  }

  void operator()(const TrialCreated& e) {
    Sweep& sweep = Get(e.trial.sweep);
    TS_CHECK(e.trial.number == sweep.trials.size(), "trials are numbered without a gap");
    Trial& trial = sweep.trials.emplace_back();
    trial.point = e.point;
    trial.bracket = e.bracket;
    trial.from_user = e.from_user;
    trial.origin = e.origin;
    trial.repeat_of = e.repeat_of;
    trial.created = e.time;
    ++sweep.counts[static_cast<size_t>(TrialState::kPending)];
    sweep.pending.Insert(trial, e.trial.number);
    sweep.scheduler->AddTrial(e.trial.number, e.bracket);
    if (!sweep.milestones.contains(e.bracket)) sweep.milestones[e.bracket] = sweep.scheduler->Milestones(e.bracket);
    Changed(&sweep, e.trial.number);
  }

  void operator()(const AttemptLeased& e) {
    Sweep& sweep = Get(e.attempt.trial.sweep);
    Trial& trial = Get(&sweep, e.attempt.trial.number);
    TS_CHECK(trial.LiveAttempt() == nullptr, "a trial has at most one live attempt");
    TS_CHECK(e.attempt.number == trial.attempts.size() + 1, "attempts are numbered without a gap");
    Attempt attempt;
    attempt.epoch = e.epoch;
    attempt.worker = e.worker;
    attempt.client = e.client;
    attempt.lease_ms = e.lease_ms;
    attempt.cpus = e.cpus;
    attempt.gpus = static_cast<float>(e.gpus);
    attempt.devices = e.devices;
    attempt.start = attempt.latest = e.time;
    attempt.guarded = sweep.live.empty() && (e.time - sweep.idle_since).ms >= kStarvedMs;
    sweep.cpus_used += attempt.cpus;
    sweep.gpus_used += static_cast<double>(attempt.gpus);
    trial.attempts.push_back(std::move(attempt));
    trial.steps_before = std::max(trial.steps_before, trial.last_step);
    trial.promoted = trial.takes_turns = false;
    if (trial.started.ms == 0) trial.started = e.time;
    SetState(&sweep, e.attempt.trial.number, TrialState::kRunning);
    state->last_epoch_ = std::max(state->last_epoch_, e.epoch);
    Changed(&sweep, e.attempt.trial.number);
  }

  void operator()(const AttemptRunning& e) {
    Sweep& sweep = Get(e.attempt.trial.sweep);
    Attempt& attempt = Get(&sweep, e.attempt);
    if (attempt.state == AttemptState::kStarting) attempt.state = AttemptState::kRunning;
    attempt.sequence = e.sequence;
    attempt.latest = e.time;
    sweep.start_failures_in_row = 0;
    Changed(&sweep, e.attempt.trial.number);
  }

  void operator()(const MetricNamed& e) {
    Sweep& sweep = Get(e.sweep);
    TS_CHECK(e.slot == sweep.metric_names.size(), "metric slots are given without a gap");
    sweep.metric_names.push_back(e.name);
    if (e.name == sweep.spec->search.metric) sweep.search_slot = e.slot;
    if (e.name == SchedulerMetric(*sweep.spec)) sweep.schedule_slot = e.slot;
    if (sweep.spec->stop.plateau && e.name == PlateauMetric(*sweep.spec)) sweep.plateau_slot = e.slot;
    for (size_t i = 0; i < sweep.watched_names.size(); ++i) {
      if (e.name == sweep.watched_names[i]) sweep.watched_slots[i] = e.slot;
    }
    Changed(&sweep);
  }

  void operator()(const Measured& e) {
    Sweep& sweep = Get(e.attempt.trial.sweep);
    const uint32_t number = e.attempt.trial.number;
    Trial& trial = Get(&sweep, number);
    Attempt& attempt = Get(&sweep, e.attempt);
    attempt.sequence = e.sequence;
    attempt.latest = e.time;
    if (attempt.state == AttemptState::kStarting) attempt.state = AttemptState::kRunning;
    sweep.start_failures_in_row = 0;
    ++trial.measurements;
    ++sweep.measurements;
    trial.last_step = e.step;
    trial.last_metrics = e.metrics;
    Watch(&sweep, number, e.metrics);
    if (e.step > trial.steps_before) KeepLatest(sweep, e.metrics, &trial);
    for (const SlotValue& metric : e.metrics) {
      if (!sweep.search_slot || metric.slot != *sweep.search_slot) continue;
      trial.has_value = true;
      trial.last_value = metric.value;
      if (e.step > trial.steps_before) AddCurvePoint(&trial, metric.value);
      if (!std::isnan(metric.value) &&
          (!trial.has_best || Better(sweep.spec->search.goal, metric.value, trial.best_value))) {
        trial.has_best = true;
        trial.best_value = metric.value;
        trial.best_step = e.step;
        if (RepeatsOf(sweep) == 1) ConsiderBest(&sweep, number);
      }
    }
    const std::vector<int64_t>& milestones = sweep.milestones.at(trial.bracket);
    while (trial.rung_values.size() < milestones.size() && milestones[trial.rung_values.size()] <= e.step) {
      trial.rung_values.push_back(trial.has_value ? trial.last_value : std::nan(""));
      sweep.results.push_back(number);
    }
    if (!e.checkpoint.empty()) NameCheckpoint(sweep, &trial, e);
    if (!ByRules(e.verdict)) sweep.scheduler->Apply(number, e.verdict);
    if (e.verdict.action != Action::kContinue && (trial.state == TrialState::kRunning || trial.Preempting())) {
      if (std::exchange(trial.preempting, false)) trial.reason.clear();
      trial.stop_verdict = e.verdict;
      attempt.state = AttemptState::kStopping;
      SetState(&sweep, number, TrialState::kStopping);
    }
    Changed(&sweep, number);
  }

  // A copy of it may be on its way, or here before the report.
  void NameCheckpoint(const Sweep& sweep, Trial* trial, const Measured& e) {
    if (trial->checkpoints == nullptr) trial->checkpoints = std::make_unique<TrialCheckpoints>();
    const auto metric = std::find_if(e.metrics.begin(), e.metrics.end(), [&](const SlotValue& m) {
      return sweep.search_slot && m.slot == *sweep.search_slot;
    });
    const double value = metric == e.metrics.end() ? std::nan("") : metric->value;
    auto& named = trial->checkpoints->named;
    named.push_back({e.attempt.number, e.step, value});
    if (named.size() > kNamedCheckpointsMax) named.erase(named.begin());
    for (StoredCheckpoint& stored : trial->checkpoints->stored) {
      if (stored.attempt == e.attempt.number && stored.step == e.step) stored.value = value;
    }
  }

  void operator()(const CheckpointStored& e) {
    Sweep& sweep = Get(e.trial.sweep);
    Trial& trial = Get(&sweep, e.trial.number);
    if (trial.checkpoints == nullptr) trial.checkpoints = std::make_unique<TrialCheckpoints>();
    auto& stored = trial.checkpoints->stored;
    StoredCheckpoint checkpoint = e.checkpoint;
    for (const TrialCheckpoints::Named& named : trial.checkpoints->named) {
      if (named.attempt == checkpoint.attempt && named.step == checkpoint.step) checkpoint.value = named.value;
    }
    const auto place = std::lower_bound(stored.begin(), stored.end(), checkpoint, OlderCheckpoint);
    sweep.checkpoint_bytes += checkpoint.bytes;
    if (place != stored.end() && !OlderCheckpoint(checkpoint, *place)) {  // sent once more
      sweep.checkpoint_bytes -= place->bytes;
      *place = std::move(checkpoint);
    } else {
      stored.insert(place, std::move(checkpoint));
    }
    Changed(&sweep, e.trial.number);
  }

  void operator()(const CheckpointDropped& e) {
    Sweep& sweep = Get(e.trial.sweep);
    Trial& trial = Get(&sweep, e.trial.number);
    if (trial.checkpoints == nullptr) return;
    std::erase_if(trial.checkpoints->stored, [&](const StoredCheckpoint& stored) {
      const bool dropped = stored.attempt == e.attempt && stored.step == e.step;
      if (dropped) sweep.checkpoint_bytes -= stored.bytes;
      return dropped;
    });
    Changed(&sweep, e.trial.number);
  }

  // Of stop.plateau's metric.
  static void KeepLatest(const Sweep& sweep, const std::vector<SlotValue>& metrics, Trial* trial) {
    for (const SlotValue& metric : metrics) {
      if (sweep.plateau_slot != metric.slot) continue;
      const auto kept = static_cast<size_t>(sweep.spec->stop.plateau->num_results);
      if (trial->latest.size() == kept) trial->latest.erase(trial->latest.begin());
      trial->latest.push_back(metric.value);
      ++trial->latest_reports;
    }
  }

  // Keeps the last values of what decides whether the trial counts.
  void Watch(Sweep* sweep, uint32_t number, const std::vector<SlotValue>& metrics) {
    if (sweep->watched_names.empty()) return;
    Trial& trial = sweep->trials[number];
    trial.watched.resize(sweep->watched_names.size(), std::nan(""));
    for (const SlotValue& metric : metrics) {
      for (size_t i = 0; i < sweep->watched_slots.size(); ++i) {
        if (sweep->watched_slots[i] != metric.slot) continue;
        trial.watched[i] = metric.value;
        trial.watched_seen |= uint64_t{1} << i;
      }
    }
    if (sweep->requirements.empty()) return;
    if (RepeatsOf(*sweep) > 1) return;
    if (sweep->best_trial != number) {
      ConsiderBest(sweep, number);
    } else if (ViolationOf(*sweep, trial) > 0) {
      RecomputeBest(sweep);
    }
  }

  void operator()(const TrialStopping& e) {
    Sweep& sweep = Get(e.trial.sweep);
    Trial& trial = Get(&sweep, e.trial.number);
    trial.reason = e.reason;
    // About to pause, it would wait to be let on: that is over.
    if (trial.Pausing()) sweep.scheduler->RemoveTrial(e.trial.number);
    trial.stop_verdict = {};
    trial.preempting = e.preempts;
    if (trial.lineage != nullptr) trial.lineage->due.reset();
    if (Attempt* attempt = trial.LiveAttempt()) attempt->state = AttemptState::kStopping;
    SetState(&sweep, e.trial.number, TrialState::kStopping);
    Changed(&sweep, e.trial.number);
  }

  void operator()(const PausedJudged& e) {
    Sweep& sweep = Get(e.trial.sweep);
    Trial& trial = Get(&sweep, e.trial.number);
    TS_CHECK(trial.state == TrialState::kPaused || trial.Pausing(), "only of paused trials");
    sweep.scheduler->Apply(e.trial.number, e.verdict);
    if (e.verdict.action == Action::kStop) trial.stop_verdict = e.verdict;
    if (e.verdict.action != Action::kContinue) return Changed(&sweep, e.trial.number);
    trial.promoted = true;
    trial.takes_turns = e.verdict.reason == Reason::kTakesTurn;
    if (!trial.Pausing()) Requeue(&sweep, e.trial.number);  // else once its processes are gone
    Changed(&sweep, e.trial.number);
  }

  void operator()(const TrialExploited& e) {
    Sweep& sweep = Get(e.trial.sweep);
    const uint32_t number = e.trial.number;
    Trial& trial = Get(&sweep, number);
    TS_CHECK(trial.state == TrialState::kPaused || trial.Pausing(), "only a paused trial takes over");
    const Trial& donor = Get(&sweep, e.donor);
    if (trial.lineage == nullptr) trial.lineage = std::make_unique<Lineage>();
    const auto attempt = static_cast<uint32_t>(trial.attempts.size()) + 1;
    StoredCheckpoint copy = e.from;
    copy.attempt = attempt;
    copy.value = std::nan("");  // reported by another trial
    trial.lineage->due.emplace(
        Exploit{.donor = e.donor, .donor_attempt = e.from.attempt, .step = e.from.step, .attempt = attempt,
                .donor_point = donor.point, .point = e.point, .time = e.time},
        std::move(copy));
    sweep.scheduler->Exploit(number, e.donor, e.from.step);
    trial.promoted = trial.takes_turns = e.verdict.action == Action::kContinue;
    if (trial.state == TrialState::kPaused) {
      TakeOver(&sweep, number);
      if (trial.promoted) Requeue(&sweep, number);
    }
    Changed(&sweep, number);
  }

  // Its processes are gone: from now on it is what the donor was, with another point. What it had reported stays a
  // fact, but counts no more: those weights do not exist any longer.
  void TakeOver(Sweep* sweep, uint32_t number) {
    Trial& trial = sweep->trials[number];
    auto& [exploit, copy] = *trial.lineage->due;
    exploit.left_step = trial.last_step;
    exploit.left_point = std::move(trial.point);
    trial.point = exploit.point;
    trial.last_step = trial.steps_before = exploit.step;
    trial.latest = {};
    trial.latest_reports = 0;
    if (trial.checkpoints == nullptr) trial.checkpoints = std::make_unique<TrialCheckpoints>();
    sweep->checkpoint_bytes += copy.bytes;
    trial.checkpoints->stored.push_back(std::move(copy));  // of an attempt that is to come: the newest
    trial.lineage->exploits.push_back(std::move(exploit));
    trial.lineage->due.reset();
    trial.has_best = false;
    if (sweep->best_trial == number) RecomputeBest(sweep);
  }

  void Requeue(Sweep* sweep, uint32_t number) {
    Trial& trial = sweep->trials[number];
    trial.stop_verdict = {};
    if (std::exchange(trial.preempting, false)) trial.reason.clear();
    SetState(sweep, number, TrialState::kPending);
  }

  void operator()(const AttemptEnded& e) {
    Sweep& sweep = Get(e.attempt.trial.sweep);
    const uint32_t number = e.attempt.trial.number;
    Trial& trial = Get(&sweep, number);
    Attempt& attempt = Get(&sweep, e.attempt);
    attempt.state = e.state;
    attempt.end = e.time;
    sweep.cpus_used -= attempt.cpus;
    sweep.gpus_used -= static_cast<double>(attempt.gpus);
    sweep.gpu_ms += GpuMs(attempt, e.time);
    if (e.sequence > 0) attempt.sequence = e.sequence;
    if (e.exit.exit_code.value_or(0) != 0 || e.exit.signal != 0 || !e.exit.reason.empty()) {
      attempt.exit = std::make_unique<AttemptExit>(e.exit);
    }
    attempt.devices.shrink_to_fit();
    if (e.state == AttemptState::kLost) {
      attempt.fenced = e.sequence == 0;
      ++sweep.attempts_lost;
      if (trial.losses < UINT8_MAX) ++trial.losses;
    }
    if (e.state == AttemptState::kFailed) {
      if (trial.failures < UINT8_MAX) ++trial.failures;
      if (e.exit.start_failed) ++sweep.start_failures_in_row;
    }
    const bool pauses = trial.Pausing() && e.state != AttemptState::kSucceeded;
    if (pauses && trial.lineage != nullptr && trial.lineage->due) TakeOver(&sweep, number);
    if (e.requeue || (pauses && trial.promoted)) {
      Requeue(&sweep, number);
    } else if (pauses) {
      SetState(&sweep, number, TrialState::kPaused);
    }
    // What ends for good is still listed as live here: its TrialEnded comes next.
    if (sweep.live.size() == sweep.live.count(number)) sweep.idle_since = e.time;
    Changed(&sweep, number);
  }

  void operator()(const TrialEnded& e) {
    Sweep& sweep = Get(e.trial.sweep);
    Trial& trial = Get(&sweep, e.trial.number);
    trial.ended = e.time;
    trial.reason = e.reason;
    trial.preempting = false;
    if (trial.lineage != nullptr) trial.lineage->due.reset();
    sweep.scheduler->Apply(e.trial.number, e.final_verdict);
    sweep.scheduler->RemoveTrial(e.trial.number);
    SetState(&sweep, e.trial.number, e.state);
    sweep.finished.push_back(e.trial.number);
    sweep.results.push_back(e.trial.number);
    trial.curve.shrink_to_fit();
    trial.latest = {};
    trial.rung_values.shrink_to_fit();
    trial.attempts.shrink_to_fit();
    trial.last_metrics.shrink_to_fit();
    if (trial.checkpoints != nullptr) {
      // Copies of the last ones may still come.
      auto& named = trial.checkpoints->named;
      constexpr size_t kOnTheirWay = 2;
      if (named.size() > kOnTheirWay) named.erase(named.begin(), named.end() - kOnTheirWay);
      named.shrink_to_fit();
    }
    const uint32_t first = FirstOf(sweep, e.trial.number);
    if (RepeatsOf(sweep) == 1) {
      if (e.state == TrialState::kFailed && sweep.best_trial == first) RecomputeBest(&sweep);
      ConsiderFront(&sweep, first);
    } else if (PointHasEnded(sweep, first)) {
      ConsiderBestPoint(&sweep, first);
      ConsiderFront(&sweep, first);
    }
    Changed(&sweep, e.trial.number);
  }

  void operator()(const WarmStarted& e) {
    Sweep& sweep = Get(e.sweep);
    sweep.earlier.push_back({e.point, e.value});
    if (sweep.warm_started.empty() || sweep.warm_started.back().first != e.from) {
      sweep.warm_started.emplace_back(e.from, 0);
    }
    ++sweep.warm_started.back().second;
    Changed(&sweep);
  }

  void operator()(const WorkerRegistered& e) {
    state->workers_[e.worker].name = e.name;
    state->worker_by_name_[e.name] = e.worker;
    state->last_worker_ = std::max(state->last_worker_, e.worker);
    ++state->revision_;
  }

  void operator()(const WorkerDrained& e) {
    WorkerIdentity& worker = state->workers_[e.worker];
    worker.drained = e.drained && !e.quarantine;
    worker.quarantined = e.drained && e.quarantine;
    worker.reason = e.reason;
    ++state->revision_;
  }
};

void State::Apply(const Event& event) { std::visit(Applier{this}, event); }

const Sweep* State::FindSweep(SweepId sweep) const {
  const auto it = sweeps_.find(sweep);
  return it == sweeps_.end() ? nullptr : it->second.get();
}

const Sweep* State::FindSweep(const std::string& id) const {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : FindSweep(it->second);
}

const Trial* State::FindTrial(TrialId trial) const {
  const Sweep* sweep = FindSweep(trial.sweep);
  return sweep == nullptr ? nullptr : sweep->Find(trial.number);
}

WorkerId State::FindWorker(const std::string& name) const {
  const auto it = worker_by_name_.find(name);
  return it == worker_by_name_.end() ? WorkerId() : it->second;
}

SweepId State::FindRequest(const std::string& request_id) const {
  const auto it = by_request_.find(request_id);
  return it == by_request_.end() ? SweepId() : it->second;
}

namespace {

// Order-dependent 64-bit digest.
class Digest {
 public:
  void Add(uint64_t x) { hash_ = Mix64(hash_ ^ Mix64(x)); }
  void Add(double x) { Add(std::isnan(x) ? uint64_t{0x7ff8} : std::bit_cast<uint64_t>(x)); }
  void Add(const std::string& text) {
    Add(text.size());
    uint64_t word = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      word = (word << 8U) | static_cast<unsigned char>(text[i]);
      if (i % 8 == 7) Add(std::exchange(word, 0));
    }
    Add(word);
  }
  uint64_t value() const { return hash_; }

 private:
  uint64_t hash_ = 0x243f6a8885a308d3ULL;
};

void AddExploit(const Exploit& exploit, Digest* digest) {
  digest->Add(uint64_t{exploit.donor} << 32U | exploit.donor_attempt);
  digest->Add(static_cast<uint64_t>(exploit.step));
  digest->Add(static_cast<uint64_t>(exploit.left_step));
  digest->Add(uint64_t{exploit.attempt});
  for (const Point* point : {&exploit.left_point, &exploit.donor_point, &exploit.point}) digest->Add(HashPoint(*point));
  digest->Add(static_cast<uint64_t>(exploit.time.ms));
}

void AddTrial(const Trial& trial, Digest* digest) {
  digest->Add(static_cast<uint64_t>(trial.state));
  digest->Add(HashPoint(trial.point));
  digest->Add(static_cast<uint64_t>(trial.origin.kind) * 256 + static_cast<uint64_t>(trial.origin.judge));
  digest->Add(trial.origin.predicted);
  digest->Add(uint64_t{trial.origin.rank} << 32U | trial.origin.of);
  digest->Add(trial.repeat_of ? uint64_t{*trial.repeat_of} : UINT64_MAX);
  digest->Add(static_cast<uint64_t>(trial.bracket));
  digest->Add(static_cast<uint64_t>(trial.measurements));
  digest->Add(static_cast<uint64_t>(trial.last_step));
  digest->Add(static_cast<uint64_t>(trial.steps_before));
  digest->Add(trial.last_value);
  digest->Add(trial.has_best ? trial.best_value : 0.0);
  digest->Add(static_cast<uint64_t>(trial.best_step));
  digest->Add(static_cast<uint64_t>(trial.has_value));
  digest->Add(static_cast<uint64_t>(trial.stop_verdict.action));
  digest->Add(static_cast<uint64_t>(trial.stop_verdict.reason) * 4 + static_cast<uint64_t>(trial.preempting) * 2 +
              static_cast<uint64_t>(trial.promoted));
  digest->Add(static_cast<uint64_t>(trial.takes_turns));
  if (trial.lineage != nullptr) {
    for (const Exploit& exploit : trial.lineage->exploits) AddExploit(exploit, digest);
    if (trial.lineage->due) AddExploit(trial.lineage->due->first, digest);
  }
  digest->Add(static_cast<uint64_t>(trial.ended.ms));
  digest->Add(static_cast<uint64_t>(trial.failures) * 256 + trial.losses);
  for (const SlotValue& metric : trial.last_metrics) {
    digest->Add(uint64_t{metric.slot});
    digest->Add(metric.value);
  }
  for (double value : trial.curve) digest->Add(value);
  for (double value : trial.watched) digest->Add(value);
  for (double value : trial.latest) digest->Add(value);
  digest->Add(uint64_t{trial.latest_reports});
  digest->Add(trial.watched_seen);
  for (double value : trial.rung_values) digest->Add(value);
  for (const Attempt& attempt : trial.attempts) {
    digest->Add(static_cast<uint64_t>(attempt.state));
    digest->Add(attempt.epoch.value);
    digest->Add(attempt.worker.value);
    digest->Add(attempt.sequence * 2 + static_cast<uint64_t>(attempt.guarded));
    for (const std::string& device : attempt.devices) digest->Add(device);
  }
  digest->Add(trial.reason);
  for (const StoredCheckpoint& checkpoint : trial.StoredCheckpoints()) {
    digest->Add(uint64_t{checkpoint.attempt});
    digest->Add(static_cast<uint64_t>(checkpoint.step));
    digest->Add(static_cast<uint64_t>(checkpoint.bytes));
    digest->Add(checkpoint.name);
    digest->Add(checkpoint.sha256);
    digest->Add(checkpoint.value);
  }
}

}  // namespace

uint64_t State::Hash() const {
  Digest digest;
  for (const auto& [id, sweep] : sweeps_) {
    digest.Add(id.value);
    digest.Add(sweep->id);
    digest.Add(static_cast<uint64_t>(sweep->state));
    digest.Add(static_cast<uint64_t>(sweep->becomes) * 2 + static_cast<uint64_t>(sweep->delete_when_ended));
    digest.Add(sweep->reason);
    digest.Add(sweep->seed);
    digest.Add(uint64_t{sweep->best_trial.value_or(UINT32_MAX)});
    for (const uint32_t number : sweep->pareto) digest.Add(uint64_t{number});
    digest.Add(static_cast<uint64_t>(sweep->attempts_lost));
    digest.Add(static_cast<uint64_t>(sweep->idle_since.ms));
    digest.Add(static_cast<uint64_t>(int64_t{sweep->spec->share.priority}));
    digest.Add(sweep->spec->share.weight);
    digest.Add(static_cast<uint64_t>(sweep->spec->share.preemptible));
    digest.Add(static_cast<uint64_t>(sweep->spec->budget.max_parallel));
    digest.Add(static_cast<uint64_t>(sweep->cpus_used));
    digest.Add(sweep->gpus_used);
    digest.Add(uint64_t{sweep->start_failures_in_row});
    digest.Add(sweep->gpu_ms);
    digest.Add(static_cast<uint64_t>(sweep->exhausted));
    digest.Add(static_cast<uint64_t>(sweep->measurements));
    for (const std::string& name : sweep->metric_names) digest.Add(name);
    for (const Trial& trial : sweep->trials) AddTrial(trial, &digest);
    for (uint32_t number : sweep->results) digest.Add(uint64_t{number});
    for (const EarlierTrial& trial : sweep->earlier) {
      digest.Add(HashPoint(trial.point));
      digest.Add(trial.value);
    }
    for (const auto& [from, trials] : sweep->warm_started) {
      digest.Add(from);
      digest.Add(uint64_t{trials});
    }
    for (const RungStatus& rung : sweep->scheduler->Rungs()) {
      digest.Add(rung.milestone);
      digest.Add(uint64_t{rung.recorded});
      digest.Add(uint64_t{rung.promoted} << 32U | rung.waiting);
      digest.Add(rung.cutoff.value_or(0.0));
    }
  }
  for (const auto& [id, worker] : workers_) {
    digest.Add(id.value);
    digest.Add(worker.name);
    digest.Add(static_cast<uint64_t>(worker.drained) * 2 + static_cast<uint64_t>(worker.quarantined));
  }
  digest.Add(last_sweep_.value);
  digest.Add(last_epoch_.value);
  return digest.value();
}

}  // namespace tunesmith
