#include "client/api/origin.h"

#include <optional>

#include "client/api/convert.h"
#include "client/format.h"
#include "client/json_object.h"

namespace tunesmith {
namespace {

constexpr int kDigits = 4;

std::string KindWord(v1::Origin::Kind kind) {
  switch (kind) {
    case v1::Origin::USER:
      return "user";
    case v1::Origin::START:
      return "start";
    case v1::Origin::PRIOR:
      return "prior";
    case v1::Origin::MODEL:
      return "model";
    case v1::Origin::GRID:
      return "grid";
    case v1::Origin::REPEAT:
      return "repeat";
    default:
      return "";
  }
}

std::string JudgeWord(v1::Origin::Judge judge) {
  switch (judge) {
    case v1::Origin::TPE:
      return "tpe";
    case v1::Origin::GP:
      return "gp";
    case v1::Origin::FOREST:
      return "forest";
    case v1::Origin::CMAES:
      return "cmaes";
    default:
      return "";
  }
}

const char* JudgeName(v1::Origin::Judge judge) {
  switch (judge) {
    case v1::Origin::TPE:
      return "the Parzen estimator (TPE)";
    case v1::Origin::GP:
      return "the Gaussian process";
    case v1::Origin::FOREST:
      return "the forest of trees";
    case v1::Origin::CMAES:
      return "the evolution strategy (CMA-ES)";
    default:
      return "the model";
  }
}

// The last value of the objective, as the searcher learns it.
std::optional<double> ReachedValue(const v1::Sweep& sweep, const v1::Trial& trial) {
  for (const v1::MetricValue& metric : trial.last_metrics()) {
    if (metric.name() == ObjectiveOf(sweep.spec())) return metric.value();
  }
  return std::nullopt;
}

std::string ModelText(const v1::Sweep& sweep, const v1::Trial& trial) {
  const v1::Origin& origin = trial.origin();
  std::string text = std::string("chosen by ") + JudgeName(origin.judge());
  if (origin.of() > 1) {
    text += origin.rank() == 1 ? " as best" : " as number " + std::to_string(origin.rank());
    text += " of " + std::to_string(origin.of()) + " candidates";
  }
  if (!origin.has_predicted()) return text;
  text += "; it predicted " + ObjectiveOf(sweep.spec()) + " " +
          ShortNumber(origin.predicted(), kDigits);
  const auto reached = ReachedValue(sweep, trial);
  if (!reached.has_value() || !HasEnded(trial)) return text;
  const std::string value = ShortNumber(*reached, kDigits);
  return text + (trial.state() == v1::Trial::COMPLETED
                     ? ", and the trial reached " + value
                     : ", and the trial had reached " + value + " when it ended early");
}

}  // namespace

std::string OriginWord(const v1::Trial& trial) {
  const std::string judge = JudgeWord(trial.origin().judge());
  return trial.origin().kind() == v1::Origin::MODEL && !judge.empty()
             ? judge
             : KindWord(trial.origin().kind());
}

std::string OriginText(const v1::Sweep& sweep, const v1::Trial& trial) {
  switch (trial.origin().kind()) {
    case v1::Origin::USER:
      return "one of the sweep's own points";
    case v1::Origin::START:
      return "one of the points spread over the space that the model starts from";
    case v1::Origin::PRIOR:
      return "drawn from the distributions as declared";
    case v1::Origin::MODEL:
      return ModelText(sweep, trial);
    case v1::Origin::GRID:
      return "next in the enumeration of the space";
    case v1::Origin::REPEAT:
      return "repeats trial " + std::to_string(trial.origin().repeat_of());
    default:
      return trial.from_user() ? "one of the sweep's own points" : "from the searcher";
  }
}

std::string OriginJson(const v1::Trial& trial) {
  if (!trial.has_origin()) return "null";
  const v1::Origin& origin = trial.origin();
  JsonObject object;
  object.Text("kind", KindWord(origin.kind()));
  const std::string judge = JudgeWord(origin.judge());
  judge.empty() ? object.Null("judge") : object.Text("judge", judge);
  origin.has_predicted() ? object.Number("predicted", origin.predicted())
                         : object.Null("predicted");
  object.Integer("rank", origin.rank()).Integer("of", origin.of());
  origin.has_repeat_of() ? object.Integer("repeat_of", origin.repeat_of())
                         : object.Null("repeat_of");
  return object.Finish();
}

}  // namespace tunesmith
