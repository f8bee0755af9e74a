// GetImportance over a real port.
#include <cmath>
#include <limits>
#include <optional>

#include "tests/unit/server/rpc/rig.h"

namespace tunesmith::rpc {
namespace {

using grpc::StatusCode;

v1::SweepSpec TwoParameters(int64_t trials) {
  v1::SweepSpec spec = RandomSweep("digits", trials);
  spec.clear_program();
  spec.set_ask_tell(true);
  v1::ParameterSpec* inert = spec.add_parameters();
  inert->set_name("inert");
  inert->mutable_choice()->add_values()->set_string_value("a");
  inert->mutable_choice()->add_values()->set_string_value("b");
  return spec;
}

// Runs `count` trials with the loss of their lr; nullopt fails the trial.
template <typename LossFn>
void RunTrials(Rig* rig, const std::string& sweep, int count, LossFn loss_of, const std::string& second = "") {
  for (int i = 0; i < count; ++i) {
    v1::AskTrialsRequest ask;
    ask.set_sweep(sweep);
    ask.set_client_id("me");
    v1::AskTrialsResponse asked;
    Context context1, context2, context3;
    ASSERT_TRUE(rig->trials->AskTrials(&context1, ask, &asked).ok());
    ASSERT_EQ(asked.trials_size(), 1) << asked.no_trial_reason();
    const v1::AskTrialsResponse::Asked& one = asked.trials(0);
    const double lr = one.trial().parameters(0).value().double_value();
    const std::optional<double> loss = loss_of(lr);
    v1::CompleteTrialRequest complete;
    complete.set_sweep(sweep);
    complete.set_trial(one.trial().number());
    complete.set_lease_epoch(one.lease_epoch());
    if (loss.has_value()) {
      v1::ReportTrialRequest report;
      report.set_sweep(sweep);
      report.set_trial(one.trial().number());
      report.set_lease_epoch(one.lease_epoch());
      report.set_sequence(1);
      v1::MetricValue* metric = report.add_metrics();
      metric->set_name("loss");
      metric->set_value(*loss);
      if (!second.empty()) {
        metric = report.add_metrics();
        metric->set_name(second);
        metric->set_value(-*loss);
      }
      v1::Verdict verdict;
      ASSERT_TRUE(rig->trials->ReportTrial(&context2, report, &verdict).ok());
    } else {
      complete.set_failure("broken");
    }
    v1::Trial trial;
    ASSERT_TRUE(rig->trials->CompleteTrial(&context3, complete, &trial).ok());
  }
}

grpc::Status Importance(Rig* rig, const std::string& sweep, v1::GetImportanceResponse* response,
                        const std::string& metric = "") {
  Context context;
  v1::GetImportanceRequest request;
  request.set_sweep(sweep);
  request.set_metric(metric);
  return rig->sweeps->GetImportance(&context, request, response);
}

TEST(ImportanceApiTest, TellsWhichParameterMattersAndWhereItIsGood) {
  Rig rig;
  rig.Serve();
  rig.Create(TwoParameters(60));
  int count = 0;
  RunTrials(&rig, "digits", 60, [&count](double lr) -> std::optional<double> {
    ++count;
    if (count % 20 == 0) return std::nullopt;
    if (count % 20 == 1) return std::nan("");
    return (lr - 0.3) * (lr - 0.3);
  });
  v1::GetImportanceResponse response;
  const grpc::Status status = Importance(&rig, "digits", &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.metric(), "loss");
  EXPECT_EQ(response.trials_used(), 54U);
  EXPECT_EQ(response.trials_with_value(), 54);
  EXPECT_EQ(response.trials_left_out(), 6);
  EXPECT_GT(response.r2(), 0.6);
  ASSERT_EQ(response.parameters_size(), 2);
  const v1::GetImportanceResponse::Parameter& lr = response.parameters(0);
  EXPECT_EQ(lr.name(), "lr");
  EXPECT_GT(lr.share(), 0.9);
  EXPECT_EQ(lr.active(), 1);
  ASSERT_EQ(lr.effect_size(), 8);
  EXPECT_EQ(lr.effect(0).lo(), 0.1);
  EXPECT_EQ(lr.effect(7).hi(), 0.9);
  EXPECT_LT(lr.effect(1).metric(), lr.effect(7).metric());
  EXPECT_NE(lr.line().find("; loss falls from "), std::string::npos) << lr.line();
  const v1::GetImportanceResponse::Parameter& inert = response.parameters(1);
  EXPECT_LT(inert.share(), 0.05);
  ASSERT_EQ(inert.effect_size(), 2);
  EXPECT_EQ(inert.effect(0).value().string_value().size(), 1U);
  EXPECT_NEAR(lr.share() + inert.share() + response.interactions(), 1, 1e-9);
  v1::GetImportanceResponse again;
  ASSERT_TRUE(Importance(&rig, "digits", &again).ok());
  EXPECT_EQ(again.SerializeAsString(), response.SerializeAsString());
  ExpectRefused(Importance(&rig, "digits", &again, "accuracy"), StatusCode::INVALID_ARGUMENT, "METRIC_INVALID");
}

TEST(ImportanceApiTest, OfSeveralObjectivesTheNamedOneIsMeant) {
  Rig rig;
  rig.Serve();
  v1::SweepSpec spec = TwoParameters(30);
  for (const auto& [metric, goal] : {std::pair("loss", v1::GOAL_MIN), std::pair("speed", v1::GOAL_MAX)}) {
    v1::Objective* objective = spec.mutable_search()->add_metrics();
    objective->set_metric(metric);
    objective->set_goal(goal);
  }
  rig.Create(spec);
  RunTrials(&rig, "digits", 30, [](double lr) -> std::optional<double> { return lr; }, "speed");
  v1::GetImportanceResponse loss, speed;
  ASSERT_TRUE(Importance(&rig, "digits", &loss).ok());
  ASSERT_TRUE(Importance(&rig, "digits", &speed, "speed").ok());
  EXPECT_EQ(loss.metric(), "loss");
  EXPECT_EQ(speed.metric(), "speed");
  EXPECT_NE(loss.parameters(0).line().find("loss falls"), std::string::npos) << loss.parameters(0).line();
  EXPECT_NE(speed.parameters(0).line().find("speed rises"), std::string::npos) << speed.parameters(0).line();
}

TEST(ImportanceApiTest, SaysWhatIsMissing) {
  Rig rig;
  rig.Serve();
  v1::GetImportanceResponse response;
  ExpectRefused(Importance(&rig, "digits", &response), StatusCode::NOT_FOUND, "SWEEP_NOT_FOUND");
  rig.Create(TwoParameters(40));
  ExpectRefused(Importance(&rig, "digits", &response), StatusCode::FAILED_PRECONDITION, "TOO_FEW_TRIALS");
  int count = 0;
  RunTrials(&rig, "digits", 12, [&count](double) -> std::optional<double> {
    return ++count > 9 ? std::nullopt : std::optional(0.5);
  });
  const grpc::Status few = Importance(&rig, "digits", &response);
  ExpectRefused(few, StatusCode::FAILED_PRECONDITION, "TOO_FEW_TRIALS");
  EXPECT_EQ(few.error_message(),
            "sweep digits: importance needs at least 10 finished trials with a value of loss; there are 9 (3 that "
            "failed or gave no finite value are left out)");
  RunTrials(&rig, "digits", 3, [](double) -> std::optional<double> { return 0.5; });
  ExpectRefused(Importance(&rig, "digits", &response), StatusCode::FAILED_PRECONDITION, "NOTHING_TO_COMPARE");
}

}  // namespace
}  // namespace tunesmith::rpc
