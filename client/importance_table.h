// `importance` for people: which parameters matter, and where their good values lie. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "client/table.h"

namespace tunesmith {

struct ImportanceRow {
  std::string name;
  double share = 0;   // 0 to 1
  double spread = 0;
  std::string line;   // the effect in words
};

struct ImportanceView {
  std::string sweep;
  std::string metric;
  std::vector<ImportanceRow> rows;  // the most important first
  double interactions = 0;
  double r2 = 0;
  int64_t used = 0;        // trials
  int64_t with_value = 0;  // of which those are chosen
  int64_t left_out = 0;
};

// One line per parameter where the effect has room beside its share, else two. Without `headers` the rows alone.
std::vector<std::string> RenderImportance(const ImportanceView& view, const RenderOptions& options, bool headers);

}  // namespace tunesmith
