#include "worker/trainer/csv_file.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>

#include "common/text.h"

namespace tunesmith::trainer {
namespace {

constexpr size_t kClassesMax = 1'000;
constexpr size_t kShownBytesMax = 40;

std::string Shown(std::string_view field) {
  return "'" + ValidUtf8(field.substr(0, kShownBytesMax)) +
         (field.size() > kShownBytesMax ? "...'" : "'");
}

std::string_view Trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

std::optional<double> Number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

char Separator(std::string_view line) {
  for (char c : {',', ';', '\t'}) {
    if (line.find(c) != std::string_view::npos) return c;
  }
  return ',';
}

// Splits one line. A field in quotes may hold separators and "" for a quote; the quotes of the
// returned fields are taken off, a doubled quote inside stays as it is.
void SplitLine(std::string_view line, char separator, std::vector<std::string_view>* fields) {
  fields->clear();
  size_t begin = 0;
  bool quoted = false;
  for (size_t at = 0; at <= line.size(); ++at) {
    if (at < line.size() && line[at] == '"') quoted = !quoted;
    if (at < line.size() && (quoted || line[at] != separator)) continue;
    std::string_view field = Trimmed(line.substr(begin, at - begin));
    if (field.size() >= 2 && field.front() == '"' && field.back() == '"') {
      field = field.substr(1, field.size() - 2);
    }
    fields->push_back(field);
    begin = at + 1;
  }
}

class CsvParser {
 public:
  CsvParser(std::string_view text, const std::string& name, const CsvFormat& format)
      : text_(text), name_(name), format_(format) {
    if (text_.starts_with("\xef\xbb\xbf")) text_.remove_prefix(3);
  }

  StatusOr<CsvTable> Parse() {
    bool first = true;
    while (NextLine()) {
      if (first) {
        first = false;
        separator_ = Separator(line_);
        SplitLine(line_, separator_, &fields_);
        bool is_header = false;
        TS_ASSIGN_OR_RETURN(is_header, TakeFirstLine());
        if (is_header) continue;
      } else {
        SplitLine(line_, separator_, &fields_);
      }
      TS_RETURN_IF_ERROR(TakeRow());
    }
    return Finish();
  }

 private:
  bool NextLine() {
    while (at_ < text_.size()) {
      const size_t end = std::min(text_.find('\n', at_), text_.size());
      line_ = text_.substr(at_, end - at_);
      at_ = end + 1;
      ++line_number_;
      if (!Trimmed(line_).empty()) return true;
    }
    return false;
  }

  Status Wrong(const std::string& what) const {
    return InvalidArgument(name_ + ":" + std::to_string(line_number_) + ": " + what);
  }

  // Fixes the number of columns, finds the label's, and tells whether this line is a header.
  StatusOr<bool> TakeFirstLine() {
    width_ = fields_.size();
    if (width_ < 2)
      return Wrong(
          "one column only; features and a label are needed, separated by ',' ';' or tabs");
    if (line_.find('\0') != std::string_view::npos)
      return Wrong("binary data; a CSV file is needed");
    std::vector<std::string> names(fields_.begin(), fields_.end());
    const std::optional<double> number =
        format_.label_column.empty() ? std::optional<double>(-1) : Number(format_.label_column);
    const auto named = std::find(names.begin(), names.end(), format_.label_column);
    if (named != names.end() && !format_.label_column.empty()) {
      label_ = static_cast<size_t>(named - names.begin());
      if (!number) return true;  // a column name can only stand in a header
    } else if (number && std::floor(*number) == *number && *number < static_cast<double>(width_) &&
               *number >= -static_cast<double>(width_)) {
      label_ = static_cast<size_t>(*number < 0 ? *number + static_cast<double>(width_) : *number);
    } else {
      std::string shown = Join(names, ", ");
      return Wrong("no column " + Shown(format_.label_column) + " for the labels; there are " +
                   std::to_string(width_) + ": " + ValidUtf8(shown.substr(0, 200)));
    }
    if (format_.header != "auto") return format_.header == "yes";
    for (size_t i = 0; i < width_; ++i) {
      if (i != label_ && !Number(fields_[i]) && !fields_[i].empty()) return true;
    }
    return false;
  }

  Status TakeRow() {
    if (fields_.size() != width_) {
      return Wrong(std::to_string(fields_.size()) + " columns where the first line has " +
                   std::to_string(width_));
    }
    for (size_t i = 0; i < width_; ++i) {
      if (i == label_) continue;
      const std::optional<double> value = Number(fields_[i]);
      if (!value || !std::isfinite(static_cast<float>(*value))) {
        return Wrong("column " + std::to_string(i + 1) +
                     (fields_[i].empty() ? " is empty" : " is " + Shown(fields_[i])) +
                     "; a finite number is needed");
      }
      table_.values.push_back(static_cast<float>(*value));
    }
    if (fields_[label_].empty())
      return Wrong("column " + std::to_string(label_ + 1) + ", the label, is empty");
    const auto [at, fresh] =
        seen_.try_emplace(std::string(fields_[label_]), static_cast<int64_t>(seen_.size()));
    if (fresh && seen_.size() > kClassesMax) {
      return Wrong("more than 1,000 different labels in column " + std::to_string(label_ + 1) +
                   "; classes are needed: choose another label_column");
    }
    table_.labels.push_back(at->second);
    return OkStatus();
  }

  // Renumbers the labels in a fixed order, whatever row came first.
  StatusOr<CsvTable> Finish() {
    if (table_.labels.empty()) return InvalidArgument(name_ + ": no rows");
    if (seen_.size() < 2) {
      return InvalidArgument(name_ + ": every row has the label " + Shown(seen_.begin()->first) +
                             "; at least two classes are needed");
    }
    std::vector<std::pair<std::string, int64_t>> order(seen_.begin(), seen_.end());
    const bool numeric = std::all_of(order.begin(), order.end(), [](const auto& entry) {
      return Number(entry.first).has_value();
    });
    if (numeric) {
      std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
        return *Number(a.first) < *Number(b.first);
      });
    }
    std::vector<int64_t> renumbered(order.size());
    for (size_t i = 0; i < order.size(); ++i) {
      renumbered[static_cast<size_t>(order[i].second)] = static_cast<int64_t>(i);
      table_.label_names.push_back(order[i].first);
    }
    for (int64_t& label : table_.labels) label = renumbered[static_cast<size_t>(label)];
    table_.columns = static_cast<int64_t>(width_) - 1;
    return std::move(table_);
  }

  std::string_view text_;
  const std::string& name_;
  const CsvFormat& format_;
  size_t at_ = 0;
  int64_t line_number_ = 0;
  std::string_view line_;
  std::vector<std::string_view> fields_;
  char separator_ = ',';
  size_t width_ = 0;
  size_t label_ = 0;
  std::map<std::string, int64_t, std::less<>>
      seen_;  // label as written -> number in order of appearance
  CsvTable table_;
};

}  // namespace

StatusOr<CsvTable> ParseCsv(std::string_view text, const std::string& name,
                            const CsvFormat& format) {
  return CsvParser(text, name, format).Parse();
}

}  // namespace tunesmith::trainer
