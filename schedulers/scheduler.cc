#include "schedulers/scheduler.h"

#include <algorithm>

#include "common/text.h"
#include "schedulers/asha.h"
#include "schedulers/fifo.h"
#include "schedulers/hyperband.h"
#include "schedulers/median.h"
#include "schedulers/pbt.h"

namespace tunesmith {
namespace {

// Two different numbers never look alike.
std::pair<std::string, std::string> ShortPair(double a, double b) {
  std::pair<std::string, std::string> texts = {ShortText(a), ShortText(b)};
  if (texts.first == texts.second && a != b) texts = {DoubleText(a), DoubleText(b)};
  return texts;
}

}  // namespace

const char* ReasonName(Reason reason) {
  switch (reason) {
    case Reason::kNone:
      return "none";
    case Reason::kNoMetric:
      return "no_metric";
    case Reason::kFirstAtRung:
      return "first_at_rung";
    case Reason::kAboveCutoff:
      return "above_cutoff";
    case Reason::kBelowCutoff:
      return "below_cutoff";
    case Reason::kNotANumber:
      return "not_a_number";
    case Reason::kReachedMax:
      return "reached_max";
    case Reason::kPausedAtRung:
      return "paused_at_rung";
    case Reason::kPromoted:
      return "promoted";
    case Reason::kEnded:
      return "ended";
    case Reason::kBelowMedian:
      return "below_median";
    case Reason::kAboveMedian:
      return "above_median";
    case Reason::kWaitsAtRung:
      return "waits_at_rung";
    case Reason::kHalved:
      return "halved";
    case Reason::kKeepsOn:
      return "keeps_on";
    case Reason::kExploits:
      return "exploits";
    case Reason::kNoDonor:
      return "no_donor";
    case Reason::kTakesTurn:
      return "takes_turn";
    case Reason::kWaitsForAll:
      return "waits_for_all";
    case Reason::kAllThere:
      return "all_there";
    case Reason::kMaxSteps:
      return "max_steps";
    case Reason::kPlateau:
      return "plateau";
    case Reason::kTarget:
      return "target";
  }
  return "unknown";
}

bool IsDecision(const Verdict& verdict) {
  return verdict.action != Action::kContinue || (verdict.recorded && verdict.reason != Reason::kNone);
}

std::string Explain(const Verdict& verdict, const std::string& metric, Goal goal) {
  const std::string rung = " at rung " + ShortText(verdict.milestone);
  const std::string place = " (rank " + std::to_string(verdict.rank) + " of " +
                            std::to_string(verdict.peers) + ", " + metric +
                            (goal == Goal::kMin ? " min)" : " max)");
  const std::string at_step = " at step " + ShortText(verdict.milestone);
  const auto [value, cutoff] = verdict.has_cutoff ? ShortPair(verdict.value, verdict.cutoff)
                                                  : std::pair(ShortText(verdict.value), std::string());
  const std::string median =
      "the median of " + std::to_string(verdict.peers) + " others at step " + ShortText(verdict.milestone);
  const std::string now = " (" + value + " now, " + (goal == Goal::kMin ? "min)" : "max)");
  switch (verdict.reason) {
    case Reason::kNone:
      return "no rung was reached";
    case Reason::kNoMetric:
      return "the report has no " + metric;
    case Reason::kFirstAtRung:
      return value + " has no cutoff yet" + rung + place;
    case Reason::kAboveCutoff:
      return value + " is as good as the cutoff " + cutoff + " or better" + rung + place;
    case Reason::kBelowCutoff:
      return value + " is worse than the cutoff " + cutoff + rung + place;
    case Reason::kNotANumber:
      if (verdict.action == Action::kStop && verdict.has_cutoff) {
        return metric + " is not a number, worse than the cutoff " + cutoff + rung + place;
      }
      return metric + " is not a number" + rung + place;
    case Reason::kReachedMax:
      return "the last step max_t was reached";
    case Reason::kPausedAtRung:
      return value + " is not among the best" + rung + place;
    case Reason::kPromoted:
      return value + " is among the best" + rung + place;
    case Reason::kEnded:
      return "it ended by itself";
    case Reason::kBelowMedian:
      if (!verdict.has_cutoff) return "not a number is " + median + ", for which compat: ray stops a trial" + now;
      return metric + " was never as good as " + cutoff + ", " + median + now;
    case Reason::kWaitsAtRung:
      return value + " waits" + rung + " for the other trials of its bracket" + place;
    case Reason::kHalved:
      if (!verdict.has_cutoff) return value + " is not among those that go on" + rung + place;
      return value + " is not among those that go on" + rung + ", the last of which has " + cutoff + place;
    case Reason::kKeepsOn:
      return value + " is not among the worst of the population" + at_step + place;
    case Reason::kExploits:
      if (!verdict.recorded) return "it is among the worst of the population";
      return value + " is among the worst of the population" + at_step + place +
             ": it goes on from the checkpoint of a better trial";
    case Reason::kNoDonor:
      if (!verdict.recorded) return "no better trial has a checkpoint";
      return value + " is among the worst of the population" + at_step + place +
             ", and no better trial has a checkpoint";
    case Reason::kTakesTurn:
      if (verdict.action == Action::kContinue) return "it is its turn";
      return "at step " + ShortText(verdict.milestone) + " it is the turn of trials that wait" +
             (verdict.rank > 0 ? place : "");
    case Reason::kWaitsForAll:
      return "at step " + ShortText(verdict.milestone) + " it waits for the rest of the population";
    case Reason::kAllThere:
      return "all of the population have been judged";
    case Reason::kMaxSteps:
      return "step " + ShortText(verdict.milestone) + " was reached (stop.max_steps)";
    case Reason::kPlateau:
      return "the last " + std::to_string(verdict.peers) + " values of " + metric + " have a standard deviation of " +
             value + ", less than " + cutoff + " (stop.plateau)";
    case Reason::kTarget:
      return metric + " " + value + " is as good as the target " + cutoff + " or better (stop.target)";
    case Reason::kAboveMedian:
      return metric + " has been as good as " + cutoff + " or better, " + median + now;
  }
  return "";
}

std::vector<std::string> SchedulerTypes() { return {"fifo", "asha", "hyperband", "bohb", "median", "pbt"}; }

namespace {

bool IsHyperBand(const SchedulerOptions& options) { return options.type == "hyperband" || options.type == "bohb"; }

}  // namespace

int64_t MaxTOf(const SchedulerOptions& options) {
  if (options.max_t != 0) return options.max_t;
  if (options.type == "asha") return 100;
  return IsHyperBand(options) ? 81 : 0;
}

double ReductionFactorOf(const SchedulerOptions& options) {
  return options.reduction_factor.value_or(IsHyperBand(options) ? 3 : 4);
}

bool Pauses(const SchedulerOptions& options) {
  return options.promotion || IsHyperBand(options) || options.type == "pbt";
}

std::unique_ptr<Scheduler> MakeScheduler(const SchedulerOptions& options, Problems* problems) {
  if (options.type == "fifo") return MakeFifo(options, problems);
  if (options.type == "asha") return MakeAsha(options, problems);
  if (IsHyperBand(options)) return MakeHyperBand(options, problems);
  if (options.type == "median") return MakeMedian(options, problems);
  if (options.type == "pbt") return MakePbt(options, problems);
  const std::string closest = ClosestWord(options.type, SchedulerTypes());
  problems->push_back({"scheduler.type", "unknown scheduler \"" + options.type + "\"",
                       closest.empty() ? "use one of: " + Join(SchedulerTypes(), ", ")
                                       : "did you mean " + closest + "?"});
  return nullptr;
}

}  // namespace tunesmith
