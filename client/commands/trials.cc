// trials, logs, export.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <utility>

#include "client/api/connection.h"
#include "client/api/convert.h"
#include "client/api/origin.h"
#include "client/commands/commands.h"
#include "client/commands/report.h"
#include "client/exit_codes.h"
#include "client/format.h"
#include "client/output.h"
#include "common/limits.h"
#include "common/text.h"

namespace tunesmith {
namespace {

constexpr int kDigits = 5;

int64_t WallMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::vector<std::string> ParameterNames(const v1::SweepSpec& spec) {
  std::vector<std::string> names;
  for (const v1::ParameterSpec& parameter : spec.parameters()) names.push_back(parameter.name());
  return names;
}

std::vector<std::string> MetricNames(const v1::Sweep& sweep) {
  return {sweep.metric_names().begin(), sweep.metric_names().end()};
}

std::string ParameterCell(const v1::Trial& trial, const std::string& name, bool exact) {
  for (const v1::NamedValue& parameter : trial.parameters()) {
    if (parameter.name() != name) continue;
    const Value value = ValueOf(parameter.value());
    const bool shorten = !exact && std::holds_alternative<double>(value);
    return shorten ? ShortNumber(std::get<double>(value), kDigits) : ValueText(value);
  }
  return "";
}

std::string MetricCell(const google::protobuf::RepeatedPtrField<v1::MetricValue>& metrics,
                       const std::string& name, bool exact) {
  for (const v1::MetricValue& metric : metrics) {
    if (metric.name() == name)
      return exact ? DoubleText(metric.value()) : ShortNumber(metric.value(), kDigits);
  }
  return "";
}

std::string LastWorker(const v1::Trial& trial) {
  return trial.attempts().empty() ? "" : trial.attempts().rbegin()->worker();
}

// Trials as records: few rounded columns for people, all of them exactly for programs. The sweep must outlive it.
class TrialRecords {
 public:
  TrialRecords(const v1::Sweep& sweep, bool for_people, int64_t now_ms)
      : for_people_(for_people),
        now_ms_(now_ms),
        sweep_(sweep),
        parameters_(ParameterNames(sweep.spec())),
        metrics_(MetricNames(sweep)),
        objective_(ObjectiveOf(sweep.spec())) {}

  std::vector<Column> Columns() const {
    std::vector<Column> columns;
    if (for_people_) {
      columns = {{"#", true}, {"state"}, {"step", true}, {"best " + objective_, true}};
      for (const std::string& name : metrics_) columns.push_back({name, true});
      for (const std::string& name : parameters_) columns.push_back({name, true});
      columns.insert(columns.end(), {{"from"}, {"where"}, {"time", true}, {"reason"}});
      return columns;
    }
    for (const char* name :
         {"trial", "state", "reason", "best_value", "best_step", "last_step", "measurements"}) {
      columns.push_back({name});
    }
    // Prefixed: a parameter and a metric may have the same name.
    for (const std::string& name : parameters_) columns.push_back({"param." + name});
    for (const std::string& name : metrics_) columns.push_back({"metric." + name});
    for (const char* name : {"worker", "attempts", "create_time", "start_time", "end_time", "from",
                             "predicted", "rank", "candidates", "repeat_of", "violation", "pareto"})
      columns.push_back({name});
    return columns;
  }

  std::vector<std::string> Cells(const v1::Trial& trial) const {
    return for_people_ ? CellsForPeople(trial) : CellsForPrograms(trial);
  }

 private:
  std::vector<std::string> CellsForPeople(const v1::Trial& trial) const {
    std::vector<std::string> cells = {
        std::to_string(trial.number()), StateWord(trial.state()), std::to_string(trial.last_step()),
        trial.has_best_value() ? ShortNumber(trial.best_value(), kDigits) : ""};
    for (const std::string& name : metrics_)
      cells.push_back(MetricCell(trial.last_metrics(), name, false));
    for (const std::string& name : parameters_) cells.push_back(ParameterCell(trial, name, false));
    cells.push_back(OriginWord(trial));
    cells.push_back(LastWorker(trial));
    const auto elapsed = ElapsedMs(trial.has_start_time(), trial.start_time(), trial.has_end_time(),
                                   trial.end_time(), now_ms_);
    cells.push_back(elapsed.has_value() ? BriefDuration(*elapsed) : "");
    cells.push_back(trial.state_reason().empty() && trial.violation() > 0
                        ? "infeasible by " + ShortNumber(trial.violation(), 4)
                    : trial.state_reason().empty() && OnFront(sweep_, trial.number())
                        ? "on the front"
                        : trial.state_reason());
    return cells;
  }

