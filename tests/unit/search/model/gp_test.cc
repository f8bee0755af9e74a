// The process against the textbook: dense matrices, Gaussian elimination in long double, slopes by
// differences.
#include "search/model/gp.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "common/rng.h"
#include "tests/unit/search/model/points.h"

namespace tunesmith::model {
namespace {

using testing_spaces::Choice;
using testing_spaces::Constant;
using testing_spaces::Make;
using testing_spaces::Range;
using testing_spaces::Text;
using testing_spaces::When;
using Real = long double;
using Matrix = std::vector<std::vector<Real>>;

// Every kind of feature: 0 x uniform, 1 rate logarithmic, 2 kind categorical, 3 layers lattice, 4 y
// only with kind a, 5 extra (categorical) only with kind b, and a constant, which is none.
Space Mixed() {
  return Make({Range("x", Distribution::kUniform, -1, 3),
               Range("rate", Distribution::kLogUniform, 1e-4, 1),
               Choice("kind", {Text("a"), Text("b"), Text("c")}),
               Range("layers", Distribution::kRandInt, 1, 6), Constant("data", Text("digits")),
               Range("y", Distribution::kUniform, 0, 10, 0, {When("kind", {Text("a")})}),
               Choice("extra", {Value(true), Value(false)}, {When("kind", {Text("b")})})});
}
constexpr size_t kMixedFeatures = 6;

// Squared distances by feature, from the values themselves.
std::vector<Real> Distances(const Point& a, const Point& b) {
  const auto squared = [](Real d) { return d * d; };
  const auto number = [&](size_t i) { return squared(ValueNumber(a[i]) - ValueNumber(b[i])); };
  const auto differ = [&](size_t i) { return SameValue(a[i], b[i]) ? Real{0} : Real{1}; };
  // What is inactive lies beside the middle of the line.
  const auto place = [&](const Point& p) {
    using Place = std::pair<Real, Real>;
    return IsActive(p[5]) ? Place(ValueNumber(p[5]) / 10, 0) : Place(0.5, std::sqrt(0.75L));
  };
  const auto [ax, ay] = place(a);
  const auto [bx, by] = place(b);
  return {number(0) / 16,
          squared(std::log(Real(ValueNumber(a[1])) / ValueNumber(b[1])) / std::log(Real(1e-4))),
          differ(2),
          number(3) / 25,
          squared(ax - bx) + squared(ay - by),
          differ(6)};
}

Real Covariance(const Point& a, const Point& b, const GpParameters& p) {
  Real r2 = 0;
  const auto distances = Distances(a, b);
  for (size_t f = 0; f < distances.size(); ++f) r2 += std::exp(Real(p.log_scale[f])) * distances[f];
  const Real r = std::sqrt(5 * r2);
  return std::exp(Real(p.log_amplitude)) * (1 + r + r * r / 3) * std::exp(-r);
}

Matrix CovarianceMatrix(const std::vector<Point>& points, const GpParameters& p) {
  Matrix k(points.size(), std::vector<Real>(points.size()));
  for (size_t i = 0; i < points.size(); ++i) {
    for (size_t j = 0; j < points.size(); ++j) {
      k[i][j] = Covariance(points[i], points[j], p) + (i == j ? std::exp(Real(p.log_noise)) : 0);
    }
  }
  return k;
}

// Solves a x = b by elimination with row exchanges; also the logarithm of |det a|.
std::vector<Real> Solve(Matrix a, std::vector<Real> b, Real* log_det = nullptr) {
  const size_t n = b.size();
  Real sum = 0;
  for (size_t c = 0; c < n; ++c) {
    size_t pivot = c;
    for (size_t r = c + 1; r < n; ++r)
      pivot = std::fabs(a[r][c]) > std::fabs(a[pivot][c]) ? r : pivot;
    std::swap(a[c], a[pivot]);
    std::swap(b[c], b[pivot]);
    sum += std::log(std::fabs(a[c][c]));
    for (size_t r = c + 1; r < n; ++r) {
      const Real f = a[r][c] / a[c][c];
      for (size_t j = c; j < n; ++j) a[r][j] -= f * a[c][j];
      b[r] -= f * b[c];
    }
  }
  for (size_t c = n; c-- > 0;) {
    for (size_t j = c + 1; j < n; ++j) b[c] -= a[c][j] * b[j];
    b[c] /= a[c][c];
  }
  if (log_det != nullptr) *log_det = sum;
  return b;
}

std::pair<Real, Real> MeanAndDeviation(const std::vector<Point>& points,
                                       const std::vector<double>& y, const GpParameters& p,
                                       const Point& at) {
  std::vector<Real> k;
  for (const Point& point : points) k.push_back(Covariance(point, at, p));
  const auto weights = Solve(CovarianceMatrix(points, p), k);
  Real mean = 0, variance = std::exp(Real(p.log_amplitude));
  for (size_t i = 0; i < k.size(); ++i) {
    mean += weights[i] * y[i];
    variance -= weights[i] * k[i];
  }
  return {mean, std::sqrt(std::max(variance, Real(1e-10)))};
}

// Logarithm of likelihood times prior, but for a constant.
Real LogPosterior(const std::vector<Point>& points, const std::vector<double>& y,
                  const GpParameters& p, double log_noise_prior) {
  Real log_det = 0, fit = 0;
  const auto alpha =
      Solve(CovarianceMatrix(points, p), std::vector<Real>(y.begin(), y.end()), &log_det);
  for (size_t i = 0; i < y.size(); ++i) fit += alpha[i] * y[i];
  const auto prior = [](Real x, Real mean, Real sd) {
    return -(x - mean) * (x - mean) / (2 * sd * sd);
  };
  Real sum = -fit / 2 - log_det / 2 + prior(p.log_amplitude, 0, 1) +
             prior(p.log_noise, log_noise_prior, 1.5);
  for (const double s : p.log_scale) sum += prior(s, 0, 1.5);
  return sum;
}

GpParameters RandomParameters(size_t features, Rng* rng) {
  GpParameters p(features, -3);
  for (double& s : p.log_scale) s = rng->Normal();
  p.log_amplitude = 0.5 * rng->Normal();
  p.log_noise = rng->Uniform(-6, -1);
  return p;
}

std::vector<double> Draws(size_t count, Rng* rng) {
  std::vector<double> y;
  for (size_t j = 0; j < count; ++j) y.push_back(rng->Normal());
  return y;
}

TEST(GpTest, MeansAndDeviationsAreThoseOfTheTextbookWithAndWithoutPendingPoints) {
  const Setting s(Mixed());
  ASSERT_EQ(s.features.size(), kMixedFeatures);
  for (uint64_t seed = 0; seed < 8; ++seed) {
    Rng rng(seed);
    std::vector<Point> points = s.Sample(seed == 0 ? 1 : 7 * seed, &rng);
    std::vector<double> y = Draws(points.size(), &rng);
    GpParameters p = RandomParameters(s.features.size(), &rng);
    if (seed >= 5) {
      // Slowly changing and next to no noise, as a fit gets where all values are alike: only
      // covariances that are positive whatever the points can be inverted here.
      p.log_noise = -11.5;
      for (double& scale : p.log_scale) scale = -3 - static_cast<double>(seed % 3);
    }
    std::vector<Point> candidates = s.Sample(25, &rng);
    candidates.push_back(points[0]);
    const FeatureTable table = s.Table(candidates);
    Gp gp(s.Table(points), y, p);
    GpView view(gp, table);
    for (size_t pending = 0; pending <= 3; ++pending) {
      if (pending > 0) {
        // Believed to turn out as predicted: an observation of the mean.
        const Point next = pending == 2 ? candidates[3] : s.space.Sample(&rng);
        y.push_back(static_cast<double>(MeanAndDeviation(points, y, p, next).first));
        points.push_back(next);
        gp.AddPending(s.Table({next}));
        EXPECT_EQ(gp.pending(), pending);
        view.Update();
      }
      const GpView anew(gp, table);
      for (size_t c = 0; c < candidates.size(); ++c) {
        const auto [mean, deviation] = MeanAndDeviation(points, y, p, candidates[c]);
        EXPECT_NEAR(view.Mean(c), static_cast<double>(mean), 1e-7);
        EXPECT_NEAR(view.Deviation(c), static_cast<double>(deviation), 1e-7);
        EXPECT_EQ(anew.Mean(c), view.Mean(c));
        EXPECT_EQ(anew.Deviation(c), view.Deviation(c));
      }
    }
  }
}

TEST(GpTest, PendingPointsLeaveMeansAndLowerDeviationsUntilForgotten) {
  const Setting s(Mixed());
  Rng rng(2);
  const std::vector<Point> points = s.Sample(20, &rng), candidates = s.Sample(40, &rng);
  const FeatureTable table = s.Table(candidates);
  Gp gp(s.Table(points), Draws(20, &rng), RandomParameters(s.features.size(), &rng));
  const GpView before(gp, table);
  GpView view(gp, table);
  double last = view.Deviation(0);
  for (int n = 0; n < 5; ++n) {
    gp.AddPending(s.Table({candidates[0]}));  // the same again and again
    view.Update();
    EXPECT_LT(view.Deviation(0), last);
    last = view.Deviation(0);
    for (size_t c = 0; c < candidates.size(); ++c) {
      EXPECT_EQ(view.Mean(c), before.Mean(c));
      EXPECT_LE(view.Deviation(c), before.Deviation(c) + 1e-12);
      EXPECT_GT(view.Deviation(c), 0);
    }
  }
  gp.ForgetPending();
  EXPECT_EQ(gp.pending(), 0u);
  const GpView after(gp, table);
  for (size_t c = 0; c < candidates.size(); ++c) EXPECT_EQ(after.Deviation(c), before.Deviation(c));
}

TEST(GpTest, DeviationsArePositiveAndBelowThePriorEverywhere) {
  const Setting s(Mixed());
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Rng rng(seed);
    const std::vector<Point> points = s.Sample(64, &rng), candidates = s.Sample(50, &rng);
    GpParameters p = RandomParameters(s.features.size(), &rng);
    // The corners that the fit may reach.
    p.log_noise = seed % 2 == 0 ? -11.5 : 1;
    for (double& scale : p.log_scale) scale = rng.Below(2) == 0 ? -8 : rng.Uniform(-8, 8);
    const FeatureTable table = s.Table(candidates);
    const Gp gp(s.Table(points), Draws(64, &rng), p);
    const GpView view(gp, table);
    for (size_t c = 0; c < candidates.size(); ++c) {
      EXPECT_TRUE(std::isfinite(view.Mean(c)));
      EXPECT_GT(view.Deviation(c), 0);
      EXPECT_LE(view.Deviation(c), std::sqrt(std::exp(p.log_amplitude)) * (1 + 1e-12));
    }
  }
}

// FitGp keeps the slope that it followed last.
TEST(GpTest, TheSlopeIsThatOfTheLogPosterior) {
  const Setting s(Mixed());
  constexpr double kNoisePrior = -4;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    Rng rng(seed);
    const std::vector<Point> points = s.Sample(seed == 0 ? 2 : 7 + 3 * seed, &rng);
    const std::vector<double> y = Draws(points.size(), &rng);
    const GpParameters at = RandomParameters(s.features.size(), &rng);
    GpParameters fitted = at;
    FitGp(s.Table(points), y, kNoisePrior, 1, &fitted);
    ASSERT_EQ(fitted.slope.size(), kMixedFeatures + 2);
    for (size_t i = 0; i < fitted.slope.size(); ++i) {
      constexpr double kStep = 1e-4;
      GpParameters up = at, down = at;
      for (const auto& [p, step] : {std::pair{&up, kStep}, {&down, -kStep}}) {
        (i < kMixedFeatures    ? p->log_scale[i]
         : i == kMixedFeatures ? p->log_amplitude
                               : p->log_noise) += step;
      }
      const auto slope = static_cast<double>(
          (LogPosterior(points, y, up, kNoisePrior) - LogPosterior(points, y, down, kNoisePrior)) /
          (2 * kStep));
      EXPECT_NEAR(fitted.slope[i], slope, 1e-5 * (1 + std::fabs(slope)))
          << "parameter " << i << ", seed " << seed;
    }
  }
}

