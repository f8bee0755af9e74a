// why.
#include <unistd.h>

#include <vector>

#include "client/api/connection.h"
#include "client/api/why.h"
#include "client/commands/commands.h"
#include "client/commands/report.h"
#include "client/exit_codes.h"
#include "client/output.h"

namespace tunesmith {
namespace {

int Write(const std::vector<std::string>& lines) {
  Output out(STDOUT_FILENO);
  for (const std::string& line : lines) out.Write(line + "\n");
  return Finished(&out, kExitOk);
}

int WhyOne(const Settings& settings, Client* client, const std::string& sweep, uint32_t number) {
  const auto trial = client->GetTrial(sweep, number);
  if (!trial.ok()) return Fail(trial.status());
  if (settings.format != OutputFormat::kTable) return Write({TrialWhyJson(*trial)});
  return Write(TrialWhy(*trial));
}

}  // namespace

int WhyCommand(const Settings& settings, const std::string& text, std::optional<uint32_t> number) {
  auto connection = Connection::Open(settings, Need::kState);
  if (!connection.ok()) return Fail(connection.status());
  Client& client = (*connection)->client();
  const StatusOr<v1::Sweep> sweep = ResolveSweep(&client, text);
  if (!sweep.ok()) return Fail(sweep.status());
  if (number) return WhyOne(settings, &client, sweep->id(), *number);

  CauseGroups groups;
  std::optional<uint32_t> pending;
  v1::ListTrialsRequest request;
  request.set_sweep(sweep->id());
  const Status listed = client.ForEachTrial(request, [&](const v1::Trial& trial) {
    groups.Add(trial);
    if (trial.state() == v1::Trial::PENDING && !pending) pending = trial.number();
    return true;
  });
  if (!listed.ok()) return Fail(listed);
  const auto workers = client.ListWorkers();
  if (!workers.ok()) return Fail(workers.status());
  const std::vector<v1::Worker> all(workers->workers().begin(), workers->workers().end());
  const std::vector<CauseGroup> causes = std::move(groups).Take();
  if (settings.format != OutputFormat::kTable) return Write({SweepWhyJson(*sweep, causes, all)});
  std::optional<v1::Trial> waiting;
  if (pending) {
    auto trial = client.GetTrial(sweep->id(), *pending);
    if (!trial.ok()) return Fail(trial.status());
    if (trial->state() == v1::Trial::PENDING) waiting = *std::move(trial);
  }
  return Write(SweepWhy(*sweep, causes, waiting ? &*waiting : nullptr, all));
}

}  // namespace tunesmith
