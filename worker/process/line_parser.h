// Finds measurements in what a program prints.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/status.h"
#include "worker/agent/types.h"

namespace tunesmith::worker {

// What AUTO accepts, on a line of its own or among other words:
//   {"epoch": 3, "loss": 0.42}            a JSON object (NaN and Infinity as Python writes them,
//   too); nested objects
//                                         give "eval/loss"; also after "[tune-metric]: "
//   {'loss': 0.42, 'epoch': 3.0}          a printed Python dictionary
//   epoch=3 loss=0.42 acc: 0.9            name=value and name: value, value a number, nan or inf
//   Epoch 3/10 - loss: 0.42               "epoch", "step" or "iter" before a whole number
// A line is a report if it holds a declared metric, or a step and any number. The step is the first
// of training_iteration, epoch, step, iteration, iter that is there. Units and percent signs
// ("3.2s", "91%") make a value no number. Not thread-safe.
class LineParser {
 public:
  // `rules`: tried in order on every line; empty = AUTO. INVALID_ARGUMENT for a regular expression
  // that RE2 refuses or that has no named group.
  static StatusOr<std::unique_ptr<LineParser>> Create(const std::vector<CollectRule>& rules,
                                                      std::vector<std::string> declared_metrics);
  ~LineParser();

  // The report in the line; nullopt if it is none. At most kMetricsPerMeasurementMax metrics,
  // declared ones first.
  std::optional<Report> Parse(std::string_view line);
  // Why a declared metric may be missing: the first line that named one with something that is not
  // a number. "" if there was none.
  const std::string& hint() const { return hint_; }
  void set_hint(std::string hint) { hint_ = std::move(hint); }

 private:
  struct Rule;
  struct Found;
  LineParser();

  bool IsDeclared(std::string_view name) const;
  bool ParseJson(std::string_view line, Found* found) const;
  void ParsePairs(std::string_view line, Found* found);
  std::optional<Report> ToReport(Found found, bool named_by_rule) const;

  std::vector<Rule> rules_;
  std::vector<std::string> declared_;
  std::string hint_;
};

// A number as programs print it: [+-]digits[.digits][e[+-]digits], nan, inf, infinity in any case.
// nullopt for anything else, hexadecimal included.
std::optional<double> ParseNumber(std::string_view text);

// One line of the trial's channel.
struct ChannelLine {
  enum class Kind { kReport, kNote, kFailed };
  Kind kind = Kind::kReport;
  Report report;     // kReport
  std::string text;  // kNote, kFailed
};
// INVALID_ARGUMENT says what is wrong with the line: it is shown to the trial's author.
StatusOr<ChannelLine> ParseChannelLine(std::string_view line);

// {"type":"verdict","step":3,"action":"stop","reason":"..."} and a line feed.
std::string VerdictLine(int64_t step, bool stop, std::string_view reason);

}  // namespace tunesmith::worker