TEST(GpTest, FittingRaisesTheLogPosteriorAndGetsToWhereItIsFlat) {
  const Setting s(Mixed());
  Rng rng(5);
  const std::vector<Point> points = s.Sample(40, &rng);
  std::vector<double> y;
  for (const Point& p : points) {
    y.push_back(ValueNumber(p[0]) + (SameValue(p[2], Text("b")) ? 1 : -1) + 0.05 * rng.Normal());
  }
  GpParameters p(s.features.size(), -4);
  const Real start = LogPosterior(points, y, p, -4);
  FitGp(s.Table(points), y, -4, 30, &p);
  const Real thirty = LogPosterior(points, y, p, -4);
  EXPECT_GT(thirty, start + 5);
  FitGp(s.Table(points), y, -4, 100, &p);
  const Real end = LogPosterior(points, y, p, -4);
  EXPECT_GE(end, thirty - 1e-6);
  EXPECT_LT(end, thirty + 3);
  for (size_t i = 0; i < p.slope.size(); ++i) EXPECT_NEAR(p.slope[i], 0, 0.05) << i;
  // Again and again from there changes next to nothing, in one call or in many.
  GpParameters many = p, one = p;
  for (int n = 0; n < 10; ++n) FitGp(s.Table(points), y, -4, 1, &many);
  FitGp(s.Table(points), y, -4, 10, &one);
  EXPECT_EQ(many.log_scale, one.log_scale);
  EXPECT_EQ(many.log_noise, one.log_noise);
}

