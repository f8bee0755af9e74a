#include "search/cmaes/cma.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <utility>
#include <vector>

namespace tunesmith::cmaes {
namespace {

TEST(CholeskyTest, FactorsAMatrixAndRefusesADegenerateOne) {
  Triangle matrix(3);  // [4 2 -2; 2 10 2; -2 2 6]
  matrix.row(0)[0] = 4;
  matrix.row(1)[0] = 2;
  matrix.row(1)[1] = 10;
  matrix.row(2)[0] = -2;
  matrix.row(2)[1] = 2;
  matrix.row(2)[2] = 6;
  Triangle factor(3);
  ASSERT_TRUE(Cholesky(matrix, &factor));
  const double wanted[] = {2, 1, 3, -1, 1, 2};
  for (size_t i = 0; i < 6; ++i) EXPECT_NEAR(factor.row(0)[i], wanted[i], 1e-15) << i;
  matrix.row(2)[2] = 2;  // now the last pivot is 0
  EXPECT_FALSE(Cholesky(matrix, &factor));
  matrix.row(2)[2] = std::nan("");
  EXPECT_FALSE(Cholesky(matrix, &factor));
}

TEST(CmaWeightsTest, AreThoseOfTheTutorial) {
  const Weights w(10, 5);
  const double wanted[] = {0.45627265,  0.2707531,   0.16223112,  0.08523355,  0.02550959,
                           -0.08260514, -0.22894968, -0.35571908, -0.46753761, -0.5675627};
  for (size_t i = 0; i < 10; ++i) {
    EXPECT_NEAR(w.covariance[i], wanted[i], 1e-8) << i;
    EXPECT_NEAR(w.mean[i], i < 5 ? wanted[i] : 0, 1e-8) << i;
  }
  EXPECT_NEAR(w.effective, 3.1672992814107026, 1e-12);
  EXPECT_NEAR(w.rank_one_rate, 0.04666649633864114, 1e-14);
  EXPECT_NEAR(w.rank_mu_rate, 0.0664410734438005, 1e-14);
}

TEST(CmaWeightsTest, AreSoundForEverySizeAndDimension) {
  for (const size_t count : {2u, 3u, 4u, 5u, 11u, 1000u}) {
    for (const size_t dims : {1u, 2u, 30u, 1000u}) {
      const Weights w(count, dims);
      double mean = 0, sum = 0;
      for (size_t i = 0; i < count; ++i) {
        mean += w.mean[i];
        sum += w.covariance[i];
        ASSERT_TRUE(std::isfinite(w.covariance[i]));
      }
      EXPECT_NEAR(mean, 1, 1e-12);
      // What stays of the old covariance is never negative.
      EXPECT_GE(1 - w.rank_one_rate - w.rank_mu_rate * sum, -1e-12) << count << " " << dims;
      EXPECT_GT(w.step_damping, 0);
    }
  }
}

void UpdateWith(Cma* cma, const std::vector<std::vector<double>>& points, const std::vector<bool>& tied = {}) {
  std::vector<Member> members;
  for (size_t k = 0; k < points.size(); ++k) members.push_back({points[k].data(), !tied.empty() && tied[k]});
  ASSERT_TRUE(cma->Update(members));
}

TEST(CmaTest, TwoUpdatesAreThoseOfTheFormulas) {
  // Numbers from a NumPy transcription of the tutorial's figure 6, with a Cholesky factor as the square root.
  Cma cma({0.5, 0.5}, 0.3);
  UpdateWith(&cma, {{0.2, 0.4}, {0.3, 0.9}, {0.8, 0.5}, {0.6, 0.1}});
  EXPECT_NEAR(cma.mean()[0], 0.21958371, 1e-8);
  EXPECT_NEAR(cma.mean()[1], 0.49791857, 1e-8);
  EXPECT_NEAR(cma.Deviation(0), 0.28308443, 1e-8);
  EXPECT_NEAR(cma.Deviation(1), 0.24486407, 1e-8);
  UpdateWith(&cma, {{0.25, 0.5}, {0.1, 0.45}, {0.4, 0.8}, {0.7, 0.3}});
  EXPECT_NEAR(cma.mean()[0], 0.22062443, 1e-8);
  EXPECT_NEAR(cma.mean()[1], 0.49020814, 1e-8);
  EXPECT_NEAR(cma.Deviation(0), 0.21364423, 1e-8);
  EXPECT_NEAR(cma.Deviation(1), 0.18765298, 1e-8);
}

TEST(CmaTest, TiedMembersWeighTheSameInWhateverOrderTheyCome) {
  Cma a({0.5, 0.5}, 0.3), b({0.5, 0.5}, 0.3);
  UpdateWith(&a, {{0.2, 0.4}, {0.3, 0.9}, {0.8, 0.5}, {0.6, 0.1}}, {false, false, true, true});
  UpdateWith(&b, {{0.2, 0.4}, {0.6, 0.1}, {0.3, 0.9}, {0.8, 0.5}}, {false, false, true, true});
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_NEAR(a.mean()[i], b.mean()[i], 1e-15);
    EXPECT_NEAR(a.Deviation(i), b.Deviation(i), 1e-15);
  }
  // Weights of a generation of four: 0.804, 0.196; the second is shared by three.
  EXPECT_NEAR(a.mean()[0], 0.5 - 0.80417 * 0.3 + 0.19583 / 3 * (-0.2 + 0.3 + 0.1), 1e-5);
}

TEST(CmaTest, AFarPointPullsNoFurtherThanADrawCould) {
  Cma cma({0.5, 0.5, 0.5}, 1e-3);
  UpdateWith(&cma, {{1, 1, 1}, {1, 1, 0.9}, {0.5, 0.5, 0.5}, {0.4, 0.5, 0.5}});
  for (size_t i = 0; i < 3; ++i) EXPECT_LT(cma.mean()[i], 0.5 + 1e-3 * (std::sqrt(3.0) + 3));
  for (size_t i = 0; i < 3; ++i) EXPECT_LT(cma.Deviation(i), 1e-2);
}

TEST(CmaTest, WideningStretchesOneCoordinateAndKeepsTheOthers) {
  Cma cma({0.5, 0.5}, 0.1);
  UpdateWith(&cma, {{0.6, 0.6}, {0.55, 0.55}, {0.4, 0.6}, {0.6, 0.4}});
  const double other = cma.Deviation(1);
  ASSERT_TRUE(cma.Widen({0.5, 0}));
  EXPECT_NEAR(cma.Deviation(0), 0.5, 1e-12);
  EXPECT_NEAR(cma.Deviation(1), other, 1e-15);
  // Draws follow: 4,000 of them, whose deviation has a relative error of 0.011; 6 sigma.
  Rng rng(1);
  std::vector<double> x;
  double squares = 0;
  for (int n = 0; n < 4000; ++n) {
    cma.Sample(1, &rng, &x);
    squares += (x[0] - cma.mean()[0]) * (x[0] - cma.mean()[0]);
  }
  EXPECT_NEAR(std::sqrt(squares / 4000), 0.5, 0.5 * 0.07);
}

// Evaluations until f is below `target`, at most `most`.
size_t Evaluations(size_t dims, uint64_t seed, double target, size_t most,
                   const std::function<double(const std::vector<double>&)>& f) {
  Cma cma(std::vector<double>(dims, 0.5), 0.3);
  const size_t population = 4 + static_cast<size_t>(3 * std::log(static_cast<double>(dims)));
  Rng rng(seed);
  for (size_t count = 0; count < most;) {
    std::vector<std::pair<double, std::vector<double>>> points(population);
    for (auto& [value, x] : points) {
      cma.Sample(1, &rng, &x);
      value = f(x);
    }
    count += population;
    std::sort(points.begin(), points.end());
    if (points[0].first < target) return count;
    std::vector<Member> members;
    for (const auto& point : points) members.push_back({point.second.data(), false});
    if (!cma.Update(members)) return most;
  }
  return most;
}

// The tutorial's function values: 10-D, target 1e-9. The published CMA-ES needs about 1,500 evaluations on the sphere,
// 5,500 on the ellipsoid and 5,500 on Rosenbrock's function; half as many again are allowed in each of ten seeds.
TEST(CmaTest, SolvesASphere) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    EXPECT_LT(Evaluations(10, seed, 1e-9, 5000,
                          [](const std::vector<double>& x) {
                            double sum = 0;
                            for (const double v : x) sum += (v - 0.2) * (v - 0.2);
                            return sum;
                          }),
              2250u);
  }
}

