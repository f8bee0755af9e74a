#include "client/replay_text.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "client/format.h"
#include "client/json_object.h"
#include "common/text.h"
#include "search/space/value.h"

namespace tunesmith {
namespace {

constexpr int kDigits = 5;

const char* GoalWord(Goal goal) { return goal == Goal::kMin ? "min" : "max"; }

// Which share of `before` was not used; nothing where there was nothing.
std::optional<double> Saved(int64_t before, int64_t after) {
  if (before <= 0) return std::nullopt;
  return 100.0 * static_cast<double>(before - after) / static_cast<double>(before);
}

std::string SavedText(int64_t before, int64_t after) {
  const auto saved = Saved(before, after);
  if (!saved) return "";
  // What was not saved in full is not called so.
  const double percent = *saved < 100 ? std::min(std::round(*saved), 99.0) : 100;
  return ShortNumber(percent, 3) + " %";
}

std::string BestText(const ReplayTotals& totals) {
  if (!totals.best_trial) return "none";
  return ShortNumber(totals.best_value, kDigits) + " (#" + std::to_string(*totals.best_trial) + ")";
}

std::string Trials(int64_t count) { return Counted(count, "trial"); }

std::string StepOf(const ReplayUse& use) { return "step " + std::to_string(use.steps); }

// By how much the best value that is left is worse.
double RegretOf(const ReplayResult& result) { return std::fabs(result.replay.best_value - result.run.best_value); }

std::string BestLine(const ReplayResult& result, const ReplayNames& names) {
  if (!result.run.best_trial) return "No trial of the run has a " + names.objective + ".";
  const ReplayedTrial& best = result.trials[*result.run.best_trial];
  const std::string name = "The best trial of the run, #" + std::to_string(*result.run.best_trial) + ",";
  if (!best.shortened()) return name + " would have been kept.";
  std::string text = name + " would have " +
                     (best.outcome == ReplayOutcome::kPaused ? "been left paused"
                      : best.outcome == ReplayOutcome::kMaxT ? "ended"
                                                             : "been stopped") +
                     " at " + StepOf(best.replay) + " of " + std::to_string(best.run.steps);
  if (!result.replay.best_trial) return text + ", and no other has a " + names.objective + ".";
  const uint32_t other = *result.replay.best_trial;
  if (RegretOf(result) == 0) return text + ", after its best value.";
  text += "; the best that is left is " + ShortNumber(RegretOf(result), 3) + " worse";
  if (other == *result.run.best_trial) return text + ", of the same trial.";
  return text + ": #" + std::to_string(other) + ", which is number " +
         std::to_string(result.trials[other].run_rank) + " of the run.";
}

std::string ReasonText(const ReplayResult& result, const ReplayNames& names, uint32_t number) {
  const ReplayedTrial& trial = result.trials[number];
  switch (trial.outcome) {
    case ReplayOutcome::kStopped:
    case ReplayOutcome::kMaxT:
      return Explain(*trial.verdict, names.metric, names.goal);
    case ReplayOutcome::kPaused:
      return Explain(*trial.verdict, names.metric, names.goal) +
             (names.finished ? "; it was never let on" : "; it waits");
    case ReplayOutcome::kBeyond:
      return names.states[number] + " in the run at " + StepOf(trial.run) + "; it would have gone on";
    case ReplayOutcome::kRunning:
      return "has not ended";
    case ReplayOutcome::kNoReport:
      return "reported nothing";
    case ReplayOutcome::kCompleted:
    case ReplayOutcome::kFailed:
      return "as in the run";
  }
  return "";
}

std::string Optional(const std::optional<double>& value) { return value ? DoubleText(*value) : ""; }

void AddTotals(const char* name, const ReplayTotals& totals, const ReplayNames& names, JsonObject* object) {
  JsonObject out;
  out.Integer("stopped", totals.stopped).Integer("steps", totals.steps).Number("seconds", double(totals.ms) / 1000);
  out.Number("gpu_seconds", names.gpus * double(totals.ms) / 1000);
  if (totals.best_trial) {
    out.Integer("best_trial", *totals.best_trial).Number("best_value", totals.best_value);
  } else {
    out.Null("best_trial").Null("best_value");
  }
  object->Raw(name, out.Finish());
}

}  // namespace

std::vector<std::string> ReplaySummary(const ReplayResult& result, const ReplayNames& names) {
  std::vector<std::string> lines;
  lines.push_back(names.sweep + ": " + Counted(static_cast<int64_t>(names.reports), "report") + " of " +
                  Trials(static_cast<int64_t>(result.trials.size())) + ", judged by " + names.scheduler +
                  (names.metric.empty() ? "" : " on " + names.metric + " (" + GoalWord(names.goal) + ")"));
  lines.emplace_back();
  // The same scheduler may stand on both sides.
  std::vector<std::vector<std::string>> rows = {
      {"", "run (" + names.run_scheduler + ")", "replay (" + names.scheduler + ")", "saved"},
      {"stopped early", std::to_string(result.run.stopped), std::to_string(result.replay.stopped), ""},
      {"steps", std::to_string(result.run.steps), std::to_string(result.replay.steps),
       SavedText(result.run.steps, result.replay.steps)},
      {"time of trials", BriefDuration(result.run.ms), BriefDuration(result.replay.ms),
       SavedText(result.run.ms, result.replay.ms)}};
  if (names.gpus > 0) {
    const auto gpu_time = [&](const ReplayTotals& totals) {
      return BriefDuration(std::llround(names.gpus * static_cast<double>(totals.ms)));
    };
    rows.push_back({"GPU time", gpu_time(result.run), gpu_time(result.replay),
                    SavedText(result.run.ms, result.replay.ms)});
  }
  rows.push_back({"best " + names.objective, BestText(result.run), BestText(result.replay), ""});
  std::vector<size_t> widths(4, 0);
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], DisplayWidth(row[i]));
  }
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) line += (i == 0 ? "  " : "   ") + PadRight(row[i], widths[i], true);
    while (!line.empty() && line.back() == ' ') line.pop_back();
    lines.push_back(line);
  }
  lines.emplace_back();
  lines.push_back(BestLine(result, names));
  if (result.beyond > 0) {
    lines.push_back(Trials(result.beyond) + " would have gone on beyond what was run: what they would have used and "
                    "reached is unknown, and the savings are at most these.");
  }
  if (result.paused > 0) {
    lines.push_back(Trials(result.paused) +
                    (names.finished ? " would have been paused and never let on." : " would be paused now."));
  }
  if (!names.finished) lines.emplace_back("The sweep has not ended: these are the reports that are there.");
  return lines;
}

