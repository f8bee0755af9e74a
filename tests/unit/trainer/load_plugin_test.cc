#include "worker/trainer/load_plugin.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tunesmith::trainer {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string Built(const std::string& name) { return std::string(PLUGIN_DIR) + "/lib" + name + ".so"; }

class LoadPluginTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "load-plugin-" + std::to_string(getpid());
    fs::create_directories(folder_);
    unsetenv("TUNESMITH_CHANNEL");
  }
  void TearDown() override {
    fs::remove_all(folder_);
    unsetenv("TUNESMITH_CONFIG");
  }

  std::string Write(const std::string& name, const std::string& content) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  static std::string Refusal(const std::string& path, StatusCode code) {
    const auto plugin = LoadPlugin(path);
    EXPECT_FALSE(plugin.ok()) << path;
    if (plugin.ok()) return "";
    EXPECT_EQ(plugin.status().code(), code) << Message(plugin.status());
    EXPECT_THAT(Message(plugin.status()), HasSubstr(path));
    return Message(plugin.status());
  }
  // What the plug-in returns; its output and errors in said_.
  int Train(const std::string& config) {
    setenv("TUNESMITH_CONFIG", Write("config.json", config).c_str(), 1);
    const auto plugin = LoadPlugin(Built("good"));
    EXPECT_TRUE(plugin.ok()) << Message(plugin.status());
    if (!plugin.ok()) return -1;
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int code = (*plugin)->train();
    said_ = testing::internal::GetCapturedStdout() + testing::internal::GetCapturedStderr();
    return code;
  }

  std::string folder_;
  std::string said_;
};

TEST_F(LoadPluginTest, APluginTrainsWithItsParameters) {
  EXPECT_EQ(Train(R"({"x": 1.5})"), 0);
  EXPECT_EQ(said_, "epoch=1 loss=3\n");
}

TEST_F(LoadPluginTest, WhatAPluginThrowsIsAReasonAndAnExitCode) {
  EXPECT_EQ(Train(R"({"fail": "exception"})"), 1);
  EXPECT_EQ(said_, "tunesmith: training failed: no such table: users\n");
  EXPECT_EQ(Train(R"({"fail": "other"})"), 1);
  EXPECT_THAT(said_, HasSubstr("something was thrown that is no std::exception"));
  EXPECT_EQ(Train(R"({"x": "far"})"), 2);
  EXPECT_THAT(said_, HasSubstr("parameter 'x' is \"far\"; a number is needed"));
  EXPECT_EQ(Train("{"), 2);
  EXPECT_THAT(said_, AllOf(HasSubstr(folder_ + "/config.json"), HasSubstr("line 1, byte 2")));
}

TEST_F(LoadPluginTest, APathThatDoesNotExistIsToldWithTheFolderItIsSeenFrom) {
  EXPECT_THAT(Refusal(folder_ + "/nothing.so", StatusCode::kNotFound), HasSubstr("there is no plug-in"));
  EXPECT_THAT(Refusal("nothing.so", StatusCode::kNotFound), HasSubstr("seen from " + fs::current_path().string()));
  EXPECT_THAT(Refusal("", StatusCode::kNotFound), HasSubstr("there is no plug-in"));
}

TEST_F(LoadPluginTest, WhatIsNoSharedObjectIsRefused) {
  EXPECT_THAT(Refusal(folder_, StatusCode::kInvalidArgument), HasSubstr("is not a file"));
  EXPECT_THAT(Refusal(Write("a.py", "print(1)\n"), StatusCode::kInvalidArgument),
              AllOf(HasSubstr("is not a shared object"), HasSubstr("add_library(NAME MODULE ...)")));
  EXPECT_THAT(Refusal(Write("empty.so", ""), StatusCode::kInvalidArgument), HasSubstr("is not a shared object"));
  EXPECT_THAT(Refusal("/proc/self/exe", StatusCode::kInvalidArgument), HasSubstr("is a program"));
}

// Each length in a process of its own: the system's loader maps what it believes to be there.
TEST_F(LoadPluginTest, ASharedObjectThatIsCutIsRefusedWithoutACrash) {
  std::ifstream in(Built("good"), std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), {}};
  ASSERT_GT(whole.size(), 40'000u);
  for (size_t length : {4, 16, 63, 64, 200, 1'000, 4'096, 10'000, 20'000}) {
    const std::string path = Write("cut.so", whole.substr(0, length));
    const pid_t child = fork();
    if (child == 0) {
      const auto plugin = LoadPlugin(path);
      _exit(plugin.ok() ? 1 : Message(plugin.status()).find("is cut") == std::string::npos ? 2 : 0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0) << length << " of " << whole.size() << " bytes";
  }
}

TEST_F(LoadPluginTest, ASharedObjectWithoutTheEntryIsRefused) {
  EXPECT_THAT(Refusal(Built("no_entry"), StatusCode::kInvalidArgument),
              AllOf(HasSubstr("no symbol tunesmith_plugin"), HasSubstr("put TUNESMITH_PLUGIN(Train)")));
  EXPECT_THAT(Refusal(Built("other_entry"), StatusCode::kInvalidArgument), HasSubstr("has something else"));
}

TEST_F(LoadPluginTest, APluginOfAnotherInterfaceOrAbiIsRefusedBeforeItIsCalled) {
  EXPECT_THAT(Refusal(Built("later_interface"), StatusCode::kFailedPrecondition),
              AllOf(HasSubstr("version 7 of the plug-in interface"), HasSubstr("has version 1"),
                    HasSubstr("build it anew")));
  EXPECT_THAT(Refusal(Built("old_strings"), StatusCode::kFailedPrecondition),
              AllOf(HasSubstr("built for another ABI: libstdc++ with _GLIBCXX_USE_CXX11_ABI=0"),
                    HasSubstr("build both with the same")));
}

TEST_F(LoadPluginTest, APluginThatLacksASymbolIsRefusedAtOnce) {
  EXPECT_THAT(Refusal(Built("missing_symbol"), StatusCode::kFailedPrecondition),
              AllOf(HasSubstr("cannot be loaded"), HasSubstr("InNoLibrary")));
}

TEST_F(LoadPluginTest, APluginWhoseStaticObjectsThrowEndsTheProcessWithAMessage) {
  EXPECT_EXIT((void)LoadPlugin(Built("throws_early")), testing::ExitedWithCode(kExitPluginRefused),
              "libthrows_early.so has thrown while its static objects were made: no licence file");
}

}  // namespace
}  // namespace tunesmith::trainer
