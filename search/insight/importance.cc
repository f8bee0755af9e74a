#include "search/insight/importance.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <span>
#include <string>

#include "common/rng.h"
#include "search/model/features.h"
#include "search/model/forest.h"
#include "search/model/standings.h"
#include "search/tpe/coding.h"

namespace tunesmith::insight {

namespace {

constexpr uint64_t kStreamFolds = 0x494e464f, kStreamSpace = 0x494e5350, kStreamTrees = 0x494e5452;
constexpr size_t kFolds = 8;        // forests, each fitted without an eighth of the points
constexpr int kTreesPerFold = 10;
// Points in a leaf at least: more where there are many trials, so that noise is averaged.
size_t LeafPoints(size_t trials) { return std::max<size_t>(3, trials / 150); }
constexpr size_t kRanges = 8;       // of an ordered parameter, equally likely
constexpr uint64_t kValuesMax = 12; // that ordered parameters are shown by, and categories at most
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Which bin of its parameter a code lies in.
struct Binning {
  Binning(const tpe::Dim& dim_of) : dim(&dim_of) {
    by_value = dim->kind == tpe::Kind::kCategorical || (dim->kind == tpe::Kind::kLattice && dim->values <= kValuesMax);
    bins = by_value ? static_cast<size_t>(dim->values) : kRanges;
  }
  size_t BinOf(double code) const {
    if (by_value) return std::min(static_cast<size_t>(code), bins - 1);
    const double place = dim->kind == tpe::Kind::kLattice ? (code + 0.5) / static_cast<double>(dim->values) : code;
    return static_cast<size_t>(std::clamp(place, 0.0, 1 - 0x1p-53) * static_cast<double>(kRanges));
  }

  const tpe::Dim* dim;
  bool by_value = false;
  size_t bins = 0;
};

// A sample of the space, coded. Column by column: code(i)[j] is parameter i of point j.
class Background {
 public:
  Background(const Space& space, const tpe::Coding& coding, const model::FeatureMap& map, size_t points, uint64_t seed)
      : points_(points), table_(map, points), codes_(coding.size() * points) {
    Rng rng = Rng::ForLabels({seed, points, kStreamSpace});
    tpe::Codes codes(coding.size());
    for (size_t j = 0; j < points; ++j) {
      const Point point = space.Sample(&rng);
      for (size_t i = 0; i < codes.size(); ++i) {
        codes[i] = coding.Encode(i, point[i]);
        codes_[i * points + j] = codes[i];
      }
      table_.Set(j, codes);
    }
  }
  size_t points() const { return points_; }
  const model::FeatureTable& table() const { return table_; }
  std::span<const double> code(size_t i) const { return {codes_.data() + i * points_, points_}; }

 private:
  size_t points_;
  model::FeatureTable table_;
  std::vector<double> codes_;
};

// The trials as the forest sees them.
struct Scores {
  explicit Scores(Goal g) : goal(g) {}
  double Loss(double value) const { return goal == Goal::kMin ? value : -value; }
  void Take(const std::vector<FinishedTrial>& trials) {
    model::Standings standings;
    for (const FinishedTrial& trial : trials) {
      for (const auto& [rung, value] : trial.rungs) standings.Reach(trial.trial, rung, Loss(value));
      if (trial.completed) {
        standings.Complete(trial.trial, Loss(trial.value));
      } else {
        standings.Stop(trial.trial, Loss(trial.value));
      }
    }
    for (const FinishedTrial& trial : trials) y.push_back(NormalQuantile(standings.Quantile(trial.trial)));
    FitLosses(trials);
  }
  // The loss that trials of this score end with.
  double MetricAt(double score) const {
    const auto above = std::upper_bound(levels.begin(), levels.end(), score,
                                        [](double s, const Level& level) { return s < level.score; });
    if (above == levels.begin()) return Loss(levels.front().loss);
    if (above == levels.end()) return Loss(levels.back().loss);
    const Level& a = *(above - 1);
    const Level& b = *above;
    const double part = (score - a.score) / (b.score - a.score);
    return Loss((1 - part) * a.loss + part * b.loss);
  }

  struct Level {
    double score = 0, loss = 0, count = 0;  // means of `count` trials
  };

