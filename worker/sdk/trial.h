// Tunesmith's C++ header for trial programs: copy it and config.h, or include it, there is nothing to
// link. C++17 and Linux.
//
//   void Train(tunesmith::Trial& trial) {
//     const double lr = trial.config().Number("lr", 0.1);
//     for (int epoch = 1; epoch <= 10; ++epoch) {
//       ...
//       if (trial.Report(epoch, {{"loss", loss}, {"accuracy", accuracy}}).stop) break;
//     }
//   }
//   int main() { return tunesmith::Run(Train); }
//
// Started by a worker daemon, the program has a channel: a stream socket whose number is in
// TUNESMITH_CHANNEL, with one JSON object a line both ways. Started by hand there is none, and
// reports are lines on stdout: "epoch=3 loss=0.42 accuracy=0.91".
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config.h"

namespace tunesmith {
// Inline: users write tunesmith::Trial, while the linker keeps these apart from classes of the
// daemon.
inline namespace trial_sdk {

// What the scheduler said. `stop`: leave now, with exit code 0. `reason`: a line for people.
struct Verdict {
  bool stop = false;
  std::string reason;
};

using Metrics = std::vector<std::pair<std::string, double>>;

struct TrialOptions {
  // How long Report() waits for the verdict on its step, in milliseconds. 0: do not wait, only take
  // what has arrived, so that a controller that is away never stalls training. A negative number:
  // wait as long as it takes.
  int report_wait_ms = 0;
  // Turn SIGTERM into ShouldStop() instead of sudden death (only where the program has no handler
  // of its own).
  bool handle_sigterm = true;
};

namespace internal {

inline volatile sig_atomic_t sigterm_seen = 0;
inline void OnSigterm(int) { sigterm_seen = 1; }

// `bytes` as a JSON string. Control characters are escaped, and bytes that are not UTF-8 become
// '?'.
inline std::string JsonString(const std::string& bytes) {
  std::string out = "\"";
  for (size_t i = 0; i < bytes.size(); ++i) {
    const unsigned char c = static_cast<unsigned char>(bytes[i]);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += bytes[i];
    } else if (c < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", c);
      out += escaped;
    } else if (c < 0x80) {
      out += bytes[i];
    } else {
      const size_t length = Utf8Length(bytes, i);
      if (length > 0) {
        out.append(bytes, i, length);
        i += length - 1;
      } else {
        out += '?';
      }
    }
  }
  return out + '"';
}

// The shortest of 15 to 17 digits that reads back as the same double; JSON has no NaN and
// infinities: strings.
inline std::string JsonNumber(double value) {
  if (std::isnan(value)) return "\"nan\"";
  if (std::isinf(value)) return value > 0 ? "\"inf\"" : "\"-inf\"";
  char text[40];
  for (int digits = 15; digits <= 17; ++digits) {
    std::snprintf(text, sizeof text, "%.*g", digits, value);
    if (std::strtod(text, nullptr) == value) break;
  }
  for (char* c = text; *c != 0; ++c) {
    if (*c == ',') *c = '.';  // a program may have set a locale
  }
  return text;
}

// Reads the JSON string that starts at line[*at] == '"' and leaves *at behind it.
inline std::string ReadString(const std::string& line, size_t* at) {
  std::string out;
  for (++*at; *at < line.size() && line[*at] != '"'; ++*at) {
    if (line[*at] != '\\' || *at + 1 >= line.size()) {
      out += line[*at];
      continue;
    }
    const char escape = line[++*at];
    if (escape == 'u' && *at + 4 < line.size()) {
      AppendUtf8(std::strtoul(line.substr(*at + 1, 4).c_str(), nullptr, 16), &out);
      *at += 4;
    } else {
      static constexpr char kNames[] = "ntrbf", kMeanings[] = "\n\t\r\b\f";
      const char* name = std::strchr(kNames, escape);
      out += escape != 0 && name != nullptr ? kMeanings[name - kNames] : escape;
    }
  }
  if (*at < line.size()) ++*at;
  return out;
}

// The value of `key` in the outermost object of `line`, as text; "" if there is none or it is not a
// string or a number. A tolerant scan: unknown keys and nested values are skipped.
inline std::string FindField(const std::string& line, const std::string& key) {
  int depth = 0;
  for (size_t at = 0; at < line.size();) {
    const char c = line[at];
    if (c != '"') {
      depth += (c == '{' || c == '[') - (c == '}' || c == ']');
      ++at;
      continue;
    }
    const std::string name = ReadString(line, &at);
    at = std::min(line.find_first_not_of(" \t", at), line.size());
    if (depth != 1 || name != key || at >= line.size() || line[at] != ':') continue;
    at = std::min(line.find_first_not_of(" \t", at + 1), line.size());
    if (at < line.size() && line[at] == '"') return ReadString(line, &at);
    return line.substr(at, line.find_first_of(",}{[ \t", at) - at);
  }
  return "";
}

inline std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

// Digits only; `otherwise` for anything else.
inline uint64_t EnvironmentNumber(const char* name, uint64_t otherwise) {
  const std::string text = Environment(name);
  if (text.empty() || text.find_first_not_of("0123456789") != std::string::npos) return otherwise;
  return std::strtoull(text.c_str(), nullptr, 10);
}

}  // namespace internal

// The program's side of one attempt. Not thread-safe. One per process: it owns the channel and
// closes it.
class Trial {
 public:
  explicit Trial(TrialOptions options = {}) : options_(options) {
    TakeChannel();
    struct sigaction current = {};
    if (options_.handle_sigterm && sigaction(SIGTERM, nullptr, &current) == 0 &&
        current.sa_handler == SIG_DFL) {
      struct sigaction action = {};
      action.sa_handler = internal::OnSigterm;  // without SA_RESTART: a waiting Report() returns
      sigemptyset(&action.sa_mask);
      sigaction(SIGTERM, &action, nullptr);
    }
  }
  ~Trial() {
    if (channel_ < 0) return;
    Flush(kLastFlushMs);
    close(channel_);
  }
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;

