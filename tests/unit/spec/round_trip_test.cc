#include <gtest/gtest.h>

#include "spec/sweep_spec.h"
#include "tests/unit/spec/random_spec.h"

namespace tunesmith {
namespace {

std::string Text(const std::vector<FileProblem>& problems) {
  std::string out;
  for (const FileProblem& problem : problems) out += FormatProblem("f", problem) + "\n";
  return out;
}

// A generator whose specs were refused would prove nothing, so they are counted.
TEST(RoundTripTest, TheJsonOfASpecIsASweepFileThatReadsBackAsTheSameSpec) {
  int valid = 0;
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    const SweepSpec spec = RandomSpec(seed).Make();
    if (!Validate(spec).empty()) continue;
    ++valid;
    const std::string json = SweepSpecToJson(spec);
    std::vector<FileProblem> problems;
    const auto back = ParseSweepFile(json, &problems);
    ASSERT_TRUE(back) << "seed " << seed << "\n" << json << "\n" << Text(problems);
    EXPECT_EQ(SweepSpecToJson(*back), json) << "seed " << seed;
    ASSERT_TRUE(*back == spec) << "seed " << seed << "\n" << json;
  }
  EXPECT_GT(valid, 1000);
}

TEST(RoundTripTest, AnyDoubleAndAnySeedSurviveTheFile) {
  Rng rng(5);
  SweepSpec spec;
  spec.name = "s";
  spec.program.builtin = "mlp";
  spec.search.metric = "loss";
  spec.budget.trials = 1;
  for (int i = 0; i < 2000; ++i) {
    double lo = 0, hi = 0;
    do {
      lo = std::ldexp(rng.Uniform(), static_cast<int>(rng.Below(2000)) - 1020);
      hi = std::ldexp(rng.Uniform(), static_cast<int>(rng.Below(2000)) - 1020);
    } while (!(lo > 1e-307 && lo < hi));
    spec.search.seed = rng.NextU64();
    spec.parameters = {Parameter{.name = "x",
                                 .distribution = Distribution::kLogUniform,
                                 .lo = lo,
                                 .hi = hi,
                                 .options = {},
                                 .when = {}}};
    std::vector<FileProblem> problems;
    const auto back = ParseSweepFile(SweepSpecToJson(spec), &problems);
    ASSERT_TRUE(back && *back == spec) << SweepSpecToJson(spec) << Text(problems);
  }
}

}  // namespace
}  // namespace tunesmith
