// Reports its parameter; or fails in the way that `fail` names.
#include <stdexcept>

#include "worker/sdk/plugin.h"

namespace {

void Train(tunesmith::Trial& trial) {
  const std::string fail = trial.config().Text("fail", "");
  if (fail == "exception") throw std::runtime_error("no such table: users");
  if (fail == "other") throw 42;
  trial.Report(1, {{"loss", trial.config().Number("x") * 2}});
}

}  // namespace

TUNESMITH_PLUGIN(Train)
