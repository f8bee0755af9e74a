// replay: what another scheduler would have done on a sweep that has been run.
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "client/api/connection.h"
#include "client/api/convert.h"
#include "client/commands/commands.h"
#include "client/commands/report.h"
#include "client/exit_codes.h"
#include "client/output.h"
#include "client/replay.h"
#include "client/replay_text.h"
#include "common/limits.h"
#include "common/text.h"
#include "spec/sweep_spec.h"

namespace tunesmith {
namespace {

constexpr char kPopulation[] = "pbt";

// The metric that the run's own scheduler follows.
Objective SchedulerMetricOf(const v1::SweepSpec& spec) {
  const bool own = !spec.scheduler().metric().empty();
  const bool max = own ? spec.scheduler().goal() == v1::GOAL_MAX : IsMaximised(spec);
  return {own ? spec.scheduler().metric() : ObjectiveOf(spec), max ? Goal::kMax : Goal::kMin};
}

int RefusePopulation(const std::string& file) {
  Say("tunesmith: " + file +
      ": scheduler.type: pbt can't be replayed: it changes the parameters of trials while they run, and what they "
      "would have reported then is unknown (use asha, hyperband, median or fifo)");
  return kExitUsage;
}

// The trials, with what each used until each of its reports.
class Collector {
 public:
  Collector(Client* client, v1::Sweep sweep, Objective metric, Objective objective)
      : client_(client), sweep_(std::move(sweep)), metric_(std::move(metric)), objective_(std::move(objective)) {
    input_.objective_goal = objective_.goal;
  }

  Status Read() {
    v1::ListTrialsRequest trials;
    trials.set_sweep(sweep_.id());
    trials.set_page_size(static_cast<int32_t>(kPageSizeMax));
    Status failed = OkStatus();
    TS_RETURN_IF_ERROR(client_->ForEachTrial(trials, [&](const v1::Trial& trial) {
      failed = AddTrial(trial);
      return failed.ok();
    }));
    TS_RETURN_IF_ERROR(failed);
    const int64_t target = sweep_.counts().target();
    input_.all_created = HasEnded(sweep_) || (target > 0 && static_cast<int64_t>(input_.trials.size()) >= target);
    v1::ListMeasurementsRequest measurements;
    measurements.set_sweep(sweep_.id());
    measurements.set_page_size(static_cast<int32_t>(kPageSizeMax));
    return client_->ForEachMeasurement(measurements, [this](const v1::Measurement& measurement) {
      AddReport(measurement);
      return true;
    });
  }

  ReplayInput Take() && {
    for (size_t number = 0; number < input_.trials.size(); ++number) {
      ReplayTrial& trial = input_.trials[number];
      for (const Span& span : attempts_[number]) trial.used_ms += std::max<int64_t>(0, span.end - span.start);
    }
    return std::move(input_);
  }
  const std::vector<std::string>& states() const { return states_; }

 private:
  struct Span {
    int64_t start = 0;
    int64_t end = 0;  // of one that runs: its last report
    bool open = false;
  };

  Status AddTrial(const v1::Trial& listed) {
    // They come by number; what was created meanwhile is there too.
    if (listed.number() != input_.trials.size()) return Internal("the trials of the sweep are not numbered one by one");
    // Lists leave out all attempts but the last.
    StatusOr<v1::Trial> whole = listed;
    if (!listed.attempts().empty() && listed.attempts().rbegin()->number() > 1)
      whole = client_->GetTrial(sweep_.id(), listed.number());
    if (!whole.ok()) return whole.status();
    const v1::Trial& trial = *whole;
    ReplayTrial& out = input_.trials.emplace_back();
    out.end = EndOf(trial);
    out.stopped_early = trial.state() == v1::Trial::STOPPED;
    out.may_be_best = trial.state() != v1::Trial::FAILED && trial.violation() == 0;
    out.create_ms = MsOf(trial.create_time());
    out.end_ms = trial.has_end_time() ? MsOf(trial.end_time()) : out.create_ms;
    states_.push_back(StateWord(trial.state()));
    std::vector<Span>& spans = attempts_.emplace_back();
    for (const v1::Attempt& attempt : trial.attempts()) {
      const int64_t start = MsOf(attempt.start_time());
      spans.push_back({start, attempt.has_end_time() ? MsOf(attempt.end_time()) : start, !attempt.has_end_time()});
    }
    return OkStatus();
  }

  static ReplayTrial::End EndOf(const v1::Trial& trial) {
    using End = ReplayTrial::End;
    if (!HasEnded(trial)) return End::kNone;
    if (trial.state() == v1::Trial::FAILED) return End::kFailed;
    if (trial.state() != v1::Trial::COMPLETED) return End::kCut;
    // By the run's scheduler; the sweep's own rules would have ended it all the same.
    Verdict at_max;
    at_max.reason = Reason::kReachedMax;
    return trial.state_reason() == Explain(at_max, "", Goal::kMin) ? End::kCut : End::kCompleted;
  }

