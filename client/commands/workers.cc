// workers, drain, undrain.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <utility>

#include "client/api/connection.h"
#include "client/api/convert.h"
#include "client/commands/commands.h"
#include "client/commands/report.h"
#include "client/exit_codes.h"
#include "client/format.h"
#include "client/output.h"
#include "common/text.h"

namespace tunesmith {
namespace {

std::string DevicesText(const v1::Worker& worker) {
  if (worker.devices().empty()) return "";
  std::vector<std::string> parts;
  for (const v1::Device& device : worker.devices()) {
    const int percent = static_cast<int>(device.used() * 100 + 0.5);
    const bool held = !HeldDeviceText(device).empty();
    parts.push_back(std::to_string(device.index()) + ":" +
                    (held ? StateWord(device.state()) : std::to_string(percent) + "%"));
  }
  return worker.devices(0).name() + " " + Join(parts, " ");
}

std::vector<std::string> WorkerCells(const v1::Worker& worker, bool for_people) {
  const std::string cpus = std::to_string(worker.cpus());
  const std::string used = std::to_string(worker.cpus_used());
  std::vector<std::string> cells = {worker.name(), StateWord(worker.state()), worker.host()};
  if (for_people) {
    cells.push_back(used + "/" + cpus);
  } else {
    cells.insert(cells.end(), {cpus, used});
  }
  cells.push_back(DevicesText(worker));
  cells.push_back(Join({worker.running().begin(), worker.running().end()}, " "));
  std::vector<std::string> reasons;
  if (!worker.state_reason().empty()) reasons.push_back(worker.state_reason());
  for (const v1::Device& device : worker.devices()) {
    if (std::string held = HeldDeviceText(device); !held.empty()) reasons.push_back(std::move(held));
  }
  cells.push_back(Join(reasons, "; "));
  return cells;
}

int Act(const Settings& settings, const std::string& name, const std::string& done,
        const std::function<StatusOr<v1::Worker>(Client*)>& call) {
  auto connection = Connection::Open(settings, Need::kServer);
  if (!connection.ok()) return Fail(connection.status());
  Client& client = (*connection)->client();
  const auto worker = call(&client);
  if (worker.ok()) {
    if (!settings.quiet) Say("worker " + name + " " + done);
    return kExitOk;
  }
  const auto all = client.ListWorkers();
  if (worker.status().code() != StatusCode::kNotFound || !all.ok()) return Fail(worker.status());
  std::vector<std::string> names;
  for (const v1::Worker& one : all->workers()) names.push_back(one.name());
  const std::string closest = ClosestWord(name, names);
  return Fail(NotFound("there is no worker \"" + name + "\"" +
                       (!closest.empty() ? "; did you mean " + closest + "?"
                        : names.empty()  ? "; there are none"
                                         : "; there are " + Join(names, ", "))));
}

}  // namespace

int WorkersCommand(const Settings& settings) {
  auto connection = Connection::Open(settings, Need::kServer);
  if (!connection.ok()) return Fail(connection.status());
  const auto answer = (*connection)->client().ListWorkers();
  if (!answer.ok()) return Fail(answer.status());
  Output out(STDOUT_FILENO);
  if (answer->workers().empty() && settings.format == OutputFormat::kTable) {
    if (!settings.quiet) {
      Say("no workers yet; start one with `tunesmith-worker --controller " +
          (*connection)->client().address() + "`");
    }
    return kExitOk;
  }
  const bool for_people = settings.format == OutputFormat::kTable;
  std::vector<Column> columns = {{"worker"}, {"state"}, {"host"}, {"cpus", true}};
  if (!for_people) columns.push_back({"cpus_used"});
  columns.insert(columns.end(), {{"gpus"}, {"running"}, {"reason"}});
  RecordWriter writer(std::move(columns), RecordOptions(settings), &out);
  for (const v1::Worker& worker : answer->workers()) {
    if (settings.quiet) {
      out.Write(worker.name() + "\n");
    } else if (writer.wants_json()) {
      writer.WriteJson(WorkerJson(worker));
    } else {
      writer.WriteCells(WorkerCells(worker, for_people));
    }
  }
  if (!settings.quiet) writer.Finish();
  return Finished(&out, kExitOk);
}

int DrainCommand(const Settings& settings, const std::string& worker, bool stop_running) {
  return Act(settings, worker,
             stop_running ? "takes nothing new; what runs is stopped and goes on elsewhere"
                          : "takes nothing new; what runs goes on to its end",
             [&](Client* client) { return client->DrainWorker(worker, stop_running); });
}

int UndrainCommand(const Settings& settings, const std::string& worker) {
  return Act(settings, worker, "takes work again",
             [&](Client* client) { return client->UndrainWorker(worker); });
}

}  // namespace tunesmith
