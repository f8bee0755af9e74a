// Reads a sweep file that has to be good, or has to be bad.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "spec/sweep_spec.h"

namespace tunesmith {

inline std::string Lines(const std::vector<FileProblem>& problems) {
  std::string out;
  for (const FileProblem& problem : problems) out += FormatProblem("f", problem) + "\n";
  return out;
}

inline SweepSpec ReadGood(std::string_view text) {
  std::vector<FileProblem> problems;
  auto spec = ParseSweepFile(text, &problems);
  EXPECT_TRUE(spec.has_value()) << Lines(problems);
  EXPECT_TRUE(problems.empty()) << Lines(problems);
  return spec.value_or(SweepSpec());
}

inline std::vector<FileProblem> ReadBad(std::string_view text) {
  std::vector<FileProblem> problems;
  EXPECT_FALSE(ParseSweepFile(text, &problems).has_value()) << text.substr(0, 500);
  EXPECT_FALSE(problems.empty()) << text.substr(0, 500);
  return problems;
}

}  // namespace tunesmith
