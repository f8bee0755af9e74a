#include "client/output.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <utility>

#include "client/format.h"

namespace tunesmith {
namespace {

constexpr size_t kBufferBytes = 64 << 10;
constexpr size_t kColumnGap = 2;

std::string Upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

}  // namespace

void Output::Write(std::string_view text) {
  if (broken_) return;
  buffer_ += text;
  if (buffer_.size() >= kBufferBytes) Flush();
}

void Output::Flush() {
  size_t done = 0;
  while (!broken_ && done < buffer_.size()) {
    const ssize_t count = ::write(fd_, buffer_.data() + done, buffer_.size() - done);
    if (count >= 0) {
      done += static_cast<size_t>(count);
    } else if (errno != EINTR) {
      broken_ = true;
      if (errno != EPIPE) error_ = std::strerror(errno);
    }
  }
  buffer_.clear();
}

std::string CsvField(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

std::vector<std::string> AlignedTable(const std::vector<Column>& columns,
                                      const std::vector<std::vector<std::string>>& rows,
                                      bool headers, size_t width, bool unicode) {
  std::vector<std::vector<std::string>> cells;
  if (headers) {
    cells.emplace_back();
    for (const Column& column : columns)
      cells.back().push_back(CleanText(Upper(column.name), unicode));
  }
  for (const auto& row : rows) {
    cells.emplace_back();
    for (const std::string& cell : row)
      cells.back().push_back(CleanText(cell.empty() ? "-" : cell, unicode));
  }
  std::vector<size_t> widths(columns.size(), 0);
  for (const auto& row : cells) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], DisplayWidth(row[i]));
  }
  std::vector<std::string> lines;
  for (const auto& row : cells) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      if (i > 0) line.append(kColumnGap, ' ');
      line += columns[i].right ? PadLeft(row[i], widths[i], unicode)
                               : PadRight(row[i], widths[i], unicode);
    }
    if (width > 0) line = CutText(line, width, unicode);
    line.erase(line.find_last_not_of(' ') + 1);
    lines.push_back(std::move(line));
  }
  return lines;
}

RecordWriter::RecordWriter(std::vector<Column> columns, const Options& options, Output* out)
    : columns_(std::move(columns)), options_(options), out_(out) {
  if (options_.format != OutputFormat::kCsv || !options_.headers) return;
  std::string line;
  for (const Column& column : columns_) line += (line.empty() ? "" : ",") + CsvField(column.name);
  out_->Write(line + "\r\n");
}

void RecordWriter::WriteJson(std::string_view json) {
  if (options_.format == OutputFormat::kJson) out_->Write(written_ == 0 ? "[" : ",\n ");
  out_->Write(json);
  if (options_.format == OutputFormat::kJsonl) out_->Write("\n");
  ++written_;
}

void RecordWriter::WriteCells(std::vector<std::string> cells) {
  if (options_.format == OutputFormat::kTable) {
    rows_.push_back(std::move(cells));
    return;
  }
  std::string line;
  for (size_t i = 0; i < cells.size(); ++i) line += (i == 0 ? "" : ",") + CsvField(cells[i]);
  // A record of one empty field would be an empty line, which readers skip.
  if (line.empty()) line = "\"\"";
  out_->Write(line + "\r\n");
}

void RecordWriter::Finish() {
  if (options_.format == OutputFormat::kJson) out_->Write(written_ == 0 ? "[]\n" : "]\n");
  if (options_.format == OutputFormat::kTable) {
    for (const std::string& line :
         AlignedTable(columns_, rows_, options_.headers, options_.width, options_.unicode)) {
      out_->Write(line + "\n");
    }
  }
  out_->Flush();
}

}  // namespace tunesmith
