// simulate: what a scheduler would have decided on reports. Needs no controller.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/commands/commands.h"
#include "client/commands/report.h"
#include "client/exit_codes.h"
#include "client/output.h"
#include "client/report_line.h"
#include "client/simulation.h"
#include "common/limits.h"
#include "common/status.h"
#include "spec/sweep_spec.h"

namespace tunesmith {
namespace {

constexpr size_t kReadBytes = 64 << 10;

// Hands out a stream line by line, without the line break; a last line needs none.
class LineSource {
 public:
  explicit LineSource(int fd) : fd_(fd) {}

  // False at the end, after an error, and where a line is too long. `before_wait` is called before each read, which may
  // wait for whoever writes.
  template <typename Callback>
  bool Next(std::string* line, Callback before_wait) {
    size_t searched = start_;
    for (;;) {
      const size_t end = buffer_.find('\n', searched);
      if (end != std::string::npos || (at_end_ && start_ < buffer_.size())) {
        const size_t stop = end == std::string::npos ? buffer_.size() : end;
        too_long_ = stop - start_ > kReportLineBytesMax;
        if (too_long_) return false;
        line->assign(buffer_, start_, stop - start_);
        start_ = end == std::string::npos ? stop : stop + 1;
        return true;
      }
      too_long_ = buffer_.size() - start_ > kReportLineBytesMax;
      if (at_end_ || error_ != 0 || too_long_) return false;
      buffer_.erase(0, start_);
      start_ = 0;
      searched = buffer_.size();
      before_wait();
      Read();
    }
  }

  bool too_long() const { return too_long_; }
  int error() const { return error_; }  // errno

 private:
  void Read() {
    const size_t before = buffer_.size();
    buffer_.resize(before + kReadBytes);
    ssize_t got = 0;
    do {
      got = ::read(fd_, buffer_.data() + before, kReadBytes);
    } while (got < 0 && errno == EINTR);
    if (got < 0) error_ = errno;
    if (got == 0) at_end_ = true;
    buffer_.resize(before + static_cast<size_t>(got > 0 ? got : 0));
  }

  const int fd_;
  std::string buffer_;
  size_t start_ = 0;  // of the next line in the buffer
  bool at_end_ = false;
  bool too_long_ = false;
  int error_ = 0;
};

// How many trials the sweep has; 0 where only a scheduler is described, or the grid decides.
int64_t TrialsOf(const SweepSpec& spec) {
  const bool grid = std::any_of(spec.parameters.begin(), spec.parameters.end(),
                                [](const Parameter& p) { return p.distribution == Distribution::kGrid; });
  return grid ? 0 : spec.budget.trials * spec.repeats;
}

class Simulator {
 public:
  Simulator(const Settings& settings, std::string source, std::string metric, Simulation simulation)
      : settings_(settings),
        source_(std::move(source)),
        metric_(std::move(metric)),
        simulation_(std::move(simulation)),
        out_(STDOUT_FILENO),
        as_text_(settings.format == OutputFormat::kTable && settings.is_terminal),
        json_({}, {.format = settings.format == OutputFormat::kJson ? OutputFormat::kJson : OutputFormat::kJsonl},
              &out_) {}

  int Run(int fd) {
    LineSource lines(fd);
    std::string line;
    // Whoever waits for an answer has it before the next line is waited for.
    const auto flush = [this] { out_.Flush(); };
    while (!out_.broken() && lines.Next(&line, flush)) {
      ++line_;
      if (!IsBlankLine(line) && !Answer(line)) return Ended(kExitUsage);
    }
    if (lines.error() != 0) {
      out_.Flush();
      return Fail(ErrnoStatus(lines.error(), "can't read " + source_));
    }
    if (lines.too_long() && !out_.broken()) {
      ++line_;
      Refuse({"", "the line is longer than " + std::to_string(kReportLineBytesMax) + " bytes",
              "write one report a line"});
      return Ended(kExitUsage);
    }
    const int exit_code = Ended(kExitOk);
    const bool wants_summary = !settings_.quiet && settings_.format != OutputFormat::kJsonl;
    if (wants_summary && !out_.broken()) Say(simulation_.Summary());
    return exit_code;
  }

 private:
  bool Answer(std::string_view line) {
    Problem problem;
    const auto report = ParseReportLine(line, metric_, &problem);
    const auto answer = report ? simulation_.Take(*report, &problem) : std::nullopt;
    if (!answer) {
      Refuse(problem);
      return false;
    }
    if (as_text_) {
      out_.Write(AnswerText(*answer, settings_.unicode) + "\n");
    } else {
      json_.WriteJson(AnswerJson(*answer));
    }
    return true;
  }

  // The answers to the lines before come first.
  void Refuse(const Problem& problem) {
    out_.Flush();
    Say(FormatProblem(source_, {{line_, 1}, problem}));
  }

  int Ended(int exit_code) {
    if (!as_text_) json_.Finish();
    return Finished(&out_, exit_code);
  }

  const Settings& settings_;
  const std::string source_;  // for messages
  const std::string metric_;
  Simulation simulation_;
  Output out_;
  const bool as_text_;
  RecordWriter json_;
  int line_ = 0;
};

}  // namespace

int SimulateCommand(const Settings& settings, const SimulateFlags& flags) {
  if (settings.format == OutputFormat::kCsv) {
    Say("tunesmith: -o csv is not for simulate; use jsonl or json");
    return kExitUsage;
  }
  const bool from_stdin = flags.reports.empty() || flags.reports == "-";
  if (flags.scheduler == "-" && from_stdin) {
    Say("tunesmith: the scheduler and the reports can't both be read from stdin; name a file with --reports");
    return kExitUsage;
  }
  int exit_code = kExitOk;
  const auto spec = LoadScheduler(flags.scheduler, nullptr, &exit_code);
  if (!spec) return exit_code;
  Problems problems;
  auto scheduler = MakeScheduler(SchedulerOptionsOf(*spec, spec->search.seed.value_or(0)), &problems);
  if (scheduler == nullptr) return Fail(Internal("the scheduler of " + flags.scheduler + " can't be made"));

  const int fd = from_stdin ? STDIN_FILENO : ::open(flags.reports.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return Fail(InvalidArgument(Message(ErrnoStatus(errno, "the reports " + flags.reports + " can't be read"))));
  Simulator simulator(settings, from_stdin ? "stdin" : flags.reports, SchedulerMetric(*spec),
                      Simulation(std::move(scheduler), SchedulerMetric(*spec), SchedulerGoal(*spec), TrialsOf(*spec)));
  exit_code = simulator.Run(fd);
  if (!from_stdin) ::close(fd);
  return exit_code;
}

}  // namespace tunesmith
