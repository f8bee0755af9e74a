// importance.
#include <unistd.h>

#include <algorithm>

#include "client/api/connection.h"
#include "client/api/importance.h"
#include "client/commands/commands.h"
#include "client/commands/report.h"
#include "client/exit_codes.h"
#include "client/output.h"
#include "client/term.h"

namespace tunesmith {

int ImportanceCommand(const Settings& settings, const std::string& text, const std::string& metric) {
  auto connection = Connection::Open(settings, Need::kState);
  if (!connection.ok()) return Fail(connection.status());
  Client& client = (*connection)->client();
  const StatusOr<v1::Sweep> sweep = ResolveSweep(&client, text);
  if (!sweep.ok()) return Fail(sweep.status());
  const auto importance = client.GetImportance(sweep->id(), metric);
  if (!importance.ok()) return Fail(importance.status());
  Output out(STDOUT_FILENO);
  if (settings.quiet) {
    for (const auto& parameter : importance->parameters()) out.Write(parameter.name() + "\n");
    return Finished(&out, kExitOk);
  }
  switch (settings.format) {
    case OutputFormat::kTable: {
      RenderOptions options;
      // What is piped is read elsewhere, where there may be more room.
      options.width = settings.is_terminal ? TerminalSize(STDOUT_FILENO, ProcessEnvironment()).width : 120;
      options.color = settings.color;
      options.unicode = settings.unicode || !settings.is_terminal;
      const ImportanceView view = ImportanceViewOf(sweep->id(), *importance);
      for (const std::string& line : RenderImportance(view, options, settings.headers)) out.Write(line + "\n");
      break;
    }
    case OutputFormat::kCsv: {
      RecordWriter writer({{"name"}, {"share"}, {"spread"}, {"active"}, {"effect"}}, RecordOptions(settings), &out);
      for (auto& cells : ImportanceCells(*importance)) writer.WriteCells(std::move(cells));
      writer.Finish();
      break;
    }
    case OutputFormat::kJson:
      out.Write(ImportanceJson(sweep->id(), *importance) + "\n");
      break;
    case OutputFormat::kJsonl:
      for (const auto& parameter : importance->parameters()) out.Write(ParameterImportanceJson(parameter) + "\n");
      break;
  }
  return Finished(&out, kExitOk);
}

}  // namespace tunesmith
