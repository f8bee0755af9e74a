// The controller's command line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/limits.h"
#include "common/log.h"
#include "common/status.h"

namespace tunesmith {

struct ServerOptions {
  std::string listen = "127.0.0.1:7070";   // port 0: any free one
  std::string data_dir;                    // journal and logs; see DefaultDataDir
  std::string port_file;                   // "": none. Gets "host:port\n" once calls are taken
  bool insecure = false;                   // allow an address beyond loopback without TLS
  std::string tls_cert;                    // PEM files; certificate and key go together
  std::string tls_key;
  std::string tls_client_ca;               // clients must show a certificate signed by it
  bool parent_death = false;               // end (SIGTERM) when the parent process ends
  LogLevel log_level = LogLevel::kInfo;
  int64_t lease_ms = kLeaseMs;             // a worker not heard of for so long has lost its trials
  int searcher_threads = 2;                // a slow model of one sweep must not hold up another sweep's
};

// ${TUNESMITH_HOME:-${XDG_DATA_HOME:-~/.local/share}/tunesmith}/server; "" if none of these is set.
std::string DefaultDataDir();

// The host part of "host:port" or "[v6]:port"; "" if it is not of that form or the port is no number up to 65535.
std::string HostOf(const std::string& address);
bool IsLoopback(const std::string& host);

// INVALID_ARGUMENT, in words for the terminal, where options contradict each other or are dangerous.
Status CheckOptions(const ServerOptions& options);

// Reads the command line; --help, --version and mistakes are printed. An exit code (0, or 2 for a mistake) if the
// program should end.
std::optional<int> ParseCommandLine(int argc, char** argv, ServerOptions* options);

}  // namespace tunesmith
