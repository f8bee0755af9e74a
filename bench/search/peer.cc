#include "bench/search/peer.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <nlohmann/json.hpp>
#include <utility>

extern char** environ;

namespace tunesmith::bench {
namespace {

using Json = nlohmann::json;

// An object; empty if the peer has died or speaks something else.
Json ParseReply(const std::optional<std::string>& reply) {
  Json json = Json::object();
  if (reply) json = Json::parse(*reply, nullptr, false);
  if (!json.is_object()) json = Json::object();
  return json;
}

// A value as the peer knows it: the index of an option, or the number; null when inactive.
Json ToJson(const Space& space, size_t i, const Value& value) {
  if (!IsActive(value)) return nullptr;
  if (HasOptions(space.parameters()[i].distribution)) return *space.IndexOf(i, value);
  if (const auto* integer = std::get_if<int64_t>(&value)) return *integer;
  return ValueNumber(value);
}

Value FromJson(const Space& space, size_t i, const Json& json) {
  if (json.is_null()) return std::monostate();
  const Parameter& p = space.parameters()[i];
  if (HasOptions(p.distribution)) return p.options.at(json.get<size_t>());
  if (IsInteger(p.distribution)) return json.get<int64_t>();
  // Optuna's ranges include the upper bound, ours do not.
  return std::clamp(json.get<double>(), p.lo, std::nextafter(p.hi, p.lo));
}

// JSON has no NaN and no infinities.
Json NumberOrWord(double x) {
  if (std::isfinite(x)) return x;
  return std::isnan(x) ? "nan" : x > 0 ? "inf" : "-inf";
}

// nullopt if the peer could not express it.
std::optional<Json> SpaceJson(const Space& space, Problems* problems) {
  static constexpr const char* kOps[] = {"in", "not in", "<", "<=", ">", ">="};
  Json parameters = Json::array();
  for (size_t i = 0; i < space.size(); ++i) {
    const Parameter& p = space.parameters()[i];
    Json json = {{"name", p.name}, {"when", Json::array()}};
    switch (p.distribution) {
      case Distribution::kConstant:
      case Distribution::kChoice:
        json["options"] = p.options.size();
        break;
      case Distribution::kUniform:
      case Distribution::kLogUniform:
      case Distribution::kRandInt:
      case Distribution::kLogRandInt:
        json["integer"] = IsInteger(p.distribution);
        json["log"] = IsLog(p.distribution);
        json["lo"] = p.lo;
        json["hi"] = IsInteger(p.distribution) ? p.hi - 1 : p.hi;
        break;
      default:
        problems->push_back(
            {"parameters." + p.name,
             "the Optuna peer has no " + std::string(DistributionName(p.distribution)),
             "leave the task out"});
        return std::nullopt;
    }
    for (const Condition& c : p.when) {
      Json values = Json::array();
      for (const Value& v : c.values) values.push_back(ToJson(space, c.parent, v));
      json["when"].push_back(
          {{"parent", c.parent}, {"op", kOps[static_cast<size_t>(c.op)]}, {"values", values}});
    }
    parameters.push_back(std::move(json));
  }
  return Json{{"parameters", parameters}, {"order", space.SampleOrder()}};
}

}  // namespace

class OptunaStudy final : public Searcher {
 public:
  OptunaStudy(OptunaPeer* peer, const Space& space) : peer_(*peer), space_(space) {}

  void Add(uint32_t trial, const Point& point) override {
    Json json = Json::array();
    for (size_t i = 0; i < space_.size(); ++i) json.push_back(ToJson(space_, i, point[i]));
    peer_.Tell(Json{{"do", "add"}, {"trial", trial}, {"point", json}}.dump());
  }
  void Report(const RungReport& report) override {
    peer_.Tell(Json{{"do", "report"},
                    {"trial", report.trial},
                    {"step", report.rung},
                    {"value", NumberOrWord(report.value)}}
                   .dump());
  }
  void Observe(const Observation& observation) override {
    static constexpr const char* kOutcomes[] = {"completed", "stopped", "failed"};
    peer_.Tell(Json{{"do", "observe"},
                    {"trial", observation.trial},
                    {"outcome", kOutcomes[static_cast<size_t>(observation.outcome)]},
                    {"value", NumberOrWord(observation.value)}}
                   .dump());
  }
  void Forget(uint32_t trial) override { Observe({.trial = trial, .outcome = Outcome::kFailed}); }
  Suggestion Suggest(uint32_t trial) override {
    const auto reply = peer_.Ask(Json{{"do", "suggest"}, {"trial", trial}}.dump());
    const Json json = ParseReply(reply);
    if (!json.contains("point") || json["point"].size() != space_.size()) {
      return {.exhausted = true, .point = {}};
    }
    Suggestion suggestion;
    for (size_t i = 0; i < space_.size(); ++i) {
      suggestion.point.push_back(FromJson(space_, i, json["point"][i]));
    }
    return suggestion;
  }

