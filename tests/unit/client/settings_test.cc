#include "client/settings.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include <gtest/gtest.h>

#include "client/exit_codes.h"
#include "client/help_text.h"

namespace tunesmith {
namespace {

Environment With(std::map<std::string, std::string> values) {
  return [values = std::move(values)](std::string_view name) -> std::optional<std::string> {
    const auto found = values.find(std::string(name));
    return found == values.end() ? std::nullopt : std::optional(found->second);
  };
}

// A folder that is gone afterwards.
class TempFolder {
 public:
  TempFolder() {
    std::string name =
        (std::filesystem::temp_directory_path() / "tunesmith-settings-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Settings Resolve(const GlobalFlags& flags, const Environment& environment) {
  const auto settings = ResolveSettings(flags, environment, STDOUT_FILENO);
  EXPECT_TRUE(settings.ok()) << settings.status();
  return settings.ok() ? *settings : Settings();
}

TEST(Settings, HaveNoServerAndStateInTheHomeFolderByDefault) {
  const Settings settings = Resolve({}, With({{"HOME", "/home/ann"}}));
  EXPECT_EQ(settings.server, "");
  EXPECT_EQ(settings.data_dir, "/home/ann/.local/share/tunesmith");
  EXPECT_FALSE(settings.tls);
}

TEST(Settings, FollowFlagsBeforeTheEnvironmentBeforeTheFile) {
  TempFolder config;
  std::filesystem::create_directories(config.path() + "/tunesmith");
  std::ofstream(config.path() + "/tunesmith/config")
      << "server = file:1\ndata_dir = /from/file  # why not\n";
  GlobalFlags flags;
  std::map<std::string, std::string> variables = {{"HOME", "/h"},
                                                  {"XDG_CONFIG_HOME", config.path()}};
  EXPECT_EQ(Resolve(flags, With(variables)).server, "file:1");
  EXPECT_EQ(Resolve(flags, With(variables)).data_dir, "/from/file");
  variables["TUNESMITH_SERVER"] = "environment:2";
  EXPECT_EQ(Resolve(flags, With(variables)).server, "environment:2");
  flags.server = "flag:3";
  EXPECT_EQ(Resolve(flags, With(variables)).server, "flag:3");
  flags.server = "local";
  EXPECT_EQ(Resolve(flags, With(variables)).server, "");
}

TEST(Settings, IgnoreARelativeXdgFolderAsItsSpecificationSays) {
  EXPECT_EQ(Resolve({}, With({{"HOME", "/h"}, {"XDG_DATA_HOME", "relative"}})).data_dir,
            "/h/.local/share/tunesmith");
  EXPECT_EQ(Resolve({}, With({{"HOME", "/h"}, {"XDG_DATA_HOME", "/data"}})).data_dir,
            "/data/tunesmith");
}

TEST(Settings, RefuseAServerWithoutAPortAndUnknownFormats) {
  GlobalFlags flags;
  flags.server = "lab";
  EXPECT_FALSE(ResolveSettings(flags, With({}), STDOUT_FILENO).ok());
  flags.server = "";
  flags.output = "yaml";
  const auto status = ResolveSettings(flags, With({}), STDOUT_FILENO).status();
  EXPECT_NE(Message(status).find("table, json, jsonl or csv"), std::string::npos);
}

TEST(Settings, TurnTlsOnWhereAnAuthorityIsNamedAndWantCertificateAndKeyTogether) {
  GlobalFlags flags;
  flags.tls_ca = "/ca.pem";
  EXPECT_TRUE(Resolve(flags, With({})).tls);
  flags.tls_cert = "/cert.pem";
  EXPECT_FALSE(ResolveSettings(flags, With({}), STDOUT_FILENO).ok());
}

TEST(ConfigFile, NamesTheLineOfAMistakeAndSuggestsTheKey) {
  const auto unknown = ParseConfigFile("# mine\n\nsevrer = a:1\n");
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(Message(unknown.status()), "line 3: unknown key \"sevrer\" (did you mean server?)");
  const auto no_value = ParseConfigFile("server a:1");
  ASSERT_FALSE(no_value.ok());
  EXPECT_NE(Message(no_value.status()).find("KEY = VALUE"), std::string::npos);
}

TEST(ExitCodes, FollowTheKindOfError) {
  EXPECT_EQ(ExitCodeFor(OkStatus()), 0);
  EXPECT_EQ(ExitCodeFor(NotFound("x")), 1);
  EXPECT_EQ(ExitCodeFor(InvalidArgument("x")), 2);
  EXPECT_EQ(ExitCodeFor(Unavailable("x")), 5);
  EXPECT_EQ(ExitCodeFor(MakeStatus(StatusCode::kDeadlineExceeded, "x")), 5);
}

TEST(Help, SuggestsTheCommandThatWasMeant) {
  EXPECT_EQ(UnknownCommand("wacth"), "there is no command \"wacth\"; did you mean watch?");
  EXPECT_EQ(UnknownCommand("list"), "there is no command \"list\"; did you mean ls?");
  EXPECT_EQ(UnknownCommand("xyzzy"), "there is no command \"xyzzy\"; `tunesmith -h` lists them");
}

TEST(Help, NamesEveryExitCodeAndCommand) {
  for (const char* code : {" 0 ", " 1 ", " 2 ", " 3 ", " 5 ", "124 ", "130 "}) {
    EXPECT_NE(HelpTopic("exit-codes").find(code), std::string::npos) << code;
  }
  for (const CommandHelp& help : AllCommandHelp()) {
    EXPECT_NE(MainHelp().find(std::string("  ") + help.name + " "), std::string::npos) << help.name;
  }
  EXPECT_EQ(HelpTopic("nothing"), "");
}

}  // namespace
}  // namespace tunesmith
