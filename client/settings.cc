#include "client/settings.h"

#include <fstream>
#include <sstream>
#include <utility>
#include <vector>

#include "common/text.h"

namespace tunesmith {
namespace {

const std::vector<std::string>& ConfigKeys() {
  static const auto* keys =
      new std::vector<std::string>{"server", "data_dir", "tls", "tls_ca", "tls_cert", "tls_key"};
  return *keys;
}

std::string Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(" \t\r") - first + 1));
}

// The value of the first variable that is set and not empty.
std::string FromEnvironment(const Environment& environment, const char* name) {
  return environment(name).value_or("");
}

std::string BaseFolder(const Environment& environment, const char* variable,
                       const char* under_home) {
  const std::string base = FromEnvironment(environment, variable);
  // The XDG specification: relative paths are to be ignored.
  if (!base.empty() && base.front() == '/') return base + "/tunesmith";
  const std::string home = FromEnvironment(environment, "HOME");
  return home.empty() ? "" : home + under_home + std::string("/tunesmith");
}

StatusOr<std::map<std::string, std::string>> ReadConfig(const Environment& environment) {
  const std::string folder = BaseFolder(environment, "XDG_CONFIG_HOME", "/.config");
  if (folder.empty()) return std::map<std::string, std::string>();
  const std::string path = folder + "/config";
  std::ifstream in(path, std::ios::binary);
  if (!in) return std::map<std::string, std::string>();
  std::ostringstream text;
  text << in.rdbuf();
  auto parsed = ParseConfigFile(text.str());
  if (!parsed.ok()) return Annotate(parsed.status(), path);
  return parsed;
}

StatusOr<OutputFormat> ParseFormat(const std::string& text) {
  if (text.empty() || text == "table") return OutputFormat::kTable;
  if (text == "json") return OutputFormat::kJson;
  if (text == "jsonl") return OutputFormat::kJsonl;
  if (text == "csv") return OutputFormat::kCsv;
  return InvalidArgument("-o " + text + " is not an output format; use table, json, jsonl or csv");
}

std::string FirstOf(const std::string& flag, const std::string& environment,
                    const std::map<std::string, std::string>& config, const char* key) {
  if (!flag.empty()) return flag;
  if (!environment.empty()) return environment;
  const auto found = config.find(key);
  return found == config.end() ? "" : found->second;
}

}  // namespace

StatusOr<std::map<std::string, std::string>> ParseConfigFile(std::string_view text) {
  std::map<std::string, std::string> values;
  std::istringstream in{std::string(text)};
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    line = Trim(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    const size_t equals = line.find('=');
    const std::string where = "line " + std::to_string(number) + ": ";
    if (equals == std::string::npos)
      return InvalidArgument(where + "expected KEY = VALUE, got \"" + line + "\"");
    const std::string key = Trim(line.substr(0, equals));
    bool known = false;
    for (const std::string& name : ConfigKeys()) known = known || name == key;
    if (!known) {
      const std::string closest = ClosestWord(key, ConfigKeys());
      return InvalidArgument(where + "unknown key \"" + key + "\"" +
                             (closest.empty() ? "; known are " + Join(ConfigKeys(), ", ")
                                              : " (did you mean " + closest + "?)"));
    }
    values[key] = Trim(line.substr(equals + 1));
  }
  return values;
}

StatusOr<Settings> ResolveSettings(const GlobalFlags& flags, const Environment& environment,
                                   int stdout_fd) {
  TS_ASSIGN_OR_RETURN(const auto config, ReadConfig(environment));
  Settings settings;
  settings.server =
      FirstOf(flags.server, FromEnvironment(environment, "TUNESMITH_SERVER"), config, "server");
  if (settings.server == kLocalServer) settings.server.clear();
  if (!settings.server.empty() && settings.server.find(':') == std::string::npos) {
    return InvalidArgument("the server \"" + settings.server +
                           "\" has no port; write HOST:PORT, such as " + kDefaultServer);
  }
  settings.data_dir =
      FirstOf(flags.data_dir, FromEnvironment(environment, "TUNESMITH_HOME"), config, "data_dir");
  if (settings.data_dir.empty())
    settings.data_dir = BaseFolder(environment, "XDG_DATA_HOME", "/.local/share");
  settings.tls_ca =
      FirstOf(flags.tls_ca, FromEnvironment(environment, "TUNESMITH_TLS_CA"), config, "tls_ca");
  settings.tls_cert = FirstOf(flags.tls_cert, FromEnvironment(environment, "TUNESMITH_TLS_CERT"),
                              config, "tls_cert");
  settings.tls_key =
      FirstOf(flags.tls_key, FromEnvironment(environment, "TUNESMITH_TLS_KEY"), config, "tls_key");
  const auto tls = config.find("tls");
  settings.tls = flags.tls || !settings.tls_ca.empty() || !settings.tls_cert.empty() ||
                 (tls != config.end() && tls->second == "true");
  if (settings.tls_cert.empty() != settings.tls_key.empty()) {
    return InvalidArgument("a client certificate needs both --tls-cert and --tls-key");
  }
  settings.args_format = flags.output == "args";
  if (!settings.args_format) {
    TS_ASSIGN_OR_RETURN(settings.format, ParseFormat(flags.output));
  }
  settings.headers = !flags.no_headers;
  settings.quiet = flags.quiet;
  const auto color = ColorModeFromText(flags.color);
  if (!color.has_value())
    return InvalidArgument("--color " + flags.color + ": use auto, always or never");
  settings.is_terminal = IsTerminal(stdout_fd);
  settings.color = UseColor(*color, settings.is_terminal, environment);
  settings.unicode = Utf8Locale(environment);
  settings.can_repaint = CanRepaint(settings.is_terminal, environment);
  return settings;
}

}  // namespace tunesmith
