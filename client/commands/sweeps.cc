// ls, show, best, stop, pause, resume, set, rm.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <utility>

#include "client/api/connection.h"
#include "client/api/convert.h"
#include "client/api/details.h"
#include "client/commands/commands.h"
#include "client/commands/report.h"
#include "client/exit_codes.h"
#include "client/format.h"
#include "client/output.h"
#include "common/text.h"

namespace tunesmith {
namespace {

int64_t WallMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::vector<Column> SweepColumns(bool for_people) {
  if (for_people) {
    return {{"sweep"},      {"state"},  {"trials", true}, {"failed", true},
            {"best", true}, {"metric"}, {"age", true}};
  }
  return {{"sweep"},     {"state"},   {"reason"}, {"create_time"}, {"end_time"},  {"target", true},
          {"pending"},   {"running"}, {"paused"}, {"completed"},   {"stopped"},   {"failed"},
          {"cancelled"}, {"metric"},  {"goal"},   {"best_trial"},  {"best_value"}};
}

std::vector<std::string> SweepCells(const v1::Sweep& sweep, int64_t now_ms) {
  const v1::Sweep::Counts& counts = sweep.counts();
  const int64_t ended =
      counts.completed() + counts.stopped() + counts.failed() + counts.cancelled();
  std::string trials = std::to_string(ended);
  if (counts.target() > 0) trials += "/" + std::to_string(counts.target());
  return {sweep.id(),
          StateWord(sweep.state()),
          trials,
          counts.failed() > 0 ? std::to_string(counts.failed()) : "-",
          HasSeveralObjectives(sweep.spec())
              ? "front of " + std::to_string(sweep.pareto_trials_size())
          : sweep.has_best_trial() ? ShortNumber(sweep.best_value(), 5)
                                   : "-",
          ObjectivesText(sweep.spec()),
          BriefDuration(now_ms - MsOf(sweep.create_time())) + " ago"};
}

std::vector<std::string> SweepCsv(const v1::Sweep& sweep) {
  const v1::Sweep::Counts& counts = sweep.counts();
  std::vector<std::string> cells = {sweep.id(), StateWord(sweep.state()), sweep.state_reason(),
                                    TimeText(sweep.create_time(), sweep.has_create_time()),
                                    TimeText(sweep.end_time(), sweep.has_end_time())};
  for (const int64_t count :
       {counts.target(), counts.pending(), counts.running(), counts.paused(), counts.completed(),
        counts.stopped(), counts.failed(), counts.cancelled()}) {
    cells.push_back(std::to_string(count));
  }
  cells.push_back(ObjectiveOf(sweep.spec()));
  cells.push_back(IsMaximised(sweep.spec()) ? "max" : "min");
  cells.push_back(sweep.has_best_trial() ? std::to_string(sweep.best_trial()) : "");
  cells.push_back(sweep.has_best_trial() ? ValueText(Value(sweep.best_value())) : "");
  return cells;
}

// Opens the connection and finds the sweep; tells what went wrong.
std::optional<v1::Sweep> Find(const Settings& settings, const std::string& text,
                              std::unique_ptr<Connection>* connection, int* exit_code) {
  auto opened = Connection::Open(settings, Need::kState);
  if (!opened.ok()) {
    *exit_code = Fail(opened.status());
    return std::nullopt;
  }
  *connection = *std::move(opened);
  StatusOr<v1::Sweep> sweep = ResolveSweep(&(*connection)->client(), text);
  if (sweep.ok()) return *std::move(sweep);
  *exit_code = Fail(sweep.status());
  return std::nullopt;
}

using SweepCall = std::function<Status(Connection*, const v1::Sweep&)>;

int ForEach(const Settings& settings, const std::vector<std::string>& sweeps,
            const SweepCall& call) {
  auto connection = Connection::Open(settings, Need::kState);
  if (!connection.ok()) return Fail(connection.status());
  int exit_code = kExitOk;
  for (const std::string& text : sweeps) {
    const auto sweep = ResolveSweep(&(*connection)->client(), text);
    Status status = sweep.status();
    if (sweep.ok()) status = call(connection->get(), *sweep);
    if (!status.ok()) exit_code = std::max<int>(exit_code, Fail(status));
  }
  return exit_code;
}

// Whether this command started the controller only for itself: then nothing runs the sweep.
bool NothingRuns(Connection* connection) {
  return connection->local() != nullptr && connection->local()->owner();
}

}  // namespace

int ListCommand(const Settings& settings) {
  Output out(STDOUT_FILENO);
  const bool for_people = settings.format == OutputFormat::kTable;
  RecordWriter writer(SweepColumns(for_people), RecordOptions(settings), &out);
  auto connection = Connection::Open(settings, Need::kState);
  if (connection.status().code() == StatusCode::kNotFound) {
    if (!settings.quiet) Say(Message(connection.status()));
    if (!for_people) writer.Finish();
    return Finished(&out, kExitOk);
  }
  if (!connection.ok()) return Fail(connection.status());
  const int64_t now_ms = WallMs();
  size_t count = 0;
  const Status status = (*connection)->client().ForEachSweep([&](const v1::Sweep& sweep) {
    ++count;
    if (settings.quiet) {
      out.Write(sweep.id() + "\n");
    } else if (writer.wants_json()) {
      writer.WriteJson(SweepJson(sweep, false));
    } else {
      writer.WriteCells(for_people ? SweepCells(sweep, now_ms) : SweepCsv(sweep));
    }
    return !out.broken();
  });
  if (!status.ok()) return Fail(status);
  if (count == 0 && for_people && !settings.quiet) {
    Say("no sweeps yet; start one with `tunesmith run`");
  } else if (!settings.quiet) {
    writer.Finish();
  }
  return Finished(&out, kExitOk);
}

int ShowCommand(const Settings& settings, const std::string& text, std::optional<uint32_t> number) {
  std::unique_ptr<Connection> connection;
  int exit_code = kExitOk;
  const auto sweep = Find(settings, text, &connection, &exit_code);
  if (!sweep.has_value()) return exit_code;
  Output out(STDOUT_FILENO);
  const bool json = settings.format != OutputFormat::kTable;
  DetailOptions options;
  options.now_ms = WallMs();
  options.unicode = settings.unicode;
  if (!number.has_value()) {
    if (json) {
      out.Write(SweepJson(*sweep, true) + "\n");
    } else {
      for (const std::string& line : SweepDetails(*sweep, options)) out.Write(line + "\n");
    }
    return Finished(&out, kExitOk);
  }
  const auto trial = connection->client().GetTrial(sweep->id(), *number);
  if (!trial.ok()) return Fail(trial.status());
  if (json) {
    out.Write(TrialJson(*trial) + "\n");
    return Finished(&out, kExitOk);
  }
  v1::ListMeasurementsRequest request;
  request.set_sweep(sweep->id());
  request.set_trial(*number);
  std::vector<v1::Measurement> measurements;
  const Status status =
      connection->client().ForEachMeasurement(request, [&](const v1::Measurement& measurement) {
        measurements.push_back(measurement);
        return true;
      });
  if (!status.ok()) return Fail(status);
  for (const std::string& line : TrialDetails(*sweep, *trial, measurements, options))
    out.Write(line + "\n");
  return Finished(&out, kExitOk);
}

namespace {

// With several objectives: the trials that no other one dominates, by the first objective.
int WriteFront(const Settings& settings, Connection* connection, const v1::Sweep& sweep) {
  if (sweep.pareto_trials().empty()) {
    Say("tunesmith: no trial of " + sweep.id() + " that has ended has reported " +
        ObjectivesText(sweep.spec()) +
        (sweep.spec().search().require().empty() ? " yet" : " and meets the requirements yet"));
    return kExitNoSuccess;
  }
  if (settings.args_format) {
    Say("tunesmith: the sweep has several objectives, and " +
        std::to_string(sweep.pareto_trials_size()) +
        " trials are best in their way; `tunesmith best " + sweep.id() + "` lists them, `tunesmith show " +
        sweep.id() + " TRIAL` has the command of one");
    return kExitUsage;
  }
  std::vector<v1::Trial> front;
  v1::ListTrialsRequest request;
  request.set_sweep(sweep.id());
  request.set_order(v1::ListTrialsRequest::BEST_FIRST);
  // They come first, unless the sweep goes on meanwhile.
  const Status status = connection->client().ForEachTrial(request, [&](const v1::Trial& trial) {
    if (!OnFront(sweep, trial.number())) return false;
    front.push_back(trial);
    return true;
  });
  if (!status.ok()) return Fail(status);
  Output out(STDOUT_FILENO);
  if (settings.quiet) {
    for (const v1::Trial& trial : front) out.Write(std::to_string(trial.number()) + "\n");
  } else if (settings.format == OutputFormat::kJson || settings.format == OutputFormat::kJsonl) {
    out.Write(FrontJson(sweep, front) + "\n");
  } else {
    const bool for_people = settings.format == OutputFormat::kTable;
    std::vector<Column> columns = {{for_people ? "#" : "trial", true}};
    for (const v1::Objective& objective : sweep.spec().search().metrics()) {
      columns.push_back({(for_people ? "" : "metric.") + objective.metric(), true});
    }
    for (const v1::ParameterSpec& parameter : sweep.spec().parameters())
      columns.push_back({(for_people ? "" : "param.") + parameter.name(), true});
    RecordWriter writer(columns, RecordOptions(settings), &out);
    for (const v1::Trial& trial : front) {
      std::vector<std::string> cells = {std::to_string(trial.number())};
      for (const v1::Objective& objective : sweep.spec().search().metrics()) {
        std::string& cell = cells.emplace_back();
        for (const v1::MetricValue& value : trial.objectives()) {
          if (value.name() == objective.metric())
            cell = for_people ? ShortNumber(value.value(), 6) : ValueText(Value(value.value()));
        }
      }
      for (const v1::ParameterSpec& parameter : sweep.spec().parameters()) {
        std::string& cell = cells.emplace_back();
        for (const v1::NamedValue& value : trial.parameters()) {
          if (value.name() == parameter.name()) cell = ValueText(ValueOf(value.value()));
        }
      }
      writer.WriteCells(std::move(cells));
    }
    writer.Finish();
  }
  return Finished(&out, kExitOk);
}

}  // namespace

int BestCommand(const Settings& settings, const std::string& text) {
  std::unique_ptr<Connection> connection;
  int exit_code = kExitOk;
  const auto sweep = Find(settings, text, &connection, &exit_code);
  if (!sweep.has_value()) return exit_code;
  if (HasSeveralObjectives(sweep->spec())) return WriteFront(settings, connection.get(), *sweep);
  if (!sweep->has_best_trial()) {
    Say("tunesmith: no trial of " + sweep->id() + " has reported " + ObjectiveOf(sweep->spec()) +
        (sweep->spec().search().require().empty() ? " yet" : " and meets the requirements yet"));
    return kExitNoSuccess;
  }
  Output out(STDOUT_FILENO);
  if (settings.quiet) {
    out.Write(std::to_string(sweep->best_trial()) + "\n");
  } else if (settings.args_format) {
    out.Write(ArgsOf(*sweep, sweep->best_parameters()) + "\n");
  } else if (settings.format == OutputFormat::kTable) {
    for (const std::string& line : BestDetails(*sweep)) out.Write(line + "\n");
  } else if (settings.format == OutputFormat::kCsv) {
    RecordWriter writer({{"name"}, {"value"}}, RecordOptions(settings), &out);
    for (const v1::NamedValue& parameter : sweep->best_parameters()) {
      writer.WriteCells({parameter.name(), ValueText(ValueOf(parameter.value()))});
    }
  } else {
    out.Write(BestJson(*sweep) + "\n");
  }
  return Finished(&out, kExitOk);
}

int StopCommand(const Settings& settings, const std::string& text, std::optional<uint32_t> number) {
  return ForEach(settings, {text}, [&](Connection* connection, const v1::Sweep& sweep) {
    if (number.has_value()) {
      TS_RETURN_IF_ERROR(connection->client().StopTrial(sweep.id(), *number).status());
      if (!settings.quiet)
        Say("trial " + std::to_string(*number) + " of " + sweep.id() + " is being stopped");
      return OkStatus();
    }
    TS_ASSIGN_OR_RETURN(const v1::Sweep now, connection->client().StopSweep(sweep.id()));
    if (settings.quiet) return OkStatus();
    Say(HasEnded(sweep)
            ? "sweep " + sweep.id() + " had ended already (" + StateWord(sweep.state()) + ")"
            : "sweep " + sweep.id() + " is " + StateWord(now.state()));
    return OkStatus();
  });
}

int PauseCommand(const Settings& settings, const std::vector<std::string>& sweeps) {
  return ForEach(settings, sweeps, [&](Connection* connection, const v1::Sweep& sweep) {
    TS_RETURN_IF_ERROR(connection->client().PauseSweep(sweep.id()).status());
    if (!settings.quiet) Say("sweep " + sweep.id() + " is paused; trials that run go on");
    return OkStatus();
  });
}

int ResumeCommand(const Settings& settings, const std::vector<std::string>& sweeps) {
  return ForEach(settings, sweeps, [&](Connection* connection, const v1::Sweep& sweep) {
    if (NothingRuns(connection)) {
      return FailedPrecondition(
          "no controller runs that could go on with it; use `tunesmith run --resume " + sweep.id() +
          "`");
    }
    TS_RETURN_IF_ERROR(connection->client().ResumeSweep(sweep.id()).status());
    if (!settings.quiet) Say("sweep " + sweep.id() + " goes on");
    return OkStatus();
  });
}

int SetCommand(const Settings& settings, const SetFlags& flags) {
  v1::UpdateSweepRequest request;
  if (flags.priority) request.set_priority(*flags.priority);
  if (flags.weight) request.set_weight(*flags.weight);
  if (flags.max_parallel) request.set_max_parallel(*flags.max_parallel);
  if (flags.preemptible == "checkpoint") request.set_preemptible(v1::SweepSpec::Share::CHECKPOINT);
  if (flags.preemptible == "never") request.set_preemptible(v1::SweepSpec::Share::NEVER);
  if (flags.preemptible == "always") request.set_preemptible(v1::SweepSpec::Share::ALWAYS);
  const bool nothing = !flags.priority && !flags.weight && !flags.max_parallel && flags.preemptible.empty();
  if (nothing) {
    Say("tunesmith: nothing to set; give --priority, --weight, --max-parallel or --preemptible");
    return kExitUsage;
  }
  return ForEach(settings, {flags.sweep}, [&](Connection* connection, const v1::Sweep& sweep) {
    if (NothingRuns(connection)) {
      return FailedPrecondition("no controller runs it now; start it with `tunesmith run --resume " + sweep.id() +
                                "`, then set");
    }
    request.set_sweep(sweep.id());
    TS_ASSIGN_OR_RETURN(const v1::Sweep now, connection->client().UpdateSweep(request));
    if (settings.quiet) return OkStatus();
    const auto& share = now.spec().share();
    const int32_t parallel = now.spec().budget().max_parallel();
    Say("sweep " + sweep.id() + ": priority " + std::to_string(share.priority()) + ", weight " +
        ShortText(share.has_weight() ? share.weight() : 1) + ", " +
        (parallel > 0 ? "at most " + Counted(parallel, "trial") + " at once" : "as many trials at once as fit"));
    return OkStatus();
  });
}

int RemoveCommand(const Settings& settings, const std::vector<std::string>& sweeps, bool force) {
  return ForEach(settings, sweeps, [&](Connection* connection, const v1::Sweep& sweep) {
    Status status = connection->client().DeleteSweep(sweep.id(), force);
    if (status.code() == StatusCode::kFailedPrecondition && !force) {
      return FailedPrecondition("sweep " + sweep.id() + " is " + StateWord(sweep.state()) +
                                "; stop it first, or use `rm --force`");
    }
    TS_RETURN_IF_ERROR(status);
    if (!settings.quiet) Say("sweep " + sweep.id() + " is removed");
    return OkStatus();
  });
}

}  // namespace tunesmith