std::string ReplaySummaryJson(const ReplayResult& result, const ReplayNames& names) {
  JsonObject out;
  out.Text("sweep", names.sweep).Bool("finished", names.finished);
  out.Text("run_scheduler", names.run_scheduler).Text("scheduler", names.scheduler);
  out.Text("metric", names.metric).Text("mode", GoalWord(names.goal));
  out.Text("objective", names.objective).Text("objective_mode", GoalWord(names.objective_goal));
  out.Integer("trials", result.trials.size()).Integer("reports", names.reports);
  AddTotals("run", result.run, names, &out);
  AddTotals("replay", result.replay, names, &out);
  const auto add = [&](const char* name, const std::optional<double>& value) {
    value ? out.Number(name, *value) : out.Null(name);
  };
  add("saved_steps_percent", Saved(result.run.steps, result.replay.steps));
  add("saved_time_percent", Saved(result.run.ms, result.replay.ms));
  out.Integer("beyond", result.beyond).Integer("paused", result.paused);
  if (result.run.best_trial) {
    out.Bool("best_kept", !result.trials[*result.run.best_trial].shortened());
  } else {
    out.Null("best_kept");
  }
  if (result.run.best_trial && result.replay.best_trial) {
    out.Integer("rank", result.trials[*result.replay.best_trial].run_rank).Number("regret", RegretOf(result));
  } else {
    out.Null("rank").Null("regret");
  }
  return out.Finish();
}

