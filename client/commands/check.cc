// check: reads a sweep file as the controller would, and shows what would run. Needs no controller.
#include <unistd.h>

#include <map>
#include <string>
#include <vector>

#include "client/argv.h"
#include "client/commands/commands.h"
#include "client/commands/report.h"
#include "client/exit_codes.h"
#include "client/json_object.h"
#include "client/output.h"
#include "common/rng.h"
#include "common/text.h"
#include "search/space/space.h"

namespace tunesmith {
namespace {

constexpr int kSamples = 3;

std::string PointText(const Space& space, const Point& point) {
  std::vector<std::string> parts;
  for (size_t i = 0; i < space.size(); ++i) {
    if (IsActive(point[i])) parts.push_back(space.parameters()[i].name + "=" + ValueText(point[i]));
  }
  return Join(parts, " ");
}

// What trial `number` would run with this point: its command, or a built-in trainable and its
// parameters.
std::string SampleText(const SweepSpec& spec, const Space& space, const Point& point, int number) {
  if (spec.ask_tell) return PointText(space, point);
  if (!spec.program.builtin.empty())
    return "built-in " + spec.program.builtin + " with " + PointText(space, point);
  return ShellCommand(ExpandCommand(
      spec, point, {{"sweep", spec.name}, {"trial", std::to_string(number)}, {"attempt", "1"}}));
}

std::string ProblemsJson(const std::string& file, const std::vector<FileProblem>& problems) {
  JsonList list;
  for (const FileProblem& problem : problems) {
    JsonObject object;
    object.Integer("line", problem.at.line).Integer("column", problem.at.column);
    object.Text("field", problem.problem.field).Text("message", problem.problem.message);
    list.Raw(object.Text("hint", problem.problem.hint).Finish());
  }
  JsonObject object;
  return object.Text("file", file)
      .Bool("ok", problems.empty())
      .Raw("problems", list.Finish())
      .Finish();
}

std::string SpaceText(const Space& space) {
  std::string text =
      std::to_string(space.size()) + (space.size() == 1 ? " parameter" : " parameters");
  const auto points = space.Cardinality();
  if (points.has_value()) text += ", " + std::to_string(*points) + " different points";
  return text;
}

std::string PlanText(const SweepSpec& spec) {
  std::vector<Objective> objectives = spec.search.objectives;
  if (objectives.empty()) objectives.push_back({spec.search.metric, spec.search.goal});
  std::vector<std::string> metrics;
  for (const Objective& objective : objectives)
    metrics.push_back(objective.metric + (objective.goal == Goal::kMax ? " (max)" : " (min)"));
  std::string text = std::to_string(spec.budget.trials) + " trials by " + spec.search.type +
                     " on " + Join(metrics, " and ");
  if (spec.scheduler.type != "fifo")
    text += ", " + spec.scheduler.type + " on " + SchedulerMetric(spec);
  return text;
}

}  // namespace

int CheckCommand(const Settings& settings, const std::string& file) {
  const StatusOr<std::string> text = ReadSweepText(file);
  if (!text.ok()) return Fail(text.status());
  std::vector<FileProblem> problems;
  std::optional<SweepSpec> spec = ParseSweepFile(*text, &problems);
  Output out(STDOUT_FILENO);
  const bool json =
      settings.format == OutputFormat::kJson || settings.format == OutputFormat::kJsonl;
  std::optional<Space> space;
  if (spec.has_value()) {
    Problems more;
    space = Space::Create(spec->parameters, spec->constraints, &more);
    for (const Problem& problem : more) problems.push_back({{}, problem});
  }
  if (json) out.Write(ProblemsJson(file, problems) + "\n");
  if (!space.has_value()) {
    if (!json) {
      for (const FileProblem& problem : problems) Say(FormatProblem(file, problem));
      Say(std::to_string(problems.size()) + (problems.size() == 1 ? " problem" : " problems"));
    }
    return Finished(&out, kExitUsage);
  }
  if (json || settings.quiet) return Finished(&out, kExitOk);
  out.Write(file + ": ok: " + spec->name + ", " + PlanText(*spec) + ", " + SpaceText(*space) +
            "\n");
  Rng rng(spec->search.seed.value_or(0));
  for (int i = 0; i < kSamples; ++i) {
    out.Write("  " + SampleText(*spec, *space, space->Sample(&rng), i) + "\n");
  }
  return Finished(&out, kExitOk);
}

}  // namespace tunesmith
