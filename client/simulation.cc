#include "client/simulation.h"

#include <utility>
#include <vector>

#include "common/limits.h"
#include "common/text.h"

namespace tunesmith {
namespace {

// A trial that completes may bring its last report along.
bool BringsReport(const ReportLine& line) {
  return line.event == ReportLine::Event::kReport ||
         (line.event == ReportLine::Event::kComplete && line.value.has_value());
}

std::string Count(uint64_t count, const char* noun) { return Counted(static_cast<int64_t>(count), noun); }

std::string FinalText(const Verdict& verdict, const std::string& metric, Goal goal) {
  const bool nothing = !verdict.recorded && verdict.reason == Reason::kNone;
  return "completed; " + (nothing ? "no rung was left to record it at" : Explain(verdict, metric, goal));
}

}  // namespace

Simulation::Simulation(std::unique_ptr<Scheduler> scheduler, std::string metric, Goal goal, int64_t trials)
    : scheduler_(std::move(scheduler)),
      metric_(std::move(metric)),
      goal_(goal),
      expected_(trials),
      has_rungs_(!scheduler_->Rungs().empty()) {}

std::optional<int64_t> Simulation::StepOf(const ReportLine& line, const Trial& trial, Problem* problem) const {
  if (line.step && *line.step < trial.last_step) {
    *problem = {"step", std::to_string(*line.step) + " comes after step " + std::to_string(trial.last_step) +
                            " of the same trial",
                "give each trial's reports in the order of their steps"};
    return std::nullopt;
  }
  if (line.step || !BringsReport(line)) return line.step.value_or(trial.last_step);
  if (trial.last_step >= kReportStepMax) {
    *problem = {"step", "no step is left after " + std::to_string(trial.last_step), "count steps from 1"};
    return std::nullopt;
  }
  return trial.last_step + 1;
}

Simulation::Trial* Simulation::Add(const TrialName& name) {
  const auto it = trials_.emplace(name, Trial()).first;
  by_number_.push_back(it);
  Trial& trial = it->second;
  trial.number = static_cast<uint32_t>(counts_.trials++);
  scheduler_->AddTrial(trial.number, scheduler_->BracketFor(trial.number));
  return &trial;
}

std::optional<SimulatedAnswer> Simulation::Take(const ReportLine& line, Problem* problem) {
  using Kind = SimulatedAnswer::Kind;
  SimulatedAnswer answer;
  answer.trial = line.trial;
  const auto found = trials_.find(line.trial);
  Trial* trial = found == trials_.end() ? nullptr : &found->second;
  if (trial != nullptr && trial->end != End::kNone) {
    ++counts_.ignored;
    answer.kind = Kind::kEnded;
    answer.step = line.step.value_or(0);
    answer.text = trial->end == End::kStopped     ? "the trial was stopped"
                  : trial->end == End::kCompleted ? "the trial had completed"
                                                  : "the trial had failed";
    if (trial->last_step > 0) answer.text += " at step " + std::to_string(trial->last_step);
    return answer;
  }
  if (trial == nullptr && trials_.size() >= static_cast<size_t>(kTrialsPerSweepMax)) {
    *problem = {"trial", "there are more trials than the limit of " + std::to_string(kTrialsPerSweepMax),
                "simulate fewer at a time"};
    return std::nullopt;
  }
  const std::optional<int64_t> step = StepOf(line, trial == nullptr ? Trial() : *trial, problem);
  if (!step) return std::nullopt;
  if (trial == nullptr) trial = Add(line.trial);

  const bool reaches_further = line.event == ReportLine::Event::kComplete && *step > trial->last_step;
  if (BringsReport(line) || reaches_further) {
    ++counts_.reports;
    counts_.valued += line.value ? 1 : 0;
    trial->last_step = *step;
    trial->last_value = line.value;
  }
  answer.step = *step;
  answer.has_bracket = has_rungs_;
  switch (line.event) {
    case ReportLine::Event::kReport:
      Judge(trial, &answer);
      break;
    case ReportLine::Event::kComplete:
      Complete(trial, &answer);
      break;
    case ReportLine::Event::kError:
      answer.kind = Kind::kFailed;
      answer.text = "failed; what it recorded at rungs stays";
      trial->end = End::kFailed;
      ++counts_.failed;
      scheduler_->RemoveTrial(trial->number);
      break;
  }
  JudgePaused(&answer);
  return answer;
}

void Simulation::JudgePaused(SimulatedAnswer* answer) {
  const bool complete = expected_ > 0 && static_cast<int64_t>(counts_.trials) >= expected_;
  std::string taken_over;
  while (const auto next = scheduler_->NextPaused(complete ? Outlook::kComplete : Outlook::kOpen)) {
    auto& [name, trial] = *by_number_[next->trial];
    const std::vector<uint32_t> donors = scheduler_->Donors(next->trial);
    if (next->verdict.reason == Reason::kExploits && !donors.empty()) {
      scheduler_->Exploit(next->trial, donors[0], trial.last_step);
      taken_over += "; " + name.text + " takes over from " + by_number_[donors[0]]->first.text;
    } else {
      scheduler_->Apply(next->trial, next->verdict);
    }
    if (next->verdict.action == Action::kPause) continue;
    trial.paused = false;
    if (next->verdict.action == Action::kContinue) {
      answer->resumed.push_back(name);
      continue;
    }
    answer->stopped.push_back(name);
    Stop(&trial, next->verdict);
  }
  const auto say = [&](const char* what, const std::vector<TrialName>& trials) {
    std::vector<std::string> names;
    for (const TrialName& name : trials) names.push_back(name.text);
    if (!names.empty()) answer->text += what + Join(names, ", ");
  };
  answer->text += taken_over;
  say("; goes on: ", answer->resumed);
  say("; ends: ", answer->stopped);
}

void Simulation::Stop(Trial* trial, const Verdict& verdict) {
  const bool at_max = verdict.reason == Reason::kReachedMax;
  ++(at_max ? counts_.completed : counts_.stopped);
  Finish(trial, at_max ? End::kCompleted : End::kStopped);
}

void Simulation::Judge(Trial* trial, SimulatedAnswer* answer) {
  answer->value = trial->last_value;
  if (trial->paused) {
    answer->verdict.action = Action::kPause;
    answer->text = "the trial is paused: nothing is judged";
    return;
  }
  answer->verdict = scheduler_->Decide({trial->number, trial->last_step, trial->last_value});
  answer->text = Explain(answer->verdict, metric_, goal_);
  scheduler_->Apply(trial->number, answer->verdict);
  trial->paused = answer->verdict.action == Action::kPause;
  if (answer->verdict.action == Action::kStop) Stop(trial, answer->verdict);
}

void Simulation::Complete(Trial* trial, SimulatedAnswer* answer) {
  answer->kind = SimulatedAnswer::Kind::kCompleted;
  answer->value = trial->last_value;
  ++counts_.completed;
  answer->verdict = Finish(trial, End::kCompleted);
  answer->text = trial->last_step == 0 ? "completed without a report" : FinalText(answer->verdict, metric_, goal_);
}

Verdict Simulation::Finish(Trial* trial, End end) {
  Verdict verdict;
  verdict.reason = Reason::kNoMetric;
  if (trial->last_step > 0) {
    verdict = scheduler_->DecideFinal({trial->number, trial->last_step, trial->last_value});
    scheduler_->Apply(trial->number, verdict);
  }
  trial->end = end;
  scheduler_->RemoveTrial(trial->number);
  return verdict;
}

std::string Simulation::Summary() const {
  std::vector<std::string> parts;
  const auto add = [&](uint64_t count, const char* what) {
    if (count > 0) parts.push_back(std::to_string(count) + " " + what);
  };
  add(counts_.stopped, "stopped");
  add(counts_.completed, "completed");
  add(counts_.failed, "failed");
  uint64_t paused = 0;
  for (const auto& [name, trial] : trials_) paused += trial.paused && trial.end == End::kNone ? 1 : 0;
  add(paused, "paused");
  add(counts_.trials - counts_.stopped - counts_.completed - counts_.failed - paused, "not ended");
  std::string text = Count(counts_.reports, "report") + " of " + Count(counts_.trials, "trial");
  if (!parts.empty()) text += ": " + Join(parts, ", ");
  if (counts_.ignored > 0) text += "; " + Count(counts_.ignored, "line") + " of trials that had ended";
  if (has_rungs_ && counts_.reports > 0 && counts_.valued == 0) text += "; no report has " + metric_;
  return text;
}

}  // namespace tunesmith
