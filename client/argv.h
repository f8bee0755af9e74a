// The command line of a trial, for showing and pasting. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "search/space/value.h"
#include "spec/sweep_spec.h"

namespace tunesmith {

// As a POSIX shell reads it back: 'two words', plain words as they are.
std::string ShellQuote(std::string_view text);
std::string ShellCommand(const std::vector<std::string>& argv);

// The sweep's command at this point. ${trial} and the like are taken from `words`; those that are
// not there stay as they are, since only the worker knows them. Empty for a built-in trainable.
std::vector<std::string> ExpandCommand(const SweepSpec& spec, const Point& point,
                                       const std::map<std::string, std::string>& words);

// The named values in the order of the spec's parameters; those left out are inactive.
Point PointOf(const SweepSpec& spec, const std::vector<std::pair<std::string, Value>>& values);

}  // namespace tunesmith