  // Whether a daemon started this program. False: reports are lines on stdout.
  bool attached() const { return attached_; }
  std::string sweep() const { return internal::Environment("TUNESMITH_SWEEP"); }
  uint64_t number() const { return internal::EnvironmentNumber("TUNESMITH_TRIAL", 0); }
  uint64_t attempt() const { return internal::EnvironmentNumber("TUNESMITH_ATTEMPT", 1); }
  // Path of the JSON file with the parameters; "" when there is none.
  static std::string config_path() { return internal::Environment("TUNESMITH_CONFIG"); }
  // The parameters in that file, read at the first call; none when there is no file. Throws a
  // ConfigError.
  const Config& config() {
    if (!config_) config_ = Config::FromEnvironment();
    return *config_;
  }
  // Where this attempt may write; it survives the attempt. "" when there is none.
  std::string checkpoint_dir() const { return internal::Environment("TUNESMITH_CHECKPOINT_DIR"); }
  // Where earlier attempts wrote; "" for a first attempt. May be the same directory.
  std::string resume_from() const { return internal::Environment("TUNESMITH_RESUME_FROM"); }
  // Path of the newest whole checkpoint there, and its step; "" and 0 when none is known.
  std::string resume_checkpoint() const {
    return internal::Environment("TUNESMITH_RESUME_CHECKPOINT");
  }
  int64_t resume_step() const {
    return static_cast<int64_t>(internal::EnvironmentNumber("TUNESMITH_RESUME_STEP", 0));
  }
  static uint64_t seed(uint64_t otherwise = 0) {
    return internal::EnvironmentNumber("TUNESMITH_SEED", otherwise);
  }
  // Threads that may compute at once: the lease's, or the CPUs that this process may run on.
  static int cpus() {
    cpu_set_t mine;
    CPU_ZERO(&mine);
    const int usable = sched_getaffinity(0, sizeof mine, &mine) == 0 ? CPU_COUNT(&mine) : 1;
    const uint64_t granted = internal::EnvironmentNumber("TUNESMITH_CPUS", 0);
    return granted >= 1 && granted <= 4096 ? static_cast<int>(granted) : usable;
  }
  // The step after which the scheduler stops every trial; 0 when it has none.
  static uint64_t max_step() { return internal::EnvironmentNumber("TUNESMITH_MAX_STEP", 0); }

