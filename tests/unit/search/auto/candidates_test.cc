#include "search/auto/candidates.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "common/rng.h"
#include "tests/unit/search/spaces.h"

namespace tunesmith::model {
namespace {

using testing_spaces::Choice;
using testing_spaces::Constant;
using testing_spaces::Make;
using testing_spaces::Normal;
using testing_spaces::Range;
using testing_spaces::Text;
using testing_spaces::When;

// Without the rounded normal one, which a small step may leave where it is.
std::vector<Parameter> Mixed() {
  std::vector<Parameter> parameters = testing_spaces::MixedParameters();
  parameters.pop_back();
  return parameters;
}

// A space with a source, and the density of a few of its points.
struct Setting {
  explicit Setting(Space s, uint64_t seed = 1)
      : space(std::move(s)), coding(space), source(space, coding) {
    Rng rng(seed);
    for (int n = 0; n < 12; ++n) parents.push_back(Codes(space.Sample(&rng)));
    std::vector<tpe::Kernel> kernels;
    for (const auto& codes : parents) kernels.push_back({codes.data(), 1});
    good = std::make_unique<tpe::Parzen>(coding, kernels, 1);
  }
  std::vector<float> Codes(const Point& point) const {
    std::vector<float> codes;
    for (size_t i = 0; i < point.size(); ++i)
      codes.push_back(static_cast<float>(coding.Encode(i, point[i])));
    return codes;
  }
  // The point of a trial's codes.
  Point PointOf(const std::vector<float>& codes) const {
    Point point(codes.size());
    for (size_t i = 0; i < codes.size(); ++i) {
      if (!std::isnan(codes[i])) point[i] = coding.Decode(i, codes[i]);
    }
    return point;
  }
  std::vector<Candidate> Draw(const CandidateMix& mix, const std::vector<std::vector<float>>& from,
                              Rng* rng) const {
    std::unordered_set<uint64_t> taken;
    std::vector<Candidate> out;
    source.Draw(
        mix, *good, from, [](uint64_t) { return false; }, rng, &taken, &out);
    return out;
  }

