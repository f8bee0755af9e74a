#include "worker/trainer/options.h"

#include "common/rng.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "worker/sdk/config.h"

namespace tunesmith::trainer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TrainerOptions Parsed(std::string_view config, const std::vector<std::string>& settings = {},
                      const OptionDefaults& defaults = {}) {
  auto options = ParseOptions(config, settings, defaults);
  EXPECT_TRUE(options.ok()) << Message(options.status());
  return options.ok() ? *options : TrainerOptions{};
}

std::string Refusal(std::string_view config, const std::vector<std::string>& settings = {}) {
  const auto options = ParseOptions(config, settings, {});
  EXPECT_FALSE(options.ok()) << config;
  if (options.ok()) return "";
  EXPECT_EQ(options.status().code(), StatusCode::kInvalidArgument);
  return Message(options.status());
}

TEST(OptionsTest, NothingGivenIsAnMlpOnDigitsForTenEpochs) {
  const TrainerOptions options = Parsed("");
  EXPECT_EQ(options.model, "mlp");
  EXPECT_EQ(options.dataset, "digits");
  EXPECT_EQ(options.epochs, 10);
  EXPECT_EQ(options.lr, 0.001);
  EXPECT_THAT(options.hidden, ElementsAre(256, 128));
}

TEST(OptionsTest, TheNamesOfTheNoteAreUnderstood) {
  const TrainerOptions options =
      Parsed(R"({"NUM_EPOCH": 7, "LearningRate": 0.0005, "BatchSize": 128, "builtin": "lenet"})");
  EXPECT_EQ(options.epochs, 7);
  EXPECT_EQ(options.lr, 0.0005);
  EXPECT_EQ(options.batch_size, 128);
  EXPECT_EQ(options.model, "lenet");
}

TEST(OptionsTest, NestedParametersNameTheirGroup) {
  const TrainerOptions options = Parsed(
      R"({"optimizer": {"type": "sgd", "momentum": 0.9}, "dataset": {"name": "csv", "path": "t.csv"}})");
  EXPECT_EQ(options.optimizer, "sgd");
  EXPECT_EQ(options.momentum, 0.9);
  EXPECT_EQ(options.lr, 0.05);
  EXPECT_EQ(options.dataset, "csv");
  EXPECT_EQ(options.data, "t.csv");
}

TEST(OptionsTest, OneWidthIsRepeatedAndAListStands) {
  EXPECT_THAT(Parsed(R"({"width": 32, "layers": 3})").hidden, ElementsAre(32, 32, 32));
  EXPECT_THAT(Parsed(R"({"hidden": [64, 16]})").hidden, ElementsAre(64, 16));
  EXPECT_THAT(Parsed(R"({"hidden": []})").hidden, ElementsAre(256, 128));
  EXPECT_THAT(Refusal(R"({"hidden": [64, 16], "layers": 3})"), HasSubstr("layers is 3 but hidden"));
}

TEST(OptionsTest, SettingsWinOverTheFile) {
  const TrainerOptions options =
      Parsed(R"({"lr": 0.1, "optimizer": "adamw"})",
             {"LearningRate=0.01", "hidden=8,4", "optimizer/momentum=0.5", "optimizer=sgd"});
  EXPECT_EQ(options.lr, 0.01);
  EXPECT_THAT(options.hidden, ElementsAre(8, 4));
  EXPECT_EQ(options.optimizer, "sgd");
  EXPECT_EQ(options.momentum, 0.5);
}

TEST(OptionsTest, TheSchedulersLimitAndTheTrialsSeedAreDefaults) {
  const OptionDefaults defaults = {.epochs = 27, .seed = ~uint64_t{0}};
  EXPECT_EQ(Parsed("", {}, defaults).epochs, 27);
  EXPECT_EQ(Parsed("", {"epochs=4"}, defaults).epochs, 4);
  EXPECT_GE(Parsed("", {}, defaults).seed, 0);
  EXPECT_NE(Parsed("", {}, defaults).seed, Parsed("").seed);
  EXPECT_EQ(Parsed("", {"seed=7"}, defaults).seed, 7);
}