  // Reports the metrics of `step` (from 1, rising). `checkpoint`: the name of a complete file or
  // directory inside checkpoint_dir(), or "". Returns the newest word of the scheduler.
  Verdict Report(int64_t step, const Metrics& metrics, const std::string& checkpoint = "") {
    step_ = step;
    if (!attached_) {
      std::string line = "epoch=" + std::to_string(step);
      for (const auto& [name, value] : metrics) {
        char text[64];
        std::snprintf(text, sizeof text, "=%.6g", value);
        line += ' ' + name + text;
      }
      std::printf("%s\n", line.c_str());
      std::fflush(stdout);
      return Current();
    }
    std::string line = "{\"type\":\"report\",\"step\":" + std::to_string(step) + ",\"metrics\":{";
    for (size_t i = 0; i < metrics.size(); ++i) {
      line += (i > 0 ? "," : "") + internal::JsonString(metrics[i].first) + ':' +
              internal::JsonNumber(metrics[i].second);
    }
    line += '}';
    if (!checkpoint.empty()) line += ",\"checkpoint\":" + internal::JsonString(checkpoint);
    Send(line + "}\n");
    AwaitVerdict(step);
    return Current();
  }
  // The same with step = the previous one + 1.
  Verdict Report(const Metrics& metrics, const std::string& checkpoint = "") {
    return Report(step_ + 1, metrics, checkpoint);
  }

  // Has `write` write a file at the path that it is given, and puts it into checkpoint_dir() as
  // `name` once it is whole and on disk: a kill at any instant leaves older ones as they were.
  // Returns `name`, for Report(). Returns "" where there is no checkpoint_dir(), and, with a line on
  // stderr and a note, where `write` returned false or the disk refused it: training can go on.
  std::string SaveCheckpoint(const std::string& name,
                             const std::function<bool(const std::string& path)>& write) {
    const std::string directory = checkpoint_dir();
    if (directory.empty()) return "";
    const std::string path = directory + '/' + name, unfinished = directory + "/." + name + ".new";
    std::string problem;
    try {
      errno = 0;
      if (!write(unfinished)) {
        problem = errno != 0 ? std::strerror(errno) : "it could not be written";
      } else if (!SyncToDisk(unfinished) || std::rename(unfinished.c_str(), path.c_str()) != 0 ||
                 !SyncToDisk(directory)) {
        problem = std::strerror(errno);
      }
    } catch (...) {
      unlink(unfinished.c_str());
      throw;
    }
    if (problem.empty()) return name;
    unlink(unfinished.c_str());
    problem = "no checkpoint " + path + ": " + problem;
    std::fprintf(stderr, "tunesmith: %s\n", problem.c_str());
    Note(problem);
    return "";
  }

  // Whether to leave: a stop verdict, SIGTERM, or a daemon that is gone. Never waits.
  bool ShouldStop() {
    Flush(0);
    Drain();
    return Current().stop;
  }
  std::string StopReason() { return Current().reason; }

  // A line for people, shown with the trial.
  void Note(const std::string& text) { SendText("note", "text", text); }
  // Why the program is about to exit with a code other than 0.
  void Failed(const std::string& reason) { SendText("failed", "reason", reason); }

 private:
  static constexpr int kLastFlushMs = 2000;            // at exit, for a daemon that reads slowly
  static constexpr size_t kUnsentBytesMax = 1 << 20;   // then a report waits for the daemon
  static constexpr size_t kVerdictBytesMax = 1 << 16;  // a longer line is not a verdict

  void TakeChannel() {
    const std::string text = internal::Environment("TUNESMITH_CHANNEL");
    if (text.empty()) return;
    const int fd = static_cast<int>(internal::EnvironmentNumber("TUNESMITH_CHANNEL", 1u << 30));
    int type = 0;
    socklen_t size = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0) {
      std::fprintf(
          stderr,
          "tunesmith: TUNESMITH_CHANNEL=%s is not an open socket (%s); reports go to stdout\n",
          text.c_str(), std::strerror(errno));
      return;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);  // children of the trial must not hold the channel open
    channel_ = fd;
    attached_ = true;
  }

  Verdict Current() const {
    if (verdict_.stop) return verdict_;
    if (internal::sigterm_seen != 0) return {true, "asked to leave (SIGTERM)"};
    if (attached_ && channel_ < 0) return {true, "the worker daemon is gone"};
    return verdict_;
  }

  void SendText(const char* type, const char* key, const std::string& text) {
    if (!attached_) return;
    Send(std::string("{\"type\":\"") + type + "\",\"" + key + "\":" + internal::JsonString(text) +
         "}\n");
  }

  void Send(const std::string& line) {
    if (channel_ < 0) return;
    unsent_ += line;
    Flush(0);
    while (channel_ >= 0 && unsent_.size() > kUnsentBytesMax && !Current().stop) Flush(1000);
  }