  const Space space;
  const tpe::Coding coding;
  const CandidateSource source;
  std::vector<std::vector<float>> parents;
  std::unique_ptr<tpe::Parzen> good;
};

TEST(CodingTest, EveryActiveValueHasACodeHoweverNarrowOrWideItsBounds) {
  const double one = std::nextafter(1e-3, 1);
  const std::vector<Parameter> extremes = {Range("narrow", Distribution::kUniform, 1, std::nextafter(1.0, 2.0)),
                                           Range("narrow log", Distribution::kLogUniform, 1e-3, one),
                                           Range("least", Distribution::kUniform, -5e-324, 5e-324),
                                           Range("wide", Distribution::kUniform, -8e307, 8e307),
                                           Range("wide log", Distribution::kLogUniform, 5e-308, 1e308)};
  const Space space = Make(extremes);
  const tpe::Coding coding(space);
  Rng rng(1);
  for (int n = 0; n < 100; ++n) {
    const Point point = space.Sample(&rng);
    for (size_t i = 0; i < point.size(); ++i) {
      const double code = coding.Encode(i, point[i]);
      EXPECT_TRUE(code >= 0 && code <= 1) << extremes[i].name << " " << code;
      Point back = point;
      back[i] = coding.Decode(i, code);
      std::string why;
      EXPECT_TRUE(space.Contains(back, &why)) << why;
    }
  }
}

TEST(CandidatesTest, AllLieInTheSpaceMeetItsConstraintsAndDifferFromEachOtherAndFromTheSkipped) {
  for (const auto& constraints : std::vector<std::vector<std::string>>{
           {},
           {"layers * batch <= 300", "momentum < 0.5 or batch > 32",
            "optimizer != 'none' or layers in [1, 2]"}}) {
    const Setting s(Make(Mixed(), constraints));
    Rng rng(3);
    std::unordered_set<uint64_t> taken;
    std::set<uint64_t> hashes;
    std::vector<Candidate> out;
    for (int round = 0; round < 20; ++round) {
      const auto skip = [](uint64_t hash) { return hash % 3 == 0; };
      s.source.Draw({20, 10, 20}, *s.good, s.parents, skip, &rng, &taken, &out);
    }
    EXPECT_GT(out.size(), 300u);
    EXPECT_EQ(taken.size(), out.size());
    for (const Candidate& c : out) {
      std::string why;
      EXPECT_TRUE(s.space.Contains(c.point, &why)) << why;
      EXPECT_EQ(c.hash, HashPoint(c.point));
      EXPECT_NE(c.hash % 3, 0u);
      EXPECT_EQ(taken.count(c.hash), 1u);
      EXPECT_TRUE(hashes.insert(c.hash).second);
      ASSERT_EQ(c.codes.size(), s.space.size());
      for (size_t i = 0; i < s.space.size(); ++i) {
        EXPECT_EQ(std::isnan(c.codes[i]), !IsActive(c.point[i]));
        if (IsActive(c.point[i])) {
          EXPECT_TRUE(SameValue(s.coding.Decode(i, c.codes[i]), c.point[i]));
        }
      }
    }
  }
}

TEST(CandidatesTest, AsManyAsAskedWhereThereIsRoomAndFewerWhereThereIsNot) {
  const Setting wide(Make(Mixed()));
  Rng rng(1);
  EXPECT_EQ(wide.Draw({30, 10, 20}, wide.parents, &rng).size(), 60u);
  EXPECT_EQ(wide.Draw({0, 0, 20}, {}, &rng).size(), 0u);
  EXPECT_EQ(wide.Draw({0, 0, 0}, wide.parents, &rng).size(), 0u);
  const Setting narrow(
      Make({Range("n", Distribution::kRandInt, 0, 4), Choice("c", {Value(true), Value(false)})}));
  EXPECT_EQ(narrow.Draw({50, 50, 50}, narrow.parents, &rng).size(), 8u);
  const Setting one(Make({Constant("c", Text("x"))}));
  EXPECT_EQ(one.Draw({5, 5, 5}, one.parents, &rng).size(), 1u);
}

TEST(CandidatesTest, MutationsChangeOneToThreeValuesOfTheParentAndRegrowItsBranches) {
  const Setting s(Make(Mixed()));
  Rng rng(5);
  std::map<size_t, int> counts;
  for (const auto& parent : s.parents) {
    const Point before = s.PointOf(parent);
    ASSERT_TRUE(s.space.Contains(before, nullptr));
    for (const Candidate& c : s.Draw({0, 0, 200}, {parent}, &rng)) {
      size_t changed = 0;
      for (size_t i = 0; i < s.space.size(); ++i) {
        changed += IsActive(before[i]) && IsActive(c.point[i]) && !SameValue(before[i], c.point[i])
                       ? 1
                       : 0;
      }
      ++counts[changed];
    }
  }
  EXPECT_EQ(counts[0], 0) << "the parent itself";
  for (size_t n = 1; n <= 3; ++n) EXPECT_GT(counts[n], 200) << n;
  EXPECT_EQ(counts.rbegin()->first, 3u);
}

TEST(CandidatesTest, ParentsTakeTurns) {
  const Setting s(
      Make({Choice("c", {Text("a"), Text("b"), Text("c"), Text("d")}),
            Range("x", Distribution::kUniform, 0, 1), Range("y", Distribution::kUniform, 0, 1),
            Range("z", Distribution::kUniform, 0, 1), Range("w", Distribution::kUniform, 0, 1)}));
  // At most three values are changed, so two of five are the parent's.
  const std::vector<std::vector<float>> parents = {{0, 0.25F, 0.25F, 0.25F, 0.25F},
                                                   {1, 0.5F, 0.5F, 0.5F, 0.5F},
                                                   {2, 0.75F, 0.75F, 0.75F, 0.75F}};
  Rng rng(1);
  const auto out = s.Draw({0, 0, 30}, parents, &rng);
  ASSERT_EQ(out.size(), 30u);
  size_t children[3] = {0, 0, 0};
  for (const Candidate& c : out) {
    for (size_t k = 0; k < 3; ++k) {
      size_t same = 0;
      for (size_t i = 0; i < 5; ++i)
        same += c.codes[i] == static_cast<double>(parents[k][i]) ? 1 : 0;
      children[k] += same >= 2 ? 1 : 0;
    }
  }
  EXPECT_EQ(children[0] + children[1] + children[2], 30u);
  for (const size_t count : children) EXPECT_GE(count, 9u);
}

// Mutations of one parent at `code`, each once.
std::vector<double> Mutants(const Setting& s, float code, size_t count, Rng* rng) {
  std::vector<double> values;
  for (size_t n = 0; n < count; ++n) {
    const auto out = s.Draw({0, 0, 1}, {{code}}, rng);
    if (!out.empty()) values.push_back(ValueNumber(out[0].point[0]));
  }
  return values;
}

TEST(CandidatesTest, MutationsGetToBothEdgesFromBesideThemAndNeverBeyond) {
  const std::vector<Parameter> parameters = {Range("p", Distribution::kRandInt, 0, 9),
                                             Range("p", Distribution::kRandInt, 0, 500),
                                             Range("p", Distribution::kLogRandInt, 1, 30),
                                             Range("p", Distribution::kLogRandInt, 1, 5000),
                                             Range("p", Distribution::kQUniform, 0, 1, 0.1),
                                             Range("p", Distribution::kQUniform, 0, 1, 0.002),
                                             Range("p", Distribution::kQLogUniform, 1, 64, 1),
                                             Range("p", Distribution::kQRandInt, 10, 90, 10),
                                             Range("p", Distribution::kQLogRandInt, 8, 1024, 8)};
  for (const Parameter& p : parameters) {
    const Setting s(Make({p}));
    const uint64_t count = *s.space.ValueCount(0);
    Rng rng(2);
    for (const bool low : {true, false}) {
      const uint64_t edge = low ? 0 : count - 1, beside = low ? 1 : count - 2;
      const auto code = static_cast<float>(s.coding.Encode(0, s.space.ValueAt(0, beside)));
      const double edge_code = s.coding.Encode(0, s.space.ValueAt(0, edge));
      size_t hits = 0;  // of the edge, or where values are many within a hundredth of the range
      for (const double x : Mutants(s, code, 400, &rng)) {
        const Value value = IsInteger(p.distribution) ? Value(static_cast<int64_t>(x)) : Value(x);
        EXPECT_TRUE(s.space.Takes(0, value, nullptr));
        hits += std::fabs(s.coding.Encode(0, value) - edge_code) < 0.01 ? 1 : 0;
      }
      EXPECT_GE(hits, 3u) << DistributionName(p.distribution) << " to " << p.hi
                          << (low ? " low" : " high");
    }
  }
}

TEST(CandidatesTest, EveryMutationOfANumberWithStepsIsAnotherValue) {
  for (const Parameter& p :
       {Range("p", Distribution::kRandInt, 0, 9), Range("p", Distribution::kRandInt, 0, 100),
        Range("p", Distribution::kLogRandInt, 1, 5000),
        Range("p", Distribution::kQUniform, 0, 1, 0.01)}) {
    const Setting s(Make({p}));
    Rng rng(2);
    for (const uint64_t index :
         {uint64_t{0}, *s.space.ValueCount(0) / 2, *s.space.ValueCount(0) - 1}) {
      const Value value = s.space.ValueAt(0, index);
      size_t same = 0;
      for (const double x : Mutants(s, static_cast<float>(s.coding.Encode(0, value)), 200, &rng)) {
        same += x == ValueNumber(value) ? 1 : 0;
      }
      EXPECT_EQ(same, 0u) << DistributionName(p.distribution) << " to " << p.hi << " at "
                          << ValueNumber(value);
    }
  }
}

TEST(CandidatesTest, MutationsOfRealsAreOfEverySizeAndStayInside) {
  for (const Parameter& p :
       {Range("p", Distribution::kUniform, 0, 1), Range("p", Distribution::kLogUniform, 1, 1024)}) {
    const Setting s(Make({p}));
    Rng rng(2);
    for (const float code : {0.0F, 0.5F, 1.0F}) {
      size_t near = 0, far = 0;
      for (const double x : Mutants(s, code, 1000, &rng)) {
        EXPECT_TRUE(s.space.Takes(0, Value(x), nullptr)) << x;
        const double moved = std::fabs(s.coding.Encode(0, Value(x)) - static_cast<double>(code));
        near += moved < 0.01 ? 1 : 0;
        far += moved > 0.15 ? 1 : 0;
      }
      EXPECT_GT(near, 50u);
      EXPECT_GT(far, 30u);
    }
  }
}

TEST(CandidatesTest, MutatedCategoriesTakeEveryOtherOption) {
  std::vector<Value> options;
  for (int64_t k = 0; k < 7; ++k) options.emplace_back(k * 10);
  const Setting s(Make({Choice("c", options)}));
  Rng rng(2);
  std::map<double, int> counts;
  for (const double x : Mutants(s, 3, 600, &rng)) ++counts[x];
  EXPECT_EQ(counts.size(), 6u);
  EXPECT_EQ(counts.count(30), 0u);
  for (const auto& [value, count] : counts) EXPECT_GT(count, 60) << value;
}

}  // namespace
}  // namespace tunesmith::model
