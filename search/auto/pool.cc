#include "search/auto/pool.h"

#include <algorithm>
#include <cmath>

#include "common/exact_math.h"
#include "search/registry.h"

namespace tunesmith::model {

namespace {

constexpr size_t kDensityBest = 25;
constexpr size_t kPendingMax = 64;  // counted in; further ones are only not proposed again
constexpr size_t kParents = 5;
constexpr int kRounds = 6;
constexpr size_t kPerRound = 12;

// Logarithm of the expected improvement below `best`: of deviation x (z Phi(z) + phi(z)).
double LogExpectedImprovement(double mean, double deviation, double best) {
  const double z = (best - mean) / deviation;
  constexpr double kLogSqrt2Pi = 0.91893853320467274178;
  const double log_density = -0.5 * z * z - kLogSqrt2Pi;
  if (z < -6) {  // the leading terms for large -z, where the two parts nearly cancel
    const double z2 = z * z;
    return PortableLog(deviation) + log_density - PortableLog(z2) + PortableLog(1 - 3 / z2 + 15 / (z2 * z2));
  }
  return PortableLog(deviation) + PortableLog(std::max(z * NormalCdf(z) + PortableExp(log_density), 1e-300));
}

}  // namespace

Pool::Pool(const PoolContext& context, const History& history, const GpParameters& parameters,
           const std::function<bool(uint64_t hash)>& skip)
    : context_(context),
      history_(history),
      source_(context.space, context.coding),
      learnt_(LessonOf(context.features, history, history.Select(kProcessBest, kProcessOthers))),
      best_score_(*std::min_element(learnt_.scores.begin(), learnt_.scores.end())),
      gp_(learnt_.points, learnt_.scores, parameters) {
  const auto count = static_cast<double>(history.good());
  const size_t good_trials = std::min<size_t>(static_cast<size_t>(std::ceil(0.15 * count)), kDensityBest);
  // Weighted by how much better they are than the best one outside.
  const std::vector<Scored> best = history.Select(good_trials + 1, 0);
  std::vector<tpe::Kernel> kernels;
  double sum = 0;
  for (size_t j = 0; j < std::min(good_trials, best.size()); ++j) {
    const double weight = std::max(1e-12, best.back().score - best[j].score);
    kernels.push_back({history.codes(best[j].trial).data(), weight});
    sum += weight;
  }
  good_.emplace(context.coding, kernels, sum / static_cast<double>(kernels.size()));
  std::vector<std::vector<float>> parents;
  for (size_t j = 0; j < std::min(kParents, best.size()); ++j) parents.push_back(history.codes(best[j].trial));

  Rng rng = Rng::ForLabels({context.seed, history.results(), kStreamAuto});
  const size_t from_model = context.candidates / 2, from_prior = context.candidates / 6;
  Draw({from_model, from_prior, context.candidates - from_model - from_prior}, parents, skip, &rng);
  for (int round = 0; round < kRounds && !candidates_.empty(); ++round) {
    Draw({0, 0, kPerRound}, Favourites(), skip, &rng);
  }
}

void Pool::Draw(const CandidateMix& mix, const std::vector<std::vector<float>>& parents,
                const std::function<bool(uint64_t hash)>& skip, Rng* rng) {
  const size_t begin = candidates_.size();
  source_.Draw(mix, *good_, parents, skip, rng, &taken_, &candidates_);
  if (candidates_.size() == begin) return;
  FeatureTable table(context_.features, candidates_.size() - begin);
  for (size_t c = begin; c < candidates_.size(); ++c) table.Set(c - begin, candidates_[c].codes);
  batches_.emplace_back(std::move(table), gp_);
}

std::vector<std::vector<float>> Pool::Favourites() {
  const std::vector<double>& scores = Improvements();
  std::vector<size_t> order(scores.size());
  for (size_t c = 0; c < order.size(); ++c) order[c] = c;
  const size_t top = std::min(kParents, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(top), order.end(),
                    [&](size_t a, size_t b) { return scores[a] != scores[b] ? scores[a] > scores[b] : a < b; });
  std::vector<std::vector<float>> out;
  for (size_t k = 0; k < top; ++k) {
    const tpe::Codes& codes = candidates_[order[k]].codes;
    out.emplace_back(codes.begin(), codes.end());
  }
  return out;
}

Pool::Judgement Pool::By(Origin::Judge judge, const Forest* forest) {
  if (judge == Origin::Judge::kForest) return ByForest(*forest);
  TakeInPending();
  return ByProcess();
}

// The process knows pending trials in the order in which it was told; where one of them has gone it starts anew.
void Pool::TakeInPending() {
  const std::set<uint32_t>& now = history_.pending();
  std::vector<uint32_t> wanted(now.begin(), now.end());
  if (wanted.size() > kPendingMax) wanted.resize(kPendingMax);
  const bool grown = wanted.size() >= pending_.size() && std::equal(pending_.begin(), pending_.end(), wanted.begin());
  if (wanted != pending_) improvements_.clear();
  if (!grown) {
    pending_.clear();
    gp_.ForgetPending();
    for (Batch& batch : batches_) batch.view.emplace(gp_, batch.table);
  }
  for (size_t p = pending_.size(); p < wanted.size(); ++p) {
    gp_.AddPending(LessonOf(context_.features, history_, {{wanted[p], 0}}).points);
  }
  pending_ = std::move(wanted);
  for (Batch& batch : batches_) batch.view->Update();
}

const std::vector<double>& Pool::Improvements() {
  size_t begin = 0;
  for (const Batch& batch : batches_) {
    for (size_t c = improvements_.size() - begin; c < batch.table.points(); ++c) {
      improvements_.push_back(LogExpectedImprovement(batch.view->Mean(c), batch.view->Deviation(c), best_score_));
    }
    begin += batch.table.points();
  }
  return improvements_;
}

Pool::Judgement Pool::ByProcess() {
  Judgement out;
  out.scores = Improvements();
  for (const Batch& batch : batches_) {
    for (size_t c = 0; c < batch.table.points(); ++c) out.means.push_back(batch.view->Mean(c));
  }
  return out;
}

Pool::Judgement Pool::ByForest(const Forest& forest) const {
  Judgement out;
  for (const Batch& batch : batches_) {
    for (size_t c = 0; c < batch.table.points(); ++c) {
      const Forest::Prediction p = forest.Predict(batch.table, c);
      out.means.push_back(p.mean);
      out.scores.push_back(LogExpectedImprovement(p.mean, std::sqrt(p.variance + 1e-6), best_score_));
    }
  }
  return out;
}

std::vector<double> Pool::Predict(const Forest& forest) const {
  std::vector<double> out;
  for (const Batch& batch : batches_) {
    for (size_t c = 0; c < batch.table.points(); ++c) out.push_back(forest.Predict(batch.table, c).mean);
  }
  return out;
}

}  // namespace tunesmith::model
