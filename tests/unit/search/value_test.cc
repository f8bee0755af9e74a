#include "search/space/value.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace tunesmith {
namespace {

const double kNan = std::numeric_limits<double>::quiet_NaN();
const double kInf = std::numeric_limits<double>::infinity();

std::vector<Value> Samples() {
  return {Value(),
          Value(true),
          Value(false),
          Value(int64_t{0}),
          Value(int64_t{1}),
          Value(int64_t{-7}),
          Value((int64_t{1} << 53) + 1),
          Value(std::numeric_limits<int64_t>::max()),
          Value(std::numeric_limits<int64_t>::min()),
          Value(0.5),
          Value(1e300),
          Value(kInf),
          Value(-kInf),
          Value(kNan),
          Value(std::string("adam")),
          Value(std::string("1")),
          Value(std::string("")),
          Value(JsonValue{"[1,2]"}),
          Value(JsonValue{"null"})};
}

TEST(ValueTest, TextIsWhatAPersonWrites) {
  EXPECT_EQ(ValueText(Value(0.1)), "0.1");
  EXPECT_EQ(ValueText(Value(int64_t{64})), "64");
  EXPECT_EQ(ValueText(Value(true)), "true");
  EXPECT_EQ(ValueText(Value(std::string("adam"))), "adam");
  EXPECT_EQ(ValueText(Value(JsonValue{"[0.9,0.99]"})), "[0.9,0.99]");
  EXPECT_EQ(ValueText(Value()), "");
}

TEST(ValueTest, JsonQuotesTextAndGivesNullForInactive) {
  EXPECT_EQ(ValueJson(Value(std::string("a\"b\n"))), "\"a\\\"b\\n\"");
  EXPECT_EQ(ValueJson(Value()), "null");
  EXPECT_EQ(ValueJson(Value(0.1)), "0.1");
  EXPECT_EQ(ValueJson(Value(kNan)), "\"nan\"");
  EXPECT_EQ(ValueJson(Value(JsonValue{"{\"a\":1}"})), "{\"a\":1}");
}

TEST(ValueTest, NumbersOfNumbersOnly) {
  EXPECT_EQ(ValueNumber(Value(true)), 1);
  EXPECT_EQ(ValueNumber(Value(int64_t{-3})), -3);
  EXPECT_EQ(ValueNumber(Value(2.5)), 2.5);
  EXPECT_TRUE(std::isnan(ValueNumber(Value(std::string("3")))));
  EXPECT_TRUE(std::isnan(ValueNumber(Value())));
}

TEST(ValueTest, SampleValuesEqualOnlyThemselves) {
  const auto values = Samples();
  for (size_t i = 0; i < values.size(); ++i) {
    for (size_t j = 0; j < values.size(); ++j) {
      EXPECT_EQ(SameValue(values[i], values[j]), i == j) << i << " " << j;
      EXPECT_EQ(HashValue(values[i]) == HashValue(values[j]), i == j) << i << " " << j;
    }
  }
}

TEST(ValueTest, WholeDoublesAreTheIntegers) {
  for (const int64_t i : {int64_t{0}, int64_t{1}, int64_t{-64}, int64_t{1} << 60,
                          std::numeric_limits<int64_t>::min()}) {
    const Value integer(i), real(static_cast<double>(i));
    EXPECT_TRUE(SameValue(integer, real)) << i;
    EXPECT_TRUE(SameValue(real, integer)) << i;
    EXPECT_EQ(HashValue(integer), HashValue(real)) << i;
  }
  // 2^53 + 1 is no double: the nearest one is another number.
  EXPECT_FALSE(SameValue(Value((int64_t{1} << 53) + 1), Value(0x1p53)));
  EXPECT_FALSE(SameValue(Value(std::numeric_limits<int64_t>::max()), Value(0x1p63)));
  EXPECT_TRUE(SameValue(Value(0.0), Value(-0.0)));
  EXPECT_EQ(HashValue(Value(0.0)), HashValue(Value(-0.0)));
}

TEST(ValueTest, PointsHashByPlaceAndValue) {
  const Point a = {Value(int64_t{1}), Value()};
  const Point b = {Value(), Value(int64_t{1})};
  const Point c = {Value(1.0), Value()};
  EXPECT_NE(HashPoint(a), HashPoint(b));
  EXPECT_EQ(HashPoint(a), HashPoint(c));
  EXPECT_TRUE(SamePoint(a, c));
  EXPECT_FALSE(SamePoint(a, b));
  EXPECT_FALSE(SamePoint(a, {Value(int64_t{1})}));
}

TEST(ValueTest, TheHashIsTheSameOnEveryMachine) {
  const Point point = {Value(0.25), Value(int64_t{64}), Value(std::string("adam")), Value(true),
                       Value()};
  EXPECT_EQ(HashPoint(point), 6992652612238341896ULL);
}

}  // namespace
}  // namespace tunesmith
