// Words that the daemon's parts share: what is to run, what is to be told. Plain data; no gRPC, no
// JSON, no files.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/ids.h"
#include "common/json_text.h"
#include "common/time.h"

namespace tunesmith::worker {

// One execution of a trial and the fencing token of its lease. What carries another epoch is stale.
struct AttemptKey {
  AttemptId id;
  LeaseEpoch epoch;
  friend constexpr auto operator<=>(const AttemptKey&, const AttemptKey&) = default;
};

// "3.12.1.40": sweep, trial, attempt, epoch. A file name, and the mark in the environment of every
// process.
std::string KeyText(const AttemptKey& key);
// The key in such a text; nullopt for anything else.
std::optional<AttemptKey> ParseKeyText(std::string_view text);

// A parameter or option in the two forms in which programs read it.
struct Argument {
  std::string name;  // levels joined by '/'
  std::string text;  // as on a command line: 0.1, true, adam
  std::string json;  // 0.1, true, "adam"
  friend bool operator==(const Argument&, const Argument&) = default;
};

enum class ArgStyle : uint8_t {
  kGnu,         // --lr=0.1
  kSpaced,      // --lr 0.1
  kHydra,       // lr=0.1
  kSingleDash,  // -lr 0.1
  kNone,
};

struct CollectRule {
  enum class Kind : uint8_t { kAuto, kJson, kRegex };
  Kind kind = Kind::kAuto;
  std::string regex;
};

// A file or folder in the trial's checkpoint folder, as it was when the report of a step named it.
struct Checkpoint {
  uint32_t attempt = 0;  // that made it
  int64_t step = 0;
  std::string name;      // relative to the checkpoint folder; "" = all of it
  int64_t bytes = 0;     // of its archive
  std::string sha256;    // of its archive, in hexadecimal
  friend bool operator==(const Checkpoint&, const Checkpoint&) = default;
};
// By attempt, then step: what a later attempt made is newer.
bool OlderCheckpoint(const Checkpoint& a, const Checkpoint& b);

// What the controller wants to run.
struct Assignment {
  AttemptKey key;
  std::string sweep_id;
  std::string controller;            // the id of the controller that gives it
  std::vector<std::string> command;  // empty for a built-in trainable
  ArgStyle args = ArgStyle::kGnu;
  std::string workdir;
  std::map<std::string, std::string> env;
  std::string builtin;
  std::vector<Argument> options;
  std::vector<Argument> parameters;
  std::vector<CollectRule> collect;
  uint64_t seed = 0;
  Duration stop_grace{0};
  int64_t max_step = 0;
  int32_t cpus = 1;   // of all ranks together, as the devices are
  int32_t ranks = 1;  // processes that are started
  std::vector<std::string> devices;
  double gpus = 0;  // of the one device, if below 1: others use the rest of it
  bool resume = false;
  std::vector<std::string> metrics;
  std::vector<Checkpoint> checkpoints;  // with `resume`: copies that the controller has, the newest first
  int64_t last_step = -1;               // with `resume`: that was recorded; negative = unknown
  bool store_checkpoints = false;
  uint32_t first_attempt = 0;           // with `resume`: what attempts before it have saved does not count
  // Found out here before it starts: the step of the checkpoint that it resumes from, and its name; 0 if there is none.
  int64_t resume_step = 0;
  std::string resume_name;
};

// A device on which nothing may start: the memory of an ended attempt is not back.
struct HeldDevice {
  std::string uuid;
  bool quarantined = false;  // it has not come back in time; else it is waited for
  std::string reason;        // how much is held, and by whom if that is known
  friend bool operator==(const HeldDevice&, const HeldDevice&) = default;
};

// A measurement as the trial gave it.
struct Report {
  std::optional<int64_t> step;  // nullopt: the previous one plus 1
  std::vector<NamedValue> metrics;
  std::string checkpoint;
  bool from_channel = false;  // the trial waits for a verdict
};

// How the processes of an attempt ended.
struct ProcessEnd {
  std::optional<int32_t> exit_code = std::nullopt;  // of the program itself
  int32_t signal = 0;
  std::string memory_evidence = {};  // why the end is taken for a lack of memory; "" = it is not
  std::string failed_reason = {};    // the program's own words
  std::string stderr_tail = {};      // its last lines
  std::string hint = {};  // "loss=abc is not a number": why a metric may be missing; may be empty
};

struct Started {
  int64_t pid = 0;
};
struct Measured {
  int64_t step = 0;
  std::vector<NamedValue> metrics;
  std::string checkpoint;
  // Step under which a verdict is due on the channel; nullopt: none is.
  std::optional<int64_t> channel_step;
};
struct LogChunk {
  std::string data;
  int64_t dropped_bytes = 0;
};
struct Ended {
  std::optional<int32_t> exit_code = std::nullopt;
  int32_t signal = 0;
  bool out_of_memory = false;
  bool start_failed = false;
  std::string reason = {};
  bool stop_requested = false;
  bool lost = false;
};

// One fact, numbered within its attempt from 1 without gaps. Immutable once made.
struct Record {
  AttemptKey key;
  uint64_t sequence = 0;
  Time time;
  std::variant<Started, Measured, LogChunk, Ended> kind;
};
using RecordPtr = std::shared_ptr<const Record>;

// Roughly what the record takes in memory and on the wire, in bytes.
size_t RecordBytes(const Record& record);

}  // namespace tunesmith::worker