TEST(CmaTest, SolvesARotatedEllipsoidOfConditionOneMillion) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const auto f = [](const std::vector<double>& x) {
      // Householder reflection as the rotation.
      const size_t n = x.size();
      double dot = 0, norm = 0, sum = 0;
      for (size_t i = 0; i < n; ++i) {
        const auto v = static_cast<double>(i + 1);
        dot += v * (x[i] - 0.3);
        norm += v * v;
      }
      for (size_t i = 0; i < n; ++i) {
        const double y = x[i] - 0.3 - 2 * dot / norm * static_cast<double>(i + 1);
        sum += std::pow(1e6, static_cast<double>(i) / static_cast<double>(n - 1)) * y * y;
      }
      return sum;
    };
    EXPECT_LT(Evaluations(10, seed, 1e-9, 20'000, f), 8250u);
  }
}

TEST(CmaTest, SolvesRosenbrocksFunction) {
  int solved = 0;  // one run in ten or so ends in the local optimum
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const auto f = [](const std::vector<double>& x) {
      double sum = 0;
      for (size_t i = 0; i + 1 < x.size(); ++i) {
        const double a = 4 * x[i] - 2, b = 4 * x[i + 1] - 2;
        sum += 100 * (b - a * a) * (b - a * a) + (1 - a) * (1 - a);
      }
      return sum;
    };
    solved += Evaluations(10, seed, 1e-9, 20'000, f) < 8250u ? 1 : 0;
  }
  EXPECT_GE(solved, 7);
}

}  // namespace
}  // namespace tunesmith::cmaes
