#include <gtest/gtest.h>

#include <limits>

#include "client/api/importance.h"

namespace tunesmith {
namespace {

v1::GetImportanceResponse Response() {
  v1::GetImportanceResponse response;
  response.set_metric("loss");
  response.set_r2(0.5);
  response.set_interactions(0.25);
  response.set_trials_used(20);
  response.set_trials_with_value(30);
  response.set_trials_left_out(3);
  v1::GetImportanceResponse::Parameter* parameter = response.add_parameters();
  parameter->set_name("x");
  parameter->set_share(0.75);
  parameter->set_spread(0.125);
  parameter->set_active(1);
  parameter->set_line("best below 0.5; loss falls from 2 to 1 there");
  v1::GetImportanceResponse::Effect* range = parameter->add_effect();
  range->set_lo(-std::numeric_limits<double>::infinity());
  range->set_hi(0.5);
  range->set_metric(1);
  range->set_trials(4);
  v1::GetImportanceResponse::Effect* value = parameter->add_effect();
  value->mutable_value()->set_string_value("adam");
  value->set_metric(2);
  return response;
}

TEST(ImportanceJson, HasEverything) {
  EXPECT_EQ(ImportanceJson("digits", Response()),
            R"({"sweep":"digits","metric":"loss","r2":0.5,"trials_used":20,"trials_with_value":30,)"
            R"("trials_left_out":3,"interactions":0.25,"parameters":[{"name":"x","share":0.75,"spread":0.125,)"
            R"("active":1.0,"line":"best below 0.5; loss falls from 2 to 1 there","effect":[{"lo":"-inf","hi":0.5,)"
            R"("metric":1.0,"trials":4},{"value":"adam","metric":2.0,"trials":0}]}]})");
}

TEST(ImportanceJson, CsvHasOneRowPerParameter) {
  const auto rows = ImportanceCells(Response());
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0], (std::vector<std::string>{"x", "0.75", "0.125", "1.0",
                                               "best below 0.5; loss falls from 2 to 1 there"}));
}

TEST(ImportanceJson, TheScreenShowsTheSame) {
  const ImportanceView view = ImportanceViewOf("digits", Response());
  EXPECT_EQ(view.sweep, "digits");
  EXPECT_EQ(view.rows.size(), 1U);
  EXPECT_EQ(view.used, 20);
  EXPECT_EQ(view.with_value, 30);
  EXPECT_EQ(view.left_out, 3);
}

}  // namespace
}  // namespace tunesmith