 private:
  OptunaPeer& peer_;
  const Space space_;
};

std::unique_ptr<OptunaPeer> OptunaPeer::Start(const std::string& python, Problems* problems) {
  std::signal(SIGPIPE, SIG_IGN);
  std::unique_ptr<OptunaPeer> peer(new OptunaPeer());
  int to[2], from[2];
  if (pipe2(to, O_CLOEXEC) != 0) return nullptr;
  peer->to_ = to[1];
  if (pipe2(from, O_CLOEXEC) != 0) {
    close(to[0]);
    return nullptr;
  }
  peer->from_ = from[0];
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, to[0], 0);
  posix_spawn_file_actions_adddup2(&actions, from[1], 1);
  std::string program = python, script = TUNESMITH_OPTUNA_PEER;
  char* arguments[] = {program.data(), script.data(), nullptr};
  const bool started =
      posix_spawnp(&peer->pid_, program.c_str(), &actions, nullptr, arguments, environ) == 0;
  posix_spawn_file_actions_destroy(&actions);
  close(to[0]);
  close(from[1]);
  if (!started) peer->pid_ = -1;
  const auto hello = started ? peer->Ask(R"({"do":"hello"})") : std::nullopt;
  const Json json = ParseReply(hello);
  if (!json.contains("version")) {
    problems->push_back({python, "cannot run " + script,
                         "install python3-optuna for it, or name another python by --python"});
    return nullptr;
  }
  peer->version_ = json["version"];
  return peer;
}

OptunaPeer::~OptunaPeer() {
  if (to_ >= 0) close(to_);  // the script ends with its input
  if (from_ >= 0) close(from_);
  if (pid_ > 0) waitpid(pid_, nullptr, 0);
}

std::unique_ptr<Searcher> OptunaPeer::NewStudy(const SearcherOptions& options, const Space& space,
                                               Problems* problems) {
  const auto space_json = SpaceJson(space, problems);
  if (!space_json) return nullptr;
  Json sampler = {{"seed", options.seed}};
  for (const auto& [name, value] : options.options) {
    sampler[name] = Json::parse(ValueJson(value), nullptr, false);
  }
  const auto reply = Ask(Json{
      {"do", "new"},
      {"sampler", sampler},
      {"goal", options.goal == Goal::kMin ? "minimize" : "maximize"},
      {"space", *space_json}}.dump());
  const Json json = ParseReply(reply);
  if (json.contains("ok")) return std::make_unique<OptunaStudy>(this, space);
  problems->push_back({"search", "Optuna: " + json.value("error", std::string("the process ended")),
                       "its options are those of TPESampler"});
  return nullptr;
}

double OptunaPeer::CpuSeconds() {
  const auto reply = Ask(R"({"do":"cpu"})");
  const Json json = ParseReply(reply);
  return json.value("cpu", 0.0);
}

void OptunaPeer::Tell(const std::string& line) {
  const std::string text = line + "\n";
  for (size_t sent = 0; sent < text.size() && !failed_;) {
    const ssize_t n = write(to_, text.data() + sent, text.size() - sent);
    if (n > 0) sent += static_cast<size_t>(n);
    if (n <= 0 && errno != EINTR) failed_ = true;
  }
}

std::optional<std::string> OptunaPeer::Ask(const std::string& line) {
  Tell(line);
  while (!failed_) {
    if (const size_t end = unread_.find('\n'); end != std::string::npos) {
      std::string reply = unread_.substr(0, end);
      unread_.erase(0, end + 1);
      return reply;
    }
    char buffer[4096];
    const ssize_t n = read(from_, buffer, sizeof buffer);
    if (n > 0) unread_.append(buffer, static_cast<size_t>(n));
    if (n == 0 || (n < 0 && errno != EINTR)) failed_ = true;
  }
  return std::nullopt;
}

}  // namespace tunesmith::bench
