#include "client/commands/report.h"

#include <unistd.h>

#include <cctype>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <limits>
#include <system_error>
#include <utility>
#include <vector>

#include "client/api/client.h"
#include "client/exit_codes.h"
#include "client/format.h"
#include "client/term.h"
#include "common/limits.h"

namespace tunesmith {
namespace {

std::string Absolute(const std::string& path) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  return error ? path : absolute.lexically_normal().string();
}

// Where a relative path of the sweep starts.
std::string BaseFolder(const SweepSource& source) {
  const bool from_file = !source.file.empty() && source.file != "-";
  std::string folder = from_file ? std::filesystem::path(source.file).parent_path().string() : "";
  folder = Absolute(folder.empty() ? "." : folder);
  while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  return folder;
}

std::string ProblemText(const Problem& problem) {
  return (problem.field.empty() ? "" : problem.field + ": ") + problem.message +
         (problem.hint.empty() ? "" : " (" + problem.hint + ")");
}

std::optional<SweepSpec> ParseSource(const SweepSource& source) {
  if (source.file.empty()) {
    Problems problems;
    auto spec = SpecFromFlags(source.flags, &problems);
    for (const Problem& problem : problems) Say("tunesmith: " + ProblemText(problem));
    return spec;
  }
  const StatusOr<std::string> text = ReadSweepText(source.file);
  if (!text.ok()) {
    Say("tunesmith: " + Message(text.status()));
    return std::nullopt;
  }
  std::vector<FileProblem> problems;
  auto spec = ParseSweepFile(*text, &problems);
  for (const FileProblem& problem : problems) Say(FormatProblem(source.file, problem));
  return spec;
}

}  // namespace

void Say(std::string_view text) {
  std::string line(text);
  line += '\n';
  FdSink(STDERR_FILENO)(line);
}

int Fail(const Status& status) {
  const Problems problems = ProblemsOf(status);
  std::string message = Message(status);
  // The message names the first problem; what to do about it is said here where it is the only one.
  if (problems.size() == 1 && !problems[0].hint.empty()) message += " (" + problems[0].hint + ")";
  Say("tunesmith: " + message);
  if (problems.size() > 1) {
    for (const Problem& problem : problems) Say("  " + ProblemText(problem));
  }
  return ExitCodeFor(status);
}

int Finished(Output* out, int exit_code) {
  out->Flush();
  if (out->error().empty()) return exit_code;
  Say("tunesmith: can't write the output: " + out->error());
  return kExitError;
}

std::optional<int64_t> ParseDuration(std::string_view text) {
  int64_t total_ms = 0;
  while (!text.empty()) {
    int64_t number = 0;
    size_t digits = 0;
    while (digits < text.size() && std::isdigit(static_cast<unsigned char>(text[digits])) &&
           digits < 9) {
      number = number * 10 + (text[digits++] - '0');
    }
    if (digits == 0) return std::nullopt;
    const char unit = digits < text.size() ? text[digits] : 's';
    const int64_t unit_ms = unit == 's'   ? 1'000
                            : unit == 'm' ? 60'000
                            : unit == 'h' ? 3'600'000
                            : unit == 'd' ? 86'400'000
                                          : 0;
    if (unit_ms == 0) return std::nullopt;
    total_ms += number * unit_ms;
    text.remove_prefix(std::min(text.size(), digits + 1));
  }
  return total_ms > 0 ? std::optional(total_ms) : std::nullopt;
}

std::optional<int64_t> ParseBytes(std::string_view text) {
  int64_t number = 0;
  size_t digits = 0;
  while (digits < text.size() && std::isdigit(static_cast<unsigned char>(text[digits])) &&
         digits < 12) {
    number = number * 10 + (text[digits++] - '0');
  }
  const std::string_view unit = text.substr(digits);
  if (digits == 0 || number == 0) return std::nullopt;
  if (unit.empty()) return number;
  if (unit == "k" || unit == "K") return number << 10;
  if (unit == "M") return number << 20;
  return std::nullopt;
}

StatusOr<std::string> ReadSweepText(const std::string& file) {
  // One byte more than allowed, so that the parser sees that it is too long.
  std::string text(kSweepFileBytesMax + 1, '\0');
  std::ifstream opened;
  if (file != "-") {
    std::error_code error;
    if (std::filesystem::is_directory(file, error)) {
      return InvalidArgument(file + " is a folder; name a sweep file (YAML or JSON)");
    }
    opened.open(file, std::ios::binary);
    if (!opened)
      return InvalidArgument("the sweep file " + file +
                             " can't be read: " + std::generic_category().message(errno));
  }
  std::istream& in = file == "-" ? std::cin : opened;
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(in.gcount()));
  return text;
}

std::optional<SweepSpec> LoadSweep(const SweepSource& source) {
  std::optional<SweepSpec> spec = ParseSource(source);
  if (!spec.has_value()) return std::nullopt;
  std::string& workdir = spec->program.workdir;
  if (!spec->program.command.empty() && workdir.empty()) workdir = BaseFolder(source);
  if (!workdir.empty() && workdir.front() != '/')
    workdir = Absolute(BaseFolder(source) + "/" + workdir);
  return spec;
}

std::optional<SweepSpec> LoadScheduler(const std::string& file, const Objective* lent, int* exit_code) {
  const StatusOr<std::string> text = ReadSweepText(file);
  if (!text.ok()) {
    *exit_code = Fail(text.status());
    return std::nullopt;
  }
  std::vector<FileProblem> problems;
  auto spec = ParseSchedulerFile(*text, &problems, lent);
  if (spec) return spec;
  for (const FileProblem& problem : problems) Say(FormatProblem(file, problem));
  Say(std::to_string(problems.size()) + (problems.size() == 1 ? " problem" : " problems"));
  *exit_code = kExitUsage;
  return std::nullopt;
}

RecordWriter::Options RecordOptions(const Settings& settings) {
  RecordWriter::Options options;
  options.format = settings.format;
  options.headers = settings.headers;
  options.unicode = settings.unicode || !settings.is_terminal;
  if (settings.is_terminal) options.width = TerminalSize(STDOUT_FILENO, ProcessEnvironment()).width;
  return options;
}

}  // namespace tunesmith