  // Writes what the socket takes; gives up when there was no room for `wait_ms`.
  void Flush(int wait_ms) {
    const auto deadline_from_now = [wait_ms] {
      return std::chrono::steady_clock::now() + std::chrono::milliseconds(wait_ms);
    };
    auto deadline = deadline_from_now();
    size_t sent = 0;
    while (channel_ >= 0 && sent < unsent_.size()) {
      const ssize_t n =
          send(channel_, unsent_.data() + sent, unsent_.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n > 0) {
        sent += static_cast<size_t>(n);
        if (wait_ms > 0) deadline = deadline_from_now();
      } else if (n < 0 && errno == EINTR) {
        continue;
      } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        if (!Poll(POLLOUT, MsUntil(deadline))) break;
      } else {
        Drain();  // a last verdict may lie in the buffer
        Disconnect();
      }
    }
    unsent_.erase(0, sent);
  }

  // Takes what has arrived.
  void Drain() {
    char buffer[4096];
    while (channel_ >= 0) {
      const ssize_t n = recv(channel_, buffer, sizeof buffer, MSG_DONTWAIT);
      if (n > 0) {
        received_.append(buffer, static_cast<size_t>(n));
        TakeLines();
      } else if (n == 0) {
        Disconnect();
      } else if (errno != EINTR) {
        if (errno != EAGAIN && errno != EWOULDBLOCK) Disconnect();
        return;
      }
    }
  }

  void AwaitVerdict(int64_t step) {
    const bool forever = options_.report_wait_ms < 0;
    const auto deadline = std::chrono::steady_clock::now() +
                          std::chrono::milliseconds(forever ? 0 : options_.report_wait_ms);
    Drain();
    while (answered_ < step && !Current().stop) {
      const int left = forever ? 1000 : MsUntil(deadline);
      if (left <= 0) return;
      Flush(0);
      Poll(static_cast<short>(POLLIN | (unsent_.empty() ? 0 : POLLOUT)), left);
      Drain();
    }
  }

  void TakeLines() {
    size_t begin = 0;
    for (size_t end; (end = received_.find('\n', begin)) != std::string::npos; begin = end + 1) {
      TakeLine(received_.substr(begin, end - begin));
    }
    received_.erase(0, begin);
    if (received_.size() > kVerdictBytesMax) received_.clear();
  }

  void TakeLine(const std::string& line) {
    if (internal::FindField(line, "type") != "verdict") return;
    const int64_t step = std::strtoll(internal::FindField(line, "step").c_str(), nullptr, 10);
    answered_ = std::max(answered_, step);
    if (verdict_.stop) return;  // a stop is final
    verdict_.stop = internal::FindField(line, "action") == "stop";
    verdict_.reason = internal::FindField(line, "reason");
  }

  static bool SyncToDisk(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    const bool synced = fsync(fd) == 0;
    const int error = errno;
    close(fd);
    errno = error;
    return synced;
  }

  bool Poll(short events, int wait_ms) {
    struct pollfd entry = {channel_, events, 0};
    return wait_ms > 0 && poll(&entry, 1, wait_ms) > 0;
  }

  static int MsUntil(std::chrono::steady_clock::time_point deadline) {
    const auto left = deadline - std::chrono::steady_clock::now();
    return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
  }

  void Disconnect() {
    if (channel_ >= 0) close(channel_);
    channel_ = -1;
    unsent_.clear();
  }

  TrialOptions options_;
  std::optional<Config> config_;
  bool attached_ = false;
  int channel_ = -1;  // -1: none, or the daemon is gone
  int64_t step_ = 0;
  int64_t answered_ = 0;  // the highest step with a verdict
  Verdict verdict_;
  std::string unsent_;
  std::string received_;
};

// A whole trial: runs `train` and returns what main() should, 0 when `train` is done or was asked to
// leave. What it throws is said on stderr and as the trial's reason, and gives 1; wrong parameters
// (ConfigError) give 2.
inline int Run(const std::function<void(Trial&)>& train, TrialOptions options = {}) {
  Trial trial(options);
  const auto failed = [&trial](const std::string& reason, int code) {
    std::fprintf(stderr, "tunesmith: %s\n", reason.c_str());
    // LibTorch puts a page of stack behind its message.
    trial.Failed(reason.substr(0, reason.find("\nException raised from ")));
    return code;
  };
  try {
    train(trial);
    return 0;
  } catch (const ConfigError& e) {
    return failed(e.what(), 2);
  } catch (const std::exception& e) {
    return failed(std::string("training failed: ") + e.what(), 1);
  } catch (...) {
    return failed("training failed: something was thrown that is no std::exception", 1);
  }
}

}  // namespace trial_sdk
}  // namespace tunesmith
