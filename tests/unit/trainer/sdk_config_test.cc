// Parameters as the C++ SDK reads them, beside nlohmann's parser on random and on damaged text.
#include <unistd.h>

#include <clocale>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/rng.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "worker/sdk/config.h"

namespace tunesmith {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// What the call throws; "" when it does not.
template <typename Call>
std::string Complaint(Call call) {
  try {
    call();
  } catch (const ConfigError& e) {
    return e.what();
  }
  return "";
}

std::string ParseComplaint(const std::string& text) {
  return Complaint([&] { Config::Parse(text); });
}

TEST(SdkConfigTest, ValuesHaveTypes) {
  const Config config = Config::Parse(
      R"({"lr": 0.1, "batch": 64, "big": 1e2, "optimizer": "sgd", "nesterov": true, "skip": false, "min": -0.5e-3})");
  EXPECT_EQ(config.Number("lr"), 0.1);
  EXPECT_EQ(config.Number("batch"), 64);
  EXPECT_EQ(config.Number("min"), -0.5e-3);
  EXPECT_EQ(config.Integer("batch"), 64);
  EXPECT_EQ(config.Integer("big"), 100);
  EXPECT_EQ(config.Text("optimizer"), "sgd");
  EXPECT_TRUE(config.Flag("nesterov"));
  EXPECT_FALSE(config.Flag("skip"));
}

TEST(SdkConfigTest, LevelsOfNamesHaveSlashes) {
  const Config config = Config::Parse(R"({"optimizer": {"type": "sgd", "momentum": 0.9}, "a/b": 1})");
  EXPECT_EQ(config.Text("optimizer/type"), "sgd");
  EXPECT_EQ(config.Number("optimizer/momentum"), 0.9);
  EXPECT_EQ(config.Integer("a/b"), 1);
  EXPECT_EQ(config.Json("optimizer"), R"({"type": "sgd", "momentum": 0.9})");
  EXPECT_THAT(config.names(), ElementsAre("a/b", "optimizer", "optimizer/momentum", "optimizer/type"));
  // As the daemon writes it where a level is a value itself.
  EXPECT_EQ(Config::Parse(R"({"optimizer/momentum": 0.9, "optimizer": "sgd"})").Number("optimizer/momentum"), 0.9);
}

TEST(SdkConfigTest, ListsAreHandedOnAsTheyStand) {
  const Config config = Config::Parse(R"({"hidden": [ 64, {"a": "]"} ]})");
  EXPECT_EQ(config.Json("hidden"), R"([ 64, {"a": "]"} ])");
  EXPECT_FALSE(config.Has("hidden/a"));
  EXPECT_THAT(Complaint([&] { config.Number("hidden"); }), HasSubstr("a number is needed"));
}

TEST(SdkConfigTest, ADefaultStandsInForWhatIsNotThereAndNeverForAnotherType) {
  const Config config = Config::Parse(R"({"lr": "fast", "n": 1.5, "s": 3, "f": 0, "none": null})");
  EXPECT_EQ(config.Number("momentum", 0.5), 0.5);
  EXPECT_EQ(config.Integer("layers", 2), 2);
  EXPECT_EQ(config.Text("optimizer", "adam"), "adam");
  EXPECT_TRUE(config.Flag("nesterov", true));
  EXPECT_EQ(Complaint([&] { config.Number("lr", 0.1); }), "parameter 'lr' is \"fast\"; a number is needed");
  EXPECT_EQ(Complaint([&] { config.Integer("n", 1); }), "parameter 'n' is 1.5; an integer is needed");
  EXPECT_EQ(Complaint([&] { config.Text("s", "x"); }), "parameter 's' is 3; a text is needed");
  EXPECT_EQ(Complaint([&] { config.Flag("f", true); }), "parameter 'f' is 0; true or false is needed");
  EXPECT_EQ(Complaint([&] { config.Number("none", 1); }), "parameter 'none' is null; a number is needed");
}

TEST(SdkConfigTest, IntegersKeepTheirLastDigitAndHaveARange) {
  const Config config = Config::Parse(
      R"({"max": 9223372036854775807, "min": -9223372036854775808, "over": 9223372036854775808, "e": 1e300})");
  EXPECT_EQ(config.Integer("max"), INT64_MAX);
  EXPECT_EQ(config.Integer("min"), INT64_MIN);
  EXPECT_THAT(Complaint([&] { config.Integer("over"); }), HasSubstr("an integer is needed"));
  EXPECT_THAT(Complaint([&] { config.Integer("e"); }), HasSubstr("an integer is needed"));
}

