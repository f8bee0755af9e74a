#include "client/api/lineage.h"

#include <map>

#include "client/api/convert.h"
#include "client/json_object.h"
#include "common/text.h"

namespace tunesmith {
namespace {

std::string ChangedText(const v1::Exploit& exploit) {
  std::map<std::string, Value> before;
  for (const v1::NamedValue& one : exploit.donor_parameters()) before[one.name()] = ValueOf(one.value());
  std::vector<std::string> changed;
  for (const v1::NamedValue& one : exploit.parameters()) {
    const Value value = ValueOf(one.value());
    const auto donors = before.find(one.name());
    if (donors == before.end()) {
      changed.push_back(one.name() + " " + ValueText(value));
    } else if (!SameValue(donors->second, value)) {
      changed.push_back(one.name() + " " + ValueText(donors->second) + " -> " + ValueText(value));
    }
  }
  return changed.empty() ? "nothing" : Join(changed, ", ");
}

}  // namespace

std::vector<std::vector<std::string>> LineageRows(const v1::Trial& trial) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::Exploit& exploit : trial.lineage()) {
    rows.push_back({std::to_string(exploit.donor()), std::to_string(exploit.step()),
                    std::to_string(exploit.left_step()), std::to_string(exploit.attempt()), ChangedText(exploit)});
  }
  return rows;
}

std::string LineageJson(const v1::Trial& trial) {
  JsonList list;
  for (const v1::Exploit& exploit : trial.lineage()) {
    JsonObject one;
    one.Integer("donor", exploit.donor()).Integer("donor_attempt", exploit.donor_attempt());
    one.Integer("step", exploit.step()).Integer("left_step", exploit.left_step());
    one.Integer("attempt", exploit.attempt());
    one.Raw("donor_parameters", ParametersJson(exploit.donor_parameters()));
    one.Raw("parameters", ParametersJson(exploit.parameters()));
    one.Raw("left_parameters", ParametersJson(exploit.left_parameters()));
    list.Raw(one.Finish());
  }
  return list.Finish();
}

}  // namespace tunesmith
