// Tables of numbers with one column of labels.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace tunesmith::trainer {

struct CsvTable {
  int64_t columns = 0;                   // without the label's
  std::vector<float> values;             // row after row
  std::vector<int64_t> labels;           // index into label_names
  std::vector<std::string> label_names;  // numbers in numeric order, else text in byte order
};

struct CsvFormat {
  std::string label_column;  // name, or number from 0, negative from the end; "" = the last
  std::string header =
      "auto";  // auto: the first line is a header when a feature in it is not a number
};

// Reads comma, semicolon or tab separated text (told by the first line), with RFC 4180 quotes on
// one line. Labels may be text. INVALID_ARGUMENT gives "name:line" and the column: a row of another
// length, a feature that is missing, not a number or not finite, no such label column, fewer than 2
// or more than 1,000 classes.
StatusOr<CsvTable> ParseCsv(std::string_view text, const std::string& name,
                            const CsvFormat& format);

}  // namespace tunesmith::trainer
