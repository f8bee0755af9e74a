#include "worker/process/output_splitter.h"

#include <algorithm>

namespace tunesmith::worker {

size_t OutputSplitter::TakeLine(std::string_view bytes, const OnLine& on_line) {
  if (bytes.empty()) return 0;
  if (after_return_) {
    // Only now is it known whether the '\r' ended the line or a state of it.
    after_return_ = false;
    const bool newline = bytes.front() == '\n';
    on_line(partial_, !newline);
    partial_.clear();
    return newline ? 1 : 0;
  }
  const size_t end = bytes.find_first_of("\r\n");
  if (end == std::string_view::npos) {
    Append(bytes);
    return bytes.size();
  }
  Append(bytes.substr(0, end));
  if (bytes[end] == '\r') {
    after_return_ = true;
    return end + 1;
  }
  on_line(partial_, false);
  partial_.clear();
  return end + 1;
}

void OutputSplitter::Finish(const OnLine& on_line) {
  after_return_ = false;
  if (partial_.empty()) return;
  on_line(partial_, false);
  partial_.clear();
}

void OutputSplitter::Append(std::string_view bytes) {
  const size_t room = line_bytes_max_ - std::min(line_bytes_max_, partial_.size());
  partial_.append(bytes.substr(0, room));
  if (bytes.size() > room) cut_bytes_ += static_cast<int64_t>(bytes.size() - room);
}

}  // namespace tunesmith::worker
