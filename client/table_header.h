// The upper part of the live screen: title, progress, best trial, counts, rungs, workers.
#pragma once

#include <string>
#include <vector>

#include "client/format.h"
#include "client/line.h"
#include "client/table.h"

namespace tunesmith {

// How the numbers of each column are written: chosen over all rows, so that header and table agree.
struct ColumnStyles {
  std::vector<NumberStyle> metrics;
  std::vector<NumberStyle> params;
};
ColumnStyles ChooseStyles(const SweepView& view);

// A value of a column in its style; clean text.
std::string CellText(const ViewValue& value, const NumberStyle& style, const Canvas& canvas);

// Most important line first.
std::vector<Line> HeaderLines(const SweepView& view, const ColumnStyles& styles,
                              const Canvas& canvas);

}  // namespace tunesmith