  std::vector<std::string> CellsForPrograms(const v1::Trial& trial) const {
    std::vector<std::string> cells = {
        std::to_string(trial.number()),
        StateWord(trial.state()),
        trial.state_reason(),
        trial.has_best_value() ? DoubleText(trial.best_value()) : "",
        trial.has_best_value() ? std::to_string(trial.best_step()) : "",
        std::to_string(trial.last_step()),
        std::to_string(trial.measurements())};
    for (const std::string& name : parameters_) cells.push_back(ParameterCell(trial, name, true));
    for (const std::string& name : metrics_)
      cells.push_back(MetricCell(trial.last_metrics(), name, true));
    cells.push_back(LastWorker(trial));
    cells.push_back(
        std::to_string(trial.attempts().empty() ? 0 : trial.attempts().rbegin()->number()));
    cells.push_back(TimeText(trial.create_time(), trial.has_create_time()));
    cells.push_back(TimeText(trial.start_time(), trial.has_start_time()));
    cells.push_back(TimeText(trial.end_time(), trial.has_end_time()));
    const v1::Origin& origin = trial.origin();
    cells.push_back(OriginWord(trial));
    cells.push_back(origin.has_predicted() ? DoubleText(origin.predicted()) : "");
    cells.push_back(origin.rank() > 0 ? std::to_string(origin.rank()) : "");
    cells.push_back(origin.rank() > 0 ? std::to_string(origin.of()) : "");
    cells.push_back(origin.has_repeat_of() ? std::to_string(origin.repeat_of()) : "");
    cells.push_back(DoubleText(trial.violation()));
    cells.push_back(OnFront(sweep_, trial.number()) ? "true" : "false");
    return cells;
  }

