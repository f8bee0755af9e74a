#include "common/exact_math.h"

#include <gtest/gtest.h>

#include <cmath>

#include "common/rng.h"

namespace tunesmith {
namespace {

TEST(ExactMathTest, ExpAgreesWithTheLibrary) {
  Rng rng(1);
  for (int n = 0; n < 100'000; ++n) {
    const double x = rng.Uniform(-700, 700);
    EXPECT_NEAR(PortableExp(x) / std::exp(x), 1, 1e-15) << x;
  }
  EXPECT_EQ(PortableExp(0), 1);
  EXPECT_EQ(PortableExp(-1e6), 0);
  EXPECT_EQ(PortableExp(-HUGE_VAL), 0);
  EXPECT_TRUE(std::isfinite(PortableExp(1e6)));
  EXPECT_TRUE(std::isnan(PortableExp(std::nan(""))));
}

TEST(ExactMathTest, LogAgreesWithTheLibrary) {
  Rng rng(2);
  for (int n = 0; n < 100'000; ++n) {
    const double x = std::exp(rng.Uniform(-700, 700));
    EXPECT_NEAR(PortableLog(x), std::log(x), 1e-15 * std::max(1.0, std::fabs(std::log(x)))) << x;
    const double y = rng.Uniform(0.5, 2);
    EXPECT_NEAR(PortableLog(y), std::log(y), 4e-16) << y;
  }
  EXPECT_EQ(PortableLog(1), 0);
}

TEST(ExactMathTest, NormalCdfAgreesWithErfcAndInvertsTheQuantile) {
  Rng rng(3);
  for (int n = 0; n < 100'000; ++n) {
    const double x = rng.Uniform(-30, 8);
    const double expected = 0.5 * std::erfc(-x / std::sqrt(2.0));
    EXPECT_NEAR(NormalCdf(x) / expected, 1, 1e-7) << x;
    EXPECT_NEAR(NormalCdf(x), expected, 2e-15) << x;
    const double p = rng.Uniform(1e-6, 1 - 1e-6);
    EXPECT_NEAR(NormalCdf(NormalQuantile(p)), p, 2e-15) << p;
  }
}

}  // namespace
}  // namespace tunesmith
