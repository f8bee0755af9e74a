#include "client/argv.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "spec/template.h"

namespace tunesmith {
namespace {

constexpr std::string_view kPlainCharacters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%^";

std::string ExpandElement(const std::string& element, const SweepSpec& spec, const Point& point,
                          const std::map<std::string, std::string>& words) {
  const auto pieces = ParseTemplate(element, nullptr);
  if (!pieces.has_value()) return element;
  std::string text;
  for (const TemplatePiece& piece : *pieces) {
    if (!piece.is_name) {
      text += piece.text;
      continue;
    }
    const auto parameter = std::find_if(spec.parameters.begin(), spec.parameters.end(),
                                        [&](const Parameter& p) { return p.name == piece.text; });
    const auto word = words.find(piece.text);
    if (parameter != spec.parameters.end()) {
      text += ValueText(point[static_cast<size_t>(parameter - spec.parameters.begin())]);
    } else if (word != words.end()) {
      text += word->second;
    } else {
      text += "${" + piece.text + "}";
    }
  }
  return text;
}

}  // namespace

std::string ShellQuote(std::string_view text) {
  if (!text.empty() && text.find_first_not_of(kPlainCharacters) == std::string_view::npos)
    return std::string(text);
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

std::string ShellCommand(const std::vector<std::string>& argv) {
  std::string command;
  for (const std::string& element : argv)
    command += (command.empty() ? "" : " ") + ShellQuote(element);
  return command;
}

std::vector<std::string> ExpandCommand(const SweepSpec& spec, const Point& point,
                                       const std::map<std::string, std::string>& words) {
  std::vector<std::string> argv;
  for (const std::string& element : spec.program.command) {
    if (element == "${args}") {
      const auto args = ExpandArgs(spec.program.args, spec.parameters, point);
      argv.insert(argv.end(), args.begin(), args.end());
    } else {
      argv.push_back(ExpandElement(element, spec, point, words));
    }
  }
  return argv;
}

Point PointOf(const SweepSpec& spec, const std::vector<std::pair<std::string, Value>>& values) {
  Point point(spec.parameters.size());
  for (size_t i = 0; i < point.size(); ++i) {
    for (const auto& [name, value] : values) {
      if (name == spec.parameters[i].name) point[i] = value;
    }
  }
  return point;
}

}  // namespace tunesmith
