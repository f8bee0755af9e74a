// What commands write to stdout: records as an aligned table, JSON, JSON lines or CSV (RFC 4180).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tunesmith {

enum class OutputFormat { kTable, kJson, kJsonl, kCsv };

// A file descriptor that is written to until it breaks. Not thread-safe. Once the reader has gone
// (EPIPE) everything is dropped in silence; other errors are kept for error().
class Output {
 public:
  explicit Output(int fd) : fd_(fd) {}
  ~Output() { Flush(); }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  void Write(std::string_view text);
  void Flush();
  // Nothing that is written arrives any more: callers that produce much stop early.
  bool broken() const { return broken_; }
  // "No space left on device"; empty if all is well or the reader has just gone.
  const std::string& error() const { return error_; }

 private:
  int fd_;
  std::string buffer_;
  bool broken_ = false;
  std::string error_;
};

struct Column {
  std::string name;    // in CSV as it is, in tables in capitals
  bool right = false;  // numbers
};

// A field of a CSV line, quoted if it has to be.
std::string CsvField(std::string_view text);

// Lines of aligned cells under capital headers. The last column is cut to the width (0: no limit);
// cells are cleaned.
std::vector<std::string> AlignedTable(const std::vector<Column>& columns,
                                      const std::vector<std::vector<std::string>>& rows,
                                      bool headers, size_t width, bool unicode);

// One record after the other. JSON, JSON lines and CSV are written at once; a table when Finish is
// called.
class RecordWriter {
 public:
  struct Options {
    OutputFormat format = OutputFormat::kTable;
    bool headers = true;
    size_t width = 0;  // of tables; 0 = no limit
    bool unicode = true;
  };
  RecordWriter(std::vector<Column> columns, const Options& options, Output* out);

  bool wants_json() const {
    return options_.format == OutputFormat::kJson || options_.format == OutputFormat::kJsonl;
  }
  // One line of JSON each; only if wants_json().
  void WriteJson(std::string_view json);
  // One cell per column; only if not wants_json().
  void WriteCells(std::vector<std::string> cells);
  void Finish();

 private:
  std::vector<Column> columns_;
  Options options_;
  Output* out_;
  std::vector<std::vector<std::string>> rows_;
  size_t written_ = 0;
};

}  // namespace tunesmith
