// The placeholders of a command and of environment values: ${args}, ${NAME}, ${trial}, ... and $$
// for a dollar sign.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "spec/sweep_spec.h"

namespace tunesmith {

struct TemplatePiece {
  bool is_name = false;  // text is the NAME of ${NAME}; else it is to be taken as it is
  std::string text;
  friend bool operator==(const TemplatePiece&, const TemplatePiece&) = default;
};

// Splits "lr=${lr}" into {"lr=", name "lr"}. A dollar sign before anything but '{' and '$' is an
// ordinary one. nullopt and `why` (not null) if a "${" has no "}" or names nothing.
std::optional<std::vector<TemplatePiece>> ParseTemplate(std::string_view text, std::string* why);

// trial, sweep, attempt, seed, config, checkpoint_dir: what ${NAME} can name beside parameters (and "args"). Validate
// refuses a ${NAME} that names both.
const std::vector<std::string>& TemplateWords();

// What the parameter is called where ${args} stands: "--lr", "-lr", "lr"; the levels of a nested
// parameter are joined by
// '.' ("--layer.size"). "" for kNone.
std::string FlagName(ArgStyle style, std::string_view parameter);

// The elements that ${args} becomes: one "--lr=0.1" each, or two with kSpaced ("--lr", "0.1").
// Inactive parameters are left out. `point` has a value for each of `parameters`.
std::vector<std::string> ExpandArgs(ArgStyle style, const std::vector<Parameter>& parameters,
                                    const Point& point);

}  // namespace tunesmith