TEST(OptionsTest, WholeNumbersMayBeWrittenAsReals) {
  EXPECT_EQ(Parsed(R"({"batch_size": 64.0})").batch_size, 64);
  EXPECT_THAT(Refusal(R"({"batch_size": 64.5})"), HasSubstr("'batch_size' is 64.5"));
}

TEST(OptionsTest, AnUnknownNameGetsTheClosestOne) {
  EXPECT_EQ(Refusal(R"({"learning_rat": 0.1})"),
            "unknown option 'learning_rat'; did you mean 'learning_rate'?");
  EXPECT_THAT(Refusal(R"({"zzzzzz": 1})"), HasSubstr("the options are model, dataset"));
  EXPECT_THAT(Refusal(R"({"tree": {"depth": 1}})"), HasSubstr("'tree' has nested options"));
}

TEST(OptionsTest, AWrongValueIsNamedWithWhatIsAllowed) {
  EXPECT_EQ(Refusal(R"({"lr": -0.1})"), "option 'lr' is -0.1; it must be a number above 0 to 1000");
  EXPECT_EQ(Refusal(R"({"dropout": 1})"),
            "option 'dropout' is 1; it must be a number from 0 to below 1");
  EXPECT_EQ(Refusal(R"({"optimizer": "lion"})"),
            "option 'optimizer' is \"lion\"; it must be one of adam, adamw, sgd");
  for (const char* config :
       {R"({"lr": "0.1"})", R"({"lr": null})", R"({"lr": true})", R"({"epochs": 0})",
        R"({"epochs": 1e300})", R"({"hidden": [8, -1]})", R"({"hidden": "8"})",
        R"({"hidden": [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]})", R"({"seed": -1})",
        R"({"seed": 18446744073709551615})", R"({"channels": [1]})", R"({"momentum": 1.0})",
        R"({"test_fraction": 0})", R"({"data": ["a"]})", R"({"dataset": "csv"})"}) {
    EXPECT_NE(Refusal(config), "") << config;
  }
}

TEST(OptionsTest, EveryMistakeIsToldAtOnce) {
  const std::string refusal = Refusal(R"({"lr": 0, "bath_size": 3, "device": "tpu"})", {"epochs"});
  EXPECT_THAT(refusal, HasSubstr("'lr'"));
  EXPECT_THAT(refusal, HasSubstr("did you mean 'batch_size'"));
  EXPECT_THAT(refusal, HasSubstr("one of auto, cpu, cuda"));
  EXPECT_THAT(refusal, HasSubstr("'epochs' is not name=value"));
}

TEST(OptionsTest, TwoNamesOfOneOptionAreRefused) {
  EXPECT_THAT(Refusal(R"({"lr": 0.1, "LearningRate": 0.2})"), HasSubstr("are the same option"));
}

TEST(OptionsTest, TextThatIsNoJsonObjectIsRefused) {
  EXPECT_THAT(Refusal("{\"lr\": }"), HasSubstr("not JSON"));
  EXPECT_THAT(Refusal("[1]"), HasSubstr("must be a JSON object"));
  EXPECT_THAT(Refusal(std::string("\x00\xff\xfe", 3)), HasSubstr("not JSON"));
  EXPECT_THAT(Refusal(R"({"optimizer": {"type": {"a": 1}}})"), HasSubstr("'optimizer/type'"));
}

