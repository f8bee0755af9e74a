// A controller that is killed again and again suggests what an undisturbed one does: the searcher that a restart makes
// anew is told of everything that the old one knew.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "server/core/controller.h"

namespace tunesmith {
namespace {

Parameter Real(const std::string& name) {
  Parameter parameter;
  parameter.name = name;
  parameter.distribution = Distribution::kUniform;
  parameter.lo = 0;
  parameter.hi = 1;
  return parameter;
}

// A controller with its searcher, and clients that ask and tell as the seed says.
class Lab {
 public:
  Lab(const SweepSpec& spec, uint64_t seed, bool disturbed) : rng_(seed), chaos_(seed + 1), disturbed_(disturbed) {
    Step(CreateSweep{spec, "", 5, false});
  }

  // The points in their order, once the sweep has ended.
  std::vector<std::string> Run() {
    for (int i = 0; i < 10'000 && !IsTerminal(sweep().state); ++i) {
      if (disturbed_ && chaos_.Uniform() < 0.15) Restart();
      if (disturbed_ && chaos_.Uniform() < 0.3) searcher_->Prepare();
      Act();
    }
    EXPECT_TRUE(IsTerminal(sweep().state));
    EXPECT_EQ(disturbed_, restarts_ > 5) << restarts_;
    std::vector<std::string> points;
    for (const Trial& trial : sweep().trials) {
      std::string text = trial.state == TrialState::kStopped ? "stopped" : "";
      for (const Value& value : trial.point) text += " " + ValueText(value);
      points.push_back(text);
    }
    return points;
  }

 private:
  const Sweep& sweep() const { return *controller_->state().sweeps().begin()->second; }

  void Act() {
    const Sweep& sweep = this->sweep();
    const bool may_ask = sweep.live.size() < 6 && static_cast<int64_t>(sweep.trials.size()) < sweep.target;
    if (sweep.live.empty() || (may_ask && rng_.Uniform() < 0.2)) {
      return Step(AskTrials{sweep.number, "client " + std::to_string(asks_++), 1, 60'000});
    }
    auto it = sweep.live.begin();
    std::advance(it, static_cast<ptrdiff_t>(rng_.Below(sweep.live.size())));
    const uint32_t number = *it;
    const Trial& trial = sweep.trials[number];
    const Attempt& attempt = trial.attempts.back();
    const TrialId id{sweep.number, number};
    if (trial.state == TrialState::kStopping || trial.last_step >= 9) {
      return Step(CompleteTrial{id, attempt.epoch, number % 7 == 5 ? "diverged" : ""});
    }
    double loss = 1.0 / static_cast<double>(trial.last_step + 2);
    for (const Value& value : trial.point) {
      if (IsActive(value)) loss += (ValueNumber(value) - 0.3) * (ValueNumber(value) - 0.3);
    }
    Step(ReportTrial{id, attempt.epoch, attempt.sequence + 1, 0, {{"loss", number % 11 == 3 ? std::nan("") : loss}}});
  }

  void Step(const Command& command) {
    std::deque<Command> commands = {command};
    while (!commands.empty()) {
      Output output;
      controller_->Step(commands.front(), 0, Time{1'700'000'000'000}, &output);
      commands.pop_front();
      Take(&output, &commands);
    }
  }

  void Take(Output* output, std::deque<Command>* answers) {
    for (Event& event : output->events) journal_.push_back(std::move(event));
    for (const Effect& effect : output->effects) {
      if (const auto* start = std::get_if<StartSearcher>(&effect)) {
        Problems problems;
        searcher_ = MakeSearcher(start->options, *start->space, &problems);
        ASSERT_NE(searcher_, nullptr);
      } else if (const auto* announce = std::get_if<AnnounceTrial>(&effect)) {
        searcher_->Add(announce->trial, announce->point);
      } else if (const auto* report = std::get_if<ReportRung>(&effect)) {
        searcher_->Report(report->report);
      } else if (const auto* observe = std::get_if<ObserveTrial>(&effect)) {
        searcher_->Observe(observe->observation);
      } else if (const auto* forget = std::get_if<ForgetTrial>(&effect)) {
        searcher_->Forget(forget->trial);
      } else if (const auto* request = std::get_if<RequestSuggestion>(&effect)) {
        SuggestionReady ready{request->sweep, request->trial, searcher_->Suggest(request->trial)};
        if (!ready.suggestion.exhausted) searcher_->Add(request->trial, ready.suggestion.point);
        answers->push_back(std::move(ready));
      }
    }
  }

  void Restart() {
    ++restarts_;
    controller_ = std::make_unique<Controller>();
    searcher_.reset();
    for (const Event& event : journal_) controller_->Replay(event);
    Output output;
    std::deque<Command> answers;
    controller_->FinishRecovery(Time{1'700'000'000'000}, &output);
    Take(&output, &answers);
    EXPECT_TRUE(answers.empty());
  }

  std::unique_ptr<Controller> controller_ = std::make_unique<Controller>();
  std::unique_ptr<Searcher> searcher_;
  std::vector<Event> journal_;
  Rng rng_, chaos_;
  const bool disturbed_;
  int restarts_ = 0;
  int asks_ = 0;
};

class DeterminismTest : public ::testing::TestWithParam<std::string> {
 protected:
  static SweepSpec Spec() {
    SweepSpec spec;
    spec.name = "sweep";
    spec.search.type = GetParam();
    spec.search.metric = "loss";
    spec.ask_tell = true;
    spec.budget.trials = 40;
    spec.parameters = {Real("a"), Real("b"), Real("c")};
    if (GetParam() == "grid") {
      for (Parameter& parameter : spec.parameters) {
        parameter.distribution = Distribution::kQUniform;
        parameter.q = 0.25;
      }
    }
    spec.scheduler.type = "asha";
    spec.scheduler.max_t = 9;
    spec.scheduler.reduction_factor = 3;
    return spec;
  }
  static void Compare(const SweepSpec& spec) {
    const Problems problems = Validate(spec);
    ASSERT_TRUE(problems.empty()) << problems[0].field << ": " << problems[0].message;
    for (uint64_t seed = 1; seed <= 2; ++seed) {
      const auto undisturbed = Lab(spec, seed, false).Run();
      EXPECT_EQ(Lab(spec, seed, true).Run(), undisturbed) << "seed " << seed;
    }
  }
};

TEST_P(DeterminismTest, RestartsChangeNoSuggestion) { Compare(Spec()); }

TEST_P(DeterminismTest, NorWhereUsersPointsAndRepeatsAreAmongThem) {
  SweepSpec spec = Spec();
  spec.repeats = 2;
  spec.points = {{{"a", 0.5}}, {}};
  Compare(spec);
}

INSTANTIATE_TEST_SUITE_P(Searchers, DeterminismTest, ::testing::ValuesIn(SearcherTypes()),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace_if(name.begin(), name.end(), [](char c) { return c == '-' || c == ':'; }, '_');
                           return name;
                         });

}  // namespace
}  // namespace tunesmith