  Goal goal;
  std::vector<double> y;
  std::vector<Level> levels;  // scores and losses rise

 private:
  // Isotonic regression by pooling adjacent violators (Ayer et al. 1955). Where all trials ran to their end, losses
  // rise with scores anyhow.
  void FitLosses(const std::vector<FinishedTrial>& trials) {
    std::vector<size_t> order(trials.size());
    for (size_t j = 0; j < order.size(); ++j) order[j] = j;
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      if (y[a] != y[b]) return y[a] < y[b];
      return trials[a].trial < trials[b].trial;
    });
    for (const size_t j : order) {
      Level level{y[j], Loss(trials[j].value), 1};
      while (!levels.empty() && (levels.back().loss >= level.loss || levels.back().score >= level.score)) {
        const Level& last = levels.back();
        const double share = last.count / (last.count + level.count);
        level = {share * last.score + (1 - share) * level.score, share * last.loss + (1 - share) * level.loss,
                 last.count + level.count};
        levels.pop_back();
      }
      levels.push_back(level);
    }
  }
};

double MeanOf(std::span<const double> values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return sum / static_cast<double>(values.size());
}

double SquaresAround(std::span<const double> values, double centre) {
  double sum = 0;
  for (const double v : values) sum += (v - centre) * (v - centre);
  return sum;
}

// Means of the values by bin, over the points where the parameter is active.
struct BinMeans {
  BinMeans(const Binning& binning, std::span<const double> codes, std::span<const double> values)
      : count(binning.bins), mean(binning.bins) {
    for (size_t j = 0; j < codes.size(); ++j) {
      if (std::isnan(codes[j])) continue;
      const size_t bin = binning.BinOf(codes[j]);
      count[bin] += 1;
      mean[bin] += values[j];
      all += 1;
      sum += values[j];
      squares += values[j] * values[j];
    }
    for (size_t b = 0; b < count.size(); ++b) {
      if (count[b] > 0) mean[b] /= count[b];
    }
  }
  // The sum of squares between the bins, less what chance puts there.
  double Between() const {
    if (all == 0) return 0;
    const double centre = sum / all;
    double between = 0, used = 0;
    for (size_t b = 0; b < count.size(); ++b) {
      if (count[b] == 0) continue;
      used += 1;
      between += count[b] * (mean[b] - centre) * (mean[b] - centre);
    }
    if (all <= used) return 0;  // every point has a bin of its own: nothing can be told
    const double within = std::max(0.0, squares - all * centre * centre - between);
    return std::max(0.0, between - (used - 1) * within / (all - used));
  }

  std::vector<double> count, mean;
  double all = 0, sum = 0, squares = 0;
};

// The share of the variance of `values` over the background that each parameter explains; all 0 if there is none.
std::vector<double> SharesOf(const std::vector<Binning>& binnings, const Background& background,
                             std::span<const double> values) {
  std::vector<double> shares(binnings.size(), 0.0);
  const double total = SquaresAround(values, MeanOf(values));
  if (!(total > 1e-12)) return shares;
  double sum = 0;
  for (size_t i = 0; i < shares.size(); ++i) {
    if (binnings[i].dim->kind == tpe::Kind::kFixed) continue;
    shares[i] = std::min(1.0, BinMeans(binnings[i], background.code(i), values).Between() / total);
    sum += shares[i];
  }
  // Under constraints the parameters depend on each other, and may explain the same variance twice.
  if (sum > 1) {
    for (double& share : shares) share /= sum;
  }
  return shares;
}

// By trial: the forest that does not see it. Trials of the same point stay together. nullopt if there is one point.
std::optional<std::vector<size_t>> Folds(const std::vector<FinishedTrial>& trials, uint64_t seed) {
  Rng rng = Rng::ForLabels({seed, trials.size(), kStreamFolds});
  const uint64_t salt = rng.NextU64();
  std::vector<uint64_t> keys;
  for (const FinishedTrial& trial : trials) keys.push_back(Mix64(HashPoint(trial.point) ^ salt));
  std::vector<uint64_t> distinct = keys;
  std::sort(distinct.begin(), distinct.end());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  if (distinct.size() < 2) return std::nullopt;
  std::vector<size_t> folds;
  for (const uint64_t key : keys) {
    const auto at = std::lower_bound(distinct.begin(), distinct.end(), key) - distinct.begin();
    folds.push_back(static_cast<size_t>(at) % kFolds);
  }
  return folds;
}

