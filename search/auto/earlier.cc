#include "search/auto/earlier.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/rng.h"
#include "search/registry.h"

namespace tunesmith::model {

EarlierTrials::EarlierTrials(const std::vector<EarlierTrial>& trials, Goal goal, const Space& space,
                             const tpe::Coding& coding, uint64_t seed) {
  std::vector<size_t> order;
  for (size_t t = 0; t < trials.size(); ++t) {
    if (std::isfinite(trials[t].value) && trials[t].point.size() == space.size()) order.push_back(t);
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return goal == Goal::kMin ? trials[a].value < trials[b].value : trials[a].value > trials[b].value;
  });
  const auto n = static_cast<double>(order.size());
  for (size_t rank = 0; rank < order.size(); ++rank) {
    Rng rng = Rng::ForLabels({seed, order[rank], kStreamEarlier});
    Point point = trials[order[rank]].point;
    std::vector<float> codes(space.size(), std::numeric_limits<float>::quiet_NaN());
    for (const size_t i : space.SampleOrder()) {
      if (!space.Active(i, point)) continue;
      double code = coding.Encode(i, point[i]);
      if (std::isnan(code)) {
        code = coding.SamplePrior(i, &rng);
        point[i] = coding.Decode(i, code);
      }
      codes[i] = static_cast<float>(code);
    }
    codes_.push_back(std::move(codes));
    scores_.push_back(NormalQuantile((static_cast<double>(rank) + 0.5) / n));
  }
}

std::vector<Scored> EarlierTrials::Select(size_t limit) const {
  std::vector<Scored> out;
  const size_t count = std::min(limit, size());
  const size_t best = (count + 1) / 2;
  for (size_t k = 0; k < count; ++k) {
    const size_t rank = k < best ? k : best + (k - best) * (size() - best) / (count - best);
    out.push_back({kLast - static_cast<uint32_t>(rank), scores_[rank]});
  }
  return out;
}

}  // namespace tunesmith::model
