#include "server/options.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <map>

namespace tunesmith {
namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

std::string DefaultDataDir() {
  if (const std::string home = Environment("TUNESMITH_HOME"); !home.empty()) return home + "/server";
  if (const std::string data = Environment("XDG_DATA_HOME"); !data.empty()) return data + "/tunesmith/server";
  if (const std::string home = Environment("HOME"); !home.empty()) return home + "/.local/share/tunesmith/server";
  return "";
}

std::string HostOf(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0) return "";
  const char* begin = address.data() + colon + 1;
  const char* end = address.data() + address.size();
  unsigned port = 0;
  const auto [stop, error] = std::from_chars(begin, end, port);
  if (begin == end || stop != end || error != std::errc() || port > 65535) return "";
  std::string host = address.substr(0, colon);
  if (host.front() == '[' && host.back() == ']') return host.substr(1, host.size() - 2);
  return host.find(':') == std::string::npos ? host : "";
}

bool IsLoopback(const std::string& host) {
  if (host == "localhost" || host == "::1") return true;
  // 127.0.0.0/8, as numbers only: "127.example.org" is a name.
  return host.rfind("127.", 0) == 0 && host.find_first_not_of("0123456789.") == std::string::npos;
}

Status CheckOptions(const ServerOptions& options) {
  const std::string host = HostOf(options.listen);
  if (host.empty()) {
    return InvalidArgument("--listen " + options.listen +
                           " is not HOST:PORT; for example 127.0.0.1:7070 or [::1]:7070");
  }
  if (options.tls_cert.empty() != options.tls_key.empty()) {
    return InvalidArgument("--tls-cert and --tls-key go together");
  }
  if (!options.tls_client_ca.empty() && options.tls_cert.empty()) {
    return InvalidArgument("--tls-client-ca needs --tls-cert and --tls-key");
  }
  if (options.insecure && !options.tls_cert.empty()) {
    return InvalidArgument("--insecure and --tls-cert contradict each other; leave one out");
  }
  if (!IsLoopback(host) && options.tls_cert.empty() && !options.insecure) {
    return InvalidArgument("--listen " + options.listen +
                           " can be reached from other machines, and whoever reaches it can run programs on the "
                           "workers. Give --tls-cert and --tls-key (and --tls-client-ca, so that only your clients get "
                           "in), or --insecure if the network is trusted");
  }
  if (options.data_dir.empty()) {
    return InvalidArgument("no folder to keep the state in: HOME is not set; give --data-dir");
  }
  if (options.lease_ms < 100) return InvalidArgument("--lease-ms must be 100 or more");
  if (options.searcher_threads < 1 || options.searcher_threads > 256) {
    return InvalidArgument("--searcher-threads must be 1 to 256");
  }
  return OkStatus();
}

std::optional<int> ParseCommandLine(int argc, char** argv, ServerOptions* options) {
  constexpr int kUsageExitCode = 2;
  CLI::App app("The Tunesmith controller: takes sweeps, suggests trials, sends them to workers, and keeps everything.",
               "tunesmith-server");
  app.set_version_flag("--version", "tunesmith-server " TUNESMITH_VERSION);
  options->data_dir = DefaultDataDir();
  app.add_option("--listen", options->listen, "address to serve on; port 0 takes a free one")->capture_default_str();
  app.add_option("--data-dir", options->data_dir, "folder of the journal and the logs")->capture_default_str();
  app.add_option("--port-file", options->port_file, "file that gets \"host:port\" once calls are taken");
  app.add_flag("--insecure", options->insecure, "serve beyond this machine without TLS");
  app.add_option("--tls-cert", options->tls_cert, "certificate (PEM)");
  app.add_option("--tls-key", options->tls_key, "its private key (PEM)");
  app.add_option("--tls-client-ca", options->tls_client_ca, "clients need a certificate signed by this one (PEM)");
  app.add_flag("--parent-death", options->parent_death, "end when the parent process ends");
  const std::map<std::string, LogLevel> levels = {{"debug", LogLevel::kDebug},
                                                  {"info", LogLevel::kInfo},
                                                  {"warning", LogLevel::kWarning},
                                                  {"error", LogLevel::kError}};
  std::string level = "info";
  app.add_option("--log-level", level, "debug, info, warning or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
  app.add_option("--lease-ms", options->lease_ms, "a worker not heard of for so long has lost its trials")
      ->capture_default_str();
  app.add_option("--searcher-threads", options->searcher_threads, "threads for searchers")->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsageExitCode;
  }
  options->log_level = levels.at(level);
  if (const Status status = CheckOptions(*options); !status.ok()) {
    std::fprintf(stderr, "tunesmith-server: %s\n", Message(status).c_str());
    return kUsageExitCode;
  }
  return std::nullopt;
}

}  // namespace tunesmith
