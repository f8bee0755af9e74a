// Optuna as a searcher: a Python process proposes (optuna_peer.py) and this one evaluates.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "common/problem.h"
#include "search/searcher.h"

namespace tunesmith::bench {

// Not thread-safe. One study at a time.
class OptunaPeer {
 public:
  // nullptr and a problem if `python` does not run or has no Optuna.
  static std::unique_ptr<OptunaPeer> Start(const std::string& python, Problems* problems);
  ~OptunaPeer();
  OptunaPeer(const OptunaPeer&) = delete;
  OptunaPeer& operator=(const OptunaPeer&) = delete;

  // A study with Optuna's TPESampler; the options are its own (multivariate, constant_liar, group, n_startup_trials,
  // ...). nullptr and a problem if it does not know them or the space. The peer must outlive the searcher.
  std::unique_ptr<Searcher> NewStudy(const SearcherOptions& options, const Space& space, Problems* problems);

  // "3.1.0".
  const std::string& version() const { return version_; }
  // CPU seconds in Optuna since the study began.
  double CpuSeconds();
  // Whether the process has died: what it has said since is worth nothing.
  bool failed() const { return failed_; }

 private:
  friend class OptunaStudy;
  OptunaPeer() = default;
  void Tell(const std::string& line);
  std::optional<std::string> Ask(const std::string& line);

  int pid_ = -1, to_ = -1, from_ = -1;
  bool failed_ = false;
  std::string version_, unread_;
};

}  // namespace tunesmith::bench