TEST(GpTest, TheRelevantOneOfFiveDimensionsIsFound) {
  const Setting s(Cube(5));
  Rng rng(1);
  const std::vector<Point> points = s.Sample(40, &rng);
  std::vector<double> y;
  for (const Point& p : points) y.push_back(std::sin(7 * ValueNumber(p[1])));
  GpParameters p(s.features.size(), -7);
  FitGp(s.Table(points), y, -7, 40, &p);
  for (size_t f = 0; f < 5; ++f) {
    if (f != 1) {
      EXPECT_GT(p.log_scale[1], p.log_scale[f] + 2) << f;
    }
  }
  // And what is predicted is the sine.
  const std::vector<Point> others = s.Sample(100, &rng);
  const FeatureTable table = s.Table(others);
  const Gp gp(s.Table(points), y, p);
  const GpView view(gp, table);
  for (size_t c = 0; c < others.size(); ++c) {
    EXPECT_NEAR(view.Mean(c), std::sin(7 * ValueNumber(others[c][1])), 0.35);
  }
}

TEST(GpTest, OnePointAndEqualPointsAndConstantAndExtremeValuesWork) {
  const Setting s(Mixed());
  Rng rng(8);
  const Point a = s.space.Sample(&rng), b = s.space.Sample(&rng);
  const std::vector<Point> many = s.Sample(30, &rng);
  struct Case {
    std::vector<Point> points;
    std::vector<double> y;
  };
  std::vector<double> spike(30, 0.0), huge, tiny;
  spike[7] = 1e6;
  for (int n = 0; n < 30; ++n) {
    huge.push_back((n % 2 == 0 ? 1e12 : -1e12) * n);
    tiny.push_back(1e-200 * n);
  }
  const std::vector<Case> cases = {{{a}, {1.5}},
                                   {{a, a}, {1, 1}},
                                   {{a, a}, {1, -1}},
                                   {{a, b}, {0, 0}},
                                   {std::vector<Point>(30, a), std::vector<double>(30, 2.0)},
                                   {many, std::vector<double>(30, 0.0)},
                                   {many, std::vector<double>(30, 3.0)},
                                   {many, spike},
                                   {many, huge},
                                   {many, tiny}};
  const std::vector<Point> candidates = s.Sample(20, &rng);
  const FeatureTable table = s.Table(candidates);
  for (size_t n = 0; n < cases.size(); ++n) {
    GpParameters p(s.features.size(), -7);
    FitGp(s.Table(cases[n].points), cases[n].y, -7, 60, &p);
    EXPECT_TRUE(std::isfinite(p.log_amplitude) && std::isfinite(p.log_noise)) << n;
    for (const double scale : p.log_scale) EXPECT_TRUE(std::isfinite(scale)) << n;
    Gp gp(s.Table(cases[n].points), cases[n].y, p);
    for (int k = 0; k < 3; ++k)
      gp.AddPending(s.Table({k == 0 ? cases[n].points[0] : candidates[0]}));
    const GpView view(gp, table);
    for (size_t c = 0; c < candidates.size(); ++c) {
      EXPECT_TRUE(std::isfinite(view.Mean(c))) << n;
      EXPECT_TRUE(std::isfinite(view.Deviation(c)) && view.Deviation(c) > 0) << n;
    }
  }
  // Two equal points that disagree: their middle. One point: itself, as far as the noise allows.
  GpParameters p(s.features.size(), -7);
  const FeatureTable at = s.Table({a});
  const Gp middle(s.Table({a, a}), {1, -1}, p), single(s.Table({a}), {1.5}, p);
  EXPECT_NEAR(GpView(middle, at).Mean(0), 0, 1e-9);
  EXPECT_NEAR(GpView(single, at).Mean(0), 1.5, 0.01);
}

TEST(GpTest, SpacesWithoutFeaturesWork) {
  const Setting s(Make({Constant("c", Text("x"))}));
  EXPECT_EQ(s.features.size(), 0u);
  GpParameters p(0, -4);
  Rng rng(1);
  const std::vector<Point> points(3, s.space.Sample(&rng));
  FitGp(s.Table(points), {1, 2, 3}, -4, 10, &p);
  const FeatureTable table = s.Table(points);
  const Gp gp(s.Table(points), {1, 2, 3}, p);
  EXPECT_NEAR(GpView(gp, table).Mean(0), 2, 0.5);
}

}  // namespace
}  // namespace tunesmith::model
