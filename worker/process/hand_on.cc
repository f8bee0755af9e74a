#include "worker/process/hand_on.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

// CBOR: what programs print need not be UTF-8, and metrics may be NaN.
NLOHMANN_JSON_NAMESPACE_BEGIN

template <typename T>
struct adl_serializer<std::optional<T>> {
  static void to_json(json& j, const std::optional<T>& value) {
    j = value.has_value() ? json(*value) : json(nullptr);
  }
  static void from_json(const json& j, std::optional<T>& value) {
    value = j.is_null() ? std::nullopt : std::optional<T>(j.get<T>());
  }
};

template <typename T>
struct adl_serializer<std::shared_ptr<const T>> {
  static void to_json(json& j, const std::shared_ptr<const T>& value) {
    j = value == nullptr ? json(nullptr) : json(*value);
  }
  static void from_json(const json& j, std::shared_ptr<const T>& value) {
    value = j.is_null() ? nullptr : std::make_shared<const T>(j.get<T>());
  }
};

template <>
struct adl_serializer<tunesmith::Time> {
  static void to_json(json& j, const tunesmith::Time& time) { j = time.ms; }
  static void from_json(const json& j, tunesmith::Time& time) { time.ms = j.get<int64_t>(); }
};

template <>
struct adl_serializer<tunesmith::Duration> {
  static void to_json(json& j, const tunesmith::Duration& duration) { j = duration.ms; }
  static void from_json(const json& j, tunesmith::Duration& duration) { duration.ms = j.get<int64_t>(); }
};

template <>
struct adl_serializer<tunesmith::NamedValue> {
  static void to_json(json& j, const tunesmith::NamedValue& named) { j = {named.name, named.value}; }
  static void from_json(const json& j, tunesmith::NamedValue& named) {
    named = {j.at(0).get<std::string>(), j.at(1).get<double>()};
  }
};

template <>
struct adl_serializer<tunesmith::worker::AttemptKey> {
  static void to_json(json& j, const tunesmith::worker::AttemptKey& key) {
    j = {key.id.trial.sweep.value, key.id.trial.number, key.id.number, key.epoch.value};
  }
  static void from_json(const json& j, tunesmith::worker::AttemptKey& key) {
    key = {{{tunesmith::SweepId(j.at(0).get<uint64_t>()), j.at(1).get<uint32_t>()}, j.at(2).get<uint32_t>()},
           tunesmith::LeaseEpoch(j.at(3).get<uint64_t>())};
  }
};

NLOHMANN_JSON_NAMESPACE_END

namespace tunesmith::worker {

using Json = nlohmann::json;

// Found by nlohmann_json in this namespace only. A field that is missing here is lost on the way: its type and its line
// here change together, and kHandOnFormat with them.
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Argument, name, text, json)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(CollectRule, kind, regex)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Checkpoint, attempt, step, name, bytes, sha256)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Assignment, key, sweep_id, controller, command, args, workdir, env, builtin, options,
                                   parameters, collect, seed, stop_grace, max_step, cpus, ranks, devices, gpus, resume,
                                   metrics, checkpoints, last_step, store_checkpoints, first_attempt, resume_step,
                                   resume_name)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Report, step, metrics, checkpoint, from_channel)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Started, pid)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Measured, step, metrics, checkpoint, channel_step)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(LogChunk, data, dropped_bytes)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Ended, exit_code, signal, out_of_memory, start_failed, reason, stop_requested, lost)

static void to_json(Json& j, const Record& record) {
  j = {{"key", record.key}, {"sequence", record.sequence}, {"time", record.time}, {"kind", record.kind.index()}};
  std::visit([&](const auto& fact) { j["fact"] = fact; }, record.kind);
}

static void from_json(const Json& j, Record& record) {
  record.key = j.at("key").get<AttemptKey>();
  record.sequence = j.at("sequence").get<uint64_t>();
  record.time = j.at("time").get<Time>();
  const Json& fact = j.at("fact");
  switch (j.at("kind").get<int>()) {
    case 0:
      record.kind = fact.get<Started>();
      break;
    case 1:
      record.kind = fact.get<Measured>();
      break;
    case 2:
      record.kind = fact.get<LogChunk>();
      break;
    default:
      record.kind = fact.get<Ended>();
  }
}

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(AttemptState, assignment, phase, cause, cause_reason, term_sent, kill_sent, kill_at,
                                   forgotten, named_checkpoint, resume_found, end_unknown, last_sequence, unacked,
                                   unacked_bytes, sent, last_step, measurements, steps_from_zero, metrics_seen,
                                   verdicts_delivered)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(AgentSnapshot, attempts, draining, lease, lease_ends)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(SaveCheckpoint, assignment, step, name)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(SpawnedProcess, pid, pidfd, stdout_fd, stderr_fd, channel_fd)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(DeviceUse, device, whole, unclaimed_before)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(TrialState, assignment, process, cgroup, started, unparsed, progress, channel_in,
                                   channel_out, noted_from_zero, channel_used, log_fd, log_bytes, log_bytes_left_out,
                                   failed_reason, told_exit, kill_sent, kill_sent_at, oom_suspected, devices, pids)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(OutputSplitter::State, partial, after_return, cut_bytes)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(LogForwarder::State, budget, tokens, refilled, window, gathering_since, dropped)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(TrialSnapshot, state, splitter, forwarder, stdout_tail, stderr_tail, parser_hint)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ProcessForest::Past, all_children_are_ours, seen)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ProcessesSnapshot, trials, forest, oom_kills, oom_rose_at)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(HandOn, boot_id, wall_offset_ms, welcomed_ever, lock_fd, agent, processes, saves,
                                   not_spooled)

std::vector<int> HandOn::Descriptors() const {
  std::vector<int> all = {lock_fd};
  for (const TrialSnapshot& trial : processes.trials) {
    const std::vector<int> of_one = trial.state.Descriptors();
    all.insert(all.end(), of_one.begin(), of_one.end());
  }
  return all;
}

std::string EncodeHandOn(const HandOn& hand_on) {
  std::string bytes;
  Json::to_cbor(Json{{"format", kHandOnFormat}, {"state", hand_on}}, bytes);
  return bytes;
}

StatusOr<HandOn> DecodeHandOn(std::string_view bytes) {
  try {
    const Json whole = Json::from_cbor(bytes);
    const int format = whole.at("format").get<int>();
    if (format != kHandOnFormat) {
      return FailedPrecondition("it is of format " + std::to_string(format) + "; this program reads format " +
                                std::to_string(kHandOnFormat));
    }
    return whole.at("state").get<HandOn>();
  } catch (const std::exception& e) {
    return DataLoss(e.what());
  }
}

}  // namespace tunesmith::worker
