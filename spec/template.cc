#include "spec/template.h"

#include <algorithm>

namespace tunesmith {

std::optional<std::vector<TemplatePiece>> ParseTemplate(std::string_view text, std::string* why) {
  std::vector<TemplatePiece> pieces;
  std::string plain;
  const auto flush = [&] {
    if (!plain.empty()) pieces.push_back({false, std::move(plain)});
    plain.clear();
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    if (text[i] != '$' || (next != '{' && next != '$')) {
      plain += text[i];
      continue;
    }
    if (next == '$') {
      plain += '$';
      ++i;
      continue;
    }
    const size_t end = text.find('}', i);
    if (end == std::string_view::npos || end == i + 2) {
      *why = end == std::string_view::npos ? "\"${\" has no \"}\"" : "\"${}\" names nothing";
      return std::nullopt;
    }
    flush();
    pieces.push_back({true, std::string(text.substr(i + 2, end - i - 2))});
    i = end;
  }
  flush();
  return pieces;
}

const std::vector<std::string>& TemplateWords() {
  static const auto* words =
      new std::vector<std::string>{"trial", "sweep", "attempt", "seed", "config", "checkpoint_dir"};
  return *words;
}

std::string FlagName(ArgStyle style, std::string_view parameter) {
  std::string name(parameter);
  std::replace(name.begin(), name.end(), '/', '.');
  switch (style) {
    case ArgStyle::kGnu:
    case ArgStyle::kSpaced:
      return "--" + name;
    case ArgStyle::kSingleDash:
      return "-" + name;
    case ArgStyle::kHydra:
      return name;
    case ArgStyle::kNone:
      break;
  }
  return "";
}

std::vector<std::string> ExpandArgs(ArgStyle style, const std::vector<Parameter>& parameters,
                                    const Point& point) {
  std::vector<std::string> args;
  if (style == ArgStyle::kNone) return args;
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!IsActive(point[i])) continue;
    std::string flag = FlagName(style, parameters[i].name);
    const std::string value = ValueText(point[i]);
    if (style == ArgStyle::kGnu || style == ArgStyle::kHydra) {
      args.push_back(flag + "=" + value);
    } else {
      args.push_back(std::move(flag));
      args.push_back(value);
    }
  }
  return args;
}

}  // namespace tunesmith
