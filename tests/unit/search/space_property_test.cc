// Properties over randomly made spaces: sound ones with conditions, and garbage.
#include <gtest/gtest.h>

#include <set>

#include "search/seen_points.h"
#include "tests/unit/search/spaces.h"

namespace tunesmith {
namespace {

// A finite space of up to seven small parameters, each with up to two conditions on earlier ones.
// Some conditions can contradict each other; Create then refuses the space, which is fine.
std::optional<Space> RandomFiniteSpace(Rng* rng) {
  std::vector<Parameter> parameters;
  const size_t n = 1 + rng->Below(7);
  for (size_t i = 0; i < n; ++i) {
    const std::string name = "p" + std::to_string(i);
    std::vector<Condition> when;
    for (uint64_t c = rng->Below(3); i > 0 && c > 0; --c) {
      const Parameter& parent = parameters[rng->Below(i)];
      const auto value = static_cast<int64_t>(rng->Below(3));
      when.push_back(testing_spaces::When(parent.name, {Value(value)},
                                          static_cast<Condition::Op>(rng->Below(6))));
    }
    const auto top = static_cast<double>(2 + rng->Below(3));
    switch (rng->Below(4)) {
      case 0:
        parameters.push_back(testing_spaces::Range(name, Distribution::kRandInt, 0, top, 0, when));
        break;
      case 1:
        parameters.push_back(testing_spaces::Range(name, Distribution::kQUniform, 0, top, 1, when));
        break;
      case 2:
        parameters.push_back(
            testing_spaces::Range(name, Distribution::kLogRandInt, 1, 1 + top, 0, when));
        break;
      default:
        parameters.push_back(
            testing_spaces::Choice(name, {Value(int64_t{0}), Value(1.0), Value(int64_t{2})}, when));
    }
  }
  // Declared in another order, children before parents too.
  for (size_t i = n - 1; i > 0; --i) std::swap(parameters[i], parameters[rng->Below(i + 1)]);
  Problems problems;
  return Space::Create(std::move(parameters), &problems);
}

TEST(SpacePropertyTest, CardinalityIsTheNumberOfEnumeratedPoints) {
  int sound = 0;
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    Rng rng(seed);
    const auto space = RandomFiniteSpace(&rng);
    if (!space) continue;
    ++sound;
    const Enumeration points(*space, {});
    std::set<uint64_t> hashes;
    Point point = *points.First(&rng);
    do {
      std::string why;
      ASSERT_TRUE(space->Contains(point, &why)) << seed << " " << why;
      ASSERT_TRUE(hashes.insert(HashPoint(point)).second) << seed;
    } while (points.Next(&rng, &point));
    ASSERT_EQ(space->Cardinality(), hashes.size()) << seed;
    for (int n = 0; n < 20; ++n) {
      const Point draw = space->Sample(&rng);
      ASSERT_TRUE(space->Contains(draw, nullptr)) << seed;
      ASSERT_EQ(hashes.count(HashPoint(draw)), 1u) << seed;
    }
  }
  EXPECT_GT(sound, 500);
}

TEST(SpacePropertyTest, GarbageIsRefusedOrSamplesWithinItself) {
  int sound = 0;
  for (uint64_t seed = 0; seed < 30'000; ++seed) {
    Rng rng(seed);
    const Parameter p = testing_spaces::Garbage("p", &rng);
    Problems problems;
    const auto space = Space::Create({p}, &problems);
    ASSERT_EQ(space.has_value(), problems.empty());
    if (!space) continue;
    ++sound;
    for (int n = 0; n < 20; ++n) {
      const Point point = space->Sample(&rng);
      std::string why;
      ASSERT_TRUE(space->Contains(point, &why))
          << seed << " " << DistributionName(p.distribution) << " " << why;
    }
    if (const auto count = space->ValueCount(0)) {
      for (const uint64_t index : {uint64_t{0}, *count / 3, *count - 1}) {
        ASSERT_EQ(space->IndexOf(0, space->ValueAt(0, index)), index)
            << seed << " " << DistributionName(p.distribution);
      }
    }
  }
  EXPECT_GT(sound, 1500);
}

}  // namespace
}  // namespace tunesmith
