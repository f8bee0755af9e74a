#include "server/options.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

namespace tunesmith {
namespace {

ServerOptions Good() {
  ServerOptions options;
  options.data_dir = "/tmp/x";
  return options;
}

TEST(ServerOptionsTest, TheDefaultsServeThisMachineOnly) {
  EXPECT_TRUE(CheckOptions(Good()).ok());
  EXPECT_TRUE(IsLoopback(HostOf(Good().listen)));
}

TEST(ServerOptionsTest, HostsAreReadFromAddresses) {
  EXPECT_EQ(HostOf("127.0.0.1:7070"), "127.0.0.1");
  EXPECT_EQ(HostOf("[::1]:0"), "::1");
  EXPECT_EQ(HostOf("box.example.org:65535"), "box.example.org");
  for (const char* wrong : {"", ":", ":7070", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "::1:7070",
                            "127.0.0.1:70 70", "127.0.0.1:-1"}) {
    EXPECT_EQ(HostOf(wrong), "") << wrong;
  }
}

TEST(ServerOptionsTest, OnlyLoopbackAddressesAreLoopback) {
  for (const char* host : {"127.0.0.1", "127.8.9.10", "localhost", "::1"}) EXPECT_TRUE(IsLoopback(host)) << host;
  for (const char* host : {"0.0.0.0", "::", "10.0.0.1", "127.example.org", "localhost.example.org", "1270.0.0.1"}) {
    EXPECT_FALSE(IsLoopback(host)) << host;
  }
}

TEST(ServerOptionsTest, AnAddressBeyondThisMachineNeedsTlsOrAnExplicitYes) {
  ServerOptions options = Good();
  options.listen = "0.0.0.0:7070";
  const Status status = CheckOptions(options);
  EXPECT_FALSE(status.ok());
  EXPECT_NE(Message(status).find("--insecure"), std::string::npos);
  options.insecure = true;
  EXPECT_TRUE(CheckOptions(options).ok());
  options.tls_cert = "cert.pem";
  EXPECT_FALSE(CheckOptions(options).ok()) << "the key is missing";
  options.tls_key = "key.pem";
  EXPECT_FALSE(CheckOptions(options).ok()) << "insecure and TLS at once";
  options.insecure = false;
  EXPECT_TRUE(CheckOptions(options).ok());
  options.tls_cert = options.tls_key = "";
  options.tls_client_ca = "ca.pem";
  options.listen = "127.0.0.1:7070";
  EXPECT_FALSE(CheckOptions(options).ok()) << "client certificates without TLS";
}

TEST(ServerOptionsTest, TheDataFolderFollowsTheEnvironment) {
  setenv("HOME", "/h", 1);
  unsetenv("XDG_DATA_HOME");
  unsetenv("TUNESMITH_HOME");
  EXPECT_EQ(DefaultDataDir(), "/h/.local/share/tunesmith/server");
  setenv("XDG_DATA_HOME", "/x", 1);
  EXPECT_EQ(DefaultDataDir(), "/x/tunesmith/server");
  setenv("TUNESMITH_HOME", "/t", 1);
  EXPECT_EQ(DefaultDataDir(), "/t/server");
  unsetenv("TUNESMITH_HOME");
  unsetenv("XDG_DATA_HOME");
  unsetenv("HOME");
  EXPECT_EQ(DefaultDataDir(), "");
  ServerOptions options;
  EXPECT_FALSE(CheckOptions(options).ok());
}

TEST(ServerOptionsTest, TheCommandLineIsReadAndMistakesEndWithCodeTwo) {
  const auto parse = [](std::vector<std::string> words, ServerOptions* options) {
    words.insert(words.begin(), "tunesmith-server");
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    return ParseCommandLine(static_cast<int>(argv.size()), argv.data(), options);
  };
  ServerOptions options;
  EXPECT_EQ(parse({"--listen", "127.0.0.1:0", "--data-dir", "/d", "--log-level", "debug", "--lease-ms", "500",
                   "--parent-death", "--port-file=p", "--searcher-threads", "4"},
                  &options),
            std::nullopt);
  EXPECT_EQ(options.data_dir, "/d");
  EXPECT_EQ(options.lease_ms, 500);
  EXPECT_EQ(options.log_level, LogLevel::kDebug);
  EXPECT_TRUE(options.parent_death);
  EXPECT_EQ(options.port_file, "p");
  EXPECT_EQ(options.searcher_threads, 4);
  for (const std::vector<std::string>& wrong :
       {std::vector<std::string>{"--nonsense"}, {"--lease-ms", "soon"}, {"--log-level", "loud"}, {"stray"},
        {"--listen", "0.0.0.0:1", "--data-dir", "/d"}, {"--data-dir", "/d", "--lease-ms", "5"}}) {
    ServerOptions ignored;
    EXPECT_EQ(parse(wrong, &ignored), 2) << wrong[0];
  }
  EXPECT_EQ(parse({"--help"}, &options), 0);
}

}  // namespace
}  // namespace tunesmith