model::FeatureTable Subset(const model::FeatureMap& map, const std::vector<tpe::Codes>& codes,
                           const std::vector<size_t>& chosen) {
  model::FeatureTable table(map, chosen.size());
  for (size_t k = 0; k < chosen.size(); ++k) table.Set(k, codes[chosen[k]]);
  return table;
}

// What the forests say: predictions of the background, one row per forest, and how well they foretell.
struct Fit {
  std::vector<std::vector<double>> rows;
  std::vector<double> mean;
  double r2 = 0;
};

Fit FitForests(const model::FeatureMap& map, const std::vector<tpe::Codes>& codes, const std::vector<double>& y,
               const std::vector<size_t>& folds, const Background& background, uint64_t seed) {
  Fit fit;
  fit.mean.assign(background.points(), 0.0);
  double error = 0;
  for (size_t fold = 0; fold < kFolds; ++fold) {
    std::vector<size_t> seen, held;
    std::vector<double> targets;
    for (size_t j = 0; j < y.size(); ++j) {
      if (folds[j] == fold) {
        held.push_back(j);
      } else {
        seen.push_back(j);
        targets.push_back(y[j]);
      }
    }
    const model::Forest forest(Subset(map, codes, seen), targets,
                               {.trees = kTreesPerFold, .leaf_points = LeafPoints(y.size())},
                               Rng::ForLabels({seed, fold, kStreamTrees}));
    const model::FeatureTable held_table = Subset(map, codes, held);
    for (size_t k = 0; k < held.size(); ++k) {
      const double miss = forest.Predict(held_table, k).mean - y[held[k]];
      error += miss * miss;
    }
    std::vector<double>& row = fit.rows.emplace_back(background.points());
    for (size_t j = 0; j < row.size(); ++j) {
      row[j] = forest.Predict(background.table(), j).mean;
      fit.mean[j] += row[j] / static_cast<double>(kFolds);
    }
  }
  fit.r2 = 1 - error / SquaresAround(y, MeanOf(y));
  return fit;
}

// The range of a bin of an ordered parameter with many values.
void SetRange(const Space& space, const tpe::Coding& coding, const Binning& binning, size_t i, size_t bin,
              std::span<const double> codes, Effect* effect) {
  const Parameter& p = space.parameters()[i];
  if (binning.dim->kind == tpe::Kind::kContinuous) {
    const bool open = binning.dim->normal;
    const double n = kRanges;
    effect->lo = bin > 0 ? ValueNumber(coding.Decode(i, static_cast<double>(bin) / n)) : open ? -kInfinity : p.lo;
    effect->hi = bin + 1 < kRanges ? ValueNumber(coding.Decode(i, static_cast<double>(bin + 1) / n))
                 : open            ? kInfinity
                                   : p.hi;
    return;
  }
  double lo = kInfinity, hi = -kInfinity;
  for (const double code : codes) {
    if (std::isnan(code) || binning.BinOf(code) != bin) continue;
    lo = std::min(lo, code);
    hi = std::max(hi, code);
  }
  effect->lo = ValueNumber(coding.Decode(i, lo));
  effect->hi = ValueNumber(coding.Decode(i, hi));
}

std::vector<Effect> EffectOf(const Space& space, const tpe::Coding& coding, const Binning& binning, size_t i,
                             const Background& background, const BinMeans& means, const std::vector<tpe::Codes>& codes,
                             const Scores& scores) {
  std::vector<uint32_t> tried(binning.bins, 0);
  for (const tpe::Codes& one : codes) {
    if (!std::isnan(one[i])) ++tried[binning.BinOf(one[i])];
  }
  const bool categorical = binning.dim->kind == tpe::Kind::kCategorical;
  std::vector<size_t> shown;
  for (size_t b = 0; b < binning.bins; ++b) {
    if (means.count[b] > 0 && (!categorical || tried[b] > 0)) shown.push_back(b);
  }
  if (shown.size() > kValuesMax) {
    std::stable_sort(shown.begin(), shown.end(), [&](size_t a, size_t b) { return tried[a] > tried[b]; });
    shown.resize(kValuesMax);
  }
  if (categorical) {
    std::sort(shown.begin(), shown.end(), [&](size_t a, size_t b) {
      return means.mean[a] != means.mean[b] ? means.mean[a] < means.mean[b] : a < b;
    });
  }
  std::vector<Effect> effects;
  for (const size_t b : shown) {
    Effect& effect = effects.emplace_back();
    effect.metric = scores.MetricAt(means.mean[b]);
    effect.trials = tried[b];
    if (binning.by_value) {
      effect.value = space.ValueAt(i, b);
    } else {
      SetRange(space, coding, binning, i, b, background.code(i), &effect);
    }
  }
  return effects;
}

