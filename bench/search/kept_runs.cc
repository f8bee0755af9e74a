#include "bench/search/kept_runs.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace tunesmith::bench {
namespace {

using Json = nlohmann::json;

// The curve as the places where it changes: [[0, 31.2], [4, 17.0]].
Json ToJson(const Run& run) {
  Json curve = Json::array();
  for (size_t i = 0; i < run.regret.size(); ++i) {
    if (i == 0 || run.regret[i] != run.regret[i - 1]) curve.push_back({i, run.regret[i]});
  }
  return {{"length", run.regret.size()},    {"regret", curve},
          {"cpu_seconds", run.cpu_seconds}, {"trials", run.trials},
          {"full_length", run.full_length}, {"epochs", run.epochs}};
}

Run FromJson(const Json& json) {
  Run run;
  run.regret.resize(json.at("length").get<size_t>());
  for (const Json& change : json.at("regret")) {
    const auto from = change.at(0).get<size_t>();
    for (size_t i = from; i < run.regret.size(); ++i) run.regret[i] = change.at(1).get<double>();
  }
  run.cpu_seconds = json.at("cpu_seconds").get<double>();
  run.trials = json.at("trials").get<uint32_t>();
  run.full_length = json.at("full_length").get<uint32_t>();
  run.epochs = json.at("epochs").get<int64_t>();
  return run;
}

}  // namespace

void KeptRuns::Load(const std::string& path, Problems* problems) {
  const MutexLock lock(&mutex_);
  path_ = path;
  std::ifstream in(path);
  if (!in) return;
  try {
    const Json all = Json::parse(in);
    for (const auto& [key, json] : all.items()) runs_.emplace(key, FromJson(json));
  } catch (const Json::exception& e) {
    problems->push_back({path, std::string("not a file of kept runs: ") + e.what(),
                         "name a new file, or one that search_bench wrote"});
  }
}

std::optional<Run> KeptRuns::Find(const std::string& key) const {
  const MutexLock lock(&mutex_);
  const auto found = runs_.find(key);
  if (found == runs_.end()) return std::nullopt;
  return found->second;
}

void KeptRuns::Keep(const std::string& key, const Run& run) {
  const MutexLock lock(&mutex_);
  runs_[key] = run;
  if (!path_.empty()) Save();
}

void KeptRuns::Save() const {
  const std::string next = path_ + ".next";
  {
    std::ofstream out(next);
    out << "{";
    const char* separator = "\n";
    for (const auto& [key, run] : runs_) {
      out << separator << Json(key).dump() << ": " << ToJson(run).dump();
      separator = ",\n";
    }
    out << "\n}\n";
  }
  std::error_code ignored;
  std::filesystem::rename(next, path_, ignored);
}

}  // namespace tunesmith::bench
