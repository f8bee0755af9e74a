#include "client/api/why.h"

#include <algorithm>
#include <utility>

#include "client/api/convert.h"
#include "client/json_object.h"

namespace tunesmith {
namespace {

constexpr size_t kTrialsNamedMax = 8;

// Stops at one rung have values of their own, and failures a trace: what is left groups them.
std::string GroupOf(const v1::Trial& trial) {
  const std::string& reason = trial.state_reason();
  const bool at_rung = trial.state() == v1::Trial::STOPPED || trial.state() == v1::Trial::PAUSED;
  const size_t rung = reason.find(" at rung ");
  if (at_rung && rung != std::string::npos) {
    return reason.substr(rung + 1, reason.find_first_of(" ,", rung + 9) - rung - 1);
  }
  if (at_rung && reason.find("the median of ") != std::string::npos) return "below the median";
  return FirstLine(reason);
}

bool TakesNothing(const v1::Worker& worker) {
  return worker.state() == v1::Worker::QUARANTINED || worker.state() == v1::Worker::DRAINING ||
         worker.state() == v1::Worker::OFFLINE;
}

// Indented, further lines of a fact more so.
void AddFact(const std::string& fact, std::vector<std::string>* lines) {
  size_t begin = 0;
  for (size_t end = 0; end != std::string::npos; begin = end + 1) {
    end = fact.find('\n', begin);
    lines->push_back((begin == 0 ? "  " : "      ") + fact.substr(begin, end == std::string::npos ? end : end - begin));
  }
}

std::string WorkerText(const v1::Worker& worker) {
  return "worker " + worker.name() + " is " + StateWord(worker.state()) +
         (worker.state_reason().empty() ? "" : ": " + worker.state_reason());
}

}  // namespace

void CauseGroups::Add(const v1::Trial& trial) {
  const std::string cause = GroupOf(trial);
  auto group = std::find_if(groups_.begin(), groups_.end(), [&](const CauseGroup& g) {
    return g.state == trial.state() && g.cause == cause;
  });
  if (group == groups_.end()) group = groups_.insert(group, CauseGroup{trial.state(), cause, 0, {}});
  ++group->count;
  if (group->trials.size() < kTrialsNamedMax) group->trials.push_back(trial.number());
}

std::vector<CauseGroup> CauseGroups::Take() && {
  std::stable_sort(groups_.begin(), groups_.end(), [](const CauseGroup& a, const CauseGroup& b) {
    return a.state != b.state ? a.state < b.state : a.count > b.count;
  });
  return std::move(groups_);
}

std::vector<std::string> TrialWhy(const v1::Trial& trial) {
  std::vector<std::string> lines = {"trial " + std::to_string(trial.number()) + " of " + trial.sweep() + " is " +
                                    StateWord(trial.state())};
  for (const std::string& fact : trial.why()) AddFact(fact, &lines);
  return lines;
}

std::string TrialWhyJson(const v1::Trial& trial) {
  JsonList facts;
  for (const std::string& fact : trial.why()) facts.Text(fact);
  JsonObject object;
  object.Text("sweep", trial.sweep()).Integer("trial", trial.number()).Text("state", StateWord(trial.state()));
  return object.Raw("why", facts.Finish()).Finish();
}

std::vector<std::string> SweepWhy(const v1::Sweep& sweep, const std::vector<CauseGroup>& groups,
                                  const v1::Trial* waiting, const std::vector<v1::Worker>& workers) {
  std::vector<std::string> lines = {"sweep " + sweep.id() + " is " + StateWord(sweep.state()) +
                                    (sweep.state_reason().empty() ? "" : ": " + sweep.state_reason())};
  if (!sweep.waiting_reason().empty()) AddFact("nothing runs: " + sweep.waiting_reason(), &lines);
  for (const CauseGroup& group : groups) {
    std::string numbers;
    for (const uint32_t number : group.trials) numbers += (numbers.empty() ? "#" : ", #") + std::to_string(number);
    if (group.count > static_cast<int64_t>(group.trials.size())) numbers += ", ...";
    AddFact(std::to_string(group.count) + " " + StateWord(group.state) +
                (group.cause.empty() ? "" : " " + group.cause) + "  (" + numbers + ")",
            &lines);
  }
  if (waiting != nullptr) {
    lines.push_back("trial " + std::to_string(waiting->number()) + " waits");
    for (const std::string& fact : waiting->why()) AddFact(fact, &lines);
  }
  for (const v1::Worker& worker : workers) {
    if (TakesNothing(worker)) lines.push_back(WorkerText(worker));
    for (const v1::Device& device : worker.devices()) {
      if (const std::string held = HeldDeviceText(device); !held.empty()) {
        lines.push_back("worker " + worker.name() + ": " + held);
      }
    }
  }
  return lines;
}

std::string SweepWhyJson(const v1::Sweep& sweep, const std::vector<CauseGroup>& groups,
                         const std::vector<v1::Worker>& workers) {
  JsonList causes, idle;
  for (const CauseGroup& group : groups) {
    JsonList numbers;
    for (const uint32_t number : group.trials) numbers.Raw(std::to_string(number));
    JsonObject one;
    one.Text("state", StateWord(group.state)).Text("cause", group.cause).Integer("count", group.count);
    causes.Raw(one.Raw("trials", numbers.Finish()).Finish());
  }
  for (const v1::Worker& worker : workers) {
    if (!TakesNothing(worker)) continue;
    JsonObject one;
    one.Text("worker", worker.name()).Text("state", StateWord(worker.state())).Text("reason", worker.state_reason());
    idle.Raw(one.Finish());
  }
  JsonObject object;
  object.Text("sweep", sweep.id()).Text("state", StateWord(sweep.state())).Text("reason", sweep.state_reason());
  object.Text("waiting", sweep.waiting_reason());
  return object.Raw("causes", causes.Finish()).Raw("workers", idle.Finish()).Finish();
}

}  // namespace tunesmith