std::vector<Column> ReplayColumns(const ReplayNames& names, bool for_people) {
  if (for_people) {
    return {{"#", true},         {"rank", true},    {"best " + names.objective, true},
            {"run"},             {"steps", true},   {"replay"},
            {"at step", true},   {"reason"}};
  }
  std::vector<Column> columns;
  for (const char* name :
       {"trial", "run_state", "run_rank", "run_best", "run_steps", "run_seconds", "outcome", "steps", "seconds", "best",
        "reason", "bracket", "rung", "value", "cutoff", "rank", "peers", "text"})
    columns.push_back({name});
  return columns;
}

std::vector<std::string> ReplayCells(const ReplayResult& result, const ReplayNames& names, uint32_t number,
                                     bool for_people) {
  const ReplayedTrial& trial = result.trials[number];
  const std::string rank = trial.run_rank > 0 ? std::to_string(trial.run_rank) : "";
  const std::string text = ReasonText(result, names, number);
  if (for_people) {
    return {std::to_string(number), rank, trial.run.best ? ShortNumber(*trial.run.best, kDigits) : "",
            names.states[number], std::to_string(trial.run.steps), OutcomeWord(trial.outcome),
            std::to_string(trial.replay.steps), text};
  }
  const Verdict* verdict = trial.verdict ? &*trial.verdict : nullptr;
  const bool judged = verdict != nullptr && verdict->rank > 0;
  return {std::to_string(number),
          names.states[number],
          rank,
          Optional(trial.run.best),
          std::to_string(trial.run.steps),
          DoubleText(double(trial.run.ms) / 1000),
          OutcomeWord(trial.outcome),
          std::to_string(trial.replay.steps),
          DoubleText(double(trial.replay.ms) / 1000),
          Optional(trial.replay.best),
          verdict != nullptr ? ReasonName(verdict->reason) : "",
          verdict != nullptr ? std::to_string(verdict->bracket) : "",
          verdict != nullptr && verdict->milestone > 0 ? DoubleText(verdict->milestone) : "",
          judged ? DoubleText(verdict->value) : "",
          verdict != nullptr && verdict->has_cutoff ? DoubleText(verdict->cutoff) : "",
          judged ? std::to_string(verdict->rank) : "",
          judged ? std::to_string(verdict->peers) : "",
          text};
}

std::string ReplayTrialJson(const ReplayResult& result, const ReplayNames& names, uint32_t number) {
  const ReplayedTrial& trial = result.trials[number];
  JsonObject out;
  out.Integer("trial", number).Text("run_state", names.states[number]);
  if (trial.run_rank > 0) out.Integer("run_rank", trial.run_rank);
  if (trial.run.best) out.Number("run_best", *trial.run.best);
  out.Integer("run_steps", trial.run.steps).Number("run_seconds", double(trial.run.ms) / 1000);
  out.Text("outcome", OutcomeWord(trial.outcome)).Integer("steps", trial.replay.steps);
  out.Number("seconds", double(trial.replay.ms) / 1000);
  if (trial.replay.best) out.Number("best", *trial.replay.best);
  if (trial.verdict) {
    const Verdict& verdict = *trial.verdict;
    out.Text("reason", ReasonName(verdict.reason)).Integer("bracket", verdict.bracket);
    if (verdict.milestone > 0) out.Number("rung", verdict.milestone);
    if (verdict.rank > 0) out.Number("value", verdict.value);
    if (verdict.has_cutoff) out.Number("cutoff", verdict.cutoff);
    if (verdict.rank > 0) out.Integer("rank", verdict.rank).Integer("peers", verdict.peers);
  }
  return out.Text("text", ReasonText(result, names, number)).Finish();
}

}  // namespace tunesmith
