#include "worker/process/output_splitter.h"

#include <algorithm>

namespace tunesmith::worker {

size_t OutputSplitter::TakeLine(std::string_view bytes, const OnLine& on_line) {
  if (bytes.empty()) return 0;
  if (state_.after_return) {
    // Only now is it known whether the '\r' ended the line or a state of it.
    state_.after_return = false;
    const bool newline = bytes.front() == '\n';
    on_line(state_.partial, !newline);
    state_.partial.clear();
    return newline ? 1 : 0;
  }
  const size_t end = bytes.find_first_of("\r\n");
  if (end == std::string_view::npos) {
    Append(bytes);
    return bytes.size();
  }
  Append(bytes.substr(0, end));
  if (bytes[end] == '\r') {
    state_.after_return = true;
    return end + 1;
  }
  on_line(state_.partial, false);
  state_.partial.clear();
  return end + 1;
}

void OutputSplitter::Finish(const OnLine& on_line) {
  state_.after_return = false;
  if (state_.partial.empty()) return;
  on_line(state_.partial, false);
  state_.partial.clear();
}

void OutputSplitter::Append(std::string_view bytes) {
  const size_t room = line_bytes_max_ - std::min(line_bytes_max_, state_.partial.size());
  state_.partial.append(bytes.substr(0, room));
  if (bytes.size() > room) state_.cut_bytes += static_cast<int64_t>(bytes.size() - room);
}

}  // namespace tunesmith::worker