double DeviationOf(const std::vector<std::vector<double>>& shares, size_t i) {
  std::vector<double> values;
  for (const auto& row : shares) values.push_back(row[i]);
  return std::sqrt(SquaresAround(values, MeanOf(values)) / static_cast<double>(values.size() - 1));
}

Status Missing(const std::string& what) { return FailedPrecondition(what); }

}  // namespace

StatusOr<Importance> ComputeImportance(const Space& space, const Question& question,
                                       const std::vector<FinishedTrial>& trials) {
  if (trials.size() < kTrialsMin) {
    return Missing("importance needs at least " + std::to_string(kTrialsMin) + " finished trials with a value of " +
                   question.metric + "; there " + (trials.size() == 1 ? "is " : "are ") +
                   std::to_string(trials.size()));
  }
  const tpe::Coding coding(space);
  const model::FeatureMap map(coding);
  if (map.size() == 0) return Missing("every parameter has one value, so that none can matter");
  const std::optional<std::vector<size_t>> folds = Folds(trials, question.seed);
  if (!folds) return Missing("all trials have the same parameters, so that nothing can be compared");
  Scores scores(question.goal);
  scores.Take(trials);
  if (SquaresAround(scores.y, MeanOf(scores.y)) < 1e-9) {
    return Missing(question.metric + " is the same in all " + std::to_string(trials.size()) +
                   " trials, so that no parameter can explain it");
  }
  std::vector<tpe::Codes> codes;
  for (const FinishedTrial& trial : trials) {
    tpe::Codes& one = codes.emplace_back(coding.size());
    for (size_t i = 0; i < one.size(); ++i) one[i] = coding.Encode(i, trial.point[i]);
  }
  constexpr size_t kCells = 4'000'000, kPointsMin = 1'024, kPointsMax = 4'096;
  const Background background(space, coding, map, std::clamp(kCells / map.size(), kPointsMin, kPointsMax),
                              question.seed);
  const Fit fit = FitForests(map, codes, scores.y, *folds, background, question.seed);

  std::vector<Binning> binnings;
  for (const tpe::Dim& dim : coding.dims()) binnings.emplace_back(dim);
  const std::vector<double> shares = SharesOf(binnings, background, fit.mean);
  std::vector<std::vector<double>> by_fold;
  for (const auto& row : fit.rows) by_fold.push_back(SharesOf(binnings, background, row));

  Importance out;
  out.r2 = fit.r2;
  double sum = 0;
  for (size_t i = 0; i < space.size(); ++i) {
    ParameterImportance& one = out.parameters.emplace_back();
    one.parameter = i;
    one.share = shares[i];
    sum += shares[i];
    one.spread = DeviationOf(by_fold, i);
    const auto active = std::count_if(background.code(i).begin(), background.code(i).end(),
                                      [](double code) { return !std::isnan(code); });
    one.active = static_cast<double>(active) / static_cast<double>(background.points());
    if (binnings[i].dim->kind == tpe::Kind::kFixed) continue;
    const BinMeans means(binnings[i], background.code(i), fit.mean);
    one.effect = EffectOf(space, coding, binnings[i], i, background, means, codes, scores);
  }
  if (sum > 0) out.interactions = std::max(0.0, 1 - sum);
  std::stable_sort(out.parameters.begin(), out.parameters.end(),
                   [](const ParameterImportance& a, const ParameterImportance& b) { return a.share > b.share; });
  return out;
}

}  // namespace tunesmith::insight