TEST(SdkConfigTest, AMissingNameIsToldWithThoseThatAreThere) {
  EXPECT_THAT(Complaint([] { Config::Parse(R"({"lr": 1, "batch": 2})").Number("learning_rate"); }),
              AllOf(HasSubstr("no parameter 'learning_rate', only batch, lr"), HasSubstr("give it a default")));
  EXPECT_THAT(Complaint([] { Config().Number("lr"); }), HasSubstr("set TUNESMITH_CONFIG to the path of a JSON file"));
}

TEST(SdkConfigTest, ALocaleWithACommaChangesNothing) {
  for (const char* name : {"de_DE.UTF-8", "fr_FR.UTF-8", "nl_NL.UTF-8"}) {
    if (std::setlocale(LC_NUMERIC, name) == nullptr) continue;
    EXPECT_EQ(Config::Parse(R"({"lr": 0.25})").Number("lr"), 0.25);
    std::setlocale(LC_NUMERIC, "C");
    return;
  }
  GTEST_SKIP() << "no locale with a comma is installed here";
}

TEST(SdkConfigTest, AMistakeHasItsPlace) {
  EXPECT_EQ(ParseComplaint("{\"lr\": 0.1,\n \"batch\" 64}"), "line 2, byte 10: a ':' is needed after a name");
  EXPECT_THAT(ParseComplaint(""), HasSubstr("an object such as {\"lr\": 0.1} is needed"));
  EXPECT_THAT(ParseComplaint("[1]"), HasSubstr("an object"));
  EXPECT_THAT(ParseComplaint("{\"a\": 1} x"), HasSubstr("behind the object"));
  EXPECT_THAT(ParseComplaint("{\"a\": 1, \"a\": 2}"), HasSubstr("'a' is given twice"));
  EXPECT_THAT(ParseComplaint("{\"a\": {\"b\": 1}, \"a/b\": 2}"), HasSubstr("'a/b' is given twice"));
  EXPECT_THAT(ParseComplaint("{\"a\": 1e999}"), HasSubstr("too large"));
  EXPECT_THAT(ParseComplaint("{\"a\": " + std::string(100'000, '[')), HasSubstr("nested more than 64 deep"));
}

TEST(SdkConfigTest, FilesThatCannotBeReadAreNamed) {
  const auto complaint = [](const std::string& path) {
    setenv("TUNESMITH_CONFIG", path.c_str(), 1);
    const std::string said = Complaint([] { Config::FromEnvironment(); });
    unsetenv("TUNESMITH_CONFIG");
    return said;
  };
  EXPECT_THAT(complaint("/nowhere/c.json"),
              AllOf(HasSubstr("TUNESMITH_CONFIG=/nowhere/c.json"), HasSubstr("No such file")));
  EXPECT_THAT(complaint("/tmp"), HasSubstr("Is a directory"));
  EXPECT_THAT(complaint("/dev/zero"), HasSubstr("larger than 16 MiB"));
  EXPECT_EQ(complaint(""), "");

  const std::string path = testing::TempDir() + "config-" + std::to_string(getpid()) + ".json";
  std::ofstream(path) << "{\"lr\": oops}";
  EXPECT_THAT(complaint(path), HasSubstr(path + ": line 1, byte 8: a value is needed"));
  std::ofstream(path) << "{\"lr\": 0.5}";
  setenv("TUNESMITH_CONFIG", path.c_str(), 1);
  EXPECT_EQ(Config::FromEnvironment().Number("lr"), 0.5);
  unsetenv("TUNESMITH_CONFIG");
  std::filesystem::remove(path);
}

// --- beside another parser

std::string RandomText(Rng& rng) {
  static const std::vector<std::string> kPieces = {"a", "b", "\"", "\\", "/", "\n", "\x01", "\x7f", "é", "\u20ac",
                                                   "\U0001f600", "lr", " ", "\u0800", "\uffff", "\U0010ffff"};
  std::string text;
  for (uint64_t n = rng.Below(6); n > 0; --n) text += kPieces[rng.Below(kPieces.size())];
  return text;
}

json RandomValue(Rng& rng, int depth) {
  switch (rng.Below(depth > 0 ? 8 : 6)) {
    case 0: return nullptr;
    case 1: return rng.Below(2) == 0;
    case 2: return static_cast<int64_t>(rng.NextU64());
    case 3: return rng.Normal() * std::pow(10, rng.Uniform(-200, 200));
    case 4: return rng.IntInclusive(-100, 100);
    case 5: return RandomText(rng);
    case 6: {
      json list = json::array();
      for (uint64_t n = rng.Below(4); n > 0; --n) list.push_back(RandomValue(rng, depth - 1));
      return list;
    }
    default: {
      json object = json::object();
      for (uint64_t n = rng.Below(4); n > 0; --n) object[RandomText(rng)] = RandomValue(rng, depth - 1);
      return object;
    }
  }
}

json RandomObject(Rng& rng) {
  json object = json::object();
  for (uint64_t n = rng.Below(5); n > 0; --n) object[RandomText(rng)] = RandomValue(rng, 3);
  return object;
}

void ExpectSame(const Config& config, const std::string& prefix, const json& object) {
  for (const auto& [key, value] : object.items()) {
    const std::string name = prefix + key;
    ASSERT_TRUE(config.Has(name)) << name;
    EXPECT_EQ(json::parse(config.Json(name)), value);
    if (value.is_boolean()) {
      EXPECT_EQ(config.Flag(name), value.get<bool>());
    }
    if (value.is_string()) {
      EXPECT_EQ(config.Text(name), value.get<std::string>());
    }
    if (value.is_number()) {
      EXPECT_EQ(config.Number(name), value.get<double>());
    }
    if (value.is_number_integer()) {
      EXPECT_EQ(config.Integer(name), value.get<int64_t>());
    }
    if (value.is_object()) ExpectSame(config, name + "/", value);
  }
}

TEST(SdkConfigTest, RandomObjectsReadAsNlohmannReadsThem) {
  int read = 0;
  for (uint64_t seed = 1; seed <= 5'000; ++seed) {
    Rng rng(seed);
    const json object = RandomObject(rng);
    const std::string text = object.dump(rng.Below(2) == 0 ? -1 : 2, ' ', /*ensure_ascii=*/rng.Below(2) == 0);
    const std::string complaint = ParseComplaint(text);
    // {"a": {"b": 1}, "a/b": 2}: a slash within a key may make two names one.
    if (complaint.find("given twice") != std::string::npos) continue;
    ASSERT_EQ(complaint, "") << text;
    ExpectSame(Config::Parse(text), "", object);
    ++read;
  }
  EXPECT_GT(read, 4'900);
}

TEST(SdkConfigTest, DamagedTextIsRefusedExactlyWhereNlohmannRefusesIt) {
  static const std::string kBytes = "{}[]\",:.eE+-0123456789truefalsn\\u/ \t\n\x01\x80\xc3\xe2\xed\xf0\xff";
  int refused = 0, accepted = 0;
  for (uint64_t seed = 1; seed <= 15'000; ++seed) {
    Rng rng(seed);
    std::string text = RandomObject(rng).dump(-1, ' ', rng.Below(2) == 0);
    for (uint64_t n = rng.Below(3) + 1; n > 0; --n) {
      const size_t at = rng.Below(text.size() + 1);
      switch (rng.Below(4)) {
        case 0: text.insert(at, 1, kBytes[rng.Below(kBytes.size())]); break;
        case 1: text.erase(at, rng.Below(3) + 1); break;
        case 2: if (at < text.size()) text[at] = kBytes[rng.Below(kBytes.size())]; break;
        default: text.resize(at); break;
      }
    }
    const json theirs = json::parse(text, nullptr, /*allow_exceptions=*/false);
    const std::string ours = ParseComplaint(text);
    if (ours.find("given twice") != std::string::npos) continue;
    ASSERT_EQ(ours.empty(), theirs.is_object()) << "seed " << seed << ": " << text << "\n" << ours;
    ++(ours.empty() ? accepted : refused);
  }
  EXPECT_GT(refused, 5'000);
  EXPECT_GT(accepted, 1'000);
}

}  // namespace
}  // namespace tunesmith