TEST(OptionsTest, DeepNestingIsRefusedNotACrash) {
  const std::string deep = std::string(200'000, '[') + std::string(200'000, ']');
  EXPECT_THAT(Refusal("{\"hidden\": " + deep + "}"), HasSubstr("nested more than 16 deep"));
  EXPECT_THAT(Refusal("", {"lr=" + deep}), HasSubstr("'lr' is nested more than"));
  EXPECT_EQ(Parsed(R"({"data": "[[[[[[[[[[[[[[[[[[[[\"[{"})").data, "[[[[[[[[[[[[[[[[[[[[\"[{");
}

TEST(OptionsTest, AnyBytesAreReadOrRefused) {
  const std::string good =
      R"({"optimizer": {"type": "sgd", "momentum": 0.9}, "hidden": [64, 1e2]})";
  Rng rng(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string text = good;
    for (uint64_t k = rng.Below(4); k-- > 0;) {
      text[rng.Below(text.size())] = static_cast<char>(rng.Below(256));
    }
    const auto options = ParseOptions(text, {}, {});
    EXPECT_EQ(options.ok(), Message(options.status()).empty());
  }
}

TEST(OptionsTest, WhatHasNoEffectIsNoted) {
  EXPECT_THAT(Parsed(R"({"optimizer": "adam", "momentum": 0.9, "noise": 2})").notes,
              ElementsAre("momentum has no effect with adam", "noise has no effect with digits"));
}

TEST(OptionsTest, DevicesAreAListInEitherForm) {
  EXPECT_THAT(Parsed("", {"mode=data-parallel", "devices=cpu,cuda:1"}).devices, ElementsAre("cpu", "cuda:1"));
  EXPECT_THAT(Parsed(R"({"mode": "model_parallel", "devices": ["cpu", "cpu"]})").devices, ElementsAre("cpu", "cpu"));
  for (const char* devices : {R"("")", R"("cpu,")", R"("tpu,cpu")", R"(["cuda:x", "cpu"])", R"(["cpu", 1])", "[]"}) {
    const std::string config = R"({"mode": "data_parallel", "devices": )" + std::string(devices) + "}";
    EXPECT_THAT(Refusal(config), HasSubstr("a list of cpu, cuda or cuda:0")) << config;
  }
  EXPECT_THAT(Refusal(R"({"mode": "data_parallel", "devices": "cpu"})"), HasSubstr("needs two devices or more"));
}

TEST(OptionsTest, ABatchIsCountedOverAllRanksOrByRank) {
  EXPECT_THAT(Refusal(R"({"mode": "ddp", "batch_size": 64, "batch_per_rank": 8})"), HasSubstr("give one of the two"));
  EXPECT_THAT(Parsed(R"({"batch_per_rank": 8})").notes, ElementsAre("batch_per_rank has no effect with mode single"));
  EXPECT_THAT(Refusal(R"({"mode": "fsdp"})"), HasSubstr("one of single, data_parallel, model_parallel, ddp"));
}

TEST(OptionsTest, HelpNamesEveryOptionOnce) {
  const std::string help = OptionsHelp();
  for (const char* name : {"lr", "hidden", "test_fraction", "checkpoint_every", "learning_rate"}) {
    EXPECT_THAT(help, HasSubstr(name));
  }
}

TEST(ConfigWithSettingsTest, SettingsArePutIntoTheirGroups) {
  const auto merged = ConfigWithSettings(
      R"({"lr": 0.5, "optimizer": {"type": "adam"}})",
      {"lr=0.1", "optimizer/type=sgd", "optimizer/momentum=0.9", "head/width=64", "hidden=64,32", "name=a=b"});
  ASSERT_TRUE(merged.ok()) << Message(merged.status());
  const Config config = Config::Parse(*merged);
  EXPECT_EQ(config.Number("lr"), 0.1);
  EXPECT_EQ(config.Text("optimizer/type"), "sgd");
  EXPECT_EQ(config.Number("optimizer/momentum"), 0.9);
  EXPECT_EQ(config.Integer("head/width"), 64);
  EXPECT_EQ(config.Text("name"), "a=b");
  EXPECT_TRUE(config.Has("hidden"));
}

TEST(ConfigWithSettingsTest, WhatIsNoObjectOrNoSettingIsRefused) {
  EXPECT_TRUE(ConfigWithSettings("", {}).ok());
  for (const char* config : {"[1]", "{", "3"}) EXPECT_FALSE(ConfigWithSettings(config, {"lr=1"}).ok()) << config;
  EXPECT_FALSE(ConfigWithSettings(std::string(100'000, '['), {}).ok());
  for (const char* setting : {"lr", "=1", ""}) {
    EXPECT_THAT(Message(ConfigWithSettings("{}", {setting}).status()), HasSubstr("is not name=value"));
  }
}

}  // namespace
}  // namespace tunesmith::trainer
