#include "client/api/importance.h"

#include "client/api/convert.h"
#include "client/json_object.h"
#include "common/text.h"

namespace tunesmith {

ImportanceView ImportanceViewOf(const std::string& sweep, const v1::GetImportanceResponse& response) {
  ImportanceView view;
  view.sweep = sweep;
  view.metric = response.metric();
  for (const v1::GetImportanceResponse::Parameter& parameter : response.parameters()) {
    view.rows.push_back({parameter.name(), parameter.share(), parameter.spread(), parameter.line()});
  }
  view.interactions = response.interactions();
  view.r2 = response.r2();
  view.used = response.trials_used();
  view.with_value = response.trials_with_value();
  view.left_out = response.trials_left_out();
  return view;
}

std::string ParameterImportanceJson(const v1::GetImportanceResponse::Parameter& parameter) {
  JsonObject object;
  object.Text("name", parameter.name()).Number("share", parameter.share()).Number("spread", parameter.spread());
  object.Number("active", parameter.active()).Text("line", parameter.line());
  JsonList list;
  for (const v1::GetImportanceResponse::Effect& effect : parameter.effect()) {
    JsonObject one;
    if (effect.has_value()) {
      one.Raw("value", ValueJson(ValueOf(effect.value())));
    } else {
      one.Number("lo", effect.lo()).Number("hi", effect.hi());
    }
    one.Number("metric", effect.metric()).Integer("trials", effect.trials());
    list.Raw(one.Finish());
  }
  return object.Raw("effect", list.Finish()).Finish();
}

std::string ImportanceJson(const std::string& sweep, const v1::GetImportanceResponse& response) {
  JsonObject object;
  object.Text("sweep", sweep).Text("metric", response.metric()).Number("r2", response.r2());
  object.Integer("trials_used", response.trials_used()).Integer("trials_with_value", response.trials_with_value());
  object.Integer("trials_left_out", response.trials_left_out()).Number("interactions", response.interactions());
  JsonList list;
  for (const v1::GetImportanceResponse::Parameter& parameter : response.parameters()) {
    list.Raw(ParameterImportanceJson(parameter));
  }
  return object.Raw("parameters", list.Finish()).Finish();
}

std::vector<std::vector<std::string>> ImportanceCells(const v1::GetImportanceResponse& response) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::GetImportanceResponse::Parameter& parameter : response.parameters()) {
    rows.push_back({parameter.name(), DoubleText(parameter.share()), DoubleText(parameter.spread()),
                    DoubleText(parameter.active()), parameter.line()});
  }
  return rows;
}

}  // namespace tunesmith