  void AddReport(const v1::Measurement& measurement) {
    const uint32_t number = measurement.trial();
    // Of a trial that was created after the trials were listed.
    if (number >= input_.trials.size()) return;
    ReplayReport report;
    report.trial = number;
    report.attempt = measurement.attempt();
    report.step = measurement.step();
    report.time_ms = MsOf(measurement.time());
    std::vector<Span>& spans = attempts_[number];
    for (size_t i = 0; i < spans.size() && i < measurement.attempt(); ++i) {
      const bool present = i + 1 == measurement.attempt();
      if (present && spans[i].open) spans[i].end = std::max(spans[i].end, report.time_ms);
      report.used_ms += std::max<int64_t>(0, (present ? report.time_ms : spans[i].end) - spans[i].start);
    }
    for (const v1::MetricValue& metric : measurement.metrics()) {
      if (metric.name() == metric_.metric) report.value = metric.value();
      if (metric.name() == objective_.metric) report.objective = metric.value();
    }
    input_.reports.push_back(report);
  }

  Client* client_;
  const v1::Sweep sweep_;
  const Objective metric_, objective_;
  ReplayInput input_;
  std::vector<std::vector<Span>> attempts_;
  std::vector<std::string> states_;
};

Status NothingToReplay(const v1::Sweep& sweep, const std::string& metric, const std::string& file) {
  const std::vector<std::string> names(sweep.metric_names().begin(), sweep.metric_names().end());
  if (names.empty())
    return FailedPrecondition("sweep " + sweep.id() + " has no measurements: there is nothing to replay");
  if (metric.empty() || std::find(names.begin(), names.end(), metric) != names.end()) return OkStatus();
  return InvalidArgument("no trial of " + sweep.id() + " has reported " + metric + ", by which the scheduler of " +
                         file + " judges; they reported " + Join(names, ", ") +
                         " (name one of them there: scheduler.metric)");
}

int Write(const Settings& settings, const ReplayFlags& flags, const ReplayResult& result, const ReplayNames& names) {
  Output out(STDOUT_FILENO);
  std::vector<uint32_t> trials = MostTelling(result);
  const auto limit = static_cast<size_t>(flags.limit);
  if (limit > 0 && trials.size() > limit) trials.resize(limit);
  if (settings.format == OutputFormat::kJson) {
    std::string json = ReplaySummaryJson(result, names);
    json.pop_back();
    out.Write(json + ",\"decisions\":[");
    for (size_t i = 0; i < trials.size(); ++i)
      out.Write((i == 0 ? "\n" : ",\n") + ReplayTrialJson(result, names, trials[i]));
    out.Write("\n]}\n");
    return Finished(&out, kExitOk);
  }
  const bool for_people = settings.format == OutputFormat::kTable;
  if (for_people && !settings.quiet) {
    for (const std::string& line : ReplaySummary(result, names)) out.Write(line + "\n");
    out.Write("\n");
  }
  RecordWriter writer(ReplayColumns(names, for_people), RecordOptions(settings), &out);
  if (writer.wants_json()) writer.WriteJson(ReplaySummaryJson(result, names));
  for (const uint32_t trial : trials) {
    writer.wants_json() ? writer.WriteJson(ReplayTrialJson(result, names, trial))
                        : writer.WriteCells(ReplayCells(result, names, trial, for_people));
  }
  writer.Finish();
  return Finished(&out, kExitOk);
}

}  // namespace

int ReplayCommand(const Settings& settings, const ReplayFlags& flags) {
  auto connection = Connection::Open(settings, Need::kState);
  if (!connection.ok()) return Fail(connection.status());
  Client& client = (*connection)->client();
  const auto sweep = ResolveSweep(&client, flags.sweep);
  if (!sweep.ok()) return Fail(sweep.status());

  const Objective lent = SchedulerMetricOf(sweep->spec());
  int exit_code = kExitOk;
  const auto spec = LoadScheduler(flags.scheduler, &lent, &exit_code);
  if (!spec) return exit_code;
  if (spec->scheduler.type == kPopulation) return RefusePopulation(flags.scheduler);
  Problems problems;
  // The brackets of the run, unless the file has a seed of its own.
  const auto scheduler = MakeScheduler(SchedulerOptionsOf(*spec, spec->search.seed.value_or(sweep->seed())), &problems);
  if (scheduler == nullptr) return Fail(Internal("the scheduler of " + flags.scheduler + " can't be made"));

  ReplayNames names;
  names.sweep = sweep->id();
  names.run_scheduler = sweep->spec().scheduler().type().empty() ? "fifo" : sweep->spec().scheduler().type();
  names.scheduler = spec->scheduler.type;
  names.metric = spec->scheduler.type == "fifo" ? "" : SchedulerMetric(*spec);
  names.goal = SchedulerGoal(*spec);
  names.objective = ObjectiveOf(sweep->spec());
  names.objective_goal = IsMaximised(sweep->spec()) ? Goal::kMax : Goal::kMin;
  names.gpus = sweep->device() == "gpu" ? sweep->spec().resources().gpus() : 0;
  names.finished = HasEnded(*sweep);
  const Status nothing = NothingToReplay(*sweep, names.metric, flags.scheduler);
  if (!nothing.ok()) return Fail(nothing);

  Collector collector(&client, *sweep, {names.metric, names.goal}, {names.objective, names.objective_goal});
  const Status read = collector.Read();
  if (!read.ok()) return Fail(read);
  names.states = collector.states();
  const ReplayInput input = std::move(collector).Take();
  names.reports = input.reports.size();
  return Write(settings, flags, RunReplay(scheduler.get(), input), names);
}

}  // namespace tunesmith
