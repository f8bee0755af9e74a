#include "schedulers/options.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/limits.h"
#include "common/text.h"

namespace tunesmith {

std::string OptionText(double x) {
  std::string text = DoubleText(x);
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text;
}

void CheckGracePeriod(const SchedulerOptions& options, bool may_be_zero, Problems* problems) {
  const double grace = options.grace_period;
  const std::string text = OptionText(grace);
  const auto add = [&](std::string message, std::string hint) {
    problems->push_back({"scheduler.grace_period", std::move(message), std::move(hint)});
  };
  if (!(grace >= 0) || std::isinf(grace) || (grace == 0 && !may_be_zero)) {
    add(text + (may_be_zero ? " is less than 0" : " is not greater than 0"),
        "give the number of steps before a trial may be stopped, e.g. 1");
  } else if (!options.compat_ray && grace != std::floor(grace)) {
    add(text + " is not a whole number of steps",
        "use " + OptionText(std::max(1.0, std::ceil(grace))) + ", or compat: ray, where a fraction is allowed");
  } else if (options.max_t > 0 && grace > static_cast<double>(options.max_t)) {
    add(text + " is greater than max_t " + std::to_string(options.max_t),
        "make grace_period smaller or max_t larger");
  }
}

void CheckMaxT(const SchedulerOptions& options, Problems* problems) {
  constexpr int64_t kMaxTMax = int64_t{1} << 53;  // steps are compared as doubles
  if (options.max_t >= 1 && options.max_t <= kMaxTMax) return;
  problems->push_back({"scheduler.max_t", std::to_string(options.max_t) + " is not between 1 and 2^53",
                       "give the number of steps (epochs) of a full trial"});
}

void CheckReductionFactor(const SchedulerOptions& options, Problems* problems) {
  const double factor = options.reduction_factor.value_or(0);
  if (factor > 1 && !std::isinf(factor)) return;
  problems->push_back({"scheduler.reduction_factor", OptionText(factor) + " is not greater than 1",
                       "use 2 to 4: the best 1/factor of the trials go on at each rung"});
}

void CheckRungCount(const SchedulerOptions& options, Problems* problems) {
  const double factor = options.reduction_factor.value_or(0);
  const double count = std::log(static_cast<double>(options.max_t) / options.grace_period) / std::log(factor);
  if (count < kRungsPerBracketMax) return;
  problems->push_back({"scheduler.reduction_factor",
                       OptionText(factor) + " gives more than " + std::to_string(kRungsPerBracketMax) +
                           " rungs up to max_t " + std::to_string(options.max_t),
                       "use 2 to 4"});
}

}  // namespace tunesmith
