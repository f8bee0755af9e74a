// Where the controller is and where local state lies: flags, then the environment, then the user's
// file.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "client/output.h"
#include "client/term.h"
#include "common/status.h"

namespace tunesmith {

constexpr char kDefaultServer[] = "127.0.0.1:7070";
// The value of --server that means: none, use this machine's own state.
constexpr char kLocalServer[] = "local";

// The flags that all commands share, as given.
struct GlobalFlags {
  std::string server;
  std::string output;  // "table", "json", "jsonl", "csv" (and "args" for `best`)
  std::string color = "auto";
  std::string data_dir;
  bool tls = false;
  std::string tls_ca, tls_cert, tls_key;
  bool no_headers = false;
  bool quiet = false;
};

struct Settings {
  std::string server;    // "" = none is configured
  std::string data_dir;  // state of `run` without a controller
  bool tls = false;
  std::string tls_ca, tls_cert, tls_key;
  OutputFormat format = OutputFormat::kTable;
  bool args_format = false;  // `best -o args`
  bool headers = true;
  bool quiet = false;
  // Of stdout.
  bool is_terminal = false;
  bool color = false;
  bool unicode = false;
  bool can_repaint = false;
};

// "key = value" lines with # comments; keys server, data_dir, tls, tls_ca, tls_cert, tls_key.
// INVALID_ARGUMENT names the line of a mistake.
StatusOr<std::map<std::string, std::string>> ParseConfigFile(std::string_view text);

// Flags, then TUNESMITH_SERVER / TUNESMITH_HOME / TUNESMITH_TLS_{CA,CERT,KEY}, then
// ${XDG_CONFIG_HOME:-~/.config}/tunesmith/config, then the defaults.
StatusOr<Settings> ResolveSettings(const GlobalFlags& flags, const Environment& environment,
                                   int stdout_fd);

}  // namespace tunesmith