  bool for_people_;
  int64_t now_ms_;
  const v1::Sweep& sweep_;
  std::vector<std::string> parameters_;
  std::vector<std::string> metrics_;
  std::string objective_;
};

// The states that were named, or nullopt after telling which is none.
std::optional<std::vector<v1::Trial::State>> ParseStates(const std::vector<std::string>& words) {
  std::vector<v1::Trial::State> states;
  for (const std::string& word : words) {
    const auto state = TrialStateFromWord(word);
    if (!state.has_value()) {
      const std::string closest = ClosestWord(word, TrialStateWords());
      Say("tunesmith: --state " + word + " is no state of a trial" +
          (closest.empty() ? "; use one of " + Join(TrialStateWords(), ", ")
                           : "; did you mean " + closest + "?"));
      return std::nullopt;
    }
    states.push_back(*state);
  }
  return states;
}

std::vector<std::string> MeasurementCells(const v1::Measurement& measurement,
                                          const std::vector<std::string>& metrics) {
  std::vector<std::string> cells = {
      std::to_string(measurement.trial()), std::to_string(measurement.attempt()),
      std::to_string(measurement.step()), TimeText(measurement.time(), measurement.has_time())};
  for (const std::string& name : metrics)
    cells.push_back(MetricCell(measurement.metrics(), name, true));
  cells.push_back(measurement.has_verdict() ? ActionWord(measurement.verdict().action()) : "");
  cells.push_back(measurement.verdict().reason());
  cells.push_back(measurement.checkpoint());
  return cells;
}

std::vector<Column> MeasurementColumns(const std::vector<std::string>& metrics) {
  std::vector<Column> columns = {{"trial"}, {"attempt"}, {"step"}, {"time"}};
  for (const std::string& name : metrics) columns.push_back({"metric." + name});
  columns.insert(columns.end(), {{"verdict"}, {"reason"}, {"checkpoint"}});
  return columns;
}

Status ExportTrials(Client* client, const v1::Sweep& sweep, const RecordWriter::Options& options,
                    Output* out) {
  const TrialRecords records(sweep, false, WallMs());
  RecordWriter writer(records.Columns(), options, out);
  v1::ListTrialsRequest request;
  request.set_sweep(sweep.id());
  TS_RETURN_IF_ERROR(client->ForEachTrial(request, [&](const v1::Trial& trial) {
    writer.wants_json() ? writer.WriteJson(TrialJson(trial))
                        : writer.WriteCells(records.Cells(trial));
    return !out->broken();
  }));
  writer.Finish();
  return OkStatus();
}

Status ExportMeasurements(Client* client, const v1::Sweep& sweep,
                          const RecordWriter::Options& options, Output* out) {
  const std::vector<std::string> metrics = MetricNames(sweep);
  RecordWriter writer(MeasurementColumns(metrics), options, out);
  v1::ListMeasurementsRequest request;
  request.set_sweep(sweep.id());
  TS_RETURN_IF_ERROR(client->ForEachMeasurement(request, [&](const v1::Measurement& measurement) {
    writer.wants_json() ? writer.WriteJson(MeasurementJson(measurement))
                        : writer.WriteCells(MeasurementCells(measurement, metrics));
    return !out->broken();
  }));
  writer.Finish();
  return OkStatus();
}

}  // namespace

int TrialsCommand(const Settings& settings, const TrialsFlags& flags) {
  const auto states = ParseStates(flags.states);
  if (!states.has_value()) return kExitUsage;
  auto connection = Connection::Open(settings, Need::kState);
  if (!connection.ok()) return Fail(connection.status());
  Client& client = (*connection)->client();
  const auto sweep = ResolveSweep(&client, flags.sweep);
  if (!sweep.ok()) return Fail(sweep.status());
  v1::ListTrialsRequest request;
  request.set_sweep(sweep->id());
  if (flags.best_first) request.set_order(v1::ListTrialsRequest::BEST_FIRST);
  for (const v1::Trial::State state : *states) request.add_states(state);
  if (flags.limit > 0)
    request.set_page_size(static_cast<int32_t>(std::min<int64_t>(flags.limit, kPageSizeMax)));
  Output out(STDOUT_FILENO);
  const TrialRecords records(*sweep, settings.format == OutputFormat::kTable, WallMs());
  RecordWriter writer(records.Columns(), RecordOptions(settings), &out);
  int64_t count = 0;
  const Status status = client.ForEachTrial(request, [&](const v1::Trial& trial) {
    if (settings.quiet) {
      out.Write(std::to_string(trial.number()) + "\n");
    } else if (writer.wants_json()) {
      writer.WriteJson(TrialJson(trial));
    } else {
      writer.WriteCells(records.Cells(trial));
    }
    ++count;
    return !out.broken() && (flags.limit == 0 || count < flags.limit);
  });
  if (!status.ok()) return Fail(status);
  if (!settings.quiet) writer.Finish();
  return Finished(&out, kExitOk);
}

int LogsCommand(const Settings& settings, const LogsFlags& flags) {
  v1::ReadLogsRequest request;
  if (!flags.tail.empty()) {
    const auto bytes = ParseBytes(flags.tail);
    if (!bytes.has_value()) {
      Say("tunesmith: --tail " + flags.tail + " is not a size; write bytes, 64k or 2M");
      return kExitUsage;
    }
    request.set_tail_bytes(*bytes);
  }
  auto connection = Connection::Open(settings, Need::kState);
  if (!connection.ok()) return Fail(connection.status());
  const auto sweep = ResolveSweep(&(*connection)->client(), flags.sweep);
  if (!sweep.ok()) return Fail(sweep.status());
  request.set_sweep(sweep->id());
  request.set_trial(flags.trial);
  request.set_attempt(flags.attempt);
  request.set_follow(flags.follow);
  Output out(STDOUT_FILENO);
  const auto stream = (*connection)->client().ReadLogs(request);
  v1::ReadLogsResponse response;
  while (!out.broken() && stream->Read(&response)) {
    out.Write(response.data());
    // Whoever follows wants to see it now.
    out.Flush();
  }
  if (out.broken()) stream->Cancel();
  const Status status = stream->Finish();
  if (!status.ok() && !out.broken()) return Fail(status);
  return Finished(&out, kExitOk);
}

int ExportCommand(const Settings& settings, const ExportFlags& flags) {
  auto connection = Connection::Open(settings, Need::kState);
  if (!connection.ok()) return Fail(connection.status());
  Client& client = (*connection)->client();
  const auto sweep = ResolveSweep(&client, flags.sweep);
  if (!sweep.ok()) return Fail(sweep.status());
  int fd = STDOUT_FILENO;
  const bool to_file = !flags.out.empty() && flags.out != "-";
  if (to_file) {
    fd = ::open(flags.out.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) return Fail(ErrnoStatus(errno, "can't write " + flags.out));
  }
  RecordWriter::Options options = RecordOptions(settings);
  // A table is for people; whoever exports without -o wants the file that every program reads.
  if (options.format == OutputFormat::kTable) options.format = OutputFormat::kCsv;
  Output out(fd);
  const Status status = flags.measurements ? ExportMeasurements(&client, *sweep, options, &out)
                                           : ExportTrials(&client, *sweep, options, &out);
  int exit_code = status.ok() ? static_cast<int>(kExitOk) : Fail(status);
  exit_code = Finished(&out, exit_code);
  if (to_file && ::close(fd) != 0 && exit_code == kExitOk)
    return Fail(ErrnoStatus(errno, "can't write " + flags.out));
  return exit_code;
}

}  // namespace tunesmith
