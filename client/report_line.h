// Reports and answers of `simulate` as lines of JSON. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "client/simulation.h"
#include "common/problem.h"

namespace tunesmith {

// Nothing but blanks: such a line is no report.
bool IsBlankLine(std::string_view line);

// {"trial": "a", "step": 3, "loss": 0.42}, or with "metrics": {"loss": 0.42}; `metric` is the one that is looked for
// ("" for none), and other keys are passed over. NaN, Infinity and -Infinity are taken bare, as Python writes them, and
// as text. nullopt and the problem if the line is something else, whatever its bytes are.
std::optional<ReportLine> ParseReportLine(std::string_view line, const std::string& metric, Problem* problem);

// One object without a line break; keys that mean nothing for the answer are left out.
std::string AnswerJson(const SimulatedAnswer& answer);
// "a  step 3  stop  0.61 is worse than the cutoff ...", for a terminal.
std::string AnswerText(const SimulatedAnswer& answer, bool unicode);

}  // namespace tunesmith
